"""What ``vsr bench`` scores and writes: networks, frames, files, and a table for 80 columns."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend
from rich.cells import cell_len

from vsrcli.bench.benchmark import Bench, _check_pack_options
from vsrcli.bench.excerpts import WHOLE, Excerpt, from_start, spread
from vsrcli.bench.methods import selected_models
from vsrcli.bench.page import render
from vsrcli.bench.report import BenchReport, BenchRow
from vsrcli.bench.scores import Scores
from vsrcli.bench.source import Source
from vsrcli.bench.truth import truth_cases
from vsrcli.cli import _run
from vsrcli.cli.bench_tables import print_mean, print_report
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OptionError
from vsrcli.images.stills import encode_picture
from vsrcli.models import MODELS
from vsrcli.models.weights import locate
from vsrcli.options import BenchOptions
from vsrcli.picture.resize import half


def _named(*models: str, **options: Any) -> list[str]:
    chosen = selected_models(BenchOptions(model=models, **options))
    return [f"{Path(model).name}:{domain}" for model, domain in chosen]


class TestNetworks:
    def test_by_default(self) -> None:
        """The weights that fit, and of the fast network those that `upscale` takes as well."""
        names = _named()
        assert names[-2:] == ["lite:clean", "lite:video"]
        assert "delta:clean" in names
        assert "delta:video" not in names
        assert "lite:clean" not in _named(degrade="crf:23")
        assert _named("lite") == ["lite:clean", "lite:video"]
        assert _named("lite", domain="clean") == ["lite:clean"]

    def test_the_same_weights_run_once(self, tmp_path: Path) -> None:
        assert _named("lite", "lite:video", degrade="crf:23") == ["lite:video"]
        assert _named("delta", "delta:clean", "delta:video") == [
            "delta:clean",
            "delta:video",
        ]
        own = Path(shutil.copy(locate("lite", "video"), tmp_path / "own.safetensors"))
        (tmp_path / "link.safetensors").symlink_to(own)
        names = [str(own), str(tmp_path / "link.safetensors"), str(own)]
        assert _named(*names) == ["own.safetensors:None"]
        assert _named("lite:video", str(own)) == ["lite:video"]

    def test_compressed_footage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its own weights where there are any, else those for ordinary footage."""
        monkeypatch.setattr(
            "vsrcli.bench.methods.locate",
            lambda model, domain: locate(model, domain and "video"),
        )
        for domains, expected in (
            (("video", "clean"), None),
            (("video", "clean", "compressed"), "compressed"),
        ):
            spec = MODELS["lite"]
            monkeypatch.setitem(MODELS, "lite", _with_domains(spec, domains))
            for degrade in ("compressed", "crf:32"):
                options = BenchOptions(model=("lite",), degrade=degrade)
                assert selected_models(options) == [("lite", expected)]
            options = BenchOptions(model=("lite",), degrade="crf:23")
            assert selected_models(options) == [("lite", "video")]

    def test_without_weights(self) -> None:
        with pytest.raises(OptionError, match=r"'previous': choose --domain clean or"):
            _named("previous:video")
        with pytest.raises(OptionError, match=r"choose --domain video or clean"):
            _named("lite:blur3")
        with pytest.raises(OptionError, match="unknown model 'lit'"):
            _named("lit")

    def test_a_domain_that_no_network_has(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, spec in MODELS.items():
            monkeypatch.setitem(MODELS, name, _with_domains(spec, ("clean",)))
        with pytest.raises(OptionError, match=r"for any network: choose .*clean"):
            _named(domain="compressed")

    def test_what_is_missing_is_said_before_the_work(self, tmp_path: Path) -> None:
        truth = write_clip(tmp_path / "a.mkv", frames=3, size=(96, 64))
        with pytest.raises(OptionError, match="unknown model"):
            Bench(truth, BenchOptions(model=("nothing",)))


def _with_domains(spec: Any, domains: tuple[str, ...]) -> Any:
    return replace(spec, domains=domains)


class TestDegradations:
    @pytest.mark.parametrize("name", ["video", "compressed"])
    def test_random_ones_are_for_packs(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        truth = write_clip(tmp_path / "a.mkv", frames=3, size=(96, 64))
        assert _run(["bench", str(truth), "--degrade", name]) == 2
        assert f"--degrade {name} is random for each clip" in capsys.readouterr().err

    def test_a_pack_is_compressed_hard(self, tmp_path: Path) -> None:
        from vsrcli.clips.prepare import prepare
        from vsrcli.options import TrainOptions

        rng = np.random.default_rng(3)
        wide = rng.integers(30, 220, (20, 50)).repeat(8, 0).repeat(8, 1)
        pictures = []
        for number in range(40):
            picture = wide[:128, number : number + 128].astype(np.uint8)
            pictures.append(np.ascontiguousarray(picture))
        clip = write_clip(
            tmp_path / "a.mkv", pictures=pictures, codec="ffv1", pix_fmt="gray"
        )
        options = TrainOptions(data=(str(clip),), prepare=str(tmp_path / "pack"))
        prepare(options)
        truth = tmp_path / "pack" / "val.mp4"
        psnrs = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vsrcli.bench.passes.networks", lambda options: [])
            for degrade in ("clean", "compressed"):
                report = Bench(truth, BenchOptions(degrade=degrade, area=96)).run()
                psnrs[degrade] = report.rows[1].means["psnr"]
                assert ("crf 26 to 40" in report.degradation) == (degrade != "clean")
        assert psnrs["compressed"] < psnrs["clean"] - 0.5

    def test_unknown_ones(self) -> None:
        with pytest.raises(OptionError, match="training pack video or compressed"):
            BenchOptions(degrade="dirty")


def _bicubic(path: Path, **options: Any) -> BenchReport:
    """Without networks: what is tested does not need them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsrcli.bench.passes.networks", lambda options: [])
        return Bench(path, BenchOptions(**options)).run()


def _figures(report: BenchReport, metric: str = "psnr") -> dict[float, float]:
    """Those of bicubic by time."""
    values = report.rows[1].per_frame[metric]
    return dict(zip(report.times, values, strict=True))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with five scenes."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return write_clip(path, frames=100, size=(96, 64), scenes=5)


class TestFrames:
    def test_spread_over_the_film(self, film: Path) -> None:
        """In ten places, each scored as in a pass over the whole film."""
        report = _bicubic(film, frames=30, metrics=("psnr",))
        assert report.frames == 30
        assert report.places == report.as_json()["places"] == 10
        numbers = [round(time * 25) for time in report.times]
        starts = numbers[::3]
        assert [start // 10 for start in starts] == list(range(10))
        expected = [start + step for start in starts for step in range(3)]
        assert numbers == expected
        whole = _figures(_bicubic(film, metrics=("psnr",)))
        assert len(whole) == 100
        assert _figures(report).items() <= whole.items()

    def test_windows_are_those_of_the_whole_film(self, film: Path) -> None:
        def windows_of(excerpts: list[Excerpt]) -> dict[float, list[float]]:
            return {
                float(case.truth.time or 0): [float(each.time) for each in case.window]
                for case in truth_cases(Source(film), "clean", None, excerpts)
            }

        found = windows_of(spread(20, 100, 25.0))
        assert len(found) == 20
        assert found.items() <= windows_of([WHOLE]).items()
        near_cuts = windows_of(from_start(Fraction("0.76"), 4, 25.0))
        assert near_cuts.items() <= windows_of([WHOLE]).items()
        assert any(len(set(window)) < 5 for window in near_cuts.values())

    def test_few_frames_are_single_ones(self, film: Path) -> None:
        report = _bicubic(film, frames=4, metrics=("psnr",))
        assert report.places == 4
        numbers = [round(time * 25) for time in report.times]
        assert [number // 25 for number in numbers] == [0, 1, 2, 3]

    def test_metrics_of_sequences_get_runs_and_begin_anew(self, film: Path) -> None:
        report = _bicubic(film, frames=15, metrics=("psnr", "warp"))
        assert report.places == 3
        values = report.rows[1].per_frame["warp"]
        missing = [number for number, value in enumerate(values) if math.isnan(value)]
        assert missing == [0, 5, 10]
        mean = np.nanmean(values)
        assert report.rows[1].means["warp"] == pytest.approx(mean)
        whole = _figures(_bicubic(film, metrics=("psnr", "warp")), "warp")
        for time, value in _figures(report, "warp").items():
            assert math.isnan(value) or value == whole[time]

    def test_from_a_time_on(self, film: Path) -> None:
        whole = _figures(_bicubic(film, metrics=("psnr",)))
        report = _bicubic(film, start=Fraction(3), frames=6, metrics=("psnr",))
        assert report.places == 1
        assert [round(time * 25) for time in report.times] == list(range(75, 81))
        assert _figures(report).items() <= whole.items()
        rest = _bicubic(film, start=Fraction(3), metrics=("psnr",))
        assert rest.frames == 25
        first = _bicubic(film, start=Fraction(0), frames=3, metrics=("psnr",))
        assert first.times == [0, 0.04, 0.08]
        with pytest.raises(InputError, match=r"no frame from 9 s: the video lasts 4"):
            _bicubic(film, start=Fraction(9))

    def test_of_a_folder(self, film: Path, tmp_path: Path) -> None:
        frames = tmp_path / "frames"
        assert _run(["extract", str(film), str(frames), "--end", "2", "-q"]) == 0
        whole = _bicubic(frames, metrics=("psnr",)).rows[1].per_frame["psnr"]
        assert len(whole) == 50
        part = _bicubic(frames, frames=5, metrics=("psnr",))
        assert part.places == 5
        assert part.rows[1].per_frame["psnr"] == whole[4::10]
        with pytest.raises(OptionError, match=r"no times: --start 0 begins"):
            _bicubic(frames, start=Fraction(1))
        start = _bicubic(frames, start=Fraction(0), frames=2, metrics=("psnr",))
        assert start.rows[1].per_frame["psnr"] == whole[:2]

    @pytest.mark.parametrize("as_pictures", [False, True])
    def test_of_two_files(self, as_pictures: bool, film: Path, tmp_path: Path) -> None:
        """A given low resolution, or a result, is taken from the same places."""
        low = tmp_path / "low.mkv"
        with VideoReader(probe(film)) as reader:
            lows = [half(frame.luma.astype(np.float32)) for frame in reader]
        pictures = [
            np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in lows
        ]
        write_clip(low, pictures=pictures, codec="ffv1", pix_fmt="gray")
        given = low
        if as_pictures:
            given = tmp_path / "frames"
            given.mkdir()
            for number, picture in enumerate(pictures):
                (given / f"{number:04}.png").write_bytes(
                    encode_picture(picture, ".png")
                )
        made = _bicubic(film, frames=20, metrics=("psnr",))
        report = _bicubic(film, lr=str(given), frames=20, metrics=("psnr",))
        assert report.places == 10
        assert _figures(report) == _figures(made)
        options = BenchOptions(compare=str(film), frames=20, metrics=("mse",))
        compared = Bench(film, options).run()
        assert compared.times == made.times
        assert compared.rows[0].means["mse"] == 0

    def test_compression_begins_before_an_excerpt(
        self, film: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first frame of each is not the one that an encoder spends most on."""
        clean = truth_cases(Source(film), "clean", None, [WHOLE])
        exact = {case.truth.time: case.window[2].luma.astype(int) for case in clean}

        def losses(excerpts: list[Excerpt]) -> dict[Any, float]:
            found = {}
            for case in truth_cases(Source(film), "crf:35", None, excerpts):
                time = case.truth.time
                found[time] = float(np.abs(exact[time] - case.window[2].luma).mean())
            return found

        excerpts = spread(10, 100, 25.0)
        part = losses(excerpts)
        whole = losses([WHOLE])
        monkeypatch.setattr("vsrcli.bench.truth._CRF_MARGIN", 2)
        too_short = losses(excerpts)
        assert len(part) == len(too_short) == 10
        expected = sum(whole[time] for time in part)
        error = abs(sum(part.values()) - expected)
        assert error < 0.5 * abs(sum(too_short.values()) - expected)

    def test_not_of_a_pack(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="single frames: omit it"):
            _check_pack_options(BenchOptions(start=Fraction(0)))


def _at_rate(path: Path, rate: int, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=rate)
        stream.width = 96
        stream.height = 64
        stream.pix_fmt = "gray"
        for number in range(count):
            content = texture(number, (96, 64))
            frame = av.VideoFrame.from_ndarray(content, format="gray")
            frame.pts = number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class TestOtherRates:
    """What `vsr upscale` makes by default of 28 frames/s cannot be compared with it."""

    @pytest.mark.parametrize("count", [20, 56])
    @pytest.mark.parametrize(
        "options",
        [{}, {"frames": 4}, {"start": Fraction(0)}, {"start": Fraction(1, 10)}],
    )
    def test_the_refusal_names_the_way_out(
        self, count: int, options: dict[str, Any], tmp_path: Path
    ) -> None:
        truth = tmp_path / "truth.mkv"
        result = tmp_path / "result.mkv"
        for path, rate in ((truth, 28), (result, 30)):
            _at_rate(path, rate, count * rate // 28)
        with pytest.raises(
            InputError,
            match=r"result.mkv has 30\S* frames/s and .*truth.mkv 28.*--fps source",
        ):
            Bench(truth, BenchOptions(compare=str(result), **options)).run()


class TestFiles:
    @pytest.fixture
    def truth(self, tmp_path: Path) -> str:
        return str(write_clip(tmp_path / "a.mkv", frames=3, size=(96, 64)))

    @pytest.mark.parametrize(
        ("flag", "name", "ending"),
        [
            ("--html", "r.txt", ".html"),
            ("--plot", "r.xyz", ".png"),
            ("--plot", "r", ".png"),
            ("--json", "r.csv", ".json"),
            ("--csv", "r.json", ".csv"),
        ],
    )
    def test_other_endings_are_refused(
        self,
        flag: str,
        name: str,
        ending: str,
        truth: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file = tmp_path / name
        assert _run(["bench", truth, "--compare", truth, flag, str(file)]) == 2
        assert f"{file}: its name must end in {ending}" in capsys.readouterr().err
        assert not file.exists()

    def test_fitting_endings_are_written(
        self, truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["bench", truth, "--compare", truth, "-q"]
        files = {"html": "r.HTM", "plot": "r.PNG", "csv": "r.Csv", "json": "r.json"}
        for kind, name in files.items():
            words += [f"--{kind}", str(tmp_path / name)]
        # that of another program, under the name that temporary files once had
        (tmp_path / ".r.json.part").write_text("mine")
        assert _run(words) == 0
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == sorted([*files.values(), ".r.json.part", "a.mkv"])
        assert (tmp_path / ".r.json.part").read_text() == "mine"

    def test_a_file_that_appears_meanwhile_is_kept(
        self,
        truth: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file = tmp_path / "r.json"
        score = Bench.run

        def slow(bench: Bench, *given: Any) -> BenchReport:
            file.write_text("mine")
            return score(bench, *given)

        monkeypatch.setattr(Bench, "run", slow)
        words = ["bench", truth, "--compare", truth, "-q", "--json", str(file)]
        assert _run(words) == 1
        assert "r.json exists" in capsys.readouterr().err
        assert file.read_text() == "mine"


def _report(name: str) -> BenchReport:
    means = {"mse": 123.4567, "psnr": 32.14, "ssim": 0.9119}
    options = BenchOptions()
    with Scores(options, width=96, height=64, crop=8, rate=25) as scores:
        infos = scores.infos
    baseline = BenchRow("bicubic", True, means, {}, 0.0, None, 345.6, 1234.5)
    network = BenchRow(name, False, means, {}, -12.34, 0.21, 0.04123, 12345.6)
    return BenchReport(
        ground_truth="film.mp4",
        protocol="vsr",
        degradation="antialiased bicubic half size",
        width=1920,
        height=1080,
        frames=50,
        crop=8,
        data_range=255.0,
        metrics=infos,
        rows=(baseline, network),
    )


def test_tables_fit_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = _report("5-parallel:video")
    print_report(report)
    print_mean([report, report])
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("film.mp4: 1920x1080, 50 frames, antialiased")
    assert max(map(cell_len, lines)) <= 80
    row = next(line for line in lines if line.startswith("5-parallel:video"))
    assert row.split() == [
        "5-parallel:video",
        "123.457",
        "32.14",
        "0.9119",
        "-12.34",
        "+0.21",
        "0.0412",
        "12346",
    ]
    heading = "\n".join(lines[: lines.index(row)])
    for word in ("over", "bicubic", "temporal", "gain", "dB", "frames/s", "peak"):
        assert word in heading


def test_places_are_told() -> None:
    report = replace(_report("lite:clean"), places=10)
    assert report.extent == "50 frames in 10 places"
    assert "50 frames in 10 places" in render(report, [])


def test_strength_is_that_of_upscale(tmp_path: Path) -> None:
    """At 0, a network is bicubic interpolation, to the bit."""
    truth = write_clip(tmp_path / "a.mkv", frames=3, size=(96, 64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "vsrcli.bench.methods.open_backend", lambda *given, **named: FakeBackend()
        )
        report = Bench(truth, BenchOptions(model=("delta",), strength=0)).run()
    rows = {row.name: row.per_frame["psnr"] for row in report.rows}
    assert rows["delta:None 0"] == rows["bicubic"]
