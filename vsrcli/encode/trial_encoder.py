"""An encoder whose packets are counted and thrown away: how large an output will be, how slow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

from vsrcli.encode.encoding import VideoEncoder, failure
from vsrcli.encode.output import OutputVideo
from vsrcli.frame import Frame
from vsrcli.options import EncoderOptions


class TrialEncoder:
    """Encodes frames as the output's encoder does, into nothing.

    Attributes:
        frames: frames given so far.
        packets: those of them that came out.
    """

    def __init__(
        self,
        target: Path,
        video: OutputVideo,
        options: EncoderOptions,
    ) -> None:
        """Open it; see ``VideoEncoder``.

        Raises:
            OutputError: encoder, option, pixel format or container refuse.
        """
        self.frames = 0
        self._target = target
        self._encoder = VideoEncoder(target, video, options, io.BytesIO())
        self._keyframe_sizes: list[int] = []
        self._other_sizes: list[int] = []

    @property
    def packets(self) -> int:
        """How many frames came out."""
        return len(self._keyframe_sizes) + len(self._other_sizes)

    def write(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Encode a frame; see ``FrameSink.write``.

        Raises:
            OutputError: the encoder failed.
        """
        try:
            packets = self._encoder.encode(frame, tick, duration)
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._target, self._encoder.codec) from error
        self.frames += 1
        self._count(packets)

    def finish(self) -> None:
        """Encode what the encoder still holds.

        Raises:
            OutputError: the encoder failed.
        """
        try:
            packets = self._encoder.flush() if self.frames else []
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._target, self._encoder.codec) from error
        self._count(packets)

    def bytes_per_frame(self, group: int) -> float | None:
        """The mean size of a frame in a long video; None if none came out.

        Args:
            group: frames from one keyframe to the next there.
        """
        others = self._other_sizes or self._keyframe_sizes
        if not others:
            return None
        usual = sum(others) / len(others)
        keyframes = self._keyframe_sizes or others
        extra = sum(keyframes) / len(keyframes) - usual
        return usual + extra / max(1, group)

    def close(self) -> None:
        """Release the encoder; may be called more than once."""
        self._encoder.close()

    def _count(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            sizes = self._keyframe_sizes if packet.is_keyframe else self._other_sizes
            sizes.append(packet.size)
