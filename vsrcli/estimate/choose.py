"""``--model auto``: which network, by a short timing on this machine. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vsrcli.backends import Backend, open_backend
from vsrcli.errors import OptionError
from vsrcli.estimate.run_timing import Speed
from vsrcli.frame import VideoInfo
from vsrcli.models import DEFAULT_DOMAIN, MODELS
from vsrcli.models.weights import locate, read_info
from vsrcli.options import UpscaleOptions
from vsrcli.picture.motion import MAX_SIDE_PX
from vsrcli.preflight.workload import Workload, measure_workload, usual_rate
from vsrcli.wording import duration_text, rate_text

# Times a network that is open, with the options of its run.
TimeIt = Callable[[Backend, UpscaleOptions], Speed]
# The networks to choose among: `previous` exists only for comparison.
CANDIDATES = ("lite", "delta", "5-parallel")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and what it would cost.

    Attributes:
        backend: runs it.
        gain_db: over bicubic, on the validation of its domain.
        speed: on this machine.
    """

    backend: Backend
    gain_db: float
    speed: Speed

    @property
    def model(self) -> str:
        """Its name."""
        return self.backend.spec.name


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        candidate: the network, open and timed.
        line: for the user, says why.
    """

    candidate: Candidate
    line: str


def choose(info: VideoInfo, options: UpscaleOptions, time_it: TimeIt) -> Choice:
    """Choose the network with the highest gain within the budget; the fastest if none is.

    Args:
        info: the source.
        options: range, rate, domain, budget, and where the network runs.
        time_it: times a network on that source.

    Raises:
        OptionError: no weights for the domain; or a budget for a source of unknown length.
        BackendError: the device is missing, or a network failed.
        OutputError: the encoder refuses.
    """
    workload = measure_workload(info, options)
    limit = _seconds_per_frame(info, options, workload)
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
        named = replace(options, model=name, budget=None)
        speed = time_it(backend, named)
        timed.append(Candidate(backend, gains[name], speed))
        if speed.seconds <= limit:
            break
    return explain(timed, workload, limit, options.budget)


def _seconds_per_frame(
    info: VideoInfo,
    options: UpscaleOptions,
    workload: Workload | None,
) -> float:
    """What a frame may take.

    Raises:
        OptionError: a budget, but a source of unknown length.
    """
    if workload is not None:
        seconds = workload.seconds if options.budget is None else options.budget
        return seconds / workload.frames
    if options.budget is not None:
        raise OptionError(
            "--budget needs a source whose length is known: give --end, or name a model"
        )
    rate = usual_rate(info, options)
    if options.rate != "source":
        rate = min(rate, options.rate)
    return float(1 / rate)


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
    workload: Workload | None,
    limit: float,
    budget: float | None,
) -> Choice:
    """Choose among networks that were timed in the order of their gain, until one fitted.

    Args:
        timed: at least one.
        workload: how much there is to do; None where it is unknown.
        limit: seconds that a frame may take.
        budget: seconds for all of it, as the user gave it.
    """
    chosen = timed[-1]
    fits = chosen.speed.seconds <= limit
    if not fits:
        chosen = min(timed, key=lambda candidate: candidate.speed.seconds)
    name = "real time" if budget is None else f"the budget of {duration_text(budget)}"
    reason = (
        f"the most gain within {name}"
        if fits
        else f"none keeps {name}, and this is the fastest"
    )
    line = (
        f"--model auto: {chosen.model}, {_cost(chosen, workload)}, "
        f"{chosen.gain_db:+.2f} dB over bicubic: {reason}"
    )
    others = [
        f"{candidate.model} would take {_cost(candidate, workload)}"
        for candidate in timed
        if candidate is not chosen
    ]
    if others:
        line += f" ({'; '.join(others)})"
    return Choice(chosen, line)


def _cost(candidate: Candidate, workload: Workload | None) -> str:
    each = rate_text(candidate.speed.seconds)
    if workload is None:
        return each
    total = duration_text(candidate.speed.seconds * workload.frames)
    return f"about {total} for {workload.frames:,} frames ({each})"
