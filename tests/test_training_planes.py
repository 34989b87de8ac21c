"""What a network that sees motion is shown in training: planes kept once, picked by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rectangles import moving_rectangles

from vsrcli.clips.degradation import Clip
from vsrcli.clips.sequences import SEQUENCE, Sequences
from vsrcli.frame import Plane
from vsrcli.models import MODELS, NEIGHBOUR_PLANES, PHASES
from vsrcli.picture.motion import Motion
from vsrcli.training.batches import Batches
from vsrcli.training.planes import MotionPlanes, clip_planes
from vsrcli.training.validation import Floats, Validation

LITE = MODELS["lite"]
STARTS = (0, NEIGHBOUR_PLANES, 2 * NEIGHBOUR_PLANES + 1, 3 * NEIGHBOUR_PLANES + 1)


class _TruthAsPhases(MotionPlanes):
    """Keeps, as the phases of every neighbour, those of the middle frame's own truth."""

    def __init__(self, truth: Clip) -> None:
        self._truth = truth

    def compute(self, clip: Clip) -> Clip:
        blocks = []
        for centre in (2, 3, 4):
            high = self._truth[centre]
            phases = [
                high[down::2, right::2] for down in range(2) for right in range(2)
            ]
            blocks += [clip[centre], *(5 * [*phases, clip[centre]])]
        return np.stack(blocks)


def _noise(count: int = 1) -> Sequences:
    rng = np.random.default_rng(0)
    clips = [
        rng.integers(16, 236, (SEQUENCE, 48, 64), dtype=np.uint8) for _ in range(count)
    ]
    return Sequences(tuple(clips), tuple(str(number) for number in range(count)))


def test_phases_are_turned_as_the_truth_is() -> None:
    """However a patch is turned, its phases together are the turned picture of twice the size."""
    sequences = _noise()
    with Batches(
        sequences, LITE, "clean", patch=12, batch=64, edge_share=0.5
    ) as batches:
        batches._clip_planes = _TruthAsPhases(sequences.clips[0])
        window, truth = batches.at(0)
        choices = batches.choose(0)
    turns = set(
        zip(choices.mirrored, choices.upside_down, choices.transposed, strict=True)
    )
    assert len(turns) == 8
    for start in STARTS:
        phases = window[:, 0, start : start + PHASES]
        distance = window[:, 0, start + PHASES]
        assert torch.equal(distance, window[:, 0, LITE.middle])
        joined = torch.nn.functional.pixel_shuffle(phases, 2)
        assert torch.equal(joined, truth)


def test_windows_show_what_motion_compensation_makes_of_their_frames() -> None:
    """Whatever the window's order, and whichever neighbours are missing, as `vsr upscale` would."""
    sequences = moving_rectangles()
    with Batches(
        sequences, LITE, "clean", 16, 60, augment=True, edge_share=0.5
    ) as batches:
        choices = batches.choose(0)
        window, _ = batches.at(0)
        plain = ~(choices.mirrored | choices.upside_down | choices.transposed)
        rows = np.flatnonzero(plain)
        assert len(rows) > 3
        for row in rows:
            seed = batches.seed * 1_000_003 + int(choices.clip[row])
            low = sequences.low_resolution("clean", int(choices.clip[row]), 0, seed)
            motion = Motion(8)
            frames = dict(enumerate(low))
            shown: list[Plane] = [frames[number] for number in choices.frames[row]]
            planes = motion.planes(motion.window(shown))
            top = choices.top[row]
            left = choices.left[row]
            expected = planes[:, top : top + 16, left : left + 16]
            assert np.array_equal(window[row, 0].numpy(), expected)


def test_kept_planes_are_bytes_and_few() -> None:
    kept = clip_planes(LITE)
    planes = kept.compute(np.full((SEQUENCE, 8, 8), 90, np.uint8))
    assert planes.dtype == np.uint8
    assert planes.shape == (kept.count, 8, 8)
    assert kept.count == 78
    assert clip_planes(MODELS["delta"]).count == SEQUENCE


@pytest.mark.parametrize("model", ["lite", "delta"])
def test_validation_tells_the_temporal_gain(model: str) -> None:
    """A stand-in that adds what differs between the planes gains, or loses, by motion alone."""
    spec = MODELS[model]
    validation = Validation(moving_rectangles(), spec, ("clean",), 2)
    inside = slice(spec.trim, -spec.trim or None)

    def doubled(planes: Floats) -> Floats:
        picture: Floats = planes.repeat(2, axis=1).repeat(2, axis=2)[:, inside, inside]
        return picture

    def of_middle(windows: Floats) -> Floats:
        return doubled(windows[:, spec.middle])

    def of_all(windows: Floats) -> Floats:
        spread = np.abs(windows - windows[:, spec.middle, None]).mean(axis=1)
        return of_middle(windows) + doubled(spread)

    assert validation.gains(of_middle) == validation.still_gains(of_middle)
    assert (
        validation.gains(of_all)["clean"]
        < validation.still_gains(of_all)["clean"] - 0.01
    )
