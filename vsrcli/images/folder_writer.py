"""A folder of numbered pictures that appears only when it is complete."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.encode.atomic_file import TemporaryName, remove_abandoned
from vsrcli.encode.output import OutputVideo
from vsrcli.errors import OutputError
from vsrcli.frame import Frame, PixelFormat
from vsrcli.frame_io import FrameSink
from vsrcli.images.folders import FramePattern, check_folder_target
from vsrcli.images.stills import encode_picture


class FolderWriter(FrameSink):
    """Writes pictures into a hidden folder whose name ends in ``.part``; ``finish`` moves them.

    Attributes:
        frames: pictures written so far.
    """

    def __init__(
        self,
        target: Path,
        video: OutputVideo,
        *,
        pattern: FramePattern,
        first: int = 1,
        overwrite: bool = False,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        """Make the hidden folder.

        Args:
            target: the folder; made if it does not exist.
            video: size of the pictures, and what PNG files say of their colours. Frames may be of
                any planar RGB or gray of 8..16 bits.
            pattern: how the pictures are named.
            first: number of the first one.
            overwrite: whether existing pictures of the same names may be replaced.
            value_range: the values of black and white: then the pictures are of 32-bit
                floating-point values.

        Raises:
            OutputError: as ``check_folder_target``, or floating-point values in anything but TIFF.
        """
        check_folder_target(target, pattern, overwrite)
        if value_range is not None and pattern.suffix == ".png":
            stem = pattern.name(1).removesuffix(".png")
            raise OutputError(
                f"{target}: PNG cannot hold floating-point values: name the pictures {stem}.tiff"
            )
        self.frames = 0
        self._target = target
        self._video = video
        self._pattern = pattern
        self._number = first
        self._overwrite = overwrite
        self._range = value_range
        self._is_finished = False
        self._is_new = not target.is_dir()
        resolved = target.resolve()
        beside = resolved.parent if self._is_new else resolved
        remove_abandoned(target)
        try:
            self._temporary = TemporaryName(resolved, beside, is_folder=True)
        except OSError as error:
            raise self._failure(error) from error
        self._part = self._temporary.path

    def write(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Write the next picture; they are numbered in the order they come, whatever their ticks.

        See ``FrameSink.write``; the frame has planes of green, blue, red (and alpha), or gray.
        """
        is_picture = frame.format.is_rgb or not frame.format.has_chroma
        expected_size = (self._video.width, self._video.height)
        if not is_picture or (frame.width, frame.height) != expected_size:
            raise ValueError(
                f"a frame of {frame.width}x{frame.height} {frame.format.name} "
                f"does not belong to {self._video}"
            )
        picture = self._picture(frame)
        content = encode_picture(picture, self._pattern.suffix, self._video.tags)
        file = self._part / self._pattern.name(self._number)
        try:
            file.write_bytes(content)
        except OSError as error:
            raise self._failure(error) from error
        self._number += 1
        self.frames += 1

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
        """Move the pictures into the target, in the place of old ones of the same names.

        See ``FrameSink.finish``.
        """
        try:
            written = sorted(self._part.iterdir())
            if len(written) != expected_frames or not written:
                raise OutputError(
                    f"{self._target}: {len(written)} of {expected_frames} pictures arrived "
                    "in the folder"
                )
            if check is not None:
                check(self._part)
            self._publish(written)
        except OSError as error:
            self.abort()
            raise self._failure(error) from error
        except BaseException:
            self.abort()
            raise
        self._is_finished = True
        self._temporary.discard()

    def abort(self) -> None:
        """Leave nothing behind; has no effect after ``finish``."""
        if not self._is_finished:
            self._temporary.discard()

    def _publish(self, written: list[Path]) -> None:
        if self._is_new and not self._target.exists():
            self._part.rename(self._target.resolve())
            return
        old = [
            file
            for file in self._target.iterdir()
            if self._pattern.number(file.name) is not None
        ]
        if old and not self._overwrite:
            raise OutputError(
                f"{self._target} holds pictures of that name now ({old[0].name}); "
                "-y replaces them"
            )
        for file in written:
            file.replace(self._target / file.name)

    def _picture(self, frame: Frame) -> NDArray[Any]:
        planes = [self._samples(plane, frame.format) for plane in frame.planes]
        if not frame.format.is_rgb:
            return planes[0]
        green, blue, red, *alpha = planes
        return np.stack([red, green, blue, *alpha], axis=2)

    def _samples(self, plane: NDArray[Any], layout: PixelFormat) -> NDArray[Any]:
        """Codes as they are stored: floating-point values, or the full range of 8 or 16 bits."""
        if self._range is not None:
            low, high = self._range
            gain = (high - low) / layout.peak
            return (plane * gain + low).astype(np.float32)
        peak = 255 if layout.bits == 8 else 65535
        if layout.peak == peak:
            return plane
        return np.rint(plane * (peak / layout.peak)).astype(np.uint16)

    def _failure(self, error: OSError) -> OutputError:
        if error.errno == errno.ENOSPC:
            return OutputError(
                f"no space left on the disk of {self._target}: "
                "free some, or choose another folder"
            )
        return OutputError(f"{self._target}: cannot be written: {error.strerror}")
