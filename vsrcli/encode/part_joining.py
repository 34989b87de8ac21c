"""Joining parts of an output without encoding them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal

from vsrcli.encode.parts import PartPacket, hash_of, packets_of
from vsrcli.errors import OutputError


def joined(
    parts: Sequence[tuple[Path, str]], time_base: Fraction
) -> Iterator[Packet[Any]]:
    """The packets of parts in a row, with decoding times as one encoder would have given them.

    Args:
        parts: in order of time, each with its SHA-256 (``hash_of``).
        time_base: unit of their ticks, seconds.

    Raises:
        OutputError: one is not what was written.
    """
    try:
        times = decoding_times([times_of(path) for path, _ in parts])
        next_time = iter(times)
        for path, sha256 in parts:
            if hash_of(path) != sha256:
                raise _changed(path)
            for stored in packets_of(path):
                yield _packet(stored, next(next_time), time_base)
    except FileNotFoundError as error:
        raise _changed(Path(error.filename)) from error


def _changed(path: Path) -> OutputError:
    return OutputError(
        f"{path} was changed or removed while vsr was working: "
        "the same command makes it again"
    )


def times_of(path: Path) -> list[tuple[int, int]]:
    """Presentation and decoding time of each packet of a part, ticks, in decoding order.

    Raises:
        OutputError: the file is not a part, or it is damaged.
    """
    packets = packets_of(path, skip_contents=True)
    return [(packet.pts, packet.dts) for packet in packets]


def decoding_times(parts: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """Decoding times for joined parts.

    They are those of x264 and others: the presentation times in order, as many frames late as any
    part needs. Each part's own begin before its first frame, by the distance of its first frames,
    and would overlap where frames are not evenly spaced.

    Args:
        parts: (presentation, decoding) times of packets in decoding order; every part ends before
            the next begins.

    Returns:
        For each packet, increasing, and not later than its presentation time.
    """
    delay = max((_delay(part) for part in parts), default=0)
    ordered: list[int] = []
    for part in parts:
        ordered += sorted(pts for pts, _ in part)
    if not delay or not ordered:
        return ordered
    # as many times as the delay come before the first frame, spaced as the first frames are
    if len(ordered) > delay:
        lead = ordered[delay] - ordered[0]
    else:
        spacing = ordered[1] - ordered[0] if len(ordered) > 1 else 1
        missing = delay - len(ordered) + 1
        lead = missing * spacing + ordered[-1] - ordered[0]
    early = [pts - lead for pts in ordered[:delay]]
    late_count = max(0, len(ordered) - delay)
    return early + ordered[:late_count]


def _delay(part: Sequence[tuple[int, int]]) -> int:
    """How many frames late the packets of a part are decoded, if they are decoded in order."""
    ordered = sorted(pts for pts, _ in part)
    rank = {pts: number for number, pts in enumerate(ordered)}
    reordering = 0
    decoded_early = 0
    for number, (pts, dts) in enumerate(part):
        reordering = max(reordering, number - rank[pts])
        decoded_early += dts < ordered[0]
    return max(reordering, decoded_early)


def _packet(
    stored: PartPacket,
    dts: int,
    time_base: Fraction,
) -> Packet[Any]:
    packet: Any = av.Packet(stored.content)
    packet.pts = stored.pts
    packet.dts = dts
    packet.duration = stored.duration
    packet.time_base = time_base
    packet.is_keyframe = stored.is_keyframe
    for name, content in stored.side_data:
        kind: Any = name
        number = packet_sidedata_type_from_literal(kind)
        side_data: Any = PacketSideData(number, len(content))  # type: ignore[call-arg]
        side_data.update(content)
        packet.set_sidedata(side_data)
    return packet  # type: ignore[no-any-return]
