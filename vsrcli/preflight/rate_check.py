"""What the output's frame rate does to the source's frames: which are left out or repeated."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.packet_timeline import frame_times
from vsrcli.errors import OutputError
from vsrcli.frame import VideoInfo
from vsrcli.options import UpscaleOptions
from vsrcli.options.upscale import DEFAULT_FPS
from vsrcli.timing import round_half_away
from vsrcli.wording import plural

_WAY_OUT = "--fps source keeps them all"
_ORDINALS = {1: "every", 2: "every second", 3: "every third", 4: "every fourth"}
_ORDINALS[5] = "every fifth"
# Shares below one in this many are told as one in so many.
_MAX_PARTS = 12
# Packets for each frame, from where on they cannot be frames.
_MAX_PACKETS = Fraction(3, 2)


def source_rate(info: VideoInfo, options: UpscaleOptions) -> Fraction | None:
    """Frames of the source per second, twice as many if each field becomes one; None: unknown."""
    if info.rate is None:
        return None
    return info.rate * 2 if splits_fields(info, options) else info.rate


def splits_fields(info: VideoInfo, options: UpscaleOptions) -> bool:
    """Whether each field of the source becomes a frame."""
    return options.deinterlace == "field" and bool(info.interlaced)


def rate_note(info: VideoInfo, options: UpscaleOptions) -> str | None:
    """How many frames are left out or repeated; None if each is shown once."""
    fps = options.rate
    rate = source_rate(info, options)
    if fps == "source" or rate == fps:
        return None
    if rate is None:
        return (
            f"the source does not say how many frames/s it has: at {_number(fps)}, some may "
            f"be left out or repeated; {_WAY_OUT}"
        )
    length = _length(info, options)
    begin = f"the source has {_number(rate)} frames/s: at {_number(fps)},"
    if rate > fps:
        share = _share(1 - fps / rate)
        verb = "are" if share.endswith("s") else "is"
        count = "" if length is None else _counts(length * (rate - fps), length * rate)
        return f"{begin} {share} {verb} left out{count}; {_WAY_OUT}"
    count = ""
    if length is not None:
        count = (
            f" ({_rounded(length * rate)} frames become about {_rounded(length * fps)})"
        )
    fate = _repetition(fps / rate)
    return f"{begin} {fate}{count}; --fps source shows each once, at its own time"


def refuse_drops(info: VideoInfo, options: UpscaleOptions, target: object) -> None:
    """With ``strict``, refuse to leave frames out, unless the user has chosen the rate.

    Raises:
        OutputError: the default rate leaves frames of the source out.
    """
    if not _may_not_drop(options):
        return
    dropped = _dropped_packets(info, options)
    if dropped == 0:
        return
    if dropped is not None:
        raise _drop_error(target, f"about {plural(dropped, 'frame')}")
    rate = source_rate(info, options)
    if rate is None or rate <= DEFAULT_FPS:
        return
    length = _length(info, options)
    count = "frames"
    if length is not None:
        count = f"about {_rounded(length * (rate - DEFAULT_FPS))} frames"
    raise _drop_error(target, count)


def refuse_dropped(count: int, options: UpscaleOptions, target: object) -> None:
    """The same for frames that were counted.

    Args:
        count: of the frames that are left out; one may be the last, cut by ``--end``.
        options: of the run.
        target: the output.

    Raises:
        OutputError: the default rate leaves frames of the source out.
    """
    may_be_cut = options.range.end is not None
    if _may_not_drop(options) and count > may_be_cut:
        raise _drop_error(target, plural(count, "frame"))


def _may_not_drop(options: UpscaleOptions) -> bool:
    return options.strict and options.fps is None


def _drop_error(target: object, frames: str) -> OutputError:
    """The error where ``strict`` meets frames that the default rate leaves out.

    Args:
        target: the output.
        frames: how many, with the noun.
    """
    fps = _number(DEFAULT_FPS)
    return OutputError(
        f"{target}: --strict allows no loss: at {fps} frames/s, {frames} of the source would be "
        f"left out: give --fps source to keep them all, or --fps {fps} to accept it"
    )


def _dropped_packets(info: VideoInfo, options: UpscaleOptions) -> int | None:
    """How many frames are left out by the times of their packets; None where they do not say."""
    is_file = not info.path.is_dir() and not is_standard_input(info.path)
    if not is_file or splits_fields(info, options):
        return None
    times = [time for time in frame_times(info) if options.range.contains(time)]
    length = _length(info, options)
    if not times or length is None:
        return None
    if info.rate is not None and len(times) > _MAX_PACKETS * info.rate * length + 1:
        return None  # packets of single fields
    # a frame that ends in the slot that it begins in; the last one has no end
    slots = [round_half_away(time * DEFAULT_FPS) for time in times]
    dropped = sum(slot == following for slot, following in pairwise(slots))
    if dropped and info.rate is not None:
        # about the last one, it matters no more
        end = times[-1] + 1 / info.rate
        dropped += round_half_away(end * DEFAULT_FPS) == slots[-1]
    return dropped


def _length(info: VideoInfo, options: UpscaleOptions) -> Fraction | None:
    end = options.range.end_within(info.duration)
    return None if end is None else max(Fraction(0), end - options.range.begin)


def _counts(part: Fraction, whole: Fraction) -> str:
    return f" (about {_rounded(part)} of {_rounded(whole)})"


def _rounded(count: Fraction) -> str:
    return f"{round(count):,}"


def _number(rate: Fraction) -> str:
    return f"{float(rate):.5g}"


def _share(share: Fraction) -> str:
    """Some of the frames: ``every second frame``, ``2 of 5 frames``."""
    if share * _MAX_PARTS < 1:
        return f"one frame in {round(1 / share):,}"
    near = share.limit_denominator(_MAX_PARTS)
    if near.numerator == 1 and near.denominator in _ORDINALS:
        return f"{_ORDINALS[near.denominator]} frame"
    return f"{near.numerator} of {near.denominator} frames"


def _repetition(times: Fraction) -> str:
    """What happens to frames that are shown so many times on average."""
    if times >= 2:
        return f"each frame is shown {float(times):.3g} times"
    share = _share(times - 1)
    verb = "are" if share.endswith("s") else "is"
    return f"{share} {verb} shown twice"
