"""Some frames of a film, interpolated and upscaled, as a page and as PNG files. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OptionError
from vsrcli.frame import Frame, VideoInfo
from vsrcli.frame_io import FrameSource
from vsrcli.images.folder_reader import FolderReader
from vsrcli.images.stills import encode_picture
from vsrcli.options import PreviewOptions, UpscaleOptions
from vsrcli.page.shots import Shot, View
from vsrcli.paths import check_source
from vsrcli.picture.blend import interpolated
from vsrcli.picture.region import Region
from vsrcli.preflight.pictures import describe, folder_rate
from vsrcli.preflight.targets import STANDARD_OUTPUT
from vsrcli.preflight.workload import measure_workload
from vsrcli.preview.files import (
    check_page,
    check_pictures,
    page_name,
    picture_name,
    write_page,
    write_pictures,
)
from vsrcli.preview.network import PreviewNetwork, open_networks
from vsrcli.preview.page import PreviewMethod, render
from vsrcli.preview.pictures import COLOUR_MARGIN_PX, Painter, Still
from vsrcli.preview.places import CONTEXT, Place, PlaceFinder
from vsrcli.timing import TimeRange
from vsrcli.wording import clock_text

_BICUBIC = "bicubic"
# Of a film whose length nobody knows, the frames are of its beginning.
_LENGTH_IF_UNKNOWN = Fraction(10)


@dataclass(frozen=True, slots=True)
class PreviewProgress:
    """How far a preview is.

    Attributes:
        share: 0..1.
        pictures: that networks have made.
        text: what is being made.
    """

    share: float
    pictures: int
    text: str


@dataclass(slots=True)
class PreviewReport:
    """What was made.

    Attributes:
        source, page: video and page.
        folder: of the PNG files; None: there are none.
        width, height: of whole doubled pictures, turned.
        times: of the frames, seconds.
        methods: interpolation first.
        seconds: wall time.
        notes: lines for the user.
    """

    source: str
    page: str
    folder: str | None
    width: int
    height: int
    times: list[float] = field(default_factory=list)
    methods: list[PreviewMethod] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "page": self.page,
            "folder": self.folder,
            "width": self.width,
            "height": self.height,
            "times": self.times,
            "methods": [method.as_dict() for method in self.methods],
            "seconds": self.seconds,
            "notes": self.notes,
        }


def preview(
    source: str | Path,
    options: PreviewOptions | None = None,
    *,
    on_progress: Callable[[PreviewProgress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> PreviewReport:
    """Show some frames of a video as plain interpolation and networks double them.

    Each is what ``vsr upscale`` makes of it, with the same neighbours.

    Args:
        source: a video file, or a folder of pictures.
        options: see ``PreviewOptions``.
        on_progress: called in this thread before each picture of a network.
        on_note: called with each line that the user should read.

    Raises:
        InputError: the source is missing, not a video, or of colours that cannot be shown.
        OutputError: the page or the pictures cannot be written.
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is missing, or a network failed.
        OptionError: a time or a part that the source does not have.
    """
    began = time.monotonic()
    source = Path(source)
    options = options or PreviewOptions()
    if str(source) == STANDARD_OUTPUT:
        raise OptionError(
            "a preview reads several places of a video, and standard input only once: "
            "save it to a file"
        )
    check_source(source)
    page = Path(options.html) if options.html else page_name(source)
    models = [Path(name) for name in options.models]
    check_page(page, options.overwrite, [source, *models])
    folder = None if options.png is None else Path(options.png)
    if folder is not None:
        check_pictures(folder, options.overwrite, source)
    upscale_options = options.for_model(options.models[0])
    info, _ = describe(source, upscale_options)
    _check_times(info, options)
    painter = Painter(info)
    networks = open_networks(info, options, on_note or _ignore)
    size = painter.displayed_size(info.width, info.height)
    report = PreviewReport(
        source=str(source),
        page=str(page),
        folder=options.png,
        width=2 * size[0],
        height=2 * size[1],
    )
    run = _Run(options, painter, networks, on_progress or _ignore)
    shots: list[Shot] = []
    files: dict[str, bytes] = {}
    for number, place in enumerate(_places(info, options, painter), start=1):
        shot, stills = run.take(place)
        shots.append(shot)
        seconds = float(place.frame.time)
        report.times.append(seconds)
        if folder is not None:
            for name, still in stills.items():
                content = encode_picture(still.samples, ".png", painter.tags)
                files[picture_name(number, seconds, name)] = content
    if not shots:
        raise InputError(f"{source} gives no frame")
    workload = measure_workload(info, upscale_options)
    film_frames = None if workload is None else workload.frames
    report.methods = [PreviewMethod(_BICUBIC)]
    report.methods += [network.method(film_frames) for network in networks]
    if folder is not None:
        write_pictures(folder, files, options.overwrite)
    write_page(page, render(info, size, report.methods, shots), options.overwrite)
    report.seconds = time.monotonic() - began
    return report


def _ignore(item: object) -> None:
    """Tell nobody."""


def _check_times(info: VideoInfo, options: PreviewOptions) -> None:
    for moment in options.at:
        if info.duration is not None and moment >= info.duration:
            raise OptionError(
                f"--at {float(moment):g} is after the end of {info.path} "
                f"({float(info.duration):.3f} s)"
            )


def _places(
    info: VideoInfo, options: PreviewOptions, painter: Painter
) -> Iterator[Place]:
    upscale_options = options.for_model(options.models[0])
    finder = PlaceFinder(
        partial(_open_source, info, upscale_options),
        painter.conversion.incoming,
    )
    if not options.at:
        yield from finder.spread(info.duration or _LENGTH_IF_UNKNOWN, options.frames)
        return
    times: set[Fraction] = set()
    for moment in options.at:
        place = finder.at(moment)
        if place is None:
            raise InputError(f"{info.path} gives no frame at {float(moment):g} s")
        if place.frame.time not in times:
            times.add(place.frame.time)
            yield place


def _open_source(
    info: VideoInfo, options: UpscaleOptions, time_range: TimeRange
) -> FrameSource:
    if info.path.is_dir():
        return FolderReader(
            info.path,
            rate=folder_rate(options),
            time_range=time_range,
            context=CONTEXT,
            value_range=options.value_range,
        )
    return VideoReader(
        info,
        time_range=time_range,
        context=CONTEXT,
        deinterlace=options.deinterlace,
        allow_empty=True,
    )


class _Run:
    """Makes the pictures of one place after the other."""

    def __init__(
        self,
        options: PreviewOptions,
        painter: Painter,
        networks: list[PreviewNetwork],
        on_progress: Callable[[PreviewProgress], None],
    ) -> None:
        self._options = options
        self._painter = painter
        self._networks = networks
        self._on_progress = on_progress
        self._places = len(options.at) or options.frames
        self._done = 0

    def take(self, place: Place) -> tuple[Shot, dict[str, Still]]:
        """A frame as a shot, and the pictures of every method."""
        frame = place.frame
        bits = frame.format.bits
        is_full_range = self._painter.conversion.tags.is_full_range
        part = self._painter.part(frame.luma, bits, self._options.part)
        outer = part.with_margin(COLOUR_MARGIN_PX, frame.height, frame.width)
        bicubic = interpolated(frame.luma[outer.slices], bits)
        stills = {_BICUBIC: self._painter.still(frame, (bicubic, outer), part)}
        for network in self._networks:
            self._tell(network)
            luma = network.luma(place, part, is_full_range)
            stills[network.name] = self._painter.still(frame, luma, part)
            self._done += 1
        views = [View(name, still.shown) for name, still in stills.items()]
        shot = Shot(
            title=clock_text(float(frame.time)),
            views=views,
            left=0,
            right=1,
            note=self._note(frame, part),
            pixel_aspect=self._painter.pixel_aspect,
        )
        return shot, stills

    def _tell(self, network: PreviewNetwork) -> None:
        total = self._places * len(self._networks)
        share = self._done / total
        self._on_progress(PreviewProgress(share, self._done, network.name))

    def _note(self, frame: Frame, part: Region) -> str:
        if part == Region.whole(frame.height, frame.width):
            return ""
        sides = self._painter.displayed_size(part.width, part.height)
        return (
            f"{sides[0]}×{sides[1]} pixels of the source "
            "(--crop chooses others, --crop all shows whole pictures)"
        )
