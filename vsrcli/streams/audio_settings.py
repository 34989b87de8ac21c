"""How audio is encoded: sample rate, channel layout and bit rate that an encoder takes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.stream import Stream

from vsrcli.containers.quiet import open_quietly

# FFmpeg's encoders, by the codec's canonical name.
_ENCODERS = {
    "aac": "aac",
    "mp3": "libmp3lame",
    "ac3": "ac3",
    "opus": "libopus",
}
_BITS_PER_CHANNEL = {
    "aac": 96_000,
    "mp3": 128_000,
    "ac3": 96_000,
    "opus": 64_000,
}
_MIN_BIT_RATE = 128_000
_MAX_BIT_RATES = {
    "mp3": 320_000,
    "ac3": 640_000,
    "opus": 510_000,
}
# Below this sample rate, encoders lower their bit rates too; AAC does not.
_MIN_RATE_HZ = 32_000
_RATE_IS_KEPT = ("aac",)
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
# Not downmixed: another codec takes more channels.
_NEVER_DOWNMIXED = ("mp3",)
DEFAULT_FRAME_SAMPLES = 1024
_MAX_TRIAL_FRAMES = 8


@dataclass(frozen=True, slots=True)
class AudioSettings:
    """How an audio track is encoded.

    Attributes:
        codec: canonical name.
        rate: samples per second.
        layout: FFmpeg's name of the channel layout.
        channels: their number.
        bit_rate: bits per second.
    """

    codec: str
    rate: int
    layout: str
    channels: int
    bit_rate: int

    @property
    def encoder(self) -> str:
        """FFmpeg's encoder."""
        return _ENCODERS[self.codec]

    def configure(self, context: AudioCodecContext) -> None:
        """Set up an encoder before it is opened."""
        context.sample_rate = self.rate
        context.layout = self.layout
        context.bit_rate = self.bit_rate
        context.format = sample_format(self.encoder)
        context.time_base = Fraction(1, self.rate)

    def delay(self) -> int:
        """Number of samples by which the encoder's first packet begins before its first input."""
        context = self._open()
        for number in range(_MAX_TRIAL_FRAMES):
            silence = self._silence(context.frame_size or DEFAULT_FRAME_SAMPLES)
            silence.pts = number * silence.samples
            packets: list[Any] = list(context.encode(silence))
            if packets:
                return max(0, -(packets[0].pts or 0))
        return 0

    def _silence(self, samples: int) -> AudioFrame:
        frame = AudioFrame(
            format=sample_format(self.encoder),
            layout=self.layout,
            samples=samples,
        )
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = self.rate
        frame.time_base = Fraction(1, self.rate)
        return frame

    def can_be_opened(self) -> bool:
        """Whether the encoder accepts these settings."""

        def open_encoder() -> None:
            self._open()

        return open_quietly(open_encoder) is None

    def _open(self) -> AudioCodecContext:
        context = av.CodecContext.create(self.encoder, "w")
        if not isinstance(context, AudioCodecContext):
            raise ValueError(f"{self.encoder} is not an audio encoder")
        self.configure(context)
        context.open(strict=False)
        return context


def sample_format(encoder: str) -> str:
    """The sample format that an encoder is given: floating point if it takes that."""
    formats = av.codec.Codec(encoder, "w").audio_formats or ()
    names = [each.name for each in formats]
    for name in ("fltp", "flt"):
        if name in names:
            return name
    return names[0]


def can_decode(stream: Stream) -> bool:
    """Whether there is a decoder for a stream.

    PyAV leaves the context out where there is none, whatever its annotation says.
    """
    context: Any = stream.codec_context
    return context is not None and bool(getattr(context, "sample_rate", 1))


def choose_audio_settings(stream: Stream, codec: str) -> AudioSettings | None:
    """How a track is encoded in a codec: with its own rate and channels if the encoder takes them.

    Args:
        stream: the track; FFmpeg has a decoder for it.
        codec: canonical name: aac, mp3, ac3 or opus.

    Returns:
        None if the encoder takes no form of it.
    """
    context: Any = stream.codec_context
    rate = _choose_rate(codec, context.sample_rate)
    for layout in _layouts_to_try(codec, context):
        settings = _settings(codec, rate, layout)
        if settings.can_be_opened():
            return settings
    return None


def encoding_delay(codec: str, rate: int, channels: int) -> Fraction:
    """By how much the first packet of converted sound begins before its first sample.

    Args:
        codec: canonical name of what it was converted to.
        rate: samples per second.
        channels: their number.

    Returns:
        Seconds; 0 for a codec that nothing is converted to.
    """
    layout = _LAYOUTS.get(channels)
    if codec not in _ENCODERS or layout is None or not rate:
        return Fraction(0)
    settings = _settings(codec, rate, layout)
    if not settings.can_be_opened():
        return Fraction(0)
    return Fraction(settings.delay(), rate)


def _settings(codec: str, rate: int, layout: str) -> AudioSettings:
    channels = len(av.AudioLayout(layout).channels)
    bit_rate = max(_MIN_BIT_RATE, channels * _BITS_PER_CHANNEL[codec])
    if codec in _MAX_BIT_RATES:
        bit_rate = min(bit_rate, _MAX_BIT_RATES[codec])
    return AudioSettings(
        codec,
        rate,
        layout,
        channels,
        bit_rate,
    )


def _choose_rate(codec: str, source_rate: int) -> int:
    """The source's sample rate, or the next higher one that the encoder has."""
    supported = av.codec.Codec(_ENCODERS[codec], "w").audio_rates
    rates = sorted(supported or (source_rate,))
    wanted = source_rate
    if codec not in _RATE_IS_KEPT:
        wanted = max(source_rate, _MIN_RATE_HZ)
    return next((rate for rate in rates if rate >= wanted), rates[-1])


def _layouts_to_try(codec: str, context: Any) -> list[str]:
    channels = context.channels
    layouts = [
        layout_name(context.layout.name, channels),
        _LAYOUTS.get(channels, ""),
    ]
    if codec not in _NEVER_DOWNMIXED:
        layouts += [
            name
            for name in _SMALLER_LAYOUTS
            if len(av.AudioLayout(name).channels) < channels
        ]
    return [layout for layout in layouts if layout]


def layout_name(name: str, channels: int) -> str:
    """A name of a channel layout that FFmpeg accepts.

    Args:
        name: as FFmpeg reports it.
        channels: their number.

    Returns:
        ``name``; if it does not say the order, the usual layout of so many channels; "" if there is
        none.
    """
    try:
        has_channels = len(av.AudioLayout(name).channels) == channels
    except (ValueError, av.FFmpegError):
        has_channels = False
    if has_channels and not name.endswith("channels"):
        return name
    return _LAYOUTS.get(channels, "")
