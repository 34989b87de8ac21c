"""Lite beside Delta and beside what else one would take without a GPU, on the CPU, in one run: python benchmarks/lite.py [CLIP] [--sizes 480x270,...] [--repeats N].

Without CLIP the networks alone: the backends of vsr on a film that moves, so that every window has one new frame; and networks of the classes ESPCN, FSRCNN
and ECBSR (one frame, random weights: only their speed counts here) in ONNX Runtime. Then the time
that Lite takes for a frame: in motion compensation, on one thread, and with the network behind it
(`vsr upscale` runs the two side by side). With CLIP whole commands: `vsr upscale` with x264 veryfast beside
FFmpeg's `scale=lanczos`, which has to be installed, both at the clip's own rate.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from vsrcli.backends import Float, open_backend
from vsrcli.frame import Plane
from vsrcli.run.network import LumaNetwork

Call = Callable[[int], object]

# windows before the first that counts: libraries prepare themselves, and networks keep what they made of frames
_BEFORE = 5
# the threads of the library that ran last wait busily for a while
_SETTLE_SECONDS = 0.3


def espcn() -> nn.Module:
    """ESPCN (Shi et al. 2016), 21K parameters at 2x; +2.43 dB over bicubic on Vid4 with trained weights."""
    layers = (
        nn.Conv2d(1, 64, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )
    return nn.Sequential(*layers)


def fsrcnn() -> nn.Module:
    """FSRCNN (Dong et al. 2016), d=56, s=12, m=4; +2.54 dB."""
    middle = [
        layer
        for _ in range(4)
        for layer in (nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12))
    ]
    ends = (
        nn.Conv2d(12, 56, 1),
        nn.PReLU(56),
        nn.ConvTranspose2d(56, 1, 9, stride=2, padding=4, output_padding=1),
    )
    return nn.Sequential(
        nn.Conv2d(1, 56, 5, padding=2),
        nn.PReLU(56),
        nn.Conv2d(56, 12, 1),
        nn.PReLU(12),
        *middle,
        *ends,
    )


def ecbsr() -> nn.Module:
    """ECBSR-M6C40 (Zhang et al. 2021) as it is deployed, without its shortcut; +3.19 dB."""
    body = [
        layer
        for _ in range(6)
        for layer in (nn.Conv2d(40, 40, 3, padding=1), nn.PReLU(40))
    ]
    return nn.Sequential(
        nn.Conv2d(1, 40, 3, padding=1),
        nn.PReLU(40),
        *body,
        nn.Conv2d(40, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "ESPCN class": espcn,
    "FSRCNN class": fsrcnn,
    "ECBSR-M6C40 class": ecbsr,
}
OURS = (
    ("lite", "openvino"),
    ("lite", "onnx"),
    ("lite", "torch"),
    ("delta", "openvino"),
    ("delta", "onnx"),
)


def session(network: nn.Module, height: int, width: int) -> Call:
    """A network of one frame in ONNX Runtime, with the settings that vsr's own backend has by default."""
    buffer = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.rand(1, 1, 16, 16),)
        torch.onnx.export(
            network.eval(),
            example,
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            dynamic_axes={"x": {2: "h", 3: "w"}},
        )  # type: ignore[arg-type]
    running = onnxruntime.InferenceSession(
        buffer.getvalue(), providers=["CPUExecutionProvider"]
    )
    picture = (
        np.random.default_rng(0).uniform(0, 1, (1, 1, height, width)).astype(np.float32)
    )
    return lambda number: running.run(None, {"x": picture})


def film(backend: str, model: str, height: int, width: int) -> Call:
    """A network of vsr, window after window; Lite's planes are made before."""
    running = open_backend(backend, model, "clean", device="cpu", precision="fp32")
    planes = running.spec.planes
    noise = np.random.default_rng(0).uniform(16, 235, (planes + 4, height, width))
    frames: Float = noise.astype(np.float32)

    def call(number: int) -> Float:
        places = [(number + place) % len(frames) for place in range(planes)]
        return running.run(frames[places][None])

    return call


def pan(count: int, height: int, width: int) -> list[Plane]:
    """A film with edges and slopes that moves by 2 pixels a frame one way and by half one the other."""
    steps = np.random.default_rng(1).normal(
        0, 6, (2 * height + count, 2 * width + 4 * count)
    )
    fine = np.abs(np.cumsum(steps, axis=1)) % 219 + 16
    parts = [fine[k : k + 2 * height, 4 * k : 4 * k + 2 * width] for k in range(count)]
    return [
        part.reshape(height, 2, width, 2).mean(axis=(1, 3)).astype(np.uint8)
        for part in parts
    ]


def motion_ms(height: int, width: int, repeats: int) -> list[float]:
    """Milliseconds a frame of Lite: motion compensation on one thread, and with the network."""
    model, backend = OURS[0]
    network = LumaNetwork(
        open_backend(backend, model, "clean", device="cpu", precision="fp32")
    )
    frames = pan(_BEFORE + repeats + network.spec.frames - 1, height, width)
    alone = []
    both = []
    for number in range(_BEFORE + repeats):
        work = network.inputs.plan(
            frames[number : number + network.spec.frames], 8, False
        )
        time.sleep(_SETTLE_SECONDS)
        began = time.perf_counter()
        planes, seconds = work()
        network.upscale(planes, 8, False)
        both.append(time.perf_counter() - began)
        alone.append(seconds)
    return [1e3 * statistics.median(times[_BEFORE:]) for times in (alone, both)]


def alone(sizes: list[tuple[int, int]], repeats: int) -> None:
    print(
        "| network | in | "
        + " | ".join(f"{width}x{height}, frames/s" for width, height in sizes)
        + " | times Delta at the first size |"
    )
    print("|---|---|" + "---|" * (len(sizes) + 1))
    rates: dict[tuple[str, str], list[float]] = {}
    for place, (width, height) in enumerate(sizes):
        calls = {
            (model, backend): film(backend, model, height, width)
            for model, backend in OURS
            if place == 0 or (model, backend) != ("delta", "onnx")
        }
        calls |= {
            (name, "onnx"): session(make(), height, width)
            for name, make in OTHERS.items()
        }
        times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
        for key, call in calls.items():
            for turn in range(_BEFORE - 2 if key[0] == "delta" else 0, _BEFORE):
                call(turn)
        for repeat in range(repeats):
            for key, call in calls.items():
                if key[0] == "delta" and repeat and place:
                    continue  # up to ten seconds each
                time.sleep(_SETTLE_SECONDS)
                began = time.perf_counter()
                call(_BEFORE + repeat)
                times[key].append(time.perf_counter() - began)
        for key, taken in times.items():
            rates.setdefault(key, []).append(1 / statistics.median(taken))
        print(f"{width}x{height} done", file=sys.stderr)
    delta = max(found[0] for key, found in rates.items() if key[0] == "delta")
    for (name, backend), found in rates.items():
        cells = [f"{rate:.3g}" for rate in found] + ["-"] * (len(sizes) - len(found))
        print(f"| {name} | {backend} | {' | '.join(cells)} | {found[0] / delta:.1f} |")


def with_motion(sizes: list[tuple[int, int]], repeats: int) -> None:
    """What Lite takes for a frame, and what of it is not its network."""
    columns = [f"{width}x{height}, ms" for width, height in sizes]
    print(f"\n| lite, for a frame | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(sizes))
    measured = [motion_ms(height, width, repeats) for width, height in sizes]
    names = ("motion compensation alone, one thread", f"both, {OURS[0][1]}")
    for name, times in zip(names, zip(*measured, strict=True), strict=True):
        print(f"| {name} | {' | '.join(f'{each:.1f}' for each in times)} |")


def commands(clip: Path, frames: int, repeats: int) -> None:
    """Whole commands on the first frames of a clip; Delta on a tenth of them."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.mkv"
        few = Path(folder) / "few.mkv"
        for file, count in ((part, frames), (few, max(4, frames // 10))):
            _run(
                [
                    "ffmpeg",
                    "-y",
                    "-i",
                    str(clip),
                    "-frames:v",
                    str(count),
                    "-an",
                    "-c:v",
                    "libx264",
                    "-crf",
                    "12",
                    str(file),
                ]
            )
        vsr = [
            sys.executable,
            "-c",
            "from vsrcli.cli import main; main()",
            "upscale",
            "-q",
            "-y",
            "--fps",
            "source",
            "--preset",
            "veryfast",
            "--domain",
            "clean",
        ]
        target = str(Path(folder) / "o.mp4")
        lanczos = [
            "-vf",
            "scale=2*iw:2*ih:flags=lanczos",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            "16",
            target,
        ]
        jobs: dict[str, tuple[list[str], int]] = {
            "ffmpeg scale=lanczos": (
                ["ffmpeg", "-y", "-i", str(part), *lanczos],
                frames,
            ),
            "vsr lite": ([*vsr, str(part), target, "--model", "lite"], frames),
            "vsr delta": (
                [*vsr, str(few), target, "--model", "delta"],
                max(4, frames // 10),
            ),
        }
        print("| command | frames | seconds | frames/s |\n|---|---|---|---|")
        for name, (command, count) in jobs.items():
            seconds = min(
                _run(command) for _ in range(1 if name == "vsr delta" else repeats)
            )
            print(
                f"| {name} | {count} | {seconds:.1f} | {count / seconds:.2f} |",
                flush=True,
            )


def _run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument(
        "--sizes",
        default="480x270,640x360,960x540,1280x720",
        help="inputs, WIDTHxHEIGHT, separated by commas",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=60, help="of the clip")
    arguments = parser.parse_args()
    if arguments.clip is None:
        sizes = [
            (int(width), int(height))
            for width, height in (
                size.split("x") for size in arguments.sizes.split(",")
            )
        ]
        alone(sizes, arguments.repeats)
        with_motion(sizes, arguments.repeats)
    else:
        commands(arguments.clip, arguments.frames, arguments.repeats)


if __name__ == "__main__":
    main()
