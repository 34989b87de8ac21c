"""Work not done: what did not change since the last window is not computed again.

A network's output row depends on the input rows within its halo only, and some libraries compute a full-width band of rows to the same bits as the whole
picture (`Backend.exact_bands`; a test holds them to it; bands of another width they do not). So the result is the same as without, bit for bit.
With the others, only a window that has not changed at all is left out.
"""

from __future__ import annotations

import numpy as np

from vsrcli.frame import Plane
from vsrcli.models import ModelSpec
from vsrcli.picture.tiles import Samples, Tiler, halo_of

# A band that needs more of the picture's rows than this is not worth the copying.
_WORTH_ROWS = 0.8


class Reuse:
    """Upscales windows, and remembers the last one and its result.

    Attributes:
        rows: low-resolution rows asked for so far.
        rows_computed: rows that went through the network, halos included.
    """

    def __init__(self, tiler: Tiler, spec: ModelSpec, *, exact_bands: bool, enabled: bool = True) -> None:
        """Begin with nothing remembered.

        Args:
            tiler: what upscales a window, or a full-width band of one.
            spec: the network.
            exact_bands: whether bands of rows may be computed by themselves.
            enabled: False: every window is computed whole.
        """
        self._tiler, self._spec = tiler, spec
        self._exact_bands, self._enabled = exact_bands, enabled
        self._lumas: Plane | None = None
        self._result: Samples | None = None
        self.rows = self.rows_computed = 0

    def upscale(self, lumas: Plane) -> Samples:
        """Upscale the middle frame of a window.

        Args:
            lumas: codes, shape (frames, H, W), uint8 or uint16; kept until the next call, so it must not change.

        Returns:
            Shape (scale*H, scale*W), of the type that the tiler gives; it may be the last call's, so it must not be changed.

        Raises:
            BackendError: from the tiler.
        """
        height = lumas.shape[1]
        self.rows += height
        core, band = self._needed(lumas)
        if core is None and self._result is not None:
            self._lumas = lumas
            return self._result
        values = self._tiler.upscale(lumas[:, band])
        self.rows_computed += band.stop - band.start
        if core is not None and self._result is not None and band != slice(0, height):
            scale = self._spec.scale
            result = self._result.copy()
            result[scale * core.start : scale * core.stop] = values[scale * (core.start - band.start) : scale * (core.stop - band.start)]
            values = result
        if self._enabled:
            self._lumas, self._result = lumas, values
        return values

    def _needed(self, lumas: Plane) -> tuple[slice | None, slice]:
        """Rows whose result is new (None: none), and the rows that have to be computed for them."""
        height, width = lumas.shape[1:]
        whole = slice(0, height)
        before = self._lumas
        if before is None or self._result is None or before.shape != lumas.shape or before.dtype != lumas.dtype:
            return whole, whole
        changed = np.flatnonzero((before != lumas).any(axis=(0, 2)))
        if not len(changed):
            return None, whole
        halo = halo_of(self._spec)
        core = slice(max(0, int(changed[0]) - halo), min(height, int(changed[-1]) + 1 + halo))
        band = slice(max(0, core.start - halo), min(height, core.stop + halo))
        rows = band.stop - band.start
        in_columns = self._tiler.parts(height, width)[1] > 1 or self._tiler.parts(rows, width)[1] > 1
        if not self._exact_bands or rows > _WORTH_ROWS * height or in_columns:
            return whole, whole
        return core, band
