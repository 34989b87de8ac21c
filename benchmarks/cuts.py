"""Scene cut detection on real clips: python benchmarks/cuts.py DATA.

DATA holds a training pack: sequences of seven consecutive frames joined, so that every seventh boundary is a cut (left out where both sides are of one source) and no other is. With
the package ``scenedetect`` installed, PySceneDetect's content detector is scored beside FFmpeg's ``scdet``.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from pathlib import Path

import av
import numpy as np

from vsrcli.media.scenes import THRESHOLD, CutDetector


def content_scores(path: Path) -> np.ndarray:
    from scenedetect.detectors import ContentDetector

    detector, scores = ContentDetector(), []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            scores.append(detector._calculate_frame_score(number, frame.to_ndarray(format="bgr24")))
    return np.array(scores)


def scdet_scores(path: Path) -> np.ndarray:
    scores, detector = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            detector = detector or CutDetector(frame)
            scores.append(detector.score(frame))
    return np.array(scores)


def main() -> None:
    data = Path(sys.argv[1])
    rows = list(csv.DictReader((data / "manifest.csv").open()))
    methods = {"scdet": (scdet_scores, (4, 6, THRESHOLD, 8, 10))}
    if importlib.util.find_spec("scenedetect"):
        methods["ContentDetector"] = (content_scores, (15, 20, 27))
    print("| clips | method | threshold | cuts found | false, of frames without a cut | ms a frame, decoding included |\n|---|---|---|---|---|---|")
    for name in ("val", "train"):
        groups = [row["content_group"] for row in rows if row["split"] == name]
        for method, (score, thresholds) in methods.items():
            began = time.perf_counter()
            scores = score(data / f"{name}.mp4")
            cost = 1000 * (time.perf_counter() - began) / len(scores)
            kind = np.zeros(len(scores), int)
            kind[0] = 2
            for number in range(1, len(groups)):
                kind[7 * number] = 2 if groups[number] == groups[number - 1] else 1
            for threshold in thresholds:
                print(f"| {name} | {method} | {threshold:g} | {(scores[kind == 1] >= threshold).mean():.4f} | {(scores[kind == 0] >= threshold).mean():.4f} | {cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
