"""A folder of numbered pictures that comes into being whole: the surface of ``VideoWriter``."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import OutputError
from vsrcli.frame import Frame
from vsrcli.media.folders import FramePattern, check_folder_target
from vsrcli.media.output import OutputVideo
from vsrcli.media.stills import encode_picture


class FolderWriter:
    """Writes pictures into a hidden folder whose name ends in ``.part``; ``finish`` brings them to where they belong.

    Attributes:
        origin: as in ``VideoWriter``; not used.
        frames: pictures written so far.
    """

    def __init__(
        self, target: Path, video: OutputVideo, *, pattern: FramePattern, first: int = 1, overwrite: bool = False,
        value_range: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        """Make the hidden folder.

        Args:
            target: the folder; made where it is not there.
            video: size of the pictures, and what PNG files are to say of their colours. Frames may be of any planar RGB or gray of 8..16 bits.
            pattern: how they are called.
            first: number of the first one.
            overwrite: whether pictures of the same names that are there may be replaced.
            value_range: what black and white stand for: then the pictures are of 32-bit floating-point values.

        Raises:
            OutputError: as ``check_folder_target``, or floating-point values in anything but TIFF.
        """
        check_folder_target(target, pattern, overwrite)
        if value_range is not None and pattern.suffix == ".png":
            raise OutputError(
                f"{target}: PNG cannot hold floating-point values: name the pictures {pattern.name(1).removesuffix('.png')}.tiff"
            )
        self.origin = Fraction(0)
        self.frames = 0
        (
            self._target,
            self._video,
            self._pattern,
            self._number,
            self._overwrite,
            self._range,
        ) = target, video, pattern, first, overwrite, value_range
        self._finished = False
        self._is_new = not target.is_dir()
        beside = target.resolve().parent if self._is_new else target.resolve()
        self._part = (
            beside / f".{target.resolve().name[:80]}.{secrets.token_hex(4)}.part"
        )
        try:
            self._part.mkdir()
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._finished:
            self.abort()

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Write the next picture; they are numbered in the order they come, whatever their ticks.

        Args:
            frame: planes G, B, R (and alpha), or gray; of the video's size.
            tick: as in ``VideoWriter``; not used.
            duration: the same.

        Raises:
            OutputError: the disk is full, or refuses.
            ValueError: the frame is of another size or kind.
        """
        if (frame.width, frame.height) != (
            self._video.width,
            self._video.height,
        ) or not (frame.format.is_rgb or not frame.format.has_chroma):
            raise ValueError(
                f"a frame of {frame.width}x{frame.height} {frame.format.name} does not belong to {self._video}"
            )
        content = encode_picture(
            self._picture(frame), self._pattern.suffix, self._video.tags
        )
        try:
            (self._part / self._pattern.name(self._number)).write_bytes(content)
        except OSError as error:
            raise self._failure(error) from error
        self._number += 1
        self.frames += 1

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
        """Bring the pictures to where they belong; those of the same names that were there are gone afterwards.

        Args:
            expected_frames: how many there must be.
            check: called with the hidden folder; what it raises keeps the pictures from being published.

        Raises:
            OutputError: there are not as many, or the disk refuses; nothing is left of them.
        """
        try:
            written = sorted(self._part.iterdir())
            if len(written) != expected_frames or not written:
                raise OutputError(
                    f"{self._target}: {len(written)} of {expected_frames} pictures arrived in the folder"
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
        self._finished = True

    def abort(self) -> None:
        """Leave nothing behind; may be called more than once."""
        if not self._finished:
            shutil.rmtree(self._part, ignore_errors=True)

    def _publish(self, written: list[Path]) -> None:
        if self._is_new and not self._target.exists():
            self._part.rename(self._target.resolve())
            return
        names = {file.name for file in written}
        old = [
            file
            for file in self._target.iterdir()
            if self._pattern.number(file.name) is not None
        ]
        if old and not self._overwrite:
            raise OutputError(
                f"{self._target} holds pictures of that name by now ({old[0].name}); -y replaces them"
            )
        for file in written:
            file.replace(self._target / file.name)
        for file in old:
            if file.name not in names:
                file.unlink()
        with contextlib.suppress(OSError):
            self._part.rmdir()

    def _picture(self, frame: Frame) -> NDArray[Any]:
        layout = frame.format
        peak = 255 if layout.bits == 8 else 65535
        planes: list[NDArray[Any]] = list(frame.planes)
        if self._range is not None:
            low, high = self._range
            planes = [
                (plane * ((high - low) / layout.peak) + low).astype(np.float32)
                for plane in planes
            ]
        elif layout.peak != peak:
            planes = [
                np.rint(plane * (peak / layout.peak)).astype(np.uint16)
                for plane in planes
            ]
        if not layout.is_rgb:
            return planes[0]
        return np.stack([planes[2], planes[0], planes[1], *planes[3:]], axis=2)

    def _failure(self, error: OSError) -> OutputError:
        if error.errno == errno.ENOSPC:
            return OutputError(
                f"no space left on the disk of {self._target}: free some, or choose another folder"
            )
        return OutputError(f"{self._target}: cannot be written: {error.strerror}")
