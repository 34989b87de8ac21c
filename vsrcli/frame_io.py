"""Where frames come from and go to: the interfaces of all readers and writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vsrcli.errors import InputError
from vsrcli.frame import Damage, Frame, VideoInfo


class FrameSource(Protocol):
    """Frames in presentation order, once; closed at the end of a ``with`` block.

    Attributes:
        info: what is known of the source before decoding it.
        damage: what was wrong so far; complete when the iteration has ended.
    """

    info: VideoInfo
    damage: Damage

    def __iter__(self) -> Iterator[Frame]:
        """The frames of the range asked for, and the context around it.

        Raises:
            InputError: the source cannot be read, or holds no frame in the range.
        """
        ...

    def first_time(self) -> Fraction:
        """Time of the first frame within the range asked for, seconds; called before iterating.

        Frames that are decoded for it are kept: the iteration still gives every frame.

        Raises:
            InputError: the source cannot be read, or holds no frame in the range.
        """
        ...

    def stalled(self) -> InputError | None:
        """Called from another thread: an error if reading has stopped making progress, or None."""
        return None

    def close(self) -> None:
        """Stop reading; may be called more than once."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class FrameSink(Protocol):
    """Takes frames for an output; leaving a ``with`` block without ``finish`` leaves nothing."""

    def write(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Take one frame.

        Args:
            frame: of the output's size and format; its planes must not change afterwards.
            tick: output timestamp, in units of the output's time base; larger than the one before.
            duration: ticks.

        Raises:
            OutputError: the encoder failed, or the disk is full.
            ValueError: the frame is of another size or format.
        """
        ...

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
        """Complete the output and give it its name.

        Args:
            expected_frames: how many frames it must hold.
            check: called with the complete output under its temporary name; if it raises, the
                output does not get its own.

        Raises:
            OutputError: the output is not complete; nothing is left of it, and an existing target
                is unchanged.
        """
        ...

    def abort(self) -> None:
        """Stop and leave nothing behind; has no effect after ``finish``."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()
