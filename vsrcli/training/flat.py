"""A network's weights as one tensor, in units of 0..1.

Networks work on codes 0..255. Every layer before the last is a convolution, a ReLU or a sum, so the
whole is positively homogeneous: with the window and all biases divided by 256 it computes the same
features divided by 256, to the bit, since that is a power of two. In these units half precision has
enough range, one learning rate fits weights and biases alike, and clipping, Adam and the running
average take one kernel or a few each, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vsrcli.models.layers import WindowNetwork

# Codes in a unit.
UNIT = 256.0
# In values: 16 bytes in half precision, which the fastest kernels of cuDNN require.
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one parameter is stored: ``values[start:stop]``, in shape ``stored``."""

    name: str
    start: int
    stop: int
    stored: tuple[int, ...]
    is_channels_last: bool

    @property
    def unit(self) -> float:
        return UNIT if self.name.endswith("bias") else 1.0

    @property
    def size(self) -> int:
        return self.stop - self.start

    def view(self, piece: Tensor) -> Tensor:
        """The parameter in its own shape, from its values in a row."""
        shaped = piece.view(self.stored)
        if self.is_channels_last:
            return shaped.permute(0, 3, 1, 2)
        return shaped


class FlatWeights:
    """The parameters of one network side by side.

    Attributes:
        values: (n,) float32, biases in units of 0..1; ``parts`` are views of it. Unused zeros
            separate the parameters, so that each begins at an aligned place.
        parts: what is optimised, in order: for a network of two parts the frame maps, then the 3D
            part with the last layer; for any other everything in one. Each has its own optimiser
            state, so that the 3D part starts afresh when its training begins.

    Args:
        network: its shapes and values are copied; it is not changed.
        device: where to store the values.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
    ) -> None:
        has_two_parts = isinstance(network, WindowNetwork)

        def part_of(name: str) -> int:
            is_second = name.startswith(("volume.", "output."))
            return int(has_two_parts and is_second)

        parameters = dict(network.named_parameters())
        names = sorted(parameters, key=part_of)
        self._entries: list[_Entry] = []
        start = 0
        for name in names:
            entry = _entry_at(start, name, parameters[name])
            self._entries.append(entry)
            start = -(-entry.stop // _ALIGNMENT) * _ALIGNMENT
        end = start
        self._by_name = {entry.name: entry for entry in self._entries}
        starts = [entry.start for entry in self._entries]
        self._sizes = []
        for entry_start, entry_end in pairwise([*starts, end]):
            self._sizes.append(entry_end - entry_start)
        self.values = torch.zeros(end, device=device)
        self._copy_from(parameters)
        part_starts = []
        previous_part: int | None = None
        for entry in self._entries:
            part = part_of(entry.name)
            if part != previous_part:
                part_starts.append(entry.start)
                previous_part = part
        self.parts = []
        for part_start, part_end in pairwise([*part_starts, end]):
            values = self.values[part_start:part_end]
            self.parts.append(nn.Parameter(values))

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters by name, as views of a tensor laid out like ``values``, in units of 0..1."""
        # one split: its derivative is one concatenation
        pieces = torch.split(flat, self._sizes)
        views = {}
        for entry, piece in zip(self._entries, pieces, strict=True):
            values = piece[: entry.size]
            views[entry.name] = entry.view(values)
        return views

    def view(self, flat: Tensor, name: str) -> Tensor:
        """One parameter, as a view of a tensor laid out like ``values``, in units of 0..1."""
        entry = self._by_name[name]
        values = flat[entry.start : entry.stop]
        return entry.view(values)

    def in_codes(self, flat: Tensor) -> dict[str, Tensor]:
        """Copies of the parameters in a tensor laid out like ``values``, in units of codes."""
        in_units = self.views(flat.detach())
        in_codes = {}
        for entry in self._entries:
            in_codes[entry.name] = in_units[entry.name] * entry.unit
        return in_codes

    def scale(
        self,
        flat: Tensor,
        factors: Mapping[str, float],
    ) -> None:
        """Multiply the parameters named in ``factors``, in place."""
        values = flat.detach()
        for name, factor in factors.items():
            self.view(values, name).mul_(factor)

    def _copy_from(self, parameters: Mapping[str, nn.Parameter]) -> None:
        for entry in self._entries:
            value = parameters[entry.name].detach()
            if entry.is_channels_last:
                value = value.permute(0, 2, 3, 1)
            in_units = value / entry.unit
            target = self.values[entry.start : entry.stop]
            target.copy_(in_units.reshape(-1))


def _entry_at(
    start: int,
    name: str,
    parameter: nn.Parameter,
) -> _Entry:
    # 2D weights are stored as (out, h, w, in): their view is channels last without a copy
    is_channels_last = parameter.dim() == 4
    stored: Tensor = parameter
    if is_channels_last:
        stored = parameter.permute(0, 2, 3, 1)
    return _Entry(
        name=name,
        start=start,
        stop=start + parameter.numel(),
        stored=tuple(stored.shape),
        is_channels_last=is_channels_last,
    )
