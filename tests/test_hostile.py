"""Inputs that nobody makes by accident.

Huge pictures, thousands of streams, odd names, loops, files that grow, graphs that refer to
other files.
"""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
import pytest
from clips import write_clip
from fake import FakeBackend
from lossless import LOSSLESS

from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.errors import InputError, ModelError, VsrError
from vsrcli.jobs.export import export_model
from vsrcli.jobs.upscale import upscale
from vsrcli.models.graph import read_graph
from vsrcli.options import EncoderOptions, ExportOptions, UpscaleOptions

FAST = UpscaleOptions(encoder=EncoderOptions(preset="ultrafast"))
TESTS = Path(__file__).resolve().parent


def _png(path: Path, width: int, height: int, rows: int) -> None:
    """A PNG whose header promises a size, with so many rows of black pixels in it: few bytes."""
    packed = zlib.compressobj(9)
    content = b"".join(packed.compress(bytes(1 + width)) for _ in range(rows))
    content += packed.flush()

    def chunk(name: bytes, data: bytes) -> bytes:
        length = struct.pack(">I", len(data))
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return length + name + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_picture_of_60000_by_60000_is_one_clear_error_in_little_memory(
    kind: str, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    _png(folder / "0001.png", 60_000, 60_000, 100)
    source = folder if kind == "folder" else folder / "0001.png"
    code = (
        "import resource, sys; from vsrcli.cli import _run; status = _run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "upscale",
        str(source),
        str(tmp_path / "o.mp4"),
        "--device",
        "cpu",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
    assert int(done.stdout) * 1024 < 2 << 30
    assert not (tmp_path / "o.mp4").exists()


def test_ten_thousand_streams(tmp_path: Path) -> None:
    """As many as FFmpeg lets through: an answer within seconds, whatever it is."""
    path = tmp_path / "many.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width = 16
        stream.height = 16
        stream.pix_fmt = "gray"
        sounds = [container.add_stream("pcm_s16le", rate=8000) for _ in range(200)]
        container.mux(
            stream.encode(
                av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), format="gray")
            )
        )
        container.mux(stream.encode(None))
    assert len(sounds) == 200
    done = subprocess.run(
        [
            sys.executable,
            str(TESTS / "fake_vsr.py"),
            "upscale",
            str(path),
            str(tmp_path / "o.mkv"),
            "-q",
            "--codec",
            "ffv1",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    program = tmp_path / "many.ts"
    program.write_bytes(_transport_stream(10_000))
    command = [
        sys.executable,
        "-c",
        "from vsrcli.cli import main; main()",
        "info",
        str(program),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def _transport_stream(streams: int) -> bytes:
    """Packets of MPEG-TS that declare this many streams, 30 a program, and contain none of them."""

    def section(table: int, number: int, body: bytes) -> bytes:
        length = 0xB000 | (len(body) + 9)
        header = struct.pack(">BHHBBB", table, length, number, 0xC1, 0, 0)
        content = header + body
        crc = 0xFFFFFFFF
        for byte in content:
            crc ^= byte << 24
            for _ in range(8):
                feedback = 0x04C11DB7 if crc & 0x80000000 else 0
                crc = ((crc << 1) ^ feedback) & 0xFFFFFFFF
        return content + struct.pack(">I", crc)

    def packet(pid: int, content: bytes) -> bytes:
        header = struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10)
        return (header + b"\0" + content).ljust(188, b"\xff")

    programs = -(-streams // 30)
    made = b""
    for begin in range(0, programs, 40):
        body = b""
        for program in range(begin, min(begin + 40, programs)):
            body += struct.pack(">HH", program + 1, 0xE000 | (program + 32))
        made += packet(0, section(0, 1, body))
    for program in range(programs):
        body = struct.pack(">HH", 0xFFFF, 0xF000)
        for number in range(30 * program, 30 * program + 30):
            pid = 1000 + number % 7000
            body += struct.pack(">BHH", 0x1B, 0xE000 | pid, 0xF000)
        made += packet(program + 32, section(2, program + 1, body))
    return made


@pytest.mark.parametrize(
    "name",
    [
        "two words.mp4",
        'it\'s "quoted".mp4',
        "new\nline.mp4",
        "-dash.mp4",
        "a:b.mp4",
        "http:x.mp4",
        "%d.mp4",
        "[bold]x.mp4",
    ],
)
def test_odd_names_of_input_and_output(
    name: str,
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / name
    target = tmp_path / "out" / name
    target.parent.mkdir()
    shutil.copy(demo_clip, source)
    before = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)
    try:
        words = [
            "upscale",
            "--segment",
            "0.3",
            "--preset",
            "ultrafast",
            "--",
            name,
            str(Path("out") / name),
        ]
        assert _run(words) == 0
        assert _run(["info", "--", name]) == 0
        assert _run(words) == 1  # it exists, and the message can be printed
    finally:
        os.chdir(before)
    assert [path.name for path in target.parent.iterdir()] == [name]
    assert "Traceback" not in capsys.readouterr().err
    assert probe(target).width == 192


def test_a_name_that_is_no_text(demo_clip: Path, tmp_path: Path) -> None:
    name = "\udcff\udcfe.mp4"
    shutil.copy(demo_clip, tmp_path / name)
    command = [sys.executable, str(TESTS / "fake_vsr.py")]
    options = ["--segment", "0.3", "--preset", "ultrafast"]
    for words, status in [
        (["upscale", name, f"big{name}", *options], 0),
        (["upscale", name, f"big{name}"], 1),
        (["info", f"big{name}"], 0),
    ]:
        done = subprocess.run(
            [*command, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"big{name}"])  # noqa: PTH208


def test_loops_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    for source, target in [
        (tmp_path / "a.mp4", tmp_path / "o.mp4"),
        (write_clip(tmp_path / "in.mp4", frames=3), tmp_path / "a.mp4"),
    ]:
        with pytest.raises(VsrError):
            upscale(source, target, FAST)
    assert not (tmp_path / "o.mp4").exists()


def test_an_input_that_grows_while_it_is_read(
    tmp_path: Path, fake: FakeBackend
) -> None:
    """Frames added during the run may be included or not; the file is whole and counts them."""
    whole = write_clip(
        tmp_path / "whole.ts", frames=60, codec="mpeg2video", muxer="mpegts"
    )
    source = tmp_path / "in.ts"
    target = tmp_path / "o.mkv"
    content = whole.read_bytes()
    source.write_bytes(content[: len(content) // 2])

    def grow(progress: object) -> None:
        if source.stat().st_size < len(content):
            with source.open("ab") as file:
                file.write(content[source.stat().st_size :][:4096])

    report = upscale(
        source, target, replace(LOSSLESS, fps="source", segment=0.3), on_progress=grow
    )
    assert 20 <= report.frames_out <= 60
    with av.open(str(target)) as written:
        assert sum(1 for _ in written.decode(video=0)) == report.frames_out


def test_a_source_that_is_removed_while_it_is_read(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=40)

    def remove(progress: object) -> None:
        source.unlink(missing_ok=True)

    with pytest.raises(InputError, match="no such file"):
        upscale(
            source,
            tmp_path / "o.mkv",
            replace(LOSSLESS, fps="source"),
            on_progress=remove,
        )
    assert not (tmp_path / "o.mkv").exists()
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("vsr-")
    ]


def test_a_graph_with_weights_in_other_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    export_model(path, ExportOptions(model="previous", domain="clean"))
    for location in ("weights.bin", "../../../etc/passwd", "/etc/passwd"):
        model = onnx.load(str(path))
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key = "location"
        entry.value = location
        (tmp_path / "bad.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="weights in other files"):
            read_graph(tmp_path / "bad.onnx")


def test_a_hundred_runs_leave_no_descriptor_and_no_thread(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=12, size=(32, 32))
    options = replace(LOSSLESS, fps="source", segment=0.2)

    def state() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    for number in range(3):
        upscale(source, tmp_path / f"{number}.mkv", options)
    before = state()
    for number in range(30):
        upscale(
            source,
            tmp_path / "o.mkv",
            replace(
                options, overwrite=True, end=Fraction(1, 3) if number % 2 else None
            ),
        )
        with pytest.raises(KeyboardInterrupt):
            upscale(
                source,
                tmp_path / "o.mkv",
                replace(options, overwrite=True, restart=True),
                on_progress=_interrupt,
            )
    assert state() == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 8 << 30


def _interrupt(progress: object) -> None:
    raise KeyboardInterrupt
