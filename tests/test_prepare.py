"""Prepared packs: what ``vsr train --prepare`` writes, and how it is read without PyAV."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np

from vsrcli.training.data import SEQUENCE, Sequences, split_held_out, validation_pairs
from vsrcli.training.degradation import DEGRADATIONS, video


def _clips(count: int, size: tuple[int, int] = (64, 48)) -> list[Any]:
    """Moving blocks, each (SEQUENCE, H, W) uint8; ``size`` is (W, H)."""
    rng = np.random.default_rng(7)
    clips = []
    for _ in range(count):
        blocks = np.kron(rng.integers(20, 230, (40, 40)), np.ones((5, 5))).astype(np.uint8)
        frames = [blocks[2 * n : 2 * n + size[1], n : n + size[0]] for n in range(SEQUENCE)]
        clips.append(np.stack(frames))
    return clips


def _sequences(prepared: list[int]) -> Sequences:
    """Clips of which each has so many prepared versions for `video`; a version's codes name it."""
    versions = []
    for index, count in enumerate(prepared):
        lows = [np.full((SEQUENCE, 24, 32), 10 * index + n, np.uint8) for n in range(count)]
        versions.append({"video": tuple(lows)})
    names = tuple(f"film.mp4#{index}" for index in range(len(prepared)))
    return Sequences(tuple(_clips(len(prepared))), names, tuple(versions))


def test_prepared_versions_are_used_and_others_made() -> None:
    sequences = _sequences([2, 3])
    assert sequences.variants("video") == 2
    assert sequences.variants("clean") is None
    assert sequences.low_resolution("video", 1, 2, seed=5)[0, 0, 0] == 12
    assert sequences.low_resolution("video", 1, 4, seed=5)[0, 0, 0] == 11
    expected = DEGRADATIONS["blur3"](sequences.clips[1], 5)
    assert np.array_equal(sequences.low_resolution("blur3", 1, 0, seed=5), expected)

    partly = _sequences([2, 0])
    assert partly.variants("video") is None
    assert np.array_equal(partly.low_resolution("video", 1, 0, seed=5), video(partly.clips[1], 5))
    assert Sequences(partly.clips, partly.names).variants("video") is None


def test_prepared_versions_stay_with_their_clips() -> None:
    kept, held = split_held_out(_sequences([1] * 20))
    assert len(held) == 2
    assert kept.low_resolution("video", 3, 0, seed=0)[0, 0, 0] == 30
    assert held.low_resolution("video", 0, 0, seed=0)[0, 0, 0] == 180
    low, _ = validation_pairs(held, "video", count=2, size=32)[1]
    assert low[0, 0, 0] == 190


def test_without_pyav_an_unprepared_clip_says_what_to_do() -> None:
    code = (
        "import sys; sys.modules['av'] = None\n"
        "import numpy as np\n"
        "from vsrcli.errors import InputError\n"
        "from vsrcli.training.data import Sequences\n"
        "sequences = Sequences((np.zeros((7, 32, 32), np.uint8),), ('a',))\n"
        "try:\n"
        "    [sequences.low_resolution('video', 0, 0, seed) for seed in range(9)]\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "no PyAV" in done.stdout
    assert "vsr train --prepare" in done.stdout
