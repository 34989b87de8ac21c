"""A network in units of 0..1, as it is trained: see ``flat.py``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.banded import BandedVolume
from vsrcli.models.layers import Network, WindowNetwork
from vsrcli.training.flat import UNIT


class UnitNetwork(nn.Module):
    """A network with weights and inputs in units of 0..1, its last layer and result in codes.

    Args:
        network: the network; its own parameters are replaced by ``functional_call``.
        dtype: of all layers but the last.
        is_banded: whether to compute the 3D part in the form for GPUs.
    """

    def __init__(
        self,
        network: Network,
        dtype: torch.dtype,
        *,
        is_banded: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype
        self._is_banded = is_banded

    def forward(self, window: Tensor, is_maps: bool) -> Tensor:
        """Codes (B, 1, planes, h, w) float32 -> codes of the picture or of the maps (B, 5, 2h, 2w).

        The maps are those of the middle frame repeated five times, so that each of them should be
        its true frame.
        """
        units = (window / UNIT).to(self._dtype)
        middle = window.shape[2] // 2
        if is_maps:
            still = units[:, :, middle : middle + 1].expand_as(units)
            return self._frame_maps(still)
        features = self._features(units)
        middle_frame = window[:, :, middle]
        return self.network.picture(features.float(), middle_frame)

    def _frame_maps(self, units: Tensor) -> Tensor:
        network = self.network
        if not isinstance(network, WindowNetwork):
            raise TypeError(f"{type(network).__name__} makes no frame maps")
        maps = torch.cat(network.frame_maps(units), dim=1)
        return maps.float() * UNIT

    def _features(self, units: Tensor) -> Tensor:
        network = self.network
        if self._is_banded and isinstance(network, WindowNetwork):
            volume = BandedVolume(network.volume)
            features: Tensor = volume(network.frame_maps(units))
            return features
        return network.features(units)
