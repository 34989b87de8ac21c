"""Which stage of a run was the slowest, and what would help."""

from __future__ import annotations

from importlib.util import find_spec

from vsrcli.models import DEFAULT_DOMAIN, MODELS
from vsrcli.picture.motion import MAX_SIDE_PX
from vsrcli.pipeline.upscale_report import UpscaleReport

FASTEST_MODEL = "lite"
_OPENVINO = "OpenVINO (pip install openvino)"
_BACKEND = "--backend openvino"
_WAYS_OUT = {
    "encode": "a faster --preset, or a hardware encoder, would help",
    "decode": "--hwaccel auto may help",
    "pictures": "more processor cores would help",
    "motion": "more processor cores, or a network without motion, would help",
}


def where_time_went(report: UpscaleReport) -> str:
    """One line for the user: how long each stage worked, the bottleneck, and what would help."""
    busy = {
        name: seconds for name, seconds in report.stages.items() if name != "waiting"
    }
    slowest = max(busy, key=lambda name: busy[name], default="network")
    shares = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in busy.items())
    reused = ""
    if report.reused:
        reused = f"; {100 * report.reused:.0f} % of the pixels were reused"
    way_out = _WAYS_OUT.get(slowest) or _faster_network(report)
    return (
        f"of {report.seconds:.1f} s: {shares}, in parallel{reused}; "
        f"the bottleneck is {slowest}: {way_out}"
    )


def _faster_network(report: UpscaleReport) -> str:
    is_on_cpu = report.device.startswith("cpu")
    ways_out = []
    if has_faster_model(report.model, report.domain, report.width, report.height):
        ways_out.append(f"--model {FASTEST_MODEL}")
    if is_on_cpu and report.backend != "openvino":
        ways_out.append(_OPENVINO if find_spec("openvino") is None else _BACKEND)
    if not ways_out:
        ways_out = ["a GPU" if is_on_cpu else "a faster GPU"]
    return f"{' or '.join(ways_out)} would help"


def has_faster_model(model: str, domain: str | None, width: int, height: int) -> bool:
    """Whether the fastest network is another one, and could make the same output.

    Args:
        model: the network's name.
        domain: of its weights; None for the default.
        width: of the output, pixels.
        height: the same.
    """
    fastest = MODELS[FASTEST_MODEL]
    is_too_large = max(width, height) > fastest.scale * MAX_SIDE_PX
    has_weights = (domain or DEFAULT_DOMAIN) in fastest.domains
    return model != FASTEST_MODEL and has_weights and not is_too_large
