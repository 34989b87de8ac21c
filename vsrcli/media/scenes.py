"""Scene cuts by FFmpeg's ``scdet`` filter: it fits a stream (it needs the frame before only, 0.04 ms a frame at 256x256) and takes
any size and depth.

The score is min(m, abs(m - m')), where m is the mean absolute luma difference to the frame before in percent of the peak and m' that
of the frame before. ``benchmarks/cuts.py`` measures it, beside PySceneDetect's content detector, on sequences of seven frames joined
by cuts; results in ``benchmarks/RESULTS.md``. A missed cut leaves a ghost of the old scene, a false one only takes two neighbours from a
window, so the threshold sits below the filter's own 10, where recall begins to fall.
"""

from __future__ import annotations

import av
from av.filter import Graph

THRESHOLD = 7.0


class CutDetector:
    """Scores frames one after the other; all of one size and pixel format, in the order of presentation.

    Args:
        first: a frame of that size and format.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=first.time_base)
        detector, sink = self._graph.add("scdet", f"threshold={THRESHOLD}"), self._graph.add("buffersink")
        source.link_to(detector)
        detector.link_to(sink)
        self._graph.configure()
        self._count = 0

    def score(self, frame: av.VideoFrame) -> float:
        """How much ``frame`` looks like the first of a new scene: 0..100; 0 for the very first."""
        # time stamps may repeat or be missing; the filter wants its own
        pts, frame.pts = frame.pts, self._count
        self._graph.push(frame)
        frame.pts = pts
        self._count += 1
        scored = self._graph.pull()
        return float(scored.metadata.get("lavfi.scd.score", 0.0))

    def is_cut(self, frame: av.VideoFrame) -> bool:
        """True when ``frame`` begins a new scene."""
        return self.score(frame) >= THRESHOLD
