"""How a network is trained, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        name: key in ``RECIPES``.
        loss: ``charbonnier`` (sqrt(d^2 + eps^2), eps = 1e-3 in 0..1 units; Lai et al. 2017) or ``mse``.
        learning_rate: Adam's, at its height.
        batch: patches a step.
        patch: side of the low-resolution patch, pixels; None for whole pictures (of the smallest clip's size).
        augment: whether patches are turned and mirrored, run backwards in time, and windows shown as at the ends of a clip and at cuts.
        cosine: whether the rate falls to 2 % by a half cosine; else constant.
        warmup_steps: steps over which the rate rises from zero.
        ema: decay of the running average of the weights that is validated and saved; 0 for none.
        clip_norm: largest gradient norm, in 0..1 units; 0 for none. Recursion needs it.
        maps: share of the run, at its beginning, in which a network of two parts is trained by its five frame maps alone: each is to be the true frame.
            The 3D part, which costs most, stays the plain start that hands the middle map on.
        maps_batch: patches a step in that share.
        passes: (share of the run, passes) pairs: how often recursive 3D blocks are applied from that share of the run on.
        near_plain_start: whether an untrained network begins as a bilinear upsampler.
        patience: validations without a new best after which the run stops early; 0 for never.
        domain: what the recipe is meant for.
    """

    name: str
    loss: Literal["charbonnier", "mse"]
    learning_rate: float
    batch: int
    patch: int | None
    augment: bool
    cosine: bool
    warmup_steps: int
    ema: float
    clip_norm: float
    maps: float
    maps_batch: int
    passes: tuple[tuple[float, int | None], ...]
    near_plain_start: bool
    patience: int
    domain: str


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe for a run that begins with trained weights: whole recursion from the start, in small steps on larger patches.

    Larger steps undo more of what the weights could do before (benchmarks/RESULTS.md). The whole recursion sees 37 pixels around it: in a small patch it
    would learn to live with borders that pictures do not have.
    """
    patch = None if recipe.patch is None else 2 * recipe.patch
    return replace(recipe, learning_rate=recipe.learning_rate / 20, batch=max(1, recipe.batch // 2), patch=patch, maps=0.0, passes=((0.0, None),))


RECIPES: dict[str, Recipe] = {
    "ship": Recipe(
        name="ship", loss="charbonnier", learning_rate=1e-3, batch=2, patch=24, augment=True, cosine=True, warmup_steps=50, ema=0.999, clip_norm=0.5,
        maps=0.4, maps_batch=4, passes=((0.0, 1), (0.8, 2), (0.9, None)), near_plain_start=True, patience=0, domain="video",
    ),
    "report": Recipe(
        name="report", loss="mse", learning_rate=5e-4, batch=1, patch=None, augment=False, cosine=False, warmup_steps=0, ema=0.0, clip_norm=0.0,
        maps=0.0, maps_batch=1, passes=((0.0, None),), near_plain_start=False, patience=10, domain="blur3",
    ),
}

# Where a recipe that is right for the recursive networks is not for another one (measured: benchmarks/RESULTS.md): what differs.
_DIFFERENCES: dict[tuple[str, str], dict[str, Any]] = {
    ("ship", "lite"): {"learning_rate": 2e-3, "batch": 8, "passes": ((0.0, None),), "clip_norm": 0.0},
    ("ship", "previous"): {"maps": 0.0},  # whether they help it was not measured
}


def recipe_for(name: str, model: str) -> Recipe:
    """The recipe ``name`` as it is for the network ``model``."""
    return replace(RECIPES[name], **_DIFFERENCES.get((name, model), {}))
