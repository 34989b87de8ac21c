"""Scene cut detection on real clips: python benchmarks/cuts.py DATA.

DATA holds a training pack: sequences of seven consecutive frames joined, so that every seventh boundary is a cut (left out where both sides are of one source) and no other is.
The same once more with contrast and brightness scaled by 0.3, as in a dark scene. Beside vsr's own detector FFmpeg's ``scdet`` is scored, and, with the package ``scenedetect``
installed, PySceneDetect's content detector on luma. The pack was rid of scene cuts, probably by a score of absolute luma differences: false cuts of such detectors are underestimated.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

from vsrcli.media.scenes import THRESHOLD, CutDetector


def own_scores(clip: np.ndarray) -> list[float]:
    detector = CutDetector()
    return [detector.score(luma, 8) for luma in clip]


def scdet_scores(clip: np.ndarray) -> list[float]:
    graph = Graph()
    source = graph.add_buffer(
        width=clip.shape[2],
        height=clip.shape[1],
        format="gray",
        time_base=Fraction(1, 25),
    )
    detector = graph.add("scdet")
    sink = graph.add("buffersink")
    source.link_to(detector)
    detector.link_to(sink)
    graph.configure()
    scores = []
    for number, luma in enumerate(clip):
        frame = av.VideoFrame.from_ndarray(luma, format="gray")
        frame.pts = number
        frame.time_base = Fraction(1, 25)
        graph.push(frame)
        scores.append(float(graph.pull().metadata.get("lavfi.scd.score", 0)))
    return scores


def content_scores(clip: np.ndarray) -> list[float]:
    from scenedetect.detectors import ContentDetector

    detector = ContentDetector(luma_only=True)
    return [
        detector._calculate_frame_score(number, np.repeat(luma[..., None], 3, axis=2))
        for number, luma in enumerate(clip)
    ]


METHODS: dict[str, tuple[Callable[[np.ndarray], list[float]], tuple[float, ...]]] = {
    "vsr": (own_scores, (0.2, 0.25, THRESHOLD, 0.35, 0.4)),
    "scdet": (scdet_scores, (4, 7, 10)),
    "ContentDetector, luma": (content_scores, (15, 20, 27)),
}


def main() -> None:
    data = Path(sys.argv[1])
    rows = list(csv.DictReader((data / "manifest.csv").open()))
    print(
        "| clips | brightness | method | threshold | cuts found | false, of frames without a cut | ms a frame |\n|---|---|---|---|---|---|---|"
    )
    for name in ("val", "train"):
        groups = [row["content_group"] for row in rows if row["split"] == name]
        with av.open(str(data / f"{name}.mp4")) as container:
            clip = np.stack(
                [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
            )
        kind = np.arange(len(clip)) % 7 == 0
        counted = np.array(
            [
                number > 0
                and (number % 7 > 0 or groups[number // 7] != groups[number // 7 - 1])
                for number in range(len(clip))
            ]
        )
        for gain in (1, 0.3):
            shown = (
                np.rint(16 + (clip.astype(np.float32) - 16) * gain)
                .clip(0, 255)
                .astype(np.uint8)
            )
            for method, (score, thresholds) in METHODS.items():
                if method.startswith("Content") and not importlib.util.find_spec(
                    "scenedetect"
                ):
                    continue
                began = time.perf_counter()
                scores = np.array(score(shown))
                cost = 1000 * (time.perf_counter() - began) / len(clip)
                for threshold in thresholds:
                    found, false = (
                        (scores[counted & which] >= threshold).mean()
                        for which in (kind, ~kind)
                    )
                    print(
                        f"| {name} | {gain:g} | {method} | {threshold:g} | {found:.4f} | {false:.4f} | {cost:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
