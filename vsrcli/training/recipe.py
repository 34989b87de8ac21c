"""How a network is trained, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

# A run of this many seconds or more on a processor is a long one.
LONG_RUN_SECONDS = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        name: key in ``RECIPES``.
        loss: of the difference d in 0..1 units: ``charbonnier`` (sqrt(d^2 + eps^2), eps = 1e-3;
            Lai et al. 2017), ``l1`` or ``mse``.
        fourier: weight of a further term, the mean absolute real and imaginary part of the
            difference's Fourier transform (as SMFANet trains: Zheng et al. 2024); 0 for none.
        closing: share of the run, at its end, in which the loss is the squared error alone.
        learning_rate: Adam's, at its height.
        floor: what the rate falls to by a half cosine, as a share of its height; 1 for a constant
            rate.
        batch: patches a step.
        patch: side of the low-resolution patch, pixels; None for whole pictures (of the smallest
            clip's size).
        augment: whether patches are turned and mirrored, run backwards in time, and windows shown
            as at the ends of a clip and at cuts.
        warmup_steps: steps over which the rate rises from zero.
        ema: decay of the running average of the weights that is validated and saved; 0 for none.
        clip_norm: largest gradient norm, in 0..1 units; 0 for none. Recursion needs it.
        maps: share of the run, at its beginning, in which a network of two parts is trained by its
            five frame maps alone: each is to be the true frame. The 3D part, which costs most,
            stays the plain start that hands the middle map on.
        maps_batch: patches a step in that share.
        passes: (share of the run, passes) pairs: how often recursive 3D blocks are applied from
            that share of the run on.
        near_plain_start: whether an untrained network begins as a bilinear upsampler.
        patience: validations without a new best after which the run stops early; 0 for never.
        domain: what the recipe is meant for.
    """

    name: str
    loss: Literal["charbonnier", "l1", "mse"]
    learning_rate: float
    floor: float
    batch: int
    patch: int | None
    augment: bool
    warmup_steps: int
    ema: float
    clip_norm: float
    maps: float
    maps_batch: int
    passes: tuple[tuple[float, int | None], ...]
    near_plain_start: bool
    patience: int
    domain: str
    fourier: float = 0.0
    closing: float = 0.0

    def rate_at(self, step: int, share: float) -> float:
        """Adam's learning rate for ``step``, before which ``share`` (0..1) of the run is done."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(self.warmup_steps, 1))
        half_cosine = 0.5 * (1 + math.cos(math.pi * share))
        return rate * (self.floor + (1 - self.floor) * half_cosine)

    def decay_at(self, step: int) -> float:
        """Decay of the running average behind ``step``.

        A young average would remember the start for a thousand steps.
        """
        return min(self.ema, (2 + step) / (11 + step))

    def passes_at(self, share: float) -> int | None:
        """Most passes of the recursive 3D blocks once ``share`` (0..1) of the run is done."""
        return next(passes for start, passes in reversed(self.passes) if share >= start)

    def loss_at(self, share: float, *, is_maps: bool) -> tuple[str, float]:
        """Kind of the loss and weight of its Fourier term after ``share`` (0..1) of the run."""
        if self.closing and not is_maps and share >= 1 - self.closing:
            return "mse", 0.0
        return self.loss, self.fourier


RECIPES: dict[str, Recipe] = {
    # minutes to an hour or two of a processor
    "ship": Recipe(
        name="ship",
        loss="charbonnier",
        learning_rate=1e-3,
        floor=0.02,
        batch=2,
        patch=24,
        augment=True,
        warmup_steps=50,
        ema=0.999,
        clip_norm=0.5,
        maps=0.4,
        maps_batch=4,
        passes=((0.0, 1), (0.8, 2), (0.9, None)),
        near_plain_start=True,
        patience=0,
        domain="video",
    ),
    # a night of a processor, or a card: as many pixels as can be had
    "long": Recipe(
        name="long",
        loss="charbonnier",
        learning_rate=1e-3,
        floor=0.001,
        batch=4,
        patch=48,
        augment=True,
        warmup_steps=200,
        ema=0.999,
        clip_norm=0.5,
        maps=0.25,
        maps_batch=8,
        passes=((0.0, 1), (0.6, None)),
        near_plain_start=True,
        patience=0,
        domain="video",
    ),
    "report": Recipe(
        name="report",
        loss="mse",
        learning_rate=5e-4,
        floor=1.0,
        batch=1,
        patch=None,
        augment=False,
        warmup_steps=0,
        ema=0.0,
        clip_norm=0.0,
        maps=0.0,
        maps_batch=1,
        passes=((0.0, None),),
        near_plain_start=False,
        patience=10,
        domain="blur3",
    ),
}

_WHOLE_RECURSION: dict[str, Any] = {"maps": 0.0, "passes": ((0.0, None),)}

# Where a recipe that is right for the recursive networks on a processor is not for another network,
# or not for a card (measured: benchmarks/RESULTS.md): what differs, by recipe, network and card.
_DIFFERENCES: dict[tuple[str, str, bool], dict[str, Any]] = {
    ("ship", "lite", False): {
        "learning_rate": 2e-3,
        "batch": 8,
        "passes": ((0.0, None),),
        "clip_norm": 0.0,
    },
    # it has no recursion; whether the frame maps help it was not measured
    ("ship", "previous", False): _WHOLE_RECURSION,
    ("long", "lite", False): {
        "learning_rate": 2e-3,
        "batch": 16,
        "patch": 32,
        "clip_norm": 0.0,
    }
    | _WHOLE_RECURSION,
    ("long", "previous", False): {"batch": 8, "patch": 48} | _WHOLE_RECURSION,
    ("long", "delta", True): {
        "learning_rate": 1.5e-3,
        "batch": 16,
        "patch": 64,
        "maps_batch": 64,
        "passes": ((0.0, 1), (0.5, None)),
    },
    ("long", "5-parallel", True): {
        "batch": 16,
        "patch": 64,
        "maps_batch": 64,
        "passes": ((0.0, 1), (0.5, None)),
    },
    ("long", "lite", True): {
        "learning_rate": 2e-3,
        "batch": 64,
        "patch": 64,
        "clip_norm": 0.0,
    }
    | _WHOLE_RECURSION,
    ("long", "previous", True): {"batch": 64, "patch": 64} | _WHOLE_RECURSION,
}

# A run that begins with trained weights takes smaller steps: larger ones undo more of what the
# weights could do before (benchmarks/RESULTS.md).
_FINE_TUNING_RATE = {"ship": 1 / 20, "long": 1 / 4, "report": 1 / 20}


def recipe_for(name: str, model: str, *, is_card: bool = False) -> Recipe:
    """The recipe ``name`` as it is for the network ``model``, on a processor or on a card."""
    exact = _DIFFERENCES.get((name, model, is_card))
    changes = _DIFFERENCES.get((name, model, False), {}) if exact is None else exact
    return replace(RECIPES[name], **changes)


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe for a run that begins with trained weights: the whole recursion, in small steps.

    Small patches grow and batches shrink: the whole recursion sees 37 pixels around it, and in a
    small patch it would learn to live with borders that pictures do not have.
    """
    is_small = recipe.patch is not None and recipe.patch < 48
    return replace(
        recipe,
        learning_rate=recipe.learning_rate * _FINE_TUNING_RATE[recipe.name],
        batch=max(1, recipe.batch // 2) if is_small else recipe.batch,
        patch=2 * recipe.patch
        if is_small and recipe.patch is not None
        else recipe.patch,
        maps=0.0,
        passes=((0.0, None),),
    )
