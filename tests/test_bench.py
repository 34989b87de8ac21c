"""``vsr bench``: the figures are right in any format, and what does not fit is refused."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend
from rectangles import moving_rectangles

from vsrcli.backends import Float
from vsrcli.bench.benchmark import Bench
from vsrcli.bench.excerpts import WHOLE, Excerpt
from vsrcli.bench.progress import BenchProgress
from vsrcli.bench.report import BenchReport, BenchRow
from vsrcli.bench.source import Source
from vsrcli.bench.truth import truth_cases
from vsrcli.cli import _run
from vsrcli.clips.packs import encode_sequence, write_sequences
from vsrcli.clips.roundtrip import x264_round_trip
from vsrcli.errors import InputError, OptionError
from vsrcli.images.stills import encode_picture
from vsrcli.metrics.frames import psnr, ssim
from vsrcli.options import BenchOptions, TrainOptions
from vsrcli.picture.resize import double, half
from vsrcli.pipeline.network import upscale_luma
from vsrcli.training.job import train

SIZE = (96, 64)


def _detail(count: int = 6) -> list[Any]:
    """Pictures that interpolation cannot restore, with motion, codes 16..235."""
    width, height = SIZE
    random = np.random.default_rng(4)
    blocks = np.kron(random.integers(30, 220, (50, 50)), np.ones((3, 3)))
    pictures = []
    for number in range(count):
        part = blocks[2 * number : 2 * number + height, number : number + width]
        pictures.append(part.astype(np.uint8))
    return pictures


def _ffv1(
    path: Path,
    pictures: list[Any],
    pix_fmt: str,
    bits: int = 8,
    ticks: list[int] | None = None,
) -> Path:
    """Lossless luma exactly as given (8-bit codes, shifted up for more bits)."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width = pictures[0].shape[1]
        stream.height = pictures[0].shape[0]
        stream.pix_fmt = pix_fmt
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame(picture.shape[1], picture.shape[0], pix_fmt)
            dtype = np.uint8 if bits == 8 else np.uint16
            for index, plane in enumerate(frame.planes):
                width = plane.line_size // np.dtype(dtype).itemsize
                target = np.frombuffer(plane, dtype)  # type: ignore[call-overload]
                target = target.reshape(-1, width)
                target[...] = 128 << (bits - 8)
                if index == 0:
                    rows, columns = picture.shape
                    target[:rows, :columns] = picture.astype(dtype) << (bits - 8)
            frame.pts = ticks[number] if ticks else number
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _shown(luma: Any) -> Any:
    """Limited-range luma as a page shows it: full range."""
    values = (luma.astype(np.float64) - 16) * 255 / 219
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _row(report: BenchReport, name: str) -> BenchRow:
    return next(row for row in report.rows if row.name == name)


def _baselines(path: Path, **options: Any) -> BenchReport:
    """Without networks: what is tested here does not need them."""
    bench = Bench(path, BenchOptions(**({"model": ("previous",)} | options)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsrcli.bench.passes.networks", lambda _: [])
        return bench.run()


def test_baselines_by_hand(tmp_path: Path) -> None:
    pictures = _detail()
    report = _baselines(_ffv1(tmp_path / "a.mkv", pictures, "yuv420p"))
    assert report.frames == len(pictures)
    row = _row(report, "bicubic")
    for number, picture in enumerate(pictures):
        low = np.clip(np.rint(half(picture.astype(np.float32))), 0, 255).astype(
            np.uint8
        )
        assert row.per_frame["psnr"][number] == pytest.approx(
            psnr(picture, double(low), crop=8), rel=1e-12
        )
        assert row.per_frame["ssim"][number] == pytest.approx(
            ssim(picture, double(low), crop=8), rel=1e-12
        )
    assert row.means["psnr"] == pytest.approx(np.mean(row.per_frame["psnr"]))
    assert row.gain_db == 0
    assert _row(report, "lanczos").gain_db == pytest.approx(
        _row(report, "lanczos").means["psnr"] - row.means["psnr"]
    )


def test_the_reports_protocol(tmp_path: Path) -> None:
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    pictures = _detail(1)
    report = _baselines(
        _ffv1(tmp_path / "a.mkv", pictures, "gray"), protocol="report", degrade="blur3"
    )
    low = np.clip(
        np.rint(
            half(
                cv2.GaussianBlur(pictures[0].astype(np.float32), (0, 0), 3.0), "nearest"
            )
        ),
        0,
        255,
    ).astype(np.uint8)
    true = pictures[0][2:-2, 2:-2]
    result = double(low)[2:-2, 2:-2]
    means = _row(report, "bicubic").means
    assert means["ssim"] == pytest.approx(structural_similarity(true, result), rel=1e-6)
    assert means["mse"] == pytest.approx(
        np.mean((true.astype(float) - result) ** 2), rel=1e-9
    )


def test_depths_and_containers_agree(tmp_path: Path) -> None:
    """The same content in any format scores the same within 0.01 dB.

    Video of 8, 10 and 16 bits, and pictures in gray, 16 bits and RGB.
    """
    pictures = _detail(3)
    figures = {
        "8 bits": _baselines(_ffv1(tmp_path / "8.mkv", pictures, "yuv420p")),
        "10 bits": _baselines(_ffv1(tmp_path / "10.mkv", pictures, "yuv420p10le", 10)),
        "16 bits": _baselines(_ffv1(tmp_path / "16.mkv", pictures, "gray16le", 16)),
    }
    for name, dtype, factor in (("png8", np.uint8, 1), ("tif16", np.uint16, 257)):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(
                str(tmp_path / name / f"{number}.{name[:3]}"),
                picture.astype(dtype) * dtype(factor),
            )
        figures[name] = _baselines(tmp_path / name)
    (tmp_path / "rgb").mkdir()
    for number, picture in enumerate(
        pictures
    ):  # full-range gray in R, G and B whose BT.601 luma is the picture
        cv2.imwrite(
            str(tmp_path / "rgb" / f"{number}.png"),
            np.dstack(
                [np.rint((picture.astype(float) - 16) * 65535 / 219).astype(np.uint16)]
                * 3
            ),
        )
    figures["rgb"] = _baselines(tmp_path / "rgb")
    for name, report in figures.items():
        for method in ("nearest", "bicubic", "lanczos"):
            assert _row(report, method).means["psnr"] == pytest.approx(
                _row(figures["8 bits"], method).means["psnr"], abs=0.01
            ), name


def test_floating_point_fields(tmp_path: Path) -> None:
    """The same field in 0..1 and 0..255: PSNR and SSIM agree; MSE is in the units of the data."""
    fields = [picture.astype(np.float32) / 255 for picture in _detail(2)]
    for name, factor in (("unit", 1.0), ("codes", 255.0)):
        (tmp_path / name).mkdir()
        for number, field in enumerate(fields):
            cv2.imwrite(
                str(tmp_path / name / f"{number}.tiff"), field * np.float32(factor)
            )
    unit = _baselines(tmp_path / "unit", range=1.0)
    codes = _baselines(tmp_path / "codes")
    assert _row(unit, "bicubic").means["psnr"] == pytest.approx(
        _row(codes, "bicubic").means["psnr"], abs=1e-4
    )
    assert _row(unit, "bicubic").means["ssim"] == pytest.approx(
        _row(codes, "bicubic").means["ssim"], abs=1e-5
    )
    assert _row(unit, "bicubic").means["mse"] == pytest.approx(
        _row(codes, "bicubic").means["mse"] / 255**2, rel=1e-4
    )


def test_given_low_resolution_equals_one_made(tmp_path: Path) -> None:
    pictures = _detail()
    truth = _ffv1(tmp_path / "a.mkv", pictures, "gray")
    low = _ffv1(
        tmp_path / "low.mkv",
        [
            np.clip(np.rint(half(picture.astype(np.float32))), 0, 255)
            for picture in pictures
        ],
        "gray",
    )
    assert (
        _row(_baselines(truth, lr=str(low)), "bicubic").per_frame
        == _row(_baselines(truth), "bicubic").per_frame
    )
    with pytest.raises(InputError, match="half of"):
        _baselines(truth, lr=str(truth))


def test_compression_is_that_of_the_whole_sequence(tmp_path: Path) -> None:
    pictures = _detail(30)
    source = Source(_ffv1(tmp_path / "a.mkv", pictures, "gray"))
    halves = np.stack([half(picture.astype(np.float32)) for picture in pictures])
    lows = np.clip(np.rint(halves), 0, 255).astype(np.uint8)
    expected = x264_round_trip(lows, crf=30)
    cases = list(truth_cases(source, "crf:30", None, [WHOLE]))
    assert len(cases) == 30
    for number, case in enumerate(cases):
        assert np.array_equal(case.window[2].luma, expected[number])
        assert np.array_equal(case.truth.luma, pictures[number])


def test_windows_are_those_of_upscale(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mp4", frames=12, size=SIZE, scenes=2)
    numbers = [
        [round(frame.time * 25) for frame in case.window]
        for case in truth_cases(Source(path), "clean", None, [WHOLE])
    ]
    assert numbers[5] == [3, 4, 5, 5, 5]
    assert numbers[6] == [6, 6, 6, 7, 8]
    first = [
        [round(frame.time * 25) for frame in case.window]
        for case in truth_cases(Source(path), "clean", None, [Excerpt(count=3)])
    ]
    assert first == numbers[:3]


class TestCompare:
    def test_with_itself(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        truth = _ffv1(tmp_path / "a.mkv", _detail(), "gray")
        assert (
            _run(["bench", "--compare", str(truth), str(truth), "--json", "-", "-q"])
            == 0
        )
        report = json.loads(capsys.readouterr().out)
        assert report["rows"][0]["means"] == {"mse": 0.0, "psnr": None, "ssim": 1.0}
        assert report["undefined"] == [
            "a.mkv.psnr: infinite: at least one picture is identical to its truth"
        ]

    def test_page_with_pictures(self, tmp_path: Path) -> None:
        pictures = _detail()
        truth = _ffv1(tmp_path / "a.mkv", pictures, "gray")
        poor = [picture.copy() for picture in pictures]
        poor[4][10:40, 10:40] //= 2
        result = _ffv1(tmp_path / "b.mkv", poor, "gray")
        assert (
            _run(
                [
                    "bench",
                    "--compare",
                    str(result),
                    str(truth),
                    "--html",
                    str(tmp_path / "page.html"),
                    "-q",
                ]
            )
            == 0
        )
        bench = Bench(truth, BenchOptions(compare=str(result)))
        worst, median = bench.shots(bench.run())
        assert worst.title.startswith("worst frame (4, 0.16 s")
        result_view, truth_view = worst.views
        assert np.array_equal(result_view.pixels, _shown(poor[4]))
        assert np.array_equal(truth_view.pixels, _shown(pictures[4]))
        assert [view.figure for view in median.views] == ["∞ dB", ""]
        page = (tmp_path / "page.html").read_text()
        assert page.count("selected>ground truth") == 2

    def test_with_a_copy_one_frame_late(self, tmp_path: Path) -> None:
        pictures = _detail()
        truth = _ffv1(tmp_path / "a.mkv", pictures, "gray")
        late = _ffv1(tmp_path / "b.mkv", [pictures[0], *pictures[:-1]], "gray")
        values = (
            Bench(truth, BenchOptions(compare=str(late)))
            .run()
            .rows[0]
            .per_frame["psnr"]
        )
        assert values[0] == math.inf
        assert all(
            value == pytest.approx(psnr(pictures[n], pictures[n - 1], crop=8))
            for n, value in enumerate(values)
            if n
        )

    def test_with_a_frame_missing(self, tmp_path: Path) -> None:
        pictures = _detail()
        truth = _ffv1(tmp_path / "a.mkv", pictures, "gray")
        gap = _ffv1(
            tmp_path / "b.mkv",
            pictures[:2] + pictures[3:],
            "gray",
            ticks=[0, 1, 3, 4, 5],
        )
        with pytest.raises(
            InputError,
            match=r"frame 2 of .*a.mkv is at 0.080 s, and .*b.mkv has no frame there",
        ):
            Bench(truth, BenchOptions(compare=str(gap))).run()
        short = _ffv1(tmp_path / "c.mkv", pictures[:-1], "gray")
        with pytest.raises(InputError, match=r"a.mkv has 6 frames, .*c.mkv only 5"):
            Bench(truth, BenchOptions(compare=str(short))).run()
        assert (
            Bench(truth, BenchOptions(compare=str(short), frames=5, start=Fraction(0)))
            .run()
            .frames
            == 5
        )

    def test_with_another_size(self, tmp_path: Path) -> None:
        truth = _ffv1(tmp_path / "a.mkv", _detail(), "gray")
        small = _ffv1(
            tmp_path / "b.mkv", [picture[:32, :48] for picture in _detail()], "gray"
        )
        with pytest.raises(InputError, match=r"48x32 pixels.*only equal sizes"):
            Bench(truth, BenchOptions(compare=str(small))).run()


def test_networks_go_through_the_code_of_upscale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def spy(*arguments: Any) -> Any:
        called.append(arguments)
        return upscale_luma(*arguments)

    monkeypatch.setattr("vsrcli.bench.methods.upscale_luma", spy)
    truth = _ffv1(tmp_path / "a.mkv", _detail(2), "gray")
    report = Bench(
        truth, BenchOptions(model=("delta",), device="cpu", degrade="crf:20")
    ).run()
    assert len(called) == 2 * 2  # once with the neighbours, once without
    row = _row(report, "delta:video")
    assert row.frames_per_second is not None
    assert row.frames_per_second > 0
    assert row.peak_memory_mb is None or row.peak_memory_mb > 50
    shots = Bench(
        truth, BenchOptions(model=("delta",), device="cpu", degrade="crf:20")
    ).shots(report)
    assert [shot.title.split(" (")[0] for shot in shots] == [
        "worst frame",
        "median frame",
    ]
    figures = {view.name: view.figure for view in shots[0].views}
    assert figures["delta:video"] == f"{min(row.per_frame['psnr']):.2f} dB"


class Averaging(FakeBackend):
    """Takes the mean of the window's frames, which helps where they differ by noise alone."""

    def run(self, windows: Float) -> Float:
        mean = windows.mean(axis=1, keepdims=True)
        return super().run(np.repeat(mean, self.spec.frames, axis=1))


def _of_backend(path: Path, backend: FakeBackend, **options: Any) -> BenchReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "vsrcli.bench.methods.open_backend", lambda *given, **named: backend
        )
        return Bench(path, BenchOptions(model=("delta",), **options)).run()


def _still_with_noise(folder: Path, count: int = 6) -> tuple[Path, Path]:
    """A picture that stands still, and half of it with other noise in every frame."""
    rng = np.random.default_rng(5)
    pictures = [texture(0, SIZE)] * count
    lows = [half(picture.astype(np.float32)) for picture in pictures]
    noisy = [
        np.clip(np.rint(low + rng.normal(0, 8, low.shape)), 16, 235) for low in lows
    ]
    return _ffv1(folder / "a.mkv", pictures, "gray"), _ffv1(
        folder / "low.mkv", noisy, "gray"
    )


def test_neighbours_that_help_are_a_temporal_gain(tmp_path: Path) -> None:
    truth, low = _still_with_noise(tmp_path)
    report = _of_backend(truth, Averaging(), lr=str(low))
    *baselines, row = report.rows
    assert row.temporal_gain_db is not None
    assert row.temporal_gain_db > 2
    # what remains is a network that only interpolates
    alone = _of_backend(truth, FakeBackend(), lr=str(low)).rows[-1]
    gains = np.subtract(row.per_frame["psnr"], alone.per_frame["psnr"])
    assert row.per_frame["temporal_gain_db"] == pytest.approx(gains)
    assert row.temporal_gain_db == pytest.approx(gains.mean())
    assert all(baseline.temporal_gain_db is None for baseline in baselines)
    rows = report.as_json()["rows"]
    assert [each["temporal_gain_db"] for each in rows] == [None] * 3 + [
        row.temporal_gain_db
    ]
    assert len(rows[-1]["per_frame"]["temporal_gain_db"]) == report.frames
    assert "temporal_gain_db" not in rows[0]["per_frame"]


@pytest.mark.parametrize("degrade", ["clean", "crf:30"])
def test_a_network_that_ignores_the_neighbours_has_no_temporal_gain(
    tmp_path: Path, degrade: str
) -> None:
    truth = _ffv1(tmp_path / "a.mkv", _detail(), "gray")
    row = _of_backend(truth, FakeBackend(), degrade=degrade).rows[-1]
    assert row.temporal_gain_db == 0.0
    assert row.per_frame["temporal_gain_db"] == [0.0] * 6
    assert row.gain_db != 0


def test_frames_restored_exactly_are_no_temporal_gain(tmp_path: Path) -> None:
    flat = [np.full(SIZE[::-1], 60, np.uint8)] * 3
    row = _of_backend(_ffv1(tmp_path / "a.mkv", flat, "gray"), Averaging()).rows[-1]
    assert row.means["psnr"] == math.inf
    assert row.temporal_gain_db == 0.0


def test_the_pass_without_neighbours_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0

    class Slow(FakeBackend):
        def run(self, windows: Float) -> Float:
            nonlocal seconds
            is_still = (windows == windows[:, :1]).all()
            seconds += 100 if is_still else 1
            return super().run(windows)

    clock = SimpleNamespace(perf_counter=lambda: seconds)
    monkeypatch.setattr("vsrcli.bench.passes.time", clock)
    monkeypatch.setattr(Slow, "exact_parts", False)
    truth = _ffv1(tmp_path / "a.mkv", _detail(), "gray")
    row = _of_backend(truth, Slow()).rows[-1]
    assert seconds == 6 * 1 + 6 * 100
    assert row.frames_per_second == 1


def test_progress_covers_both_passes_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vsrcli.bench.methods.open_backend", lambda *given, **named: FakeBackend()
    )
    truth = _ffv1(tmp_path / "a.mkv", _detail(2), "gray")
    seen: list[BenchProgress] = []
    Bench(truth, BenchOptions(model=("delta", "lite:video"))).run(seen.append)
    shares = [
        progress.share
        for progress in seen
        if progress.method.startswith(("delta", "lite"))
    ]
    assert shares == [pytest.approx(number / 8) for number in range(1, 9)]


def test_tables_show_the_temporal_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "vsrcli.bench.methods.open_backend", lambda *given, **named: FakeBackend()
    )
    truths = [_ffv1(tmp_path / f"{name}.mkv", _detail(2), "gray") for name in "ab"]
    arguments = [
        "bench",
        *map(str, truths),
        "-m",
        "delta",
        "--metrics",
        "psnr",
        "--no-progress",
    ]
    assert _run(arguments) == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    headings = [line.split() for line in printed if "temporal" in line]
    assert headings == [["over", "temporal"]] * 3
    networks = [line.split() for line in printed if line.startswith("delta:")]
    assert [cells[3] for cells in networks] == ["+0.00"] * 3
    baselines = [line.split() for line in printed if line.startswith("bicubic")]
    assert [len(cells) for cells in baselines] == [
        5,
        5,
        3,
    ]  # two with frames/s and memory


def test_pages_show_the_telling_part_of_large_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole large frames would take tens of megabytes; the page shows where interpolation fails."""
    monkeypatch.setattr("vsrcli.bench.shots._MAX_WIDTH", 32)
    monkeypatch.setattr("vsrcli.bench.shots._MAX_HEIGHT", 24)
    flat = np.full((SIZE[1], SIZE[0]), 90, np.uint8)
    flat[30:50, 60:80] = _detail(1)[0][:20, :20]
    truth = _ffv1(tmp_path / "a.mkv", [flat], "gray")
    bench = Bench(truth, BenchOptions(model=("previous",), device="cpu"))
    (shot,) = bench.shots(bench.run())
    assert {view.pixels.shape for view in shot.views} == {(24, 32)}
    assert "32×24 pixels" in shot.note
    truth_view = shot.views[-1]
    assert (truth_view.pixels != _shown(flat)[0, 0]).sum() > 350


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "rgb24"])
def test_pages_show_colours(tmp_path: Path, pix_fmt: str) -> None:
    """The truth as it is; methods have its chroma halved and doubled, where it lay before."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    red = 128 + 60 * np.sin(columns / 9)
    green = 128 + 50 * np.cos(rows / 11)
    blue = 128 + 40 * np.sin((rows + columns) / 13)
    picture = np.stack([red, green, blue], axis=2).astype(np.uint8)
    if pix_fmt == "rgb24":
        truth = tmp_path / "frames"
        truth.mkdir()
        content = encode_picture(picture, ".png")
        (truth / "f1.png").write_bytes(content)
    else:
        truth = write_clip(
            tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, pictures=[picture]
        )
    bench = Bench(truth, BenchOptions(model=("previous",), device="cpu"))
    (shot,) = bench.shots(bench.run())
    views = {view.name: view.pixels.astype(int) for view in shot.views}
    assert np.abs(views["ground truth"] - picture).max() <= 6
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(views["bicubic"] - views["ground truth"])[inner].mean() < 1.0
    assert np.abs(views["bicubic"] - views["ground truth"])[inner].max() <= 6


def test_pages_show_anamorphic_pictures_at_their_aspect(tmp_path: Path) -> None:
    truth = write_clip(tmp_path / "a.mkv", frames=1, size=SIZE, sample_aspect=(4, 3))
    bench = Bench(truth, BenchOptions(model=("previous",), device="cpu"))
    (shot,) = bench.shots(bench.run())
    assert shot.display_size == (SIZE[0] * 4 // 3, SIZE[1])


def test_bench_and_train_report_the_same_figures(tmp_path: Path) -> None:
    clips = moving_rectangles(4, size=64).clips
    pack = tmp_path / "val.mp4"
    write_sequences(pack, 64, 64, [encode_sequence(clip) for clip in clips])
    rows = "".join(f"val,1,scene{number}\n" for number in range(len(clips)))
    manifest = "split,shippable,content_group\n" + rows
    (tmp_path / "manifest.csv").write_text(manifest)
    trained = train(
        TrainOptions(
            model="previous",
            domain="video",
            data=(str(pack),),
            val=(str(pack),),
            out=str(tmp_path / "run"),
            steps=2,
            device="cpu",
            threads=1,
            patch=8,
            batch=1,
            recipe="ship",
        )
    )
    for degradation in ("video", "clean"):
        options = BenchOptions(
            model=(trained.last,), degrade=degradation, device="cpu", metrics=("psnr",)
        )
        row = Bench(pack, options).run().rows[-1]
        assert row.gain_db is not None
        assert abs(row.gain_db) > 0.01
        assert row.gain_db == pytest.approx(trained.gain_db[degradation], abs=1e-9)


def test_metrics_over_sequences(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    pictures = [
        np.pad(picture, ((0, 64), (0, 32)), mode="reflect") for picture in _detail()
    ]
    report = _baselines(
        _ffv1(tmp_path / "a.mkv", pictures, "gray"),
        metrics=("warp", "psnr", "vmaf_neg", "xpsnr"),
    )
    assert [info.name for info in report.metrics] == [
        "warp",
        "psnr",
        "vmaf_neg",
        "xpsnr",
    ]
    for row in report.rows:
        assert {len(values) for values in row.per_frame.values()} == {6}
        assert math.isnan(row.per_frame["warp"][0])
    assert (
        _row(report, "lanczos").means["vmaf_neg"]
        > _row(report, "nearest").means["vmaf_neg"]
    )
    assert json.dumps(report.as_json(), allow_nan=False)


def test_every_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = _ffv1(tmp_path / "a.mkv", _detail(2), "gray")
    endings = {"json": "json", "csv": "csv", "plot": "png", "html": "html"}
    files = {kind: tmp_path / f"out.{ending}" for kind, ending in endings.items()}
    arguments = ["bench", str(truth), "-m", "delta", "-d", "cpu"] + [
        part for kind, file in files.items() for part in (f"--{kind}", str(file))
    ]
    assert _run(arguments) == 0
    printed = capsys.readouterr().out
    assert "delta:" in printed
    assert "bicubic" in printed
    assert "peak" in printed
    assert json.loads(files["json"].read_text())["frames"] == 2
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert len(rows) == 2 * 4
    assert {row["method"] for row in rows} > {"nearest", "bicubic", "lanczos"}
    assert files["plot"].read_bytes().startswith(b"\x89PNG")
    assert "<html" in files["html"].read_text()
    before = files["json"].read_text()
    assert _run(arguments) == 1
    assert "replace it with -y" in capsys.readouterr().err
    assert files["json"].read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--degrade", "crf:60"], "crf:N with N from 0 to 51"),
        (["--degrade", "blurry"], "choose clean"),
        (["--degrade", "none"], "give it with --lr"),
        (["--degrade", "crf:20", "--lr", "y.mkv"], "omit --degrade crf:20"),
        (["b.mkv", "--lr", "y.mkv"], "one GT"),
        (["b.mkv", "--compare", "y.mkv"], "one GT"),
        (["--metrics", "psnr,beauty"], "unknown metric 'beauty'"),
        (["--metrics", ","], "no metric"),
        (["--crop", "30"], "smaller --crop"),
        (["--range", "0"], "makes no sense"),
        (["--compare", "x.mkv", "-m", "delta"], "omit --model"),
        (["--compare", "x.mkv", "--lr", "y.mkv"], "omit --lr"),
        (["--json", "nowhere/x.json"], "no folder"),
        (["--json", "-", "--csv", "-"], "only one"),
        (["--lr", "missing.mkv"], "no such file"),
        (["-m", "nothing"], "unknown model"),
        (["--degrade", "video"], "training packs only"),
        (["--compare", "x.mkv", "--degrade", "video"], "training packs only"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    truth = _ffv1(tmp_path / "a.mkv", _detail(1), "gray")
    assert _run(["bench", str(truth), "--no-progress", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_frames_that_both_methods_restore_exactly_are_no_gain(tmp_path: Path) -> None:
    flat = [np.full(SIZE[::-1], 60, np.uint8), _detail(1)[0]]
    report = _baselines(_ffv1(tmp_path / "a.mkv", flat, "gray"))
    assert _row(report, "bicubic").means["psnr"] == math.inf
    lanczos = _row(report, "lanczos")
    assert lanczos.gain_db == pytest.approx(
        (lanczos.per_frame["psnr"][1] - _row(report, "bicubic").per_frame["psnr"][1])
        / 2
    )
    assert json.dumps(report.as_json(), allow_nan=False)


def test_options_stand_alone() -> None:
    with pytest.raises(OptionError):
        replace(BenchOptions(), frames=0)


def test_texture_is_restored_well(tmp_path: Path) -> None:
    """A smooth picture comes back nearly whole: nothing is shifted by half a pixel on the way."""
    pictures = [texture(number, SIZE) for number in range(2)]
    report = _baselines(_ffv1(tmp_path / "a.mkv", pictures, "gray"))
    assert _row(report, "bicubic").means["psnr"] > 40
