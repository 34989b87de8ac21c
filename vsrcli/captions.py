"""Closed captions: how those of several frames share one, and in what order they arrive.

A frame carries them as cc_data of CTA-708: triplets of bytes. The first byte says in bit 2 whether
the other two mean anything (otherwise they are padding), and in bits 0 and 1 whose they are: 0 and
1 are the two fields of CEA-608, 2 and 3 one channel of CEA-708.
"""

from __future__ import annotations

TRIPLET_BYTES = 3
# The number of triplets of a frame has five bits.
MAX_TRIPLETS = 31

_VALID = 4
_KIND_MASK = 3
_CEA_708 = 2


def pairs_of(captions: bytes) -> list[tuple[int, bytes]]:
    """The captions of a frame without padding.

    Returns:
        The channel (0, 1: fields of CEA-608; 2: CEA-708) and the triplet of each.
    """
    pairs = []
    for place in range(0, len(captions) - TRIPLET_BYTES + 1, TRIPLET_BYTES):
        triplet = captions[place : place + TRIPLET_BYTES]
        if triplet[0] & _VALID:
            pairs.append((min(triplet[0] & _KIND_MASK, _CEA_708), triplet))
    return pairs


class CaptionQueue:
    """Captions of frames that are not shown, on their way to one that is.

    A frame's own captions pass unchanged while nothing waits. Otherwise they join what waits,
    without padding and within the limit of one frame; what does not fit waits for the next.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, bytes]] = []

    def add(self, captions: bytes) -> None:
        """Take the captions of a frame that is not shown."""
        self._waiting += pairs_of(captions)

    def next(self, captions: bytes) -> bytes:
        """The captions that a frame is shown with; ``captions`` are its own."""
        if not self._waiting and len(captions) <= MAX_TRIPLETS * TRIPLET_BYTES:
            return captions
        self.add(captions)
        taken = self._waiting[:MAX_TRIPLETS]
        del self._waiting[:MAX_TRIPLETS]
        return _joined(taken)

    def rest(self) -> bytes:
        """All that still waits, however much it is."""
        taken = self._waiting
        self._waiting = []
        return _joined(taken)


def _joined(pairs: list[tuple[int, bytes]]) -> bytes:
    # CEA-608 comes first in a frame (CTA-708, 4.3); sorting keeps the order within a channel
    ordered = sorted(pairs, key=lambda pair: pair[0] == _CEA_708)
    return b"".join(triplet for _, triplet in ordered)
