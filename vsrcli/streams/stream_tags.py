"""Tags of files and streams: which of them describe the content, and are carried."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from av.stream import Stream

from vsrcli.containers.languages import UNDETERMINED
from vsrcli.containers.table import Container
from vsrcli.timing import round_half_away

# Tags that describe the source file rather than its content: the muxer writes its own.
_FILE_TAGS = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "rotate",
    "vendor_id",
    "software",
    "alpha_mode",
    "stereo_mode",
}
_FILE_TAG_PREFIXES = (
    "_statistics",
    "number_of_",
    "bps",
    "duration-",
    "source_id",
)
_DEFAULT_HANDLERS = {
    "VideoHandler",
    "SoundHandler",
    "SubtitleHandler",
    "Core Media Video",
    "Core Media Audio",
}
# Matroska may have these in capitals, too.
_SPELLED_ALIKE = {"title", "language", "handler_name", "name", "creation_time"}
# Tags of streams that are carried, or named as lost, in another way; and what says how the stream
# was made.
_CARRIED_OTHERWISE = {
    *_SPELLED_ALIKE,
    "timecode",
    "filename",
    "mimetype",
    "variant_bitrate",
    "encoder_settings",
    "encoder_options",
}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_LANGUAGE_SUFFIX = re.compile(r"-[a-z]{3}$")


def content_tags(tags: dict[str, str], *, handler_names: bool) -> dict[str, str]:
    """The tags that describe the content, not the file that they are in.

    Args:
        tags: as the source has them.
        handler_names: whether the output has handler names of streams.
    """
    content = {}
    for key, value in tags.items():
        name = key.lower()
        if name in _FILE_TAGS or name.startswith(_FILE_TAG_PREFIXES) or not value:
            continue
        is_default_handler = not handler_names or value in _DEFAULT_HANDLERS
        if name == "handler_name" and is_default_handler:
            continue
        if name == "language" and value == UNDETERMINED:
            continue
        content[name if name in _SPELLED_ALIKE else key] = value
    # mov calls the title of a track its name
    if "name" in content:
        content.setdefault("title", content.pop("name"))
    return content


def global_tags(tags: dict[str, str]) -> dict[str, str]:
    """The global tags that describe the content, each once.

    mov repeats some with a language after the name.
    """
    content = content_tags(tags, handler_names=False)
    unique = {}
    for key, value in content.items():
        base = _LANGUAGE_SUFFIX.sub("", key)
        is_repeated = base != key and base in content
        if not is_repeated:
            unique[key] = value
    return unique


def other_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags of a stream that describe its content, besides its name, language and time.

    Args:
        tags: as the source has them.
    """
    content = content_tags(tags, handler_names=False)
    return {
        name: value
        for name, value in content.items()
        if name.lower() not in _CARRIED_OTHERWISE
    }


def storable_tags(tags: dict[str, str], container: Container) -> dict[str, str]:
    """The tags without those that are too long for a container."""
    limit = container.max_tag_bytes
    if limit is None:
        return tags
    return {key: value for key, value in tags.items() if len(value.encode()) <= limit}


def is_same_value(name: str, first: str, second: str) -> bool:
    """Whether two values of a tag mean the same.

    Containers write a time to the second, and a place with as many digits as they like.

    Args:
        name: of the tag.
        first: one value.
        second: the other one.
    """
    if first == second:
        return True
    if name.lower() == "creation_time":
        return _instant(first) == _instant(second) is not None
    return _with_plain_numbers(first) == _with_plain_numbers(second)


def _instant(text: str) -> datetime | None:
    """The second that a text names, UTC where it does not say; None if it names none."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.astimezone(UTC).replace(microsecond=0)


def _with_plain_numbers(text: str) -> str:
    return _NUMBER.sub(lambda number: f"{float(number.group()):g}", text)


def copy_tags(
    source: Stream,
    output: Stream,
    container: Container,
) -> None:
    """Give a stream of the output the tags and flags of the source's.

    Args:
        source: the source's stream.
        output: the output's stream.
        container: what the output is.
    """
    has_handler_names = container.has_handler_names
    tags = content_tags(source.metadata, handler_names=has_handler_names)
    if "language" in tags:
        tags["language"] = container.language_tag(tags["language"])
    if has_handler_names and "title" in tags:
        tags.setdefault("handler_name", tags["title"])
    output.metadata.update(storable_tags(tags, container))
    output.disposition = source.disposition


def trim_chapters(
    chapters: list[Any],
    origin: Fraction,
    end: Fraction | None,
) -> list[Any]:
    """Move chapters to the output's clock, and cut them to its length.

    Args:
        chapters: as PyAV gives them.
        origin: time of the source's clock that is output time 0, seconds.
        end: time of the source's clock at which the output ends, seconds; None for no end.
    """
    trimmed = []
    for chapter in chapters:
        unit = chapter["time_base"]
        shift = round_half_away(origin / unit)
        begin = max(0, chapter["start"] - shift)
        stop = chapter["end"] - shift
        if end is not None:
            stop = min(stop, round_half_away((end - origin) / unit))
        if stop > begin:
            trimmed.append({**chapter, "start": begin, "end": stop})
    return trimmed
