"""What decides the result of a run, so that another run on the same output can be told from it."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

from vsrcli.encode.encoders import thread_count
from vsrcli.errors import InputError
from vsrcli.models.weights import locate
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine

# Options that do not change what is written, or that are recorded in another way.
_WITHOUT_EFFECT = {
    "duration",
    "overwrite",
    "verify",
    "reuse",
    "hwaccel",
    "segment",
    "restart",
    "device",
    "backend",
    "precision",
    "encoder",
    "format",
    "strict",
    "devices",
    "ray",
    "watch",
}
_SAMPLES = 64
_SAMPLE_BYTES = 1 << 16


def run_fingerprint(
    job: UpscaleJob, options: UpscaleOptions, engine: Engine
) -> dict[str, str]:
    """What decides the result of a run, by names that the user knows.

    Raises:
        InputError: the source cannot be read.
    """
    kind_of_device = engine.device.partition(",")[0].partition(":")[0]
    try:
        source = file_fingerprint(job.source)
        weights = file_fingerprint(locate(options.model, options.domain))
    except OSError as error:
        raise InputError(f"{job.source}: cannot be read ({error.strerror})") from error
    return {
        **_flag_values(options, leave_out=_WITHOUT_EFFECT),
        "--fps": str(options.rate),
        # crf and preset say what it means
        **_flag_values(job.encoder, leave_out={"quality"}),
        "threads of the encoder": str(
            thread_count(job.encoder.codec, job.video.height)
        ),
        "--backend": engine.backend,
        "--device": kind_of_device,
        "precision": engine.precision,
        "source": source,
        "weights": weights,
    }


def file_fingerprint(path: Path) -> str:
    """What tells a file from another one, or from itself before a change.

    Returns:
        Its size, and a hash of samples from all over it. Samples cover a small file completely. Of
        a large one, which would take minutes to read, the time of its last change counts as well: a
        change may lie between the samples.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    status = path.stat()
    last_start = max(0, status.st_size - _SAMPLE_BYTES)
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(last_start * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    if status.st_size > _SAMPLES * _SAMPLE_BYTES:
        digest.update(str(status.st_mtime_ns).encode())
    return f"{status.st_size} bytes, {digest.hexdigest()[:32]}"


def _flag_values(
    options: Any, leave_out: frozenset[str] | set[str] = frozenset()
) -> dict[str, str]:
    values = {}
    for field in fields(options):
        if field.name not in leave_out:
            flag = f"--{field.name.replace('_', '-')}"
            values[flag] = str(getattr(options, field.name))
    return values
