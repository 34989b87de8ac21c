"""Parts of a network by themselves, and times on a card (benchmarks/card_parts.py).

Nothing here prints or judges; `python benchmarks/card_checks.py` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vsrcli.backends import Float
from vsrcli.models import MODELS
from vsrcli.models.banded import BandedVolume
from vsrcli.models.checkpoint import load
from vsrcli.models.half import to_half
from vsrcli.models.layers import WindowNetwork, freeze, upcast_half
from vsrcli.models.weights import locate
from vsrcli.pipeline.network import WindowPlanes

Call = Callable[[], object]

PARTS = (
    "frame maps",
    "3D sliced",
    "3D banded",
    "3D banded, cuDNN epilogues",
    "last layer, float32",
)


@contextmanager
def as_shipped() -> Iterator[None]:
    """The settings that the PyTorch backend computes with."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield


def windows(batch: int, height: int, width: int) -> Float:
    """A film with edges and slopes that moves diagonally, (batch, 5, H, W), codes 16..235."""
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 6, (batch, height + 4, width + 4))
    picture = np.cumsum(steps, axis=2)
    frames = [picture[:, k : k + height, k : k + width] for k in range(5)]
    film: Float = (np.abs(np.stack(frames, axis=1)) % 219 + 16).astype(np.float32)
    return film


def planes_for(model: str, batch: int, height: int, width: int) -> Float:
    """What a network takes of ``windows``, (batch, planes, H, W): the frames, or their motion."""
    film = windows(batch, height, width)
    spec = MODELS[model]
    if not spec.is_motion_compensated:
        return film
    codes = film.astype(np.uint8)
    planes = [WindowPlanes(spec).plan(list(window), 8, False)()[0] for window in codes]
    return np.stack(planes).astype(np.float32)


@dataclass
class Prepared:
    """A network on the device, ready to run in parts.

    Attributes:
        network: frozen, in half precision but for its last layer where that was asked for.
        window: (B, 1, 5, H, W) as the first layer takes it.
        middle: frame t in float32, (B, 1, H, W).
        maps: five maps, (B, 1, 2H, 2W).
        features: what the sliced 3D part makes of them.
    """

    network: WindowNetwork
    window: Tensor
    middle: Tensor
    maps: list[Tensor]
    features: Tensor

    @classmethod
    def load(cls, model: str, given: Float, device: str, precision: str) -> Prepared:
        """Load a network with a 3D part and its clean weights, and run it on ``given``."""
        network = load(locate(model, "clean"))[0].to(device)
        assert isinstance(network, WindowNetwork)
        unit = to_half(network) if precision == "fp16" else 1.0
        freeze(network)
        frames = torch.from_numpy(given).to(device)[:, None]
        window = frames * unit
        if precision == "fp16":
            window = window.half()
        with as_shipped():
            maps = network.frame_maps(window)
            features = network.fuse_groups(maps)
        return cls(network, window, frames[:, :, 2], maps, features)

    def banded(self, *, fused: bool) -> BandedVolume:
        """The banded form of the 3D part."""
        # not in inference mode: what it keeps for all of this process has to serve training too
        with torch.no_grad():
            return BandedVolume(self.network.volume, fused=fused)

    def picture(self, features: Tensor) -> Tensor:
        """(B, H', W') float32 from what a 3D part made."""
        return self.network.picture(upcast_half(features), self.middle)[:, 0]


def part_of(
    prepared: Prepared, part: str
) -> tuple[Callable[[], object], Tensor | None]:
    """A part of the network as a call, and its features where it is a form of the 3D part."""
    network = prepared.network
    maps = prepared.maps
    if part == "frame maps":
        return partial(network.frame_maps, prepared.window), None
    if part.startswith("last layer"):
        return partial(prepared.picture, prepared.features), None
    if part == "3D sliced":
        return partial(network.fuse_groups, maps), None
    banded = prepared.banded(fused="cuDNN" in part)
    return partial(banded, maps), banded(maps)


def graphed(call: Call) -> Call:
    """``call`` recorded as a CUDA graph, ready to replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        kept = call()

    def replay() -> object:
        graph.replay()
        return kept  # its memory is the graph's

    return replay


def milliseconds(call: Call) -> float:
    """Median time of a call on the card; the slower it is, the fewer runs."""
    call()
    first = once(call)
    if first > 150:
        repeats = 3
    elif first > 25:
        repeats = 5
    else:
        repeats = 20
    return statistics.median(once(call) for _ in range(repeats))


def once(call: Call) -> float:
    """Milliseconds of one call on the card."""
    began = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    began.record()
    call()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended))
