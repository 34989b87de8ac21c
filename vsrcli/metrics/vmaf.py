"""VMAF and VMAF NEG, by the ffmpeg program in the package imageio-ffmpeg.

VMAF: Z. Li, A. Aaron, I. Katsavounidis, A. Moorthy and M. Manohara, "Toward A Practical Perceptual
Video Quality Metric", Netflix Technology Blog, 2016; model vmaf_v0.6.1, trained on 1080p seen from
three times the picture's height. It rewards sharpening. NEG ("no enhancement gain", model
vmaf_v0.6.1neg) caps that reward: Z. Li, K. Swanson, C. Bampis, L. Krasula and A. Aaron, "Toward a
Better Quality Metric for the Video Community", Netflix Technology Blog, 2020. Both models are built
into libvmaf: nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np

from vsrcli.errors import BackendError
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import (
    FloatLuma,
    SequenceScores,
    as_codes,
    check_frame,
    check_size,
    mean_of,
)

_MODELS = {
    "vmaf": "vmaf_v0.6.1",
    "vmaf_neg": "vmaf_v0.6.1neg",
}
_TITLES = {
    "vmaf": "VMAF",
    "vmaf_neg": "VMAF NEG",
}
# libvmaf crashes at 16, and at 32 its figure changes from run to run.
_MIN_SIDE = 64
_LOG = "vmaf.json"
_MESSAGES = "messages.txt"
_EXIT_TIMEOUT_S = 10.0


class Vmaf:
    """VMAF, VMAF NEG or both of one clip, from one ffmpeg process.

    Implements :class:`~vsrcli.metrics.sequence.SequenceMetric`. Luma is rounded to 8-bit codes. The
    process starts with the first frame.

    Args:
        names: ``vmaf``, ``vmaf_neg`` or both.
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        OptionError: the pictures are too small for VMAF.
        BackendError: imageio-ffmpeg is not installed, or has no ffmpeg for this machine.
    """

    def __init__(
        self,
        names: Sequence[str],
        width: int,
        height: int,
    ) -> None:
        check_size("VMAF", width, height, _MIN_SIDE)
        self.infos: tuple[MetricInfo, ...] = tuple(map(_info, names))
        self._names = tuple(names)
        self._width = width
        self._height = height
        self._ffmpeg = _find_ffmpeg()
        self._added = 0
        self._folder: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        # Both pictures travel as one, the truth on top, so that a single pipe carries them and
        # neither can wait for the other. Neutral chroma is sent too: converting gray to yuv420p
        # inside ffmpeg could change the range of the codes.
        self._rows = height + height % 2
        chroma_samples = 2 * self._rows * ((width + 1) // 2)
        self._chroma = bytes([128]) * chroma_samples
        self._planes = np.zeros((2 * self._rows, width), np.uint8)

    def add(self, truth: FloatLuma, picture: FloatLuma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`.

        Waits while ffmpeg is busy.
        """
        check_frame(truth, picture, self._width, self._height)
        if self._pipe is None:
            self._pipe = self._start()
        self._planes[: self._height] = as_codes(truth)
        self._planes[self._rows : self._rows + self._height] = as_codes(picture)
        try:
            _write(self._pipe, self._planes.tobytes())
            _write(self._pipe, self._chroma)
        except OSError as error:
            raise self._failure() from error
        self._added += 1

    def finish(self) -> SequenceScores:
        """Mean and each frame's score, 0..100."""
        if self._process is None or self._pipe is None or self._folder is None:
            return {name: (math.nan, []) for name in self._names}
        self._pipe.close()
        if self._process.wait() != 0:
            raise self._failure()
        try:
            values = self._read_log(Path(self._folder.name) / _LOG)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackendError(
                f"{self._ffmpeg}: its VMAF log cannot be read ({error}): "
                "pip install --upgrade imageio-ffmpeg"
            ) from error
        scores: SequenceScores = {}
        for name, frame_scores in values.items():
            if len(frame_scores) != self._added:
                raise BackendError(
                    f"{self._ffmpeg}: VMAF scored {len(frame_scores)} frames "
                    f"instead of {self._added}"
                )
            scores[name] = (mean_of(frame_scores), frame_scores)
        return scores

    def close(self) -> None:
        """End ffmpeg if it is still running, and remove its files."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self) -> IO[bytes]:
        """Start ffmpeg in a folder of its own for its log; returns its standard input."""
        self._folder = TemporaryDirectory(prefix="vsr-vmaf-")
        folder = Path(self._folder.name)
        command = [
            self._ffmpeg,
            *("-nostdin", "-hide_banner"),
            *("-loglevel", "error"),
            *("-f", "rawvideo"),
            *("-pix_fmt", "yuv420p"),
            *("-s", f"{self._width}x{2 * self._rows}"),
            *("-r", "25"),
            *("-i", "pipe:0"),
            *("-filter_complex", self._filters()),
            *("-f", "null"),
            "-",
        ]
        try:
            with (folder / _MESSAGES).open("wb") as messages:
                self._process = subprocess.Popen(
                    command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=messages,
                    cwd=folder,
                )
        except OSError as error:
            raise BackendError(
                f"{self._ffmpeg} cannot be run for VMAF ({error.strerror}): "
                "pip install --force-reinstall imageio-ffmpeg"
            ) from error
        assert self._process.stdin is not None
        return self._process.stdin

    def _filters(self) -> str:
        """Filters that split the joined picture and compare its halves."""
        crop = f"crop={self._width}:{self._height}:0"
        models = [rf"version={_MODELS[name]}\:name={name}" for name in self._names]
        options = [
            f"model='{'|'.join(models)}'",
            "log_fmt=json",
            f"log_path={_LOG}",
            f"n_threads={os.cpu_count() or 1}",
        ]
        filters = [
            "[0:v]split[both][copy]",
            f"[both]{crop}:0:exact=1[truth]",
            f"[copy]{crop}:{self._rows}:exact=1[picture]",
            f"[picture][truth]libvmaf={':'.join(options)}",
        ]
        return ";".join(filters)

    def _read_log(self, log: Path) -> dict[str, list[float]]:
        frames = json.loads(log.read_text())["frames"]
        values: dict[str, list[float]] = {}
        for name in self._names:
            scores = [frame["metrics"][name] for frame in frames]
            values[name] = list(map(float, scores))
        return values

    def _failure(self) -> BackendError:
        """The error for a process that stopped: its status, its message and a way out."""
        assert self._process is not None
        assert self._folder is not None
        try:
            status = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        end = f"exited with status {status}"
        if status < 0:
            end = f"was killed by signal {-status}"
        messages = Path(self._folder.name) / _MESSAGES
        lines = messages.read_text(errors="replace").split("\n")
        non_empty_lines = filter(None, map(str.strip, lines))
        # The first line is the cause, the following ones are its consequences.
        cause = next(non_empty_lines, "")
        if cause:
            cause = f": {cause}"
        return BackendError(
            f"VMAF: {self._ffmpeg} {end} after {self._added} frames{cause}; it must be "
            "version 5 or later with libvmaf, such as that of imageio-ffmpeg 0.6"
        )


def _info(name: str) -> MetricInfo:
    return MetricInfo(
        name=name,
        title=_TITLES[name],
        higher_is_better=True,
        digits=2,
        note=(
            f"luma of 8 bits, model {_MODELS[name]} of libvmaf, "
            "mean over frames, 0..100"
        ),
    )


def _write(pipe: IO[bytes], data: bytes) -> None:
    """Write all of ``data``: an unbuffered pipe may take only a part at a time."""
    remaining = memoryview(data)
    while remaining:
        written = pipe.write(remaining)
        remaining = remaining[written:]


def _find_ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise BackendError(
            "VMAF needs the package imageio-ffmpeg, which includes ffmpeg with libvmaf: "
            "pip install 'vsrcli[vmaf]'"
        ) from error
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise BackendError(
            "VMAF: imageio-ffmpeg has no ffmpeg for this machine: install one with "
            "libvmaf and name it in the environment variable IMAGEIO_FFMPEG_EXE"
        ) from error
