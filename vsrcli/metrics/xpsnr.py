"""XPSNR by FFmpeg's filter of that name.

C. R. Helmrich, M. Siekmann, S. Becker, S. Bosse, D. Marpe and T. Wiegand, "XPSNR: A Low-Complexity Extension of the Perceptually Weighted
Peak Signal-to-Noise Ratio for High-Resolution Video Quality Assessment", ICASSP 2020: a PSNR whose errors weigh less in blocks with much
detail or motion, where eyes notice them less.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError, OptionError

_LEAST_SIDE = 64  # below about 45 pixels FFmpeg's filter divides by zero, which ends the whole process
_LINE = re.compile(r"XPSNR y: *(\S+)")


class XpsnrFilter:
    """XPSNR of the luma of one clip, frame by frame in constant memory; the figures wait in a temporary file.

    The last row of an odd height is left out: the filter gives blocks one pixel tall so much weight that the figure falls by up to 10 dB.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        frames_per_second: of the clip, above 0; above 32 the filter measures motion over three frames instead of two.

    Raises:
        OptionError: pictures too small for the filter.
        BackendError: this FFmpeg has no such filter.
        ValueError: no frame rate above 0.
    """

    def __init__(self, width: int, height: int, frames_per_second: float) -> None:
        if min(width, height) < _LEAST_SIDE:
            raise OptionError(
                f"XPSNR needs at least {_LEAST_SIDE} pixels a side, {width}x{height} are left: use larger pictures or leave it out of --metrics"
            )
        self._height = height // 2 * 2
        rate = Fraction(frames_per_second).limit_denominator(1001)
        if rate <= 0:
            raise ValueError(f"{frames_per_second} frames a second: they are above 0")
        self._folder = TemporaryDirectory(prefix="vsr-xpsnr-")
        self._statistics = Path(self._folder.name) / "xpsnr.txt"
        self._step = 1 / rate
        self._added = 0
        try:
            graph = av.filter.Graph()
            source = f"video_size={width}x{self._height}:pix_fmt=gray:time_base={self._step}:frame_rate={rate}:pixel_aspect=1/1"
            truth, picture = graph.add("buffer", source), graph.add("buffer", source)
            measure = graph.add("xpsnr", stats_file=str(self._statistics))
            sink = graph.add("buffersink")
            # the weights come from the first input: unlike with FFmpeg's other metrics, that is the reference
            truth.link_to(measure, 0, 0)
            picture.link_to(measure, 0, 1)
            measure.link_to(sink)
            graph.configure()
        except (av.FFmpegError, ValueError) as error:
            self._folder.cleanup()
            raise BackendError(
                f"this FFmpeg has no XPSNR ({error}): pip install --upgrade av"
            ) from error
        self._sources = {"truth": truth, "picture": picture}
        self._sinks = [sink]
        self._graph: av.filter.Graph | None = graph

    def add(self, truth: NDArray[np.uint8], picture: NDArray[np.uint8]) -> None:
        """Take the next frame.

        Args:
            truth: luma codes of the ground truth, shape (height, width), uint8.
            picture: luma codes of the method, same shape.

        Raises:
            BackendError: FFmpeg failed.
        """
        try:
            for name, codes in (("truth", truth), ("picture", picture)):
                frame = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(codes[: self._height]), format="gray"
                )
                frame.pts, frame.time_base = self._added, self._step
                self._sources[name].push(frame)
            self._drain()
        except av.FFmpegError as error:
            raise BackendError(
                f"XPSNR failed at frame {self._added} ({error})"
            ) from error
        self._added += 1

    def finish(self) -> tuple[float, list[float]]:
        """The clip's XPSNR and each frame's, dB; infinite for a frame equal to its truth.

        The clip's figure is that of the paper and of FFmpeg, by the mean of the weighted root errors, not the mean of the dB.
        It is infinite only where all frames are equal to their truths, and NaN without any frame.

        Raises:
            BackendError: FFmpeg failed, or lost frames.
        """
        try:
            for source in self._sources.values():
                source.push(None)
            self._drain()
        except av.FFmpegError as error:
            raise BackendError(f"XPSNR failed at the end ({error})") from error
        self._release()
        text = self._statistics.read_text() if self._statistics.exists() else ""
        values = [
            float(match[1]) for match in map(_LINE.search, text.splitlines()) if match
        ]
        if len(values) != self._added:
            raise BackendError(
                f"XPSNR of {len(values)} frames came back for {self._added}"
            )
        if not values:
            return math.nan, []
        error_root = math.fsum(10 ** (-value / 20) for value in values) / len(values)
        return (-20 * math.log10(error_root) if error_root else math.inf), values

    def close(self) -> None:
        """Release the filter and remove its file; safe to call twice."""
        self._release()
        self._folder.cleanup()

    def _release(self) -> None:
        # the filter closes its file when the last part of its graph goes
        self._graph = None
        self._sources = {}
        self._sinks = []

    def _drain(self) -> None:
        for sink in self._sinks:
            with suppress(av.BlockingIOError, av.EOFError):
                while True:
                    sink.pull()
