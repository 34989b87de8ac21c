"""What a training step costs: python benchmarks/training.py [--model NAME]... [--device cuda:0].

For each network, with its recipe for a card: the processor's work for one step (choosing the
patches and laying out their table), and how many operators the step launches when nothing is
recorded (views and allocations not counted); a CUDA graph replays these with one call. On a card
also kernels a step by PyTorch's profiler, milliseconds a step, pixels a second and memory. On a
processor, with --steps N, also milliseconds a step of the recipe for long runs there. Clips are
generated: the figures do not depend on their content.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from script_parts import print_header, print_row
from torch.utils._python_dispatch import TorchDispatchMode

from vsrcli.clips.sequences import SEQUENCE, Sequences
from vsrcli.models import MODELS
from vsrcli.training.batches import Batches
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import Recipe, recipe_for
from vsrcli.training.step import GPU_STEPS
from vsrcli.training.trainer import Trainer

# Operators that start nothing on a card.
_FREE = (
    "view",
    "_unsafe_view",
    "transpose",
    "permute",
    "t",
    "expand",
    "slice",
    "select",
    "split",
    "split_with_sizes",
    "unbind",
    "alias",
    "detach",
    "as_strided",
    "unsqueeze",
    "squeeze",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "lift_fresh",
    "_reshape_alias",
    "view_as_real",
    "view_as_complex",
    "unfold",
    "set_",
)


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that would be launched."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        if name not in _FREE:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def clips(count: int = 40, side: int = 256) -> Sequences:
    """Noise of the training pack's size."""
    rng = np.random.default_rng(2)
    shape = (SEQUENCE, side, side)
    made = [rng.integers(16, 236, shape).astype(np.uint8) for _ in range(count)]
    names = [f"clip {number}" for number in range(count)]
    return Sequences(tuple(made), tuple(names))


def host_ms(model: str, sequences: Sequences, recipe: Recipe) -> float:
    """The processor's work for one step, milliseconds: the median of some tables."""
    spec = MODELS[model]
    times = []
    with Batches(sequences, spec, "clean", recipe.patch, recipe.batch) as batches:
        batches.tables(0, GPU_STEPS)  # all clips are made and resident
        for number in range(1, 8):
            began = time.perf_counter()
            batches.tables(number * GPU_STEPS, GPU_STEPS)
            times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times)) / GPU_STEPS


def trainer_of(
    model: str,
    sequences: Sequences,
    recipe: Recipe,
    device: str,
    folder: str,
) -> Trainer:
    """A run whose every step is a whole one: the picture, the full recursion."""
    few = Sequences(sequences.clips[:2], sequences.names[:2])
    plan = TrainingPlan(
        model,
        "clean",
        replace(recipe, maps=0.0, passes=((0.0, None),)),
        steps=10**6,
        seconds=None,
        device=device,
        precision="fp32" if device == "cpu" else "fp16",
        validation_count=1,
    )
    return Trainer(plan, Path(folder), sequences, few)


def operators(model: str, sequences: Sequences, recipe: Recipe) -> int:
    """Operators a step launches in the form for cards; they do not depend on the batch."""
    small = replace(
        recipe,
        batch=1,
        patch=8,
        maps_batch=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, sequences, small, "cpu", folder)
        training = trainer.training
        training._network._is_banded = True
        training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        trainer.advance()
        counter = Operators()
        with counter:
            training._step(training._tables[1], trainer._enter_stage())
        trainer.batches.close()
    return sum(counter.counts.values())


def on_processor(model: str, sequences: Sequences, steps: int) -> str:
    """The cell of a long run on a processor."""
    recipe = recipe_for("long", model)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, sequences, recipe, "cpu", folder)
        trainer.advance()
        began = time.perf_counter()
        before = trainer.pixels
        for _ in range(steps):
            trainer.advance()
        seconds = time.perf_counter() - began
        trainer.batches.close()
    pixels = (trainer.pixels - before) / seconds
    return f"{1e3 * seconds / steps:.0f} ms a step, {pixels:,.0f} pixels/s"


def on_card(
    model: str,
    sequences: Sequences,
    recipe: Recipe,
    device: str,
) -> list[str]:
    """The cells of a card: kernels, time, pixels, memory."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(model, sequences, recipe, device, folder)
        torch.cuda.reset_peak_memory_stats()
        trainer.advance()  # kernels are chosen, the graph is recorded
        began = time.perf_counter()
        for _ in range(3):
            trainer.advance()
        seconds = (time.perf_counter() - began) / (3 * GPU_STEPS)
        activities = [torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profile:
            trainer.advance()
        kernels = sum(event.count for event in profile.key_averages()) / GPU_STEPS
        memory = torch.cuda.max_memory_allocated() / 1e9
        trainer.batches.close()
    pixels = recipe.batch * (recipe.patch or 0) ** 2 / seconds
    return [
        f"{kernels:,.0f}",
        f"{1e3 * seconds:.2f}",
        f"{pixels / 1e6:.1f} million",
        f"{memory:.1f} GB",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", action="append", choices=list(MODELS), help="default: all"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--steps", type=int, default=0, help="on a processor: steps to time"
    )
    arguments = parser.parse_args()
    sequences = clips()
    is_card = arguments.device != "cpu"
    columns = ["network", "batch x patch", "processor, ms a step", "operators a step"]
    if is_card:
        columns += ["kernels", "ms a step", "pixels a second", "memory"]
    elif arguments.steps:
        columns += ["a long run here"]
    print_header(*columns)
    for model in arguments.model or MODELS:
        recipe = recipe_for("long", model, is_gpu=True)
        cells = [
            model,
            f"{recipe.batch} x {recipe.patch}",
            f"{host_ms(model, sequences, recipe):.2f}",
            f"{operators(model, sequences, recipe):,}",
        ]
        if is_card:
            cells += on_card(model, sequences, recipe, arguments.device)
        elif arguments.steps:
            cells.append(on_processor(model, sequences, arguments.steps))
        print_row(*cells)


if __name__ == "__main__":
    main()
