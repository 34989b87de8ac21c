"""What is made of a sound track or of text subtitles that a container does not take: AAC, MP3, AC-3 or Opus; mov_text, WebVTT or SubRip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from vsrcli.media.encoders import open_quietly
from vsrcli.timing import round_half_away

# canonical name of the codec -> FFmpeg's encoder
SOUND_ENCODERS = {"aac": "aac", "mp3": "libmp3lame", "ac3": "ac3", "opus": "libopus"}
TEXT_CODECS = ("subrip", "ass", "ssa", "mov_text", "webvtt", "text")

_BITS_A_CHANNEL = {"aac": 96_000, "mp3": 128_000, "ac3": 96_000, "opus": 64_000}
_LEAST_BITS, _MOST_BITS = 128_000, {"mp3": 320_000, "ac3": 640_000, "opus": 510_000}
_LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "4.0",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
_SMALLER_LAYOUTS = ("7.1", "5.1", "stereo", "mono")
_NEVER_MIXED = ("mp3",)  # another codec takes more channels
# Jitter of timestamps up to this is that of the container's clock; more is a gap or an overlap.
_TOLERATED_SECONDS = Fraction(1, 50)
_SILENCE_SAMPLES = 1 << 14
_MOST_PLANES = 8  # PyAV runs over the end of a list of that many


@dataclass(frozen=True, slots=True)
class Sound:
    """How a sound track is encoded.

    Attributes:
        codec: canonical name.
        rate: samples a second.
        layout: FFmpeg's name of the channels' layout.
        channels: their number.
        bit_rate: bits a second.
    """

    codec: str
    rate: int
    layout: str
    channels: int
    bit_rate: int

    @property
    def encoder(self) -> str:
        """FFmpeg's encoder."""
        return SOUND_ENCODERS[self.codec]

    def configure(self, context: AudioCodecContext) -> None:
        """Tell an encoder, before it opens."""
        context.sample_rate, context.layout, context.bit_rate = (
            self.rate,
            self.layout,
            self.bit_rate,
        )
        context.format = _sample_format(self.encoder)
        context.time_base = Fraction(1, self.rate)

    def delay(self) -> int:
        """By how many samples the encoder's first packet begins before the first sample it was given."""
        context = _opened(self)
        step = context.frame_size or 1024
        packets: list[Any] = []
        for number in range(8):
            silence = AudioFrame(
                format=_sample_format(self.encoder), layout=self.layout, samples=step
            )
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.sample_rate, silence.pts, silence.time_base = (
                self.rate,
                number * step,
                Fraction(1, self.rate),
            )
            packets = list(context.encode(silence))
            if packets:
                break
        return max(0, -(packets[0].pts or 0)) if packets else 0


def _sample_format(encoder: str) -> str:
    names = [each.name for each in av.codec.Codec(encoder, "w").audio_formats or ()]
    return next((name for name in ("fltp", "flt") if name in names), names[0])


def _opened(sound: Sound) -> AudioCodecContext:
    context = av.CodecContext.create(sound.encoder, "w")
    if not isinstance(context, AudioCodecContext):
        raise ValueError(f"{sound.encoder} is no audio encoder")
    sound.configure(context)
    context.open(strict=False)
    return context


def _can_open(sound: Sound) -> bool:
    def open_it() -> None:
        _opened(sound)

    return open_quietly(open_it) is None


def can_decode(stream: Stream) -> bool:
    """Whether there is a decoder for a stream; PyAV leaves the context out where there is none, whatever its annotation says."""
    context: Any = stream.codec_context
    return context is not None and bool(getattr(context, "sample_rate", 1))


def audio_encoder(stream: Stream, codec: str) -> Sound | None:
    """How a track is encoded in a codec: its own rate and channels where the encoder has them, else the next.

    Args:
        stream: the track; FFmpeg has a decoder for it.
        codec: a key of ``SOUND_ENCODERS``.

    Returns:
        None where there is no way.
    """
    context: Any = stream.codec_context
    rates = sorted(
        av.codec.Codec(SOUND_ENCODERS[codec], "w").audio_rates or (context.sample_rate,)
    )
    rate = next((rate for rate in rates if rate >= context.sample_rate), rates[-1])
    if codec != "aac":
        rate = max(
            rate, min(32000, rates[-1])
        )  # below it, encoders lower their bit rates too
    layouts = [
        layout_name(context.layout.name, context.channels),
        _LAYOUTS.get(context.channels, ""),
    ]
    if codec not in _NEVER_MIXED:
        layouts += [
            name
            for name in _SMALLER_LAYOUTS
            if len(av.AudioLayout(name).channels) < context.channels
        ]
    for layout in layouts:
        if not layout:
            continue
        channels = len(av.AudioLayout(layout).channels)
        bits = min(
            max(_LEAST_BITS, channels * _BITS_A_CHANNEL[codec]),
            _MOST_BITS.get(codec, 1 << 30),
        )
        sound = Sound(codec, rate, layout, channels, bits)
        if _can_open(sound):
            return sound
    return None


def layout_name(name: str, channels: int) -> str:
    """A layout's name that can be given back to FFmpeg: of one without an order, the usual one of so many channels."""
    try:
        if len(av.AudioLayout(name).channels) == channels and not name.endswith(
            "channels"
        ):
            return name
    except (ValueError, av.FFmpegError):
        pass
    return _LAYOUTS.get(channels, "")


class SoundConverter:
    """Decodes a track and encodes it anew, every sample at its own time.

    Gaps of the timestamps become silence, what overlaps is cut, and so is what lies outside the output. At most a few packets are held.
    """

    def __init__(
        self, source: AudioStream, target: AudioStream, sound: Sound, *, from_zero: bool
    ) -> None:
        """Prepare a track of the output.

        Args:
            source: the track.
            target: made with ``sound``'s encoder, already configured and open.
            sound: how it is encoded.
            from_zero: the container keeps no timestamps: samples are counted from output time 0, the encoder's delay among them.
        """
        self._source, self._target, self._sound = source, target, sound
        self._skipped = sound.delay() if from_zero else 0
        self._from_zero = from_zero
        self._place: int | None = (
            None  # of the next decoded sample, in samples of the source since output time 0
        )
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._queue = av.AudioFifo()
        self._next: int | None = (
            None  # of the next sample for the encoder, in samples of the target
        )
        self._is_done = False

    def push(
        self, packet: Packet[Any] | None, zero: Fraction, end: Fraction | None
    ) -> Iterator[Packet[Any]]:
        """Convert one packet.

        Args:
            packet: of the source, its times as they are there; None at the end.
            zero: time of the source's clock that is output time 0, seconds.
            end: output time at which the track ends, seconds; None for its own end.

        Yields:
            Packets of the output.
        """
        if self._is_done:
            return
        try:
            frames: list[Any] = (
                list(packet.decode())
                if packet is not None
                else list(self._source.codec_context.decode(None))
            )
        except av.FFmpegError:
            frames = []  # a damaged packet: what follows it shows how long the silence is
        for frame in frames:
            yield from self._add(frame, zero, end)
        if packet is None:
            self._is_done = True
            yield from self._drain(
                None if self._resampler is None else self._resampler.resample(None)
            )
            yield from self._encode(whole=True)
            if self._next is not None:
                yield from self._target.encode(None)

    def _add(
        self, frame: Any, zero: Fraction, end: Fraction | None
    ) -> Iterator[Packet[Any]]:
        rate = frame.sample_rate
        samples = _samples(frame)
        is_timed = frame.pts is not None and frame.time_base is not None
        place = (
            round_half_away((frame.pts * frame.time_base - zero) * rate)
            if is_timed
            else self._place or 0
        )
        kind = (
            frame.format.name,
            layout_name(frame.layout.name, samples.shape[0]),
            rate,
        )
        if self._place is None:
            self._place = 0 if self._from_zero or place < 0 else place
            self._next = round_half_away(Fraction(self._place * self._sound.rate, rate))
        elif self._kind is not None and kind[2] != self._kind[2]:
            self._place = round_half_away(Fraction(self._place * rate, self._kind[2]))
        if kind != self._kind:
            yield from self._begin(kind)
        gap = place - self._place
        if abs(gap) <= _TOLERATED_SECONDS * rate and self._place > 0:
            gap = 0
        if gap < 0:
            samples = samples[:, -gap:]
        stop = None if end is None else round_half_away(end * rate)
        silence = max(0, gap) if stop is None else min(max(0, gap), stop - self._place)
        while silence > 0:
            step = min(silence, _SILENCE_SAMPLES)
            yield from self._resample(
                np.zeros((samples.shape[0], step), samples.dtype), kind
            )
            silence -= step
        if stop is not None:
            samples = samples[:, : max(0, stop - self._place)]
        if samples.shape[1]:
            yield from self._resample(samples, kind)

    def _begin(self, kind: tuple[str, str, int]) -> Iterator[Packet[Any]]:
        if self._resampler is not None:
            yield from self._drain(self._resampler.resample(None))
        self._kind = kind
        self._resampler = av.AudioResampler(
            _sample_format(self._sound.encoder), self._sound.layout, self._sound.rate
        )

    def _resample(
        self, samples: Any, kind: tuple[str, str, int]
    ) -> Iterator[Packet[Any]]:
        name = av.AudioFormat(kind[0]).packed.name
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T).reshape(1, -1), format=name, layout=kind[1]
        )
        frame.sample_rate, frame.pts, frame.time_base = (
            kind[2],
            self._place,
            Fraction(1, kind[2]),
        )
        self._place = (self._place or 0) + samples.shape[1]
        if self._resampler is not None:
            yield from self._drain(self._resampler.resample(frame))

    def _drain(self, frames: list[AudioFrame] | None) -> Iterator[Packet[Any]]:
        for frame in frames or ():
            if frame.samples:
                frame.pts = None
                self._queue.write(frame)
        yield from self._encode(whole=False)

    def _encode(self, *, whole: bool) -> Iterator[Packet[Any]]:
        size = self._target.codec_context.frame_size or 1024
        while self._skipped and self._queue.samples:
            dropped = self._queue.read(
                min(self._skipped, self._queue.samples), partial=True
            )
            if dropped is None:
                break
            self._skipped -= dropped.samples
            self._next = (self._next or 0) + dropped.samples
        while self._queue.samples >= size or (whole and self._queue.samples):
            frame = self._queue.read(size, partial=whole)
            if frame is None:
                break
            frame.pts, frame.time_base, frame.sample_rate = (
                self._next,
                Fraction(1, self._sound.rate),
                self._sound.rate,
            )
            self._next = (self._next or 0) + frame.samples
            yield from self._target.encode(frame)


def _samples(frame: AudioFrame) -> Any:
    """The samples of a frame, shape (channels, samples)."""
    if frame.format.is_planar and len(frame.layout.channels) >= _MOST_PLANES:
        (frame,) = av.AudioResampler(
            frame.format.packed.name, frame.layout.name, frame.sample_rate
        ).resample(frame)
    array = frame.to_ndarray()
    return array if frame.format.is_planar else array.reshape(frame.samples, -1).T


# What players of mov_text take styles from: without a whole header the text would be black on black.
TEXT_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, \
ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SIMPLE_TAG = re.compile(r"</?[biu]>")
_TIME_TAG = re.compile(r"<[\d:.]+>")
_OVERRIDES = re.compile(r"\{[^{}]*\}")
_STYLE = re.compile(r"\\([biu])(\d+)(?=\\|\}|$)")
_DRAWING = re.compile(
    r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0[^{}]*\}|$)", re.DOTALL
)
_ENTITIES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", "\u00a0"),
    ("&lrm;", "\u200e"),
    ("&rlm;", "\u200f"),
    ("&amp;", "&"),
)


def read_text(codec: str, payload: bytes) -> str:
    """The words of one line of subtitles, with nothing but ``<b>``, ``<i>``, ``<u>`` for their style.

    Args:
        codec: one of ``TEXT_CODECS``.
        payload: the packet, as FFmpeg demuxes it.
    """
    if codec == "mov_text":
        length = int.from_bytes(payload[:2], "big")
        payload = payload[2 : 2 + length]
        if payload[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return _lines(payload.decode("utf-16", "replace"))
    text = payload.decode("utf-8", "replace").strip("\0")
    if codec in ("ass", "ssa"):
        text = _from_ass(text.split(",", 8)[-1])
    elif codec == "subrip":
        text = _simple(
            _OVERRIDES.sub(
                lambda match: "" if match[0].startswith("{\\") else match[0], text
            )
        )
    elif codec == "webvtt":
        text = _simple(_TIME_TAG.sub("", text))
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return _lines(text)


def write_text(codec: str, text: str) -> bytes:
    """One line as a packet of ``mov_text``, ``webvtt`` or ``subrip``; one without words becomes a space, since it may not be empty."""
    if codec == "webvtt":
        parts = re.split(f"({_SIMPLE_TAG.pattern})", text)
        text = "".join(
            part
            if number % 2
            else part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            for number, part in enumerate(parts)
        )
        text = re.sub(r"\n{2,}", "\n", text)  # an empty line would end it
    if codec != "mov_text":
        return text.encode() or b" "
    content = (_SIMPLE_TAG.sub("", text).encode() or b" ")[:65535]
    content = content.decode("utf-8", "ignore").encode()
    return len(content).to_bytes(2, "big") + content


class OneAtATime:
    """Lines of a track that shows one at a time, as mov_text does: those shown together become one of several rows for as long as they are."""

    def __init__(self) -> None:
        self._shown: list[tuple[int, str]] = []
        self._time = 0

    def add(self, begin: int, end: int, text: str) -> Iterator[tuple[int, int, str]]:
        """Take the next line, in the order of beginning, and give out what is certain by then.

        Args:
            begin: when it is shown, in any unit.
            end: when it goes.
            text: the words.

        Yields:
            Lines as they are to be written: begin, end, words.
        """
        yield from self._before(begin)
        self._time = max(self._time, begin)
        self._shown.append((max(end, self._time + 1), text))

    def rest(self) -> Iterator[tuple[int, int, str]]:
        """What is left at the end."""
        yield from self._before(None)

    def _before(self, time: int | None) -> Iterator[tuple[int, int, str]]:
        while self._shown and (time is None or self._time < time):
            stop = min(end for end, _ in self._shown)
            stop = stop if time is None else min(stop, time)
            yield self._time, stop, "\n".join(text for _, text in self._shown if text)
            self._time = stop
            self._shown = [(end, text) for end, text in self._shown if end > stop]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")


def _simple(text: str) -> str:
    """Text without tags other than the plain ones."""
    return _TAG.sub(
        lambda match: (
            match[0].lower() if _SIMPLE_TAG.fullmatch(match[0].lower()) else ""
        ),
        text,
    )


def _from_ass(text: str) -> str:
    text = _DRAWING.sub("", text)
    opened: list[str] = []

    def styled(match: re.Match[str]) -> str:
        tags = ""
        for name, value in _STYLE.findall(match[0]):
            if value != "0" and name not in opened:
                opened.append(name)
                tags += f"<{name}>"
            elif value == "0" and name in opened:
                opened.remove(name)
                tags += f"</{name}>"
        return tags

    text = _OVERRIDES.sub(styled, text)
    text += "".join(f"</{name}>" for name in reversed(opened))
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", "\u00a0")
