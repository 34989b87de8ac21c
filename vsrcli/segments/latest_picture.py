"""The latest finished frame beside its source, as a picture that replaces itself."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from vsrcli.encode.atomic_file import write_file
from vsrcli.frame import ColorTags, Frame
from vsrcli.picture.side_by_side import as_png, side_by_side
from vsrcli.pipeline.onlooker import Onlooker
from vsrcli.pipeline.run_context import RunContext
from vsrcli.segments.segment_folder import LATEST_NAME

log = logging.getLogger(__name__)

# Between two pictures pass so many seconds, and so many times what one takes.
_INTERVAL_SECONDS = 10.0
_PAUSES_PER_PICTURE = 100


class LatestPicture(Onlooker):
    """Writes a picture now and then; a disk that refuses ends nothing but that."""

    def __init__(self, path: Path, tags: ColorTags, *, at_once: bool) -> None:
        """Prepare to write.

        Args:
            path: of the PNG file.
            tags: the colours of the frames.
            at_once: whether the first frame is written too, or none in the first seconds.
        """
        self._path = path
        self._tags = tags
        self._is_next_at = time.monotonic()
        if not at_once:
            self._is_next_at += _INTERVAL_SECONDS
        self._has_failed = False

    def show(self, source: Frame, result: Frame) -> None:
        """See ``Onlooker.show``."""
        began = time.monotonic()
        if self._has_failed or began < self._is_next_at:
            return
        try:
            picture = as_png(side_by_side(source, result, self._tags))
            write_file(self._path, picture, overwrite=True)
        except (OSError, ValueError) as error:
            self._has_failed = True
            log.warning("%s is not written any more: %s", self._path, error)
        ended = time.monotonic()
        pause = max(_INTERVAL_SECONDS, _PAUSES_PER_PICTURE * (ended - began))
        self._is_next_at = ended + pause


def open_latest_picture(run: RunContext, folder: Path | None) -> LatestPicture | None:
    """The picture of a pass, where the user wants it or else in a folder.

    Args:
        run: the run.
        folder: the run's own; None: it has none.
    """
    tags = run.job.conversion.tags
    if run.options.watch is not None:
        return LatestPicture(Path(run.options.watch), tags, at_once=True)
    if folder is not None:
        return LatestPicture(folder / LATEST_NAME, tags, at_once=False)
    return None
