"""The files that ``vsr bench`` writes: checked before the work, written as a whole after it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrcli.cli.bench_tables import as_csv
from vsrcli.encode.atomic_file import write_file
from vsrcli.errors import OptionError, OutputError
from vsrcli.paths import is_folder, output_name

if TYPE_CHECKING:
    from vsrcli.bench.benchmark import Bench
    from vsrcli.bench.report import BenchReport

STDOUT = "-"
# kind of output -> file, STDOUT, or None if it is not requested
Outputs = dict[str, str | None]

# What the name of each kind may end in: a browser, say, shows nothing else as a page.
_ENDINGS = {
    "json": (".json",),
    "csv": (".csv",),
    "plot": (".png",),
    "html": (".html", ".htm"),
}


def files_of(outputs: Outputs) -> dict[str, str]:
    """Those outputs that are files."""
    return {kind: file for kind, file in outputs.items() if file and file != STDOUT}


def check_outputs(outputs: Outputs, truths: int, *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written.

    Args:
        outputs: those requested.
        truths: number of ground truths.
        overwrite: whether existing files are replaced.

    Raises:
        OptionError: outputs that do not go together.
        OutputError: a name that no file can have, or one that exists.
    """
    pictures = (outputs["plot"], outputs["html"])
    if truths > 1 and any(pictures):
        raise OptionError(
            "--plot and --html show one ground truth: "
            "give one GT, or run them one by one"
        )
    to_stdout = list(outputs.values()).count(STDOUT)
    if to_stdout > 1 or STDOUT in pictures:
        raise OptionError("only one of --json and --csv can go to stdout (-)")
    for kind, file in files_of(outputs).items():
        _check_file(kind, file, overwrite=overwrite)


def _check_file(kind: str, file: str, *, overwrite: bool) -> None:
    path = output_name(Path(file))
    if not is_folder(path.parent):
        raise OutputError(f"--{kind} {file}: there is no folder {path.parent}")
    if path.is_dir():
        raise OutputError(f"--{kind} {file}: this is a folder; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(
            f"--{kind} {file}: this is not a regular file: name another; - is stdout"
        )
    if path.exists() and not overwrite:
        raise _exists(kind, file)


def check_endings(outputs: Outputs) -> None:
    """Refuse files whose names do not fit what they hold.

    Raises:
        OptionError: another ending.
    """
    for kind, file in files_of(outputs).items():
        endings = _ENDINGS[kind]
        if Path(file).suffix.lower() not in endings:
            raise OptionError(f"--{kind} {file}: its name must end in {endings[0]}")


def write_outputs(
    outputs: Outputs,
    benches: Sequence[Bench],
    reports: Sequence[BenchReport],
    *,
    overwrite: bool,
) -> None:
    """Write what was requested.

    Raises:
        OutputError: a file cannot be written, or has come into being meanwhile.
    """
    for kind, file in outputs.items():
        if file is None:
            continue
        content = _content(kind, benches, reports)
        if file == STDOUT:
            sys.stdout.write(content.decode())
        else:
            _write(kind, file, content, overwrite=overwrite)


def _content(
    kind: str,
    benches: Sequence[Bench],
    reports: Sequence[BenchReport],
) -> bytes:
    if kind == "json":
        return _as_json(reports).encode()
    if kind == "csv":
        return as_csv(reports).encode()
    if kind == "plot":
        from vsrcli.bench.plot import plot

        return plot(reports[0])
    from vsrcli.bench.page import render

    shots = benches[0].shots(reports[0])
    return render(reports[0], shots).encode()


def _as_json(reports: Sequence[BenchReport]) -> str:
    """One report as an object, several as a list."""
    entries: list[Any] = [report.as_json() for report in reports]
    value = entries if len(entries) > 1 else entries[0]
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _write(kind: str, file: str, content: bytes, *, overwrite: bool) -> None:
    try:
        write_file(Path(file), content, overwrite=overwrite)
    except FileExistsError as error:
        raise _exists(kind, file) from error
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from error


def _exists(kind: str, file: str) -> OutputError:
    return OutputError(
        f"--{kind} {file} exists: name another file, or replace it with -y"
    )
