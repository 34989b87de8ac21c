"""Whether the picture of ``--watch`` can be written where the user wants it."""

from __future__ import annotations

from pathlib import Path

from vsrcli.errors import OutputError
from vsrcli.paths import output_name
from vsrcli.picture.side_by_side import is_side_by_side


def check_watch(watch: str | None, source: Path, target: Path, overwrite: bool) -> None:
    """Refuse what would be lost, or cannot be written.

    Args:
        watch: the file; None: there is none.
        source: the input.
        target: the output.
        overwrite: whether a file of the user's is replaced. One that an earlier run has left there
            always is.

    Raises:
        OutputError: it is refused.
    """
    if watch is None:
        return
    path = output_name(Path(watch))
    resolved = path.resolve()
    for place, what in ((source, "input"), (target, "output")):
        if place.resolve() == resolved:
            raise OutputError(f"--watch {path} is the {what}: name another file")
        if place.resolve() == resolved.parent:
            raise OutputError(
                f"--watch {path} is in {place}, the {what}: name a file elsewhere"
            )
    if not resolved.parent.is_dir():
        raise OutputError(f"--watch {path}: there is no folder {path.parent}: make it")
    if not resolved.exists():
        return
    if not resolved.is_file():
        raise OutputError(f"--watch {path} is not a file: name another one")
    try:
        is_ours = is_side_by_side(resolved)
    except OSError as error:
        raise OutputError(
            f"--watch {path}: cannot be read: {error.strerror}: name another file"
        ) from error
    if not is_ours and not overwrite:
        raise OutputError(f"--watch {path} exists; -y replaces it")
