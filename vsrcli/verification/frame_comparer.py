"""Brings frames of the output to the source's size and scale, and compares them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import Frame, VideoInfo
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.resize import double, half
from vsrcli.verification.frame_comparison import FrameComparison, cells, grid_of
from vsrcli.verification.verification_task import VerificationTask

Float = NDArray[np.float32]


class FrameComparer:
    """Compares the frames of an output with those of its source.

    An output of the wrong size is not compared.

    Attributes:
        comparison: the results so far.
    """

    def __init__(self, task: VerificationTask) -> None:
        self.comparison = FrameComparison(task.threshold_db, _blur)
        self._orientation = task.orientation
        self._is_compared = task.output_size == task.expected_size
        source = task.source
        output = task.output
        self._unit = 1 / (1 << (source.format.bits - 8))
        if source.tags.is_full_range:
            self._unit = 255 / source.format.peak
        # from the output's luma scale to the source's
        source_black, source_span = _luma_scale(source)
        output_black, output_span = _luma_scale(output)
        self._gain = source_span / output_span
        self._offset = source_black - self._gain * output_black
        self._source_chroma = _ChromaScale(source)
        self._output_chroma = _ChromaScale(output)

    def add(
        self,
        number: int,
        actual: Frame,
        expected: Frame,
        neighbours: tuple[Frame | None, ...],
    ) -> None:
        """Compare one frame.

        Args:
            number: of the output's frame.
            actual: the output's frame.
            expected: the source's frame that it should show.
            neighbours: the source's frames before and after that one; None where there is none.
        """
        if not self._is_compared:
            return
        luma = half(actual.luma)
        if (self._gain, self._offset) != (1, 0):
            luma = luma * np.float32(self._gain) + np.float32(self._offset)
        expected = self._turn(expected)
        neighbour_luma = [
            None if frame is None else self._turn(frame).luma for frame in neighbours
        ]
        shows_it = self.comparison.add(
            number,
            float(actual.time),
            luma,
            expected.luma,
            neighbour_luma,
            self._unit,
        )
        if shows_it:
            self._add_chroma(number, actual, expected)
            self._add_alpha(number, actual, expected)

    def _turn(self, frame: Frame) -> Frame:
        if self._orientation == Orientation():
            return frame
        return self._orientation.turn(frame)

    def _add_chroma(
        self,
        number: int,
        actual: Frame,
        expected: Frame,
    ) -> None:
        if not actual.chroma or not expected.chroma:
            return
        planes = []
        for actual_plane, expected_plane in zip(
            actual.chroma,
            expected.chroma,
            strict=True,
        ):
            grid = grid_of(min(actual_plane.shape, expected_plane.shape))
            actual_cells = self._output_chroma.normalize(cells(actual_plane, grid))
            expected_cells = self._source_chroma.normalize(cells(expected_plane, grid))
            planes.append((actual_cells, expected_cells))
        self.comparison.add_chroma(number, planes)

    def _add_alpha(
        self,
        number: int,
        actual: Frame,
        expected: Frame,
    ) -> None:
        if expected.alpha is None:
            return
        if actual.alpha is None:
            is_opaque = expected.alpha.min() == expected.format.peak
            self.comparison.loses_alpha |= not is_opaque
            return
        grid = grid_of(expected.alpha.shape)
        actual_unit = np.float32(255 / actual.format.peak)
        expected_unit = np.float32(255 / expected.format.peak)
        self.comparison.add_alpha(
            number,
            cells(actual.alpha, grid) * actual_unit,
            cells(expected.alpha, grid) * expected_unit,
        )


def _luma_scale(info: VideoInfo) -> tuple[int, int]:
    """The code of black, and the distance from black to white."""
    if info.tags.is_full_range:
        return 0, info.format.peak
    shift = info.format.bits - 8
    return 16 << shift, 219 << shift


class _ChromaScale:
    """Converts chroma codes to 8-bit differences of limited range."""

    def __init__(self, info: VideoInfo) -> None:
        self._neutral = np.float32(1 << (info.format.bits - 1))
        self._unit = 1 / (1 << (info.format.bits - 8))
        if info.tags.is_full_range:
            self._unit = 224 / info.format.peak

    def normalize(self, codes: Float) -> Float:
        return (codes - self._neutral) * np.float32(self._unit)


def _blur(luma: NDArray[Any]) -> Float:
    height, width = luma.shape
    doubled = double(half(np.ascontiguousarray(luma)), "bilinear")
    return doubled[:height, :width]
