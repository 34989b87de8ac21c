"""The networks in every backend beside plain eager ``nn.Conv3d``, on the CPU, in one run: python benchmarks/speed.py [--size 160x90 --size 320x180].

They see a film of noise that moves on by one frame at each call, so that nothing is left out but what the networks keep of frames that they saw before.
The networks alone: the time in which motion is compensated for Lite is a matter of ``lite.py``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from eager import plain
from torch.utils.flop_counter import FlopCounterMode

from vsrcli.backends import BACKENDS, open_backend
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import load
from vsrcli.models.layers import WindowNetwork
from vsrcli.models.weights import locate


def peak_gflops() -> float:
    """What this machine's cores reach in a large float32 matrix product of PyTorch or NumPy, whichever is faster; 10**9 operations a second."""
    side = 3072
    a = torch.rand(side, side)
    b = torch.rand(side, side)
    products: tuple[Callable[[], object], ...] = (
        lambda: torch.mm(a, b),
        lambda: a.numpy() @ b.numpy(),
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


_PLAIN = "plain eager nn.Conv3d"
# windows after which every frame of one has been seen in each of its places
_BEFORE = 4
# the threads of the library that ran last wait busily for a while
_SETTLE_SECONDS = 0.3


def seconds(
    calls: dict[str, Callable[[int], object]], repeats: int
) -> dict[str, float]:
    """Median time of each call, which is given the number of a window; they take turns, so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        for turn in range(_BEFORE - 1 if name == _PLAIN else 0, _BEFORE):
            call(turn)
    for turn in range(_BEFORE, _BEFORE + repeats):
        for name, call in calls.items():
            time.sleep(_SETTLE_SECONDS)
            began = time.perf_counter()
            call(turn)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def rows(name: str, size: str, repeats: int, peak: float) -> None:
    width, height = map(int, size.split("x"))
    planes = MODELS[name].planes
    shape = (1, _BEFORE + repeats + planes - 1, height, width)
    film = np.random.default_rng(0).uniform(16, 235, shape).astype(np.float32)
    windows = [film[:, first : first + planes] for first in range(_BEFORE + repeats)]
    given = torch.from_numpy(windows[0])[:, None]
    domain = "clean"
    network = load(locate(name, domain))[0]
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            expected = network(given)[:, 0].numpy()
        work = counter.get_total_flops() / 1e9
        calls: dict[str, Callable[[int], object]] = {}
        if isinstance(network, WindowNetwork):
            calls[_PLAIN] = lambda turn: plain(
                network, torch.from_numpy(windows[turn])[:, None]
            )
        differences = {}
        for backend_name in BACKENDS:
            if backend_name == "openvino" and find_spec("openvino") is None:
                continue
            backend = open_backend(
                backend_name, name, domain, device="cpu", precision="fp32"
            )
            differences[backend_name] = float(
                np.abs(backend.run(windows[0]) - expected).max()
            )
            calls[backend_name] = lambda turn, backend=backend: backend.run(
                windows[turn]
            )  # type: ignore[misc]
        found = seconds(calls, repeats)
    reference = found.get(_PLAIN, found["torch"])
    for label, value in found.items():
        difference = "" if label not in differences else f"{differences[label]:.1e}"
        rate = work / value
        print(
            f"| {name} | {size} | {label} | {1 / value:.3f} | {reference / value:.1f} | {rate:.0f} | {100 * rate / peak:.0f} % | {difference} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", action="append", help="input, WIDTHxHEIGHT; repeatable"
    )
    parser.add_argument("--model", action="append", choices=tuple(MODELS))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    peak = peak_gflops()
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of PyTorch; a float32 matrix product reaches {peak:.0f} GFLOP/s\n"
    )
    print(
        "| network | input | run by | frames/s | against plain eager | GFLOP/s | of the peak | largest difference |\n|---|---|---|---|---|---|---|---|"
    )
    for size in arguments.size or ["160x90", "320x180"]:
        for name in arguments.model or ["delta", "5-parallel"]:
            rows(name, size, arguments.repeats, peak)


if __name__ == "__main__":
    main()
