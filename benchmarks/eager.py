"""The networks as a researcher's script runs them: eager ``nn.Conv3d``, a folder of pictures to another, window by window: python benchmarks/eager.py FOLDER MODEL.

``FOLDER/low`` holds the pictures, ``FOLDER/high`` takes the results. ``old_route.py`` times it, ``speed.py`` takes the network from here.
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
    """The same network with the same weights, its 3D part as a user of PyTorch would write it: 5-axis tensors and ``conv3d``."""
    return network.picture(
        by_conv3d(network, [item.contiguous() for item in network.frame_maps(window)]),
        window[:, :, 2],
    )


def script(folder: Path, model: str) -> None:
    """Pictures of ``low`` to pictures of ``high``."""
    network, _ = load(locate(model, "video"))
    if not isinstance(network, WindowNetwork):
        raise TypeError(model)
    files = sorted((folder / "low").iterdir())
    for number in range(len(files)):
        window = []
        for place in range(number - 2, number + 3):
            picture = cv2.imread(str(files[min(max(place, 0), len(files) - 1)]))
            window.append(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV))  # type: ignore[arg-type]  # ffmpeg just wrote it
        luma = torch.from_numpy(
            np.stack(
                [np.pad(each[..., 0], 1, mode="reflect") for each in window]
            ).astype(np.float32)
        )
        with torch.no_grad():
            doubled = plain(network, luma[None, None])[0, 0].numpy()
        height, width = doubled.shape
        chroma = cv2.resize(window[2], (width, height), interpolation=cv2.INTER_CUBIC)
        chroma[..., 0] = np.clip(np.rint(doubled), 0, 255)
        cv2.imwrite(
            str(folder / "high" / f"{number:05d}.png"),
            cv2.cvtColor(chroma, cv2.COLOR_YUV2BGR),
        )


if __name__ == "__main__":
    script(Path(sys.argv[1]), sys.argv[2])
