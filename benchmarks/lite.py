"""Lite beside Delta and beside what else runs without a GPU, on the CPU, in one run.

python benchmarks/lite.py [CLIP] [--sizes 480x270,...] [--repeats N]

Without CLIP the networks alone: the backends of vsr on a film that moves, so that every window has
one new frame; and networks of the classes ESPCN, FSRCNN and ECBSR (one frame, random weights: only
their speed counts here) in ONNX Runtime. Then the time that Lite takes for a frame: in motion
compensation, on one thread, and with the network behind it (`vsr upscale` runs the two in
parallel). With CLIP whole commands: `vsr upscale` with x264 veryfast beside FFmpeg's
`scale=lanczos`, which has to be installed, both at the clip's own rate.
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
from typing import Any

import numpy as np
import onnxruntime
import torch
from script_parts import VSR, parse_size, print_header, print_row
from torch import nn

from vsrcli.backends import Float, open_backend
from vsrcli.frame import Plane
from vsrcli.pipeline.network import LumaNetwork

Call = Callable[[int], object]
# model or network, and what runs it
Runner = tuple[str, str]

# Windows before the first that counts: libraries warm up, and networks keep features of frames.
_BEFORE = 5
# The threads of the library that ran last wait busily for a while.
_SETTLE_SECONDS = 0.3


def espcn() -> nn.Module:
    """ESPCN (Shi et al. 2016), 21K parameters at 2x; +2.43 dB over bicubic on Vid4 when trained."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )


def fsrcnn() -> nn.Module:
    """FSRCNN (Dong et al. 2016), d=56, s=12, m=4; +2.54 dB."""
    return nn.Sequential(
        nn.Conv2d(1, 56, 5, padding=2),
        nn.PReLU(56),
        nn.Conv2d(56, 12, 1),
        nn.PReLU(12),
        *_repeated(4, 12),
        nn.Conv2d(12, 56, 1),
        nn.PReLU(56),
        nn.ConvTranspose2d(
            56,
            1,
            9,
            stride=2,
            padding=4,
            output_padding=1,
        ),
    )


def ecbsr() -> nn.Module:
    """ECBSR-M6C40 (Zhang et al. 2021) as it is deployed, without its shortcut; +3.19 dB."""
    return nn.Sequential(
        nn.Conv2d(1, 40, 3, padding=1),
        nn.PReLU(40),
        *_repeated(6, 40),
        nn.Conv2d(40, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )


def _repeated(count: int, width: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers.append(nn.Conv2d(width, width, 3, padding=1))
        layers.append(nn.PReLU(width))
    return layers


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "ESPCN class": espcn,
    "FSRCNN class": fsrcnn,
    "ECBSR-M6C40 class": ecbsr,
}
OURS: tuple[Runner, ...] = (
    ("lite", "openvino"),
    ("lite", "onnx"),
    ("lite", "torch"),
    ("delta", "openvino"),
    ("delta", "onnx"),
)


def session(network: nn.Module, height: int, width: int) -> Call:
    """A network of one frame in ONNX Runtime, with the default settings of vsr's own backend."""
    buffer: Any = io.BytesIO()
    example = (torch.rand(1, 1, 16, 16),)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            example,
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            dynamic_axes={"x": {2: "h", 3: "w"}},
        )
    providers = ["CPUExecutionProvider"]
    running = onnxruntime.InferenceSession(buffer.getvalue(), providers=providers)
    random = np.random.default_rng(0)
    picture = random.uniform(0, 1, (1, 1, height, width)).astype(np.float32)
    return lambda number: running.run(None, {"x": picture})


def film(
    backend: str,
    model: str,
    height: int,
    width: int,
) -> Call:
    """A network of vsr, window after window; Lite's planes are made before."""
    running = open_backend(backend, model, "clean", device="cpu", precision="fp32")
    planes = running.spec.planes
    random = np.random.default_rng(0)
    noise = random.uniform(16, 235, (planes + 4, height, width))
    frames: Float = noise.astype(np.float32)

    def call(number: int) -> Float:
        places = [(number + place) % len(frames) for place in range(planes)]
        return running.run(frames[places][None])

    return call


def pan(count: int, height: int, width: int) -> list[Plane]:
    """A film with edges and slopes that moves 2 pixels a frame across and half a pixel down."""
    random = np.random.default_rng(1)
    steps = random.normal(0, 6, (2 * height + count, 2 * width + 4 * count))
    fine = np.abs(np.cumsum(steps, axis=1)) % 219 + 16
    frames: list[Plane] = []
    for number in range(count):
        left = 4 * number
        part = fine[number : number + 2 * height, left : left + 2 * width]
        halved = part.reshape(height, 2, width, 2).mean(axis=(1, 3))
        frames.append(halved.astype(np.uint8))
    return frames


def motion_ms(height: int, width: int, repeats: int) -> list[float]:
    """Milliseconds a frame of Lite: motion compensation on one thread, and with the network."""
    model, runner = OURS[0]
    backend = open_backend(runner, model, "clean", device="cpu", precision="fp32")
    network = LumaNetwork(backend)
    count = network.spec.frames
    frames = pan(_BEFORE + repeats + count - 1, height, width)
    alone = []
    both = []
    for number in range(_BEFORE + repeats):
        work = network.inputs.plan(frames[number : number + count], 8, False)
        time.sleep(_SETTLE_SECONDS)
        began = time.perf_counter()
        planes, seconds = work()
        network.upscale(planes, 8, False)
        both.append(time.perf_counter() - began)
        alone.append(seconds)
    return [1e3 * statistics.median(times[_BEFORE:]) for times in (alone, both)]


def networks(height: int, width: int, *, is_first: bool) -> dict[Runner, Call]:
    """All that are timed at a size; Delta in ONNX Runtime only at the first."""
    calls: dict[Runner, Call] = {}
    for model, backend in OURS:
        if is_first or (model, backend) != ("delta", "onnx"):
            calls[model, backend] = film(backend, model, height, width)
    for name, make in OTHERS.items():
        calls[name, "onnx"] = session(make(), height, width)
    return calls


def median_seconds(
    calls: dict[Runner, Call], repeats: int, *, is_first: bool
) -> dict[Runner, float]:
    """Median time of each call; they take turns."""
    times: dict[Runner, list[float]] = {key: [] for key in calls}
    for (name, _), call in calls.items():
        for turn in range(_BEFORE - 2 if name == "delta" else 0, _BEFORE):
            call(turn)
    for repeat in range(repeats):
        for (name, backend), call in calls.items():
            if name == "delta" and repeat and not is_first:
                continue  # up to ten seconds each
            time.sleep(_SETTLE_SECONDS)
            began = time.perf_counter()
            call(_BEFORE + repeat)
            times[name, backend].append(time.perf_counter() - began)
    return {key: statistics.median(taken) for key, taken in times.items()}


def alone(sizes: list[tuple[int, int]], repeats: int) -> None:
    columns = [f"{width}x{height}, frames/s" for width, height in sizes]
    print_header("network", "in", *columns, "times Delta at the first size")
    rates: dict[Runner, list[float]] = {}
    for place, (width, height) in enumerate(sizes):
        is_first = place == 0
        calls = networks(height, width, is_first=is_first)
        medians = median_seconds(calls, repeats, is_first=is_first)
        for key, seconds in medians.items():
            rates.setdefault(key, []).append(1 / seconds)
        print(f"{width}x{height} done", file=sys.stderr)
    delta = max(found[0] for (name, _), found in rates.items() if name == "delta")
    for (name, backend), found in rates.items():
        cells = [f"{rate:.3g}" for rate in found]
        cells += ["-"] * (len(sizes) - len(found))
        print_row(name, backend, *cells, f"{found[0] / delta:.1f}")


def with_motion(sizes: list[tuple[int, int]], repeats: int) -> None:
    """What Lite takes for a frame, and how much of it is not its network."""
    columns = [f"{width}x{height}, ms" for width, height in sizes]
    print()
    print_header("lite, for a frame", *columns)
    measured = [motion_ms(height, width, repeats) for width, height in sizes]
    names = ("motion compensation alone, one thread", f"both, {OURS[0][1]}")
    for number, name in enumerate(names):
        print_row(name, *[f"{times[number]:.1f}" for times in measured])


def cut_clip(clip: Path, frames: int, target: Path) -> None:
    """The first frames of a clip, without sound."""
    encoding = ["-an", "-c:v", "libx264", "-crf", "12"]
    count = ["-frames:v", str(frames)]
    _run(["ffmpeg", "-y", "-i", str(clip), *count, *encoding, str(target)])


def commands(clip: Path, frames: int, repeats: int) -> None:
    """Whole commands on the first frames of a clip; Delta on a tenth of them."""
    few_frames = max(4, frames // 10)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.mkv"
        few = Path(folder) / "few.mkv"
        cut_clip(clip, frames, part)
        cut_clip(clip, few_frames, few)
        target = str(Path(folder) / "o.mp4")
        vsr = [*VSR, "upscale", "-q", "-y", "--fps", "source"]
        vsr += ["--preset", "veryfast", "--domain", "clean"]
        lanczos = ["-vf", "scale=2*iw:2*ih:flags=lanczos"]
        encoding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "16"]
        jobs: dict[str, tuple[list[str], int]] = {
            "ffmpeg scale=lanczos": (
                ["ffmpeg", "-y", "-i", str(part), *lanczos, *encoding, target],
                frames,
            ),
            "vsr lite": (
                [*vsr, str(part), target, "--model", "lite"],
                frames,
            ),
            "vsr delta": (
                [*vsr, str(few), target, "--model", "delta"],
                few_frames,
            ),
        }
        print_header("command", "frames", "seconds", "frames/s")
        for name, (command, count) in jobs.items():
            runs = 1 if name == "vsr delta" else repeats
            seconds = min(_run(command) for _ in range(runs))
            print_row(name, count, f"{seconds:.1f}", f"{count / seconds:.2f}")


def _run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument(
        "--sizes",
        default="480x270,640x360,960x540,1280x720",
        help="inputs, WIDTHxHEIGHT, separated by commas",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--frames",
        type=int,
        default=60,
        help="of the clip",
    )
    arguments = parser.parse_args()
    if arguments.clip is None:
        sizes = [parse_size(size) for size in arguments.sizes.split(",")]
        alone(sizes, arguments.repeats)
        with_motion(sizes, arguments.repeats)
    else:
        commands(arguments.clip, arguments.frames, arguments.repeats)


if __name__ == "__main__":
    main()
