"""Codecs of sound and subtitles, sample rates and channels, into every container, verified.

python benchmarks/streams.py [--codecs aac,mp2] [--to mkv,ts] [--quick]

Makes a short file of each with FFmpeg's program, upscales it with --verify, and asks ffprobe and
FFmpeg's decoders, which are other versions than the ones inside, what the output holds.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from script_parts import print_header, print_row

from vsrcli import UpscaleOptions, VsrError, upscale
from vsrcli.containers.table import CONTAINERS
from vsrcli.decode.probe import probe
from vsrcli.options import EncoderOptions
from vsrcli.streams.stream_plan import StreamPlan, plan_streams

ENDINGS = ("mp4", "mov", "mkv", "webm", "ts", "avi", "nut")
_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000)
_LAYOUTS = ("mono", "stereo", "5.1", "7.1")
_FFMPEG = ("ffmpeg", "-v", "error", "-y")
_FRAMES_PER_SECOND = 5
_PICTURES = ("-f", "lavfi", "-i", f"testsrc2=s=32x32:r={_FRAMES_PER_SECOND}:d=1")
_VIDEO = ("-c:v", "mpeg4", "-q:v", "3")
# FFmpeg's encoder, and the ending of a file that holds it.
SOUND = {
    "aac": "mp4",
    "ac3": "mkv",
    "eac3": "mkv",
    "mp2": "ts",
    "libmp3lame": "avi",
    "libopus": "mkv",
    "libvorbis": "mkv",
    "flac": "mkv",
    "alac": "mov",
    "wavpack": "mkv",
    "tta": "mkv",
    "truehd": "mkv",
    "mlp": "mkv",
    "dca": "mkv",
    "wmav1": "asf",
    "wmav2": "asf",
    "pcm_u8": "avi",
    "pcm_s8": "mov",
    "pcm_s16le": "avi",
    "pcm_s16be": "mov",
    "pcm_s24le": "mkv",
    "pcm_s24be": "mov",
    "pcm_s32le": "mkv",
    "pcm_f32le": "mkv",
    "pcm_f64le": "mkv",
    "pcm_alaw": "avi",
    "pcm_mulaw": "mov",
    "adpcm_ms": "avi",
    "adpcm_ima_wav": "avi",
    "adpcm_ima_qt": "mov",
    "adpcm_yamaha": "avi",
    "g722": "avi",
    "libgsm_ms": "avi",
    "libspeex": "flv",
    "nellymoser": "flv",
    "s302m": "ts",
}
TEXT = {
    "srt": "mkv",
    "ass": "mkv",
    "webvtt": "webm",
    "mov_text": "mp4",
    "dvb_subtitle": "ts",
    "dvd_subtitle": "mkv",
}
_PICTURE_SUBTITLES = ("dvb_subtitle", "dvd_subtitle")
_LINES = """1
00:00:00,100 --> 00:00:00,500
one

2
00:00:00,600 --> 00:00:00,900
two
"""


@dataclass(frozen=True)
class Source:
    """A file of one kind, and what the rows of the table call it."""

    name: str
    path: Path
    kind: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codecs", help="only these, with commas")
    parser.add_argument("--to", default=",".join(ENDINGS), help="endings, with commas")
    parser.add_argument(
        "--quick", action="store_true", help="one rate and layout a codec"
    )
    arguments = parser.parse_args()
    chosen = arguments.codecs.split(",") if arguments.codecs else [*SOUND, *TEXT]
    print_header("source", "output", "what happens", "problem")
    total = 0
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in _sources(folder, chosen, arguments.quick):
            for ending in arguments.to.split(","):
                total += 1
                plan, problem = _try(source, folder / f"out.{ending}")
                if problem:
                    failed += 1
                    action = f"{plan.action} {plan.codec or ''}" if plan else "none"
                    print_row(source.name, ending, action, problem)
            source.path.unlink()
    print(f"\n{total} cases, {failed} problems")
    raise SystemExit(1 if failed else 0)


def _sources(folder: Path, codecs: list[str], quick: bool) -> Iterator[Source]:
    for codec in codecs:
        if codec in TEXT:
            yield _subtitle_source(folder, codec)
            continue
        made = 0
        for layout in _LAYOUTS:
            for rate in _RATES:
                is_usual = rate == 48_000 and layout == "stereo"
                if quick and not is_usual:
                    continue
                source = _sound_source(folder, codec, rate, layout)
                if source is not None:
                    made += 1
                    yield source
        if not made:
            print(f"(no encoder {codec}, or it takes none of these rates)")


def _sound_source(
    folder: Path,
    codec: str,
    rate: int,
    layout: str,
) -> Source | None:
    path = folder / f"source.{SOUND[codec]}"
    sound = f"sine=440:r={rate}:d=1,aformat=channel_layouts={layout}"
    command = [
        *_FFMPEG,
        *_PICTURES,
        *("-f", "lavfi", "-i", sound),
        *_VIDEO,
        *("-c:a", codec, "-strict", "-2", "-ar", str(rate)),
        str(path),
    ]
    if SOUND[codec] == "flv":
        command[command.index("mpeg4")] = "flv1"
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        return None
    if rate not in (_value(path, "a", "sample_rate"), 0):
        return None
    return Source(f"{codec} {rate} {layout}", path, "audio")


def _subtitle_source(folder: Path, codec: str) -> Source:
    lines = folder / "lines.srt"
    lines.write_text(_LINES)
    path = folder / f"source.{TEXT[codec]}"
    video = ("-c:v", "libvpx") if TEXT[codec] == "webm" else _VIDEO
    subtitles = lines
    encoder = codec
    if codec in _PICTURE_SUBTITLES:
        subtitles = _drawn_subtitles(folder, codec)
        encoder = "copy"
    subprocess.run(
        [
            *_FFMPEG,
            *_PICTURES,
            *("-i", str(subtitles)),
            *("-map", "0:v", "-map", "1:s", *video, "-c:s", encoder),
            str(path),
        ],
        check=True,
    )
    return Source(codec, path, "subtitle")


def _drawn_subtitles(folder: Path, codec: str) -> Path:
    """A file with two packets of a codec that draws its lines; what they show does not matter."""
    path = folder / "drawn.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_mux_stream(codec)
        out.start_encoding()
        for number in range(2):
            packet: av.Packet[Any] = av.Packet(bytes(range(number + 1, number + 60)))
            packet.stream = stream
            packet.pts = 100 + 500 * number
            packet.dts = packet.pts
            packet.duration = 300
            out.mux(packet)
    return path


def _try(source: Source, target: Path) -> tuple[StreamPlan | None, str]:
    """Upscale one source; what was planned for its stream, and what is wrong."""
    keeps_timestamps = CONTAINERS[target.suffix].keeps_timestamps
    encoder = EncoderOptions(codec="libx264", preset="ultrafast")
    if target.suffix == ".webm":
        encoder = EncoderOptions(codec="libvpx-vp9")
    options = UpscaleOptions(
        model="lite",
        device="cpu",
        fps="source" if keeps_timestamps else Fraction(_FRAMES_PER_SECOND),
        overwrite=True,
        verify=True,
        encoder=encoder,
    )
    plan = None
    try:
        info = probe(source.path)
        plans = plan_streams(info, target, "copy")
        plan = next(item for item in plans if item.stream.kind == source.kind)
        upscale(source.path, target, options)
    except VsrError as error:
        return plan, str(error).replace("|", "/")
    except Exception as error:  # a traceback is the worst of all problems
        return plan, repr(error)
    return plan, _other_opinion(source, target, plan)


def _other_opinion(source: Source, target: Path, plan: StreamPlan) -> str:
    """What FFmpeg's programs find wrong with the stream in an output."""
    letter = source.kind[0]
    actual = _text(target, letter, "codec_name")
    if plan.action == "drop":
        return f"ffprobe finds {actual}" if actual else ""
    expected = plan.codec if plan.action == "convert" else plan.stream.codec
    if actual != expected:
        return f"ffprobe finds {actual or 'nothing'}, not {expected}"
    if source.kind == "subtitle":
        return ""
    length = _decoded_seconds(target)
    expected_length = _decoded_seconds(source.path)
    if abs(length - expected_length) > 0.15:
        return f"decodes to {length:.3f} s, the source to {expected_length:.3f} s"
    return ""


def _decoded_seconds(path: Path) -> float:
    """Seconds of sound that FFmpeg's program decodes."""
    rate = 8000
    command = [
        *_FFMPEG,
        *("-i", str(path), "-map", "0:a:0", "-ac", "1", "-ar", str(rate)),
        *("-f", "s16le", "-"),
    ]
    result = subprocess.run(command, capture_output=True, check=False)
    return len(result.stdout) / 2 / rate


def _text(path: Path, stream: str, entry: str) -> str:
    command = [
        *("ffprobe", "-v", "error", "-select_streams", stream),
        *("-show_entries", f"stream={entry}", "-of", "csv=p=0", str(path)),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.split()
    return lines[0].strip(",") if lines else ""


def _value(path: Path, stream: str, entry: str) -> int:
    text = _text(path, stream, entry)
    return int(text) if text.isdigit() else 0


if __name__ == "__main__":
    main()
