"""Audio that a container refuses is decoded and encoded again, every sample at its own time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from vsrcli.streams.audio_settings import (
    DEFAULT_FRAME_SAMPLES,
    AudioSettings,
    layout_name,
    sample_format,
)
from vsrcli.timing import round_half_away

# Jitter of timestamps up to this comes from the container's clock; more is a gap or an overlap.
MAX_JITTER_SECONDS = Fraction(1, 50)
_SILENCE_SAMPLES = 1 << 14
# PyAV reads beyond a list of that many planes.
_MAX_PLANES = 8


class _SampleKind(NamedTuple):
    """What can change in the middle of a track."""

    format: str
    layout: str
    rate: int


class AudioConverter:
    """Decodes a track and encodes it again, every sample at its own time.

    Gaps in the timestamps become silence. Overlaps are cut off, and so is what is outside the
    output. At most a few packets are held.
    """

    def __init__(
        self,
        source: AudioStream,
        output: AudioStream,
        settings: AudioSettings,
        *,
        zero: Fraction,
        end: Fraction | None,
        from_zero: bool,
    ) -> None:
        """Prepare a track of the output.

        Args:
            source: the track.
            output: the new track, whose encoder is configured and open.
            settings: of that encoder.
            zero: time of the source's clock that is output time 0, seconds.
            end: output time at which the track ends, seconds; None for its own end.
            from_zero: the container keeps no timestamps: samples are counted from output time 0,
                the encoder's delay included.
        """
        self._source = source
        self._output = output
        self._settings = settings
        self._zero = zero
        self._end = end
        self._from_zero = from_zero
        self._samples_to_skip = settings.delay() if from_zero else 0
        self._resampler: av.AudioResampler | None = None
        self._kind: _SampleKind | None = None
        self._queue = av.AudioFifo()
        # of the next decoded sample, in samples of the source since output time 0
        self._position: int | None = None
        # of the next sample for the encoder, in samples of the output
        self._next_pts: int | None = None
        self._is_done = False

    def push(self, packet: Packet[Any] | None) -> Iterator[Packet[Any]]:
        """Convert one packet.

        Args:
            packet: of the source, with its own times; None at the end.

        Yields:
            Packets of the output.
        """
        if self._is_done:
            return
        for frame in self._decode(packet):
            yield from self._add(frame)
        if packet is None:
            self._is_done = True
            yield from self._flush_resampler()
            yield from self._encode(whole=True)
            if self._next_pts is not None:
                yield from self._output.encode(None)

    def _decode(self, packet: Packet[Any] | None) -> list[Any]:
        try:
            if packet is None:
                return list(self._source.codec_context.decode(None))
            return list(packet.decode())
        except av.FFmpegError:
            # a damaged packet: what follows it shows how long the silence is
            return []

    def _add(self, frame: Any) -> Iterator[Packet[Any]]:
        samples = _samples(frame)
        rate = frame.sample_rate
        position = self._position or 0
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base - self._zero
            position = round_half_away(time * rate)
        layout = layout_name(frame.layout.name, samples.shape[0])
        kind = _SampleKind(frame.format.name, layout, rate)
        current = self._current_position(position, rate)
        if kind != self._kind:
            yield from self._begin(kind)

        gap = position - current
        if abs(gap) <= MAX_JITTER_SECONDS * rate and current > 0:
            gap = 0
        if gap < 0:
            samples = samples[:, -gap:]
        stop = None if self._end is None else round_half_away(self._end * rate)
        silence = max(0, gap)
        if stop is not None:
            silence = min(silence, stop - current)
        yield from self._add_silence(silence, samples, kind)
        if stop is not None:
            remaining = max(0, stop - (self._position or 0))
            samples = samples[:, :remaining]
        if samples.shape[1]:
            yield from self._resample(samples, kind)

    def _current_position(self, first: int, rate: int) -> int:
        """The end of the track so far, in samples of the given rate; it begins at ``first``."""
        if self._position is None:
            is_at_zero = self._from_zero or first < 0
            self._position = 0 if is_at_zero else first
            seconds = Fraction(self._position, rate)
            self._next_pts = round_half_away(seconds * self._settings.rate)
        elif self._kind is not None and rate != self._kind.rate:
            seconds = Fraction(self._position, self._kind.rate)
            self._position = round_half_away(seconds * rate)
        return self._position

    def _begin(self, kind: _SampleKind) -> Iterator[Packet[Any]]:
        yield from self._flush_resampler()
        self._kind = kind
        self._resampler = av.AudioResampler(
            sample_format(self._settings.encoder),
            self._settings.layout,
            self._settings.rate,
        )

    def _add_silence(
        self,
        count: int,
        like: Any,
        kind: _SampleKind,
    ) -> Iterator[Packet[Any]]:
        channels = like.shape[0]
        while count > 0:
            step = min(count, _SILENCE_SAMPLES)
            yield from self._resample(np.zeros((channels, step), like.dtype), kind)
            count -= step

    def _resample(self, samples: Any, kind: _SampleKind) -> Iterator[Packet[Any]]:
        interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(
            interleaved,
            format=av.AudioFormat(kind.format).packed.name,
            layout=kind.layout,
        )
        frame.sample_rate = kind.rate
        frame.pts = self._position
        frame.time_base = Fraction(1, kind.rate)
        self._position = (self._position or 0) + samples.shape[1]
        if self._resampler is not None:
            yield from self._enqueue(self._resampler.resample(frame))

    def _flush_resampler(self) -> Iterator[Packet[Any]]:
        if self._resampler is not None:
            yield from self._enqueue(self._resampler.resample(None))

    def _enqueue(self, frames: list[AudioFrame]) -> Iterator[Packet[Any]]:
        for frame in frames:
            if frame.samples:
                frame.pts = None
                self._queue.write(frame)
        yield from self._encode(whole=False)

    def _encode(self, *, whole: bool) -> Iterator[Packet[Any]]:
        """Encode what is in the queue: full frames, or all of it."""
        self._skip_samples()
        size = self._output.codec_context.frame_size or DEFAULT_FRAME_SAMPLES
        while self._queue.samples >= size or (whole and self._queue.samples):
            frame = self._queue.read(size, partial=whole)
            if frame is None:
                break
            frame.pts = self._next_pts
            frame.time_base = Fraction(1, self._settings.rate)
            frame.sample_rate = self._settings.rate
            self._next_pts = (self._next_pts or 0) + frame.samples
            yield from self._output.encode(frame)

    def _skip_samples(self) -> None:
        while self._samples_to_skip and self._queue.samples:
            count = min(self._samples_to_skip, self._queue.samples)
            skipped = self._queue.read(count, partial=True)
            if skipped is None:
                break
            self._samples_to_skip -= skipped.samples
            self._next_pts = (self._next_pts or 0) + skipped.samples


def _samples(frame: AudioFrame) -> Any:
    """The samples of a frame, shape (channels, samples)."""
    is_planar = frame.format.is_planar
    if is_planar and len(frame.layout.channels) >= _MAX_PLANES:
        resampler = av.AudioResampler(
            frame.format.packed.name,
            frame.layout.name,
            frame.sample_rate,
        )
        (frame,) = resampler.resample(frame)
    array = frame.to_ndarray()
    if frame.format.is_planar:
        return array
    return array.reshape(frame.samples, -1).T
