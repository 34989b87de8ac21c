"""The files that a preview writes: the page, and pictures beside each other in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from vsrcli.encode.atomic_file import write_file
from vsrcli.errors import OptionError, OutputError
from vsrcli.paths import is_folder, output_name, reason_of, refuse_inputs

_PAGE_SUFFIXES = (".html", ".htm")
# What a name in a file system should not have.
_ODD = re.compile(r"[^\w.+-]+")


def page_name(source: Path) -> Path:
    """The name of a page in the current folder."""
    return Path(f"{source.resolve().stem}-preview.html")


def check_page(page: Path, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Refuse a page that cannot be written, before the work.

    Args:
        page: its name.
        overwrite: whether it may be replaced.
        inputs: files that are read.

    Raises:
        OptionError: the name is not that of a page.
        OutputError: it exists, or is where nothing can be written.
    """
    if page.suffix.lower() not in _PAGE_SUFFIXES:
        raise OptionError(f"--html {page}: the page is HTML: let its name end in .html")
    output_name(page)
    if not is_folder(page.parent):
        raise OutputError(f"--html {page}: there is no folder {page.parent}")
    if page.exists() and not page.is_file():
        raise OutputError(f"--html {page}: this is no regular file: name another")
    if page.exists() and not overwrite:
        raise OutputError(
            f"{page} exists: name another page with --html, or replace it with -y"
        )
    refuse_inputs(page, inputs)


def check_pictures(folder: Path, overwrite: bool, source: Path) -> None:
    """Refuse a folder that pictures cannot be written into.

    Raises:
        OutputError: it is a file, the source itself, or holds something already.
    """
    output_name(folder)
    if not is_folder(folder):
        if folder.exists():
            raise OutputError(f"--png {folder}: this is a file: name a folder")
        if not is_folder(folder.absolute().parent):
            raise OutputError(
                f"--png {folder}: there is no folder {folder.absolute().parent}"
            )
        return
    if source.is_dir() and folder.samefile(source):
        raise OutputError(f"--png {folder} is the input itself: name another folder")
    if any(folder.iterdir()) and not overwrite:
        raise OutputError(
            f"--png {folder}: files are in it: name a new folder, "
            "or replace pictures of the same names with -y"
        )


def picture_name(number: int, seconds: float, method: str) -> str:
    """The name of a picture: its frames sort by time, the methods of a frame beside each other."""
    return f"{number:02}-{seconds:.3f}s-{_ODD.sub('-', method)}.png"


def write_page(page: Path, html: str, overwrite: bool) -> None:
    """Write the page as a whole.

    Raises:
        OutputError: the disk refuses, or it exists by now.
    """
    _write(page, html.encode(), overwrite)


def write_pictures(folder: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Write pictures, each as a whole.

    Args:
        folder: made if it does not exist.
        files: name -> content.
        overwrite: whether pictures of these names may be replaced.

    Raises:
        OutputError: the disk refuses.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    for name, content in files.items():
        _write(folder / name, content, overwrite)


def _write(file: Path, content: bytes, overwrite: bool) -> None:
    try:
        write_file(file, content, overwrite=overwrite)
    except FileExistsError as error:
        raise OutputError(f"{file} exists by now: -y replaces it") from error
    except OSError as error:
        raise _refusal(file, error) from error


def _refusal(file: Path, error: OSError) -> OutputError:
    return OutputError(f"{file}: cannot be written: {reason_of(error)}")
