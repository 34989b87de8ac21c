"""The networks as shipped beside plain eager ``nn.Conv3d``, on the CPU, in one run: python benchmarks/speed.py [--size 320x180]."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from vsrcli.models import MODELS
from vsrcli.models.checkpoint import build
from vsrcli.models.layers import RecursiveBlock3d, SlicedConv3d, WindowNetwork


def plain(network: WindowNetwork, window: Tensor) -> Tensor:
    """The same network with the same weights, its 3D part as a user of PyTorch would write it: 5-axis tensors and ``conv3d``."""

    def conv(layer: SlicedConv3d, x: Tensor) -> Tensor:
        return functional.conv3d(x, layer.weight, layer.bias, padding=layer.padding)

    x = torch.stack([item.contiguous() for item in network.frame_maps(window)], dim=2)
    for layer in network.volume.children():
        if isinstance(layer, RecursiveBlock3d):
            for _ in range(layer.passes):
                x = functional.relu(conv(layer.b, functional.relu(conv(layer.a, x))) + x)
        elif isinstance(layer, SlicedConv3d):
            x = functional.relu(conv(layer, x))
    result: Tensor = network.range(network.output(x[:, :, 0]))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="320x180", help="input, WIDTHxHEIGHT")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    window = torch.rand(1, 1, 5, height, width) * 255
    print("| network | input | shipped, frames/s | plain eager nn.Conv3d, frames/s | ratio | largest difference |\n|---|---|---|---|---|---|")
    for name in ("delta", "5-parallel"):
        network = cast(WindowNetwork, build(MODELS[name]).eval())
        with torch.inference_mode():
            difference = float((network(window) - plain(network, window)).abs().max())
            times: dict[str, list[float]] = {"ours": [], "plain": []}
            for _ in range(arguments.repeats):
                for label, call in (("ours", lambda n=network: n(window)), ("plain", lambda n=network: plain(n, window))):
                    began = time.perf_counter()
                    call()
                    times[label].append(time.perf_counter() - began)
        ours, reference = statistics.median(times["ours"]), statistics.median(times["plain"])
        print(f"| {name} | {arguments.size} | {1 / ours:.3f} | {1 / reference:.3f} | {reference / ours:.1f} | {difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
