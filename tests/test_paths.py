"""Names that lead nowhere, files that may not be read, and outputs that are inputs."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend
from lossless import LOSSLESS
from rights import without_overrides

from vsrcli.bench.benchmark import Bench
from vsrcli.cli import _run
from vsrcli.errors import InputError, OutputError, VsrError
from vsrcli.frame import ColorTags
from vsrcli.images.stills import encode_picture
from vsrcli.jobs.assemble import assemble
from vsrcli.jobs.batch import upscale_all
from vsrcli.jobs.export import export_model
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.models.weights import locate
from vsrcli.options import (
    AssembleOptions,
    BatchOptions,
    BenchOptions,
    ExportOptions,
    ExtractOptions,
    TrainOptions,
)
from vsrcli.paths import check_source, output_name, refuse_inputs
from vsrcli.verification.verify import verify

_LONG = "n" * 300
_Words = Callable[[str], list[str]]

# Every argument and option of a command that names a file or folder, as `{}`.
_COMMANDS = {
    "upscale IN": "upscale {} o.mkv",
    "upscale OUT": "upscale in.mkv {}",
    "upscale --out-dir": "upscale in.mkv --out-dir {} --codec ffv1",
    "upscale --model": "upscale in.mkv o.mkv --model {}",
    "batch IN": "upscale {} --out-dir out",
    "extract IN": "extract {} o",
    "extract DIR": "extract in.mkv {}",
    "assemble DIR": "assemble {} o.mkv",
    "assemble OUT": "assemble frames {}",
    "assemble --audio-from": "assemble frames o.mkv --audio-from {}",
    "verify IN": "verify {} in.mkv",
    "verify OUT": "verify in.mkv {}",
    "bench GT": "bench {} --frames 1",
    "bench --lr": "bench in.mkv --frames 1 --lr {}",
    "bench --compare": "bench in.mkv --frames 1 --compare {}",
    "bench --csv": "bench in.mkv --compare in.mkv --csv {}",
    "preview IN": "preview {}",
    "preview --png": "preview in.mkv --frames 1 -m lite -y --png {}",
    "preview --model": "preview in.mkv --frames 1 --model {}",
    "info FILE": "info {}",
    "train --data": "train --data {} --out o --steps 1",
    "train --val": "train --data in.mkv --val {} --out o --steps 1",
    "train --out": "train --data none.mkv --out {} --steps 1",
    "train --resume": "train --resume {}",
    "train --init": "train --data in.mkv --init {} --out o --steps 1",
    "train --prepare": "train --data none.mkv --prepare {}",
    "export OUT": "export {}",
    "export --model": "export o.onnx --model {}",
    "demo OUT": "demo {}",
}
# Names that no command takes for anything.
_BAD_NAMES = {
    "empty": "",
    "too long": _LONG + ".mkv",
    "too long a path": "/".join(["n" * 200] * 30) + "/a.mkv",
    "too long a checkpoint": _LONG + ".pth",
    "below a file": "in.mkv/a.mkv",
    "in a folder that may not be searched": "locked/in.mkv",
    "in a circle of links": "loop/a.mkv",
    "root": "/",
    "an address": "https://example.org/a.mkv",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a clip, pictures, and what may not be read."""
    folder = tmp_path_factory.mktemp("paths")
    clip = write_clip(folder / "in.mkv", frames=8, size=(32, 32))
    (folder / "frames").mkdir()
    for number in range(3):
        picture = np.full((32, 32, 3), 40 * number, np.uint8)
        content = encode_picture(picture, ".png", ColorTags())
        (folder / "frames" / f"{number}.png").write_bytes(content)
    (folder / "loop").symlink_to("loop")
    for name in ("locked", "unlisted"):
        (folder / name).mkdir()
        shutil.copy(clip, folder / name / "in.mkv")
    shutil.copy(clip, folder / "unreadable.mkv")
    (folder / "unreadable.mkv").chmod(0)
    (folder / "locked").chmod(0)
    (folder / "unlisted").chmod(0o300)
    yield folder
    (folder / "locked").chmod(0o700)


def _listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*.*")}


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_bad_name_is_one_line(
    command: str,
    files: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    # what would only end in the last line of defence is not said well
    monkeypatch.setattr("vsrcli.cli.reason_of", _not_reached)
    if "train" in command:
        pytest.importorskip("torch")
    with without_overrides():
        before = _names(files)
        for name in _BAD_NAMES.values():
            if name == "/" and "train" in command:
                continue  # a folder like others, and a large one
            words = [word.format(name) for word in _COMMANDS[command].split()]
            status = _run(words)
            error = capfd.readouterr().err
            assert status in (1, 2), (words, error)
            assert error.count("error:") == 1, error
            assert len(error.splitlines()) <= (2 if "--out-dir" in words else 1)
        # the folders that are made before anything is read
        assert _names(files) - {"o", "out"} == before - {"o", "out"}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _not_reached(error: Exception) -> str:
    raise AssertionError("an error of the system reached the command line") from error


@pytest.mark.parametrize("name", ["unreadable.mkv", "unlisted", "locked"])
@pytest.mark.parametrize("command", [name for name in _COMMANDS if "OUT" not in name])
def test_what_may_not_be_read_is_one_line(
    command: str,
    name: str,
    files: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    is_output = command.split()[1] in (
        "DIR",
        "--out",
        "--out-dir",
        "--prepare",
        "--csv",
    )
    if is_output and command != "assemble DIR":
        pytest.skip("this one is written")
    monkeypatch.chdir(files)
    with without_overrides():
        words = [word.format(name) for word in _COMMANDS[command].split()]
        status = _run(words)
    # a model with another ending is an unknown one
    names_a_network = "--model" in words or "--init" in words
    assert status == (2 if names_a_network else 1)
    error = capfd.readouterr().err
    if command == "batch IN":
        error = error.splitlines(keepends=True)[0]
    assert error.count("\n") == 1, error
    assert name in error


def test_a_batch_goes_on(
    files: Path,
    tmp_path: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    bad = ["unreadable.mkv", "locked/x.mkv", "unlisted", _LONG + ".mkv", "none.mkv"]
    words = ["upscale", *bad, "in.mkv", "--out-dir", str(tmp_path), "--codec", "ffv1"]
    with without_overrides():
        assert _run(words) == 1
    error = capfd.readouterr().err
    assert "1 done, 0 skipped, 5 failed" in error
    assert error.count("error:") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_batch_goes_on_after_an_error_that_nobody_foresaw(
    files: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(shutil.copy(files / "in.mkv", tmp_path / "first.mkv"))

    def prepare(source: Path, *rest: object, **named: object) -> object:
        if source == first:
            raise OSError(errno.EIO, "Input/output error", str(source))
        return original(source, *rest, **named)

    import vsrcli.jobs.checked_run as job

    original: Callable[..., object] = vars(job)["prepare"]
    monkeypatch.setattr(job, "prepare", prepare)
    batch = BatchOptions(out_dir=str(tmp_path / "out"))
    items = upscale_all([first, files / "in.mkv"], batch, LOSSLESS)
    assert items[0].error == f"{first}: Input/output error"
    assert items[1].report is not None
    assert _run(["upscale", str(first), str(tmp_path / "o.mkv")]) == 1


def test_the_library_raises_its_own_errors(files: Path, fake: FakeBackend) -> None:
    out = files / "o.mkv"
    with without_overrides():
        for name in ("locked/in.mkv", "unreadable.mkv", _LONG, "a\0b.mkv", "loop"):
            source = files / name
            for call in (
                lambda source=source: upscale(source, out),
                lambda source=source: upscale(files / "in.mkv", source / "o.mkv"),
                lambda source=source: extract(source, files / "o"),
                lambda source=source: assemble(source, out),
                lambda source=source: verify(source, files / "in.mkv"),
                lambda source=source: Bench(source, BenchOptions()),
                lambda source=source: check_source(source),
            ):
                with pytest.raises(VsrError):
                    call()


def test_the_current_folder_is_gone(tmp_path: Path, files: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]);"
        "from vsrcli.cli import _run; sys.exit(max(_run(w.split()) for w in sys.argv[2:]))"
    )
    words = ["info in.mkv", "info .", "upscale in.mkv o.mkv", f"info {files}/in.mkv"]
    environment = {key: value for key, value in os.environ.items() if key != "HOME"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(gone), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 3, done.stderr
    assert "32x32" in done.stdout


@pytest.fixture(params=["itself", "hard link", "link"])
def alias(request: pytest.FixtureRequest, files: Path, tmp_path: Path) -> Path:
    """Another name of ``tmp_path/source.mkv``."""
    source = tmp_path / "source.mkv"
    shutil.copy(files / "in.mkv", source)
    other = tmp_path / "other.mkv"
    if request.param == "itself":
        return source
    if request.param == "link":
        other.symlink_to(source)
    else:
        other.hardlink_to(source)
    return other


def test_no_output_replaces_an_input(
    alias: Path,
    files: Path,
    tmp_path: Path,
    fake: FakeBackend,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "source.mkv"
    content = source.read_bytes()
    frames = files / "frames"
    options = replace(LOSSLESS, overwrite=True)
    sound = AssembleOptions(audio_from=str(source), overwrite=True)
    shutil.copy(files / "in.mkv", tmp_path / "gt.mkv")
    (tmp_path / "in").mkdir()
    first = Path(shutil.copy(files / "in.mkv", tmp_path / "in" / alias.name))
    with pytest.raises(OutputError, match="itself"):
        upscale(source, alias, options)
    with pytest.raises(OutputError, match="itself"):
        assemble(frames, alias, sound)
    truth = str(tmp_path / "gt.mkv")
    for given in ([truth, "--compare"], [truth, "-m", "lite", "--lr"], ["-m", "lite"]):
        words = ["bench", *given, str(source), "-y"]
        for kind in ("--csv", "--json", "--html", "--plot"):
            assert _run([*words, kind, str(alias)]) == 1
            assert "itself" in capfd.readouterr().err
    items = upscale_all([first, source], BatchOptions(out_dir=str(tmp_path)), options)
    assert items[0].error is not None
    assert "is the input" in items[0].error
    for name in (alias, source):
        assert name.read_bytes() == content


def test_bench_does_not_replace_pictures_manifests_and_checkpoints(
    files: Path, tmp_path: Path
) -> None:
    frames = Path(shutil.copytree(files / "frames", tmp_path / "frames"))
    checkpoint = Path(shutil.copy(locate("lite"), tmp_path / "own.safetensors"))
    options = BenchOptions(model=(str(checkpoint),))
    inputs = Bench(frames, options).inputs
    for path in (frames / "1.png", checkpoint):
        with pytest.raises(OutputError, match="itself"):
            refuse_inputs(path, inputs)
    refuse_inputs(frames / "report.csv", inputs)
    inputs = Bench(files / "in.mkv", options).inputs
    assert files / "manifest.csv" in inputs


def test_bench_writes_through_links_and_into_regular_files_only(
    files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    truth = str(files / "in.mkv")
    words = ["bench", truth, "--compare", truth, "--frames", "2", "-y", "-q", "--csv"]
    os.mkfifo(tmp_path / "fifo.csv")
    for name in ("/dev/null", str(tmp_path / "fifo.csv")):
        assert _run([*words, name]) == 1
        assert "not a regular file" in capfd.readouterr().err
    (tmp_path / "report.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("report.csv")
    assert _run([*words, str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert "psnr" in (tmp_path / "report.csv").read_text()


def test_export_does_not_replace_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = Path(shutil.copy(locate("lite"), tmp_path / "own.safetensors"))
    content = checkpoint.read_bytes()
    (tmp_path / "o.onnx").hardlink_to(checkpoint)
    (tmp_path / "p.vpy").hardlink_to(checkpoint)
    options = ExportOptions(model=str(checkpoint), overwrite=True)
    with pytest.raises(OutputError, match="itself"):
        export_model(tmp_path / "o.onnx", options)
    with pytest.raises(OutputError, match="itself"):
        export_model(tmp_path / "p.onnx", replace(options, runner="vs-mlrt"))
    assert checkpoint.read_bytes() == content


def test_training_does_not_replace_what_it_reads(files: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from vsrcli.clips.prepare import prepare
    from vsrcli.training.job import train

    footage = Path(shutil.copytree(files / "frames", tmp_path / "footage"))
    best = Path(shutil.copy(locate("lite"), tmp_path / "best.safetensors"))
    pack = tmp_path / "pack"
    pack.mkdir()
    clip = Path(shutil.copy(files / "in.mkv", pack / "train.mp4"))
    (pack / "train.video.json").write_text("{}")
    options = TrainOptions(data=(str(footage),), out=str(footage), steps=1)
    with pytest.raises(OutputError, match="itself"):
        train(options)
    init = TrainOptions(
        data=(str(footage),),
        model="lite",
        init=str(best),
        out=str(tmp_path),
        steps=1,
    )
    with pytest.raises(OutputError, match="itself"):
        train(init)
    with pytest.raises(OutputError, match="itself"):
        prepare(TrainOptions(data=(str(clip),), prepare=str(pack)))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.safetensors", "footage", "pack"]
    assert clip.read_bytes() == (files / "in.mkv").read_bytes()


def test_extract_replaces_pictures_of_its_own_names_only(
    files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    kept = [
        "frame1.png",
        "frame0000001.png",
        "Frame000001.png",
        "frame000001.PNG",
        "frame000001.jpg",
        "xframe000001.png",
        "frame000001x.png",
        "frame-00001.png",
        "frame٠٠٠٠٠١.png",
        "notes.txt",
    ]
    for name in [*kept, "frame000001.png", "frame000009.png"]:
        (folder / name).write_text(name)
    with pytest.raises(OutputError, match="holds 2 pictures of that name already"):
        extract(files / "in.mkv", folder)
    report = extract(files / "in.mkv", folder, ExtractOptions(overwrite=True))
    for name in [*kept, "frame000009.png"]:
        assert (folder / name).read_text() == name
    others = {path.name for path in folder.iterdir()} - set(kept)
    assert others == {f"frame00000{number}.png" for number in range(1, 10)}
    assert any("an earlier run (frame000009.png)" in line for line in report.notes)


def test_a_folder_of_a_picture_s_name_is_seen_beforehand(
    files: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(files / "frames", tmp_path / "frames"))
    (folder / "frame000002.png").mkdir()
    before = _listing(folder)
    with pytest.raises(OutputError, match=r"frame000002\.png"):
        extract(files / "in.mkv", folder, ExtractOptions(overwrite=True))
    assert _listing(folder) == before


def test_a_picture_is_not_replaced_by_its_own_frames(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    picture = folder / "frame000001.png"
    content = encode_picture(np.zeros((32, 32, 3), np.uint8), ".png", ColorTags())
    picture.write_bytes(content)
    with pytest.raises(OutputError, match="itself"):
        extract(picture, folder, ExtractOptions(overwrite=True))
    with pytest.raises(OutputError, match="itself"):
        upscale(picture, folder, replace(LOSSLESS, overwrite=True))
    assert picture.read_bytes() == content


def test_names_of_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert output_name(Path("x.mkv")) == Path("x.mkv")
    assert output_name(Path("-")) == Path("-")
    assert output_name(Path()) == tmp_path / "a" / "b"
    assert output_name(Path("..")) == tmp_path / "a"
    with pytest.raises(OutputError):
        output_name(Path("/"))
    with pytest.raises(OutputError, match="https://x/y is an address"):
        output_name(Path("https://x/y"))
    with pytest.raises(InputError, match="is a link to none"):
        (tmp_path / "dangling").symlink_to("none")
        check_source(tmp_path / "dangling")
