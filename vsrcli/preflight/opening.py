"""The source and the output of a job, opened."""

from __future__ import annotations

from pathlib import Path

from vsrcli.decode.reader import VideoReader
from vsrcli.encode.writer import VideoWriter
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.images.folder_reader import FolderReader
from vsrcli.images.folder_writer import FolderWriter
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.pictures import folder_rate
from vsrcli.preflight.targets import is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.timing import TimeRange


def open_reader(
    job: UpscaleJob,
    options: UpscaleOptions,
    context: int,
    *,
    within: TimeRange | None = None,
) -> FrameSource:
    """Open the source of a job.

    Args:
        job: what to do.
        options: as the user gave them.
        context: frames to give before and after the time range.
        within: a part of the job's time range, which may hold no frame; None: all of it.

    Raises:
        InputError: it cannot be opened any more.
    """
    time_range = within or options.range
    if job.is_folder:
        return FolderReader(
            job.source,
            rate=folder_rate(options),
            time_range=time_range,
            context=context,
            value_range=options.value_range,
        )
    return VideoReader(
        job.info,
        time_range=time_range,
        context=context,
        deinterlace=options.deinterlace,
        strict=options.strict,
        hwaccel=options.hwaccel,
        allow_empty=within is not None,
        is_last_reader=True,
    )


def open_writer(job: UpscaleJob, options: UpscaleOptions) -> FrameSink:
    """Open the output of a job.

    Args:
        job: what to do, with its origin.
        options: as the user gave them.

    Raises:
        OutputError: it cannot be written.
    """
    if not is_folder_target(job.target):
        return open_file_writer(job, options)
    pictures = job.pictures
    return FolderWriter(
        job.target,
        job.video,
        pattern=pictures.pattern,
        first=pictures.first,
        overwrite=options.overwrite,
        value_range=pictures.value_range,
    )


def open_file_writer(
    job: UpscaleJob, options: UpscaleOptions, folder: Path | None = None
) -> VideoWriter:
    """Open the output of a job that writes a file or a pipe.

    Args:
        job: what to do, with its origin.
        options: as the user gave them.
        folder: where the file is until it is complete; None: beside the target.

    Raises:
        OutputError: it cannot be written.
    """
    source = None if job.is_folder else job.info
    return VideoWriter(
        job.target,
        job.video,
        job.encoder,
        source=source,
        plan=job.streams,
        time_range=job.time_range,
        origin=job.origin,
        folder=folder,
        overwrite=options.overwrite,
    )
