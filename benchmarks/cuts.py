"""Scene cut detection on real clips: python benchmarks/cuts.py DATA.

DATA holds a training pack: sequences of seven consecutive frames joined, so that every seventh
boundary is a cut and no other is. Boundaries between sequences of one source are left out. A second
pass scales contrast and brightness by 0.3, as in a dark scene. FFmpeg's ``scdet`` is scored beside
vsr's own detector, and, with the package ``scenedetect`` installed, PySceneDetect's content
detector on luma. The pack contains no scene cuts within sequences, probably by a score of absolute
luma differences: false cuts of such detectors are underestimated.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from script_parts import print_header, print_row

from vsrcli.picture.scenes import THRESHOLD, CutDetector

SEQUENCE = 7
TIME_BASE = Fraction(1, 25)


@dataclass(frozen=True)
class Method:
    """A detector: the score of every frame of a clip, and thresholds to try."""

    scores: Callable[[np.ndarray], list[float]]
    thresholds: tuple[float, ...]
    package: str | None = None


def own_scores(clip: np.ndarray) -> list[float]:
    detector = CutDetector()
    return [detector.score(luma, 8) for luma in clip]


def scdet_scores(clip: np.ndarray) -> list[float]:
    _, height, width = clip.shape
    graph = Graph()
    source = graph.add_buffer(
        width=width,
        height=height,
        format="gray",
        time_base=TIME_BASE,
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
        frame.time_base = TIME_BASE
        graph.push(frame)
        metadata = graph.pull().metadata
        scores.append(float(metadata.get("lavfi.scd.score", 0)))
    return scores


def content_scores(clip: np.ndarray) -> list[float]:
    from scenedetect.detectors import ContentDetector

    detector = ContentDetector(luma_only=True)
    scores = []
    for number, luma in enumerate(clip):
        picture = np.repeat(luma[..., None], 3, axis=2)
        scores.append(detector._calculate_frame_score(number, picture))
    return scores


METHODS = {
    "vsr": Method(own_scores, (0.2, 0.25, THRESHOLD, 0.35, 0.4)),
    "scdet": Method(scdet_scores, (4, 7, 10)),
    "ContentDetector, luma": Method(content_scores, (15, 20, 27), "scenedetect"),
}


def counted_frames(groups: list[str], count: int) -> np.ndarray:
    """Which frames count: not the first, and no boundary within one source."""
    counted = np.ones(count, bool)
    counted[0] = False
    for number in range(SEQUENCE, count, SEQUENCE):
        sequence = number // SEQUENCE
        counted[number] = groups[sequence] != groups[sequence - 1]
    return counted


def scaled(clip: np.ndarray, gain: float) -> np.ndarray:
    """The clip with contrast and brightness times ``gain``."""
    codes = np.rint(16 + (clip.astype(np.float32) - 16) * gain)
    result: np.ndarray = codes.clip(0, 255).astype(np.uint8)
    return result


def read_luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return np.stack([frame.to_ndarray(format="gray") for frame in frames])


def score_clip(
    name: str,
    clip: np.ndarray,
    counted: np.ndarray,
    gain: float,
) -> None:
    """Print a row for each method and threshold."""
    is_cut = np.arange(len(clip)) % SEQUENCE == 0
    source = scaled(clip, gain)
    for label, method in METHODS.items():
        if method.package and not importlib.util.find_spec(method.package):
            continue
        began = time.perf_counter()
        scores = np.array(method.scores(source))
        cost = 1000 * (time.perf_counter() - began) / len(clip)
        for threshold in method.thresholds:
            found = (scores[counted & is_cut] >= threshold).mean()
            false = (scores[counted & ~is_cut] >= threshold).mean()
            print_row(
                name,
                f"{gain:g}",
                label,
                f"{threshold:g}",
                f"{found:.4f}",
                f"{false:.4f}",
                f"{cost:.2f}",
            )


def main() -> None:
    data = Path(sys.argv[1])
    with (data / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    print_header(
        "clips",
        "brightness",
        "method",
        "threshold",
        "cuts found",
        "false, of frames without a cut",
        "ms a frame",
    )
    for name in ("val", "train"):
        groups = [row["content_group"] for row in rows if row["split"] == name]
        clip = read_luma(data / f"{name}.mp4")
        counted = counted_frames(groups, len(clip))
        for gain in (1, 0.3):
            score_clip(name, clip, counted, gain)


if __name__ == "__main__":
    main()
