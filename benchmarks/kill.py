"""Runs of `vsr upscale` killed at random moments with SIGKILL, then resumed.

python benchmarks/kill.py [--runs 20] [--seed 1] [--model lite]

Every output is compared with that of an undisturbed run: decoded frames, their times, and the
packets of all streams.
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

import av
from script_parts import VSR, parse_size, print_header, print_row

from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.jobs.demo import write_demo

_COMMAND = [*VSR, "upscale"]

Content = list[tuple[Fraction, list[int]]]
Packets = list[tuple[int, int, int, int]]


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        kills: how many it survived.
        kept: segments on the disk at each kill.
        frames: in the output.
        same_frames, same_packets: whether they equal those of the undisturbed run.
        leftovers: files that should not be there.
    """

    kills: int
    kept: tuple[int, ...]
    frames: int
    same_frames: bool
    same_packets: bool
    leftovers: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the output shows no trace of the kills."""
        return self.same_frames and self.same_packets and not self.leftovers


def content(path: Path) -> Content:
    found = []
    with VideoReader(probe(path)) as reader:
        for frame in reader:
            sums = [zlib.crc32(plane.tobytes()) for plane in frame.planes]
            found.append((frame.time, sums))
    return found


def packets(path: Path) -> Packets:
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                times = (packet.pts or 0, packet.dts or 0, packet.duration or 0)
                found.append((packet.stream_index, *times))
    return sorted(found)


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
    """Make a clip in ``folder``, upscale it undisturbed, then ``runs`` times with kills.

    A run is killed 1 to 3 times, or until it ends before the next.
    """
    command = command or _COMMAND
    dice = random.Random(seed)
    source = folder / "in.mp4"
    whole = folder / "whole.mkv"
    write_demo(source, seconds=seconds, size=size)
    began = time.monotonic()
    subprocess.run([*command, str(source), str(whole), *options], check=True)
    needed = time.monotonic() - began
    expected = (content(whole), packets(whole))
    outcomes = []
    for number in range(runs):
        target = folder / f"run{number}.mkv"
        upscale = [*command, str(source), str(target), *options]
        kept = _killed(upscale, target, dice, needed)
        _finish(upscale, target)
        outcomes.append(_compared(target, kept, expected))
        target.unlink()
    return outcomes


def _killed(
    command: list[str],
    target: Path,
    dice: random.Random,
    needed: float,
) -> tuple[int, ...]:
    """Start and kill; the segments on the disk at each kill."""
    kept = []
    for _ in range(dice.randint(1, 3)):
        process = subprocess.Popen(command)
        try:
            process.wait(timeout=dice.uniform(0.2, 1.0) * needed)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            segments = target.parent.glob(f"{target.name}.vsr/*.packets")
            kept.append(len(list(segments)))
    return tuple(kept)


def _finish(command: list[str], target: Path) -> None:
    """Let the command finish the output, if it has not."""
    left = [target.with_name(f"{target.name}.vsr")]
    left += target.parent.glob(f".{target.name}.*")
    if not target.exists() or any(path.exists() for path in left):
        subprocess.run(command, check=True)


def _compared(
    target: Path, kept: tuple[int, ...], expected: tuple[Content, Packets]
) -> Outcome:
    frames = content(target)
    known = {"in.mp4", "whole.mkv", target.name}
    names = [path.name for path in target.parent.iterdir()]
    return Outcome(
        kills=len(kept),
        kept=kept,
        frames=len(frames),
        same_frames=frames == expected[0],
        same_packets=packets(target) == expected[1],
        leftovers=tuple(name for name in names if name not in known),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds",
        type=float,
        default=6.0,
        help="length of the clip",
    )
    parser.add_argument("--size", default="192x108", help="input, WIDTHxHEIGHT")
    parser.add_argument("--model", default="lite")
    arguments = parser.parse_args()
    options = ["--segment", "0.5", "--codec", "ffv1", "-q", "--device", "cpu"]
    options += ["--model", arguments.model]
    with tempfile.TemporaryDirectory() as name:
        outcomes = kill_runs(
            Path(name),
            arguments.runs,
            arguments.seed,
            seconds=arguments.seconds,
            size=parse_size(arguments.size),
            options=options,
        )
    print_header(
        "run",
        "kills",
        "segments there at each",
        "frames",
        "decoded frames the same",
        "packets the same",
        "left behind",
    )
    for number, outcome in enumerate(outcomes):
        print_row(
            number,
            outcome.kills,
            " ".join(map(str, outcome.kept)),
            outcome.frames,
            outcome.same_frames,
            outcome.same_packets,
            " ".join(outcome.leftovers) or "nothing",
        )
    good = sum(outcome.ok for outcome in outcomes)
    kills = sum(outcome.kills for outcome in outcomes)
    print(f"\n{good} of {len(outcomes)} complete and identical, after {kills} kills")
    sys.exit(good != len(outcomes))


if __name__ == "__main__":
    main()
