"""Which frames the output shows and when, against FFmpeg's own fps filter."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from av.filter import Graph
from clips import frames_at
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vsrcli.errors import InputError, OptionError
from vsrcli.frame import Frame, PixelFormat
from vsrcli.timing import (
    WHOLE,
    Schedule,
    Scheduled,
    TimeRange,
    parse_rate,
    parse_time,
    round_half_away,
)

GRAY = PixelFormat("gray", 8, 0, 0, has_chroma=False)
BLACK = np.zeros((2, 2), np.uint8)
NTSC = Fraction(30000, 1001)
FILM = Fraction(24000, 1001)


def even(rate: Fraction, count: int, begin: Fraction = Fraction(0)) -> list[Frame]:
    return frames_at([begin + k / rate for k in range(count)], 1 / rate)


def shown(scheduled: list[Scheduled]) -> list[tuple[Fraction, int]]:
    return [(item.frame.time, tick) for item in scheduled for tick in item.ticks]


def origin_of(frames: list[Frame], time_range: TimeRange) -> Fraction:
    """Time of the first frame in a range that has a start; otherwise 0."""
    times = [frame.time for frame in frames if time_range.contains(frame.time)]
    if time_range.start is None or not times:
        return Fraction(0)
    return times[0]


def by_filter(
    frames: list[Frame], rate: Fraction, unit: Fraction
) -> list[tuple[Fraction, int]]:
    """(source time, slot) of every frame from FFmpeg's fps filter; ``unit`` divides every time."""
    graph = Graph()
    source = graph.add_buffer(
        width=16, height=16, format=av.VideoFormat("gray"), time_base=unit
    )
    fps = graph.add("fps", f"fps={rate.numerator}/{rate.denominator}")
    sink = graph.add("buffersink")
    source.link_to(fps)
    fps.link_to(sink)
    graph.configure()
    out: list[tuple[Fraction, int]] = []

    def drain() -> None:
        while True:
            try:
                got = sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(got, av.VideoFrame)
            number = int.from_bytes(bytes(got.planes[0])[:4], "little")
            assert got.pts is not None
            out.append((frames[number].time, got.pts))

    for number, frame in enumerate(frames):
        picture = av.VideoFrame(16, 16, "gray")
        buffer = bytearray(picture.planes[0].buffer_size)
        buffer[:4] = number.to_bytes(4, "little")
        picture.planes[0].update(bytes(buffer))
        assert (frame.time / unit).denominator == 1
        picture.pts = int(frame.time / unit)
        picture.duration = int(frame.duration / unit)
        picture.time_base = unit
        source.push(picture)
        drain()
    source.push(None)
    drain()
    return out


RATES = [
    FILM,
    Fraction(24),
    Fraction(25),
    NTSC,
    Fraction(50),
    Fraction(60),
    Fraction(60000, 1001),
    Fraction(15),
]


@pytest.mark.parametrize("target", [Fraction(30), Fraction(60), Fraction(24), FILM])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("begin", [Fraction(0), Fraction(7, 10)])
def test_constant_rate_is_that_of_ffmpegs_filter(
    rate: Fraction, target: Fraction, begin: Fraction
) -> None:
    unit = Fraction(1, 1) / (rate.numerator * 10)
    frames = even(rate, 83, begin)
    schedule = Schedule(target, time_base=unit)
    assert shown(list(schedule.run(frames))) == by_filter(frames, target, unit)
    assert schedule.origin == 0
    assert schedule.time_base == 1 / target


THREE_SECONDS = [
    (24, 72, 90),
    (25, 75, 90),
    (NTSC, 90, 90),
    (50, 150, 90),
    (60, 180, 90),
    (FILM, 72, 90),
]


@pytest.mark.parametrize(("rate", "count", "expected"), THREE_SECONDS)
def test_three_seconds_are_ninety_frames(
    rate: Fraction, count: int, expected: int
) -> None:
    schedule = Schedule(Fraction(30), time_base=Fraction(1, 90000))
    list(schedule.run(even(Fraction(rate), count)))
    assert schedule.frames_out == expected


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    begin=st.integers(0, 3000),
    rate=st.sampled_from(
        [Fraction(30), Fraction(60), Fraction(24), FILM, NTSC, Fraction(25)]
    ),
)
def test_variable_rate_is_that_of_ffmpegs_filter(
    gaps: list[int], begin: int, rate: Fraction
) -> None:
    unit = Fraction(1, 1000)
    times = [begin * unit]
    for gap in gaps:
        times.append(times[-1] + gap * unit)
    frames = frames_at(times, 40 * unit)
    ours = shown(list(Schedule(rate, time_base=unit).run(frames)))
    theirs = by_filter(frames, rate, unit)
    assert ours == theirs or (not theirs and len(ours) == 1)


TICK = Fraction(1, 600)
frame_lists = st.builds(
    lambda gaps, begin, last: frames_at(
        [(begin + sum(gaps[:k])) * TICK for k in range(len(gaps) + 1)], last * TICK
    ),
    st.lists(st.integers(1, 90), min_size=0, max_size=30),
    st.integers(0, 200),
    st.integers(0, 60),
)
maybe_time = st.one_of(st.none(), st.integers(0, 1500).map(lambda n: Fraction(n, 700)))


@settings(deadline=None)
@given(
    frames=frame_lists,
    start=maybe_time,
    end=maybe_time,
    rate=st.fractions(Fraction(5), Fraction(130), max_denominator=1001),
)
# The only frame kept is the last, which has no length: it gets that of the one before it, which is
# left out.
@example(
    frames=frames_at([Fraction(0), 7 * TICK], Fraction(0)),
    start=Fraction(1, 700),
    end=None,
    rate=Fraction(2186, 17),
)
def test_constant_rate_leaves_no_gap(
    frames: list[Frame], start: Fraction | None, end: Fraction | None, rate: Fraction
) -> None:
    time_range = TimeRange(start, end)
    schedule = Schedule(
        rate,
        time_base=Fraction(1, 600),
        time_range=time_range,
        origin=origin_of(frames, time_range),
    )
    scheduled = list(schedule.run(frames))
    assert [item.frame for item in scheduled] == frames
    kept = [
        frame
        for frame in frames
        if (start is None or frame.time >= start) and (end is None or frame.time < end)
    ]
    ticks = [tick for item in scheduled for tick in item.ticks]
    assert schedule.frames_out == len(ticks)
    assert all(not item.ticks or item.frame in kept for item in scheduled)
    if not kept:
        assert ticks == []
        return
    origin = Fraction(0) if start is None else kept[0].time
    assert schedule.origin == origin
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    assert ticks[0] == round_half_away((kept[0].time - origin) * rate)
    following = frames.index(kept[-1]) + 1
    if following < len(frames):
        stop = frames[following].time
    else:
        stop = kept[-1].time + (
            kept[-1].duration
            or (kept[-1].time - frames[-2].time if len(frames) > 1 else 0)
        )
    stop = stop if end is None else min(stop, end)
    assert len(ticks) == max(1, round_half_away((stop - origin) * rate) - ticks[0])
    assert all(item.duration == 1 for item in scheduled if item.ticks)


@settings(deadline=None)
@given(frames=frame_lists, start=maybe_time, end=maybe_time)
def test_source_times_are_exact(
    frames: list[Frame], start: Fraction | None, end: Fraction | None
) -> None:
    unit = Fraction(1, 600)
    time_range = TimeRange(start, end)
    origin = origin_of(frames, time_range)
    schedule = Schedule("source", time_base=unit, time_range=time_range, origin=origin)
    scheduled = list(schedule.run(frames))
    kept = [item for item in scheduled if item.ticks]
    assert [item.frame for item in kept] == [
        f
        for f in frames
        if (start is None or f.time >= start) and (end is None or f.time < end)
    ]
    for item in kept:
        assert schedule.origin == origin
        assert list(item.ticks) == [round_half_away((item.frame.time - origin) / unit)]
        assert ((item.frame.time - origin) / unit).denominator == 1
        assert item.duration == max(
            1,
            item.frame.duration / unit
            or (item.frame.time - frames[-2].time if len(frames) > 1 else 0) / unit,
        )
    assert start is None or not kept or kept[0].ticks == (0,)


def test_source_times_that_repeat_or_run_back_still_increase() -> None:
    unit = Fraction(1, 1000)
    frames = [Frame((BLACK,), GRAY, tick * unit) for tick in (0, 40, 40, 30, 120, 160)]
    scheduled = list(Schedule("source", time_base=unit).run(frames))
    assert [item.ticks for item in scheduled] == [
        (0,),
        (40,),
        (41,),
        (42,),
        (120,),
        (160,),
    ]
    assert all(item.duration >= 1 for item in scheduled)
    assert scheduled[-1].duration == 40


def test_source_clock_that_begins_between_two_ticks_keeps_its_spacing() -> None:
    unit = Fraction(1, 90000)
    frames = [
        Frame((BLACK,), GRAY, k * 3003 * unit + Fraction(1, 44100)) for k in range(50)
    ]
    ticks = [item.ticks[0] for item in Schedule("source", time_base=unit).run(frames)]
    assert ticks == [2 + 3003 * k for k in range(50)]


def test_one_frame_of_look_ahead() -> None:
    pulled = 0

    def source() -> Iterator[Frame]:
        nonlocal pulled
        for frame in even(Fraction(25), 20):
            pulled += 1
            yield frame

    for count, _ in enumerate(
        Schedule(Fraction(30), time_base=Fraction(1, 25)).run(source()),
        start=1,
    ):
        assert pulled <= count + 1


def test_no_frames_make_no_output() -> None:
    schedule = Schedule(
        Fraction(30), time_base=Fraction(1, 25), time_range=TimeRange(start=Fraction(1))
    )
    assert list(schedule.run([])) == []
    assert schedule.origin == 0
    assert schedule.frames_out == 0


def test_single_frame_without_duration_is_shown_once() -> None:
    frames = [Frame((BLACK,), GRAY, Fraction(0))]
    assert [
        item.ticks
        for item in Schedule(Fraction(30), time_base=Fraction(1, 25)).run(frames)
    ] == [(0,)]


def test_timestamps_that_jump_by_days_are_refused() -> None:
    frames = [
        Frame((BLACK,), GRAY, Fraction(0)),
        Frame((BLACK,), GRAY, Fraction(10**9)),
    ]
    with pytest.raises(InputError, match="timestamps jump"):
        list(Schedule(Fraction(30), time_base=Fraction(1, 25)).run(frames))


def test_time_range() -> None:
    part = TimeRange(Fraction(2), Fraction(6))
    assert [part.contains(Fraction(time)) for time in (1, 2, 5, 6)] == [
        False,
        True,
        True,
        False,
    ]
    assert part.end_within(Fraction(4)) == 4
    assert part.end_within(Fraction(9)) == part.end_within(None) == 6
    assert part.share(Fraction(3), Fraction(4)) == 0.5
    assert part.share(Fraction(1), None) == 0
    assert part.share(Fraction(7), None) == 1
    assert str(part) == "from 2 s before 6 s"
    assert not part.is_whole


def test_whole_time_range() -> None:
    assert WHOLE.is_whole
    assert WHOLE.begin == 0
    assert WHOLE.contains(Fraction(-1))
    assert WHOLE.end_within(Fraction(4)) == 4
    assert WHOLE.end_within(None) is None
    assert WHOLE.share(Fraction(1), None) is None
    assert str(WHOLE) == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90.5", Fraction(181, 2)),
        (".25", Fraction(1, 4)),
        ("1:30", 90),
        ("01:02:03.5", Fraction(7447, 2)),
        (" 0:00:01 ", 1),
        ("100:00:00", 360000),
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h2m3.5s", Fraction(7447, 2)),
        ("90m", 5400),
    ],
)
def test_times(text: str, seconds: Fraction) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1:60",
        "1:75:00",
        "1:2:3:4",
        "abc",
        "1e3",
        "nan",
        "1:",
        ":30",
        "h",
        "2 days",
        "1h30",  # minutes or seconds?
        "30m1h",
        "1:30m",
        "9" * 5000,  # more digits than Python reads
        "0." + "9" * 5000,
    ],
)
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30", 30),
        ("30000/1001", NTSC),
        ("29.97", Fraction(2997, 100)),
        ("source", "source"),
    ],
)
def test_rates(text: str, rate: Fraction | str) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.0",
        "-5",
        "30/0",
        "30/00",
        "0/5",
        "1/2/3",
        "inf",
        "thirty",
        "1e2",
        "/5",
    ],
)
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="not a frame rate"):
        parse_rate(text)


@given(st.integers(-1000, 1000), st.integers(1, 50))
def test_halves_round_away_from_zero(numerator: int, denominator: int) -> None:
    value = Fraction(numerator, denominator)
    rounded = round_half_away(value)
    assert abs(rounded - value) <= Fraction(1, 2)
    if abs(rounded - value) == Fraction(1, 2):
        assert abs(rounded) > abs(value)
