"""Gain of the shipped weights over bicubic on clips they never saw: python benchmarks/quality.py DATA [--count N].

DATA holds a training pack's validation file ``val.mp4`` with its manifest. Middle frame of each sequence, luma, 8 bits, half-sized by the degradation named, through
the code path of ``vsr upscale``; 8 pixels left out at each border; PSNR over 0..255, SSIM with an 11x11 Gaussian window.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrcli.backends import Backend, Float, open_backend
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.models import MODELS
from vsrcli.picture.resize import double
from vsrcli.quality.metrics import psnr, ssim
from vsrcli.run.upscale import upscale_frame
from vsrcli.training.data import load, validation_pairs

GRAY = PixelFormat("gray", 8, 0, 0, has_chroma=False)


def network(backend: Backend, window: Float) -> Float:
    frames = tuple(Frame((picture.astype(np.uint8),), GRAY, Fraction(0)) for picture in window)
    return upscale_frame(frames, backend.run, backend, ColorTags()).luma.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=132, help="sequences")
    parser.add_argument("--size", type=int, default=256, help="side of the middle part used, pixels")
    parser.add_argument("--model", action="append", default=[], help="checkpoint file, or name of a shipped network; default: all shipped")
    arguments = parser.parse_args()
    names = arguments.model or [spec.name for spec in MODELS.values() if spec.domains]
    backends = [open_backend("torch", name, None, device="auto", precision="fp32") for name in names]
    sequences = load([arguments.data / "val.mp4"])
    print("| test degradation | method | PSNR dB | gain over bicubic dB | SSIM |\n|---|---|---|---|---|")
    for domain in ("clean", "video"):
        pairs = validation_pairs(sequences, domain, count=arguments.count, size=arguments.size)
        rows = {"bicubic": [np.clip(np.rint(double(low[2])), 0, 255) for low, _ in pairs], "lanczos": [np.clip(np.rint(double(low[2], "lanczos")), 0, 255) for low, _ in pairs]}
        rows |= {name: [network(backend, low) for low, _ in pairs] for name, backend in zip(names, backends, strict=True)}
        reference = None
        for name, pictures in rows.items():
            scores = [psnr(high, picture, crop=8) for picture, (_, high) in zip(pictures, pairs, strict=True)]
            similar = float(np.mean([ssim(high, picture, crop=8) for picture, (_, high) in zip(pictures, pairs, strict=True)]))
            reference = scores if reference is None else reference
            gain = np.subtract(scores, reference)
            worse = f", {int((gain < 0).sum())} of {len(gain)} below bicubic" if name in names else ""
            print(f"| {domain} | {name} | {np.mean(scores):.2f} | {gain.mean():+.2f} (min {gain.min():+.2f}, max {gain.max():+.2f}{worse}) | {similar:.4f} |", flush=True)


if __name__ == "__main__":
    main()
