"""Where a video changes in the middle: its size, format, shape, rotation or colours.

Headers describe the beginning alone. Codecs announce a change with a keyframe, so that only
keyframes are decoded here. Where every frame is one, one a second is, and all of those between two
that differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
from av.packet import Packet

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import MATROSKA_DEMUXER
from vsrcli.decode.input_file import decoder_of, find_video, open_input
from vsrcli.decode.picture_decoder import holds_decoding_times
from vsrcli.decode.sidedata import display_matrix, rotation_of, side_data_of
from vsrcli.decode.source_clock import continuous_packets_of
from vsrcli.frame import VideoInfo
from vsrcli.timing import WHOLE, TimeRange, cut_time

_MIN_STEP_SECONDS = 1
_RUN_UP_SECONDS = 10
_FULL_RANGE = 2
_DISPLAY_MATRIX = "DISPLAYMATRIX"


@dataclass(frozen=True, slots=True)
class Look:
    """What a decoded picture says of itself, and its decoder of its shape.

    Attributes:
        size: as stored, such as ``320x240``.
        layout: FFmpeg's name of its format, without the range.
        aspect: pixel width / height, 1 for untagged.
        rotation: in degrees, counter-clockwise; None: it says nothing.
        matrix: the display matrix; None: none, or one that changes nothing.
        is_full_range: whether its codes are 0..255.
        colours: code points of matrix, primaries and transfer.
    """

    size: str
    layout: str
    aspect: Fraction
    rotation: float | None
    matrix: tuple[int, ...] | None
    is_full_range: bool
    colours: tuple[int, int, int]

    @classmethod
    def of_picture(cls, picture: av.VideoFrame, aspect: Fraction | None) -> Look:
        """Describe a picture.

        Args:
            picture: decoded.
            aspect: pixel width / height, as its decoder said with its packet.
        """
        name = picture.format.name
        kinds = {kind for kind, _ in side_data_of(picture)}
        is_full = name.startswith("yuvj") or int(picture.color_range) == _FULL_RANGE
        return cls(
            size=f"{picture.width}x{picture.height}",
            layout=name.replace("yuvj", "yuv"),
            aspect=aspect or Fraction(1),
            rotation=rotation_of(picture) if _DISPLAY_MATRIX in kinds else None,
            matrix=display_matrix(picture),
            is_full_range=is_full,
            colours=(
                int(picture.colorspace),
                int(picture.color_primaries),
                int(picture.color_trc),
            ),
        )

    def after(self, before: Look | None) -> Look:
        """The same with the rotation of the pictures before, which lasts until another is said."""
        if self.rotation is not None:
            return self
        if before is None:
            return replace(self, rotation=0.0)
        return replace(self, rotation=before.rotation, matrix=before.matrix)

    @property
    def picture_kind(self) -> tuple[str, str]:
        """What the pictures of one output have in common."""
        return self.size, self.layout


@dataclass(frozen=True, slots=True)
class Change:
    """A picture from which on a video looks different.

    Attributes:
        time: of that picture, seconds.
        before, after: what the pictures before it and from it on look like.
    """

    time: Fraction
    before: Look
    after: Look

    @property
    def is_new_kind(self) -> bool:
        """Whether the pictures no longer fit into the same output."""
        return self.before.picture_kind != self.after.picture_kind

    @property
    def loses(self) -> bool:
        """Whether an output that stays the same loses something; another range is converted."""
        return (
            replace(self.after, is_full_range=self.before.is_full_range) != self.before
        )

    def __str__(self) -> str:
        """Such as ``from 320x240 yuv420p to 480x240 yuv420p at 1.000 s``."""
        return f"{self.difference} at {cut_time(self.time)} s"

    @property
    def difference(self) -> str:
        """What is different, without the time."""
        before = self.before
        after = self.after
        if self.is_new_kind:
            return f"from {' '.join(before.picture_kind)} to {' '.join(after.picture_kind)}"
        parts = []
        if before.aspect != after.aspect:
            parts.append(f"pixel aspect ratio from {before.aspect} to {after.aspect}")
        if before.matrix != after.matrix:
            turns = f"from {before.rotation:g} to {after.rotation:g} degrees"
            parts.append(f"rotation {turns}")
        if before.colours != after.colours:
            parts.append(f"colour tags from {_codes(before)} to {_codes(after)}")
        if before.is_full_range != after.is_full_range:
            parts.append(f"range from {_range(before)} to {_range(after)}")
        return f"its {' and its '.join(parts)}"


def find_changes(
    info: VideoInfo,
    time_range: TimeRange = WHOLE,
    *,
    every_keyframe: bool = False,
) -> tuple[Change, ...]:
    """Where the pictures of a range stop looking as the ones before them.

    Nothing is known of standard input, which cannot be read twice, nor of reordered frames in files
    that hold the times of decoding alone.

    Args:
        info: the file.
        time_range: the part to look at.
        every_keyframe: whether all of them are decoded, however near they are.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if is_standard_input(info.path):
        return ()
    begin = time_range.begin
    step = 0 if every_keyframe else _MIN_STEP_SECONDS
    search = _Search(info, time_range, step)
    if begin > _RUN_UP_SECONDS and not info.restarts:
        search.run(begin - _RUN_UP_SECONDS)
    if not search.has_seen_begin:
        search = _Search(info, time_range, step)
        search.run(None)
    return search.changes()


@dataclass(slots=True)
class _Group:
    """A keyframe, and when the first picture is presented from there to the next one.

    Attributes:
        packet: of the keyframe.
        begin: when that is, seconds.
        has_others: whether there are other packets up to the next one.
    """

    packet: Packet[Any]
    begin: Fraction
    has_others: bool = False


class _Search:
    """One pass over the packets of a range.

    Attributes:
        has_seen_begin: whether a picture before the range was there.
    """

    def __init__(self, info: VideoInfo, time_range: TimeRange, step: int) -> None:
        self.has_seen_begin = False
        self._step = step
        self._info = info
        self._range = time_range
        self._first_time: Fraction | None = None
        self._count = 0
        self._group: _Group | None = None
        self._skipped: list[_Group] = []
        self._looked_at: Fraction | None = None
        # each look that differs from the one before, and when it begins
        self._looks: list[tuple[Fraction, Look]] = []
        self._context: Any = None
        self._fixed_aspect: Fraction | None = None

    def run(self, time: Fraction | None) -> None:
        """Read the packets from about ``time`` on, or from the beginning."""
        info = self._info
        with open_input(info.path) as container:
            stream = find_video(container, info.path)
            is_reordered = bool(stream.codec_context.has_b_frames)
            if is_reordered and holds_decoding_times(info.path, stream):
                return
            if MATROSKA_DEMUXER in container.format.name:
                # its header says how pictures are shown, whatever they say themselves
                self._fixed_aspect = stream.sample_aspect_ratio
            self._context = decoder_of(stream)
            self._context.thread_count = 1
            # what comes before damage counts
            with contextlib.suppress(av.FFmpegError):
                if time is not None:
                    timestamp = int((info.start + time) / info.time_base)
                    container.seek(timestamp, stream=stream)
                self._read(continuous_packets_of(container, stream))
            self._end_group(is_last=True)

    def changes(self) -> tuple[Change, ...]:
        """Those inside the range."""
        if self._first_time is None:
            return ()
        changes = []
        for (_, before), (time, after) in pairwise(self._looks):
            if time > self._first_time and self._range.contains(time):
                changes.append(Change(time, before, after))
        return tuple(changes)

    def _read(self, packets: Iterator[Packet[Any]]) -> None:
        end = self._range.end
        for packet in packets:
            if not packet.size:
                continue
            time = self._time_of(packet)
            if packet.is_keyframe:
                group = self._group
                if group is not None and end is not None and group.begin >= end:
                    return
                self._end_group()
                self._group = _Group(packet, time)
            elif self._group is not None:
                self._group.begin = min(self._group.begin, time)
                self._group.has_others = True
            if time < self._range.begin:
                self.has_seen_begin = True
            elif self._first_time is None or time < self._first_time:
                self._first_time = time

    def _time_of(self, packet: Packet[Any]) -> Fraction:
        """When a picture is presented; raw streams do not say it."""
        number = self._count
        self._count += 1
        if packet.pts is None:
            return number / (self._info.rate or Fraction(25))
        return packet.pts * self._info.time_base - self._info.start

    def _end_group(self, *, is_last: bool = False) -> None:
        group = self._group
        if group is None:
            return
        is_near = (
            self._looked_at is not None and group.begin - self._looked_at < self._step
        )
        if is_near and not is_last and not group.has_others:
            self._skipped.append(group)
            return
        self._looked_at = group.begin
        look = self._look_at(group)
        if look not in (None, self._latest_look()):
            for skipped in self._skipped:
                self._add(skipped.begin, self._look_at(skipped))
        self._skipped.clear()
        self._add(group.begin, look)

    def _add(self, time: Fraction, look: Look | None) -> None:
        if look is not None and look != self._latest_look():
            self._looks.append((time, look))

    def _latest_look(self) -> Look | None:
        return self._looks[-1][1] if self._looks else None

    def _look_at(self, group: _Group) -> Look | None:
        """How a keyframe looks; None if it cannot be decoded by itself."""
        context = self._context
        context.flush_buffers()
        try:
            pictures = list(context.decode(group.packet))
            aspect = context.sample_aspect_ratio
            pictures += context.decode(None)
        except av.FFmpegError:
            return None
        if not pictures:
            return None
        look = Look.of_picture(pictures[0], self._fixed_aspect or aspect)
        return look.after(self._latest_look())


def _codes(look: Look) -> str:
    return "/".join(str(code) for code in look.colours)


def _range(look: Look) -> str:
    return "full" if look.is_full_range else "limited"
