"""Of every network: tiles, reuse, segments and interruptions change no bit of what it gives."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import texture, write_clip

from vsrcli.backends import open_backend
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.frame import Plane
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.tiles import MIN_CORE_PX
from vsrcli.pipeline.network import LumaNetwork, Work

ALL = pytest.mark.parametrize("model", MODELS)
LOSSLESS = EncoderOptions(codec="ffv1")


def _options(model: str, backend: str = "auto") -> UpscaleOptions:
    return UpscaleOptions(
        model=model,
        domain=MODELS[model].domains[0],
        backend=backend,
        device="cpu",
        fps="source",
        segment=0,
        encoder=LOSSLESS,
    )


def _content(path: Path) -> list[tuple[Fraction, list[int]]]:
    """Time and checksums of every decoded frame."""
    with VideoReader(probe(path)) as reader:
        return [
            (frame.time, [zlib.crc32(plane.tobytes()) for plane in frame.planes])
            for frame in reader
        ]


def _doubled(network: LumaNetwork, film: list[Plane]) -> list[Plane]:
    """Every frame of a film that has two neighbours on each side, as `vsr upscale` makes it."""
    radius = network.spec.radius

    def planned() -> Generator[tuple[int, Work]]:
        for number in range(radius, len(film) - radius):
            window = film[number - radius : number + radius + 1]
            yield number, network.inputs.plan(window, 8, False)

    return [
        network.upscale(planes, 8, False)
        for _, (planes, _) in network.inputs.make(planned())
    ]


def _threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("vsr-")
    ]


@ALL
def test_tiled_equals_untiled_on_a_film_that_moves(model: str) -> None:
    backend = open_backend(
        "onnx", model, MODELS[model].domains[0], device="cpu", precision=None
    )
    # small, since 5-parallel is slow; so high that no halo holds the rest of the picture
    film: list[Plane] = [texture(number, (20, 96)) for number in range(6)]
    assert MIN_CORE_PX + backend.spec.halo_px < 96
    tiled = LumaNetwork(backend, tile=MIN_CORE_PX)
    assert tiled._tiler.parts(*film[0].shape) == (3, 1)
    whole = LumaNetwork(backend)
    assert whole._tiler.parts(*film[0].shape) == (1, 1)
    results = _doubled(whole, film)
    first, second = results
    assert not np.array_equal(first, second)
    for result, expected in zip(_doubled(tiled, film), results, strict=True):
        assert np.array_equal(result, expected)


def _partly_still(path: Path) -> Path:
    """A picture at rest but for a spot at its left end: it moves, rests a frame, and goes on."""
    page = texture(0, (240, 16))
    pictures: list[Any] = []
    for place in (0, 1, 2, 2, 3):
        picture = page.copy()
        picture[6:14, 2 + 2 * place : 10 + 2 * place] = 235 - page[6:14, 100:108]
        pictures.append(picture)
    return write_clip(path, pictures=pictures, codec="ffv1", pix_fmt="gray")


@ALL
def test_reuse_changes_nothing_where_a_part_of_the_picture_moves(
    model: str, tmp_path: Path
) -> None:
    source = _partly_still(tmp_path / "in.mkv")
    options = _options(model, "onnx")
    report = upscale(source, tmp_path / "reused.mkv", options)
    plain = upscale(source, tmp_path / "plain.mkv", replace(options, reuse=False))
    assert report.reused > 0.3
    assert plain.reused == 0
    assert _content(tmp_path / "reused.mkv") == _content(tmp_path / "plain.mkv")


@ALL
def test_segments_and_interruptions_change_nothing(model: str, tmp_path: Path) -> None:
    """In one go, cut into segments, and cut, interrupted twice and resumed."""
    source = write_clip(tmp_path / "in.mp4", frames=12, size=(24, 16), scenes=2)
    one = tmp_path / "one.mkv"
    cut = tmp_path / "cut.mkv"
    resumed = tmp_path / "resumed.mkv"
    options = _options(model)
    in_segments = replace(options, segment=0.15)
    assert upscale(source, one, options).segments == 0
    expected = _content(one)
    assert len(expected) == 12
    report = upscale(source, cut, in_segments)
    assert report.segments > 2
    assert _content(cut) == expected
    for frame in (7, 6):
        _interrupt(source, resumed, in_segments, frame)
        assert not resumed.exists()
    again = upscale(source, resumed, in_segments)
    assert 0 < again.frames_resumed < again.frames_out == 12
    assert _content(resumed) == expected
    assert _threads() == []


def _interrupt(source: Path, target: Path, options: UpscaleOptions, frame: int) -> None:
    """Begin, or go on, and stop as Ctrl-C does after so many frames."""
    left = frame

    def on_progress(progress: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(source, target, options, on_progress=on_progress)
    assert _threads() == []


def test_threads_of_motion_compensation_change_nothing(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a film with a cut, in segments or not, and with more threads than a window has frames."""
    found = []
    for threads, segment in ((1, 0), (2, 0), (7, 0), (7, 0.3)):
        monkeypatch.setattr(
            "vsrcli.pipeline.network.motion_threads", lambda device, n=threads: n
        )
        target = tmp_path / f"{threads}-{segment}.mkv"
        report = upscale(demo_clip, target, replace(_options("lite"), segment=segment))
        assert bool(report.segments) == bool(segment)
        found.append(_content(target))
    assert len(found[0]) == 30
    assert found[1:] == 3 * found[:1]
    assert _threads() == []
