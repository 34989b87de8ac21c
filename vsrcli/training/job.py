"""A training run from options: reads the clips, starts or resumes the run, trains, and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vsrcli.backends.torch import choose_device
from vsrcli.clips.data import load_clips
from vsrcli.clips.sequences import Sequences
from vsrcli.errors import OptionError
from vsrcli.models import DOMAINS, MODELS
from vsrcli.models.weights import locate
from vsrcli.options import TrainOptions
from vsrcli.paths import output_name, refuse_inputs
from vsrcli.training.curves import draw
from vsrcli.training.plan import Gains, Progress, TrainingPlan
from vsrcli.training.recipe import LONG_RUN_SECONDS, Recipe, fine_tuning, recipe_for
from vsrcli.training.run_folder import (
    WRITTEN_NAMES,
    hold_folder,
    make_folder,
    read_recipe,
    resumed_options,
    save_options,
)
from vsrcli.training.state import state_file
from vsrcli.training.trainer import Trainer

# A smaller gain is chance.
_MIN_GAIN_DB = 0.02


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run achieved.

    Attributes:
        best: path of its best checkpoint.
        last: path of its last checkpoint.
        steps: how many it took.
        seconds: how long it trained.
        gain_before_db: validation gain over bicubic before the run, by degradation.
        gain_db: the same at its end.
    """

    best: str
    last: str
    steps: int
    seconds: float
    gain_before_db: Gains
    gain_db: Gains


def train(
    options: TrainOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> TrainReport:
    """Train, or continue training, according to ``options``.

    Args:
        options: what to do.
        on_progress: called after every step (on a GPU every few dozen) and every validation.
        on_note: called with lines for people.

    Raises:
        InputError: no usable clips.
        ModelError: nothing to resume, a checkpoint of another network, or the training diverged.
        BackendError: the device does not exist, or has no memory left.
        OptionError: the options contradict each other, or the folder already holds a run.
        OutputError: the folder cannot be written to, or another process trains in it.
    """
    if options.prepare is not None:
        raise OptionError(
            "--prepare trains nothing: call vsrcli.clips.prepare.prepare instead"
        )
    is_resumed = options.resume is not None
    if is_resumed:
        folder = Path(str(options.resume))
        options = resumed_options(options)
    else:
        folder = output_name(Path(str(options.out)))
        _refuse_old_run(folder)
    init = _locate_init(options)
    if not is_resumed:
        _refuse_inputs(folder, options, init)
    device = choose_device(options.device)
    is_gpu = device.type == "cuda"
    make_folder(folder)
    with hold_folder(folder):
        recipe = (
            read_recipe(folder)
            if is_resumed
            else _choose_recipe(options, is_gpu=is_gpu)
        )
        precision = _choose_precision(options, is_gpu=is_gpu)
        return _train(
            folder, options, recipe, init, str(device), precision, on_progress, on_note
        )


def _train(
    folder: Path,
    options: TrainOptions,
    recipe: Recipe,
    init: Path | None,
    device: str,
    precision: str,
    on_progress: Callable[[Progress], None],
    on_note: Callable[[str], None],
) -> TrainReport:
    """Train in a folder that nobody else trains in."""
    options = replace(options, domain=options.domain or recipe.domain)
    training, validation = load_clips(
        options,
        on_note,
        whole=recipe.patch is None,
        domain=options.domain,
    )
    on_note(f"{len(training)} clips to train on, {len(validation)} to validate on")
    plan = TrainingPlan(
        model=options.model,
        domain=str(options.domain),
        recipe=recipe,
        steps=options.steps,
        seconds=options.time,
        validate_every=options.validate_every,
        seed=options.seed,
        device=device,
        threads=options.threads,
        precision=precision,
        trained_on=_describe_clips(options, training),
    )
    trainer = Trainer(plan, folder, training, validation, init)
    if state_file(folder).exists():
        trainer.resume()
    save_options(folder, options, recipe)
    if trainer.share >= 1:
        on_note(
            f"the run has reached its end ({_length(options)}): to extend it, give a larger "
            "--steps or --time, counted from its beginning"
        )
    after = _run(trainer, on_progress, on_note)
    before = trainer.first_gains or after
    verdict = _verdict(
        before[plan.domain],
        after[plan.domain],
        trainer.best,
        plan.domain,
        is_fine_tuned=options.init is not None,
    )
    for line in verdict:
        on_note(line)
    return TrainReport(
        best=str(folder / "best.safetensors"),
        last=str(folder / "last.safetensors"),
        steps=trainer.step,
        seconds=trainer.seconds,
        gain_before_db=before,
        gain_db=after,
    )


def _refuse_old_run(folder: Path) -> None:
    if state_file(folder).exists():
        raise OptionError(
            f"{folder} already holds a run: continue it with --resume {folder}, "
            "or choose another --out"
        )


def _refuse_inputs(folder: Path, options: TrainOptions, init: Path | None) -> None:
    """Refuse a folder in which the run's files would replace what it reads."""
    inputs = [Path(name) for name in (*options.data, *options.val)]
    if init is not None:
        inputs.append(init)
    refuse_inputs(folder, inputs)
    for name in WRITTEN_NAMES:
        refuse_inputs(folder / name, inputs)


def _run(
    trainer: Trainer,
    on_progress: Callable[[Progress], None],
    on_note: Callable[[str], None],
) -> Gains:
    """Train to the end, drawing the curves after each validation; the last gains."""

    def report_and_draw(progress: Progress) -> None:
        on_progress(progress)
        if progress.gain_db is not None:
            draw(trainer.folder)

    try:
        return trainer.run(report_and_draw)
    except (KeyboardInterrupt, SystemExit):
        if trainer.is_saved:
            on_note(
                "the run is saved: continue it with "
                f"`vsr train --resume {trainer.folder}`"
            )
        raise


def _verdict(
    before: float,
    after: float,
    best: float,
    domain: str,
    *,
    is_fine_tuned: bool,
) -> list[str]:
    """What a run achieved, as lines for people; all gains are dB on the held-out clips."""
    lines = []
    gained = best - before
    if is_fine_tuned and gained < _MIN_GAIN_DB:
        start = ""
        if best <= before:
            start = ", and best.safetensors is what they started from"
        lines.append(
            f"no gain: on {domain} the weights are no better than those they started from "
            f"({before:+.2f} dB over bicubic, now {after:+.2f} dB){start}: train longer, "
            "on more footage, or with a lower --learning-rate"
        )
    elif is_fine_tuned:
        lines.append(
            f"gained {gained:.2f} dB on {domain} on the clips held out: "
            f"{before:+.2f} dB over bicubic before, {best:+.2f} dB now"
        )
    elif after <= 0:
        lines.append(
            f"the weights do not yet beat bicubic on {domain} ({after:+.2f} dB): "
            "train longer, or on more footage"
        )
    if best - after >= _MIN_GAIN_DB and best > before:
        lines.append(
            "the best weights of the run, best.safetensors, are "
            f"{best - after:.2f} dB better than its last"
        )
    return lines


def _length(options: TrainOptions) -> str:
    """When the run ends."""
    limits = []
    if options.steps is not None:
        limits.append(f"{options.steps} steps")
    if options.time is not None:
        limits.append(f"{options.time:.0f} s")
    return " or ".join(limits)


def _describe_clips(
    options: TrainOptions,
    training: Sequences,
) -> str:
    names = {Path(path).name for path in options.data}
    return f"{len(training)} clips of {', '.join(sorted(names))}"


def _choose_recipe(
    options: TrainOptions,
    *,
    is_gpu: bool,
) -> Recipe:
    """The recipe that ``options`` name, or else a suitable one, with the changes they make."""
    is_long = is_gpu or (options.time or 0.0) >= LONG_RUN_SECONDS
    default = "long" if is_long else "ship"
    name = options.recipe or default
    recipe = recipe_for(name, options.model, is_gpu=is_gpu)
    if options.init:
        recipe = fine_tuning(recipe)
    if options.batch is not None:
        # the frame maps need less memory: several times the patches fit
        maps_batch = min(recipe.maps_batch, 4 * options.batch)
        recipe = replace(recipe, maps_batch=maps_batch)
    return replace(
        recipe,
        batch=options.batch or recipe.batch,
        patch=options.patch or recipe.patch,
        learning_rate=options.learning_rate or recipe.learning_rate,
    )


def _choose_precision(
    options: TrainOptions,
    *,
    is_gpu: bool,
) -> str:
    if options.precision == "fp16" and not is_gpu:
        raise OptionError("--precision fp16 needs a CUDA GPU: on the CPU it is fp32")
    default = "fp16" if is_gpu else "fp32"
    return options.precision or default


def _locate_init(options: TrainOptions) -> Path | None:
    """The checkpoint that ``--init`` names: a domain's, or a file."""
    if options.init is None:
        return None
    if options.init in DOMAINS and options.model in MODELS:
        return locate(options.model, options.init)
    return locate(options.init)
