"""All that is known of the containers that can be written: one record for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from av.stream import Disposition

from vsrcli.containers.languages import is_known, quicktime_code
from vsrcli.containers.pipe import piped_container
from vsrcli.errors import OutputError

# Demuxers whose files need care when they are read. FFmpeg's full name of one may have more words,
# such as ``matroska,webm``.
MATROSKA_DEMUXER = "matroska"
QUICKTIME_DEMUXER = "mov"
AVI_DEMUXER = "avi"
FLV_DEMUXER = "flv"
ASF_DEMUXER = "asf"

MATROSKA_MUXER = "matroska"

# The flag of a stream that is played unless the user chooses another one.
DEFAULT_FLAG = int(Disposition.default)
_NOTHING = Disposition(0)


@dataclass(frozen=True)
class Container:
    """One kind of output file.

    Attributes:
        name: what users call it.
        muxer: FFmpeg's name of its muxer.
        demuxer: FFmpeg's name of the demuxer that reads it.
        muxer_options: options that the muxer is opened with.
        stores_names_option: the muxer's option and what to add to it for tags of any name.
        timescale_option: the muxer's option for the unit of the file's total duration; None where
            there is none.
        default_codec: the encoder that ``auto`` means here; None where it depends on the source.
        trial_codec: an encoder that it takes, for trials in memory.
        codec_tags: tags of video codecs that players expect here, by the codec's canonical name.
        reorders_frames: whether it stores the presentation order of reordered frames.
        keeps_timestamps: False where frames can only be at multiples of the frame duration.
        keeps_last_duration: whether it stores how long the last frame lasts.
        sums_durations: whether its total duration is the sum of the packets' durations.
        hides_samples: whether it can hide samples at the beginning (edit lists), so that copied
            sound may begin before time 0 without moving everything else.
        keeps_rotation: whether it stores the display rotation.
        keeps_aspect: whether it stores the sample aspect ratio itself. PyAV cannot set it in the
            others; there only the codec's own header can carry it.
        keeps_colours: whether it stores range, matrix, primaries and transfer itself.
        keeps_range: whether it stores the range, if not the others.
        holds_streams: whether it holds anything beside the video stream.
        audio_codecs: what refused audio is converted to, by canonical name: the first that takes
            its channels.
        text_codec: what refused text subtitles are converted to; None: they are left out.
        carried_codecs: codecs of sound and subtitles that it takes and gives back, by canonical
            name. All were written by FFmpeg and read back as the same packets.
        avoided_codecs: codecs that FFmpeg writes here but that are not carried, each with the
            reason.
        holds_attachments: whether it holds fonts and other files.
        covers: how a cover picture is kept: as an attachment, as a stream, or not at all.
        keeps_chapters: whether it stores chapters.
        keeps_titles: whether it stores titles of streams.
        max_tag_bytes: the longest value of a tag; a longer one would damage the file or the others.
            None where there is no limit.
        languages: which languages of streams it stores.
        keeps_video_language: whether it stores the language of the video stream.
        keeps_timecode: whether the timecode is carried as a tag of the video stream.
        has_handler_names: whether streams have handler names, which some players show as titles.
        dispositions: the flags of streams that it stores.
        stereo_modes: how two views may share a picture, by Matroska's names.
        projections: which projections of spherical video it stores: all, those without an
            orientation of their own, or none.
    """

    name: str
    muxer: str
    demuxer: str
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    stores_names_option: tuple[str, str] | None = None
    timescale_option: str | None = None
    default_codec: str | None = None
    trial_codec: str = "mpeg4"
    codec_tags: Mapping[str, str] = field(default_factory=dict)
    reorders_frames: bool = True
    keeps_timestamps: bool = True
    keeps_last_duration: bool = True
    sums_durations: bool = False
    hides_samples: bool = False
    keeps_rotation: bool = True
    keeps_aspect: bool = False
    keeps_colours: bool = True
    keeps_range: bool = False
    holds_streams: bool = True
    audio_codecs: tuple[str, ...] = ("aac",)
    text_codec: str | None = None
    carried_codecs: frozenset[str] = frozenset()
    avoided_codecs: Mapping[str, str] = field(default_factory=dict)
    holds_attachments: bool = False
    covers: Literal["attachment", "stream"] | None = None
    keeps_chapters: bool = True
    keeps_titles: bool = True
    max_tag_bytes: int | None = None
    languages: Literal["all", "quicktime", "none"] = "all"
    keeps_video_language: bool = True
    keeps_timecode: bool = False
    has_handler_names: bool = False
    dispositions: Disposition = _NOTHING
    stereo_modes: re.Pattern[str] | None = None
    projections: Literal["all", "level", "none"] = "none"

    def takes(self, codec: str) -> bool | None:
        """Whether it takes a codec of sound or subtitles.

        Args:
            codec: canonical name.

        Returns:
            None for a codec that no container's table has: only a trial can tell.
        """
        if codec in self.avoided_codecs:
            return False
        if codec in self.carried_codecs:
            return True
        return False if codec in LISTED_CODECS else None

    def holds_stereo_mode(self, mode: str) -> bool:
        """Whether it stores that two views share a picture in a way (Matroska's name)."""
        pattern = self.stereo_modes
        return pattern is not None and pattern.fullmatch(mode) is not None

    def keeps_language(self, language: str | None) -> bool:
        """Whether it stores a stream's language (a tag of ISO 639-2)."""
        if language is None or not is_known(language):
            return True
        if self.languages == "quicktime":
            return quicktime_code(language) is not None
        return self.languages == "all"

    def language_tag(self, language: str) -> str:
        """The tag under which it stores a language; one that it does not know stays as it is."""
        if self.languages == "quicktime":
            return quicktime_code(language) or language
        return language


# Sound without compression, as AVI and Matroska store it, and as QuickTime does.
_PCM_LITTLE_ENDIAN = frozenset(
    ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le")
)
_PCM_BIG_ENDIAN = frozenset(
    ("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be")
)
_TELEPHONE = frozenset(("pcm_alaw", "pcm_mulaw"))
_ADPCM = frozenset(
    ("adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "adpcm_g722", "gsm_ms")
)
_SOUND_OF_DISCS = frozenset(("ac3", "eac3", "dts"))
_NO_BLOCK_SIZE = "nut does not store the size of its blocks"

_MP4 = Container(
    name="mp4",
    muxer="mp4",
    demuxer="mov",
    muxer_options={"movflags": "+faststart"},
    stores_names_option=("movflags", "+use_metadata_tags"),
    timescale_option="movie_timescale",
    codec_tags={"hevc": "hvc1"},
    sums_durations=True,
    hides_samples=True,
    keeps_aspect=True,
    text_codec="mov_text",
    carried_codecs=_SOUND_OF_DISCS
    | {"aac", "mp3", "opus", "flac", "alac", "pcm_s16be", "mov_text", "dvd_subtitle"},
    avoided_codecs={
        "vorbis": "FFmpeg reads it some milliseconds too early after a cut",
        **dict.fromkeys(
            _PCM_LITTLE_ENDIAN | _PCM_BIG_ENDIAN - {"pcm_s16be"},
            "older players take it for other samples",
        ),
        "mp2": "it comes back as MP3",
    },
    covers="stream",
    keeps_timecode=True,
    has_handler_names=True,
    dispositions=(
        Disposition.default
        | Disposition.comment
        | Disposition.forced
        | Disposition.hearing_impaired
    ),
    projections="level",
)
_MOV = replace(
    _MP4,
    name="mov",
    muxer="mov",
    carried_codecs=_SOUND_OF_DISCS
    | _PCM_LITTLE_ENDIAN
    | _PCM_BIG_ENDIAN
    | _TELEPHONE
    | {"aac", "mp3", "mp2", "alac", "pcm_s8", "pcm_u8", "adpcm_ima_qt", "gsm"}
    | {"nellymoser", "mov_text", "eia_608"},
    avoided_codecs={"vorbis": "no player of QuickTime reads it"},
    covers=None,
    max_tag_bytes=65_535,
    languages="quicktime",
    dispositions=Disposition.default,
    projections="none",
)
_MKV = Container(
    name="mkv",
    muxer=MATROSKA_MUXER,
    demuxer=MATROSKA_DEMUXER,
    text_codec="subrip",
    carried_codecs=_SOUND_OF_DISCS
    | _PCM_LITTLE_ENDIAN
    | {"aac", "mp3", "mp2", "opus", "vorbis", "flac", "alac", "truehd", "mlp"}
    | {"wavpack", "ra_144", "pcm_u8", "pcm_s16be", "pcm_s24be", "pcm_s32be"}
    | {"subrip", "ass", "webvtt", "dvd_subtitle", "dvb_subtitle"}
    | {"hdmv_pgs_subtitle"},
    avoided_codecs={"tta": "FFmpeg writes a wrong length, and the end would be lost"},
    holds_attachments=True,
    covers="attachment",
    keeps_timecode=True,
    dispositions=(
        Disposition.default
        | Disposition.original
        | Disposition.comment
        | Disposition.forced
        | Disposition.hearing_impaired
        | Disposition.visual_impaired
    ),
    stereo_modes=re.compile(r"(left|right|top|bottom|block|anaglyph)_\w+"),
    projections="all",
)
_WEBM = Container(
    name="webm",
    muxer="webm",
    demuxer=MATROSKA_DEMUXER,
    default_codec="libvpx-vp9",
    trial_codec="libvpx",
    audio_codecs=("opus",),
    text_codec="webvtt",
    carried_codecs=frozenset(("opus", "vorbis", "webvtt")),
    dispositions=Disposition.default | Disposition.forced,
    stereo_modes=re.compile("left_right|right_left|top_bottom|bottom_top"),
    projections="all",
)
_TS = Container(
    name="ts",
    muxer="mpegts",
    demuxer="mpegts",
    carried_codecs=_SOUND_OF_DISCS
    | {"aac", "aac_latm", "mp3", "mp2", "opus", "s302m", "dvb_subtitle"},
    keeps_last_duration=False,
    keeps_rotation=False,
    keeps_colours=False,
    keeps_chapters=False,
    keeps_titles=False,
    max_tag_bytes=255,
    keeps_video_language=False,
)
_AVI = Container(
    name="avi",
    muxer="avi",
    demuxer=AVI_DEMUXER,
    default_codec="libx264",
    reorders_frames=False,
    keeps_timestamps=False,
    keeps_last_duration=False,
    keeps_rotation=False,
    keeps_colours=False,
    audio_codecs=("mp3", "ac3"),
    carried_codecs=_PCM_LITTLE_ENDIAN
    | _TELEPHONE
    | {
        "ac3",
        "dts",
        "aac",
        "mp3",
        "mp2",
        "pcm_u8",
        "adpcm_g726",
        "gsm_ms",
        "speex",
        "wmav1",
        "wmav2",
    },
    avoided_codecs={
        "eac3": "FFmpeg reads it there at wrong times",
        **dict.fromkeys(_ADPCM - {"gsm_ms"}, "its packets do not fit the clock of AVI"),
        **dict.fromkeys(
            ("vorbis", "opus", "flac", "alac", "aac_latm"),
            "few players find it in AVI",
        ),
    },
    keeps_chapters=False,
    languages="none",
)
_NUT = Container(
    name="nut",
    muxer="nut",
    demuxer="nut",
    default_codec="rawvideo",
    keeps_last_duration=False,
    max_tag_bytes=1023,
    carried_codecs=_PCM_LITTLE_ENDIAN
    | _PCM_BIG_ENDIAN
    | _TELEPHONE
    | _ADPCM
    | {"aac", "ac3", "dts", "mp3", "mp2", "opus", "vorbis", "flac", "wavpack"}
    | {"aac_latm", "pcm_s8", "pcm_u8", "speex", "ass", "dvd_subtitle", "dvb_subtitle"},
    avoided_codecs={
        "eac3": "it comes back as AC-3",
        **dict.fromkeys(("wmav1", "wmav2", "adpcm_g726"), _NO_BLOCK_SIZE),
    },
    keeps_rotation=False,
    keeps_colours=False,
)
_Y4M = Container(
    name="y4m",
    muxer="yuv4mpegpipe",
    demuxer="yuv4mpegpipe",
    default_codec="wrapped_avframe",
    keeps_timestamps=False,
    keeps_rotation=False,
    keeps_aspect=True,
    keeps_colours=False,
    keeps_range=True,
    holds_streams=False,
    audio_codecs=(),
    keeps_chapters=False,
    keeps_titles=False,
    languages="none",
)

# By the ending of a file's name.
CONTAINERS: dict[str, Container] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".mkv": _MKV,
    ".webm": _WEBM,
    ".ts": _TS,
    ".avi": _AVI,
    ".nut": _NUT,
    ".y4m": _Y4M,
}
# By the name that --format takes: those that can go through a pipe, where nothing is written twice.
PIPED: dict[str, Container] = {
    "nut": _NUT,
    "y4m": _Y4M,
    "matroska": replace(_MKV, muxer_options={"live": "1"}),
    "mpegts": _TS,
}
# Codecs of sound and subtitles of which the table says, for each container, whether it takes them.
LISTED_CODECS = frozenset(
    codec
    for container in CONTAINERS.values()
    for codec in container.carried_codecs | container.avoided_codecs.keys()
)
# For a source whose ending names no container that can be written.
DEFAULT_SUFFIX = ".mkv"
DEFAULT_PIPED = "nut"


def container_of(target: Path | str) -> Container:
    """Return the container that the ending of ``target`` names, or that standard output is given.

    Raises:
        OutputError: an unknown ending, or none.
    """
    piped = piped_container(target)
    if piped is not None:
        if piped not in PIPED:
            names = ", ".join(PIPED)
            raise OutputError(
                f"standard output cannot be {piped!r}: choose --format from {names}"
            )
        return PIPED[piped]
    suffix = Path(target).suffix.lower()
    if suffix not in CONTAINERS:
        problem = "no file name ending"
        if suffix:
            problem = f"unknown file name ending {suffix!r}"
        names = ", ".join(CONTAINERS)
        raise OutputError(f"{target}: {problem}: choose from {names}")
    return CONTAINERS[suffix]


def can_be_written(source: Path) -> bool:
    """Whether a file's ending names a container that can be written."""
    return source.suffix.lower() in CONTAINERS
