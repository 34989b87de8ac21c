"""Which other output would keep what the present one loses: no message advises one by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vsrcli.containers.pipe import piped_container
from vsrcli.containers.table import CONTAINERS, PIPED, Container, container_of

# Of those that can be advised, the ones that most players read come first.
_ADVISED_SUFFIXES = (".mkv", ".mp4", ".mov")
_ADVISED_FORMATS = ("matroska", "nut")

Condition = Callable[[Container], bool]


def better_name(target: Path | str, keeps: Condition) -> str | None:
    """What to name instead of the present output.

    Args:
        target: the present output.
        keeps: whether a container keeps what is to be kept.

    Returns:
        An ending of file names, or for standard output an option; None if the present container
        is the one to be advised, or none keeps it.
    """
    present = container_of(target)
    if piped_container(target) is not None:
        for name in _ADVISED_FORMATS:
            if PIPED[name].name != present.name and keeps(PIPED[name]):
                return f"--format {name}"
        return None
    for suffix in _ADVISED_SUFFIXES:
        container = CONTAINERS[suffix]
        if container.name != present.name and keeps(container):
            return suffix
    return None


def way_out(target: Path | str, keeps: Condition, purpose: str = "") -> str:
    """The end of a message that tells of a loss: which output to name instead.

    Args:
        target: the present output.
        keeps: whether a container keeps what is to be kept.
        purpose: ``to keep it``, for example.

    Returns:
        ``: name the output .mkv to keep it``; nothing where no other output helps.
    """
    name = better_name(target, keeps)
    if name is None:
        return ""
    advice = f"give {name}" if name.startswith("--") else f"name the output {name}"
    return f": {advice} {purpose}".rstrip()
