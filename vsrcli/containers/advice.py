"""Which other output would keep what the present one loses: no message advises one by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vsrcli.containers.pipe import piped_container
from vsrcli.containers.table import CONTAINERS, PIPED, Container, container_of

# Of those that can be advised, the ones that most players read come first.
_ADVISED_SUFFIXES = (".mkv", ".mp4", ".mov")
# Players read the rotation and the shape of pixels in these more often than in .mkv.
SHAPE_SUFFIXES = (".mp4", ".mov", ".mkv")
_ADVISED_FORMATS = ("matroska", "nut")

Condition = Callable[[Container], bool]


def better_name(
    target: Path | str,
    keeps: Condition,
    suffixes: tuple[str, ...] = _ADVISED_SUFFIXES,
) -> str | None:
    """What to name instead of the present output.

    Args:
        target: the present output.
        keeps: whether a container keeps what is to be kept.
        suffixes: endings that may be advised, the best one first.

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
    for suffix in suffixes:
        container = CONTAINERS[suffix]
        if container.name != present.name and keeps(container):
            return suffix
    return None


def way_out(
    target: Path | str,
    keeps: Condition,
    purpose: str = "",
    *,
    others: tuple[str, ...] = (),
    suffixes: tuple[str, ...] = _ADVISED_SUFFIXES,
) -> str:
    """The end of a message that tells of a loss: what to do instead.

    Args:
        target: the present output.
        keeps: whether a container keeps what is to be kept.
        purpose: ``to keep it``, for example.
        others: ways out that have nothing to do with the container.
        suffixes: endings that may be advised, the best one first.

    Returns:
        ``: name the output .mkv to keep it``; nothing where nothing helps.
    """
    ways = list(others)
    name = better_name(target, keeps, suffixes)
    if name is not None:
        verb = "give" if name.startswith("--") else "name the output"
        ways.insert(0, f"{verb} {name} {purpose}".rstrip())
    return f": {', or '.join(ways)}" if ways else ""
