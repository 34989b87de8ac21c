"""The networks on a CUDA GPU: python benchmarks/gpu.py [--size 960x540 ...] [--frames 60] [--encode].

Frames a second of eager float32, eager half precision (autocast), and what ships, by the network alone; the card's measured peak in half-precision matrix
products beside it; and with --encode (it needs PyAV) the whole command with NVENC.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vsrcli.backends import open_backend
from vsrcli.backends.torch import TorchBackend
from vsrcli.backends.triton import TritonBackend
from vsrcli.models.checkpoint import load
from vsrcli.models.weights import locate

SIZES = ["960x540", "1280x720", "1920x1080"]


def peak_tflops() -> float:
    """Half-precision matrix products, 10**12 operations a second."""
    side = 8192
    a = torch.rand(side, side, device="cuda", dtype=torch.float16)
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


def network_rows(name: str, size: str, frames: int, peak: float) -> None:
    width, height = map(int, size.split("x"))
    codes = np.random.default_rng(0).integers(16, 235, (1, 5, height + 8, width + 8)).astype(np.uint8)
    with torch.inference_mode():
        network = load(locate(name, "video"))[0].cuda()
        given = torch.from_numpy(codes).cuda().float()[:, None]
        with FlopCounterMode(display=False) as counter:
            network(given[..., :64, :64])
        work = counter.get_total_flops() * (height + 8) * (width + 8) / 64**2
        calls: dict[str, Callable[[], object]] = {"eager fp32": lambda: network(given)}

        def half() -> object:
            with torch.autocast("cuda", torch.float16):
                return network(given)

        calls["eager fp16"] = half
        for backend_name in ("torch", "triton", "triton, two kernels a pass"):
            try:
                backend = open_backend(backend_name.split(",")[0], name, "video", device="cuda", precision="fp16")
            except Exception as error:  # a network that it does not take, or no Triton
                print(f"{backend_name}: {error}")
                continue
            assert isinstance(backend, TorchBackend)
            if isinstance(backend, TritonBackend):
                backend.volume.whole_passes = backend_name == "triton"
            calls[f"--backend {backend_name}, copies and rounding included"] = lambda backend=backend: backend.run_codes(codes, 1.0, 0.0, 255)  # type: ignore[misc]
        for label, call in calls.items():
            torch.cuda.reset_peak_memory_stats()
            try:
                each = seconds(call, frames)
            except torch.OutOfMemoryError:
                print(f"| {name} | {size} | {label} | out of memory | | |")
                continue
            memory = torch.cuda.max_memory_allocated() / 1e9
            print(f"| {name} | {size} | {label} | {1 / each:.1f} | {100 * work / each / 1e12 / peak:.0f} % | {memory:.1f} |", flush=True)


def whole_rows(name: str, size: str, frames: int) -> None:
    from vsrcli import UpscaleOptions, upscale
    from vsrcli.media.demo import write_demo
    from vsrcli.options import EncoderOptions

    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "in.mp4"
        write_demo(clip, seconds=frames / 30, size=(width, height))
        for codec in ("h264_nvenc", "libx264"):
            report = upscale(clip, Path(folder) / f"{codec}.mp4", UpscaleOptions(model=name, device="cuda", encoder=EncoderOptions(codec=codec, preset="fast")))
            rate, alone = report.frames_upscaled / report.seconds, report.frames_upscaled / report.network_seconds
            print(f"| {name} | {size} | {codec} | {rate:.1f} | {alone:.1f} | {100 * rate / alone:.0f} % |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="append", help="input, WIDTHxHEIGHT; repeatable")
    parser.add_argument("--model", action="append")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--encode", action="store_true")
    arguments = parser.parse_args()
    peak = peak_tflops()
    print(f"{torch.cuda.get_device_name()}, half-precision matrix products reach {peak:.0f} TFLOP/s\n")
    print("| network | input | how | frames/s | of the peak | peak memory, GB |\n|---|---|---|---|---|---|")
    cases = [(name, size) for name in arguments.model or ["delta", "5-parallel"] for size in arguments.size or SIZES]
    for name, size in cases:
        network_rows(name, size, arguments.frames, peak)
    if arguments.encode:
        print("\n| network | input | encoder | whole command, frames/s | its network, frames/s | share |\n|---|---|---|---|---|---|")
        for name, size in cases:
            whole_rows(name, size, 4 * arguments.frames)


if __name__ == "__main__":
    main()
