"""Which network a run uses: the one that was named, that of an unfinished run, or the best here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vsrcli.backends import Backend
from vsrcli.estimate.choose import choose
from vsrcli.estimate.run_timing import RunTimer, Speed
from vsrcli.models.weights import domain_note
from vsrcli.options import AUTO, UpscaleOptions
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.leftovers import model_of_earlier_run


@dataclass(frozen=True, slots=True)
class SettledModel:
    """The network of a run.

    Attributes:
        options: the run's, with its name.
        line: for the user; None: there is nothing to say.
        backend: the network, if it has been opened to be timed.
        speed: of it.
    """

    options: UpscaleOptions
    line: str | None = None
    backend: Backend | None = None
    speed: Speed | None = None


def settle_model(
    job: UpscaleJob, options: UpscaleOptions, plan: RunPlan
) -> SettledModel:
    """Replace ``--model auto`` by a network: that of an unfinished run, else the best by timing.

    The line says so, or that the weights of a network that was named are for another domain.

    Raises:
        OptionError: see ``choose``.
        BackendError: the same.
        OutputError: the same.
    """
    if options.model != AUTO:
        return SettledModel(options, domain_note(options.model, options.domain))
    model = None if options.restart else model_of_earlier_run(job.target)
    if model is not None:
        return SettledModel(replace(options, model=model, budget=None))

    def time_it(backend: Backend, named: UpscaleOptions) -> Speed:
        return RunTimer(job, named, plan, backend).speed()

    choice = choose(job.info, options, time_it)
    chosen = choice.candidate
    return SettledModel(
        replace(options, model=chosen.model, budget=None),
        choice.line,
        chosen.backend,
        chosen.speed,
    )
