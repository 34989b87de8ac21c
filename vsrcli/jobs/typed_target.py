"""Whether an output was meant as a folder of pictures: its name as typed says it, or the folder."""

from __future__ import annotations

from pathlib import Path

from vsrcli.containers.table import DEFAULT_SUFFIX, can_be_written
from vsrcli.errors import OptionError
from vsrcli.images.folders import is_frame_folder
from vsrcli.paths import is_folder, output_name
from vsrcli.preflight.targets import is_folder_target


def check_typed_target(source: Path, typed: str) -> None:
    """Refuse an output that would be a folder of pictures where a video may be meant.

    Such a folder is meant where the name ends with ``/``, where the source is a folder of pictures
    itself, and where the output is one already.

    Args:
        source: the input.
        typed: the output, as the user typed it.

    Raises:
        OptionError: a name without an ending, or a folder that holds no pictures.
        OutputError: no file can have that name.
    """
    target = output_name(Path(typed))
    if typed.endswith("/") or not is_folder_target(target) or is_folder(source):
        return
    suffix = source.suffix.lower() if can_be_written(source) else DEFAULT_SUFFIX
    if not is_folder(target):
        raise OptionError(
            f"{typed} has no file name ending: write {typed}{suffix} for a video, "
            f"or {typed}/ for a folder of pictures"
        )
    if not is_frame_folder(target):
        film = target / f"{source.stem}-x2{suffix}"
        raise OptionError(
            f"{typed} is a folder: write {film} for a video in it, "
            f"or {typed}/ for its pictures"
        )
