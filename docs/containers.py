"""Writes docs/containers.md from the rules that the program goes by: python docs/containers.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vsrcli.errors import OutputError
from vsrcli.frame import Hdr, PixelFormat
from vsrcli.media.containers import CONTAINERS
from vsrcli.media.encoders import ENCODERS
from vsrcli.media.formats import choose_format
from vsrcli.media.probe import probe_file
from vsrcli.media.sidedata import hdr_settings
from vsrcli.media.stream_plan import StreamPlan, plan_streams
from vsrcli.options import EncoderOptions

PAGE = Path(__file__).with_suffix(".md")
AUDIO = (
    "aac",
    "ac3",
    "eac3",
    "mp3",
    "mp2",
    "opus",
    "vorbis",
    "flac",
    "alac",
    "pcm_s16le",
    "pcm_s24le",
    "pcm_s16be",
)
_ENCODERS = {"mp3": "libmp3lame", "opus": "libopus"}
TEXT = ("subrip", "ass", "webvtt", "mov_text")
PICTURES = ("dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle")
FORMATS = (
    "yuv420p", "yuv422p", "yuv444p", "gray", "yuva420p", "gbrp", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p12le", "yuv444p16le",
)  # fmt: skip
_BRIGHT = Hdr(content_light=(1000, 400))
_INTRODUCTION = """# What each container and encoder keeps

`python docs/containers.py` writes this page from the rules in the code, and a test keeps it current.
`vsr info IN --to OUT` says the same about a single file, `vsr upscale` prints it before the work
starts, and `--strict` refuses every loss. A stream that the container refuses is converted where that
makes sense. .mkv keeps nearly everything unchanged.

Some containers store a constant frame rate only. There, sound that starts late or has pauses is
re-encoded with silence in the gaps, and a late first frame is shown from the beginning.

"""


def _audio_file(folder: Path, codec: str) -> Path:
    path = folder / f"{codec}.mkv"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(
            _ENCODERS.get(codec, codec), rate=48000, options={"strict": "experimental"}
        )
        stream.layout = "stereo"
        context = stream.codec_context
        context.format = context.codec.audio_formats[0]
        context.open(strict=False)
        size = context.frame_size or 1024
        for number in range(12):
            frame = av.AudioFrame(
                format=context.format.name, layout="stereo", samples=size
            )
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts, frame.time_base = (
                48000,
                number * size,
                Fraction(1, 48000),
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _subtitle_file(folder: Path, codec: str) -> Path:
    path = folder / f"{codec}.{'mp4' if codec == 'mov_text' else 'mkv'}"
    payload = {"ass": b"0,0,Default,,0,0,0,,words", "mov_text": b"\0\5words"}.get(
        codec, b"words" * 10
    )
    with av.open(str(path), "w") as out:
        stream: Any = (
            out.add_stream("ass") if codec == "ass" else out.add_mux_stream(codec)
        )
        if codec == "ass":
            stream.codec_context.subtitle_header = b"[Script Info]\n[Events]\n"
        stream.time_base = Fraction(1, 1000)
        out.start_encoding()
        packet: Any = av.Packet(payload)
        packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = (
            stream,
            Fraction(1, 1000),
            0,
            0,
            1000,
        )
        out.mux(packet)
    return path


def _plans(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for codec in AUDIO:
        yield "audio", codec, _audio_file(folder, codec)
    for codec in (*TEXT, *PICTURES):
        yield (
            "text" if codec in TEXT else "pictures",
            codec,
            _subtitle_file(folder, codec),
        )


def container_table() -> str:
    """The table of containers, as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        sources = [
            (kind, codec, probe_file(path)) for kind, codec, path in _plans(Path(name))
        ]
        for suffix, container in CONTAINERS.items():
            if suffix == ".m4v":
                continue
            found: dict[str, dict[str, StreamPlan]] = {
                "audio": {},
                "text": {},
                "pictures": {},
            }
            for kind, codec, info in sources:
                wanted = "audio" if kind == "audio" else "subtitle"
                found[kind][codec] = next(
                    plan
                    for plan in plan_streams(info, f"out{suffix}", "copy")
                    if plan.stream.kind == wanted
                )
            rows.append([
                ".mp4, .m4v" if suffix == ".mp4" else suffix,
                "exact" if container.keeps_timestamps else "constant rate only",
                "yes" if container.keeps_aspect else "by the codec",
                "yes" if container.keeps_rotation else "no: `--bake-rotation`",
                "yes" if container.keeps_colours else "range only" if container.keeps_range else "by the codec",
                *(_said(found[kind]) for kind in ("audio", "text", "pictures")),
                "yes" if container.holds_attachments else "no",
                {"attachment": "yes", "stream": "yes", None: "no"}[container.covers],
                "yes" if container.keeps_chapters else "no",
                "yes" if container.keeps_titles and container.languages != "none" else "titles" if container.keeps_titles else "languages" if container.languages != "none" else "no",
            ])  # fmt: skip
    head = [
        "container", "frame times", "pixel aspect", "rotation", "colour tags", "audio", "text subtitles", "picture subtitles", "fonts", "cover", "chapters",
        "stream titles, languages",
    ]  # fmt: skip
    return _table(head, rows)


def _said(plans: dict[str, StreamPlan]) -> str:
    copied = [codec for codec, plan in plans.items() if plan.action == "copy"]
    becomes = sorted(
        {str(plan.codec) for plan in plans.values() if plan.action == "convert"}
    )
    dropped = [codec for codec, plan in plans.items() if plan.action == "drop"]
    parts = [f"copies {', '.join(copied)}"] if copied else []
    parts += (
        [
            f"others become {' or '.join(becomes)}"
            if copied
            else f"becomes {' or '.join(becomes)}"
        ]
        if becomes
        else []
    )
    parts += (
        ["left out" if not (copied or becomes) else f"leaves out {', '.join(dropped)}"]
        if dropped
        else []
    )
    return "; ".join(parts)


def encoder_table() -> str:
    """The table of encoders, as Markdown."""
    rows = []
    for codec, encoder in (
        *ENCODERS.items(),
        ("ffv1", ENCODERS["prores"]),
        ("rawvideo", ENCODERS["prores"]),
    ):
        known = codec in ENCODERS
        kept = [name for name in FORMATS if _keeps(codec, name)]
        if not kept:
            continue  # not in this FFmpeg
        rows.append([
            codec,
            (f"{encoder.crf}" if known and encoder.crf else "none"),
            ", ".join(name.removesuffix("le") for name in kept),
            "yes" if hdr_settings(_BRIGHT, codec) else "no",
            "yes" if known and encoder.has_colours else "by the container",
            "yes" if known and encoder.has_aspect else "by the container",
        ])  # fmt: skip
    return _table(
        [
            "encoder",
            "`--crf` sets",
            "pixel formats kept (of those tried)",
            "HDR10 metadata",
            "colour tags",
            "pixel aspect",
        ],
        rows,
    )


def _keeps(codec: str, name: str) -> bool:
    layout = PixelFormat.parse(name)
    try:
        return (
            layout is not None
            and choose_format(EncoderOptions(codec=codec), layout)[1] is None
        )
    except OutputError:
        return False


def _table(head: list[str], rows: list[list[str]]) -> str:
    return (
        "\n".join(
            "| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)
        )
        + "\n"
    )


def page() -> str:
    """The whole page, as Markdown."""
    return f"{_INTRODUCTION}## Containers\n\n{container_table()}\n## Encoders\n\n{encoder_table()}"


if __name__ == "__main__":
    PAGE.write_text(page())
