"""How a run is divided: into segments that are made one by one, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.packet_timeline import packet_timeline
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.preflight.segment_plan import SegmentPlan, plan_segments
from vsrcli.preflight.targets import is_file_target
from vsrcli.preflight.upscale_job import UpscaleJob

# Encoders whose packets are not bytes, or so large that nobody wants them on the disk twice.
_NOT_IN_PARTS = ("wrapped_avframe", "rawvideo")
# Encoder options that ration bits over the whole video: each segment would get its own ration.
_RATIONING_KEYS = {"b", "minrate", "maxrate", "bufsize", "rc", "pass", "bitrate"}
_RATIONING_WORDS = ("bitrate", "vbv-", "pass=", "stats=")
_TOO_SHORT = "the video is short"
_NO_TIMES = "the packets of the source do not say when they are shown"
_RESTARTS = "the clock of the source restarts"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The segments of a run, at least one.

    Attributes:
        segments: the cuts; none if the run is made in one go.
        is_seekable: whether segments may be read from the middle of the source.
        reason: why one device has to make all of it; None if several can share it.
        is_short: whether there is one segment only because the video is short.
        is_slow: whether even a short video takes long.
    """

    segments: SegmentPlan
    is_seekable: bool = False
    reason: str | None = None
    is_short: bool = False
    is_slow: bool = False

    @property
    def is_one_go(self) -> bool:
        """Whether the output is written directly, and nothing is kept after an interruption."""
        is_worth_keeping = self.is_short and self.is_slow
        return len(self.segments) == 1 and not is_worth_keeping


def plan_run(job: UpscaleJob, options: UpscaleOptions) -> RunPlan:
    """Divide a run into segments, where that is possible and worth it.

    Raises:
        InputError: the source cannot be opened any more.
    """
    if not options.segment:
        return _one_go("--segment 0")
    reason = unsegmentable_reason(job)
    if reason is not None:
        return _one_go(reason)
    begin = options.range.begin
    end = options.range.end_within(job.info.duration) or begin
    length = Fraction(options.segment).limit_denominator(1000)
    if len(plan_segments(begin, end, length)) == 1:
        return _too_short()
    packets = packet_timeline(job.info)
    segments = plan_segments(begin, end, length, packets.keyframes)
    if len(segments) == 1:
        return _too_short()
    if not packets.is_seekable:
        reason = _RESTARTS if job.info.restarts else _NO_TIMES
        return RunPlan(segments, reason=reason)
    return RunPlan(segments, is_seekable=True)


def unsegmentable_reason(job: UpscaleJob) -> str | None:
    """Why a run cannot be divided into segments; None if it can."""
    if not is_file_target(job.target):
        return "the output is not a file"
    if job.is_folder or is_standard_input(job.source):
        return "the source is not a file"
    if job.encoder.codec in _NOT_IN_PARTS:
        return f"{job.encoder.codec} writes uncompressed pictures"
    if _rations_bits(job.encoder):
        return "the encoder rations bits over the whole video"
    if not job.info.duration:
        return "the duration of the source is not known"
    return None


def _one_go(reason: str) -> RunPlan:
    return RunPlan(SegmentPlan(), reason=reason)


def _too_short() -> RunPlan:
    return RunPlan(SegmentPlan(), reason=_TOO_SHORT, is_short=True)


def _rations_bits(encoder: EncoderOptions) -> bool:
    for key, value in encoder.extra:
        if key.split(":")[0] in _RATIONING_KEYS:
            return True
        if any(word in value for word in _RATIONING_WORDS):
            return True
    return False
