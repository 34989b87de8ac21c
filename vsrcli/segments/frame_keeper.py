"""Keeps the frames that a slow network has doubled in a segment that is not finished.

A segment is some seconds of video, which can be many minutes of work. So the doubled luma of its
frames is written to a file beside the parts, until the part of the segment is safe on the disk.
Frames that take so little time that a whole segment of them is done in ``_WORTH_SECONDS`` are not
kept: fast runs pay nothing.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsrcli.frame import Plane
from vsrcli.pipeline.luma_keeper import LumaKeeper
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.segments.kept_file import KeptFile, append, digest_of, packed
from vsrcli.segments.segment_folder import kept_path
from vsrcli.timing import Scheduled

log = logging.getLogger(__name__)

# At most so much work is lost with frames that are not kept, and so much with those that wait to
# be written; together less than a minute.
_WORTH_SECONDS = 40.0
_SAVE_SECONDS = 15.0
# The last segment may be longer than the others by this factor.
_LONGEST = Fraction(3, 2)
# Kept frames take at most this part of what is free on the disk, before they are given up.
_PART_OF_DISK = 4


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A doubled frame that is not written yet."""

    segment: int
    time: str
    window: str
    luma: Plane


class FrameKeeper(LumaKeeper):
    """Keeps frames of consecutive segments, each segment's in a file of its own.

    ``recall`` and ``keep`` are called in the network's thread, the others in the encoder's. A disk
    that refuses ends nothing but the keeping.
    """

    def __init__(
        self,
        folder: Path,
        plan: SegmentPlan,
        usual_seconds: float,
        time_base: Fraction,
    ) -> None:
        """Take over what is in the folder.

        Args:
            folder: where the files are.
            plan: the cuts.
            usual_seconds: length of a segment whose begin or end is not known.
            time_base: unit of the output's ticks, seconds.
        """
        self._folder = folder
        self._plan = plan
        self._usual_length = Fraction(usual_seconds) * _LONGEST
        self._time_base = time_base
        self._number = -1
        self._file: KeptFile | None = None
        # appending to a deque and taking from it are thread-safe
        self._waiting: deque[_Waiting] = deque()
        self._packed: list[tuple[int, bytes]] = []
        self._waiting_since = 0.0
        self._has_failed = False

    def recall(
        self, item: Scheduled, window: Sequence[Plane]
    ) -> Callable[[], Plane] | None:
        """See ``LumaKeeper.recall``."""
        if item.segment != self._number:
            self._enter(item.segment)
        if self._file is None:
            return None
        return self._file.find(str(item.frame.time), window)

    def keep(
        self, item: Scheduled, window: Sequence[Plane], luma: Plane, seconds: float
    ) -> None:
        """See ``LumaKeeper.keep``."""
        if self._has_failed or not self._is_worth_it(item, seconds):
            return
        window_digest = digest_of(window)
        waiting = _Waiting(item.segment, str(item.frame.time), window_digest, luma)
        self._waiting.append(waiting)

    def save_now_and_then(self) -> None:
        """Write what was kept, if the last time was a while ago."""
        self._pack()
        is_due = time.monotonic() - self._waiting_since >= _SAVE_SECONDS
        if self._packed and is_due:
            self._append_packed()

    def save(self) -> None:
        """Write what was kept: the run ends before its segments do."""
        self._pack()
        self._append_packed()

    def forget(self, segment: int) -> None:
        """Write nothing more of a segment, which is complete; its file goes with its journal line.

        Segments are complete in their order.
        """
        self._pack()
        self._packed = [kept for kept in self._packed if kept[0] > segment]

    def _enter(self, number: int) -> None:
        """Look at what is kept of a segment."""
        self._number = number
        self._file = None
        file = KeptFile(kept_path(self._folder, number))
        try:
            file.cut_torn_end()
        except OSError as error:
            self._give_up(error)
        if len(file):
            log.info("%d frames are kept in %s", len(file), file.path)
            self._file = file

    def _is_worth_it(self, item: Scheduled, seconds: float) -> bool:
        """Whether a segment of such frames takes too long to be lost."""
        shown = len(item.ticks) * item.duration * self._time_base
        return seconds * self._length(item.segment) >= _WORTH_SECONDS * shown

    def _length(self, segment: int) -> float:
        begin = self._plan.begin(segment)
        end = self._plan.end(segment)
        if begin is None or end is None:
            return float(self._usual_length)
        return float(end - begin)

    def _pack(self) -> None:
        while self._waiting:
            kept = self._waiting.popleft()
            if not self._packed:
                self._waiting_since = time.monotonic()
            plane = packed(kept.time, kept.window, kept.luma)
            self._packed.append((kept.segment, plane))

    def _append_packed(self) -> None:
        by_segment: dict[int, list[bytes]] = {}
        for segment, plane in self._packed:
            by_segment.setdefault(segment, []).append(plane)
        self._packed = []
        if self._has_failed:
            return
        for segment, planes in by_segment.items():
            try:
                self._append(kept_path(self._folder, segment), b"".join(planes))
            except OSError as error:
                self._give_up(error)

    def _append(self, path: Path, planes: bytes) -> None:
        size = path.stat().st_size if path.exists() else 0
        free = shutil.disk_usage(self._folder).free
        if size + len(planes) > free // _PART_OF_DISK:
            raise OSError(f"{path}: kept frames would fill the disk")
        append(path, planes)

    def _give_up(self, error: OSError) -> None:
        """The run goes on without keeping frames."""
        log.warning("no more frames are kept: %s", error)
        self._has_failed = True
