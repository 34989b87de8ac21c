"""``--model auto``: which network, by a short timing on this machine. Prints nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from vsrcli.backends import Backend, open_backend
from vsrcli.errors import OptionError
from vsrcli.frame import VideoInfo
from vsrcli.models import DEFAULT_DOMAIN, MODELS
from vsrcli.models.weights import locate, read_info
from vsrcli.options import UpscaleOptions
from vsrcli.picture.motion import MAX_SIDE_PX
from vsrcli.pipeline.network import WindowPlanes, available_cores, motion_threads

# The networks to choose among: `previous` exists only for comparison.
CANDIDATES = ("lite", "delta", "5-parallel")
# A shorter timing says little; it is then repeated on a larger part of the picture.
_MIN_TIMING_SECONDS = 0.15
_FIRST_SIDE_PX = 64
_USUAL_RATE = Fraction(30)
_BITS = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and what it would cost.

    Attributes:
        model: its name.
        gain_db: over bicubic, on the validation of its domain.
        seconds_per_frame: on this machine.
    """

    model: str
    gain_db: float
    seconds_per_frame: float


@dataclass(frozen=True, slots=True)
class Workload:
    """How much there is to do.

    Attributes:
        frames: that go through the network; None where unknown.
        seconds_per_frame: that a frame may take.
    """

    frames: int | None
    seconds_per_frame: float


def choose(info: VideoInfo, options: UpscaleOptions) -> tuple[str, str]:
    """Choose the network with the highest gain within the budget; the fastest if none is.

    Args:
        info: the source.
        options: range, rate, domain, budget, and where the network runs.

    Returns:
        The network's name, and a line for the user that says why.

    Raises:
        OptionError: no weights for the domain; or a budget for a source of unknown length.
        BackendError: the device is missing, or a network failed.
    """
    workload = measure_workload(info, options)
    domain = options.domain or DEFAULT_DOMAIN
    gains = _gains(info, domain)
    if not gains:
        raise OptionError(
            f"--model auto: no network ships with {domain!r} weights: name a model"
        )
    timed: list[Candidate] = []
    for name in sorted(gains, key=lambda name: -gains[name]):
        backend = open_backend(
            options.backend,
            name,
            domain,
            device=options.device,
            precision=options.precision,
        )
        seconds = seconds_per_frame(backend, info.width, info.height)
        timed.append(Candidate(name, gains[name], seconds))
        if seconds <= workload.seconds_per_frame:
            break
    return explain(timed, workload, options.budget)


def _gains(info: VideoInfo, domain: str) -> dict[str, float]:
    """The gain of each network that can upscale the source, dB."""
    is_too_large = max(info.width, info.height) > MAX_SIDE_PX
    gains = {}
    for name in CANDIDATES:
        spec = MODELS[name]
        if is_too_large and spec.is_motion_compensated:
            continue
        if domain in spec.domains:
            weights = read_info(locate(name, domain))
            gains[name] = weights.gain_db.get(domain, 0.0)
    return gains


def explain(
    timed: list[Candidate],
    workload: Workload,
    budget: float | None,
) -> tuple[str, str]:
    """Choose among networks that were timed in the order of their gain, until one fitted.

    Returns:
        As ``choose``.
    """
    chosen = timed[-1]
    fits = chosen.seconds_per_frame <= workload.seconds_per_frame
    if not fits:
        chosen = min(timed, key=lambda candidate: candidate.seconds_per_frame)
    limit = "real time" if budget is None else f"the budget of {_length(budget)}"
    reason = (
        f"the most gain within {limit}"
        if fits
        else f"none keeps {limit}, and this is the fastest"
    )
    line = (
        f"--model auto: {chosen.model}, about {_cost(chosen, workload)}, "
        f"{chosen.gain_db:+.2f} dB over bicubic: {reason}"
    )
    others = [
        f"{candidate.model} would take {_cost(candidate, workload)}"
        for candidate in timed
        if candidate is not chosen
    ]
    if others:
        line += f" ({'; '.join(others)})"
    return chosen.model, line


def measure_workload(info: VideoInfo, options: UpscaleOptions) -> Workload:
    """Count the frames of the range that the network will see.

    Raises:
        OptionError: a budget, but a source of unknown length.
    """
    rate = info.rate or _USUAL_RATE
    if info.interlaced and options.deinterlace == "field":
        rate *= 2
    if options.rate != "source":
        rate = min(rate, options.rate)
    end = options.range.end_within(info.duration)
    if end is None:
        if options.budget is not None:
            raise OptionError(
                "--budget needs a source whose length is known: give --end, or name a model"
            )
        return Workload(frames=None, seconds_per_frame=float(1 / rate))
    seconds = float(max(Fraction(0), end - options.range.begin))
    frames = max(1, ceil(seconds * rate))
    budget = seconds if options.budget is None else options.budget
    return Workload(frames, budget / frames)


def seconds_per_frame(
    backend: Backend,
    width: int,
    height: int,
) -> float:
    """Time a network on a part of a picture, and extrapolate to the whole.

    Args:
        backend: runs it.
        width: of the source, pixels.
        height: of the source, pixels.

    Returns:
        Seconds per frame; the first run of each size, in which libraries initialise, does not
        count.
    """
    side = _FIRST_SIDE_PX
    while True:
        rows = min(side, height)
        columns = min(side, width)
        seconds = _time_frame(backend, rows, columns)
        is_whole = (rows, columns) == (height, width)
        is_large = rows * columns >= backend.max_pixels // 4
        if seconds >= _MIN_TIMING_SECONDS or is_whole or is_large:
            return seconds * (width * height) / (rows * columns)
        side *= 2


def _time_frame(
    backend: Backend,
    rows: int,
    columns: int,
) -> float:
    """Seconds for a frame of that size.

    The window moves on by a frame, as in a film: what was computed of the others is kept (Delta
    finds it only after five frames, so that its time is 5 % too long).
    """
    inputs = WindowPlanes(backend.spec, backend.device)
    shape = (backend.spec.frames + 1, rows, columns)
    random = np.random.default_rng(0)
    film = list(
        random.integers(
            16,
            236,
            shape,
            dtype=np.uint8,
        )
    )
    first, _ = inputs.plan(film[:-1], _BITS, False)()
    second, motion_seconds = inputs.plan(film[1:], _BITS, False)()
    backend.run(first[None].astype(np.float32))
    began = time.perf_counter()
    backend.run(second[None].astype(np.float32))
    seconds = time.perf_counter() - began
    if not inputs.is_costly:
        return seconds
    if backend.device == "cpu":
        # network and motion compensation share the cores
        return seconds + motion_seconds / available_cores()
    return max(seconds, motion_seconds / motion_threads(backend.device))


def _cost(candidate: Candidate, workload: Workload) -> str:
    each = f"{candidate.seconds_per_frame:.2g} s a frame"
    if workload.frames is None:
        return each
    total = _length(candidate.seconds_per_frame * workload.frames)
    return f"{total} for {workload.frames} frames ({each})"


def _length(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
