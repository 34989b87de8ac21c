"""What FFmpeg opens: the file that was named, of a playlist what lies beside it, nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend
from lossless import LOSSLESS

from vsrcli.cli import _run
from vsrcli.clips.data import load
from vsrcli.clips.pack_decoder import PackDecoder
from vsrcli.decode.confined import open_confined, open_stream
from vsrcli.decode.input_file import open_input
from vsrcli.decode.playlist import Playlist
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OptionError
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions

_HEADER = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
_VARIANT = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"


def _write_playlist(path: Path, *names: str, tags: str = "", end: bool = True) -> Path:
    """A playlist of segments of 0.2 s."""
    entries = "".join(f"#EXTINF:0.2,\n{name}\n" for name in names)
    path.write_text(_HEADER + tags + entries + "#EXT-X-ENDLIST\n" * end)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 64x48 in MPEG-TS; every other test only reads it."""
    path = tmp_path_factory.mktemp("clips") / "whole.ts"
    return write_clip(path, frames=20, codec="mpeg2video", muxer="mpegts", gop=5)


@pytest.fixture
def download(whole: Path, tmp_path: Path) -> Path:
    """A folder as downloaders leave it: ``list.m3u8`` beside the segments, two of them below."""
    folder = tmp_path / "download"
    (folder / "parts").mkdir(parents=True)
    content = whole.read_bytes()
    packets = len(content) // 188
    for number in range(4):
        begin = packets * number // 4 * 188
        end = packets * (number + 1) // 4 * 188
        where = "parts" if number > 1 else "."
        (folder / where / f"{number}.ts").write_bytes(content[begin:end])
    _write_playlist(
        folder / "list.m3u8", "0.ts", "./1.ts", "parts/2.ts", "parts/../parts/3.ts"
    )
    return folder


def _frames(path: Path) -> list[np.ndarray]:
    with VideoReader(probe(path)) as reader:
        return [frame.luma.copy() for frame in reader]


def test_a_downloaded_playlist_is_its_segments(download: Path, whole: Path) -> None:
    expected = _frames(whole)
    assert len(expected) == 20
    assert np.array_equal(_frames(download / "list.m3u8"), expected)
    # beside a playlist, the names of the segments need not be what FFmpeg can parse
    odd = download / "a?b#c %d"
    odd.mkdir()
    shutil.copy(whole, odd / "x y?z.ts")
    _write_playlist(odd / "list.m3u8", "x y?z.ts")
    assert np.array_equal(_frames(odd / "list.m3u8"), expected)


def test_a_playlist_without_an_end_is_whole_and_nothing_is_waited_for(
    download: Path, whole: Path
) -> None:
    names = ["0.ts", "1.ts", "parts/2.ts", "parts/3.ts"]
    live = _write_playlist(download / "live.m3u8", *names, end=False)
    text = live.read_text().replace("DURATION:1\n", "DURATION:600\n")
    live.write_text(text.replace("#EXTINF:0.2", "#EXTINF:600"))
    assert np.array_equal(_frames(live), _frames(whole))


def test_a_playlist_of_qualities_is_followed_once(
    download: Path, whole: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    master = download / "master.m3u8"
    master.write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nlist.m3u8\n'
    )
    report = upscale(master, tmp_path / "o.mkv", LOSSLESS)
    assert report.frames_out == 24  # 0.8 s at 30 frames a second
    assert np.array_equal(_frames(master), _frames(whole))


def _self_naming(folder: Path) -> Path:
    path = folder / "self.m3u8"
    path.write_text(_VARIANT + "self.m3u8\n")
    return path


def _ring(folder: Path) -> Path:
    (folder / "ring2.m3u8").write_text(_VARIANT + "ring.m3u8\n")
    path = folder / "ring.m3u8"
    path.write_text(_VARIANT + "ring2.m3u8\n")
    return path


def _chain(folder: Path) -> Path:
    for number in range(100):
        name = f"{number + 1}.m3u8\n"
        (folder / f"{number}.m3u8").write_text(_VARIANT + name)
    return folder / "0.m3u8"


def _many(folder: Path) -> Path:
    names = []
    for number in range(100):
        _write_playlist(folder / f"{number}.m3u8", "0.ts")
        names.append(f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{number}.m3u8\n")
    path = folder / "many.m3u8"
    path.write_text("#EXTM3U\n" + "".join(names))
    return path


def _itself_as_segment(folder: Path) -> Path:
    return _write_playlist(folder / "self.m3u8", "self.m3u8")


def _large(folder: Path) -> Path:
    path = _write_playlist(folder / "large.m3u8", "0.ts")
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_self_naming, "names itself"),
        (_itself_as_segment, "names itself"),
        (_ring, "names playlists again"),
        (_chain, "names playlists again"),
        (_many, "more than 63 playlists"),
        (_large, "larger than a playlist can be"),
    ],
)
def test_playlists_without_an_end_are_refused_at_once(
    download: Path, make: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    path = make(download)
    assert _run(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_playlist_reads_its_own_folder_only(download: Path, whole: Path) -> None:
    """The canary is a file that would play; nothing of it is read, whatever names it."""
    canary = download.parent / "canary.ts"
    shutil.copy(whole, canary)
    (download / "link.ts").symlink_to(canary)
    (download / "folder").symlink_to(download.parent)
    os.mkfifo(download / "fifo.ts")
    playlist = download / "list.m3u8"
    cases = {
        "../canary.ts": "outside its folder",
        str(canary): "outside its folder",
        "link.ts": "outside its folder",
        "folder/canary.ts": "outside its folder",
        f"file://{canary}": "names the address",
        "concat:0.ts|../canary.ts": "names the address",
        "crypto:0.ts": "names the address",
        "data:video/mp2t;base64,AA==": "names the address",
        "fifo.ts": "not a regular file",
        "/dev/zero": "outside its folder",
        "parts": "not a regular file",
        "gone.ts": "cannot be read",
        "0.ts\0": "cannot be read",
    }
    for name, message in cases.items():
        _write_playlist(playlist, "0.ts", name)
        with pytest.raises(InputError, match=message):
            open_input(playlist)
    for tag in ('#EXT-X-MAP:URI="../canary.ts"', '#EXT-X-MAP: URI="../canary.ts"'):
        _write_playlist(playlist, "0.ts", tags=tag + "\n")
        with pytest.raises(InputError, match="outside its folder"):
            open_input(playlist)
    _write_playlist(
        playlist, "0.ts", tags='#EXT-X-KEY:METHOD=AES-128,URI="../canary.ts"\n'
    )
    with pytest.raises(InputError, match="encrypted"):
        open_input(playlist)
    # a tag that vsr reads in another way than FFmpeg gives FFmpeg a name that it may not open
    _write_playlist(playlist, "0.ts", tags="#EXT-X-MAP:URI=../canary.ts\n")
    with pytest.raises(InputError):
        open_input(playlist)


def test_a_link_made_after_the_check_is_not_followed(download: Path) -> None:
    playlist = Playlist(download / "list.m3u8")
    with playlist.open("/2.ts", 1, {}) as segment:
        assert segment.read() == (download / "1.ts").read_bytes()
    canary = download.parent / "canary.ts"
    shutil.move(download / "1.ts", canary)
    (download / "1.ts").symlink_to(canary)
    with pytest.raises(OSError, match="symbolic links"):
        playlist.open("/2.ts", 1, {})
    with pytest.raises(InputError, match="asks for /etc/passwd"):
        playlist.open("/etc/passwd", 1, {})


@contextmanager
def _listening() -> Iterator[tuple[int, list[object]]]:
    """A server on the loopback that counts who comes."""
    visits: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            while True:
                try:
                    connection, visitor = server.accept()
                except OSError:
                    return
                visits.append(visitor)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], visits
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_nothing_is_fetched(
    download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playlist = download / "list.m3u8"
    sdp = tmp_path / "live.mp4"
    with _listening() as (port, visits):
        address = f"http://127.0.0.1:{port}/x.ts"
        _write_playlist(playlist, address)
        listed = tmp_path / "list.mp4"
        listed.write_text(f"ffconcat version 1.0\nfile '{address}'\n")
        sdp.write_text(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            f"m=video {port} TCP/RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        )
        for name in (playlist, listed, sdp, address, f"concat:{address}"):
            assert _run(["info", str(name)]) == 1
            error = capsys.readouterr().err
            assert error.count("\n") == 1, error
        _write_playlist(playlist, "0.ts", "1.ts")
        assert _run(["info", str(playlist)]) == 0
    assert visits == []


def test_an_address_is_shown_as_it_was_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for address in ("https://example.org/a.mp4", "file:///a.mp4", "rtmp://x/y"):
        assert _run(["info", address]) == 1
        assert f"error: {address} is an address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ffconcat version 1.0\nfile '{canary}'\n", "a list of files for FFmpeg"),
        ("ffconcat version 1.0\nfile canary.ts\n", "a list of files for FFmpeg"),
        ('<?xml version="1.0"?>\n<MPD>\n</MPD>\n', "a DASH manifest"),
        ("#EXTM3U\n{canary}\n", "none of its files"),
        ("# VobSub index file, v7 (do not modify this line!)\n", "index of subtitles"),
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.txt"])
def test_lists_under_any_name_are_not_followed(
    name: str, text: str, message: str, whole: Path, tmp_path: Path
) -> None:
    shutil.copy(whole, tmp_path / "canary.ts")
    path = tmp_path / name
    path.write_text(text.format(canary=tmp_path / "canary.ts"))
    with pytest.raises(InputError, match=message):
        open_input(path)
    with path.open("rb") as stream, pytest.raises(av.FFmpegError):
        open_stream(stream)
    if "#EXTM3U" not in text:
        with pytest.raises(InputError, match=message):
            PackDecoder(path)


def test_a_pattern_is_the_name_of_one_picture(tmp_path: Path) -> None:
    for number, name in enumerate(["a0.png", "a1.png", "a%d.png", "[ab]*?.png"]):
        picture = np.full((32, 32), 40 * number + 20, np.uint8)
        write_clip(
            tmp_path / name.replace("%", "%%"),
            codec="png",
            pix_fmt="gray",
            muxer="image2pipe",
            pictures=[picture],
        )
        if "%" in name:
            (tmp_path / name.replace("%", "%%")).rename(tmp_path / name)
    for number, name in [(2, "a%d.png"), (3, "[ab]*?.png")]:
        with open_input(tmp_path / name) as container:
            frames = [frame.to_ndarray() for frame in container.decode(video=0)]
        assert len(frames) == 1
        assert frames[0][0, 0] == 40 * number + 20
    (tmp_path / "a%d.png").unlink()
    with pytest.raises(InputError, match="no such file"):
        open_input(tmp_path / "a%d.png")


def test_pictures_that_only_their_name_tells_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tga"
    gray = np.full((32, 32, 3), 99, np.uint8)
    write_clip(
        path, codec="targa", pix_fmt="bgr24", muxer="image2pipe", pictures=[gray]
    )
    with open_confined(path) as container:
        assert container.format.name == "image2"
        assert sum(1 for _ in container.decode(video=0)) == 1


def test_pipes_and_devices_are_refused_and_not_waited_for(
    tmp_path: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fifo = tmp_path / "fifo.mp4"
    os.mkfifo(fifo)
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        names = [
            str(fifo),
            f"/dev/fd/{reading}",
            "/dev/null",
            "/dev/zero",
            str(tmp_path / "socket"),
        ]
        clip = str(whole)
        out = str(tmp_path / "o.mkv")
        for name in names:
            for words in (
                ["info", name],
                ["upscale", name, out],
                ["extract", name, str(tmp_path / "o")],
                ["assemble", name, out],
                ["verify", name, clip],
                ["bench", name],
                ["bench", clip, "--compare", name],
            ):
                assert _run(words) in (1, 2), words
                error = capfd.readouterr().err
                assert error.count("\n") == 1, error
                assert "vsr upscale - OUT" in error, error
            with pytest.raises(InputError, match="reads a file more than once"):
                load([Path(name)])
    os.close(reading)
    os.close(writing)


def test_a_file_behind_a_descriptor_is_a_file(
    whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with whole.open("rb") as file:
        assert _run(["info", f"/dev/fd/{file.fileno()}"]) == 0
    assert "64x48" in capfd.readouterr().out


def test_a_pipe_among_pictures_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    os.mkfifo(folder / "0001.png")
    with pytest.raises(InputError, match="not a regular file"):
        upscale(folder, tmp_path / "o.mkv", LOSSLESS)


@pytest.mark.parametrize(
    "extra",
    [
        ("x264-params", "dump-yuv=F"),
        ("x264-params", "ref=2:dump_yuv=F"),
        ("x264-params", "ref=2: dump-yuv = F"),
        ("x264-params", r"du\mp-yuv=F"),
        ("x264opts", "pass=1"),
        ("x264-params", "pass=1:stats=F"),
        ("passlogfile", "F"),
        ("flags", "+pass1"),
        ("flags", "512"),
        ("x265-params", "csv=F"),
        ("x265-params", "log-level=none:analysis-save=F"),
        ("x265-params", "multi-pass-opt-analysis=1:pass=1"),
        ("x265-params", "scaling-list=F"),
        ("x265-params", "film-grain=F"),
        ("x265-params", "nalu-file=F"),
        ("svtav1-params", "stats=F"),
    ],
)
def test_encoders_use_no_files_of_their_own(
    extra: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="files of its own"):
        EncoderOptions(extra=(extra,))
    assert list(tmp_path.iterdir()) == []


def test_other_encoder_options_pass(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeBackend
) -> None:
    for extra in [
        ("tune", "film"),
        ("x265-params", "scaling-list=default:aq-mode=3:pass=0"),
        ("svtav1-params", "film-grain=8:tune=0"),
        ("flags", "+cgop-pass1"),
        ("b", "5M"),
    ]:
        EncoderOptions(extra=(extra,))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    words = ["upscale", str(whole), "../o.mkv", "--preset", "ultrafast", "-q"]
    assert _run([*words, "-e", "x264-params=ref=1:dump-yuv=F"]) == 2
    assert _run([*words, "-e", "x264-params=ref=1:scenecut=0"]) == 0
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_run_opens_nothing_beside_its_files(whole: Path, tmp_path: Path) -> None:
    """Of the folder of the source, system calls name the source alone."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(whole, folder / "in.ts")
    shutil.copy(whole, folder / "other.ts")
    log = tmp_path / "log"
    command = ["strace", "-f", "-qq", "-e", "trace=open,openat,connect", "-o", str(log)]
    code = "from vsrcli.cli import main; main()"
    words = ["info", str(folder / "in.ts")]
    done = subprocess.run(
        [*command, sys.executable, "-c", code, *words],
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 and not log.stat().st_size:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0
    calls = log.read_text()
    assert "in.ts" in calls
    assert "other.ts" not in calls
    assert "AF_INET" not in calls
