"""The peak of memory that ``vsr bench`` reports, on machines with any number of cards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vsrcli.bench.memory import PeakMemory

MEGABYTE = 1_000_000


class FakeCards:
    """PyTorch's bookkeeping of memory: a peak for each card, bytes."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, count: int, *, used: bool = True
    ) -> None:
        self.peaks = [0] * count
        self.used = used
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: self.used)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self._reset)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", self._peak)

    def _reset(self, device: int | None = None) -> None:
        if not self.used:
            raise RuntimeError("Invalid device argument 0: did you call init?")
        self.peaks[device or 0] = 0

    def _peak(self, device: int | str | None = None) -> int:
        if isinstance(device, str):
            device = int(device.removeprefix("cuda:"))
        return self.peaks[device or 0]


@pytest.mark.parametrize("card", [0, 1, 2])
def test_the_peak_is_that_of_the_block_whatever_card_is_used(
    monkeypatch: pytest.MonkeyPatch, card: int
) -> None:
    cards = FakeCards(monkeypatch, 3)
    cards.peaks = [900 * MEGABYTE] * 3  # of what ran before
    with PeakMemory() as memory:
        memory.device = f"cuda:{card}"
        cards.peaks[card] = 40 * MEGABYTE
    assert memory.megabytes == 40


def test_several_cards_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = FakeCards(monkeypatch, 2)
    with PeakMemory() as memory:
        memory.device = "cuda"
        cards.peaks = [10 * MEGABYTE, 30 * MEGABYTE]
    assert memory.megabytes == 40


def test_cards_that_were_not_used_yet_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first network is loaded inside the block, and PyTorch refuses to reset before."""
    cards = FakeCards(monkeypatch, 2, used=False)
    with PeakMemory() as memory:
        cards.used = True
        memory.device = "cuda:0"
        cards.peaks[0] = 40 * MEGABYTE
    assert memory.megabytes == 40


def test_a_card_that_pytorch_did_not_use_has_no_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime allocates by itself: 0 MB, or the process's own memory, would be wrong."""
    for used in (True, False):
        FakeCards(monkeypatch, 1, used=used)
        with PeakMemory() as memory:
            memory.device = "cuda:0"
        assert memory.megabytes is None


def test_the_peak_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCards(monkeypatch, 0, used=False)
    with PeakMemory() as memory:
        held = np.ones(8 * MEGABYTE)
    if memory.megabytes is None:
        pytest.skip("only Linux says how much memory a process held")
    assert memory.megabytes > held.nbytes / MEGABYTE
