"""A network's weights as one tensor, in units of 0..1.

Networks work on codes 0..255. Every layer before the last is a convolution, a ReLU or a sum, so the
whole is positively homogeneous: with the window and all biases divided by 256 it computes the same
features divided by 256, to the bit, since that is a power of two. In these units half precision has
room, one learning rate serves weights and biases alike, and clipping, Adam and the running average
are a kernel or a few each, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor, nn

from vsrcli.models.layers import WindowNetwork

UNIT = 256.0  # codes
_ALIGNMENT = (
    8  # values: 16 bytes in half precision, which cuDNN's fastest kernels ask for
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one parameter lies: ``values[start:stop]`` in ``stored`` shape."""

    name: str
    start: int
    stop: int
    stored: tuple[int, ...]
    is_channels_last: bool

    @property
    def unit(self) -> float:
        return UNIT if self.name.endswith("bias") else 1.0

    def view(self, piece: Tensor) -> Tensor:
        shaped = piece.view(self.stored)
        return shaped.permute(0, 3, 1, 2) if self.is_channels_last else shaped


class FlatWeights:
    """The parameters of one network side by side.

    Attributes:
        values: (n,) float32, biases in units of 0..1; ``parts`` are views of it. Between the
            parameters lie zeros that nothing reads, so that each begins at an aligned place.
        parts: what is optimised, in order: of a network of two parts the frame maps, then the 3D
            part with the last layer; of any other all in one. Each has an optimiser state of its
            own, so that the 3D part starts afresh when its training begins.

    Args:
        network: its shapes and values are taken; it is not changed.
        device: where the values live.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        def part_of(name: str) -> int:
            is_second = name.startswith(("volume.", "output."))
            return int(isinstance(network, WindowNetwork) and is_second)

        named = sorted(network.named_parameters(), key=lambda item: part_of(item[0]))
        self._entries: list[_Entry] = []
        start = 0
        for name, parameter in named:
            # 2D weights lie as (out, h, w, in): their view is channels last without a copy
            is_channels_last = parameter.dim() == 4
            shape = (
                parameter.permute(0, 2, 3, 1).shape
                if is_channels_last
                else parameter.shape
            )
            stop = start + parameter.numel()
            self._entries.append(
                _Entry(name, start, stop, tuple(shape), is_channels_last)
            )
            start = -(-stop // _ALIGNMENT) * _ALIGNMENT
        starts = [entry.start for entry in self._entries]
        self._sizes = [end - begin for begin, end in pairwise([*starts, start])]
        self.values = torch.zeros(start, device=device)
        self._load(network)
        groups = groupby(self._entries, key=lambda entry: part_of(entry.name))
        firsts = [next(group).start for _, group in groups]
        self.parts = [
            nn.Parameter(self.values[begin:end])
            for begin, end in pairwise([*firsts, start])
        ]

    def _load(self, network: nn.Module) -> None:
        parameters = dict(network.named_parameters())
        for entry in self._entries:
            value = parameters[entry.name].detach()
            stored = value.permute(0, 2, 3, 1) if entry.is_channels_last else value
            piece = self.values[entry.start : entry.stop]
            piece.copy_((stored / entry.unit).reshape(-1))

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters by name out of a tensor laid out like ``values``, in units of 0..1."""
        # one split: its derivative is one concatenation
        pieces = torch.split(flat, self._sizes)
        return {
            entry.name: entry.view(piece[: entry.stop - entry.start])
            for entry, piece in zip(self._entries, pieces, strict=True)
        }

    def view(self, flat: Tensor, name: str) -> Tensor:
        """One parameter out of a tensor laid out like ``values``, in units of 0..1."""
        entry = next(entry for entry in self._entries if entry.name == name)
        return entry.view(flat[entry.start : entry.stop])

    def in_codes(self, flat: Tensor) -> dict[str, Tensor]:
        """Copies of the parameters out of a tensor laid out like ``values``, in units of codes."""
        views = self.views(flat.detach())
        return {entry.name: views[entry.name] * entry.unit for entry in self._entries}

    def scale(self, flat: Tensor, factors: Mapping[str, float]) -> None:
        """Multiply the parameters named in ``factors``, in place."""
        for name, factor in factors.items():
            self.view(flat.detach(), name).mul_(factor)
