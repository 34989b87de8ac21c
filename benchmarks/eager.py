"""The networks as a researcher's script runs them: python benchmarks/eager.py FOLDER MODEL.

Eager ``nn.Conv3d``, from one folder of pictures to another, window by window. ``FOLDER/low`` holds
the pictures, ``FOLDER/high`` takes the results. ``old_route.py`` times it, ``speed.py`` takes the
network from here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsrcli.models.checkpoint import load
from vsrcli.models.layers import WindowNetwork, by_conv3d
from vsrcli.models.weights import locate


def plain(network: WindowNetwork, window: Tensor) -> Tensor:
    """The network with its 3D part as a user of PyTorch would write it: ``conv3d``."""
    maps = [item.contiguous() for item in network.frame_maps(window)]
    features = by_conv3d(network, maps)
    return network.picture(features, window[:, :, 2])


def read_yuv(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file))
    if picture is None:
        raise FileNotFoundError(file)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV)


def script(folder: Path, model: str) -> None:
    """Upscale the pictures of ``low`` into ``high``."""
    network, _ = load(locate(model, "video"))
    if not isinstance(network, WindowNetwork):
        raise TypeError(model)
    files = sorted((folder / "low").iterdir())
    last = len(files) - 1
    for number in range(len(files)):
        places = range(number - 2, number + 3)
        window = [read_yuv(files[min(max(place, 0), last)]) for place in places]
        padded = [np.pad(picture[..., 0], 1, mode="reflect") for picture in window]
        luma = torch.from_numpy(np.stack(padded).astype(np.float32))
        with torch.no_grad():
            doubled = plain(network, luma[None, None])[0, 0].numpy()
        height, width = doubled.shape
        result = cv2.resize(window[2], (width, height), interpolation=cv2.INTER_CUBIC)
        result[..., 0] = np.clip(np.rint(doubled), 0, 255)
        target = folder / "high" / f"{number:05d}.png"
        cv2.imwrite(str(target), cv2.cvtColor(result, cv2.COLOR_YUV2BGR))


if __name__ == "__main__":
    script(Path(sys.argv[1]), sys.argv[2])
