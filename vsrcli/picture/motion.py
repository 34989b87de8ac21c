"""Motion compensation: a window's neighbours sampled where the middle frame's finer pixels are.

A network that doubles frame t needs samples between t's pixels. A neighbour holds them, but
elsewhere: optical flow says where. So each neighbour is sampled along the flow at the four places
that correspond to the four output pixels of a pixel of t ("phases"; the sub-pixel motion
compensation of Tao et al. 2017). Resampled at t's own positions it would only repeat t.

The result is a pure function of the window's frames, whatever was computed before and on however
many threads. Where nothing moved the flow is exactly zero, and the samples are those of the picture
at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.frame import Plane
from vsrcli.models import NEIGHBOUR_PLANES, PHASES
from vsrcli.picture.resize import Float, double_phase

# Rows and columns of a picture.
Box = tuple[slice, slice]
# (2, H, W): where each pixel is in another frame, as a displacement in pixels, x first.
Flow = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# OpenCV's dense inverse search divides its work by threads, and its result depends on how.
cv2.setNumThreads(1)

# OpenCV's remapping counts the pixels of the doubled picture in 16 bits.
MAX_SIDE_PX = 16_383

# The search needs a pyramid of some levels: smaller pictures are extended at their borders.
_MIN_SIDE_PX = 32
# It goes down to full size, unlike OpenCV's presets of this speed: a place that is wrong by a tenth
# of a pixel loses the gain of a neighbour. To pay for that, patches (of 8x8 pixels) overlap less
# and take fewer steps each (measured: benchmarks/RESULTS.md).
_FINEST_SCALE = 0
_PATCH_STRIDE_PX = 6
_DESCENT_STEPS = 6
# A pixel without a change within this distance is at rest.
_REST_PX = 4
# Pixels around all change that the search sees.
_MARGIN_PX = 32
# Rows of frame t that are sampled at once, so that their maps stay in the cache.
_STRIP_ROWS = 64
_BORDER = cv2.BORDER_REPLICATE
# Frames remembered: those of a window and one more. Windows in progress hold their own.
_MAX_VIEWS = 6


class View:
    """A frame that appears in windows, and what was computed from it; see ``Motion.window``."""

    def __init__(self, luma: Plane, number: int) -> None:
        self.luma = luma
        self.number = number
        self._values: dict[object, Future[Any]] = {}

    def once(self, key: object, compute: Callable[[], Any]) -> Any:
        """The value of ``key``, computed by whoever asks first; others wait for it."""
        own: Future[Any] = Future()
        value = self._values.setdefault(key, own)
        if value is own:
            try:
                own.set_result(compute())
            except BaseException as error:
                own.set_exception(error)
                raise
        return value.result()


class Motion:
    """Computes the planes of windows, and remembers what consecutive windows share.

    Args:
        bits: significant bits of a code.
        is_full_range: whether black is code 0, and not 16 of 256.
    """

    def __init__(self, bits: int, *, is_full_range: bool = False) -> None:
        self._bits = bits
        self._peak = (1 << bits) - 1
        self._black = 0 if is_full_range else 16 << (bits - 8)
        self._views: list[View] = []  # the last one used comes first
        self._numbers = count()

    def window(self, lumas: Sequence[Plane]) -> tuple[View, ...]:
        """Recognise the frames of a window; called by one thread, in the order of the windows.

        Args:
            lumas: codes, (H, W) each, uint8 or uint16, at most ``MAX_SIDE_PX`` high and wide; the
                same array is the same frame, so none may change while it is remembered.
        """
        return tuple(self._view(luma) for luma in lumas)

    def planes(self, window: Sequence[View]) -> Plane:
        """What a network takes that sees its neighbours through their motion; by any thread.

        Args:
            window: an odd number of frames, the middle one upscaled.

        Returns:
            (1 + NEIGHBOUR_PLANES * neighbours, H, W), codes like the frames'. In the middle is
            frame t as it is. Around it, in the window's order, are of each neighbour four phases,
            row by row, and their mean distance from those of frame t itself, above black.

        Raises:
            BackendError: OpenCV failed, for example because memory ran out.
        """
        try:
            return self._planes(window)
        except cv2.error as error:
            height, width = window[0].luma.shape
            reason = str(error).strip().splitlines()[0]
            raise BackendError(
                f"motion compensation failed at a {width}x{height} picture: {reason}: "
                "use another --model"
            ) from error

    def _planes(self, window: Sequence[View]) -> Plane:
        radius = len(window) // 2
        middle = window[radius]
        height, width = middle.luma.shape
        plane_count = 1 + NEIGHBOUR_PLANES * (len(window) - 1)
        planes = np.empty((plane_count, height, width), middle.luma.dtype)
        first = 0
        for place, neighbour in enumerate(window):
            if place == radius:
                planes[first] = middle.luma
                first += 1
                continue
            towards_middle = place - 1 if place > radius else place + 1
            nearer = window[towards_middle]
            flow = self._flow_over(middle, nearer, neighbour)
            end = first + NEIGHBOUR_PLANES
            self._sample(middle, neighbour, flow, planes[first:end])
            first = end
        return cast("Plane", planes)

    def _sample(
        self,
        middle: View,
        neighbour: View,
        flow: Flow | None,
        planes: Plane,
    ) -> None:
        """Fill the planes (NEIGHBOUR_PLANES, H, W) of a neighbour, some rows at a time."""
        height, width = middle.luma.shape
        reference = self._doubled(middle)
        doubled = self._doubled(neighbour)
        for top in range(0, height, _STRIP_ROWS):
            bottom = min(height, top + _STRIP_ROWS)
            sampled = _sample_rows(doubled, flow, top, bottom)
            for phase in range(PHASES):
                row, column = divmod(phase, 2)
                planes[phase, top:bottom] = sampled[row::2, column::2]
            distance = cv2.absdiff(sampled, reference[2 * top : 2 * bottom])
            size = (width, bottom - top)
            mean = cv2.resize(distance, size, interpolation=cv2.INTER_AREA)
            mean = mean.reshape(bottom - top, width)
            np.minimum(mean, self._peak - self._black, out=mean)
            black = planes.dtype.type(self._black)
            np.add(mean, black, out=planes[PHASES, top:bottom])

    def _view(self, luma: Plane) -> View:
        view = next((view for view in self._views if view.luma is luma), None)
        if view is None:
            view = View(luma, next(self._numbers))
        others = [other for other in self._views if other is not view]
        self._views = [view, *others][:_MAX_VIEWS]
        return view

    def _doubled(self, view: View) -> Plane:
        doubled: Plane = view.once(
            "doubled",
            lambda: double_phase(view.luma, 0.25, 0.25, peak=self._peak),
        )
        return doubled

    def _searched(self, view: View) -> Bytes:
        """The frame as the search takes it."""
        codes: Bytes = view.once(
            "searched",
            lambda: _eight_bits(view.luma, self._bits),
        )
        return codes

    def _flow_over(self, middle: View, nearer: View, neighbour: View) -> Flow | None:
        """From ``middle`` to ``neighbour``, over the frame between them if there is one."""
        if nearer is middle or nearer is neighbour:
            return self._flow(middle, neighbour)
        return self._composed_flow(middle, nearer, neighbour)

    def _flow(self, first: View, second: View) -> Flow | None:
        """From a frame to the one beside it; None: nothing moves."""
        if first is second:
            return None
        flow: Flow | None = first.once(
            second.number,
            lambda: self._search_flow(first, second),
        )
        return flow

    def _search_flow(self, first: View, second: View) -> Flow | None:
        is_moving = _moving(first.luma, second.luma)
        if is_moving is None:
            return None
        rows, columns = _around(is_moving)
        part = _search(
            self._searched(first)[rows, columns],
            self._searched(second)[rows, columns],
        )
        flow = np.zeros((2, *is_moving.shape), np.float32)
        np.copyto(flow[:, rows, columns], part, where=is_moving[rows, columns])
        return flow

    def _composed_flow(self, first: View, second: View, third: View) -> Flow | None:
        """The sum of two flows, each taken where it applies; half the cost of a third search."""
        near = self._flow(first, second)
        far = self._flow(second, third)
        if near is None:
            return far
        if far is None:
            return near
        is_moving = _moving(first.luma, third.luma)
        if is_moving is None:
            return None
        flow = near.copy()
        x, y = near.copy()
        _displacements_to_places(x, y, 0)
        for total, part in zip(flow, far, strict=True):
            total += cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=_BORDER)
            total *= is_moving
        return flow


def _moving(first: Plane, second: Plane) -> NDArray[np.bool_] | None:
    """Where a pixel within ``_REST_PX`` differs, (H, W); None: nowhere."""
    differs = first != second
    if not differs.any():
        return None
    side = 2 * _REST_PX + 1
    square = np.ones((side, side), np.uint8)
    near = cv2.dilate(differs.view(np.uint8), square)
    return near.view(np.bool_)


def _around(is_moving: NDArray[np.bool_]) -> Box:
    """The rectangle around all motion, with a margin."""
    moving_rows = np.logical_or.reduce(is_moving, axis=1)
    moving_columns = np.logical_or.reduce(is_moving, axis=0)
    return _span(moving_rows), _span(moving_columns)


def _span(is_moving: NDArray[np.bool_]) -> slice:
    """From the first moving line to the last, with a margin."""
    places = np.flatnonzero(is_moving)
    start = int(places[0]) - _MARGIN_PX
    stop = int(places[-1]) + 1 + _MARGIN_PX
    return slice(max(0, start), min(len(is_moving), stop))


def _eight_bits(luma: Plane, bits: int) -> Bytes:
    if bits == 8:
        return np.ascontiguousarray(luma, np.uint8)
    half = 1 << (bits - 9)
    rounded = (luma.astype(np.uint32) + half) >> (bits - 8)
    return rounded.clip(0, 255).astype(np.uint8)


def new_search() -> cv2.DISOpticalFlow:
    """The motion search, with its settings."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(_FINEST_SCALE)
    search.setPatchStride(_PATCH_STRIDE_PX)
    search.setGradientDescentIterations(_DESCENT_STEPS)
    return search


def _search(first: Bytes, second: Bytes) -> Flow:
    """Dense inverse search (Kroeger et al. 2016) from one picture to another."""
    height, width = first.shape
    below = max(0, _MIN_SIDE_PX - height)
    right = max(0, _MIN_SIDE_PX - width)
    extended1 = cv2.copyMakeBorder(first, 0, below, 0, right, _BORDER)
    extended2 = cv2.copyMakeBorder(second, 0, below, 0, right, _BORDER)
    no_start: Any = None
    flow = new_search().calc(extended1, extended2, no_start)
    planes = np.moveaxis(flow[:height, :width], -1, 0)
    return cast("Flow", planes.copy())


def _displacements_to_places(x: Float, y: Float, top: int) -> None:
    """Turn displacements (H, W) of rows from ``top`` on into the pixels' places, in place."""
    height, width = x.shape
    x += np.arange(width, dtype=np.float32)
    y += np.arange(top, top + height, dtype=np.float32)[:, None]


def _sample_rows(doubled: Plane, flow: Flow | None, top: int, bottom: int) -> Plane:
    """The doubled neighbour, where rows ``top`` to ``bottom`` of frame t, doubled, are in it.

    With its centres aligned, its own samples are the phases of its pixels: a flow of zero takes
    them as they are.
    """
    if flow is None or not flow[:, max(0, top - 1) : bottom + 1].any():
        return doubled[2 * top : 2 * bottom]
    x, y = _doubled_flow(flow, top, bottom)
    _displacements_to_places(x, y, 2 * top)
    sampled = cv2.remap(doubled, x, y, cv2.INTER_LINEAR, borderMode=_BORDER)
    return cast("Plane", sampled)


def _doubled_flow(flow: Flow, top: int, bottom: int) -> list[Float]:
    """Rows ``top`` to ``bottom`` of a flow at twice the size, in pixels of that size."""
    _, height, width = flow.shape
    # interpolation at the strip's edges needs the rows above and below it
    first = max(0, top - 1)
    end = min(height, bottom + 1)
    size = (2 * width, 2 * (end - first))
    rows = slice(2 * (top - first), 2 * (bottom - first))
    doubled = []
    for part in flow[:, first:end] * np.float32(2):
        large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        doubled.append(cast("Float", large[rows]))
    return doubled
