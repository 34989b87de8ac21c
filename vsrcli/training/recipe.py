"""How a network is trained, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

# A run of this many seconds or more on a CPU is a long one.
LONG_RUN_SECONDS = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        name: key in ``RECIPES``.
        loss: of the difference d in 0..1 units: ``charbonnier`` (sqrt(d^2 + eps^2), eps = 1e-3;
            Lai et al. 2017), ``l1`` or ``mse``.
        learning_rate: Adam's, at its peak.
        floor: what the rate falls to by a half cosine, as a share of its peak; 1 for a constant
            rate.
        batch: patches a step.
        patch: side of the low-resolution patch, pixels; None for whole pictures (of the smallest
            clip's size).
        augment: whether patches are flipped, transposed and reversed in time, and windows have
            edges as at the ends of a clip and at cuts.
        warmup_steps: steps over which the rate rises from zero.
        ema: decay of the running average of the weights that is validated and saved; 0 for none.
        clip_norm: maximum gradient norm, in 0..1 units; 0 for none. Recursion needs it.
        maps: share of the run, at its beginning, in which only the five frame maps of a network of
            two parts are trained: each should be the true frame. The 3D part, which costs most,
            keeps its initial weights, which pass the middle map on.
        maps_batch: patches a step in that share.
        passes: (share of the run, passes) pairs: how often recursive 3D blocks are applied from
            that share of the run on; None for all passes.
        near_plain_start: whether an untrained network begins as a bilinear upsampler.
        patience: validations without a new best after which the run stops early; 0 for never.
        domain: the domain that the recipe is meant for.
        fourier: weight of another term of the loss, the mean absolute real and imaginary part of
            the difference's Fourier transform (as SMFANet trains: Zheng et al. 2024); 0 for none.
        closing: share of the run, at its end, in which the loss is the squared error alone.
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
        warmup_steps = max(self.warmup_steps, 1)
        warmup = min(1.0, (step + 1) / warmup_steps)
        rate = self.learning_rate * warmup
        half_cosine = 0.5 * (1 + math.cos(math.pi * share))
        height = self.floor + (1 - self.floor) * half_cosine
        return rate * height

    def decay_at(self, step: int) -> float:
        """Decay of the running average after ``step``.

        It starts low: otherwise the average would remember the initial weights for a thousand
        steps.
        """
        early_decay = (2 + step) / (11 + step)
        return min(self.ema, early_decay)

    def passes_at(self, share: float) -> int | None:
        """Maximum passes of the recursive 3D blocks once ``share`` (0..1) of the run is done."""
        for start, passes in reversed(self.passes):
            if share >= start:
                return passes
        raise ValueError(f"the passes of recipe {self.name} begin after {share:.3f}")

    def batch_size(self, *, is_maps: bool) -> int:
        """Patches a step, while the frame maps are trained or after."""
        return self.maps_batch if is_maps else self.batch

    def is_out_of_patience(self, stale: int) -> bool:
        """Whether a run stops after ``stale`` validations without a new best."""
        return self.patience > 0 and stale >= self.patience

    def loss_at(
        self,
        share: float,
        *,
        is_maps: bool,
    ) -> tuple[str, float]:
        """Kind of the loss and weight of its Fourier term after ``share`` (0..1) of the run."""
        is_closing = self.closing > 0 and share >= 1 - self.closing
        if is_closing and not is_maps:
            return "mse", 0.0
        return self.loss, self.fourier


RECIPES: dict[str, Recipe] = {
    # minutes to an hour or two on a CPU
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
        passes=(
            (0.0, 1),
            (0.8, 2),
            (0.9, None),
        ),
        near_plain_start=True,
        patience=0,
        domain="video",
    ),
    # a night on a CPU, or a GPU: as many pixels as possible
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
        passes=(
            (0.0, 1),
            (0.6, None),
        ),
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

# Recipe, network, whether it is trained on a GPU.
_Key = tuple[str, str, bool]
# Settings of a recipe by name.
_Changes = dict[str, Any]

_WHOLE_RECURSION: _Changes = {
    "maps": 0.0,
    "passes": ((0.0, None),),
}

# The recipes suit the recursive networks on a CPU. This is what differs for another network,
# or on a GPU (measured: benchmarks/RESULTS.md).
_DIFFERENCES: dict[_Key, _Changes] = {
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
    ("long", "previous", False): {
        "batch": 8,
        "patch": 48,
    }
    | _WHOLE_RECURSION,
    ("long", "delta", True): {
        "learning_rate": 1.5e-3,
        "batch": 16,
        "patch": 64,
        "maps_batch": 64,
        "passes": (
            (0.0, 1),
            (0.5, None),
        ),
    },
    ("long", "5-parallel", True): {
        "batch": 16,
        "patch": 64,
        "maps_batch": 64,
        "passes": (
            (0.0, 1),
            (0.5, None),
        ),
    },
    ("long", "lite", True): {
        "learning_rate": 2e-3,
        "batch": 64,
        "patch": 64,
        "clip_norm": 0.0,
    }
    | _WHOLE_RECURSION,
    ("long", "previous", True): {
        "batch": 64,
        "patch": 64,
    }
    | _WHOLE_RECURSION,
}

# A run that begins with trained weights takes smaller steps: larger ones undo more of what the
# weights have learned (benchmarks/RESULTS.md).
_FINE_TUNING_RATE = {
    "ship": 1 / 20,
    "long": 1 / 4,
    "report": 1 / 20,
}
# Smaller low-resolution patches are doubled for fine-tuning, pixels.
_MIN_FINE_TUNING_PATCH = 48


def recipe_for(
    name: str,
    model: str,
    *,
    is_gpu: bool = False,
) -> Recipe:
    """The recipe ``name`` for the network ``model``, on a CPU or on a GPU."""
    on_cpu = _DIFFERENCES.get((name, model, False), {})
    changes = _DIFFERENCES.get((name, model, is_gpu), on_cpu)
    return replace(RECIPES[name], **changes)


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe for a run that begins with trained weights: the whole recursion, in small steps.

    Small patches grow and batches shrink. The whole recursion sees 37 pixels around each pixel: in
    a small patch it would adapt to borders that pictures do not have.
    """
    patch = recipe.patch
    batch = recipe.batch
    if patch is not None and patch < _MIN_FINE_TUNING_PATCH:
        patch = 2 * patch
        batch = max(1, batch // 2)
    return replace(
        recipe,
        learning_rate=recipe.learning_rate * _FINE_TUNING_RATE[recipe.name],
        batch=batch,
        patch=patch,
        maps=0.0,
        passes=((0.0, None),),
    )
