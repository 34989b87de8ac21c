"""Speed and quality of all networks and of interpolation, in one table.

python benchmarks/speed_quality.py [--frames 3]

The speed is that of the whole way from five frames of luma to one of twice the size (motion
compensation included) on a film that moves, in the backend that `--backend auto` takes. It comes
from processor time and is given relative to Delta's, so that neither the machine nor other programs
matter much. The quality is that of the table "Quality" in
RESULTS.md: each network's own weights for a degradation, on that degradation.
`docs/speed_quality.py` draws the table.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path

from lite import pan
from script_parts import print_header, print_row

from vsrcli.backends import open_backend
from vsrcli.frame import Plane
from vsrcli.models import MODELS
from vsrcli.picture.resize import Kernel, double
from vsrcli.pipeline.network import LumaNetwork

RESULTS = Path(__file__).with_name("RESULTS.md")
# test degradation -> domain of the weights for it
TESTS = {"clean": "clean", "crf 23": "video"}
_BEFORE = 5
_SIZE = (160, 90)
_UNIT = "delta"

Call = Callable[[list[Plane]], object]


def quality(test: str) -> dict[str, str]:
    """Method -> dB over bicubic in the table "Quality", as text."""
    row = rf"^\| {test} \| (\S+) \| [\d.]+ \| (\S+) \|"
    return dict(re.findall(row, RESULTS.read_text(), re.MULTILINE))


def gains(method: str) -> list[str]:
    """The cells of a method: its gain in each of ``TESTS``."""
    cells = []
    for test, domain in TESTS.items():
        name = f"{method}:{domain}" if method in MODELS else method
        cells.append(quality(test).get(name, "-"))
    return cells


def interpolation(kernel: Kernel) -> Call:
    return lambda frames: double(frames[len(frames) // 2], kernel)


def network(name: str) -> tuple[Call, str]:
    """One frame from five, and the backend that does it."""
    domain = MODELS[name].domains[0]
    backend = open_backend("auto", name, domain, device="cpu", precision=None)
    running = LumaNetwork(backend)

    def call(frames: list[Plane]) -> None:
        planes, _ = running.inputs.plan(frames, 8, False)()
        running.upscale(planes, 8, False)

    return call, backend.name


def seconds_per_frame(call: Call, film: list[Plane], count: int) -> float:
    """Processor time, of all cores."""
    for number in range(_BEFORE):
        call(film[number : number + 5])
    began = time.process_time()
    for number in range(_BEFORE, _BEFORE + count):
        call(film[number : number + 5])
    return (time.process_time() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=3, help="default: %(default)s")
    arguments = parser.parse_args()
    width, height = _SIZE
    film = pan(_BEFORE + arguments.frames + 4, height, width)
    calls: dict[str, tuple[Call, str]] = {}
    kernels: tuple[Kernel, ...] = ("bicubic", "lanczos")
    for kernel in kernels:
        calls[kernel] = interpolation(kernel), "-"
    for name in MODELS:
        calls[name] = network(name)
    seconds = {}
    for name, (call, _) in calls.items():
        seconds[name] = seconds_per_frame(call, film, arguments.frames)
    print_header("method", "run by", "times Delta", *(f"{test}, dB" for test in TESTS))
    for name, (_, runner) in calls.items():
        speed = f"{float(f'{seconds[_UNIT] / seconds[name]:.2g}'):g}"
        print_row(name, runner, speed, *gains(name))


if __name__ == "__main__":
    main()
