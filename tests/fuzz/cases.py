"""Seeded mutations of small valid files, and what vsr does with them.

A case is a kind of file and a number.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import numpy as np
from clips import write_clip
from fake import FakeBackend

import vsrcli.jobs.upscale as upscale_module
from vsrcli.decode.probe import probe
from vsrcli.errors import VsrError
from vsrcli.jobs.upscale import upscale
from vsrcli.models.weights import locate
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.streams.stream_plan import plan_streams

FAST = EncoderOptions(preset="ultrafast")
CONTAINERS: dict[str, tuple[str, str]] = {
    "mp4": ("libx264", "yuv420p"),
    "mov": ("prores_ks", "yuv422p10le"),
    "mkv": ("libx265", "yuv420p"),
    "webm": ("libvpx-vp9", "yuv420p"),
    "avi": ("mpeg4", "yuv420p"),
    "ts": ("mpeg2video", "yuv420p"),
    "nut": ("ffv1", "yuv420p"),
    "y4m": ("wrapped_avframe", "yuv420p"),
}
KINDS = (*CONTAINERS, "safetensors", "pth", "onnx", "journal", "part")
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make_seeds(folder: Path) -> None:
    """Write one small valid file of each kind."""
    for ending, (codec, layout) in CONTAINERS.items():
        path = folder / f"seed.{ending}"
        muxer = {"y4m": "yuv4mpegpipe", "ts": "mpegts"}.get(ending)
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        write_clip(
            path,
            frames=12,
            size=(64, 48),
            codec=codec,
            pix_fmt=layout,
            muxer=muxer,
            gop=4,
            options=quiet,
        )
    shutil.copy(locate("delta"), folder / "seed.safetensors")
    _write_pth(folder / "seed.pth")
    _write_onnx(folder / "seed.onnx")
    source = folder / "journal.mkv"
    target = folder / "journal-out.mkv"
    write_clip(source, frames=30, size=(32, 32), codec="ffv1")
    count = 0

    def stop(progress: object) -> None:
        nonlocal count
        count += 1
        if count == 22:
            raise KeyboardInterrupt

    module: Any = upscale_module
    real = module.open_backend
    _use_fake_backend()
    try:
        upscale(source, target, _JOURNALED, on_progress=stop)
    except KeyboardInterrupt:
        shutil.move(f"{target}.vsr", folder / "seed-journal")
    finally:
        module.open_backend = real


_JOURNALED = UpscaleOptions(
    fps="source", segment=0.3, encoder=EncoderOptions(codec="ffv1")
)


def _use_fake_backend() -> None:
    module: Any = upscale_module
    module.open_backend = lambda *given, **options: FakeBackend()


def _write_pth(path: Path) -> None:
    import torch

    layers = {}
    for number in range(4):
        layers[f"layer{number}.weight"] = torch.zeros(4, 4, 3, 3)
    torch.save(layers, path)


def _write_onnx(path: Path) -> None:
    from vsrcli.jobs.export import export_model
    from vsrcli.options import ExportOptions

    export_model(path, ExportOptions(model="previous", domain="clean"))


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Make one to eight changes.

    Bits, bytes and 32-bit numbers change; spans are cut out, doubled or filled; ends are cut off.
    """
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        if not data:
            break
        at = _place(len(data), dice)
        length = dice.randrange(1, min(256, len(data)) + 1)
        change = dice.randrange(7)
        if change == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif change == 1:
            data[at] = dice.randrange(256)
        elif change == 2:
            order = dice.choice("<>")
            data[at : at + 4] = struct.pack(f"{order}I", dice.choice(_NUMBERS))
        elif change == 3:
            del data[at : at + length]
        elif change == 4:
            data[at:at] = data[at : at + length]
        elif change == 5:
            filled = min(length, len(data) - at)
            data[at : at + length] = bytes([dice.choice((0, 255, 32))]) * filled
        else:
            del data[at if at > 64 else len(data) // 2 :]
    return bytes(data)


def _place(size: int, dice: random.Random) -> int:
    """Where to change; headers are small and near the ends, so half of the changes go there."""
    reach = min(size, 512)
    if dice.random() < 0.4:
        return dice.randrange(reach)
    if dice.random() < 0.3:
        return size - 1 - dice.randrange(reach)
    return dice.randrange(size)


def _video(seeds: Path, kind: str, dice: random.Random, folder: Path) -> None:
    source = folder / f"in.{kind}"
    target = folder / "out.mkv"
    source.write_bytes(mutate((seeds / f"seed.{kind}").read_bytes(), dice))
    plan_streams(probe(source), target, "copy")
    try:
        upscale(source, target, UpscaleOptions(end=Fraction(1, 3), encoder=FAST))
    finally:
        if target.exists():
            with av.open(str(target)) as written:
                next(written.decode(video=0))


def _checkpoint(seeds: Path, kind: str, dice: random.Random, folder: Path) -> None:
    path = folder / f"in.{kind}"
    path.write_bytes(mutate((seeds / f"seed.{kind}").read_bytes(), dice))
    windows = np.zeros((1, 5, 16, 16), np.float32)
    if kind == "onnx":
        from vsrcli.backends.onnx import OnnxBackend

        OnnxBackend(str(path), device="cpu").run(windows)
    else:
        from vsrcli.models.checkpoint import load

        load(path)


def _journal(seeds: Path, kind: str, dice: random.Random, folder: Path) -> None:
    target = folder / "journal-out.mkv"
    shutil.copytree(seeds / "seed-journal", folder / "journal-out.mkv.vsr")
    name = "journal.jsonl" if kind == "journal" else "000000.packets"
    hurt = folder / "journal-out.mkv.vsr" / name
    hurt.write_bytes(mutate(hurt.read_bytes(), dice))
    upscale(seeds / "journal.mkv", target, _JOURNALED)
    with av.open(str(target)) as written:
        frames = sum(1 for _ in written.decode(video=0))
    if frames != 30:
        raise AssertionError(f"{frames} of 30 frames")


def run_case(seeds: Path, kind: str, number: int, folder: Path) -> str:
    """Try one case in an empty folder.

    Returns:
        ``done``, or the error's class; anything that must not be is raised.
    """
    dice = random.Random(f"{kind} {number}")
    work: Callable[[Path, str, random.Random, Path], None] = _checkpoint
    if kind in CONTAINERS:
        work = _video
    elif kind in ("journal", "part"):
        work = _journal
    try:
        work(seeds, kind, dice, folder)
        outcome = "done"
    except VsrError as error:
        if "\n" in str(error) or not str(error):
            raise AssertionError(f"not one line: {error!r}") from error
        outcome = type(error).__name__
        names = {path.name for path in folder.iterdir()}
        if names & {"out.mkv", "journal-out.mkv"}:
            problem = f"a file under the final name after {error}"
            raise AssertionError(problem) from error
    if left := [path.name for path in folder.rglob("*.part")]:
        raise AssertionError(f"left behind: {left}")
    return outcome


def main() -> None:
    """Run the cases named on standard input, one a line; answer each with a line of JSON."""
    seeds = Path(sys.argv[1])
    folder = Path(sys.argv[2])
    most_bytes = int(sys.argv[3])
    _use_fake_backend()
    for line in sys.stdin:
        kind, number = line.split()
        work = folder / f"{kind}-{number}"
        work.mkdir()
        problem = ""
        outcome = ""
        try:
            outcome = run_case(seeds, kind, int(number), work)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        shutil.rmtree(work)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if used > most_bytes and not problem:
            problem = f"{used >> 20} MB of memory"
        sys.stdout.write(json.dumps({"outcome": outcome, "problem": problem}) + "\n")
        sys.stdout.flush()
        if used > most_bytes:
            return


if __name__ == "__main__":
    main()
