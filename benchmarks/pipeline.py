"""What stands around the network costs: wall time of everything over network time alone, and peak memory by length and by size of the picture.

python benchmarks/pipeline.py [--model delta] [--backend auto] [--size 320x180] [--frames 60] [--lengths 10 60] [--sizes 320x180 640x360]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from vsrcli.media.demo import write_demo

# each run is a process of its own: a peak belongs to one
_RUN = """
import json, re, sys
from pathlib import Path
from vsrcli import UpscaleOptions, upscale
from vsrcli.options import EncoderOptions
source, target, model, backend, preset = sys.argv[1:]
report = upscale(source, target, UpscaleOptions(model=model, backend=backend, device="cpu", overwrite=True, encoder=EncoderOptions(preset=preset)))
# not getrusage: its peak begins with that of the process that started this one
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps({"seconds": report.seconds, "network": report.network_seconds, "stages": report.stages, "frames": report.frames_upscaled, "peak": peak,
                  "backend": report.backend}))
"""


def measure(
    folder: Path, size: str, frames: int, model: str, backend: str, preset: str
) -> dict[str, float]:
    width, height = map(int, size.split("x"))
    clip = folder / f"{size}-{frames}.mp4"
    if not clip.exists():
        write_demo(clip, seconds=frames / 30, size=(width, height))
    command = [
        sys.executable,
        "-c",
        _RUN,
        str(clip),
        str(folder / "out.mp4"),
        model,
        backend,
        preset,
    ]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="delta")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--size", default="320x180", help="input, WIDTHxHEIGHT, even")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="*",
        default=[10, 60],
        help="seconds of clips of 64x48",
    )
    parser.add_argument("--sizes", nargs="*", default=["320x180", "640x360"])
    arguments = parser.parse_args()
    model = arguments.model
    backend = arguments.backend
    preset = arguments.preset
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = measure(folder, arguments.size, arguments.frames, model, backend, preset)
        shown = ("decode", "motion", "pictures", "encode")
        columns = [
            "network",
            "run by",
            "input",
            "frames",
            "everything, s",
            "network, s",
            "ratio",
        ]
        columns += [f"{stage}, s" for stage in shown]
        print(f"| {' | '.join(columns)} |\n{len(columns) * '|---'}|")
        stages: dict[str, float] = run["stages"]  # type: ignore[assignment]
        # the threads of motion compensation added up; most networks have none
        shares = " | ".join(f"{stages.get(stage, 0):.1f}" for stage in shown)
        ratio = run["seconds"] / run["network"]
        print(
            f"| {model} | {run['backend']} | {arguments.size} | {run['frames']} | {run['seconds']:.1f} | {run['network']:.1f} | {ratio:.3f} | {shares} |"
        )
        print(
            "\n| network | run by | input | frames | peak memory, MB |\n|---|---|---|---|---|"
        )
        for size, frames in [
            *(("64x48", 30 * seconds) for seconds in arguments.lengths),
            *((size, 6) for size in arguments.sizes),
        ]:
            run = measure(folder, size, frames, model, backend, preset)
            print(
                f"| {model} | {run['backend']} | {size} | {run['frames']} | {run['peak'] / 1e6:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
