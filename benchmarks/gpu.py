"""The networks on a CUDA GPU.

python benchmarks/gpu.py [--size 960x540]... [--frames 10] [--encode]

Prints frames a second of each network alone: eager float32 (without TF32), eager half precision
(autocast), and what ships. They run one after the other; the memory of each is freed before the
next is loaded. The card's measured peak in half-precision matrix products comes first. With
--encode (it needs PyAV) the whole command with NVENC follows.
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
from script_parts import parse_size, print_header, print_row, write_clip
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
    matrix = torch.rand(side, side, device=DEVICE, dtype=torch.float16)
    duration = seconds(lambda: torch.mm(matrix, matrix), 20)
    return 2 * side**3 / duration / 1e12


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
    """Floating-point operations of a network for a window of that many source pixels."""
    side = 64
    network = load(locate(name, "video"))[0]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, network.planes, side, side))
    return float(counter.get_total_flops()) * pixels / side**2


def eager(name: str, codes: Codes, *, half: bool) -> Call:
    """The module as it is."""
    network = load(locate(name, "video"))[0].to(DEVICE)
    window = torch.from_numpy(codes).to(DEVICE).float()[:, None]

    def call() -> object:
        # The flags of what ships: PyTorch's default for float32 on a card is TF32.
        flags = torch.backends.cudnn.flags(
            enabled=True,
            benchmark=False,
            deterministic=True,
            allow_tf32=False,
        )
        precision = torch.autocast(DEVICE.type, torch.float16, enabled=half)
        with torch.inference_mode(), flags, precision:
            return network(window)

    return call


def shipped(name: str, codes: Codes) -> Call:
    """What `--backend torch` runs, from codes on the host to codes on the host."""
    backend = open_backend("torch", name, "video", device=str(DEVICE), precision="fp16")
    assert isinstance(backend, TakesCodes)
    return partial(backend.run_codes, codes, 1.0, 0.0, 255)


def network_rows(
    name: str,
    size: str,
    frames: int,
    peak: float,
) -> None:
    width, height = parse_size(size)
    shape = (1, MODELS[name].planes, height + 8, width + 8)
    random = np.random.default_rng(0)
    codes = random.integers(16, 235, shape).astype(np.uint8)
    work = operations(name, shape[-2] * shape[-1])
    ways: dict[str, Callable[[], Call]] = {
        "eager fp32": partial(eager, name, codes, half=False),
        "eager fp16": partial(eager, name, codes, half=True),
        "--backend torch, copies and rounding included": partial(shipped, name, codes),
    }
    for label, make in ways.items():
        gc.collect()  # networks and graphs of the previous way
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            each = seconds(make(), frames)
        except (torch.OutOfMemoryError, OutOfMemory):
            print_row(name, size, label, "out of memory", "", "")
            continue
        except BackendError as error:
            print_row(name, size, label, error, "", "")
            continue
        rate = f"{1 / each:.1f}"
        share = f"{100 * work / each / 1e12 / peak:.0f} %"
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}"
        print_row(name, size, label, rate, share, memory)


def whole_rows(name: str, size: str, frames: int) -> None:
    from vsrcli import UpscaleOptions, upscale
    from vsrcli.options import EncoderOptions

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "in.mp4"
        write_clip(clip, frames, parse_size(size))
        for codec in ("h264_nvenc", "libx264"):
            target = Path(folder) / f"{codec}.mp4"
            encoder = EncoderOptions(codec=codec, preset="fast")
            options = UpscaleOptions(
                model=name,
                device="cuda",
                encoder=encoder,
            )
            report = upscale(clip, target, options)
            rate = report.frames_upscaled / report.seconds
            alone = report.frames_upscaled / report.network_seconds
            share = f"{100 * rate / alone:.0f} %"
            print_row(name, size, codec, f"{rate:.1f}", f"{alone:.1f}", share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", action="append", help="input, WIDTHxHEIGHT; repeatable"
    )
    parser.add_argument("--model", action="append")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--encode", action="store_true")
    arguments = parser.parse_args()
    peak = peak_tflops()
    card = torch.cuda.get_device_name()
    print(f"{card}, half-precision matrix products reach {peak:.0f} TFLOP/s\n")
    print_header(
        "network",
        "input",
        "how",
        "frames/s",
        "of the peak",
        "peak memory, GB",
    )
    names = arguments.model or ["delta", "5-parallel"]
    sizes = arguments.size or SIZES
    cases = [(name, size) for name in names for size in sizes]
    for name, size in cases:
        network_rows(name, size, arguments.frames, peak)
    if not arguments.encode:
        return
    print()
    print_header(
        "network",
        "input",
        "encoder",
        "whole command, frames/s",
        "its network, frames/s",
        "share",
    )
    for name, size in cases:
        whole_rows(name, size, 24 * arguments.frames)


if __name__ == "__main__":
    main()
