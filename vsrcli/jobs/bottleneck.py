"""Which stage of a run was the slowest, and what would help."""

from __future__ import annotations

from vsrcli.pipeline.upscale_report import UpscaleReport

_FASTEST_MODEL = "lite"
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
    ways_out = ["a GPU" if is_on_cpu else "a faster GPU"]
    if report.model != _FASTEST_MODEL:
        ways_out.append(f"--model {_FASTEST_MODEL}")
    if is_on_cpu and report.backend != "openvino":
        ways_out.append("OpenVINO (pip install 'vsrcli[openvino]')")
    return f"{' or '.join(ways_out)} would help"
