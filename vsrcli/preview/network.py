"""Networks that make parts of pictures, for a preview. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.backends import Backend, open_backend
from vsrcli.estimate.choose import choose
from vsrcli.estimate.run_timing import network_speed
from vsrcli.frame import Plane, VideoInfo
from vsrcli.models import MODELS
from vsrcli.options import AUTO, PreviewOptions, UpscaleOptions
from vsrcli.picture.region import Region
from vsrcli.pipeline.network import LumaNetwork, available_cores, motion_threads
from vsrcli.preview.page import PreviewMethod
from vsrcli.preview.pictures import COLOUR_MARGIN_PX, Part
from vsrcli.preview.places import RADIUS, Place, Window
from vsrcli.segments.executor import open_network


class PreviewNetwork:
    """A network that makes parts of pictures, and what a whole one would take."""

    def __init__(self, name: str, backend: Backend, options: UpscaleOptions) -> None:
        self.name = name
        self._backend = backend
        self._seconds: float | None = None
        self._upscaler = LumaNetwork(
            backend,
            tile=None if options.tile == "auto" else options.tile,
            reuse=False,
            strength=options.strength,
        )

    def luma(self, place: Place, part: Region, is_full_range: bool) -> Part:
        """The doubled luma of a part of a frame and of what is around it."""
        height, width = place.frame.luma.shape
        margin = max(self._backend.spec.halo_px, COLOUR_MARGIN_PX)
        outer = part.with_margin(margin, height, width)
        doubled, _ = self._double(place.window, outer, is_full_range)
        if self._seconds is None and place.following is not None:
            # as in a film, most of what the next window needs is there already
            _, seconds = self._double(place.following, outer, is_full_range)
            self._seconds = seconds
        return doubled, outer

    def method(self, film_frames: int | None) -> PreviewMethod:
        """What it takes, with the number of frames that the film has, or None."""
        backend = self._backend
        film_seconds = None
        if film_frames is not None and self._seconds is not None:
            film_seconds = film_frames * self._seconds
        return PreviewMethod(
            name=self.name,
            engine=f"{backend.name}, {backend.device}, {backend.precision}",
            seconds_per_frame=self._seconds,
            film_seconds=film_seconds,
        )

    def _double(
        self, window: Window, outer: Region, is_full_range: bool
    ) -> tuple[Plane, float]:
        """The doubled luma of a part, and seconds for the whole frame."""
        frame = window[RADIUS]
        bits = frame.format.bits
        lumas = [neighbour.luma for neighbour in window]
        inputs = self._upscaler.inputs
        planes, motion_seconds = inputs.plan(lumas, bits, is_full_range)()
        rows, columns = outer.slices
        cut_planes: Any = np.ascontiguousarray(planes[:, rows, columns])
        began = time.perf_counter()
        doubled = self._upscaler.upscale(cut_planes, bits, is_full_range)
        seconds = time.perf_counter() - began
        seconds *= frame.luma.size / (outer.height * outer.width)
        if not inputs.is_costly:
            return doubled, seconds
        device = self._backend.device
        if device == "cpu":  # network and motion compensation share the cores
            return doubled, seconds + motion_seconds / available_cores()
        return doubled, max(seconds, motion_seconds / motion_threads(device))


def open_networks(
    info: VideoInfo, options: PreviewOptions, on_note: Callable[[str], None]
) -> list[PreviewNetwork]:
    """Every network asked for, each once."""
    networks: dict[str, PreviewNetwork] = {}
    for name in options.models:
        upscale_options = options.for_model(name)
        if name == AUTO:
            choice = choose(
                info,
                upscale_options,
                lambda backend, named: network_speed(info, named, backend),
            )
            on_note(choice.line)
            backend = choice.candidate.backend
            upscale_options = replace(upscale_options, model=backend.spec.name)
        else:
            backend = open_network(open_backend, upscale_options)
        shown = Path(name).name
        if upscale_options.model in MODELS:
            shown = f"{upscale_options.model}:{backend.domain}"
        elif shown in networks:
            shown = name
        if upscale_options.strength < 1:
            shown += f" {upscale_options.strength:g}"
        networks.setdefault(shown, PreviewNetwork(shown, backend, upscale_options))
    return list(networks.values())
