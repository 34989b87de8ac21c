"""A backend as the pipeline needs it: luma codes in and out, in parts that fit into memory.

Nothing is computed twice.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from vsrcli.backends import Backend, TakesCodes, machine_bytes
from vsrcli.errors import BackendError
from vsrcli.frame import ColorTags, Frame, Plane
from vsrcli.models import DEFAULT_MODEL, ModelSpec
from vsrcli.picture.blend import blended, interpolated
from vsrcli.picture.color import affine, from_model, to_model, unrounded_codes
from vsrcli.picture.motion import MAX_SIDE_PX, Motion
from vsrcli.picture.reuse import Part, Reuse
from vsrcli.picture.tiles import Samples, Tiler
from vsrcli.pipeline.clock import Clock
from vsrcli.pipeline.prefetch import side_by_side

log = logging.getLogger(__name__)

T = TypeVar("T")
# Makes the planes of a window, and says how many seconds that took.
Work = Callable[[], tuple[Plane, float]]

# More need more memory than they save time.
_MAX_MOTION_THREADS = 12
# Cores that decode and encode beside a network on a GPU.
_OTHER_CORES = 2
# Motion compensation may take this part of the machine's memory.
_PART_OF_MEMORY = 4
# A thread holds about this many copies of the picture: planes being made and waiting, flows,
# doubled pictures, maps.
_WORK_COPIES = 100

# For each backend of this process, whether a part comes out as it does in the whole picture.
_PROVED: WeakKeyDictionary[Backend, bool] = WeakKeyDictionary()


class WindowPlanes:
    """Turns windows of luma planes into the planes that a network takes.

    Attributes:
        threads: how many make planes side by side.

    Args:
        spec: the network.
        device: where it runs.
        needs_neighbours: False: the planes are frame t alone, for whoever only interpolates.
    """

    threads = 1

    def __init__(
        self,
        spec: ModelSpec,
        device: str = "cpu",
        *,
        needs_neighbours: bool = True,
    ) -> None:
        self._spec = spec
        self._device = device
        self._needs_neighbours = needs_neighbours
        self._picture_bytes = 0
        self._motion: Motion | None = None

    @property
    def is_costly(self) -> bool:
        """Whether there is more to do than to put frames together."""
        return self._needs_neighbours and self._spec.is_motion_compensated

    def plan(
        self,
        lumas: Sequence[Plane],
        bits: int,
        is_full_range: bool,
    ) -> Work:
        """What makes the planes of one window; called by one thread, in the order of the windows.

        Args:
            lumas: frames t-2..t+2, (H, W) each, codes of ``bits`` bits. The same array is the same
                frame, so none may change while windows show it.
            bits: significant bits of a code, the same in all calls.
            is_full_range: whether the codes are of full range, the same in all calls.

        Returns:
            A function for any thread; its result is (planes, H, W), codes of the same kind, and the
            seconds that it took.

        Raises:
            BackendError: pictures too large for motion compensation.
        """
        if not self._needs_neighbours:
            lumas = [lumas[len(lumas) // 2]]
        if not self.is_costly:
            return partial(_timed, partial(_stacked, lumas))
        height, width = lumas[0].shape
        if max(height, width) > MAX_SIDE_PX:
            raise BackendError(
                f"{self._spec.name} takes pictures of at most {MAX_SIDE_PX} pixels a side, and "
                f"these have {width}x{height}: use --model {DEFAULT_MODEL}"
            )
        self._picture_bytes = lumas[0].nbytes
        self._motion = self._motion or Motion(bits, is_full_range=is_full_range)
        return partial(_timed, partial(self._motion.planes, self._motion.window(lumas)))

    def make(
        self, planned: Generator[tuple[T, Work]]
    ) -> Generator[tuple[T, tuple[Plane, float]]]:
        """Do what was planned for each item; costly work is done ahead, on threads of its own.

        Args:
            planned: items, each with its ``plan``; closed at the end.
        """
        if not self.is_costly:
            with closing(planned):
                for item, work in planned:
                    yield item, work()
            return
        first = next(planned, None)
        if first is None:
            return
        self.threads = self._affordable_threads()
        rest = _joined(first, planned)
        yield from side_by_side(rest, self.threads, "motion")

    def _affordable_threads(self) -> int:
        bytes_per_thread = _WORK_COPIES * self._picture_bytes
        max_threads = machine_bytes() // _PART_OF_MEMORY // bytes_per_thread
        return max(1, min(motion_threads(self._device), max_threads))


def motion_threads(device: str) -> int:
    """How many threads compensate motion for a network that runs on ``device``.

    On a CPU, half of the cores, which the network shares; next to a GPU, most of them.
    """
    cores = available_cores()
    free = cores // 2 if device == "cpu" else cores - _OTHER_CORES
    return min(_MAX_MOTION_THREADS, max(1, free))


def available_cores() -> int:
    """Cores of the processor that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _joined(first: T, rest: Generator[T]) -> Generator[T]:
    """An item that was taken already, and those after it; closes what they come from."""
    with closing(rest):
        yield first
        yield from rest


def _timed(work: Callable[[], Plane]) -> tuple[Plane, float]:
    began = time.perf_counter()
    planes = work()
    seconds = time.perf_counter() - began
    return planes, seconds


def _stacked(lumas: Sequence[Plane]) -> Plane:
    result: Plane = np.stack(lumas)  # type: ignore[assignment]  # all of one type
    return result


class LumaNetwork:
    """Doubles luma planes with a backend.

    Attributes:
        clock: time in the backend alone.
        inputs: makes what ``upscale`` takes.
        last_work: share of the last picture's pixels that had to be computed, 0..1.
    """

    last_work = 0.0

    def __init__(
        self,
        backend: Backend,
        *,
        tile: int | None = None,
        reuse: bool = True,
        strength: float = 1.0,
        on_note: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Wrap ``backend``.

        Args:
            backend: the network.
            tile: side of the largest square fed to it at once, low-resolution pixels; None for what
                memory allows.
            reuse: skip what has not changed since the last window (see ``picture.reuse``).
            strength: share of the network in the result, 0..1; the rest is bicubic interpolation.
                At 0 the network does not run.
            on_note: called with a line for the user if pictures have to be cut.
        """
        self.clock = Clock()
        self.inputs = WindowPlanes(
            backend.spec,
            backend.device,
            needs_neighbours=strength > 0,
        )
        self._backend = backend
        self._strength = strength
        self._unblended: Samples | None = None
        self._blended: Plane | None = None
        max_pixels = backend.max_pixels if tile is None else tile * tile
        # A mixture is rounded only once, after the parts of the picture have been put together.
        run = self._values if strength < 1 else self._run
        self._tiler = Tiler(
            run,
            backend.spec,
            max_pixels=max_pixels,
            on_shrink=on_note,
        )
        self._reuse = Reuse(
            self._tiler,
            backend.spec,
            exact_parts=backend.exact_parts,
            enabled=reuse,
            prove=self._comes_out_exact,
        )
        self._bits = 8
        self._is_full_range = False
        self._announced: tuple[int, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return self._backend.spec

    @property
    def reused(self) -> float:
        """Share of the pixels that were not computed, 0..1; those of halos count as computed."""
        if not self._reuse.pixels:
            return 0.0
        return 1 - self._reuse.pixels_computed / self._reuse.pixels

    def upscale(
        self,
        planes: Plane,
        bits: int,
        is_full_range: bool,
    ) -> Plane:
        """Upscale the middle frame of a window.

        Args:
            planes: as ``inputs`` makes them, (planes, H, W), frame t in the middle, uint8 or
                uint16, codes of ``bits`` bits; kept until the next call, so it must not change.
            bits: significant bits of a code, the same in all calls.
            is_full_range: whether the codes are of full range, the same in all calls.

        Returns:
            Shape (2H, 2W), codes of the same kind; it may be the last call's, so it must not be
            changed.

        Raises:
            BackendError: the network failed, gave values that are not numbers, or finds no memory
                even for a small part.
        """
        self._bits = bits
        self._is_full_range = is_full_range
        middle: Plane = planes[len(planes) // 2]
        if self._strength == 0:
            return interpolated(middle, bits)
        self._announce(*planes.shape[1:])
        before = self._reuse.pixels_computed
        result: Plane = self._reuse.upscale(planes)
        computed = self._reuse.pixels_computed - before
        self.last_work = computed / (planes.shape[1] * planes.shape[2])
        if self._strength < 1:
            return self._mixture(result, middle)
        return result

    def _mixture(self, values: Samples, middle: Plane) -> Plane:
        """The network's values, on the checkpoint's scale, mixed with interpolation."""
        is_new = values is not self._unblended
        if self._blended is None or is_new:
            codes = unrounded_codes(
                values,
                self._bits,
                self._is_full_range,
                self._backend.luma_scale,
            )
            self._blended = blended(codes, middle, self._bits, self._strength)
            self._unblended = values
        return self._blended

    def _run(self, windows: Samples) -> Samples:
        backend = self._backend
        scale = backend.luma_scale
        if isinstance(backend, TakesCodes):
            gain, offset = affine(self._bits, self._is_full_range, scale)
            peak = (1 << self._bits) - 1
            with self.clock:
                return backend.run_codes(windows, gain, offset, peak)
        values = self._values(windows)
        return from_model(values, self._bits, self._is_full_range, scale)

    def _values(self, windows: Samples) -> Samples:
        """Codes in, values on the checkpoint's scale out."""
        backend = self._backend
        scale = backend.luma_scale
        values = to_model(windows, self._bits, self._is_full_range, scale)
        with self.clock:
            values = backend.run(values)
        if not np.isfinite(values).all():
            raise BackendError(
                f"the network gave values that are not numbers in {backend.precision}: "
                "the checkpoint is unusable, or the source is"
            )
        return values

    def _comes_out_exact(self, lumas: Plane, part: Part) -> bool:
        """Compare a part computed by itself with the same of the whole picture; once per backend.

        The comparison is made before anything is rounded.
        """
        if self._backend not in _PROVED:
            spec = self._backend.spec
            tiler = Tiler(self._values, spec, max_pixels=self._tiler.max_pixels)
            rows, columns = part.source
            alone = tiler.upscale(lumas[:, rows, columns])
            whole = tiler.upscale(lumas)
            of_alone = part.cut(alone, spec.scale)
            of_whole = whole[part.place(spec.scale)]
            _PROVED[self._backend] = np.array_equal(of_alone, of_whole)
        return _PROVED[self._backend]

    def _announce(self, height: int, width: int) -> None:
        """Log, once for each size, what memory a picture needs and how many parts it has."""
        if self._announced == (height, width):
            return
        self._announced = (height, width)
        rows, columns = self._tiler.parts(height, width)
        parts = f"{rows} x {columns} tiles"
        if columns == 1:
            parts = f"{rows} strips" if rows > 1 else "whole pictures"
        gigabytes_per_pixel = self._backend.bytes_per_pixel / 1e9
        log.info(
            "a %dx%d picture needs about %.2f GB in the network; at most %.2f GB are used: %s",
            width,
            height,
            height * width * gigabytes_per_pixel,
            (self._tiler.max_pixels or 0) * gigabytes_per_pixel,
            parts,
        )


def upscale_luma(
    window: tuple[Frame, ...],
    network: LumaNetwork,
    tags: ColorTags,
) -> Plane:
    """Double the luma of the middle frame of a window.

    Args:
        window: the frame among its neighbours, all of one size and format.
        network: doubles it.
        tags: tells the range.

    Returns:
        Shape (2H, 2W), codes as in the frames.

    Raises:
        BackendError: the network failed, or gave values that are not numbers.
    """
    bits = window[0].format.bits
    is_full = tags.is_full_range
    lumas = [frame.luma for frame in window]
    planes, _ = network.inputs.plan(lumas, bits, is_full)()
    return network.upscale(planes, bits, is_full)
