"""Make docs/before-after.png, the picture in README.md: python docs/picture.py.

The demonstration clip is drawn at 512x288, halved (mean of 2x2 pixels), encoded with x264 and
doubled again, once by bicubic interpolation and once by ``vsr upscale --model lite``. The picture
shows the same part of one frame of each, beside the original.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.jobs.demo import write_demo
from vsrcli.picture.resize import double

PICTURE = Path(__file__).with_name("before-after.png")
SIZE = (512, 288)
FRAME_NAME = "frame000031.png"  # one second into the clip
LEFT = 258
TOP = 152
WIDTH = 152
HEIGHT = 114
ZOOM = 2
GAP = 6
LABEL_HEIGHT = 30

Image = NDArray[np.uint8]


def _vsr(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "vsrcli", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True)


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(path)
    return np.asarray(image, np.uint8)


def _halve_frames(source: Path, target: Path) -> None:
    """Write every frame of ``source`` at half the size: the mean of 2x2 pixels."""
    width, height = SIZE
    target.mkdir()
    for file in source.glob("*.png"):
        image = _read(file)
        half_size = (width // 2, height // 2)
        halved = cv2.resize(image, half_size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(target / file.name), halved)


def _bicubic(image: Image) -> Image:
    channels = []
    for channel in cv2.split(image):
        plane = np.asarray(channel, np.uint8)
        channels.append(double(plane))
    return np.stack(channels, axis=-1)


def _panel(image: Image, label: str) -> Image:
    """Cut out the part to show, enlarge its pixels and write the label above."""
    part = image[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
    pixels = part.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    strip = np.full((LABEL_HEIGHT, WIDTH * ZOOM, 3), 255, np.uint8)
    cv2.putText(
        strip,
        label,
        org=(2, 21),
        fontFace=cv2.FONT_HERSHEY_SIMPLEX,
        fontScale=0.6,
        color=(0, 0, 0),
        thickness=1,
        lineType=cv2.LINE_AA,
    )
    return np.vstack([strip, pixels])


def make_picture(folder: Path) -> Image:
    """Make the picture.

    Args:
        folder: an empty folder for clips and frames.

    Returns:
        Shape (height, width, 3), uint8, BGR.
    """
    original = folder / "original.mkv"
    write_demo(original, size=SIZE)
    _vsr("extract", original, folder / "original")

    _halve_frames(folder / "original", folder / "halved")
    small = folder / "small.mp4"
    _vsr("assemble", folder / "halved", small)
    _vsr("extract", small, folder / "small")

    upscaled = folder / "upscaled.mkv"
    _vsr("upscale", small, upscaled, "--model", "lite", "--codec", "ffv1")
    _vsr("extract", upscaled, folder / "upscaled")

    interpolated = _bicubic(_read(folder / "small" / FRAME_NAME))
    panels = [
        _panel(interpolated, "bicubic"),
        _panel(_read(folder / "upscaled" / FRAME_NAME), "vsr upscale --model lite"),
        _panel(_read(folder / "original" / FRAME_NAME), "original"),
    ]
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([panels[0], gap, panels[1], gap, panels[2]])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        picture = make_picture(Path(name))
    cv2.imwrite(str(PICTURE), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
