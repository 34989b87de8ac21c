"""Gain over bicubic and Lanczos on clips the weights never saw: python benchmarks/quality.py DATA [--scenes] [--windows] [--motion] [--sheet FILE.png].

DATA holds a training pack's validation file ``val.mp4`` with its manifest. Middle frame of each sequence, luma, 8 bits, half-sized by the degradation named, through
the code path of ``vsr upscale``; 8 pixels left out at each border; PSNR over 0..255, SSIM with an 11x11 Gaussian window.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vsrcli.backends import Backend, Float, open_backend
from vsrcli.bench.methods import doubling
from vsrcli.frame import Frame, PixelFormat
from vsrcli.metrics.frames import psnr, ssim
from vsrcli.models import MODELS
from vsrcli.picture.resize import double
from vsrcli.training.data import Sequences, load, validation_pairs
from vsrcli.training.degradation import Degradation, blur3, clean, compressed

GRAY = PixelFormat("gray", 8, 0, 0, has_chroma=False)
TESTS: dict[str, Degradation] = {
    "clean": clean,
    "crf 18": compressed(18),
    "crf 23": compressed(23),
    "crf 28": compressed(28),
    "blur3": blur3,
}
# which of t-2..t+2 the network is shown: all, one frame five times, and what is left at a cut before or after t
WINDOWS = {
    "moving": (0, 1, 2, 3, 4),
    "static": (2, 2, 2, 2, 2),
    "cut before t": (2, 2, 2, 3, 4),
    "cut after t": (0, 1, 2, 2, 2),
}
Method = Callable[[Float], Float]


def baseline(kernel: str) -> Method:
    return lambda window: np.clip(np.rint(double(window[2], kernel)), 0, 255)  # type: ignore[arg-type]


def network(backend: Backend) -> Method:
    method = doubling(backend)

    def upscale(window: Float) -> Float:
        frames = tuple(
            Frame((picture.astype(np.uint8),), GRAY, Fraction(0)) for picture in window
        )
        return method(frames).astype(np.float32)

    return upscale


def methods(names: list[str]) -> dict[str, Method]:
    shipped = [
        f"{spec.name}:{domain}" for spec in MODELS.values() for domain in spec.domains
    ]
    found: dict[str, Method] = {
        "bicubic": baseline("bicubic"),
        "lanczos": baseline("lanczos"),
    }
    for name in names or shipped:
        model, _, domain = name.partition(":")
        found[name] = network(
            open_backend(
                "torch", model, domain or None, device="auto", precision="fp32"
            )
        )
    return found


def table(
    sequences: Sequences, found: dict[str, Method], count: int, size: int
) -> None:
    print(
        "| test degradation | method | PSNR dB | over bicubic dB | over Lanczos dB | SSIM | sequences below bicubic |\n|---|---|---|---|---|---|---|"
    )
    for test, degradation in TESTS.items():
        pairs = validation_pairs(sequences, degradation, count=count, size=size)
        lanczos = [psnr(high, found["lanczos"](low), crop=8) for low, high in pairs]
        bicubic = [psnr(high, found["bicubic"](low), crop=8) for low, high in pairs]
        for name, method in found.items():
            pictures = [method(low) for low, _ in pairs]
            scores = [
                psnr(high, picture, crop=8)
                for picture, (_, high) in zip(pictures, pairs, strict=True)
            ]
            similar = np.mean(
                [
                    ssim(high, picture, crop=8)
                    for picture, (_, high) in zip(pictures, pairs, strict=True)
                ]
            )
            gain = np.subtract(scores, bicubic)
            over = np.mean(np.subtract(scores, lanczos))
            below = (
                f"{int((gain < 0).sum())} of {len(gain)} (worst {gain.min():+.2f} dB)"
            )
            print(
                f"| {test} | {name} | {np.mean(scores):.2f} | {gain.mean():+.2f} | {over:+.2f} | {similar:.4f} | {below} |",
                flush=True,
            )


def scene_names(sequences: Sequences, count: int) -> list[str]:
    """The scenes of the sequences that ``validation_pairs`` takes."""
    count = min(count, len(sequences))
    return [
        sequences.names[int(Fraction(len(sequences), count) * number)]
        for number in range(count)
    ]


def scenes(
    sequences: Sequences, found: dict[str, Method], count: int, size: int
) -> None:
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    groups = scene_names(sequences, count)
    gains: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (low, high), group in zip(pairs, groups, strict=True):
        reference = psnr(high, found["bicubic"](low), crop=8)
        for name, method in found.items():
            gains[group][name].append(
                psnr(high, method(low), crop=8)
                - (0 if name == "bicubic" else reference)
            )
    print(
        f"| scene | sequences | {' | '.join(found)} |\n|---|---|{'---|' * len(found)}"
    )
    for group, rows in sorted(gains.items()):
        figures = " | ".join(
            f"{np.mean(values):{'.2f' if name == 'bicubic' else '+.2f'}}"
            for name, values in rows.items()
        )
        print(f"| {group} | {len(rows['bicubic'])} | {figures} |", flush=True)


def windows(
    sequences: Sequences, found: dict[str, Method], count: int, size: int
) -> None:
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    print("| method | " + " | ".join(WINDOWS) + " |\n|---|" + "---|" * len(WINDOWS))
    reference = np.mean(
        [psnr(high, found["bicubic"](low), crop=8) for low, high in pairs]
    )
    for name, method in found.items():
        if name not in ("bicubic", "lanczos"):
            gains = [
                np.mean(
                    [
                        psnr(high, method(low[list(order)]), crop=8)
                        for low, high in pairs
                    ]
                )
                - reference
                for order in WINDOWS.values()
            ]
            print(
                f"| {name} | " + " | ".join(f"{gain:+.2f}" for gain in gains) + " |",
                flush=True,
            )


def motion(
    sequences: Sequences, found: dict[str, Method], count: int, size: int
) -> None:
    """Five frames against the middle one five times, by scene, those that move most first."""
    pairs = validation_pairs(sequences, clean, count=count, size=size)
    step = Fraction(len(sequences), min(count, len(sequences)))
    groups: dict[str, list[int]] = defaultdict(list)
    for number in range(len(pairs)):
        groups[sequences.names[int(step * number)]].append(number)
    speeds = np.array([np.abs(np.diff(low, axis=0)).mean() for low, _ in pairs])
    print(
        "| method | scene | sequences | motion, mean difference of frames | five frames, over bicubic dB | one frame | difference | worst sequence |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, method in found.items():
        if name in ("bicubic", "lanczos"):
            continue
        reference = [psnr(high, found["bicubic"](low), crop=8) for low, high in pairs]
        moving, still = (
            np.subtract(
                [
                    psnr(high, method(low[list(WINDOWS[kind])]), crop=8)
                    for low, high in pairs
                ],
                reference,
            )
            for kind in ("moving", "static")
        )
        for group, members in sorted(
            groups.items(), key=lambda item: -speeds[item[1]].mean()
        ):
            gained = (moving - still)[members]
            figures = f"{moving[members].mean():+.2f} | {still[members].mean():+.2f} | {gained.mean():+.2f} | {gained.min():+.2f}"
            print(
                f"| {name} | {group} | {len(members)} | {speeds[members].mean():.1f} | {figures} |",
                flush=True,
            )


def sheet(
    sequences: Sequences,
    found: dict[str, Method],
    file: Path,
    crop: int = 96,
    zoom: int = 3,
) -> None:
    """Five crops of scenes where bicubic is furthest from the truth, one a row, with every method beside the ground truth."""
    pairs = validation_pairs(sequences, clean, count=40, size=256)
    columns = {name: method for name, method in found.items() if name != "lanczos"}
    order = sorted(
        range(len(pairs)),
        key=lambda index: psnr(
            pairs[index][1], found["bicubic"](pairs[index][0]), crop=8
        ),
    )
    names = scene_names(sequences, 40)
    first = [
        index
        for place, index in enumerate(order)
        if names[index] not in {names[other] for other in order[:place]}
    ]
    rows = []
    for low, high in (
        pairs[index]
        for index in [*first, *(index for index in order if index not in first)][:5]
    ):
        error = cv2.boxFilter(np.abs(found["bicubic"](low) - high), -1, (crop, crop))[
            crop // 2 : -crop // 2, crop // 2 : -crop // 2
        ]
        top, left = (
            int(value) for value in np.unravel_index(int(np.argmax(error)), error.shape)
        )
        row = []
        for name, picture in [
            *((name, method(low)) for name, method in columns.items()),
            ("ground truth", high),
        ]:
            gain = (
                ""
                if name == "ground truth"
                else f"  {psnr(high, picture, crop=8):.2f} dB"
            )
            part = cv2.resize(
                picture[top : top + crop, left : left + crop],
                None,
                fx=zoom,
                fy=zoom,
                interpolation=cv2.INTER_NEAREST,
            )
            tile = np.full((crop * zoom + 24, crop * zoom + 8), 255, np.uint8)
            tile[20:-4, 4:-4] = np.clip((part - 16) * (255 / 219), 0, 255)
            cv2.putText(
                tile,
                name + gain,
                (6, 14),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.42,
                0,
                1,
                cv2.LINE_AA,
            )
            row.append(tile)
        rows.append(np.hstack(row))
    cv2.imwrite(str(file), np.vstack(rows))
    print(f"wrote {file}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=66, help="sequences, of 132")
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
    arguments = parser.parse_args()
    sequences = load([arguments.data / "val.mp4"])
    found = methods(arguments.model)
    for name in [
        name for name in TESTS if arguments.test and name not in arguments.test
    ]:
        del TESTS[name]
    if arguments.sheet:
        sheet(sequences, found, arguments.sheet)
        return
    show = (
        scenes
        if arguments.scenes
        else motion
        if arguments.motion
        else windows
        if arguments.windows
        else table
    )
    show(sequences, found, arguments.count, arguments.size)


if __name__ == "__main__":
    main()
