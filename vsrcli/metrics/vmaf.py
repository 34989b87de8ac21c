"""VMAF and VMAF NEG, by the ffmpeg program that the package imageio-ffmpeg carries.

VMAF: Z. Li, A. Aaron, I. Katsavounidis, A. Moorthy and M. Manohara, "Toward A Practical Perceptual Video Quality Metric", Netflix Technology
Blog, 2016; model vmaf_v0.6.1, trained on 1080p seen from three times the picture's height. It rewards sharpening; NEG (model vmaf_v0.6.1neg,
"no enhancement gain", Z. Li, K. Swanson, C. Bampis, L. Krasula and A. Aaron, "Toward a Better Quality Metric for the Video Community", Netflix
Technology Blog, 2020) caps that reward. Both models are built into libvmaf: nothing is downloaded.
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
    Luma,
    SequenceScores,
    as_codes,
    check_frame,
    check_size,
    mean_of,
)

_MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
_TITLES = {"vmaf": "VMAF", "vmaf_neg": "VMAF NEG"}
_LEAST_SIDE = (
    64  # libvmaf crashes at 16 and gives a figure that changes from run to run at 32
)
_LOG, _MESSAGES = "vmaf.json", "messages.txt"
_SECONDS_TO_DIE = 10.0


class Vmaf:
    """VMAF, VMAF NEG or both of one clip, from one ffmpeg process; keeps the :class:`~vsrcli.metrics.sequence.SequenceMetric` protocol.

    Luma is rounded to 8-bit codes. The process starts with the first frame.

    Args:
        names: ``vmaf``, ``vmaf_neg`` or both.
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        OptionError: pictures too small for VMAF.
        BackendError: imageio-ffmpeg is not installed, or brings no ffmpeg for this machine.
    """

    def __init__(self, names: Sequence[str], width: int, height: int) -> None:
        check_size("VMAF", width, height, _LEAST_SIDE)
        self.infos: tuple[MetricInfo, ...] = tuple(
            MetricInfo(
                name,
                _TITLES[name],
                True,
                2,
                f"luma of 8 bits, model {_MODELS[name]} of libvmaf, mean over frames, 0..100",
            )
            for name in names
        )
        self._names = tuple(names)
        self._width, self._height = width, height
        self._ffmpeg = _find_ffmpeg()
        self._added = 0
        self._folder: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        # Both pictures travel as one, the truth above, so that a single pipe carries them and none can wait for the other.
        # Chroma is sent too, as neutral: converting gray to yuv420p inside ffmpeg could change the range of the codes.
        self._rows = height + height % 2
        chroma_samples = 2 * self._rows * ((width + 1) // 2)
        self._chroma = bytes([128]) * chroma_samples
        self._planes = np.zeros((2 * self._rows, width), np.uint8)

    def add(self, truth: Luma, picture: Luma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`. Waits while ffmpeg is busy."""
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
        """Mean and each frame's score, 0..100; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        if self._process is None or self._pipe is None or self._folder is None:
            return {name: (math.nan, []) for name in self._names}
        self._pipe.close()
        if self._process.wait() != 0:
            raise self._failure()
        try:
            frames = json.loads((Path(self._folder.name) / _LOG).read_text())["frames"]
            values = {
                name: [float(frame["metrics"][name]) for frame in frames]
                for name in self._names
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackendError(
                f"{self._ffmpeg}: its VMAF log cannot be read ({error}): pip install --upgrade imageio-ffmpeg"
            ) from error
        if len(frames) != self._added:
            raise BackendError(
                f"{self._ffmpeg}: VMAF of {len(frames)} frames came back for {self._added}"
            )
        return {name: (mean_of(each), each) for name, each in values.items()}

    def close(self) -> None:
        """End ffmpeg if it still runs and remove its files."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self) -> IO[bytes]:
        """Start ffmpeg in a folder of its own, where its log goes; gives the pipe to its standard input."""
        self._folder = TemporaryDirectory(prefix="vsr-vmaf-")
        crop = f"crop={self._width}:{self._height}:0"
        models = "|".join(
            rf"version={_MODELS[name]}\:name={name}" for name in self._names
        )
        graph = (
            f"[0:v]split[both][copy];[both]{crop}:0:exact=1[truth];[copy]{crop}:{self._rows}:exact=1[picture];"
            f"[picture][truth]libvmaf=model='{models}':log_fmt=json:log_path={_LOG}:n_threads={os.cpu_count() or 1}"
        )
        command = [self._ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error"]
        command += [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-s",
            f"{self._width}x{2 * self._rows}",
            "-r",
            "25",
            "-i",
            "pipe:0",
        ]
        command += ["-filter_complex", graph, "-f", "null", "-"]
        try:
            with (Path(self._folder.name) / _MESSAGES).open("wb") as messages:
                self._process = subprocess.Popen(
                    command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=messages,
                    cwd=self._folder.name,
                )
        except OSError as error:
            raise BackendError(
                f"{self._ffmpeg} cannot be run for VMAF ({error.strerror}): pip install --force-reinstall imageio-ffmpeg"
            ) from error
        assert self._process.stdin is not None
        return self._process.stdin

    def _failure(self) -> BackendError:
        """What to say of a process that stopped; its status, its last words and a way out."""
        assert self._process is not None
        assert self._folder is not None
        try:
            status = self._process.wait(_SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        lines = (
            (Path(self._folder.name) / _MESSAGES)
            .read_text(errors="replace")
            .split("\n")
        )
        # the first line is the cause, what follows are its consequences
        said = next((f": {line.strip()}" for line in lines if line.strip()), "")
        end = (
            f"was ended by signal {-status}"
            if status < 0
            else f"ended with status {status}"
        )
        needed = "it must be of version 5 or later with libvmaf, such as that of imageio-ffmpeg 0.6"
        return BackendError(
            f"VMAF: {self._ffmpeg} {end} after {self._added} frames{said}; {needed}"
        )


def _write(pipe: IO[bytes], data: bytes) -> None:
    """Write all of ``data``: an unbuffered pipe may take a part at a time."""
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]


def _find_ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise BackendError(
            "VMAF needs the package imageio-ffmpeg, which carries ffmpeg with libvmaf: pip install 'vsrcli[vmaf]'"
        ) from error
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise BackendError(
            "VMAF: imageio-ffmpeg brings no ffmpeg for this machine: install one with libvmaf and name it in the environment variable IMAGEIO_FFMPEG_EXE"
        ) from error
