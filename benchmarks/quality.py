"""Gain over bicubic and Lanczos on clips the weights never saw.

python benchmarks/quality.py DATA [--scenes] [--windows] [--motion] [--sheet FILE.png]

DATA holds a training pack's validation file ``val.mp4`` with its manifest. The middle frame of each
sequence counts: luma, 8 bits, half-sized by the degradation named, through the code path of
``vsr upscale``; 8 pixels left out at each border; PSNR over 0..255, SSIM with an 11x11 Gaussian
window.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from script_parts import print_header, print_row

from vsrcli.backends import Backend, Float, open_backend
from vsrcli.bench.methods import doubling
from vsrcli.clips.data import load
from vsrcli.clips.degradation import Degradation, at_crf, blur3, clean
from vsrcli.clips.sequences import Sequences, validation_pairs
from vsrcli.frame import Frame, PixelFormat
from vsrcli.metrics.frames import psnr, ssim
from vsrcli.models import MODELS
from vsrcli.picture.resize import double

GRAY = PixelFormat("gray", 8, 0, 0, has_chroma=False)
TESTS: dict[str, Degradation] = {
    "clean": clean,
    "crf 18": at_crf(18),
    "crf 23": at_crf(23),
    "crf 28": at_crf(28),
    "crf 34": at_crf(34),
    "blur3": blur3,
}
# The frames of t-2..t+2 that the network gets: all, one five times, those left at a cut near t.
WINDOWS = {
    "moving": (0, 1, 2, 3, 4),
    "static": (2, 2, 2, 2, 2),
    "cut before t": (2, 2, 2, 3, 4),
    "cut after t": (0, 1, 2, 2, 2),
}
BASELINES = ("bicubic", "lanczos")
BORDER = 8
SHEET_SEQUENCES = 40
SHEET_ROWS = 5
Method = Callable[[Float], Float]
# a window at low resolution, and its middle frame at high resolution
Pair = tuple[Float, Float]


def baseline(kernel: str) -> Method:
    def upscale(window: Float) -> Float:
        doubled = double(window[2], kernel)  # type: ignore[arg-type]
        codes: Float = np.clip(np.rint(doubled), 0, 255)
        return codes

    return upscale


def network(backend: Backend) -> Method:
    method = doubling(backend)

    def upscale(window: Float) -> Float:
        frames = []
        for picture in window:
            planes = (picture.astype(np.uint8),)
            frames.append(Frame(planes, GRAY, Fraction(0)))
        return method(tuple(frames)).astype(np.float32)

    return upscale


def methods(names: list[str]) -> dict[str, Method]:
    shipped = []
    for spec in MODELS.values():
        shipped += [f"{spec.name}:{domain}" for domain in spec.domains]
    found: dict[str, Method] = {kernel: baseline(kernel) for kernel in BASELINES}
    for name in names or shipped:
        model, _, domain = name.partition(":")
        backend = open_backend(
            "torch",
            model,
            domain or None,
            device="auto",
            precision="fp32",
        )
        found[name] = network(backend)
    return found


def psnrs(
    pairs: list[Pair],
    method: Method,
    order: tuple[int, ...] = WINDOWS["moving"],
) -> NDArray[np.float64]:
    """PSNR of every pair, its window in this order."""
    scores = []
    for low, high in pairs:
        picture = method(low[list(order)])
        scores.append(psnr(high, picture, crop=BORDER))
    return np.array(scores)


def table(
    sequences: Sequences,
    found: dict[str, Method],
    count: int,
    size: int,
) -> None:
    print_header(
        "test degradation",
        "method",
        "PSNR dB",
        "over bicubic dB",
        "over Lanczos dB",
        "SSIM",
        "sequences below bicubic",
    )
    for test, degradation in TESTS.items():
        pairs = validation_pairs(sequences, degradation, count=count, size=size)
        lanczos = psnrs(pairs, found["lanczos"])
        bicubic = psnrs(pairs, found["bicubic"])
        for name, method in found.items():
            scores = []
            similarities = []
            for low, high in pairs:
                picture = method(low)
                scores.append(psnr(high, picture, crop=BORDER))
                similarities.append(ssim(high, picture, crop=BORDER))
            gain = np.subtract(scores, bicubic)
            over_lanczos = np.mean(np.subtract(scores, lanczos))
            below = int((gain < 0).sum())
            print_row(
                test,
                name,
                f"{np.mean(scores):.2f}",
                f"{gain.mean():+.2f}",
                f"{over_lanczos:+.2f}",
                f"{np.mean(similarities):.4f}",
                f"{below} of {len(gain)} (worst {gain.min():+.2f} dB)",
            )


def scene_names(sequences: Sequences, count: int) -> list[str]:
    """The scenes of the sequences that ``validation_pairs`` takes."""
    count = min(count, len(sequences))
    step = Fraction(len(sequences), count)
    return [sequences.names[int(step * number)] for number in range(count)]


def scenes(
    sequences: Sequences,
    found: dict[str, Method],
    count: int,
    size: int,
) -> None:
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    groups = scene_names(sequences, count)
    gains: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (low, high), group in zip(pairs, groups, strict=True):
        reference = psnr(high, found["bicubic"](low), crop=BORDER)
        for name, method in found.items():
            score = psnr(high, method(low), crop=BORDER)
            if name != "bicubic":
                score -= reference
            gains[group][name].append(score)
    print_header("scene", "sequences", *found)
    for group, rows in sorted(gains.items()):
        figures = []
        for name, values in rows.items():
            form = ".2f" if name == "bicubic" else "+.2f"
            figures.append(f"{np.mean(values):{form}}")
        print_row(group, len(rows["bicubic"]), *figures)


def windows(
    sequences: Sequences,
    found: dict[str, Method],
    count: int,
    size: int,
) -> None:
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    print_header("method", *WINDOWS)
    reference = psnrs(pairs, found["bicubic"]).mean()
    for name, method in found.items():
        if name in BASELINES:
            continue
        gains = []
        for order in WINDOWS.values():
            gain = psnrs(pairs, method, order).mean() - reference
            gains.append(f"{gain:+.2f}")
        print_row(name, *gains)


def motion(
    sequences: Sequences,
    found: dict[str, Method],
    count: int,
    size: int,
) -> None:
    """Five frames against the middle one five times, by scene, those that move most first."""
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, scene in enumerate(scene_names(sequences, count)):
        groups[scene].append(number)
    speeds = np.array([np.abs(np.diff(low, axis=0)).mean() for low, _ in pairs])
    fastest_first = sorted(groups, key=lambda scene: -speeds[groups[scene]].mean())
    print_header(
        "method",
        "scene",
        "sequences",
        "motion, mean difference of frames",
        "five frames, over bicubic dB",
        "one frame",
        "difference",
        "worst sequence",
    )
    reference = psnrs(pairs, found["bicubic"])
    for name, method in found.items():
        if name in BASELINES:
            continue
        moving = psnrs(pairs, method, WINDOWS["moving"]) - reference
        still = psnrs(pairs, method, WINDOWS["static"]) - reference
        for scene in fastest_first:
            members = groups[scene]
            gained = (moving - still)[members]
            print_row(
                name,
                scene,
                len(members),
                f"{speeds[members].mean():.1f}",
                f"{moving[members].mean():+.2f}",
                f"{still[members].mean():+.2f}",
                f"{gained.mean():+.2f}",
                f"{gained.min():+.2f}",
            )


def worst_scenes(pairs: list[Pair], names: list[str], bicubic: Method) -> list[Pair]:
    """Pairs where bicubic is furthest from the truth, if possible one a scene."""
    scores = psnrs(pairs, bicubic)
    order = sorted(range(len(pairs)), key=lambda index: scores[index])
    first = []
    others = []
    known = set()
    for index in order:
        if names[index] in known:
            others.append(index)
        else:
            first.append(index)
            known.add(names[index])
    return [pairs[index] for index in [*first, *others][:SHEET_ROWS]]


def worst_crop(error: Float, side: int) -> tuple[slice, slice]:
    """Rows and columns of the square with the largest mean error."""
    half = side // 2
    blurred = cv2.boxFilter(error, -1, (side, side))[half:-half, half:-half]
    top, left = np.unravel_index(int(np.argmax(blurred)), blurred.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def labelled(crop: Float, text: str, zoom: int) -> NDArray[np.uint8]:
    """A crop of limited-range luma, enlarged, below its label."""
    large = cv2.resize(
        crop,
        None,
        fx=zoom,
        fy=zoom,
        interpolation=cv2.INTER_NEAREST,
    )
    height, width = large.shape
    tile = np.full((height + 24, width + 8), 255, np.uint8)
    tile[20:-4, 4:-4] = np.clip((large - 16) * (255 / 219), 0, 255)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(tile, text, (6, 14), font, 0.42, 0, 1, cv2.LINE_AA)
    return tile


def sheet(
    sequences: Sequences,
    found: dict[str, Method],
    file: Path,
    crop: int = 96,
    zoom: int = 3,
) -> None:
    """Five crops where bicubic is furthest from the truth, one a row, by every method."""
    pairs = validation_pairs(sequences, clean, count=SHEET_SEQUENCES, size=256)
    names = scene_names(sequences, SHEET_SEQUENCES)
    bicubic = found["bicubic"]
    rows = []
    for low, high in worst_scenes(pairs, names, bicubic):
        place = worst_crop(np.abs(bicubic(low) - high), crop)
        row = []
        for name, method in found.items():
            if name == "lanczos":
                continue
            picture = method(low)
            text = f"{name}  {psnr(high, picture, crop=BORDER):.2f} dB"
            row.append(labelled(picture[place], text, zoom))
        row.append(labelled(high[place], "ground truth", zoom))
        rows.append(np.hstack(row))
    cv2.imwrite(str(file), np.vstack(rows))
    print(f"wrote {file}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--count",
        type=int,
        default=66,
        help="sequences, of 132",
    )
    parser.add_argument(
        "--size",
        type=int,
        default=128,
        help="side of the middle part used, pixels, up to 256",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="NAME, NAME:DOMAIN or checkpoint file; default: all that ship",
    )
    parser.add_argument(
        "--test",
        action="append",
        choices=list(TESTS),
        help="test degradations of the table; default: all",
    )
    parser.add_argument(
        "--scenes", action="store_true", help="gain by scene, on `clean`"
    )
    parser.add_argument(
        "--windows",
        action="store_true",
        help="gain on moving windows, one frame five times, and at cuts, on `clean`",
    )
    parser.add_argument(
        "--motion",
        action="store_true",
        help="five frames against one frame five times by scene, on `clean`",
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="write a sheet of crops instead"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    sequences = load([arguments.data / "val.mp4"])
    found = methods(arguments.model)
    if arguments.sheet:
        sheet(sequences, found, arguments.sheet)
        return
    for name in list(TESTS):
        if arguments.test and name not in arguments.test:
            del TESTS[name]
    show = table
    if arguments.scenes:
        show = scenes
    elif arguments.motion:
        show = motion
    elif arguments.windows:
        show = windows
    show(sequences, found, arguments.count, arguments.size)


if __name__ == "__main__":
    main()
