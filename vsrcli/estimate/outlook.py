"""What a run will take and make: time, size and disk, in numbers and in lines for the user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from vsrcli.backends import Backend
from vsrcli.decode.packet_timeline import packet_timeline
from vsrcli.estimate.run_timing import Speed
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import Workload
from vsrcli.segments.space import estimated_bytes
from vsrcli.wording import bytes_text, duration_text, moment_text, noun_for, rate_text

# `estimated_bytes` counts the video twice: in parts, and joined.
_COPIES = 2
_KEPT = ("copy", "convert", "attach")
# Nobody waits longer, and calendars end.
_LONGEST_SECONDS = 100 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a run on this machine.

    Attributes:
        model, backend, device: what runs the network.
        workers: how many do so side by side.
        input_width, input_height: of the source's pictures, pixels.
        output_width, output_height: of the output's.
        frames_in: source frames in the range; None where its length is unknown, here and below.
        frames_to_compute: those of them that go through the network.
        frames_out: of the output.
        frames_done: of ``frames_to_compute``, what an earlier run has left.
        seconds_per_frame: wall time of all workers together for each frame that is computed.
        seconds: for what is left to do.
        output_bytes: size of the output.
        output_is_sampled: whether that is judged by encoded frames of this film, or by usual sizes.
        disk_bytes: the most that the run takes on the disk of the output, with what is there.
    """

    model: str
    backend: str
    device: str
    workers: int
    input_width: int
    input_height: int
    output_width: int
    output_height: int
    frames_in: int | None
    frames_to_compute: int | None
    frames_out: int | None
    frames_done: int
    seconds_per_frame: float
    seconds: float | None
    output_bytes: int | None
    output_is_sampled: bool
    disk_bytes: int | None

    @property
    def frames_left(self) -> int | None:
        """Frames that are still to go through the network."""
        if self.frames_to_compute is None:
            return None
        return max(0, self.frames_to_compute - self.frames_done)

    def ends(self, now: datetime) -> datetime | None:
        """When the run is done if it begins now."""
        if self.seconds is None:
            return None
        return now + timedelta(seconds=min(self.seconds, _LONGEST_SECONDS))


def make_outlook(
    job: UpscaleJob,
    plan: RunPlan,
    workload: Workload | None,
    backend: Backend,
    speed: Speed,
    *,
    workers: int = 1,
    frames_done: int = 0,
) -> Outlook:
    """Compute what to expect.

    Args:
        job: what is done.
        plan: its segments.
        workload: how much there is to do; None where it is unknown.
        backend: what was timed.
        speed: of one worker.
        workers: how many there are.
        frames_done: frames of the workload that are computed already.
    """
    seconds_per_frame = speed.shared_by(workers)
    seconds = None
    output_bytes = None
    disk_bytes = None
    if workload is not None:
        left = max(0, workload.frames - frames_done)
        seconds = left * seconds_per_frame
        video_bytes = _video_bytes(job, workload, speed)
        output_bytes = video_bytes + _other_bytes(job, plan)
        disk_bytes = output_bytes
        if not plan.is_one_go:
            # the parts are there until the output has its name
            disk_bytes += video_bytes
    video = job.video
    scale = backend.spec.scale
    return Outlook(
        model=backend.spec.name,
        backend=backend.name,
        device=backend.device,
        workers=workers,
        input_width=video.width // scale,
        input_height=video.height // scale,
        output_width=video.width,
        output_height=video.height,
        frames_in=None if workload is None else workload.frames_in,
        frames_to_compute=None if workload is None else workload.frames,
        frames_out=None if workload is None else workload.frames_out,
        frames_done=frames_done,
        seconds_per_frame=seconds_per_frame,
        seconds=seconds,
        output_bytes=output_bytes,
        output_is_sampled=speed.bytes is not None,
        disk_bytes=disk_bytes,
    )


def opening_lines(outlook: Outlook, now: datetime) -> list[str]:
    """What a run says before its work: how much, how fast, until when; how large."""
    size = f"{outlook.input_width}x{outlook.input_height}"
    doubled = f"{outlook.output_width}x{outlook.output_height}"
    lines = [
        f"{_frames_text(outlook)} of {size} to {doubled}, {speed_text(outlook)}: "
        f"{time_text(outlook, now)}"
    ]
    if outlook.output_bytes is not None and outlook.disk_bytes is not None:
        lines.append(
            f"expected output {size_text(outlook)}, "
            f"up to {bytes_text(outlook.disk_bytes)} of disk while it works"
        )
    return lines


def speed_text(outlook: Outlook) -> str:
    """``0.14 frames/s here``, and by how many."""
    rate = rate_text(outlook.seconds_per_frame)
    if outlook.workers == 1:
        return f"{rate} here"
    return f"{rate} by {outlook.workers} workers, if all are as fast as the first"


def time_text(outlook: Outlook, now: datetime) -> str:
    """``about 17 days, ends Mon 14 Dec 09:00``."""
    ends = outlook.ends(now)
    if outlook.seconds is None or ends is None:
        return "the source does not say how long it is"
    return f"about {duration_text(outlook.seconds)}, ends {moment_text(ends, now)}"


def size_text(outlook: Outlook) -> str:
    """``about 5.1 GB``."""
    if outlook.output_bytes is None:
        return "of unknown size"
    return f"about {bytes_text(outlook.output_bytes)}"


def _frames_text(outlook: Outlook) -> str:
    left = outlook.frames_left
    if left is None:
        return "an unknown number of frames"
    if outlook.frames_done:
        return f"{left:,} more {noun_for(left, 'frame')}"
    return f"{left:,} {noun_for(left, 'frame')}"


def _video_bytes(job: UpscaleJob, workload: Workload, speed: Speed) -> int:
    if speed.bytes is not None:
        return round(speed.bytes * workload.frames_out)
    return estimated_bytes(job) // _COPIES


def _other_bytes(job: UpscaleJob, plan: RunPlan) -> int:
    """Size of the streams that are carried, as far as it has been counted."""
    if plan.is_one_go or not job.streams:
        return 0
    sizes = packet_timeline(job.info).stream_bytes
    carried = sum(
        sizes.get(stream.stream.index, 0)
        for stream in job.streams
        if stream.action in _KEPT
    )
    begin = job.time_range.begin
    duration = job.info.duration
    end = job.time_range.end_within(duration)
    if not duration or end is None:
        return carried
    return round(carried * float((end - begin) / duration))
