"""What each choice of the training recipe gains: python benchmarks/recipe.py DATA --time 4m [--only NAME]...

Trains Delta from scratch for the domain `clean` once for each variant of the recipe, for the same time on one thread, and prints the gain over bicubic on the
validation sequences. DATA holds a training pack (`train.mp4`, `val.mp4`, `manifest.csv`). Run two halves side by side on two cores, never against other work.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from vsrcli.options import parse_duration
from vsrcli.training.data import load
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import RECIPES, Recipe, recipe_for
from vsrcli.training.trainer import Trainer

SHIP = RECIPES["ship"]
LITE = replace(recipe_for("long", "lite"), learning_rate=1e-3)
BEFORE = replace(SHIP, maps=0.0, passes=((0.0, 1), (0.70, 2), (0.85, None)))
SMALL = replace(
    SHIP,
    batch=4,
    patch=24,
    maps=0.0,
    passes=((0.0, 1), (0.4, 2), (0.6, 3), (0.75, None)),
)
VARIANTS: dict[str, tuple[str, Recipe, str]] = {
    "8 x 32": (
        "batches of 8 patches of 32 pixels",
        replace(SMALL, batch=8, patch=32),
        "fp32",
    ),
    "4 x 24": ("4 patches of 24, the base of all below", SMALL, "fp32"),
    "8 x 16": ("8 patches of 16", replace(SMALL, batch=8, patch=16), "fp32"),
    "2 x 24": ("2 patches of 24", replace(SMALL, batch=2, patch=24), "fp32"),
    "2 x 16": ("2 patches of 16", replace(SMALL, batch=2, patch=16), "fp32"),
    "mse": ("squared error instead of Charbonnier", replace(SMALL, loss="mse"), "fp32"),
    "whole recursion": (
        "all passes from the start",
        replace(SMALL, passes=((0.0, None),)),
        "fp32",
    ),
    "one pass to 80 %": (
        "1 pass to 80 % of the time, 2 to 90 %, then all",
        replace(SMALL, passes=((0.0, 1), (0.8, 2), (0.9, None))),
        "fp32",
    ),
    "rate 2e-3": (
        "twice the learning rate",
        replace(SMALL, learning_rate=2e-3),
        "fp32",
    ),
    "rate 5e-4": ("half the learning rate", replace(SMALL, learning_rate=5e-4), "fp32"),
    "no average": (
        "no running average of the weights",
        replace(SMALL, ema=0.0),
        "fp32",
    ),
    "no cosine": ("constant learning rate", replace(SMALL, floor=1.0), "fp32"),
    "random start": (
        "PyTorch's random start instead of the near-plain one",
        replace(SMALL, near_plain_start=False),
        "fp32",
    ),
    "no maps": ("no share of the time for the frame maps alone", BEFORE, "fp32"),
    "maps 20 %": (
        "the frame maps alone for the first 20 % of the time, 8 patches a step",
        replace(BEFORE, maps=0.2, maps_batch=8),
        "fp32",
    ),
    "maps 40 %": ("40 %", replace(BEFORE, maps=0.4, maps_batch=8), "fp32"),
    "maps 60 %": ("60 %", replace(BEFORE, maps=0.6, maps_batch=8), "fp32"),
    "ship": (
        "what ships: 40 %, 4 patches a step; then 1 pass to 80 %, 2 to 90 %",
        SHIP,
        "fp32",
    ),
    "ship, 70 and 85 %": (
        "the same, 1 pass to 70 %, 2 to 85 %",
        replace(SHIP, passes=BEFORE.passes),
        "fp32",
    ),
    "maps only, 8": (
        "nothing but the frame maps, 8 patches a step",
        replace(SHIP, maps=1.0, maps_batch=8, passes=((0.0, None),)),
        "fp32",
    ),
    "maps only, 4": (
        "4 patches",
        replace(SHIP, maps=1.0, maps_batch=4, passes=((0.0, None),)),
        "fp32",
    ),
    "maps only, 2": (
        "2 patches",
        replace(SHIP, maps=1.0, maps_batch=2, passes=((0.0, None),)),
        "fp32",
    ),
    "maps only, 1": (
        "1 patch",
        replace(SHIP, maps=1.0, maps_batch=1, passes=((0.0, None),)),
        "fp32",
    ),
    "maps only, 4, rate 2e-3": (
        "4 patches, twice the learning rate",
        replace(SHIP, maps=1.0, learning_rate=2e-3, passes=((0.0, None),)),
        "fp32",
    ),
    "lite": ("lite at 1e-3, 16 patches of 32, the base of those below", LITE, "fp32"),
    "lite, 8 x 24": ("8 patches of 24", replace(LITE, batch=8, patch=24), "fp32"),
    "lite, rate 2e-3": (
        "2e-3: what a long run on a processor does",
        replace(LITE, learning_rate=2e-3),
        "fp32",
    ),
    "lite, l1": (
        "absolute error instead of Charbonnier",
        replace(LITE, loss="l1"),
        "fp32",
    ),
    "lite, Fourier": (
        "with 0.05 of the Fourier term",
        replace(LITE, fourier=0.05),
        "fp32",
    ),
    "lite, closing": (
        "squared error for the last fifth",
        replace(LITE, closing=0.2),
        "fp32",
    ),
    "lite, floor 2 %": (
        "the rate falls to 2 % instead of 0.1 %",
        replace(LITE, floor=0.02),
        "fp32",
    ),
    "bf16": ("bfloat16 in all layers but the last", SMALL, "bf16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--time",
        type=parse_duration,
        default=240.0,
        help="for each variant, such as 4m",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="of each variant, instead of a time: other work beside it changes nothing",
    )
    parser.add_argument("--model", default="delta")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(VARIANTS),
        help="variants to run; default: all",
    )
    arguments = parser.parse_args()
    train = load([arguments.data / "train.mp4"], shippable_only=True)
    validate = load([arguments.data / "val.mp4"])
    print("| variant | what | steps | gain over bicubic dB |\n|---|---|---|---|")
    for name in arguments.only or VARIANTS:
        what, recipe, precision = VARIANTS[name]
        seconds = None if arguments.steps else arguments.time
        plan = TrainingPlan(
            arguments.model,
            "clean",
            recipe,
            arguments.steps,
            seconds,
            validate_every=1e9,
            threads=1,
            precision=precision,
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(plan, Path(folder), train, validate)
            gains = trainer.run()
        print(
            f"| {name} | {what} | {trainer.step} | {gains['clean']:+.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
