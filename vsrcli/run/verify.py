"""The certificate: wires what is found in two files to the comparisons. Prints nothing.

Both files are decoded side by side (a thread each), once; only where the frames turn out to follow another rate, or not to be all there, a second time.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import ColorTags, Damage, Frame, PixelFormat, VideoInfo
from vsrcli.media.containers import Container, container_of
from vsrcli.media.evidence import collect
from vsrcli.media.output import OutputVideo
from vsrcli.media.probe import probe
from vsrcli.media.reader import VideoReader
from vsrcli.options import UpscaleOptions
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.resize import double, half
from vsrcli.quality.agreement import (
    DEFAULT_THRESHOLD_DB,
    Agreement,
    Integers,
    Timeline,
    best_policy,
    cells,
    compare_count,
    compare_end,
    compare_times,
    grid_of,
    pair,
)
from vsrcli.quality.certificate import (
    NO_TIME,
    Certificate,
    Check,
    Cut,
    Evidence,
    Track,
    compare_colour,
    compare_depth,
    compare_hdr,
)
from vsrcli.run.carried import carried_checks
from vsrcli.run.pictures import plan_conversion
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.preflight import output_video, time_base
from vsrcli.timing import Schedule, Scheduled

_DECODED_AHEAD = 4
_CONTEXT = 2
# MP4 says how long the whole lasts in units of its own, as a rule milliseconds.
_HEADER_SECONDS = Fraction(1, 1000)

Policy = Fraction | Literal["source"]


def verify(
    source: str | Path,
    target: str | Path,
    options: UpscaleOptions | None = None,
    *,
    fps_given: bool = True,
    threshold_db: float = DEFAULT_THRESHOLD_DB,
    shown: Path | None = None,
    promised: OutputVideo | None = None,
    source_info: VideoInfo | None = None,
    on_progress: Callable[[float | None, int], None] | None = None,
) -> Certificate:
    """Hold an output of ``upscale`` against its source.

    Args:
        source: the input file.
        target: the output file.
        options: of the run; rate, range of time, audio, deinterlacing and rotation matter.
        fps_given: whether only that rate will do; otherwise the source's own timestamps and the output's own constant rate pass as well.
        threshold_db: PSNR of the halved output against the source that is always close enough.
        shown: the name that the target will have, whose ending names the container; ``target`` where None.
        promised: what the output was said to be before the work, with what encoder and container cannot keep left out; None: everything that the source is.
        source_info: what ``probe`` said of the source, where it is known.
        on_progress: called in this thread after each frame of the source with the share that is done (None where unknown) and the frames compared.

    Returns:
        Every check with its result.

    Raises:
        InputError: one of the files cannot be read.
        OutputError: the target's name has no known ending.
    """
    source, target, options = Path(source), Path(target), options or UpscaleOptions()
    name = shown or target
    container = container_of(name)
    found = source_info or probe(source)
    made = probe(target)
    turned = (
        Orientation.of_matrix(found.display_matrix)
        if options.bake_rotation and found.display_matrix is not None
        else None
    )
    wanted = promised or output_video(
        found, options, plan_conversion(found, turned, to_folder=False)
    )
    job = _Job(
        found,
        made,
        container,
        options,
        wanted,
        turned or Orientation(),
        threshold_db,
        on_progress,
        collect(found, container),
        collect(made),
        _origin(found, options),
    )
    policies: dict[str, Policy] = {_policy_name(options.fps): options.fps}
    if not fps_given:
        policies["source"] = "source"
        if job.target.rate:
            policies.setdefault(_policy_name(job.target.rate), job.target.rate)
    guess = _guess(policies, job)
    seen = _compare(job, policies, guess, None)
    policy = best_policy(seen.expected, seen.shown)
    places, _ = pair(seen.expected[policy], seen.shown)
    if policy != guess or not np.array_equal(places, np.arange(len(seen.shown))):
        seen = _compare(job, policies, policy, places)
    expected = seen.expected[policy]
    zero = job.origin + (
        int(expected.ticks[places[0]]) * expected.unit
        if len(expected) and len(places)
        else 0
    )
    # without timestamps FFmpeg cannot tell the first frame's either: the decoder's delay is added to it
    first = (
        int(seen.shown.ticks[0]) * seen.shown.unit
        if len(seen.shown) and container.keeps_timestamps
        else Fraction(0)
    )
    cut = Cut(
        begin=job.origin if options.start else None, end=options.end, shift=zero - first
    )
    also = (
        ""
        if policy == _policy_name(UpscaleOptions().fps) or fps_given
        else f", as with --fps {policy}"
    )
    checks = [
        *_time_checks(expected, seen, also),
        *_picture_checks(job),
        *_content_checks(job, seen.agreement),
    ]
    streams, facts = carried_checks(
        found,
        name,
        options.audio,
        job.here,
        job.there,
        cut,
        is_exact=container.keeps_timestamps,
        frame=_frame_length(made),
    )
    worst = seen.agreement.worst
    facts |= {
        "fps": policy,
        "frames": len(seen.shown),
        "worst_frame": {
            "number": worst.frame,
            "seconds": worst.seconds,
            "psnr_db": worst.psnr if np.isfinite(worst.psnr) else None,
        },
        "source_damage": seen.source_damage.as_dict(),
    }
    return Certificate(str(source), str(name), (*checks, *streams), facts)


@dataclass(frozen=True, slots=True)
class _Job:
    source: VideoInfo
    target: VideoInfo
    container: Container
    options: UpscaleOptions
    wanted: OutputVideo
    turned: Orientation
    threshold_db: float
    on_progress: Callable[[float | None, int], None] | None
    here: Evidence
    there: Evidence
    origin: Fraction

    @property
    def end(self) -> int | None:
        """When the output says that its video ends, ticks of its time base; None where the container keeps no length of the last frame."""
        if self.there.end is None or not self.container.keeps_last_duration:
            return None
        return round(self.there.end / self.target.time_base)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that the output should have."""
        return self.wanted.width, self.wanted.height


@dataclass(frozen=True, slots=True)
class _Seen:
    """What decoding both files gave."""

    expected: dict[str, Timeline]
    shown: Timeline
    agreement: Agreement
    source_damage: Damage
    damage: Damage


def _origin(source: VideoInfo, options: UpscaleOptions) -> Fraction:
    """Source time that is output time 0, seconds."""
    if options.start is None:
        return Fraction(0)
    with VideoReader(
        source, time_range=options.range, deinterlace=options.deinterlace
    ) as reader:
        return reader.first_time()


def _policy_name(fps: Policy) -> str:
    return str(fps)


def _frame_length(info: VideoInfo) -> Fraction:
    return 1 / info.rate if info.rate else Fraction(1, 25)


def _guess(policies: dict[str, Policy], job: _Job) -> str:
    """Which policy the output seems to follow, by its packets: a wrong guess costs a second look at the pictures, nothing else."""
    before, after = (
        _packet_times(evidence.tracks[info.video.index])
        for evidence, info in ((job.here, job.source), (job.there, job.target))
    )
    if before is None or after is None:
        return next(iter(policies))
    lines = {
        name: before
        if policy == "source"
        else Timeline(np.arange(len(after), dtype=np.int64), 1 / Fraction(policy))
        for name, policy in policies.items()
    }
    return best_policy(lines, after)


def _packet_times(track: Track) -> Timeline | None:
    return (
        None
        if not len(track.times) or (track.times == NO_TIME).any()
        else Timeline(np.sort(track.times), track.unit)
    )


def _compare(
    job: _Job, policies: dict[str, Policy], policy: str, places: Integers | None
) -> _Seen:
    """Decode both files and judge every frame of the output.

    Args:
        job: the files.
        policies: rates to compute the expected timestamps for.
        policy: which of them says what each frame should show.
        places: for each frame of the output the expected one; None: the same number.
    """
    options = job.options
    judge = _Judge(job)
    ticks: dict[str, array[int]] = {name: array("q") for name in policies}
    ends: dict[str, int] = {}
    times: array[int] = array("q")
    with (
        VideoReader(
            job.source,
            time_range=options.range,
            context=_CONTEXT,
            deinterlace=options.deinterlace,
        ) as reader,
        VideoReader(job.target, deinterlace="off") as output,
        Prefetch(reader, _DECODED_AHEAD, "source") as frames,
        Prefetch(output, _DECODED_AHEAD, "output") as pictures,
    ):
        schedules = {
            name: Schedule(
                rate,
                time_base=time_base(job.source, options),
                time_range=options.range,
                origin=job.origin,
                fill=not job.container.keeps_timestamps,
            )
            for name, rate in policies.items()
        }
        copies = itertools.tee(frames, len(policies))
        runs = [
            schedule.run(copy)
            for schedule, copy in zip(schedules.values(), copies, strict=True)
        ]
        coming = iter(pictures)
        picture = next(coming, None)
        for before, current, after in _around(zip(*runs, strict=True)):
            for name, item in zip(policies, current, strict=True):
                ticks[name].extend(item.ticks)
                if item.ticks:
                    ends[name] = item.ticks[-1] + item.duration
            own = current[0].frame
            while picture is not None and (
                len(times) if places is None else int(places[len(times)])
            ) < len(ticks[policy]):
                near = tuple(
                    None if items is None else items[0].frame
                    for items in (before, after)
                )
                judge.add(len(times), picture, own, near)
                times.append(round(picture.time / job.target.time_base))
                picture = next(coming, None)
            job_done = (
                None
                if not job.source.duration
                else min(1.0, max(0.0, float(own.time / job.source.duration)))
            )
            if job.on_progress is not None:
                job.on_progress(job_done, len(times))
        while picture is not None:
            times.append(round(picture.time / job.target.time_base))
            picture = next(coming, None)
        source_damage, damage = reader.damage, output.damage
    expected = {
        name: Timeline(
            np.array(ticks[name], np.int64), schedule.time_base, ends.get(name)
        )
        for name, schedule in schedules.items()
    }
    shown = Timeline(np.array(times, np.int64), job.target.time_base, job.end)
    return _Seen(
        expected,
        shown,
        judge.agreement,
        source_damage,
        damage,
    )


def _around(
    items: Iterator[tuple[Scheduled, ...]],
) -> Iterator[
    tuple[
        tuple[Scheduled, ...] | None,
        tuple[Scheduled, ...],
        tuple[Scheduled, ...] | None,
    ]
]:
    before: tuple[Scheduled, ...] | None = None
    current = next(items, None)
    while current is not None:
        after = next(items, None)
        yield before, current, after
        before, current = current, after


class _Judge:
    """Brings the output's frames to the source's size and scale, and has them judged."""

    def __init__(self, job: _Job) -> None:
        self.agreement = Agreement(job.threshold_db, _blur)
        self._turn = job.turned
        source, target = job.source, job.target
        self._unit = (
            255 / source.format.peak
            if source.tags.is_full_range
            else 1 / (1 << (source.format.bits - 8))
        )
        self._gain, self._offset = _conversion(
            target.format, _is_full(target), source.format, _is_full(source)
        )
        self._chroma_scales = (
            _chroma_scale(target.format, _is_full(target)),
            _chroma_scale(source.format, _is_full(source)),
        )
        self._is_judged = (target.width, target.height) == job.size

    def add(
        self,
        number: int,
        picture: Frame,
        own: Frame,
        neighbours: tuple[Frame | None, ...],
    ) -> None:
        if not self._is_judged:
            return
        small = half(picture.luma)
        if (self._gain, self._offset) != (1, 0):
            small = small * np.float32(self._gain) + np.float32(self._offset)
        own = self._turned(own)
        near = [
            None if frame is None else self._turned(frame).luma for frame in neighbours
        ]
        if not self.agreement.add(
            number, float(picture.time), small, own.luma, near, self._unit
        ):
            return
        if picture.chroma and own.chroma:
            self.agreement.add_chroma(
                number,
                [
                    self._colours(seen, wanted)
                    for seen, wanted in zip(picture.chroma, own.chroma, strict=True)
                ],
            )
        if picture.alpha is not None and own.alpha is not None:
            grid = grid_of(own.alpha.shape)
            seen, wanted = (
                cells(plane, grid) * np.float32(255 / layout.peak)
                for plane, layout in (
                    (picture.alpha, picture.format),
                    (own.alpha, own.format),
                )
            )
            self.agreement.add_alpha(number, seen, wanted)

    def _turned(self, frame: Frame) -> Frame:
        return frame if self._turn == Orientation() else self._turn.turn(frame)

    def _colours(
        self, seen: NDArray[Any], wanted: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        grid = grid_of(min(seen.shape, wanted.shape))
        first, second = (
            (cells(plane, grid) - middle) * np.float32(scale)
            for plane, (middle, scale) in zip(
                (seen, wanted), self._chroma_scales, strict=True
            )
        )
        return first, second


def _is_full(info: VideoInfo) -> bool:
    return info.tags.is_full_range


def _conversion(
    given: PixelFormat, given_full: bool, wanted: PixelFormat, wanted_full: bool
) -> tuple[float, float]:
    """Gain and offset from one luma scale to another."""

    def scale(format: PixelFormat, full: bool) -> tuple[float, float]:
        return (
            (0, format.peak)
            if full
            else (16 << (format.bits - 8), 219 << (format.bits - 8))
        )

    (black, span), (wanted_black, wanted_span) = (
        scale(given, given_full),
        scale(wanted, wanted_full),
    )
    gain = wanted_span / span
    return gain, wanted_black - gain * black


def _chroma_scale(format: PixelFormat, full: bool) -> tuple[np.float32, float]:
    """Code of no colour, and what makes 8-bit limited-range differences of the codes."""
    return np.float32(1 << (format.bits - 1)), 224 / format.peak if full else 1 / (
        1 << (format.bits - 8)
    )


def _blur(luma: NDArray[Any]) -> NDArray[np.float32]:
    height, width = luma.shape
    return double(half(np.ascontiguousarray(luma)), "bilinear")[:height, :width]


def _time_checks(expected: Timeline, seen: _Seen, also: str) -> Iterator[Check]:
    shown = seen.shown
    yield _check("frames", compare_count(expected, shown), f"{len(shown)} frames{also}")
    yield _check(
        "timestamps",
        compare_times(expected, shown),
        f"every frame stands where it should{also}",
    )
    if shown.end is not None and expected.end is not None:
        yield _check(
            "end",
            compare_end(expected, shown, max(shown.unit, _HEADER_SECONDS)),
            "the last frame ends when it should",
        )
    yield Check(
        "decoding",
        not seen.damage,
        f"damaged: {seen.damage}" if seen.damage else "no damage",
    )


def _picture_checks(job: _Job) -> Iterator[Check]:
    wanted, target = job.wanted, job.target
    size, found = job.size, (target.width, target.height)
    yield Check(
        "size",
        found == size,
        f"{found[0]}x{found[1]}"
        if found == size
        else f"{found[0]}x{found[1]}, it should be {size[0]}x{size[1]}",
    )
    shape, aspect = wanted.sample_aspect or 1, target.sample_aspect or 1
    yield Check(
        "aspect",
        aspect == shape,
        f"pixels {aspect}"
        if aspect == shape
        else f"pixels {aspect}, they should be {shape}",
    )
    same = _orientation(wanted.display_matrix) == _orientation(target.display_matrix)
    text = _shown_rotation(target.display_matrix, target.rotation)
    should = _shown_rotation(wanted.display_matrix, wanted.rotation)
    yield Check("rotation", same, text if same else f"{text}, it should be {should}")
    tags = (
        wanted.tags
        if job.source.format.has_chroma
        else replace(wanted.tags, matrix=target.tags.matrix)
    )  # gray needs none
    wrong = compare_colour(tags, target.tags, target.video.codec)
    yield Check("colour", not wrong, "; ".join(wrong) or _shown_tags(target.tags))
    if wanted.hdr:
        wrong = compare_hdr(wanted.hdr, target.hdr)
        left = (
            f"; {', '.join(wanted.hdr.dynamic)} cannot be carried"
            if wanted.hdr.dynamic
            else ""
        )
        yield Check(
            "hdr", not wrong, ("; ".join(wrong) or "static metadata kept") + left
        )
    wrong = compare_depth(wanted.format, target.format)
    yield Check(
        "depth",
        not wrong,
        "; ".join(wrong) or f"{target.format.bits} bits ({target.pixel_format})",
    )


def _content_checks(job: _Job, agreement: Agreement) -> Iterator[Check]:
    if job.wanted.format.has_alpha:
        kept = job.target.format.has_alpha
        difference, number = agreement.alpha
        text = (
            f"it differs by {difference:.1f} codes at most (frame {number})"
            if kept
            else f"lost: {job.target.pixel_format} has none"
        )
        yield Check("alpha", kept and agreement.is_close(difference), text)
    if not agreement.frames:
        return
    worst = agreement.worst
    said = f"worst frame: number {worst.frame} ({worst.seconds:.3f} s), {worst.psnr:.1f} dB"
    problem = (
        f"{agreement.wrong_count} of {agreement.frames} frames are wrong: {agreement.wrong}; {said}"
        if agreement.wrong
        else None
    )
    yield _check("content", problem, said)
    if agreement.wrong_count < agreement.frames:
        for name, (difference, number), what in (
            ("levels", agreement.levels, "brightness"),
            ("chroma", agreement.chroma, "colours"),
        ):
            text = f"{what} differ by {difference:.1f} codes at most (frame {number})"
            yield Check(name, agreement.is_close(difference), text)


def _check(name: str, problem: str | None, text: str) -> Check:
    return Check(name, problem is None, text if problem is None else problem)


def _orientation(matrix: tuple[int, ...] | None) -> tuple[float, ...]:
    return (
        (1.0, 0.0, 0.0, 1.0)
        if matrix is None
        else tuple(round(matrix[place] / 65536, 3) + 0.0 for place in (0, 1, 3, 4))
    )


def _shown_rotation(matrix: tuple[int, ...] | None, rotation: float) -> str:
    if matrix is None:
        return "none"
    a, b, c, d = _orientation(matrix)
    return f"{rotation:g} degrees{', mirrored' if a * d - b * c < 0 else ''}"


def _shown_tags(tags: ColorTags) -> str:
    return f"range {tags.range or 'not said'}, matrix {tags.matrix}, primaries {tags.primaries}, transfer {tags.transfer}"
