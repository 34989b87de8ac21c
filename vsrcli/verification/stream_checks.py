"""The checks of everything besides the pictures: streams, packets, offsets, tags, chapters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vsrcli.containers.languages import same_language
from vsrcli.containers.table import DEFAULT_FLAG, Container, container_of
from vsrcli.frame import VideoInfo
from vsrcli.streams.stream_plan import StreamPlan, plan_streams
from vsrcli.streams.trial_mux import stream_tags_that_fit, tags_that_fit
from vsrcli.verification.packet_comparison import (
    OFFSET_SECONDS,
    compare_chapters,
    compare_converted,
    compare_converted_offset,
    compare_offsets,
    compare_payloads,
    compare_tags,
)
from vsrcli.verification.packet_inventory import (
    Integers,
    PacketInventory,
    Track,
    TrimRange,
)
from vsrcli.verification.packet_scan import first_sample_time, payload_sum
from vsrcli.verification.stream_pairs import StreamPair, pair_streams
from vsrcli.verification.verification_report import Check
from vsrcli.wording import plural


def check_streams(
    info: VideoInfo,
    target: Path,
    audio: Literal["copy", "none"],
    source: PacketInventory,
    output: PacketInventory,
    trim: TrimRange,
    *,
    frame_seconds: Fraction,
) -> tuple[list[Check], dict[str, Any]]:
    """Check everything besides the pictures.

    Args:
        info: the source.
        target: the output; its ending names the container.
        audio: as in ``UpscaleOptions``.
        source: what the source holds.
        output: what the output holds.
        trim: the part of the source that the output holds.
        frame_seconds: duration of a frame of the output.

    Returns:
        The checks, and figures for programs: packets and sums of the streams.

    Raises:
        InputError: a file cannot be opened any more.
        OutputError: the container does not take an audio track.
    """
    plan = plan_streams(info, target, audio)
    container = container_of(target)
    pairs, surplus = pair_streams(plan, source, output)
    attached = [item for item in plan if item.action == "attach"]
    comparison = _PacketComparison(
        info,
        container,
        trim,
        frame_seconds,
    )
    video = source.tracks[info.video.index]
    checks = [
        _check_presence(plan, pairs, surplus),
        *comparison.checks(pairs),
        *_check_chapters(
            container,
            source,
            output,
            trim,
            frame_seconds,
        ),
        *_check_attachments(attached, source, output),
        _check_stream_tags(
            container,
            video,
            pairs,
            output,
        ),
        *_check_global_tags(container, source, output),
    ]
    streams = [_describe(pair, pair.output) for pair in pairs if pair.output]
    return checks, {"streams": streams}


def _describe(pair: StreamPair, output: Track) -> dict[str, Any]:
    return {
        "index": output.index,
        "source_index": pair.source.index,
        "kind": pair.source.kind,
        "codec": output.codec,
        "action": pair.plan.action,
        "packets": len(output.times),
        "sha256": output.sha256,
    }


def _check_presence(
    plan: tuple[StreamPlan, ...],
    pairs: list[StreamPair],
    surplus: list[Track],
) -> Check:
    missing = [pair.source.label for pair in pairs if pair.output is None]
    problems = [
        *(f"{label} of the source is missing" for label in missing),
        *(f"{track.label} has nothing to do with the source" for track in surplus),
    ]
    actions = [pair.plan.action for pair in pairs]
    copied = actions.count("copy")
    converted = actions.count("convert")
    text = f"{copied} copied, {converted} converted"
    dropped = []
    for item in plan:
        if item.action == "drop":
            stream = item.stream
            about = f"{stream.kind} {stream.codec}: {item.reason}"
            dropped.append(f"{stream.index} ({about})")
    if dropped:
        text += f"; left out: {', '.join(dropped)}"
    return _check("streams", problems, text)


@dataclass(frozen=True, slots=True)
class _PacketComparison:
    """Compares the packets of each stream with the source's."""

    info: VideoInfo
    container: Container
    trim: TrimRange
    frame_seconds: Fraction

    @property
    def tolerance(self) -> Fraction:
        """Of times, seconds."""
        if self.container.keeps_timestamps:
            return OFFSET_SECONDS
        return self.frame_seconds

    def checks(self, pairs: list[StreamPair]) -> Iterator[Check]:
        payloads: list[str | None] = []
        conversions: list[str | None] = []
        offsets: list[str | None] = []
        packets = 0
        for pair in pairs:
            if pair.output is None:
                continue
            if pair.plan.action == "convert":
                conversions.append(self._compare_conversion(pair, pair.output, offsets))
            else:
                packets += len(pair.output.times)
                payloads.append(self._compare_copy(pair.source, pair.output, offsets))
        if payloads:
            counts = f"{plural(packets, 'packet')} of {plural(len(payloads), 'stream')}"
            text = f"{counts}: all as in the source"
            yield _check("packets", payloads, text)
        if conversions:
            yield _check(
                "converted",
                conversions,
                f"{plural(len(conversions), 'stream')}: complete",
            )
        if offsets:
            milliseconds = float(1000 * self.tolerance)
            text = f"within {milliseconds:.3g} ms of the source's, packet by packet"
            yield _check("offset", offsets, text)

    def _compare_copy(
        self,
        source: Track,
        output: Track,
        offsets: list[str | None],
    ) -> str | None:
        tolerance = self.tolerance
        problem, taken = compare_payloads(
            source,
            output,
            self.trim,
            tolerance,
        )
        if problem is not None and source.codec.startswith("pcm_"):
            inside = self._same_samples(source, output)
            taken = inside[:1]
            if len(inside):
                problem = None
        offsets.append(
            compare_offsets(
                source,
                output,
                taken,
                self.trim,
                early=tolerance,
                late=tolerance,
                is_converted=False,
            )
        )
        return problem

    def _same_samples(self, source: Track, output: Track) -> Integers:
        """The source's packets whose samples, in sequence, are the output's; none if they differ.

        PCM may be cut into other packets: only all samples together can be compared.
        """
        trim = self.trim
        inside = np.flatnonzero(source.within(trim.start, trim.end, Fraction(0)))
        if not len(inside):
            return inside
        packets = slice(int(inside[0]), int(inside[-1]) + 1)
        digest = payload_sum(
            self.info,
            self.container,
            source.index,
            packets,
        )
        return inside if digest == output.sha256 else inside[:0]

    def _compare_conversion(
        self,
        pair: StreamPair,
        output: Track,
        offsets: list[str | None],
    ) -> str | None:
        source = pair.source
        # what comes before the beginning, or not out of the decoder, is not converted
        start = self.trim.start or Fraction(0)
        if source.kind == "audio":
            start = max(start, first_sample_time(self.info, source.index))
        trim = replace(self.trim, start=start)
        # without timestamps it begins with the pictures, with silence where the source's is late
        if self.container.keeps_timestamps:
            offsets.append(compare_converted_offset(source, output, trim))
        return compare_converted(
            source,
            output,
            trim,
            pair.plan.codec,
            pair.plan.channels,
        )


def _check_chapters(
    container: Container,
    source: PacketInventory,
    output: PacketInventory,
    trim: TrimRange,
    frame_seconds: Fraction,
) -> Iterator[Check]:
    if not source.chapters and not output.chapters:
        return
    if not container.keeps_chapters:
        text = f"{container.name} has no place for the source's {len(source.chapters)}"
        yield Check("chapters", True, text)
        return
    tolerance = OFFSET_SECONDS
    if not trim.is_whole:
        tolerance += frame_seconds
    problem = compare_chapters(
        source.chapters,
        output.chapters,
        trim,
        tolerance,
    )
    text = f"{len(output.chapters)}, with times and titles"
    yield _check("chapters", [problem], text)


def _check_attachments(
    attached: list[StreamPlan],
    source: PacketInventory,
    output: PacketInventory,
) -> Iterator[Check]:
    if not attached:
        return
    actual = {
        track.sha256: track
        for track in output.tracks
        if track.kind == "attachment" or track.is_cover
    }
    problems = []
    for item in attached:
        expected = source.tracks[item.stream.index]
        name = expected.label
        if expected.file_name:
            name = expected.file_name
        elif expected.is_cover:
            name = "cover"
        if expected.sha256 not in actual:
            problems.append(f"{name} is missing or has changed")
            continue
        actual_name = actual[expected.sha256].file_name
        if expected.file_name and actual_name not in (None, expected.file_name):
            problems.append(f"{name} is called {actual_name}")
    yield _check("attachments", problems, f"{len(attached)}, byte for byte")


def _check_stream_tags(
    container: Container,
    video: Track,
    pairs: list[StreamPair],
    output: PacketInventory,
) -> Check:
    problems: list[str] = []
    for track in output.tracks:
        if track.kind == "video" and not track.is_cover:
            problems += _compare_stream_tags(container, video, track)
            break
    for pair in pairs:
        if pair.output is not None:
            problems += _compare_stream_tags(container, pair.source, pair.output)
    return _check("tags", problems, "titles, languages and flags of the streams")


def _compare_stream_tags(
    container: Container,
    source: Track,
    output: Track,
) -> Iterator[str]:
    if container.keeps_titles and source.title != output.title:
        titles = f"{output.title!r}, the source's {source.title!r}"
        yield f"{output.label} is called {titles}"
    keeps_language = container.keeps_language(source.language)
    if output.kind == "video" and not container.keeps_video_language:
        keeps_language = False
    if keeps_language and not same_language(source.language, output.language):
        actual = output.language or "no language"
        expected = source.language or "none"
        yield f"{output.label} is in {actual}, the source's in {expected}"
    expected_tags = stream_tags_that_fit(container, source.tags) if source.tags else {}
    for problem in compare_tags(expected_tags, output.tags):
        yield f"{output.label}: {problem}"
    kept = int(container.dispositions)
    expected_flags = source.disposition & kept
    actual_flags = output.disposition & kept
    lost = expected_flags & ~actual_flags
    # some muxers set a lone default flag by themselves
    gained = actual_flags & ~expected_flags & ~DEFAULT_FLAG
    if lost or gained:
        flags = f"{actual_flags}, the source's {expected_flags}"
        yield f"{output.label} has flags {flags}"


def _check_global_tags(
    container: Container,
    source: PacketInventory,
    output: PacketInventory,
) -> Iterator[Check]:
    if not source.tags:
        return
    expected = tags_that_fit(container, source.tags)
    left_out = [key for key in source.tags if key not in expected]
    text = plural(len(expected), "tag")
    if left_out:
        text += f"; {container.name} has no place for {', '.join(left_out)}"
    yield _check("metadata", compare_tags(expected, output.tags), text)


def _check(
    name: str,
    results: list[str] | list[str | None],
    text: str,
) -> Check:
    """A check that passes if none of the results is a problem."""
    problems = [result for result in results if result is not None]
    return Check(name, not problems, "; ".join(problems) or text)
