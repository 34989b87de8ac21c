"""Runs of `vsr upscale` killed at random moments with SIGKILL, then gone on with: python benchmarks/kill.py [--runs 20] [--seed 1] [--model lite].

Every output is held against that of an undisturbed run: decoded frames, their times, and the packets of all streams.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vsrcli.media.demo import write_demo
from vsrcli.media.reader import VideoReader

_COMMAND = [sys.executable, "-c", "from vsrcli.cli import main; main()", "upscale"]


@dataclass(frozen=True)
class Outcome:
    """One run: kills survived, segments there at each of them, whether the result is that of the undisturbed run, and whether anything was left behind."""

    kills: int
    kept: tuple[int, ...]
    frames: int
    same_frames: bool
    same_packets: bool
    leftovers: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing shows that the run was killed."""
        return self.same_frames and self.same_packets and not self.leftovers


def content(path: Path) -> list[tuple[Fraction, list[int]]]:
    with VideoReader(path) as reader:
        return [
            (frame.time, [zlib.crc32(plane.tobytes()) for plane in frame.planes])
            for frame in reader
        ]


def packets(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return sorted(
            (
                packet.stream_index,
                packet.pts or 0,
                packet.dts or 0,
                packet.duration or 0,
            )
            for packet in container.demux()
            if packet.size
        )


def kill_runs(
    folder: Path,
    runs: int,
    seed: int,
    *,
    seconds: float,
    size: tuple[int, int],
    options: list[str],
    command: list[str] | None = None,
) -> list[Outcome]:
    """Make a clip in ``folder``, upscale it undisturbed, then ``runs`` times with kills; a run is killed 1 to 3 times, or until it ends before the next."""
    command = command or _COMMAND
    dice = random.Random(seed)
    source = folder / "in.mp4"
    whole = folder / "whole.mkv"
    write_demo(source, seconds=seconds, size=size)
    began = time.monotonic()
    subprocess.run([*command, str(source), str(whole), *options], check=True)
    needed = time.monotonic() - began
    expected = content(whole), packets(whole)
    outcomes = []
    for number in range(runs):
        target = folder / f"run{number}.mkv"
        kills: list[int] = []
        for _ in range(dice.randint(1, 3)):
            process = subprocess.Popen([*command, str(source), str(target), *options])
            try:
                process.wait(timeout=dice.uniform(0.2, 1.0) * needed)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills.append(len(list(folder.glob(f"{target.name}.vsr/*.packets"))))
        left = folder / f"{target.name}.vsr"
        if (
            not target.exists() or left.exists()
        ):  # the second where it was killed between its last two steps: the command says that the output exists
            subprocess.run(
                [*command, str(source), str(target), *options],
                check=not target.exists(),
                stderr=subprocess.DEVNULL if target.exists() else None,
            )
        known = {"in.mp4", "whole.mkv", target.name}
        outcomes.append(
            Outcome(
                len(kills),
                tuple(kills),
                len(content(target)),
                content(target) == expected[0],
                packets(target) == expected[1],
                tuple(path.name for path in folder.iterdir() if path.name not in known),
            )
        )
        target.unlink()
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the clip")
    parser.add_argument("--size", default="192x108", help="input, WIDTHxHEIGHT")
    parser.add_argument("--model", default="lite")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    options = [
        "--segment",
        "0.5",
        "--codec",
        "ffv1",
        "-q",
        "--device",
        "cpu",
        "--model",
        arguments.model,
    ]
    with tempfile.TemporaryDirectory() as name:
        outcomes = kill_runs(
            Path(name),
            arguments.runs,
            arguments.seed,
            seconds=arguments.seconds,
            size=(width, height),
            options=options,
        )
    print(
        "| run | kills | segments there at each | frames | decoded frames the same | packets the same | left behind |\n|---|---|---|---|---|---|---|"
    )
    for number, outcome in enumerate(outcomes):
        print(
            f"| {number} | {outcome.kills} | {' '.join(map(str, outcome.kept))} | {outcome.frames} | {outcome.same_frames} | {outcome.same_packets} | "
            f"{' '.join(outcome.leftovers) or 'nothing'} |"
        )
    good = sum(outcome.ok for outcome in outcomes)
    print(
        f"\n{good} of {len(outcomes)} complete and identical, after {sum(outcome.kills for outcome in outcomes)} kills"
    )
    sys.exit(good != len(outcomes))


if __name__ == "__main__":
    main()
