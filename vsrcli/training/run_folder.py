"""What a run's folder holds besides its weights: the options and the recipe it was started with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from vsrcli.errors import ModelError, OptionError, OutputError
from vsrcli.models import DOMAINS
from vsrcli.options import TrainOptions
from vsrcli.training.recipe import Recipe

_OPTIONS_NAME = "options.json"
_RECIPE_NAME = "recipe.json"
# Every file that a run writes into its folder.
WRITTEN_NAMES = (
    _OPTIONS_NAME,
    _RECIPE_NAME,
    "best.safetensors",
    "last.safetensors",
    "state.pt",
    "log.csv",
    "curves.png",
)
# What a resumed run may change: its end, where it runs, how often it is saved.
_CHANGEABLE = (
    "resume",
    "steps",
    "time",
    "device",
    "precision",
    "threads",
    "validate_every",
)


def make_folder(folder: Path) -> None:
    """Create a run's folder, and check that files can be written to it.

    Raises:
        OutputError: they cannot.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: no run can be kept there ({error.strerror}): name another --out"
        ) from error


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder; the system lets go if this one dies.

    Raises:
        OutputError: another process trains there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OutputError(
            f"another vsr is training in {folder} right now: "
            "wait for it, or name another --out"
        ) from error
    except OSError:
        pass  # a disk without locks
    try:
        yield
    finally:
        os.close(descriptor)


def save_options(
    folder: Path,
    options: TrainOptions,
    recipe: Recipe,
) -> None:
    """Write what ``--resume`` reads.

    Paths are absolute, and what depends on the machine is written as it was decided here.

    Raises:
        OutputError: the folder cannot be written to.
    """
    saved: dict[str, Any] = asdict(options)
    saved["batch"] = recipe.batch
    saved["patch"] = recipe.patch
    saved["learning_rate"] = recipe.learning_rate
    saved["data"] = [_absolute(path) for path in options.data]
    saved["val"] = [_absolute(path) for path in options.val]
    if options.init and options.init not in DOMAINS:
        saved["init"] = _absolute(options.init)
    # options last: a folder that has them has a run
    _write_json(folder / _RECIPE_NAME, asdict(recipe))
    _write_json(folder / _OPTIONS_NAME, saved)


def resumed_options(options: TrainOptions) -> TrainOptions:
    """The options that the run in ``options.resume`` was started with, changed as requested.

    Raises:
        ModelError: there is no run, or its options cannot be read.
        OptionError: ``options`` would make it another run.
    """
    changes = {}
    for option in fields(options):
        value = getattr(options, option.name)
        if value != option.default:
            changes[option.name] = value
    refused = [name for name in changes if name not in _CHANGEABLE]
    if refused:
        flags = ["--" + name.replace("_", "-") for name in refused]
        raise OptionError(
            f"--resume continues with what the run was started with: omit {', '.join(flags)}, "
            "or start a new run with --init and --out"
        )
    saved = _read_options(Path(str(options.resume)))
    if options.steps is not None or options.time is not None:
        # a new end by steps replaces an old one by time, and the other way round
        changes["steps"] = options.steps
        changes["time"] = options.time
    changes["resume"] = None
    changes["device"] = options.device
    return replace(saved, **changes)


def read_recipe(folder: Path) -> Recipe:
    """The recipe that the folder's run was started with.

    Raises:
        ModelError: it cannot be read, or an older version of vsr made the run.
    """
    path = folder / _RECIPE_NAME
    if not path.is_file():
        raise ModelError(
            f"{folder}: an older version of vsr made this run: start a new one with "
            f"--init {folder / 'best.safetensors'} --out DIR"
        )
    try:
        saved = json.loads(path.read_text())
        passes = [(float(start), limit) for start, limit in saved.pop("passes")]
        return Recipe(**saved, passes=tuple(passes))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _unreadable(path) from error


def _read_options(folder: Path) -> TrainOptions:
    path = folder / _OPTIONS_NAME
    try:
        saved = json.loads(path.read_text())
        arguments: dict[str, Any] = {}
        for name, value in saved.items():
            is_list = isinstance(value, list)
            arguments[name] = tuple(value) if is_list else value
        return TrainOptions(**arguments)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no run to resume there") from error
    except (json.JSONDecodeError, TypeError, AttributeError, OSError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> ModelError:
    return ModelError(f"{path}: cannot be read, so the run cannot be resumed")


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file as a whole: a full disk leaves the old one."""
    temporary = path.with_name(f".{path.name}.part")
    text = json.dumps(content, indent=2) + "\n"
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
