"""Options of ``vsr train``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from vsrcli.backends import parse_device
from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS, MODELS
from vsrcli.options.check import check_minima, flag_of
from vsrcli.options.declare import DEVICE_FLAGS, DEVICES, MODEL_FLAGS, option

RecipeName = Literal["ship", "long", "report"]
TrainPrecision = Literal["fp16", "bf16", "fp32"]

DEFAULT_VARIANTS = 2
_MINIMA = {
    "batch": 1,
    "patch": 8,
    "clips": 2,
    "variants": 1,
    "val_count": 1,
    "seed": 0,
}
# What has a meaning beside --prepare.
_PREPARE_OPTIONS = {
    "prepare",
    "variants",
    "val_count",
    "data",
    "val",
    "clips",
    "shippable",
    "threads",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Everything ``vsr train`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network to train.",
        group="Network",
        is_common=True,
        flags=MODEL_FLAGS,
        choices=tuple(MODELS),
    )
    domain: str | None = option(
        None,
        "Degradation to undo.  [default: video; blur3 with the report's recipe]",
        group="Network",
        is_common=True,
        choices=tuple(DOMAINS),
    )
    data: tuple[str, ...] = option(
        (),
        "Video, folder of frames, folder of either, or training pack; repeatable.",
        group="Input",
        is_common=True,
        metavar="PATH",
    )
    val: tuple[str, ...] = option(
        (),
        "The same for validation; repeatable.  [default: the last tenth of each "
        "file's clips]",
        group="Input",
        metavar="PATH",
    )
    out: str | None = option(
        None,
        "Folder of the run.",
        group="Output",
        is_common=True,
        metavar="DIR",
    )
    resume: str | None = option(
        None,
        "Continue the run in this folder exactly; --steps and --time count from its "
        "start.",
        group="Output",
        is_common=True,
        metavar="DIR",
    )
    init: str | None = option(
        None,
        "Start from this checkpoint, or from the shipped weights of this domain.",
        group="Network",
        is_common=True,
        metavar="CHECKPOINT",
    )
    recipe: str | None = option(
        None,
        "ship: minutes to hours on a CPU; long: a GPU or a night; or the report's.  "
        "[default: long on CUDA and from --time 3h on, else ship]",
        group="Training",
        choices=get_args(RecipeName),
    )
    steps: int | None = option(
        None,
        "Length of the run in steps.",
        group="Training",
        is_common=True,
        metavar="N",
    )
    time: float | None = option(
        None,
        "Length of the run in time, such as 2h; with --steps, whichever ends first.",
        group="Training",
        is_common=True,
        metavar="TIME",
    )
    batch: int | None = option(
        None,
        "Patches per step.  [default: the recipe's]",
        group="Training",
        metavar="N",
    )
    patch: int | None = option(
        None,
        "Side of a low-resolution patch, pixels.  [default: the recipe's]",
        group="Training",
        metavar="N",
    )
    learning_rate: float | None = option(
        None,
        "Adam's peak learning rate.  [default: the recipe's; less with --init]",
        group="Training",
        metavar="RATE",
    )
    seed: int = option(
        0,
        "Random seed.",
        group="Training",
    )
    device: str = option(
        "auto",
        "Where to train: auto, cpu, cuda or cuda:N.",
        group="Speed",
        is_common=True,
        flags=DEVICE_FLAGS,
        suggestions=DEVICES,
        metavar="DEVICE",
    )
    precision: TrainPrecision | None = option(
        None,
        "fp16, fp32, or bf16 (lite, on CPUs with AMX).  [default: fp16 on CUDA, fp32 "
        "on the CPU]",
        group="Speed",
        choices=get_args(TrainPrecision),
        metavar="TYPE",
    )
    threads: int | None = option(
        None,
        "CPU threads.  [default: all cores]",
        group="Speed",
        metavar="N",
    )
    validate_every: float = option(
        300.0,
        "Time between validations; each saves the run.",
        group="Training",
        metavar="TIME",
    )
    clips: int = option(
        2000,
        "Keep at most this many clips in memory (2 MB each), spread over the footage.",
        group="Input",
    )
    shippable: bool = option(
        False,
        "Use only those clips of packs that are marked as shippable.",
        group="Input",
    )
    prepare: str | None = option(
        None,
        "Write a training pack for machines without PyAV, and train nothing.",
        group="Output",
        metavar="DIR",
    )
    variants: int = option(
        DEFAULT_VARIANTS,
        "With --prepare: degraded versions of each training clip.",
        group="Input",
        metavar="N",
    )
    val_count: int | None = option(
        None,
        "With --prepare: at most N validation clips.",
        group="Input",
        metavar="N",
    )

    def __post_init__(self) -> None:
        parse_device(self.device)
        if self.prepare is not None:
            self._check_prepare()
        elif self.variants != DEFAULT_VARIANTS or self.val_count is not None:
            raise OptionError("--variants and --val-count go with --prepare DIR")
        elif self.resume is not None:
            if self.out is not None or self.init is not None:
                raise OptionError(
                    "--resume continues in its own folder: omit --out and --init"
                )
            return
        if not self.data:
            raise OptionError("nothing to train on: give --data PATH")
        if self.prepare is None:
            self._check_end()
        check_minima(self, _MINIMA)
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise OptionError(
                f"--learning-rate {self.learning_rate:g} makes no sense: "
                "give one above 0 and up to 1, such as 1e-4"
            )

    def _check_prepare(self) -> None:
        """Refuse options that only training uses."""
        unused = []
        for field in fields(self):
            is_given = getattr(self, field.name) != field.default
            if is_given and field.name not in _PREPARE_OPTIONS:
                unused.append(flag_of(field.name))
        if unused:
            raise OptionError(
                f"--prepare trains nothing: omit {', '.join(sorted(unused))}"
            )

    def _check_end(self) -> None:
        if self.out is None:
            raise OptionError("no folder for the run: give --out DIR")
        if self.steps is None and self.time is None:
            raise OptionError("the run needs an end: give --steps N or --time 2h")
        is_too_few = self.steps is not None and self.steps < 1
        is_too_short = self.time is not None and self.time <= 0
        if is_too_few or is_too_short:
            raise OptionError("--steps and --time must be above zero")
