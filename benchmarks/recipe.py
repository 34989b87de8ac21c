"""What each choice of the training recipe gains.

python benchmarks/recipe.py DATA --time 4m [--only NAME]...

Trains Delta from scratch for the domain `clean` once for each variant of the recipe, for the same
time on one thread, and prints the gain over bicubic on the validation sequences. DATA holds a
training pack (`train.mp4`, `val.mp4`, `manifest.csv`). Run two halves in parallel on two cores,
never beside other work.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from script_parts import print_header, print_row

from vsrcli.clips.data import load
from vsrcli.clips.sequences import Sequences
from vsrcli.timing import parse_time
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


@dataclass(frozen=True)
class Variant:
    """A recipe, what is special about it, and the precision that it runs in."""

    what: str
    recipe: Recipe
    precision: str = "fp32"


VARIANTS = {
    "8 x 32": Variant(
        "batches of 8 patches of 32 pixels", replace(SMALL, batch=8, patch=32)
    ),
    "4 x 24": Variant("4 patches of 24, the base of all below", SMALL),
    "8 x 16": Variant("8 patches of 16", replace(SMALL, batch=8, patch=16)),
    "2 x 24": Variant("2 patches of 24", replace(SMALL, batch=2, patch=24)),
    "2 x 16": Variant("2 patches of 16", replace(SMALL, batch=2, patch=16)),
    "mse": Variant("squared error instead of Charbonnier", replace(SMALL, loss="mse")),
    "whole recursion": Variant(
        "all passes from the start", replace(SMALL, passes=((0.0, None),))
    ),
    "one pass to 80 %": Variant(
        "1 pass to 80 % of the time, 2 to 90 %, then all",
        replace(SMALL, passes=((0.0, 1), (0.8, 2), (0.9, None))),
    ),
    "rate 2e-3": Variant("twice the learning rate", replace(SMALL, learning_rate=2e-3)),
    "rate 5e-4": Variant("half the learning rate", replace(SMALL, learning_rate=5e-4)),
    "no average": Variant("no running average of the weights", replace(SMALL, ema=0.0)),
    "no cosine": Variant("constant learning rate", replace(SMALL, floor=1.0)),
    "random start": Variant(
        "PyTorch's random start instead of the near-plain one",
        replace(SMALL, near_plain_start=False),
    ),
    "no maps": Variant("no share of the time for the frame maps alone", BEFORE),
    "maps 20 %": Variant(
        "the frame maps alone for the first 20 % of the time, 8 patches a step",
        replace(BEFORE, maps=0.2, maps_batch=8),
    ),
    "maps 40 %": Variant("40 %", replace(BEFORE, maps=0.4, maps_batch=8)),
    "maps 60 %": Variant("60 %", replace(BEFORE, maps=0.6, maps_batch=8)),
    "ship": Variant(
        "what ships: 40 %, 4 patches a step; then 1 pass to 80 %, 2 to 90 %", SHIP
    ),
    "ship, 70 and 85 %": Variant(
        "the same, 1 pass to 70 %, 2 to 85 %", replace(SHIP, passes=BEFORE.passes)
    ),
    "maps only, 8": Variant(
        "nothing but the frame maps, 8 patches a step",
        replace(
            SHIP,
            maps=1.0,
            maps_batch=8,
            passes=((0.0, None),),
        ),
    ),
    "maps only, 4": Variant(
        "4 patches",
        replace(
            SHIP,
            maps=1.0,
            maps_batch=4,
            passes=((0.0, None),),
        ),
    ),
    "maps only, 2": Variant(
        "2 patches",
        replace(
            SHIP,
            maps=1.0,
            maps_batch=2,
            passes=((0.0, None),),
        ),
    ),
    "maps only, 1": Variant(
        "1 patch",
        replace(
            SHIP,
            maps=1.0,
            maps_batch=1,
            passes=((0.0, None),),
        ),
    ),
    "maps only, 4, rate 2e-3": Variant(
        "4 patches, twice the learning rate",
        replace(
            SHIP,
            maps=1.0,
            learning_rate=2e-3,
            passes=((0.0, None),),
        ),
    ),
    "lite": Variant("lite at 1e-3, 16 patches of 32, the base of those below", LITE),
    "lite, 8 x 24": Variant("8 patches of 24", replace(LITE, batch=8, patch=24)),
    "lite, rate 2e-3": Variant(
        "2e-3: what a long run on a processor does", replace(LITE, learning_rate=2e-3)
    ),
    "lite, l1": Variant(
        "absolute error instead of Charbonnier", replace(LITE, loss="l1")
    ),
    "lite, Fourier": Variant(
        "with 0.05 of the Fourier term", replace(LITE, fourier=0.05)
    ),
    "lite, closing": Variant(
        "squared error for the last fifth", replace(LITE, closing=0.2)
    ),
    "lite, floor 2 %": Variant(
        "the rate falls to 2 % instead of 0.1 %", replace(LITE, floor=0.02)
    ),
    "bf16": Variant("bfloat16 in all layers but the last", SMALL, "bf16"),
}


def train_variant(
    variant: Variant,
    arguments: argparse.Namespace,
    train: Sequences,
    validate: Sequences,
) -> tuple[int, float]:
    """Steps made, and the gain over bicubic on `clean`, dB."""
    plan = TrainingPlan(
        arguments.model,
        "clean",
        variant.recipe,
        steps=arguments.steps,
        seconds=None if arguments.steps else arguments.time,
        validate_every=1e9,
        threads=1,
        precision=variant.precision,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(plan, Path(folder), train, validate)
        gains = trainer.run()
    return trainer.step, gains["clean"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--time",
        type=lambda text: float(parse_time(text)),
        default=240.0,
        help="for each variant, such as 4m",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="of each variant, instead of a time: other work on the machine changes nothing",
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
    print_header("variant", "what", "steps", "gain over bicubic dB")
    for name in arguments.only or VARIANTS:
        variant = VARIANTS[name]
        steps, gain = train_variant(variant, arguments, train, validate)
        print_row(name, variant.what, steps, f"{gain:+.2f}")


if __name__ == "__main__":
    main()
