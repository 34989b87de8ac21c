"""A training run from options: reads the data, makes or resumes the run's folder, trains, and says what came out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from vsrcli.backends.torch import choose_device
from vsrcli.errors import ModelError, OptionError, OutputError
from vsrcli.models import DOMAINS, MODELS
from vsrcli.models.weights import locate
from vsrcli.options import TrainOptions
from vsrcli.training.curves import draw
from vsrcli.training.data import Sequences, load, split_held_out
from vsrcli.training.plan import Progress, TrainingPlan
from vsrcli.training.recipe import LONG_RUN_SECONDS, Recipe, fine_tuning, recipe_for
from vsrcli.training.trainer import Trainer

_WORTH_DB = 0.02  # less is chance
_RECIPE_NAME = "recipe.json"


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run achieved: where its checkpoints lie, steps, seconds, and the validation gain over bicubic by degradation, dB, before and after."""

    best: str
    last: str
    steps: int
    seconds: float
    gain_before_db: dict[str, float]
    gain_db: dict[str, float]


def train(
    options: TrainOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> TrainReport:
    """Train, or go on training, as ``options`` say.

    Raises:
        InputError: no usable clips.
        ModelError: nothing to resume, a checkpoint of another network, or the training diverged.
        BackendError: the device is not there.
        OptionError: the folder already holds a run.
        OutputError: the folder cannot be written to.
    """
    if options.prepare is not None:
        raise OptionError(
            "--prepare trains nothing: call vsrcli.training.prepare.prepare instead"
        )
    is_resumed = options.resume is not None
    if is_resumed:
        folder = Path(str(options.resume))
        options = _resumed(options)
    else:
        folder = Path(str(options.out))
        if (folder / "state.pt").exists():
            raise OptionError(
                f"{folder} already holds a run: go on with --resume {folder}, or choose another --out"
            )
    initial = _initial(options)
    device = choose_device(options.device)
    _make_folder(folder)
    is_card = device.type == "cuda"
    recipe = _kept_recipe(folder) if is_resumed else _recipe(options, is_card=is_card)
    options = replace(options, domain=options.domain or recipe.domain)
    if options.precision == "fp16" and not is_card:
        raise OptionError("--precision fp16 needs a CUDA GPU: on the CPU it is fp32")
    training, validation = _clips(options, recipe.patch is None, on_note)
    on_note(f"{len(training)} clips to train on, {len(validation)} to validate on")
    plan = TrainingPlan(
        model=options.model,
        domain=str(options.domain),
        recipe=recipe,
        steps=options.steps,
        seconds=options.time,
        validate_every=options.validate_every,
        seed=options.seed,
        device=str(device),
        threads=options.threads,
        precision=options.precision or ("fp16" if is_card else "fp32"),
        trained_on=f"{len(training)} clips of {', '.join(sorted({Path(path).name for path in options.data}))}",
    )
    trainer = Trainer(plan, folder, training, validation, initial)
    if (folder / "state.pt").exists():
        trainer.resume()
    _keep_options(folder, options, plan)

    def watch(progress: Progress) -> None:
        on_progress(progress)
        if progress.gain_db is not None:
            draw(folder)

    if trainer.share >= 1:
        on_note(
            f"the run has reached its end ({_length(options)}): --steps or --time, counted from its beginning, make it longer"
        )
    try:
        after = trainer.run(watch)
    except (KeyboardInterrupt, SystemExit):
        if trainer.is_saved:
            on_note(f"the run is saved: go on with `vsr train --resume {folder}`")
        raise
    before = trainer.first_gains or after
    for line in _verdict(
        before[plan.domain],
        after[plan.domain],
        trainer.best,
        plan.domain,
        is_fine_tuned=options.init is not None,
    ):
        on_note(line)
    return TrainReport(
        str(folder / "best.safetensors"),
        str(folder / "last.safetensors"),
        trainer.step,
        trainer.seconds,
        before,
        after,
    )


def _verdict(
    before: float, after: float, best: float, domain: str, *, is_fine_tuned: bool
) -> list[str]:
    """What a run came to, in lines for people; all figures are dB over bicubic on the clips held out."""
    lines = []
    if is_fine_tuned and best - before < _WORTH_DB:
        kept = (
            ", and best.safetensors is what they started from" if best <= before else ""
        )
        lines.append(
            f"no gain: on {domain} the weights are no better than those they started from ({before:+.2f} dB over bicubic, now {after:+.2f} dB){kept}: "
            "train longer, on more footage, or with a lower --learning-rate"
        )
    elif is_fine_tuned:
        lines.append(
            f"gained {best - before:.2f} dB on {domain} on the clips held out: {before:+.2f} dB over bicubic before, {best:+.2f} dB now"
        )
    elif after <= 0:
        lines.append(
            f"the weights do not yet beat bicubic on {domain} ({after:+.2f} dB): train longer, or on more footage"
        )
    if best - after >= _WORTH_DB and best > before:
        lines.append(
            f"the best weights of the run, best.safetensors, are {best - after:.2f} dB better than its last"
        )
    return lines


def _keep_options(folder: Path, options: TrainOptions, plan: TrainingPlan) -> None:
    """Write what ``--resume`` reads; what depends on the machine or the working folder is kept as it was decided here."""
    recipe = plan.recipe
    kept = asdict(options) | {
        "batch": recipe.batch,
        "patch": recipe.patch,
        "learning_rate": recipe.learning_rate,
    }
    kept |= {
        name: [str(Path(path).absolute()) for path in paths]
        for name, paths in (("data", options.data), ("val", options.val))
    }
    if options.init and options.init not in DOMAINS:
        kept["init"] = str(Path(options.init).absolute())
    for name, content in (("options.json", kept), (_RECIPE_NAME, asdict(recipe))):
        _write(folder / name, json.dumps(content, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Replace a file of a run as a whole: a full disk leaves what was there."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def _kept_recipe(folder: Path) -> Recipe:
    """The recipe that the folder's run was started with.

    Raises:
        ModelError: it cannot be read, or an older version of vsr made the run.
    """
    path = folder / _RECIPE_NAME
    if not path.is_file():
        raise ModelError(
            f"{folder}: an older version of vsr made this run: begin a new one with "
            f"--init {folder / 'best.safetensors'} --out DIR"
        )
    try:
        kept = json.loads(path.read_text())
        passes = tuple((float(start), limit) for start, limit in kept.pop("passes"))
        return Recipe(**kept, passes=passes)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelError(
            f"{path}: cannot be read, so the run cannot be resumed"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: no run can be kept there ({error.strerror}): name another --out"
        ) from error


def _length(options: TrainOptions) -> str:
    steps = [] if options.steps is None else [f"{options.steps} steps"]
    return " or ".join(
        [*steps, *([] if options.time is None else [f"{options.time:.0f} s"])]
    )


_CHANGEABLE = (
    "resume",
    "steps",
    "time",
    "device",
    "precision",
    "threads",
    "validate_every",
)


def _resumed(options: TrainOptions) -> TrainOptions:
    """The options that the folder's run was started with, changed where the run stays the same: its end, where it runs, how often it is saved."""
    given = {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if getattr(options, field.name) != field.default
    }
    refused = [name for name in given if name not in _CHANGEABLE]
    if refused:
        flags = ", ".join("--" + name.replace("_", "-") for name in refused)
        raise OptionError(
            f"--resume goes on with what the run was started with: leave {flags} away, or begin a new run with --init and --out"
        )
    path = Path(str(options.resume)) / "options.json"
    try:
        kept: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(path.read_text()).items()
        }
        stored = TrainOptions(**kept)
    except FileNotFoundError as error:
        raise ModelError(f"{options.resume}: no run to resume there") from error
    except (json.JSONDecodeError, TypeError, AttributeError, OSError) as error:
        raise ModelError(
            f"{path}: cannot be read, so the run cannot be resumed"
        ) from error
    if options.steps is not None or options.time is not None:
        given |= {"steps": options.steps, "time": options.time}
    return replace(stored, **(given | {"resume": None, "device": options.device}))


def _clips(
    options: TrainOptions, whole: bool, on_note: Callable[[str], None]
) -> tuple[Sequences, Sequences]:
    domain = options.domain
    training = load(
        [Path(path) for path in options.data],
        shippable_only=options.shippable,
        limit=options.clips,
        whole=whole,
        domain=domain,
    )
    if options.val:
        return training, load(
            [Path(path) for path in options.val], limit=options.clips, domain=domain
        )
    on_note("no --val: the last tenth of each file's clips is held out")
    return split_held_out(training)


def _recipe(options: TrainOptions, *, is_card: bool) -> Recipe:
    """The recipe that was named, or the one that fits, as the options change it."""
    is_long = is_card or (options.time or 0.0) >= LONG_RUN_SECONDS
    name = options.recipe or ("long" if is_long else "ship")
    recipe = recipe_for(name, options.model, is_card=is_card)
    if options.init:
        recipe = fine_tuning(recipe)
    if options.batch is not None:
        # the frame maps cost less: several times the patches fit where these do
        recipe = replace(recipe, maps_batch=min(recipe.maps_batch, 4 * options.batch))
    return replace(
        recipe,
        batch=options.batch or recipe.batch,
        patch=options.patch or recipe.patch,
        learning_rate=options.learning_rate or recipe.learning_rate,
    )


def _initial(options: TrainOptions) -> Path | None:
    if options.init is None:
        return None
    return (
        locate(options.model, options.init)
        if options.init in DOMAINS and options.model in MODELS
        else locate(options.init)
    )
