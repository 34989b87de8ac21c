"""Which stream of an output is which of its source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vsrcli.containers.languages import same_language
from vsrcli.streams.stream_plan import StreamPlan
from vsrcli.verification.packet_inventory import PacketInventory, Track

_TITLE_WEIGHT = 0.5
_LANGUAGE_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class StreamPair:
    """A stream that should be carried, and the output's stream for it, if there is one."""

    plan: StreamPlan
    source: Track
    output: Track | None


def pair_streams(
    plan: tuple[StreamPlan, ...],
    source: PacketInventory,
    output: PacketInventory,
) -> tuple[list[StreamPair], list[Track]]:
    """Pair streams: in order if there are as many as there should be, else by what they contain.

    Args:
        plan: what should happen to each stream of the source.
        source: what the source holds.
        output: what the output holds.

    Returns:
        A pair for each audio and subtitle stream that should be carried; and the output's streams
        that belong to none.
    """
    pairs: list[StreamPair] = []
    surplus: list[Track] = []
    for kind in ("audio", "subtitle"):
        plans = [
            item
            for item in plan
            if item.stream.kind == kind and item.action in ("copy", "convert")
        ]
        tracks = [track for track in output.tracks if track.kind == kind]
        if len(plans) == len(tracks):
            for item, track in zip(plans, tracks, strict=True):
                pairs.append(StreamPair(item, source.tracks[item.stream.index], track))
            continue
        some_are_missing = len(plans) > len(tracks)
        for item in plans:
            source_track = source.tracks[item.stream.index]
            candidates = tracks
            if some_are_missing:
                candidates = [
                    track for track in tracks if _likeness(source_track, track) > 0
                ]
            best = max(candidates, key=partial(_likeness, source_track), default=None)
            if best is not None:
                tracks.remove(best)
            pairs.append(StreamPair(item, source_track, best))
        surplus += tracks
    return pairs, surplus


def _likeness(source: Track, output: Track) -> float:
    """How much speaks for a track of the output: shared packets, the same title or language."""
    likeness = 0.0
    if len(output.digests):
        likeness = float(np.isin(output.digests, source.digests).mean())
    if source.title is not None and source.title == output.title:
        likeness += _TITLE_WEIGHT
    if source.language is not None and same_language(source.language, output.language):
        likeness += _LANGUAGE_WEIGHT
    return likeness
