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
from vsrcli.run.network import WindowPlanes, available_cores, motion_threads

# The networks chosen among: `previous` is there to be compared with.
CANDIDATES = ("lite", "delta", "5-parallel")
# A timing shorter than this says little; it is then repeated on a larger piece of the picture.
_LONG_ENOUGH_SECONDS = 0.15
_FIRST_SIDE_PX = 64
_USUAL_RATE = Fraction(30)
_BITS = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and what it would cost: name, gain over bicubic on the validation of its domain (dB), seconds a frame on this machine."""

    model: str
    gain_db: float
    seconds_per_frame: float


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to do: frames that go through the network (None: unknown), and seconds that a frame may take."""

    frames: int | None
    seconds_per_frame: float


def choose(info: VideoInfo, options: UpscaleOptions) -> tuple[str, str]:
    """Take the network with the highest gain whose time lies within the budget; the fastest where none does.

    Args:
        info: the source.
        options: range, rate, domain, budget, and where the network runs.

    Returns:
        The network's name, and a line for the user that says why.

    Raises:
        OptionError: no weights for the domain; or a budget for a source whose length is unknown.
        BackendError: the device is missing, or a network failed.
    """
    work = measure_work(info, options)
    domain = options.domain or DEFAULT_DOMAIN
    is_too_large = max(info.width, info.height) > MAX_SIDE_PX
    gains = {
        name: read_info(locate(name, domain)).gain_db.get(domain, 0.0)
        for name in CANDIDATES
        if domain in MODELS[name].domains
        and not (is_too_large and MODELS[name].is_motion_compensated)
    }
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
        timed.append(
            Candidate(
                name, gains[name], seconds_per_frame(backend, info.width, info.height)
            )
        )
        if timed[-1].seconds_per_frame <= work.seconds_per_frame:
            break
    return explain(timed, work, options.budget)


def explain(
    timed: list[Candidate], work: Work, budget: float | None
) -> tuple[str, str]:
    """Choose among networks that were timed in the order of their gain, until one fitted.

    Returns:
        As ``choose``.
    """
    fits = timed[-1].seconds_per_frame <= work.seconds_per_frame
    chosen = timed[-1] if fits else min(timed, key=lambda each: each.seconds_per_frame)
    limit = "real time" if budget is None else f"the budget of {_length(budget)}"
    others = [each for each in timed if each is not chosen]
    figures = "; ".join(
        f"{each.model} would take {_cost(each, work)}" for each in others
    )
    why = (
        f"the most gain within {limit}"
        if fits
        else f"none keeps {limit}, and this is the fastest"
    )
    return (
        chosen.model,
        f"--model auto: {chosen.model}, about {_cost(chosen, work)}, {chosen.gain_db:+.2f} dB over bicubic: {why}"
        + (f" ({figures})" if figures else ""),
    )


def measure_work(info: VideoInfo, options: UpscaleOptions) -> Work:
    """Count the frames of the range that the network will see.

    Raises:
        OptionError: a budget, but a source whose length is unknown.
    """
    rate = (info.rate or _USUAL_RATE) * (
        2 if info.interlaced and options.deinterlace == "field" else 1
    )
    if options.fps != "source":
        rate = min(rate, options.fps)
    end = options.range.end_within(info.duration)
    if end is None:
        if options.budget is not None:
            raise OptionError(
                "--budget needs a source whose length is known: give --end, or name a model"
            )
        return Work(None, float(1 / rate))
    seconds = float(max(Fraction(0), end - options.range.begin))
    frames = max(1, ceil(seconds * rate))
    return Work(
        frames, (seconds if options.budget is None else options.budget) / frames
    )


def seconds_per_frame(backend: Backend, width: int, height: int) -> float:
    """Time a network on a piece of a picture, and reckon with the whole of it.

    Args:
        backend: runs it.
        width: of the source, pixels.
        height: the same.

    Returns:
        Seconds a frame; the first run of each size, in which libraries prepare themselves, does not count.
    """
    side = _FIRST_SIDE_PX
    while True:
        rows, columns = min(side, height), min(side, width)
        # one frame on, as in a film: what was made of the others is kept (Delta finds it after five
        # only, so that it is taken for 5 % slower)
        inputs = WindowPlanes(backend.spec, backend.device)
        shape = (backend.spec.frames + 1, rows, columns)
        film = list(np.random.default_rng(0).integers(16, 236, shape, dtype=np.uint8))
        before, _ = inputs.plan(film[:-1], _BITS, False)()
        planes, seconds = inputs.plan(film[1:], _BITS, False)()
        backend.run(before[None].astype(np.float32))
        began = time.perf_counter()
        backend.run(planes[None].astype(np.float32))
        taken = time.perf_counter() - began
        if inputs.is_costly:
            # beside a card the longer of the two counts; on a processor they share the cores
            is_shared = backend.device == "cpu"
            shared = taken + seconds / available_cores()
            taken = (
                shared
                if is_shared
                else max(taken, seconds / motion_threads(backend.device))
            )
        if (
            taken >= _LONG_ENOUGH_SECONDS
            or (rows, columns) == (height, width)
            or rows * columns >= backend.max_pixels // 4
        ):
            return taken * (width * height) / (rows * columns)
        side *= 2


def _cost(candidate: Candidate, work: Work) -> str:
    each = f"{candidate.seconds_per_frame:.2g} s a frame"
    return (
        each
        if work.frames is None
        else f"{_length(candidate.seconds_per_frame * work.frames)} for {work.frames} frames ({each})"
    )


def _length(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
