"""Writes docs/containers.md from the rules that the program goes by: python docs/containers.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av

from vsrcli.containers.table import CONTAINERS, Container
from vsrcli.decode.probe import probe_file
from vsrcli.encode.caption_messages import caption_standard
from vsrcli.encode.encoder_table import ENCODERS, Encoder, encoder_of
from vsrcli.encode.formats import choose_format
from vsrcli.encode.hdr_options import hdr_settings
from vsrcli.errors import OptionError, OutputError
from vsrcli.frame import FileInfo, Hdr, PixelFormat
from vsrcli.options import EncoderOptions
from vsrcli.options.encoder import Quality
from vsrcli.streams.stream_plan import StreamPlan, plan_streams

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
TEXT = (
    "subrip",
    "ass",
    "webvtt",
    "mov_text",
)
PICTURES = (
    "dvd_subtitle",
    "hdmv_pgs_subtitle",
    "dvb_subtitle",
)
FORMATS = (
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "gray",
    "yuva420p",
    "gbrp",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "yuv420p12le",
    "yuv444p12le",
    "yuv444p16le",
)
# Encoders in the table of which nothing special is known.
_UNLISTED_ENCODERS = ("ffv1", "rawvideo")
_AUDIO_ENCODERS = {
    "mp3": "libmp3lame",
    "opus": "libopus",
}
_AUDIO_RATE = 48_000
_AUDIO_FRAMES = 12
_TEXT_PAYLOADS = {
    "ass": b"0,0,Default,,0,0,0,,words",
    "mov_text": b"\0\5words",
}
_OTHER_PAYLOAD = b"words" * 10
_BRIGHT = Hdr(content_light=(1000, 400))
_PROJECTIONS = {"all": "yes", "level": "if it is not tilted", "none": "no"}
_CONTAINER_COLUMNS = [
    "container",
    "frame times",
    "pixel aspect",
    "rotation",
    "colour tags",
    "two views in a picture",
    "spherical",
    "audio",
    "text subtitles",
    "picture subtitles",
    "fonts",
    "cover",
    "chapters",
    "stream titles, languages",
]
_ENCODER_COLUMNS = [
    "encoder",
    "`--crf` sets",
    "`--quality` high / balanced / small",
    "pixel formats kept (of those tried)",
    "HDR10 metadata",
    "closed captions",
    "colour tags",
    "pixel aspect",
]
_INTRODUCTION = """# What each container and encoder keeps

`python docs/containers.py` writes this page from the rules in the code, and a test keeps it
current. `vsr info IN --to OUT` says the same about a single file, `vsr upscale` prints it before
the work starts, and `--strict` refuses every loss. A stream that the container refuses is converted
where that makes sense. .mkv keeps nearly everything unchanged.

Some containers store a constant frame rate only. There, sound that starts late or has pauses is
re-encoded with silence in the gaps, and a late first frame is shown from the beginning.

"""


def _audio_file(folder: Path, codec: str) -> Path:
    path = folder / f"{codec}.mkv"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(
            _AUDIO_ENCODERS.get(codec, codec),
            rate=_AUDIO_RATE,
            options={"strict": "experimental"},
        )
        stream.layout = "stereo"
        context = stream.codec_context
        context.format = context.codec.audio_formats[0]
        context.open(strict=False)
        samples = context.frame_size or 1024
        for number in range(_AUDIO_FRAMES):
            frame = av.AudioFrame(
                format=context.format.name,
                layout="stereo",
                samples=samples,
            )
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate = _AUDIO_RATE
            frame.pts = number * samples
            frame.time_base = Fraction(1, _AUDIO_RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _subtitle_file(folder: Path, codec: str) -> Path:
    suffix = "mp4" if codec == "mov_text" else "mkv"
    path = folder / f"{codec}.{suffix}"
    with av.open(str(path), "w") as out:
        stream: Any
        if codec == "ass":
            stream = out.add_stream(codec)
            stream.codec_context.subtitle_header = b"[Script Info]\n[Events]\n"
        else:
            stream = out.add_mux_stream(codec)
        stream.time_base = Fraction(1, 1000)
        out.start_encoding()
        packet: Any = av.Packet(_TEXT_PAYLOADS.get(codec, _OTHER_PAYLOAD))
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = 0
        packet.dts = 0
        packet.duration = 1000
        out.mux(packet)
    return path


def _sources(folder: Path) -> Iterator[tuple[str, str, FileInfo]]:
    """A file for each codec: the table's column, the codec, the file."""
    for codec in AUDIO:
        yield "audio", codec, probe_file(_audio_file(folder, codec))
    for codec in TEXT:
        yield "text", codec, probe_file(_subtitle_file(folder, codec))
    for codec in PICTURES:
        yield "pictures", codec, probe_file(_subtitle_file(folder, codec))


def container_table() -> str:
    """The table of containers, as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        sources = list(_sources(Path(name)))
        for suffix, container in CONTAINERS.items():
            # .m4v is the same container as .mp4
            if suffix != ".m4v":
                rows.append(_container_row(suffix, container, sources))
    return _table(_CONTAINER_COLUMNS, rows)


def _container_row(
    suffix: str,
    container: Container,
    sources: list[tuple[str, str, FileInfo]],
) -> list[str]:
    plans: dict[str, dict[str, StreamPlan]] = {
        "audio": {},
        "text": {},
        "pictures": {},
    }
    for column, codec, info in sources:
        plans[column][codec] = _plan(info, suffix, column)
    return [
        ".mp4, .m4v" if suffix == ".mp4" else suffix,
        "exact" if container.keeps_timestamps else "constant rate only",
        "yes" if container.keeps_aspect else "by the codec",
        "yes" if container.keeps_rotation else "no: `--bake-rotation`",
        _colours(container),
        _views(container),
        _PROJECTIONS[container.projections],
        _describe(plans["audio"]),
        _describe(plans["text"]),
        _describe(plans["pictures"]),
        _yes_or_no(container.holds_attachments),
        _yes_or_no(container.covers is not None),
        _yes_or_no(container.keeps_chapters),
        _labels(container),
    ]


def _plan(
    info: FileInfo,
    suffix: str,
    column: str,
) -> StreamPlan:
    """What happens to the one stream of a source."""
    kind = "audio" if column == "audio" else "subtitle"
    plans = plan_streams(info, f"out{suffix}", "copy")
    return next(plan for plan in plans if plan.stream.kind == kind)


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _colours(container: Container) -> str:
    if container.keeps_colours:
        return "yes"
    return "range only" if container.keeps_range else "by the codec"


def _views(container: Container) -> str:
    if container.stereo_modes:
        return "yes"
    return "by libx264" if container.holds_streams else "no"


def _labels(container: Container) -> str:
    keeps_languages = container.languages != "none"
    if container.keeps_titles:
        return "yes" if keeps_languages else "titles"
    return "languages" if keeps_languages else "no"


def _describe(plans: dict[str, StreamPlan]) -> str:
    """What happens to the streams of a column."""
    copied = [codec for codec, plan in plans.items() if plan.action == "copy"]
    dropped = [codec for codec, plan in plans.items() if plan.action == "drop"]
    converted = {str(plan.codec) for plan in plans.values() if plan.action == "convert"}
    targets = " or ".join(sorted(converted))
    parts = []
    if copied:
        parts.append(f"copies {', '.join(copied)}")
    if converted:
        parts.append(f"others become {targets}" if copied else f"becomes {targets}")
    if dropped:
        is_all = not copied and not converted
        parts.append("left out" if is_all else f"leaves out {', '.join(dropped)}")
    return "; ".join(parts)


def encoder_table() -> str:
    """The table of encoders, as Markdown."""
    rows = []
    for codec in (*ENCODERS, *_UNLISTED_ENCODERS):
        encoder = encoder_of(codec)
        kept = [name for name in FORMATS if _keeps(codec, name)]
        if not kept:
            continue  # not in this FFmpeg
        rows.append(
            [
                codec,
                _crf(encoder),
                _qualities(encoder),
                ", ".join(name.removesuffix("le") for name in kept),
                _yes_or_no(bool(hdr_settings(_BRIGHT, codec))),
                _yes_or_no(caption_standard(codec) is not None),
                "yes" if encoder.has_colours else "by the container",
                "yes" if encoder.has_aspect else "by the container",
            ]
        )
    return _table(_ENCODER_COLUMNS, rows)


def _crf(encoder: Encoder) -> str:
    scale = encoder.crf
    if scale is None:
        return "none"
    return f"{scale.option}, {scale.low:g} to {scale.high:g}"


def _qualities(encoder: Encoder) -> str:
    levels = [encoder.levels[name] for name in get_args(Quality) if encoder.levels]
    texts = [f"{level.crf:g} {level.preset or ''}".strip() for level in levels]
    return " / ".join(texts) or "none"


def _keeps(codec: str, name: str) -> bool:
    layout = PixelFormat.parse(name)
    if layout is None:
        return False
    try:
        _, note = choose_format(EncoderOptions(codec=codec), layout)
    except (OptionError, OutputError):
        return False
    return note is None


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = ""
    for row in (columns, ["---"] * len(columns), *rows):
        lines += f"| {' | '.join(row)} |\n"
    return lines


def page() -> str:
    """The whole page, as Markdown."""
    containers = f"## Containers\n\n{container_table()}\n"
    encoders = f"## Encoders\n\n{encoder_table()}"
    return f"{_INTRODUCTION}{containers}{encoders}"


if __name__ == "__main__":
    PAGE.write_text(page())
