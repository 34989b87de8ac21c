"""The networks in every backend beside plain eager ``nn.Conv3d``, on the CPU, in one run.

python benchmarks/speed.py [--size 160x90 --size 320x180]

They get a film of noise that moves on by one frame at each call, so that the only work saved is
what networks keep of earlier frames. The networks run alone: ``lite.py`` has the time of Lite's
motion compensation.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from eager import plain
from script_parts import parse_size, print_header, print_row
from torch.utils.flop_counter import FlopCounterMode

from vsrcli.backends import BACKENDS, Float, open_backend
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import load
from vsrcli.models.layers import WindowNetwork
from vsrcli.models.weights import locate

DOMAIN = "clean"
_PLAIN = "plain eager nn.Conv3d"
# windows after which each of their frames has been in every place
_BEFORE = 4
# The threads of the library that ran last wait busily for a while.
_SETTLE_SECONDS = 0.3

Call = Callable[[Float], object]


def peak_gflops() -> float:
    """What this machine's cores reach in a large float32 matrix product.

    10**9 operations a second, by PyTorch or NumPy, whichever is faster.
    """
    side = 3072
    one = torch.rand(side, side)
    other = torch.rand(side, side)
    products: tuple[Callable[[], object], ...] = (
        lambda: torch.mm(one, other),
        lambda: one.numpy() @ other.numpy(),
    )
    medians = []
    for product in products:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            product()
            times.append(time.perf_counter() - began)
        medians.append(statistics.median(times))
    return 2 * side**3 / min(medians) / 1e9


def seconds(calls: dict[str, Call], windows: list[Float]) -> dict[str, float]:
    """Median time of each call; they take turns, so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        needed = 1 if name == _PLAIN else _BEFORE
        for window in windows[_BEFORE - needed : _BEFORE]:
            call(window)
    for window in windows[_BEFORE:]:
        for name, call in calls.items():
            time.sleep(_SETTLE_SECONDS)
            began = time.perf_counter()
            call(window)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


@dataclass(frozen=True)
class Reference:
    """What the network itself gives for the first window, and its operations, 10**9."""

    expected: Float
    gflop: float


def reference_of(network: torch.nn.Module, window: Float) -> Reference:
    with FlopCounterMode(display=False) as counter:
        result = network(torch.from_numpy(window)[:, None])[:, 0].numpy()
    return Reference(result, counter.get_total_flops() / 1e9)


def _plainly(network: WindowNetwork, window: Float) -> object:
    return plain(network, torch.from_numpy(window)[:, None])


def rows(
    name: str,
    size: str,
    repeats: int,
    peak: float,
) -> None:
    width, height = parse_size(size)
    planes = MODELS[name].planes
    count = _BEFORE + repeats
    shape = (1, count + planes - 1, height, width)
    film = np.random.default_rng(0).uniform(16, 235, shape).astype(np.float32)
    windows = [film[:, first : first + planes] for first in range(count)]
    network = load(locate(name, DOMAIN))[0]
    calls: dict[str, Call] = {}
    differences = {}
    with torch.inference_mode():
        reference = reference_of(network, windows[0])
        if isinstance(network, WindowNetwork):
            calls[_PLAIN] = partial(_plainly, network)
        for label in BACKENDS:
            if label == "openvino" and find_spec("openvino") is None:
                continue
            backend = open_backend(label, name, DOMAIN, device="cpu", precision="fp32")
            difference = np.abs(backend.run(windows[0]) - reference.expected)
            differences[label] = f"{float(difference.max()):.1e}"
            calls[label] = backend.run
        found = seconds(calls, windows)
    slowest = found.get(_PLAIN, found["torch"])
    for label, value in found.items():
        rate = reference.gflop / value
        print_row(
            name,
            size,
            label,
            f"{1 / value:.3f}",
            f"{slowest / value:.1f}",
            f"{rate:.0f}",
            f"{100 * rate / peak:.0f} %",
            differences.get(label, ""),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", action="append", help="input, WIDTHxHEIGHT; repeatable"
    )
    parser.add_argument("--model", action="append", choices=tuple(MODELS))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    peak = peak_gflops()
    threads = torch.get_num_threads()
    print(
        f"{os.cpu_count()} cores, {threads} threads of PyTorch; "
        f"a float32 matrix product reaches {peak:.0f} GFLOP/s\n"
    )
    print_header(
        "network",
        "input",
        "run by",
        "frames/s",
        "against plain eager",
        "GFLOP/s",
        "of the peak",
        "largest difference",
    )
    for size in arguments.size or ["160x90", "320x180"]:
        for name in arguments.model or ["delta", "5-parallel"]:
            rows(name, size, arguments.repeats, peak)


if __name__ == "__main__":
    main()
