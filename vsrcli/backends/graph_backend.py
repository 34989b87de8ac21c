"""What all backends that run ONNX graphs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from vsrcli.backends import Float, first_line, fitting_pixels, is_memory_error
from vsrcli.backends.feature_cache import FeatureCache
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.models.graph import Graph


class GraphBackend(ABC):
    """Runs a network as one ONNX graph, or group by group as several.

    Args:
        graphs: from ``load_graph_pieces``, or the whole graph alone.

    Attributes:
        library: name of the inference library in messages.
        library_errors: errors that it raises.
    """

    library: str
    library_errors: tuple[type[Exception], ...]
    bytes_per_pixel: int
    device: str

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self._info = graphs[0].info
        self.max_pixels = fitting_pixels(self.bytes_per_pixel)
        self._feature_cache: FeatureCache[Float] | None = None
        if len(graphs) > 1:
            self._feature_cache = FeatureCache(
                self.spec, self._encode_group, self._fuse_groups
            )

    @property
    def domain(self) -> str | None:
        """Domain of the weights, or None if unknown."""
        return self._info.domain

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return self._info.spec

    @property
    def luma_scale(self) -> LumaScale:
        """Scale of the checkpoint's input and output."""
        return self._info.luma_scale

    def run(self, windows: Float) -> Float:
        """Upscale windows (B, planes, H, W) float32 to (B, 2H - 2 trim, 2W - 2 trim) float32.

        See ``Backend.run``.
        """
        try:
            if self._feature_cache is None:
                return self._run_contiguous(0, [windows])
            return self._feature_cache.run(windows)
        except self.library_errors as error:
            height, width = windows.shape[-2:]
            message = (
                f"{self.library} failed on {self.device} at a {width}x{height} picture: "
                f"{first_line(error)}"
            )
            if is_memory_error(error):
                raise OutOfMemory(message) from error
            raise BackendError(message) from error

    def _encode_group(self, role: int, frames: Float) -> Float:
        return self._run_contiguous(role, [frames])

    def _fuse_groups(
        self,
        features: list[Float],
        middle: Float,
    ) -> Float:
        return self._run_contiguous(-1, [*features, middle])

    def _run_contiguous(
        self,
        number: int,
        inputs: list[Float],
    ) -> Float:
        contiguous = [np.ascontiguousarray(value, np.float32) for value in inputs]
        return self._run_graph(number, contiguous)

    @abstractmethod
    def _run_graph(self, number: int, inputs: list[Float]) -> Float:
        """Run graph ``number``.

        A network without a shortcut does not take the last input of the last graph, frame t.
        """
