"""The decoder of training packs: OpenCV, because a training machine may have no PyAV.

Everything else in vsr decodes with ``vsrcli.decode``, which needs PyAV. Machines that are rented
for training often have none, so packs, and the degraded versions prepared for them, must be
readable without it. This is the only place that decodes them.

Packs hold gray video tagged as full range. OpenCV's conversion to BGR leaves such samples as they
are, so each colour channel is the luma plane, code for code.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vsrcli.clips.degradation import Clip
from vsrcli.decode.playlist import list_kind
from vsrcli.errors import InputError


class PackDecoder:
    """Luma planes of a pack's video file, or of its degraded versions, in order.

    Use it as a context manager, which closes the file.
    """

    def __init__(self, file: Path) -> None:
        """Open a pack's file.

        Raises:
            InputError: it is a list of other files, which OpenCV would read.
        """
        kind = list_kind(file)
        if kind is not None:
            raise InputError(f"{file} is {kind}")
        self._capture = cv2.VideoCapture(str(file))

    def __enter__(self) -> PackDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def read(self) -> Clip | None:
        """The next luma plane, (H, W) uint8; None at the end of the file or where it is damaged."""
        is_read, picture = self._capture.read()
        if not is_read:
            return None
        plane = picture[:, :, 0]
        return plane.astype(np.uint8, copy=False)
