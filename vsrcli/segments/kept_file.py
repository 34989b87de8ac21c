"""A file of doubled luma planes of one segment that is not finished.

Planes are appended. Each has a line of JSON (time of the frame, checksum of what it was computed
from, size, depth, bytes that follow and their checksum), then its codes, compressed: differences
between rows, byte by byte of a code. What a crash has torn is cut off before more is appended.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.encode.atomic_file import sync
from vsrcli.frame import Plane
from vsrcli.segments.segment_folder import kept_paths

# Longer than any line of ours.
_MAX_LINE_BYTES = 1024
_DIGEST_BYTES = 16
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class KeptPlane:
    """A plane, as the file describes it.

    Attributes:
        time: of the source frame, seconds, as a fraction.
        window: ``digest_of`` the frames that it was computed from.
        height, width: of the plane, pixels.
        code_bytes: 1 or 2.
        size: bytes in the file.
        checksum: of these (CRC-32).
    """

    time: str
    window: str
    height: int
    width: int
    code_bytes: int
    size: int
    checksum: int

    @classmethod
    def from_line(cls, line: bytes) -> KeptPlane | None:
        """Read a line; None if it describes no plane."""
        try:
            plane = cls(**json.loads(line))
        except (TypeError, ValueError, RecursionError):
            return None
        return plane if plane._is_valid() else None

    def is_doubled(self, luma: Plane) -> bool:
        """Whether it has twice the size of a source's luma, and its depth."""
        height, width = luma.shape
        size = (self.height, self.width, self.code_bytes)
        return size == (2 * height, 2 * width, luma.itemsize)

    def _is_valid(self) -> bool:
        if type(self.time) is not str or type(self.window) is not str:
            return False
        for number in (self.height, self.width, self.size, self.checksum):
            if type(number) is not int or number < 0:
                return False
        return self.code_bytes in (1, 2)


class KeptFile:
    """The planes that are in a file when it is opened.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Read what the lines say; a file that cannot be read holds nothing."""
        self.path = path
        self._places: dict[str, tuple[KeptPlane, int]] = {}
        self._end = 0
        try:
            self._scan()
        except OSError:
            self._places = {}

    def __len__(self) -> int:
        return len(self._places)

    def cut_torn_end(self) -> None:
        """Remove what no plane can be read from, so that others can follow.

        Raises:
            OSError: the disk refuses.
        """
        if self.path.exists() and self.path.stat().st_size > self._end:
            os.truncate(self.path, self._end)

    def find(self, time: str, lumas: Sequence[Plane]) -> Callable[[], Plane] | None:
        """What gives the plane of a frame; None if there is none, or it is damaged.

        Args:
            time: of the frame, as in ``KeptPlane``.
            lumas: what it would be computed from.
        """
        if time not in self._places:
            return None
        plane, place = self._places[time]
        if not plane.is_doubled(lumas[0]) or plane.window != digest_of(lumas):
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place)
                content = file.read(plane.size)
        except OSError:
            return None
        if len(content) != plane.size or zlib.crc32(content) != plane.checksum:
            return None
        return partial(_unpacked, plane, content)

    def _scan(self) -> None:
        if not self.path.exists():
            return
        length = self.path.stat().st_size
        with self.path.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                plane = KeptPlane.from_line(line)
                place = file.tell()
                if plane is None or place + plane.size > length:
                    return
                self._places[plane.time] = (plane, place)
                self._end = file.seek(plane.size, os.SEEK_CUR)


def count_kept(folder: Path) -> int:
    """How many frames are kept in a folder."""
    return sum(len(KeptFile(path)) for path in kept_paths(folder).values())


def packed(time: str, window: str, luma: Plane) -> bytes:
    """A plane as it is appended to a file.

    Args:
        time: of the source frame, as in ``KeptPlane``.
        window: ``digest_of`` what it was computed from.
        luma: codes, (H, W), uint8 or uint16.
    """
    height, width = luma.shape
    code_bytes = luma.itemsize
    differences: NDArray[Any] = luma.copy()
    differences[1:] -= luma[:-1]
    by_byte = differences.view(np.uint8).reshape(-1, code_bytes).T
    compressor = zlib.compressobj(_FASTEST, strategy=zlib.Z_RLE)
    content = compressor.compress(by_byte.tobytes()) + compressor.flush()
    checksum = zlib.crc32(content)
    plane = KeptPlane(time, window, height, width, code_bytes, len(content), checksum)
    return json.dumps(asdict(plane)).encode() + b"\n" + content


def append(path: Path, planes: bytes) -> None:
    """Append packed planes, and wait until they are safe on the disk.

    Raises:
        OSError: the disk refuses.
    """
    is_new = not path.exists()
    with path.open("ab") as file:
        file.write(planes)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync(path.parent)


def digest_of(lumas: Sequence[Plane]) -> str:
    """A checksum of the codes that a plane is computed from."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for luma in lumas:
        digest.update(np.ascontiguousarray(luma).data)
    return digest.hexdigest()


def _unpacked(plane: KeptPlane, content: bytes) -> Plane:
    by_byte = np.frombuffer(zlib.decompress(content), np.uint8)
    codes = np.ascontiguousarray(by_byte.reshape(plane.code_bytes, -1).T)
    kind = np.dtype(np.uint8 if plane.code_bytes == 1 else np.uint16)
    differences = codes.view(kind).reshape(plane.height, plane.width)
    luma: Plane = np.cumsum(differences, axis=0, dtype=kind)
    return luma
