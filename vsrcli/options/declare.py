"""How an option is declared, and what several commands declare alike."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, get_args

from vsrcli.models import MODELS

Deinterlace = Literal["auto", "off", "field"]
PipeFormat = Literal["nut", "y4m", "matroska", "mpegts"]
Precision = Literal["fp16", "fp32"]

# The headings of a command's help, in their order.
Group = Literal[
    "Input",
    "Output",
    "Network",
    "Training",
    "Scoring",
    "Speed",
    "Safety",
    "Other",
]
GROUPS: tuple[Group, ...] = get_args(Group)

MODEL_FLAGS = ("--model", "-m")
DEVICE_FLAGS = ("--device", "-d")
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:1")
# Networks, alone and with the domain of their weights.
NETWORKS = tuple(
    name
    for spec in MODELS.values()
    for name in (spec.name, *(f"{spec.name}:{domain}" for domain in spec.domains))
)
OVERWRITE_FLAGS = ("--overwrite", "-y")

START_HELP = "Start at this time: 90, 1:30, 01:02:03.5 or 1h30m."
END_HELP = "Stop before this time, written as for --start."
DURATION_HELP = "Stop this long after the start, instead of --end."
PRECISION_HELP = "Compute in half precision.  [default: on CUDA]"
NETWORK_STRENGTH_HELP = "Share of each network in its picture, as for `vsr upscale`."
DEINTERLACE_HELP = "What to do with interlaced frames: `field` makes a frame per field."
FORMAT_HELP = "Container if OUT is `-`, standard output.  [default: nut]"
SAR_HELP = "Pixel aspect ratio of pictures, N:D, such as 16:11."
OVERWRITE_HELP = "Replace the output if it exists."


def option(
    default: Any,
    help_text: str,
    *,
    group: Group,
    is_common: bool = False,
    flags: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    suggestions: tuple[str, ...] = (),
    metavar: str | None = None,
    flag_value: str | None = None,
) -> Any:
    """Declare a dataclass field together with its flag on the command line.

    Args:
        default: the value if the user gives none.
        help_text: for ``--help``: a line or two; the details belong to a page of docs/.
        group: heading that the help lists it under.
        is_common: whether ``-h``, which lists the most used options, has it as well.
        flags: spellings, the long one first; derived from the field's name if empty.
        choices: allowed strings.
        suggestions: likely values, which a shell completes; others are allowed.
        metavar: placeholder in the help.
        flag_value: what the flag means without a value; None: it needs one.
    """
    return field(
        default=default,
        metadata={
            "help": help_text,
            "group": group,
            "is_common": is_common,
            "flags": flags,
            "choices": choices,
            "suggestions": suggestions,
            "metavar": metavar,
            "flag_value": flag_value,
        },
    )
