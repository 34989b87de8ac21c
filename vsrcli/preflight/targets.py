"""What kind of output a name stands for: a file, a folder of pictures, or standard output."""

from __future__ import annotations

from pathlib import Path

from vsrcli.containers.pipe import output_pipe, piped_container
from vsrcli.containers.table import DEFAULT_PIPED
from vsrcli.errors import OptionError

STANDARD_OUTPUT = "-"


def is_folder_target(target: Path) -> bool:
    """Whether an output is a folder of pictures: an existing one, or a name without an ending."""
    if target.is_dir():
        return True
    is_plain_name = target.name not in ("", STANDARD_OUTPUT) and ":" not in target.name
    return is_plain_name and not target.suffix


def is_file_target(target: Path) -> bool:
    """Whether an output is neither a folder of pictures nor a pipe."""
    return not is_folder_target(target) and piped_container(target) is None


def resolve_target(target: Path, container: str | None) -> Path:
    """The name of an output inside the program: that of a pipe instead of ``-``.

    Args:
        target: as the user gave it.
        container: ``--format``; None for the default.

    Raises:
        OptionError: a container is given, and the target is not standard output.
    """
    if str(target) == STANDARD_OUTPUT:
        return output_pipe(container or DEFAULT_PIPED)
    if container is not None:
        raise OptionError(
            f"--format {container} is for standard output: "
            f"the ending of {target} names its container"
        )
    return target
