"""XPSNR, by FFmpeg's filter of that name.

C. R. Helmrich, M. Siekmann, S. Becker, S. Bosse, D. Marpe and T. Wiegand, "XPSNR: A Low-Complexity
Extension of the Perceptually Weighted Peak Signal-to-Noise Ratio for High-Resolution Video Quality
Assessment", ICASSP 2020: a PSNR whose errors weigh less in blocks with much detail or motion, where
eyes notice them less.
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

from vsrcli.errors import BackendError
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import (
    FloatLuma,
    SequenceScores,
    as_codes,
    check_frame,
    check_size,
)

INFO = MetricInfo(
    name="xpsnr",
    title="XPSNR dB",
    higher_is_better=True,
    digits=2,
    note=(
        "luma of 8 bits, FFmpeg's filter, by the clip's mean weighted root error "
        "(not the mean of the dB)"
    ),
)

# Below about 45 pixels FFmpeg's filter divides by zero, which ends the whole process.
_MIN_SIDE = 64
_STATISTICS_LINE = re.compile(r"XPSNR y: *(\S+)")


class Xpsnr:
    """XPSNR of one clip; implements :class:`~vsrcli.metrics.sequence.SequenceMetric`.

    Luma is rounded to 8-bit codes. Memory is constant: the figures wait in a temporary file. The
    last row of an odd height is left out, because the filter gives blocks one pixel tall so much
    weight that the figure falls by up to 10 dB.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        frames_per_second: of the clip, above 0; above 32 the filter measures motion over three
            frames instead of two.

    Raises:
        OptionError: the pictures are too small for the filter.
        BackendError: this FFmpeg has no such filter.
        ValueError: the frame rate is not above 0.
    """

    infos: tuple[MetricInfo, ...] = (INFO,)

    def __init__(
        self,
        width: int,
        height: int,
        frames_per_second: float,
    ) -> None:
        check_size("XPSNR", width, height, _MIN_SIDE)
        rate = Fraction(frames_per_second).limit_denominator(1001)
        if rate <= 0:
            raise ValueError(f"{frames_per_second} frames a second: it must be above 0")
        self._width = width
        self._height = height
        self._even_height = height // 2 * 2
        self._tick = 1 / rate
        self._added = 0
        self._folder = TemporaryDirectory(prefix="vsr-xpsnr-")
        self._statistics = Path(self._folder.name) / "xpsnr.txt"
        try:
            self._graph: _FilterGraph | None = _FilterGraph(
                width, self._even_height, rate, self._statistics
            )
        except (av.FFmpegError, ValueError) as error:
            self._folder.cleanup()
            raise BackendError(
                f"this FFmpeg has no XPSNR ({error}): pip install --upgrade av"
            ) from error

    def add(self, truth: FloatLuma, picture: FloatLuma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        assert self._graph is not None
        try:
            self._graph.push(
                self._frame(truth),
                self._frame(picture),
            )
        except av.FFmpegError as error:
            raise BackendError(
                f"XPSNR failed at frame {self._added} ({error})"
            ) from error
        self._added += 1

    def finish(self) -> SequenceScores:
        """XPSNR of the clip and of each frame, dB; infinite for a frame equal to its truth.

        The clip's figure is that of the paper and of FFmpeg, by the mean of the weighted root
        errors, not the mean of the dB. It is infinite only if all frames equal their truths, and
        NaN without any frame.

        Raises:
            BackendError: FFmpeg failed, or lost frames.
        """
        assert self._graph is not None
        try:
            self._graph.push(None, None)
        except av.FFmpegError as error:
            raise BackendError(f"XPSNR failed at the end ({error})") from error
        self._graph = None
        values = self._read_statistics()
        if len(values) != self._added:
            raise BackendError(
                f"XPSNR scored {len(values)} frames instead of {self._added}"
            )
        return {INFO.name: (clip_xpsnr(values), values)}

    def close(self) -> None:
        """Release the filter and remove its file."""
        self._graph = None
        self._folder.cleanup()

    def _frame(self, luma: FloatLuma) -> av.VideoFrame:
        codes = as_codes(luma)[: self._even_height]
        frame = av.VideoFrame.from_ndarray(codes, format="gray")
        frame.pts = self._added
        frame.time_base = self._tick
        return frame

    def _read_statistics(self) -> list[float]:
        if not self._statistics.exists():
            return []
        values = []
        for line in self._statistics.read_text().splitlines():
            match = _STATISTICS_LINE.search(line)
            if match:
                values.append(float(match[1]))
        return values


class _FilterGraph:
    """FFmpeg's filter with its two sources; it closes its file when this object is released."""

    def __init__(
        self,
        width: int,
        height: int,
        rate: Fraction,
        file: Path,
    ) -> None:
        source = (
            f"video_size={width}x{height}:pix_fmt=gray:time_base={1 / rate}"
            f":frame_rate={rate}:pixel_aspect=1/1"
        )
        self._graph = av.filter.Graph()
        self._truth = self._graph.add("buffer", source)
        self._picture = self._graph.add("buffer", source)
        self._sink = self._graph.add("buffersink")
        xpsnr = self._graph.add("xpsnr", stats_file=str(file))
        # The weights come from the first input. Unlike in FFmpeg's other metrics, that is the
        # reference.
        self._truth.link_to(xpsnr, 0, 0)
        self._picture.link_to(xpsnr, 0, 1)
        xpsnr.link_to(self._sink)
        self._graph.configure()

    def push(
        self,
        truth: av.VideoFrame | None,
        picture: av.VideoFrame | None,
    ) -> None:
        """Compare two frames; None after the last."""
        self._truth.push(truth)
        self._picture.push(picture)
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                self._sink.pull()


def clip_xpsnr(values: list[float]) -> float:
    """XPSNR of a clip, dB, by those of its frames; NaN without any."""
    if not values:
        return math.nan
    root_errors = [10 ** (-value / 20) for value in values]
    mean_root_error = math.fsum(root_errors) / len(values)
    if mean_root_error == 0:
        return math.inf
    return -20 * math.log10(mean_root_error)
