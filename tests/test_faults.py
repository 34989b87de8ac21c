"""Faults injected into each thread of a run; docs/faults.md has the table.

One clear error, no thread left, nothing under the final name, finished segments kept.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from fake import FakeBackend
from lossless import LOSSLESS, content

from vsrcli.backends import Float
from vsrcli.decode.reader import VideoReader
from vsrcli.encode.encoding import VideoEncoder
from vsrcli.errors import InputError, OutputError, VsrError
from vsrcli.jobs.upscale import upscale
from vsrcli.options import UpscaleOptions

ROOT = Path(__file__).resolve().parent.parent


def _after(count: int, error: BaseException, items: Iterator[Any]) -> Iterator[Any]:
    for number, item in enumerate(items):
        if number == count:
            raise error
        yield item


@pytest.mark.parametrize("segment", [0.0, 0.3])
@pytest.mark.parametrize("where", ["decode", "network", "encode", "memory"])
def test_a_fault_in_any_thread(
    where: str,
    segment: float,
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake: FakeBackend,
) -> None:
    target = tmp_path / "o.mkv"
    options = replace(LOSSLESS, segment=segment)
    with monkeypatch.context() as broken:
        kind: type[BaseException] = RuntimeError
        if where == "decode":
            frames = VideoReader._frames_of
            broken.setattr(
                VideoReader,
                "_frames_of",
                lambda *given, **named: _after(
                    22, RuntimeError("injected"), frames(*given, **named)
                ),
            )
        elif where in ("network", "memory"):
            kind = MemoryError if where == "memory" else RuntimeError
            error = kind("injected")
            run = FakeBackend.run

            def failing(self: FakeBackend, windows: Float) -> Float:
                if len(self.windows) == 22:
                    raise error
                return run(self, windows)

            broken.setattr(FakeBackend, "run", failing)
        else:
            encode = VideoEncoder.encode
            kind = OutputError
            calls = []

            def refusing(self: VideoEncoder, *given: Any, **named: Any) -> Any:
                calls.append(given)
                if len(calls) == 22:
                    raise av.FFmpegError(22, "injected: the encoder refuses")
                return encode(self, *given, **named)

            broken.setattr(VideoEncoder, "encode", refusing)
        with pytest.raises(kind, match="injected"):
            upscale(demo_clip, target, options)
    assert not target.exists()
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("vsr-")
    ]
    assert not list(tmp_path.rglob("*.part"))
    if not segment:
        assert list(tmp_path.iterdir()) == []
        return
    assert list(tmp_path.rglob("*.packets"))
    fake.windows.clear()
    assert upscale(demo_clip, target, options).frames_resumed > 0
    assert len(content(target)) == 30


def test_a_damaged_packet_in_the_middle_is_counted_once(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    """Damage is that of the whole run, with segments or without, resumed or not."""
    source = tmp_path / "in.ts"
    with av.open(str(demo_clip)) as read, av.open(str(source), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(
            packet for packet in read.demux(video=0) if packet.size
        ):
            if number != 12:
                packet.stream = stream
                write.mux(packet)
    reports = [
        upscale(
            source,
            tmp_path / f"{segment}.mkv",
            replace(LOSSLESS, segment=segment, fps="source"),
        )
        for segment in (0.0, 0.3)
    ]
    assert reports[0].damage == reports[1].damage
    assert content(tmp_path / "0.0.mkv") == content(tmp_path / "0.3.mkv")


def test_no_frame_at_all_is_an_error_with_segments_too(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    with pytest.raises(InputError):
        upscale(
            demo_clip,
            tmp_path / "o.mkv",
            replace(LOSSLESS, start=Fraction(2997, 3000), segment=0.1),
        )
    with pytest.raises(VsrError):
        upscale(tmp_path / "missing.mp4", tmp_path / "o.mkv", UpscaleOptions())
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_faults_names_tests_that_exist() -> None:
    table = (ROOT / "docs" / "faults.md").read_text()
    named = re.findall(r"`(tests/\S+?\.py)(?:::(\w+))?`", table)
    assert len(named) > 25
    for file, test in named:
        text = (ROOT / file).read_text()
        assert not test or f"def {test}(" in text, f"{file} has no {test}"
    for row in re.findall(r"^\| (?!fault|---).*\|$", table, re.MULTILINE):
        assert "`tests/" in row or "no test" in row, row
