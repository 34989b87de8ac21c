"""The main job on real encoded clips: every frame, time, scene and colour, and the audio.

Nothing is left behind when it fails.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake import FakeBackend

import vsrcli
from vsrcli.backends import Backend, Float
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import BackendError, InputError, OptionError, OutputError
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.jobs import upscale as module
from vsrcli.jobs.upscale import upscale
from vsrcli.metrics.frames import psnr
from vsrcli.models.weights import locate
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.finish import finish_frame
from vsrcli.picture.resize import double, half
from vsrcli.pipeline.network import LumaNetwork, upscale_luma

FAST = EncoderOptions(preset="ultrafast")


def _doubled(window: tuple[Frame, ...], backend: Backend) -> Frame:
    return finish_frame(
        window[2], upscale_luma(window, LumaNetwork(backend), ColorTags()), ColorTags()
    )


def _read(path: Path) -> list[Frame]:
    with VideoReader(probe(path)) as reader:
        return list(reader)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_real_network_end_to_end(demo_clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "big.mp4"
    report = vsrcli.upscale(
        demo_clip, target, UpscaleOptions(device="cpu", encoder=EncoderOptions(crf=4))
    )
    source = _read(demo_clip)
    result = _read(target)
    assert (report.frames_in, report.frames_upscaled, report.frames_out) == (30, 30, 30)
    assert (report.width, report.height) == (192, 128)
    assert report.backend in ("openvino", "onnx")  # what is there
    assert (report.device, report.model, report.domain) == ("cpu", "delta", "video")
    assert 0 < report.network_seconds < report.seconds
    assert len(result) == 30
    for before, after in zip(source, result, strict=True):
        assert after.luma.shape == (128, 192)
        assert after.time == before.time
        # shrunk to half, the output is the input again: no shift, no wrong range, no other frame
        assert psnr(before.luma.astype(np.float32), half(after.luma), crop=2) > 22
        assert abs(float(after.planes[1].mean()) - float(before.planes[1].mean())) < 1
    assert _names(tmp_path) == ["big.mp4"]


@pytest.mark.parametrize("name", ["delta", "5-parallel"])
def test_the_network_beats_bicubic_on_clips_it_never_saw(
    shared: Path, name: str
) -> None:
    from vsrcli.backends.torch import TorchBackend
    from vsrcli.clips.data import load
    from vsrcli.clips.sequences import validation_pairs

    backend = TorchBackend(name, device="cpu")
    layout = PixelFormat.parse("gray")
    assert layout is not None
    gains = []
    for low, high in validation_pairs(
        load([shared / "data" / "val.mp4"]), "clean", count=6, size=72
    ):
        window = tuple(
            Frame((picture.astype(np.uint8),), layout, Fraction(0)) for picture in low
        )
        ours = _doubled(window, backend).luma
        bicubic = np.rint(double(low[2])).clip(0, 255)
        gains.append(psnr(high, ours, crop=8) - psnr(high, bicubic, crop=8))
    assert np.mean(gains) > 0.3


def test_windows_never_cross_the_cut(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    upscale(demo_clip, tmp_path / "o.mp4", UpscaleOptions(encoder=FAST))
    source = [frame.luma.astype(np.float32) for frame in _read(demo_clip)]
    for number, window in enumerate(fake.windows):
        first, last = (0, 14) if number < 15 else (15, 29)
        for offset, picture in zip(range(-2, 3), window, strict=True):
            expected = source[min(max(number + offset, first), last)]
            assert np.array_equal(picture[4:-4, 4:-4], expected), (number, offset)


@pytest.mark.parametrize(
    ("fps", "count", "upscaled"),
    [
        (Fraction(30), 24, 20),
        (Fraction(10), 8, 8),
        (Fraction(25), 20, 20),
        ("source", 20, 20),
    ],
)
def test_rates(
    moving_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    fps: Any,
    count: int,
    upscaled: int,
) -> None:
    notes: list[str] = []
    report = upscale(
        moving_clip,
        tmp_path / "o.mp4",
        UpscaleOptions(fps=fps, encoder=FAST),
        on_note=notes.append,
    )
    result = _read(tmp_path / "o.mp4")
    assert len(result) == report.frames_out == count
    assert report.frames_upscaled == len(fake.windows) == upscaled
    assert [frame.time for frame in result] == [
        Fraction(number) / (25 if fps == "source" else fps) for number in range(count)
    ]
    assert any("--fps source" in line for line in notes) == (fps not in ("source", 25))


def test_trim_is_exact_and_sees_its_neighbours(
    moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    options = UpscaleOptions(
        fps="source", start=Fraction(6, 25), end=Fraction(9, 25), encoder=FAST
    )
    report = upscale(moving_clip, tmp_path / "o.mp4", options)
    assert (report.frames_in, report.frames_out) == (3, 3)
    assert [frame.time for frame in _read(tmp_path / "o.mp4")] == [
        0,
        Fraction(1, 25),
        Fraction(2, 25),
    ]
    source = [frame.luma for frame in _read(moving_clip)]
    assert np.array_equal(fake.windows[0][:, 4:-4, 4:-4], np.stack(source[4:9]))
    assert np.array_equal(fake.windows[2][:, 4:-4, 4:-4], np.stack(source[6:11]))


def test_audio_is_copied(demo_clip: Path, tmp_path: Path, fake: FakeBackend) -> None:
    def packets(path: Path) -> list[tuple[Fraction, bytes]]:
        found = []
        with av.open(str(path)) as container:
            for packet in container.demux(audio=0):
                if packet.size:
                    assert packet.pts is not None
                    assert packet.time_base is not None
                    found.append((packet.pts * packet.time_base, bytes(packet)))
        return found

    upscale(demo_clip, tmp_path / "with.mp4", UpscaleOptions(encoder=FAST))
    assert packets(tmp_path / "with.mp4") == packets(demo_clip)
    upscale(
        demo_clip, tmp_path / "without.mp4", UpscaleOptions(audio="none", encoder=FAST)
    )
    with av.open(str(tmp_path / "without.mp4")) as container:
        assert not container.streams.audio


@pytest.fixture(scope="module", params=["delta", "5-parallel"])
def shipped(request: pytest.FixtureRequest) -> Backend:
    """A shipped network on the CPU."""
    from vsrcli.backends.torch import TorchBackend

    return TorchBackend(request.param, device="cpu")


def _still(luma: Any, name: str = "yuv420p") -> tuple[Frame, ...]:
    layout = PixelFormat.parse(name)
    assert layout is not None
    chroma = np.full(
        layout.chroma_size(luma.shape[1], luma.shape[0])[::-1], 128, np.uint8
    )
    return (Frame((luma, chroma, chroma), layout, Fraction(0)),) * 5


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (34, 50), (33, 8), (1, 1), (2, 40)])
def test_every_size(size: tuple[int, int], shipped: Backend) -> None:
    rows, columns = np.mgrid[: size[0], : size[1]]
    luma = (110 + 2 * rows + columns).astype(np.uint8)
    frame = _doubled(_still(luma), shipped)
    assert frame.luma.shape == (2 * size[0], 2 * size[1])
    assert [plane.shape for plane in frame.planes[1:]] == 2 * [size]
    assert np.abs(half(frame.luma) - luma).mean() < 4


def test_no_visible_border(shipped: Backend) -> None:
    """The outermost pixels are nearly as close to the truth as the inner ones: under 2 dB worse."""
    blobs = np.random.default_rng(3).random((40, 60)).astype(np.float32)
    truth = 40 + 160 * np.clip(double(double(blobs)), 0, 1)
    luma = np.rint(half(truth)).astype(np.uint8)
    ours = _doubled(_still(luma), shipped).luma
    border = np.ones(truth.shape, bool)
    border[4:-4, 4:-4] = False

    def error(picture: Any, where: Any) -> float:
        return float(np.sqrt(np.mean(np.square(picture.astype(float) - truth)[where])))

    assert error(ours, border) < 1.25 * error(ours, ~border)


def test_ten_bits_stay_ten_bits(tmp_path: Path, fake: FakeBackend) -> None:
    source = tmp_path / "ten.mkv"
    ramp = np.tile(np.linspace(64, 940, 64).astype(np.uint16), (48, 1))
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p10le"
        for _ in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            for plane, values in zip(
                frame.planes,
                (
                    ramp,
                    np.full((24, 32), 512, np.uint16),
                    np.full((24, 32), 512, np.uint16),
                ),
                strict=True,
            ):
                view = np.frombuffer(memoryview(plane), np.uint16).reshape(
                    values.shape[0], plane.line_size // 2
                )
                view[:, : values.shape[1]] = values
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    upscale(
        source, tmp_path / "o.mkv", UpscaleOptions(encoder=EncoderOptions(codec="ffv1"))
    )
    result = _read(tmp_path / "o.mkv")
    assert result[0].format.name == "yuv420p10le"
    assert len(np.unique(result[0].luma)) > 100
    expected = np.rint(double(ramp.astype(np.float32), "bilinear")[20]).astype(
        np.uint16
    )
    assert np.array_equal(result[0].luma[20, 2:-2], expected[2:-2])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (UpscaleOptions(start=Fraction(100)), OptionError, "after the end"),
        (
            UpscaleOptions(encoder=EncoderOptions(codec="nonsense")),
            OptionError,
            "nonsense",
        ),
        (UpscaleOptions(encoder=EncoderOptions(codec="libvpx-vp9")), None, ""),
        (
            UpscaleOptions(encoder=EncoderOptions(pix_fmt="nonsense")),
            OutputError,
            "nonsense",
        ),
        (
            UpscaleOptions(encoder=EncoderOptions(extra=(("nonsense", "1"),))),
            OutputError,
            "nonsense",
        ),
    ],
)
def test_refusals_come_before_the_work(
    moving_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    options: UpscaleOptions,
    error: type[Exception] | None,
    says: str,
) -> None:
    if error is None:
        upscale(moving_clip, tmp_path / "o.mp4", options)
        return
    with pytest.raises(error, match=says):
        upscale(moving_clip, tmp_path / "o.mp4", options)
    assert fake.windows == []
    assert _names(tmp_path) == []


def test_targets_that_cannot_be(
    moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    for target, says in [
        (tmp_path / "there.mp4", "-y replaces it"),
        (tmp_path / "no" / "o.mp4", "no folder"),
        (tmp_path, "folder"),
        (moving_clip, "the input itself"),
        (tmp_path / "o.xyz", "xyz"),
    ]:
        with pytest.raises(OutputError, match=says):
            upscale(moving_clip, target, UpscaleOptions())
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert fake.windows == []
    upscale(
        moving_clip,
        tmp_path / "there.mp4",
        UpscaleOptions(overwrite=True, encoder=FAST),
    )
    assert len(_read(tmp_path / "there.mp4")) == 24


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cut_off_source_is_refused_up_front_with_a_way_out(
    tmp_path: Path, demo_clip: Path, fake: FakeBackend, suffix: str
) -> None:
    whole = tmp_path / f"whole{suffix}"
    cut = tmp_path / f"cut{suffix}"
    target = tmp_path / "o.mp4"
    with (
        av.open(str(demo_clip)) as read,
        av.open(
            str(whole),
            "w",
            options={"movflags": "+faststart"} if suffix == ".mp4" else {},
        ) as write,
    ):
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 5])
    with pytest.raises(InputError, match=r"cut off: .* --end 0\.\d+"):
        upscale(cut, target, UpscaleOptions(encoder=FAST))
    assert fake.windows == []
    assert not target.exists()
    with pytest.raises(InputError, match="--end") as caught:
        upscale(cut, target, UpscaleOptions())
    end = Fraction(str(caught.value).rsplit(" ", 1)[1])
    report = upscale(cut, target, UpscaleOptions(end=end, encoder=FAST))
    assert 0 < report.frames_out < 30


def test_failure_of_the_network_leaves_nothing(
    moving_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "open_backend", lambda *arguments, **options: FakeBackend(fail_at=5)
    )
    with pytest.raises(BackendError, match="out of memory"):
        upscale(moving_clip, tmp_path / "o.mp4", UpscaleOptions(encoder=FAST))
    assert _names(tmp_path) == []
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("vsr-")
    ]


def test_interrupt_leaves_nothing(
    moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(
            moving_clip,
            tmp_path / "o.mp4",
            UpscaleOptions(encoder=FAST),
            on_progress=interrupt,
        )
    assert _names(tmp_path) == []
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("vsr-")
    ]


def test_values_that_are_no_numbers_are_noticed(
    moving_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeBackend):
        def run(self, windows: Float) -> Float:
            return super().run(windows) * np.float32(np.nan)

    monkeypatch.setattr(module, "open_backend", lambda *arguments, **options: Broken())
    with pytest.raises(BackendError, match="not numbers"):
        upscale(moving_clip, tmp_path / "o.mp4", UpscaleOptions(encoder=FAST))
    assert _names(tmp_path) == []


def test_progress_rises_to_the_end(
    moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    shares: list[float | None] = []
    upscale(
        moving_clip,
        tmp_path / "o.mp4",
        UpscaleOptions(encoder=FAST),
        on_progress=lambda progress: shares.append(progress.share),
    )
    known = [share for share in shares if share is not None]
    assert known == sorted(known)
    assert 0 < known[0] < 0.1
    assert known[-1] > 0.99


def test_checkpoint_file_as_model(tmp_path: Path, moving_clip: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(locate("delta").read_bytes())
    report = upscale(
        moving_clip,
        tmp_path / "o.mp4",
        UpscaleOptions(
            model=str(path), end=Fraction(1, 25), device="cpu", encoder=FAST
        ),
    )
    assert report.model == "delta"


WILD = [
    ("01_portrait_rot90_iphone.mov", 62),
    ("03_roadtrip_vp9_10bit.webm", 72),
    ("04_mpeg4asp_vfr_audio.avi", 96),
    ("06_stream_of_water_vp8_2997.webm", 90),
    ("12_anamorphic_sar64_51.mp4", 280),
    ("14_bt601-525_480_interlaced_tff.mkv", 300),
]


@pytest.mark.parametrize(("name", "count"), WILD)
def test_wild_clips_keep_every_frame_and_time(
    shared: Path, tmp_path: Path, fake: FakeBackend, name: str, count: int
) -> None:
    """The pipeline on real odd files, the network replaced by interpolation to be quick."""
    source = shared / "data" / "wild" / name
    target = tmp_path / "o.mkv"
    report = upscale(source, target, UpscaleOptions(fps="source", encoder=FAST))
    assert report.frames_out == count
    with VideoReader(probe(source)) as before, VideoReader(probe(target)) as after:
        assert (after.info.width, after.info.height) == (
            2 * before.info.width,
            2 * before.info.height,
        )
        assert after.info.rotation == before.info.rotation
        assert (after.info.sample_aspect or 1) == (before.info.sample_aspect or 1)
        assert after.info.format == before.info.format
        expected = (before.info.tags.matrix, before.info.tags.range)
        if expected == (2, None) and before.info.width < 1280 <= after.info.width:
            # players take the source for BT.601, and would take its doubled size for BT.709
            expected = (6, "limited")
        assert (after.info.tags.matrix, after.info.tags.range) == expected
        pairs = list(zip(before, after, strict=True))
    shift = pairs[0][1].time - pairs[0][0].time
    assert abs(shift) < Fraction(1, 20)
    for one, other in pairs:
        assert abs(other.time - one.time - shift) <= Fraction(1, 1000)
        assert (
            psnr(
                one.luma.astype(np.float32),
                half(other.luma),
                data_range=one.format.peak,
            )
            > 28
        )
