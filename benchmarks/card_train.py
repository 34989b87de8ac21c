"""Train what ships on one card: python benchmarks/card_train.py PACK OUT [--seconds 530].

PACK is a folder of `vsr train --prepare`. The jobs below run one after the other in this process,
each from the best weights of the one it continues, each for its share of the time. After every job
weights.tar is written again, so that an interruption costs one job at most; training.log says what
was reached (both in OUT, or in --results DIR). Nothing here needs PyAV. On a processor
`--device cpu --seconds 30 --tiny` rehearses it; `--only NAME` picks jobs; `--trial 10` runs short
jobs that compare recipes instead, ten seconds each.
"""

from __future__ import annotations

import argparse
import gc
import json
import tarfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import torch

from vsrcli.clips.data import load
from vsrcli.clips.sequences import Sequences
from vsrcli.errors import VsrError
from vsrcli.training.plan import Progress, TrainingPlan
from vsrcli.training.recipe import Recipe, fine_tuning, recipe_for
from vsrcli.training.trainer import Trainer

TINY: dict[str, Any] = {"batch": 1, "patch": 8, "maps_batch": 1, "warmup_steps": 1}


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        name: of its folder.
        model, domain: what is trained on what.
        share: of the whole time.
        begin: job whose best weights it continues, or a file of weights; None from scratch.
        changes: what differs from the recipe `long` for a card.
    """

    name: str
    model: str
    domain: str
    share: float
    begin: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)


# Delta's recursion learns by many small steps; patches of the size of its halo come last.
_SMALL_STEPS = {"batch": 16, "patch": 32, "maps_batch": 64}
# What a warm restart of lite takes: small steps again, at half of a first run's rate.
_RESTART = {"batch": 64, "patch": 32, "learning_rate": 1e-3}

# In the order of need: what users run most comes first.
JOBS = (
    Job(
        "lite-clean",
        model="lite",
        domain="clean",
        share=0.40,
        begin="weights/lite-clean-x2.safetensors",
        changes=_RESTART,
    ),
    Job(
        "lite-video",
        model="lite",
        domain="video",
        share=0.22,
        begin="lite-clean",
        changes=_RESTART,
    ),
    Job(
        "delta-small",
        model="delta",
        domain="clean",
        share=0.18,
        changes=_SMALL_STEPS,
    ),
    Job(
        "delta-clean",
        model="delta",
        domain="clean",
        share=0.10,
        begin="delta-small",
    ),
    Job(
        "delta-video",
        model="delta",
        domain="video",
        share=0.10,
        begin="delta-clean",
    ),
)


def _trial(name: str, model: str, **changes: Any) -> Job:
    return Job(name, model, "clean", share=1.0, changes=changes)


# Short runs from scratch, all of one length, that choose the recipe. The first of each network pays
# for the choice of kernels: let it be one that does not matter.
TRIALS = (
    _trial("lite", "lite"),
    _trial("lite, rate 2e-3", "lite", learning_rate=2e-3),
    _trial("lite, batch 16", "lite", batch=16),
    _trial("lite, Fourier", "lite", fourier=0.05),
    _trial("lite, closing", "lite", closing=0.2),
    _trial("delta", "delta"),
    _trial("delta, rate 2e-3", "delta", learning_rate=2e-3),
    # Many small steps beat few large ones on a processor.
    _trial(
        "delta, 8 x 32",
        "delta",
        batch=8,
        patch=32,
        maps_batch=16,
    ),
)


class Log:
    """Lines for people, on stdout and in a file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """Write one line, with the seconds since the beginning."""
        text = f"[{time.monotonic() - self._began:6.1f}] {line}"
        print(text, flush=True)
        self._file.write(text + "\n")
        self._file.flush()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=530.0, help="for all jobs together"
    )
    parser.add_argument(
        "--results", type=Path, help="folder of weights.tar and training.log"
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument(
        "--tiny", action="store_true", help="smallest batches: for a rehearsal"
    )
    parser.add_argument("--only", action="append", help="names of jobs to run")
    parser.add_argument(
        "--trial", type=float, help="seconds for each trial of a recipe instead"
    )
    arguments = parser.parse_args()
    arguments.results = arguments.results or arguments.out
    return arguments


def main() -> None:
    arguments = parse_arguments()
    for folder in (arguments.out, arguments.results):
        folder.mkdir(parents=True, exist_ok=True)
    jobs = list(TRIALS if arguments.trial else JOBS)
    if arguments.only:
        jobs = [job for job in jobs if job.name in arguments.only]
    with (arguments.results / "training.log").open("a") as file:
        log = Log(file)
        deadline = time.monotonic() + arguments.seconds
        clips = read(arguments.pack, log)
        share_left = sum(job.share for job in jobs)
        for job in jobs:
            # All jobs that are left share the time that reading and starting took.
            remaining = max(1.0, deadline - time.monotonic())
            seconds = arguments.trial or remaining * job.share / share_left
            share_left -= job.share
            run(job, clips, arguments, seconds, log)
            # A finished run refers to itself, and keeps its clips on the card.
            gc.collect()
            if arguments.device != "cpu":
                torch.cuda.empty_cache()


def read(pack: Path, log: Log) -> tuple[Sequences, Sequences]:
    """Clips to train and to validate on, with everything prepared from them."""
    began = time.monotonic()
    train = load([pack / "train.mp4"], domain="video")
    validate = load([pack / "val.mp4"], domain="video")
    seconds = time.monotonic() - began
    log.say(
        f"{len(train)} clips to train on, {len(validate)} to validate on, "
        f"read in {seconds:.1f} s"
    )
    return train, validate


def recipe_of(job: Job, arguments: argparse.Namespace) -> Recipe:
    recipe = recipe_for("long", job.model, is_gpu=True)
    if job.begin is not None:
        recipe = fine_tuning(recipe)
    recipe = replace(recipe, **job.changes)
    return replace(recipe, **TINY) if arguments.tiny else recipe


def first_weights(job: Job, out: Path) -> Path | None:
    """Weights that a job continues: a file, or the best of an earlier job."""
    if job.begin is None:
        return None
    if job.begin.endswith(".safetensors"):
        return Path(job.begin)
    return out / job.begin / "best.safetensors"


def plan_of(
    job: Job,
    arguments: argparse.Namespace,
    seconds: float,
    clips: int,
) -> TrainingPlan:
    is_card = arguments.device != "cpu"
    return TrainingPlan(
        job.model,
        job.domain,
        recipe_of(job, arguments),
        steps=None,
        seconds=seconds,
        validate_every=max(20.0, seconds / 3),
        device=arguments.device,
        precision="fp16" if is_card else "fp32",
        validation_count=1 if arguments.tiny else 24,
        trained_on=f"{clips} clips of {arguments.pack.name}",
    )


def run(
    job: Job,
    clips: tuple[Sequences, Sequences],
    arguments: argparse.Namespace,
    seconds: float,
    log: Log,
) -> None:
    """Train one job; an error is logged, and does not stop the next."""
    is_card = arguments.device != "cpu"
    train, validate = clips
    plan = plan_of(job, arguments, seconds, len(train))
    folder = arguments.out / job.name
    init = first_weights(job, arguments.out)
    began = time.monotonic()
    if is_card:
        torch.cuda.reset_peak_memory_stats()

    def watch(progress: Progress) -> None:
        if progress.gain_db is None:
            return
        gains = [f"{key} {gain:+.3f}" for key, gain in progress.gain_db.items()]
        log.say(
            f"{job.name}: step {progress.step}, {progress.seconds:.0f} s, "
            f"loss {progress.loss:.5f}: {', '.join(gains)}"
        )

    try:
        trainer = Trainer(plan, folder, train, validate, init)
        # Reading the network and cutting the validation pairs are part of the time.
        trainer.seconds = time.monotonic() - began
        gains = trainer.run(watch)
        took = time.monotonic() - began
        log.say(
            f"{job.name}: {trainer.step} steps, {trainer.pixels / 1e6:.0f} million pixels in "
            f"{took:.0f} s, best {trainer.best:+.3f}, last {gains[job.domain]:+.3f} dB"
        )
        facts = {
            "steps": trainer.step,
            "pixels": trainer.pixels,
            "seconds": took,
            "best": trainer.best,
            "gains": gains,
            "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if is_card else 0.0,
        }
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    except (RuntimeError, VsrError) as error:
        log.say(f"{job.name}: FAILED: {error}")
    pack_results(arguments.out, arguments.results)


def pack_results(out: Path, results: Path) -> None:
    """Write weights.tar again: everything to keep, without the states to resume from."""
    temporary = results / ".weights.tar.part"
    with tarfile.open(temporary, "w") as archive:
        for file in sorted(out.glob("*/*")):
            if file.name != "state.pt":
                archive.add(file, file.relative_to(out))
    temporary.replace(results / "weights.tar")


if __name__ == "__main__":
    main()
