"""How fast a run will be on this machine: a short timing of everything that it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from vsrcli.backends import Backend
from vsrcli.containers.pipe import is_standard_input
from vsrcli.errors import InputError
from vsrcli.estimate.network_timing import NetworkTimer, motion_seconds
from vsrcli.estimate.rehearsal import Rehearsal, StandIn, rehearse
from vsrcli.frame import VideoInfo
from vsrcli.models import MODELS
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.network import available_cores
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine

log = logging.getLogger(__name__)

Clock = Callable[[], float]

# A network that is faster than this is timed within the whole pipeline; for a slower one that would
# take too long.
_FAST_SECONDS = 0.6
_PIPELINE_BUDGET = 3.0
_NETWORK_BUDGET = 7.0
_HOST_BUDGET = 1.5
# What Delta takes on two cores of a processor of 2020 for each pixel (measured: 18 microseconds),
# for each of its parameters; and the share of that for networks whose parameters work less.
_SECONDS_PER_PIXEL = 18e-6 / 83_702
_SHARE_OF_WORK = {"lite": 0.05}
_SPEED_OF_CARDS = 50


@dataclass(frozen=True, slots=True)
class Speed:
    """What a frame costs on this machine.

    Attributes:
        seconds: wall time for each frame that goes through the network, all stages together.
        host_seconds: the part of it that several networks beside each other would have to share.
        bytes: of the output, for each frame of it; None if unknown.
    """

    seconds: float
    host_seconds: float = 0.0
    bytes: float | None = None

    def shared_by(self, workers: int) -> float:
        """Seconds a frame when several workers make frames, each as fast as this one."""
        return max(self.seconds / workers, self.host_seconds)


def guess_seconds(job: UpscaleJob, engine: Engine, frames: int) -> float | None:
    """What the network takes on a usual machine, without any timing; None: nobody knows it.

    Args:
        job: what is done.
        engine: what runs the network.
        frames: that go through it.
    """
    spec = MODELS.get(engine.model)
    if spec is None:
        return None
    pixels = job.video.width * job.video.height // spec.scale**2
    share = _SHARE_OF_WORK.get(spec.name, 1.0)
    seconds = _SECONDS_PER_PIXEL * spec.parameters * share * pixels * frames
    first_device = engine.device.partition(",")[0]
    return seconds if first_device == "cpu" else seconds / _SPEED_OF_CARDS


def network_speed(info: VideoInfo, options: UpscaleOptions, backend: Backend) -> Speed:
    """Time the network alone, with what it needs of motion.

    Raises:
        BackendError: the network failed.
    """
    timer = NetworkTimer(
        backend,
        info.height,
        info.width,
        max_pixels=_max_pixels(options),
    )
    return _with_motion(timer.seconds(_NETWORK_BUDGET), backend, info)


def _with_motion(network: float, backend: Backend, info: VideoInfo) -> Speed:
    motion = motion_seconds(backend, info.height, info.width)
    if backend.device == "cpu":
        return Speed(network + motion)
    return Speed(max(network, motion), motion)


def _max_pixels(options: UpscaleOptions) -> int | None:
    return None if options.tile == "auto" else options.tile**2


class RunTimer:
    """Times one network on one job.

    Args:
        job: what will be done.
        options: the run's.
        plan: its segments.
        backend: the network; what it prepares for these pictures serves the run as well.
        clock: gives seconds.
    """

    def __init__(
        self,
        job: UpscaleJob,
        options: UpscaleOptions,
        plan: RunPlan,
        backend: Backend,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._job = job
        self._options = options
        self._plan = plan
        self._backend = backend
        self._clock = clock
        self._network = NetworkTimer(
            backend,
            job.video.height // backend.spec.scale,
            job.video.width // backend.spec.scale,
            max_pixels=_max_pixels(options),
            clock=clock,
        )

    @property
    def _is_on_card(self) -> bool:
        return self._backend.device != "cpu"

    def rough_seconds(self) -> float | None:
        """Seconds a frame of the network alone, rather too many; None on a card.

        There it is not worth preparing the card for a part of a picture.
        """
        return None if self._is_on_card else self._network.rough_seconds()

    def speed(self) -> Speed:
        """Time it.

        Raises:
            OutputError: the encoder refuses.
            BackendError: the network failed.
        """
        rough = self.rough_seconds()
        if rough is None or rough < _FAST_SECONDS:
            rehearsal = self._rehearse(self._backend, _PIPELINE_BUDGET)
            if rehearsal is not None:
                host = rehearsal.processor_seconds / available_cores()
                return Speed(
                    rehearsal.seconds,
                    host if self._is_on_card else 0.0,
                    rehearsal.bytes,
                )
        network = self._network.seconds(_NETWORK_BUDGET)
        rest = self._rehearse(StandIn(self._backend), _HOST_BUDGET)
        if rest is None:
            return _with_motion(network, self._backend, self._job.info)
        return self._combined(network, rest)

    def _combined(self, network: float, rest: Rehearsal) -> Speed:
        """Network and everything else, as the pipeline overlaps them.

        Beside a card, the slowest counts. On a processor the network takes all cores, so that the
        work of the others comes on top.
        """
        if self._is_on_card:
            return Speed(max(network, rest.seconds), rest.seconds, rest.bytes)
        work = rest.processor_seconds / available_cores()
        seconds = max(rest.seconds, network + min(rest.seconds, work))
        return Speed(seconds, 0.0, rest.bytes)

    def _rehearse(self, backend: Backend, budget: float) -> Rehearsal | None:
        if is_standard_input(self._job.source):
            return None
        try:
            return rehearse(
                self._job,
                self._options,
                self._plan,
                backend,
                budget,
                self._clock,
            )
        except InputError as error:
            log.info("no frame could be timed: %s", error)
            return None
