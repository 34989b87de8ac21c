"""The networks on a CUDA GPU: python benchmarks/gpu.py [--size 960x540 ...] [--frames 10] [--encode].

Frames a second of eager float32 (without TF32), eager half precision (autocast), and what ships, by
the network alone, one after the other, the memory of each freed before the next is loaded; the
card's measured peak in half-precision matrix products beside it; and with --encode (it needs PyAV)
the whole command with NVENC.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vsrcli.backends import Codes, TakesCodes, open_backend
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import load
from vsrcli.models.weights import locate

SIZES = ["960x540", "1280x720", "1920x1080"]
DEVICE = torch.device("cuda")

Call = Callable[[], object]


def peak_tflops() -> float:
    """Half-precision matrix products, 10**12 operations a second."""
    side = 8192
    a = torch.rand(side, side, device=DEVICE, dtype=torch.float16)
    return 2 * side**3 / seconds(lambda: torch.mm(a, a), 20) / 1e12


def seconds(call: Callable[[], object], repeats: int) -> float:
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def operations(name: str, pixels: int) -> float:
    """Floating-point operations of a network for a window of that many low-resolution pixels."""
    side = 64
    network = load(locate(name, "video"))[0]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, network.planes, side, side))
    return float(counter.get_total_flops()) * pixels / side**2


def eager(name: str, codes: Codes, *, half: bool) -> Call:
    """The module as it is."""
    network = load(locate(name, "video"))[0].to(DEVICE)
    given = torch.from_numpy(codes).to(DEVICE).float()[:, None]

    def call() -> object:
        # by the flags of what ships: PyTorch's default for float32 on a card is TF32
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
            torch.autocast(DEVICE.type, torch.float16, enabled=half),
        ):
            return network(given)

    return call


def shipped(name: str, codes: Codes) -> Call:
    """What `--backend torch` runs, from codes on the host to codes on the host."""
    backend = open_backend("torch", name, "video", device=str(DEVICE), precision="fp16")
    assert isinstance(backend, TakesCodes)
    return partial(backend.run_codes, codes, 1.0, 0.0, 255)


def network_rows(name: str, size: str, frames: int, peak: float) -> None:
    width, height = map(int, size.split("x"))
    shape = (1, MODELS[name].planes, height + 8, width + 8)
    codes = np.random.default_rng(0).integers(16, 235, shape).astype(np.uint8)
    work = operations(name, shape[-2] * shape[-1])
    ways: dict[str, Callable[[], Call]] = {
        "eager fp32": partial(eager, name, codes, half=False),
        "eager fp16": partial(eager, name, codes, half=True),
        "--backend torch, copies and rounding included": partial(shipped, name, codes),
    }
    for label, make in ways.items():
        row = f"| {name} | {size} | {label}"
        gc.collect()  # networks and graphs of the way before
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            each = seconds(make(), frames)
        except (torch.OutOfMemoryError, OutOfMemory):
            print(f"{row} | out of memory | | |")
            continue
        except BackendError as error:
            print(f"{row} | {error} | | |")
            continue
        share = 100 * work / each / 1e12 / peak
        memory = torch.cuda.max_memory_allocated() / 1e9
        print(f"{row} | {1 / each:.1f} | {share:.0f} % | {memory:.1f} |", flush=True)


def whole_rows(name: str, size: str, frames: int) -> None:
    from vsrcli import UpscaleOptions, upscale
    from vsrcli.media.demo import write_demo
    from vsrcli.options import EncoderOptions

    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "in.mp4"
        write_demo(clip, seconds=frames / 30, size=(width, height))
        for codec in ("h264_nvenc", "libx264"):
            report = upscale(
                clip,
                Path(folder) / f"{codec}.mp4",
                UpscaleOptions(
                    model=name,
                    device="cuda",
                    encoder=EncoderOptions(codec=codec, preset="fast"),
                ),
            )
            rate = report.frames_upscaled / report.seconds
            alone = report.frames_upscaled / report.network_seconds
            print(
                f"| {name} | {size} | {codec} | {rate:.1f} | {alone:.1f} | {100 * rate / alone:.0f} % |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", action="append", help="input, WIDTHxHEIGHT; repeatable"
    )
    parser.add_argument("--model", action="append")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--encode", action="store_true")
    arguments = parser.parse_args()
    peak = peak_tflops()
    print(
        f"{torch.cuda.get_device_name()}, half-precision matrix products reach {peak:.0f} TFLOP/s\n"
    )
    print(
        "| network | input | how | frames/s | of the peak | peak memory, GB |\n|---|---|---|---|---|---|"
    )
    cases = [
        (name, size)
        for name in arguments.model or ["delta", "5-parallel"]
        for size in arguments.size or SIZES
    ]
    for name, size in cases:
        network_rows(name, size, arguments.frames, peak)
    if arguments.encode:
        print(
            "\n| network | input | encoder | whole command, frames/s | its network, frames/s | share |\n|---|---|---|---|---|---|"
        )
        for name, size in cases:
            whole_rows(name, size, 24 * arguments.frames)


if __name__ == "__main__":
    main()
