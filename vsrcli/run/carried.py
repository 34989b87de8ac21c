"""The part of the certificate that is about everything beside the pictures: streams, their packets, offsets and tags, chapters, attachments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vsrcli.frame import VideoInfo
from vsrcli.media.containers import DEFAULT_FLAG, Container, container_of
from vsrcli.media.evidence import payload_sum, sound_begins, tags_that_fit
from vsrcli.media.languages import same_language
from vsrcli.media.streams import StreamPlan, plan_streams
from vsrcli.quality.certificate import (
    OFFSET_SECONDS,
    Check,
    Cut,
    Evidence,
    Integers,
    Track,
    compare_chapters,
    compare_converted,
    compare_offsets,
    compare_payloads,
    compare_tags,
)

_CONVERTED_OFFSET = Fraction(1, 20)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A stream that should be carried, and what the output has of it."""

    plan: StreamPlan
    source: Track
    target: Track | None


def carried_checks(
    info: VideoInfo,
    name: Path,
    audio: Literal["copy", "none"],
    here: Evidence,
    there: Evidence,
    cut: Cut,
    *,
    is_exact: bool,
    frame: Fraction,
) -> tuple[list[Check], dict[str, Any]]:
    """Check everything beside the pictures.

    Args:
        info: the source.
        name: the output; its ending names the container.
        audio: as in ``UpscaleOptions``.
        here: what the source holds.
        there: what the output holds.
        cut: what part of the source the output shows.
        is_exact: whether the container keeps timestamps.
        frame: length of a frame of the output, seconds.

    Returns:
        The checks, and for a machine: packets and sums of the streams.

    Raises:
        InputError: a file cannot be opened any more.
        OutputError: the container does not take an audio track.
    """
    plan = plan_streams(info, name, audio)
    container = container_of(name)
    pairs, surplus = _pairs(plan, here, there)
    attached = [item for item in plan if item.action == "attach"]
    tolerance = OFFSET_SECONDS if is_exact else frame
    checks = [
        _streams_check(plan, pairs, surplus),
        *_packet_checks(info, container, pairs, cut, tolerance),
        *_chapters_checks(container, here, there, cut, frame),
        *_attachment_checks(attached, here, there),
        *_tag_checks(
            container, pairs, here, there, here.tracks[info.video.index], there
        ),
    ]
    facts = {
        "streams": [
            {
                "index": pair.target.index, "source_index": pair.source.index, "kind": pair.source.kind, "codec": pair.target.codec, "action": pair.plan.action,
                "packets": len(pair.target.times), "sha256": pair.target.sha256,
            }
            for pair in pairs if pair.target is not None
        ]
    }  # fmt: skip
    return checks, facts


def _pairs(
    plan: tuple[StreamPlan, ...], here: Evidence, there: Evidence
) -> tuple[list[_Pair], list[Track]]:
    """Which stream of the output is which of the source: in order where there are as many, else by what they hold."""
    pairs: list[_Pair] = []
    surplus: list[Track] = []
    for kind in ("audio", "subtitle"):
        wanted = [
            (item, here.tracks[item.stream.index])
            for item in plan
            if item.stream.kind == kind and item.action in ("copy", "convert")
        ]
        found = [track for track in there.tracks if track.kind == kind]
        if len(wanted) == len(found):
            pairs += [
                _Pair(item, source, target)
                for (item, source), target in zip(wanted, found, strict=True)
            ]
            continue
        left = list(found)
        for item, source in wanted:
            best = max(left, key=partial(_likeness, source), default=None)
            if best is None or (
                len(wanted) > len(found) and not _likeness(source, best)
            ):
                pairs.append(_Pair(item, source, None))
            else:
                left.remove(best)
                pairs.append(_Pair(item, source, best))
        surplus += left
    return pairs, surplus


def _likeness(source: Track, target: Track) -> float:
    shared = (
        float(np.isin(target.digests, source.digests).mean())
        if len(target.digests)
        else 0.0
    )
    same_title = source.title is not None and source.title == target.title
    return (
        shared
        + 0.5 * same_title
        + 0.25
        * (
            source.language is not None
            and same_language(source.language, target.language)
        )
    )


def _streams_check(
    plan: tuple[StreamPlan, ...], pairs: list[_Pair], surplus: list[Track]
) -> Check:
    missing = [
        f"{pair.source.label} of the source is missing"
        for pair in pairs
        if pair.target is None
    ]
    wrong = missing + [
        f"{track.label} has nothing to do with the source" for track in surplus
    ]
    if wrong:
        return Check("streams", False, "; ".join(wrong))
    counts = [
        f"{sum(pair.plan.action == action for pair in pairs)} {word}"
        for action, word in (("copy", "copied"), ("convert", "converted"))
    ]
    left = [
        f"{item.stream.index} ({item.stream.kind} {item.stream.codec}: {item.reason})"
        for item in plan
        if item.action == "drop"
    ]
    return Check(
        "streams",
        True,
        ", ".join(counts) + (f"; left out: {', '.join(left)}" if left else ""),
    )


def _packet_checks(
    info: VideoInfo,
    container: Container,
    pairs: list[_Pair],
    cut: Cut,
    tolerance: Fraction,
) -> Iterator[Check]:
    payloads: list[str | None] = []
    conversions: list[str | None] = []
    offsets: list[str | None] = []
    copied = converted = packets = 0
    for pair in pairs:
        if pair.target is None:
            continue
        if pair.plan.action == "convert":
            converted += 1
            # nothing is converted of what stands before the beginning, or does not come out of the decoder
            begin = (
                sound_begins(info, pair.source.index)
                if pair.source.kind == "audio"
                else Fraction(0)
            )
            heard = replace(cut, begin=max(begin, cut.begin or Fraction(0)))
            conversions.append(
                compare_converted(pair.source, pair.target, heard, pair.plan.codec)
            )
            if container.keeps_timestamps:  # else it begins with the pictures, with silence where the source's is late
                first = np.flatnonzero(
                    pair.source.within(heard.begin, heard.end, -OFFSET_SECONDS)
                )[:1]
                offsets.append(
                    compare_offsets(
                        pair.source, pair.target, first, heard, _CONVERTED_OFFSET
                    )
                )
            continue
        copied += 1
        packets += len(pair.target.times)
        problem, taken = compare_payloads(pair.source, pair.target, cut, tolerance)
        if problem is not None and pair.source.codec.startswith("pcm_"):
            problem, taken = _compare_samples(
                info, container, pair.source, pair.target, cut, problem
            )
        payloads.append(problem)
        offsets.append(compare_offsets(pair.source, pair.target, taken, cut, tolerance))
    if copied:
        yield _joined(
            "packets",
            payloads,
            f"{packets} packets of {copied} streams are the source's",
        )
    if converted:
        yield _joined("converted", conversions, f"{converted} streams are whole")
    if offsets:
        yield _joined(
            "offset",
            offsets,
            f"within {float(1000 * tolerance):.3g} ms of the source's, packet by packet",
        )


def _compare_samples(
    info: VideoInfo,
    container: Container,
    source: Track,
    target: Track,
    cut: Cut,
    problem: str,
) -> tuple[str | None, Integers]:
    """Plain samples may be cut into other packets: what counts is all of them, one after the other."""
    inside = np.flatnonzero(source.within(cut.begin, cut.end, Fraction(0)))
    if (
        not len(inside)
        or payload_sum(
            info, container, source.index, slice(int(inside[0]), int(inside[-1]) + 1)
        )
        != target.sha256
    ):
        return problem, inside[:0]
    return None, inside[:1]


def _chapters_checks(
    container: Container, here: Evidence, there: Evidence, cut: Cut, frame: Fraction
) -> Iterator[Check]:
    if not here.chapters and not there.chapters:
        return
    if not container.keeps_chapters:
        yield Check(
            "chapters",
            True,
            f"{container.name} has no place for the source's {len(here.chapters)}",
        )
        return
    is_cut = cut.begin is not None or cut.end is not None
    problem = compare_chapters(
        here.chapters, there.chapters, cut, OFFSET_SECONDS + (frame if is_cut else 0)
    )
    yield Check(
        "chapters",
        problem is None,
        problem or f"{len(there.chapters)}, with times and titles",
    )


def _attachment_checks(
    attached: list[StreamPlan], here: Evidence, there: Evidence
) -> Iterator[Check]:
    if not attached:
        return
    found = {
        track.sha256: track
        for track in there.tracks
        if track.kind == "attachment" or track.is_cover
    }
    wrong = []
    for item in attached:
        source = here.tracks[item.stream.index]
        name = source.file_name or ("cover" if source.is_cover else source.label)
        if source.sha256 not in found:
            wrong.append(f"{name} is missing or has changed")
        elif source.file_name and found[source.sha256].file_name not in (
            None,
            source.file_name,
        ):
            wrong.append(f"{name} is called {found[source.sha256].file_name}")
    yield Check(
        "attachments", not wrong, "; ".join(wrong) or f"{len(attached)}, byte for byte"
    )


def _tag_checks(
    container: Container,
    pairs: list[_Pair],
    here: Evidence,
    there: Evidence,
    video: Track,
    all_there: Evidence,
) -> Iterator[Check]:
    shown = next(
        (
            track
            for track in all_there.tracks
            if track.kind == "video" and not track.is_cover
        ),
        None,
    )
    both = [(video, shown)] if shown is not None else []
    both += [(pair.source, pair.target) for pair in pairs if pair.target is not None]
    wrong = [
        problem
        for source, target in both
        for problem in _stream_tags(container, source, target)
    ]
    yield Check(
        "tags",
        not wrong,
        "; ".join(wrong) or "titles, languages and flags of the streams",
    )
    if here.tags:
        fitting = {
            key.lower(): value
            for key, value in tags_that_fit(container, here.tags).items()
        }
        lost = compare_tags(
            {key: fitting[key.lower()] for key in here.tags if key.lower() in fitting},
            there.tags,
        )
        left = [key for key in here.tags if key.lower() not in fitting]
        text = f"{len(here.tags) - len(left)} tags" + (
            f"; {container.name} has no place for {', '.join(left)}" if left else ""
        )
        yield Check("metadata", not lost, "; ".join(lost) or text)


def _stream_tags(container: Container, source: Track, target: Track) -> Iterator[str]:
    if container.keeps_titles and source.title != target.title:
        yield f"{target.label} is called {target.title!r}, the source's {source.title!r}"
    has_language = container.keeps_language(source.language) and not (
        target.kind == "video" and not container.keeps_video_language
    )
    if has_language and not same_language(source.language, target.language):
        yield f"{target.label} is in {target.language or 'no language'}, the source's in {source.language or 'none'}"
    flags = int(container.dispositions)
    lost = source.disposition & flags & ~target.disposition
    # a lone default is what some muxers add by themselves
    gained = target.disposition & flags & ~source.disposition & ~DEFAULT_FLAG
    if lost or gained:
        yield f"{target.label} has flags {target.disposition & flags}, the source's {source.disposition & flags}"


def _joined(name: str, problems: list[str | None], text: str) -> Check:
    wrong = [problem for problem in problems if problem is not None]
    return Check(name, not wrong, "; ".join(wrong) or text)
