"""Networks as ONNX files: their results, their metadata, and the backends that run them."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from vsrcli import backends
from vsrcli.backends import Float, open_backend
from vsrcli.backends.onnx import OnnxBackend, run_graph
from vsrcli.backends.onnx_graphs import load_graph, load_graph_pieces
from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import BackendError, ModelError, OptionError, OutputError
from vsrcli.frame import ColorTags
from vsrcli.jobs.export import TOLERANCE, export_model
from vsrcli.jobs.upscale import upscale
from vsrcli.jobs.vapoursynth import vapoursynth_script
from vsrcli.models import MODELS
from vsrcli.models.export import _PixelShuffleUpsampling, _TanhRange
from vsrcli.models.graph import read_graph
from vsrcli.models.layers import OutputRange
from vsrcli.options import EncoderOptions, ExportOptions, UpscaleOptions
from vsrcli.pipeline.network import LumaNetwork, upscale_luma

LITE = MODELS["lite"]


def window(height: int, width: int, batch: int = 1, planes: int = 5) -> Float:
    noise = np.random.default_rng(height).uniform(
        16, 235, (batch, planes, height, width)
    )
    return noise.astype(np.float32)


@pytest.mark.parametrize("layout", ["sliced", "conv3d"])
@pytest.mark.parametrize("model", MODELS)
def test_a_graph_gives_what_pytorch_gives(
    tmp_path: Path, model: str, layout: str
) -> None:
    target = tmp_path / "o.onnx"
    domain = MODELS[model].domains[0]
    options = ExportOptions(model=model, domain=domain, layout=layout)  # type: ignore[arg-type]
    report = export_model(target, options)
    assert report.max_difference < TOLERANCE["fp32"]
    assert report.bytes == target.stat().st_size
    reference = open_backend("torch", model, domain, device="cpu", precision=None)
    graph = open_backend("onnx", str(target), None, device="cpu", precision=None)
    for size in ((9, 17), (22, 12)):
        for batch in (1, 3):
            given = window(*size, batch, MODELS[model].planes)
            expected = reference.run(given)
            found = graph.run(given)
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < TOLERANCE["fp32"]


def test_a_graph_says_what_it_is(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    export_model(target, ExportOptions(domain="clean"))
    properties = {item.key: item.value for item in onnx.load(target).metadata_props}
    assert json.loads(properties["vsr"])["domain"] == "clean"
    assert (
        properties["scale"],
        properties["radius"],
        properties["trim"],
        properties["vsr_layout"],
    ) == ("2", "2", "2", "sliced")
    graph = read_graph(target)
    assert (graph.info.model, graph.info.luma_scale) == ("delta", "limited")
    given = onnx.load(target).graph.input[0]
    made = onnx.load(target).graph.output[0]
    assert [
        side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim
    ] == ["batch", 5, "height", "width"]
    assert [side.dim_param for side in made.type.tensor_type.shape.dim] == [
        "batch",
        "doubled_height",
        "doubled_width",
    ]


@pytest.mark.parametrize("model", MODELS)
def test_a_graph_of_ours_gives_parts_of_a_picture_their_bits(model: str) -> None:
    assert load_graph(model, None, "conv3d").is_local


@pytest.mark.parametrize("operator", ["ConvTranspose", "Sigmoid"])
def test_parts_of_an_older_graph_are_not_reused(tmp_path: Path, operator: str) -> None:
    """These two have been found to depend on the size of the picture."""
    model = onnx.load_from_string(load_graph("lite", "clean", "sliced").content)
    graph = model.graph
    result = model.graph.output[0].name
    for node in graph.node:
        node.output[:] = ["before" if name == result else name for name in node.output]
    taps = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "taps")
    if operator == "Sigmoid":
        graph.node.append(onnx.helper.make_node("Sigmoid", ["before"], [result]))
    else:
        graph.initializer.extend(
            [taps, onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")]
        )
        graph.node.append(
            onnx.helper.make_node("Unsqueeze", ["before", "axis"], ["deep"])
        )
        graph.node.append(
            onnx.helper.make_node("ConvTranspose", ["deep", "taps"], ["taken"])
        )
        graph.node.append(onnx.helper.make_node("Squeeze", ["taken", "axis"], [result]))
    (tmp_path / "old.onnx").write_bytes(model.SerializeToString())
    assert not read_graph(tmp_path / "old.onnx").is_local
    for name in ("onnx", "openvino"):
        if name == "openvino":
            pytest.importorskip("openvino")
        backend = open_backend(
            name, str(tmp_path / "old.onnx"), None, device="cpu", precision=None
        )
        assert not backend.exact_parts
        assert backend.run(window(20, 24, planes=LITE.planes)).shape == (1, 40, 48)


def test_the_forms_that_graphs_have_are_those_of_the_network() -> None:
    """In float64, so that nothing but a mistake could differ."""
    torch.manual_seed(3)
    given = torch.rand(2, 5, 7, 9, dtype=torch.float64)
    layer = torch.nn.ConvTranspose2d(5, 3, 4, stride=2, padding=1).double()
    assert torch.allclose(
        _PixelShuffleUpsampling(layer)(given), layer(given), rtol=0, atol=1e-12
    )
    control = OutputRange(16, 235)
    assert torch.allclose(
        _TanhRange(control)(given * 900 - 450),
        control(given * 900 - 450),
        rtol=0,
        atol=1e-12,
    )


def test_half_precision_is_smaller_and_close(tmp_path: Path) -> None:
    full, half = (
        export_model(tmp_path / f"{precision}.onnx", ExportOptions(precision=precision))
        for precision in ("fp32", "fp16")
    )
    assert half.bytes < 0.7 * full.bytes
    assert full.max_difference < half.max_difference < TOLERANCE["fp16"]


def test_a_graph_for_vapoursynth_takes_whole_pictures(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    report = export_model(target, ExportOptions(runner="vs-mlrt"))
    assert report.max_difference < TOLERANCE["fp32"]
    found = run_graph(target.read_bytes(), np.full((1, 5, 24, 32), 0.5, np.float32))
    assert found.shape == (1, 1, 48, 64)
    assert np.abs(found - 0.5).max() < 0.02
    script = (tmp_path / "o.vpy").read_text()
    compile(script, "o.vpy", "exec")
    assert "o.onnx" in script
    assert "range(-2, 2 + 1)" in script
    with pytest.raises(ModelError, match="exported for vs-mlrt"):
        OnnxBackend(str(target))


@pytest.mark.parametrize(
    "name",
    [
        "o",
        "it's",
        'a"b',
        '"); import os; os.system("touch owned"); ("',
        '"""\nimport os\n"""',
        "back\\slash\\",
        "new\nline",
        "{graph}",
        "\udcff.é.\u202e",
        "'\"\\",
    ],
)
def test_no_name_becomes_code_in_the_script(name: str) -> None:
    script = vapoursynth_script(f"{name}.vpy", f"{name}.onnx", 2)
    script.encode()
    plain = vapoursynth_script("o.vpy", "o.onnx", 2)
    tree = ast.parse(script)
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert f"{name}.onnx" in texts
    command = f"vspipe -c y4m {shlex.quote(name + '.vpy')} - | ffmpeg"
    assert any(command in text for text in texts)
    assert len(list(ast.walk(tree))) == len(list(ast.walk(ast.parse(plain))))


def test_a_network_with_motion_is_not_for_vapoursynth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A player hands over frames, and cannot sample them along their motion."""
    target = tmp_path / "o.onnx"
    line = ["export", str(target), "--model", "lite", "--domain", "clean"]
    assert _run([*line, "--target", "vs-mlrt"]) != 0
    output = capsys.readouterr()
    assert output.out == ""
    (message,) = output.err.strip().splitlines()
    assert "lite takes neighbours that vsr samples along their motion" in message
    assert "vs-mlrt cannot do" in message
    assert "export one of delta, 5-parallel, previous" in message
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelError, match="export one of delta, 5-parallel, previous"):
        export_model(
            target, ExportOptions(model="lite", domain="clean", runner="vs-mlrt")
        )
    assert list(tmp_path.iterdir()) == []


def test_a_network_with_motion_is_exported_with_a_note_of_its_planes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "o.onnx"
    line = ["export", str(target), "--model", "lite", "--domain", "clean"]
    assert _run([*line, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["notes"]
    assert "takes 21 planes, not 5 frames" in said
    assert "delta, 5-parallel, previous" in said
    assert _run([*line, "-y"]) == 0
    assert "21 planes" in " ".join(capsys.readouterr().err.split())
    taken = onnx.load(target).graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in taken] == [
        "batch",
        21,
        "height",
        "width",
    ]
    properties = {item.key: item.value for item in onnx.load(target).metadata_props}
    assert (properties["scale"], properties["radius"], properties["trim"]) == (
        "2",
        "2",
        "0",
    )
    plain = ExportOptions(model="previous", domain="clean")
    assert export_model(tmp_path / "plain.onnx", plain).notes == []


def test_a_file_with_motion_upscales_as_its_checkpoint_does(
    tmp_path: Path, moving_clip: Path
) -> None:
    """In ONNX Runtime: the graph of the file is the one that is made of the checkpoint."""
    target = tmp_path / "lite.onnx"
    export_model(target, ExportOptions(model="lite", domain="clean"))
    encoder = EncoderOptions(codec="ffv1")
    options = UpscaleOptions(
        backend="onnx", device="cpu", end=Fraction(1, 3), encoder=encoder
    )
    by_file = replace(options, model=str(target))
    of_file = upscale(moving_clip, tmp_path / "file.mkv", by_file)
    by_name = replace(options, model="lite", domain="clean")
    of_name = upscale(moving_clip, tmp_path / "name.mkv", by_name)
    assert (of_file.backend, of_file.model, of_file.domain) == ("onnx", "lite", "clean")
    assert "motion" in of_file.stages
    assert of_file.frames_out == of_name.frames_out > 5
    with (
        VideoReader(probe(tmp_path / "file.mkv")) as file,
        VideoReader(probe(tmp_path / "name.mkv")) as name,
    ):
        for one, other in zip(file, name, strict=True):
            assert np.array_equal(one.luma, other.luma)
    # and through the network alone, against PyTorch
    with VideoReader(probe(moving_clip)) as reader:
        window_of_frames = tuple(
            frame for frame, _ in zip(reader, range(5), strict=False)
        )
    lumas = []
    for backend, model in (("onnx", str(target)), ("onnx", "lite"), ("torch", "lite")):
        domain = None if model == str(target) else "clean"
        network = LumaNetwork(
            open_backend(backend, model, domain, device="cpu", precision="fp32")
        )
        lumas.append(upscale_luma(window_of_frames, network, ColorTags()).astype(int))
    assert np.array_equal(lumas[0], lumas[1])
    assert np.abs(lumas[0] - lumas[2]).max() <= 1  # rounded to codes


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_upscaling_with_a_file(tmp_path: Path, moving_clip: Path, name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    target = tmp_path / "delta.onnx"
    export_model(target, ExportOptions())
    report = upscale(
        moving_clip,
        tmp_path / "o.mp4",
        UpscaleOptions(
            model=str(target), backend=name, device="cpu", end=Fraction(1, 6)
        ),
    )
    assert (report.backend, report.model, report.domain) == (name, "delta", "video")
    plain = upscale(
        moving_clip,
        tmp_path / "p.mp4",
        UpscaleOptions(backend="torch", device="cpu", end=Fraction(1, 6)),
    )
    assert plain.backend == "torch"
    assert report.frames_out == plain.frames_out


def test_the_graph_of_a_checkpoint_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = load_graph("previous", "clean", "sliced")
    (kept,) = (tmp_path / "vsr").iterdir()
    assert kept.read_bytes().endswith(first.content)
    monkeypatch.setattr(
        "vsrcli.models.export.export", lambda *_, **__: pytest.fail("it was kept")
    )
    assert load_graph("previous", "clean", "sliced").content == first.content
    # one bit of a weight: the graph would run, and give other frames
    damaged = bytearray(kept.read_bytes())
    damaged[len(damaged) // 2] ^= 64
    kept.write_bytes(damaged)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_graph("previous", "clean", "sliced").content == first.content
    assert kept.read_bytes().endswith(first.content)


def test_a_kept_graph_needs_no_pytorch() -> None:
    """Its import takes seconds, which a second run need not wait for."""
    load_graph_pieces("previous", "clean", "sliced")
    code = (
        "import sys\n"
        "from vsrcli.backends import open_backend\n"
        "open_backend('onnx', 'previous', 'clean', device='cpu', precision=None)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_cache_that_cannot_be_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load_graph("previous", "clean", "sliced").info.model == "previous"


def test_what_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    assert backends._choose_backend("delta", "cpu") == "onnx"
    assert backends._choose_backend("delta", "cuda:1") == "torch"
    assert backends._choose_backend("a.onnx", "cuda") == "onnx"
    monkeypatch.setattr(backends, "find_spec", lambda name: object())
    assert backends._choose_backend("delta", "cpu") == "openvino"
    assert backends._choose_backend("a.onnx", "cpu") == "openvino"


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rubbish.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="not a complete ONNX file"):
        read_graph(tmp_path / "rubbish.onnx")
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])),
        tmp_path / "other.onnx",
    )
    with pytest.raises(ModelError, match="without vsr's header"):
        read_graph(tmp_path / "other.onnx")
    with pytest.raises(BackendError, match="is a graph: PyTorch runs checkpoints"):
        open_backend(
            "torch", str(tmp_path / "other.onnx"), None, device="cpu", precision=None
        )
    with pytest.raises(BackendError, match=r"has no CUDA|fell back|does not accept"):
        OnnxBackend("delta", device="cuda")
    for device in ("tpu", "cuda:x"):
        with pytest.raises(OptionError, match="unknown device"):
            OnnxBackend("delta", device=device)
    with pytest.raises(BackendError, match="the file determines the precision"):
        OnnxBackend("delta", precision="fp16")
    with pytest.raises(OutputError, match=r"ends in \.onnx"):
        export_model(tmp_path / "o.bin")
    with pytest.raises(OutputError, match="-y replaces it"):
        export_model(tmp_path / "other.onnx")
    with pytest.raises(OutputError, match="no folder"):
        export_model(tmp_path / "no" / "o.onnx")
    with pytest.raises(ModelError, match="exported already"):
        export_model(
            tmp_path / "o.onnx", ExportOptions(model=str(tmp_path / "other.onnx"))
        )
    with pytest.raises(OptionError, match="unknown layout"):
        ExportOptions(layout="flat")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(OptionError, match="unknown backend"):
        UpscaleOptions(backend="tpu")
    assert (
        _run(
            [
                "export",
                str(tmp_path / "o.onnx"),
                "-m",
                "previous",
                "--domain",
                "clean",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["model"] == "previous"
    assert _run(["export", str(tmp_path / "o.onnx")]) == 1
    assert "-y replaces it" in capsys.readouterr().err


def test_a_graph_that_is_off_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCE, "fp32", 1e-9)
    with pytest.raises(OutputError, match="differs from PyTorch"):
        export_model(tmp_path / "o.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["lite", "previous"])
def test_openvino_compiles_sizes_that_come_again_by_themselves(model: str) -> None:
    """The same bits, and memory for two of the largest at most; of one graph and of several."""
    pytest.importorskip("openvino")
    backend = open_backend("openvino", model, "clean", device="cpu", precision=None)
    compiled = backend._compiled[-1]  # type: ignore[attr-defined]
    planes = MODELS[model].planes
    large = window(40, 50, planes=planes)
    first = backend.run(large)
    assert not compiled._fixed
    assert np.array_equal(backend.run(large), first)
    assert len(compiled._fixed) == 1
    for height in range(20, 40):
        for _ in range(2):
            backend.run(window(height, 50, planes=planes))
        assert sum(pixels for _, pixels in compiled._fixed.values()) <= 2 * 40 * 50
    assert 2 <= len(compiled._fixed) <= 4
    assert np.array_equal(backend.run(large), first)
    # The graph for all sizes never runs a size that is large for the machine: it would
    # keep that memory.
    compiled._max_pixels = 20 * 60 * 50
    backend.run(window(60, 50, planes=planes))
    assert 60 * 50 in [pixels for _, pixels in compiled._fixed.values()]


def test_a_graph_of_another_form_of_its_network_is_refused(tmp_path: Path) -> None:
    """What an older version exported for lite takes five frames."""
    model = onnx.load_from_string(load_graph("lite", "clean", "sliced").content)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    path = tmp_path / "old.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        ModelError, match=r"old\.onnx: it takes 5 planes, and lite takes 21"
    ):
        read_graph(path)
