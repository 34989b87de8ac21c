"""Checkpoint files: ours round-trip, the authors' give their numbers, others are refused."""

from __future__ import annotations

import json
import pickle
import resource
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save as serialize
from safetensors.torch import save_file

from vsrcli.errors import ModelError, OptionError
from vsrcli.models import MODELS
from vsrcli.models import weights as weights_module
from vsrcli.models.checkpoint import (
    _pth_names,
    build,
    count_parameters,
    load,
    save,
)
from vsrcli.models.graph import read_graph
from vsrcli.models.torch_file import read_tensors
from vsrcli.models.weights import (
    METADATA_KEY,
    CheckpointInfo,
    locate,
    read_info,
    sha256,
    verify_checksum,
    weights_file_name,
    weights_folder,
)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delta", {}),
        ("5-parallel", {"width": 24, "low": 16.0, "high": 234.0}),
        ("previous", {}),
    ],
)
def test_round_trip(tmp_path: Path, name: str, arguments: dict[str, float]) -> None:
    network = build(MODELS[name], arguments).eval()
    info = CheckpointInfo(
        name,
        arguments,
        domain="clean",
        recipe="ship",
        step=7,
        gain_db={"clean": 1.5},
        licence="MIT",
        parameters=count_parameters(network),
    )
    save(tmp_path / "a.safetensors", network, info)
    again, read = load(tmp_path / "a.safetensors")
    assert read == info
    assert read_info(tmp_path / "a.safetensors") == info
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (
        tmp_path / "plain"
    ).stat().st_mode, "others may not read it"
    (tmp_path / "plain").unlink()
    window = torch.rand(1, 1, 5, 6, 7) * 255
    with torch.no_grad():
        assert torch.equal(again(window), network(window))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("file", "golden", "parameters"),
    [
        ("5-parallel-diamond.pth", "five_parallel", 259_938),
        ("5-parallel-wide24-diamond.pth", "five_parallel_wide24", 279_438),
    ],
)
def test_authors_checkpoints_give_the_authors_numbers(
    shared: Path, file: str, golden: str, parameters: int
) -> None:
    network, info = load(shared / "checkpoints" / file)
    assert count_parameters(network) == info.parameters == parameters
    assert info.luma_scale == "full"
    arrays = np.load(shared / "checkpoints" / "golden.npz")
    with torch.no_grad():
        result = network(torch.from_numpy(arrays["window"]).float()).numpy()
    assert np.abs(result - arrays[golden]).max() < 1e-2


def test_authors_published_output(shared: Path) -> None:
    """The one published frame, five times over, is close to the authors' result for its window."""
    network, _ = load(shared / "checkpoints" / "5-parallel-wide24-diamond.pth")
    arrays = np.load(shared / "checkpoints" / "diamond-frame.npz")
    window = torch.from_numpy(np.stack([arrays["lr_frame_t"]] * 5)).float()[None, None]
    with torch.no_grad():
        result = network(window)[0, 0].numpy()
    error = np.mean(
        (result.astype(int).astype(float) - arrays["published_output"]) ** 2
    )
    assert 10 * np.log10(255**2 / error) == pytest.approx(32.9, abs=0.2)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def _write(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "pickled code":
        with path.open("wb") as file:
            pickle.dump({"first2dConv1.weight": _Evil()}, file)
    elif kind == "torch file with code":
        torch.save({"first2dConv1.weight": _Evil()}, path)
    elif kind == "a list":
        torch.save([torch.zeros(3)], path)
    elif kind == "foreign tensors":
        torch.save({"conv.weight": torch.zeros(3)}, path)
    elif kind == "no header":
        save_file({"x": torch.zeros(2)}, path)
    elif kind == "unknown network":
        save_file(
            {"x": torch.zeros(2)}, path, metadata={"vsr": '{"model": "unheard-of"}'}
        )
    elif kind == "bad header":
        save_file({"x": torch.zeros(2)}, path, metadata={"vsr": "{"})
    elif kind == "wrong tensors":
        save(path, build(MODELS["delta"]), CheckpointInfo("previous"))
    elif kind == "not finite":
        network = build(MODELS["delta"])
        torch.nn.init.constant_(network.get_parameter("output.bias"), float("nan"))
        save(path, network, CheckpointInfo("delta"))
    elif kind == "cut off":
        save(path, build(MODELS["delta"]), CheckpointInfo("delta"))
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "bad arguments":
        save(path, build(MODELS["delta"]), CheckpointInfo("delta", {"colour": 3}))


@pytest.mark.parametrize(
    ("suffix", "kind", "says"),
    [
        (".pth", "text", "refused"),
        (".pth", "pickled code", "plain tensors"),
        (".pth", "torch file with code", "plain tensors"),
        (".pth", "a list", "plain dictionary"),
        (".pth", "foreign tensors", "not a checkpoint of the authors' 5-parallel"),
        (".safetensors", "text", "not a complete safetensors file"),
        (".safetensors", "no header", "without vsr's header"),
        (".safetensors", "unknown network", "unheard-of"),
        (".safetensors", "bad header", "header"),
        (".safetensors", "wrong tensors", "not those of previous"),
        (".safetensors", "not finite", "not finite"),
        (".safetensors", "cut off", "not a complete safetensors file"),
        (".safetensors", "bad arguments", "cannot be built"),
    ],
)
def test_refused(tmp_path: Path, suffix: str, kind: str, says: str) -> None:
    path = tmp_path / f"x{suffix}"
    _write(path, kind)
    with pytest.raises(ModelError, match=says) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    if kind != "bad arguments":
        assert str(path) in str(caught.value)


def test_locate_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown model 'nonsense': choose delta"):
        locate("nonsense")
    with pytest.raises(ModelError, match="no such checkpoint file"):
        locate(str(tmp_path / "gone.safetensors"))
    with pytest.raises(OptionError, match="choose --domain"):
        locate("previous", "video")
    (tmp_path / "own.safetensors").touch()
    with pytest.raises(OptionError, match="omit --domain"):
        locate(str(tmp_path / "own.safetensors"), "clean")


@pytest.mark.parametrize(
    ("model", "domain"),
    [(spec.name, domain) for spec in MODELS.values() for domain in spec.domains],
)
def test_shipped_weights_are_whole_and_say_what_they_are(
    model: str, domain: str
) -> None:
    path = locate(model, domain)
    network, info = load(path)
    assert (info.model, info.domain, info.luma_scale) == (model, domain, "limited")
    assert info.parameters == count_parameters(network) == MODELS[model].parameters
    assert info.licence == "MIT"
    assert info.trained_on
    assert info.gain_db[domain] > 0
    assert (
        f"{sha256(path)}  {path.name}"
        in (weights_folder() / "SHA256SUMS").read_text().splitlines()
    )


def test_every_shipped_file_belongs_to_a_spec() -> None:
    listed = {
        weights_file_name(spec.name, domain)
        for spec in MODELS.values()
        for domain in spec.domains
    }
    assert {path.name for path in weights_folder().glob("*.safetensors")} == listed
    assert {
        line.split()[1]
        for line in (weights_folder() / "SHA256SUMS").read_text().splitlines()
    } == listed


def test_a_damaged_shipped_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = weights_file_name("delta", "video")
    (tmp_path / name).write_bytes((weights_folder() / name).read_bytes()[:-4] + b"oops")
    (tmp_path / "SHA256SUMS").write_text((weights_folder() / "SHA256SUMS").read_text())
    monkeypatch.setattr(weights_module, "weights_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    for path in (tmp_path / name, Path(tmp_path.name) / name):
        with pytest.raises(ModelError, match="damaged"):
            verify_checksum(path)
    (tmp_path / name).write_bytes((weights_folder() / name).read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"damaged .* install vsr again"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 1_000_000_000},
        {"width": [1]},
        {"width": float("inf")},
        [1, 2],
        {f"a{n}": 1 for n in range(99)},
        {"width": 900},
    ],
)
def test_a_header_that_asks_for_more_than_the_file_holds_gets_no_memory(
    arguments: Any, tmp_path: Path
) -> None:
    path = tmp_path / "greedy.safetensors"
    header = json.dumps({"model": "5-parallel", "arguments": arguments})
    path.write_bytes(serialize({"a": torch.zeros(1)}, metadata={METADATA_KEY: header}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=r"greedy\.safetensors"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_an_archive_that_unpacks_to_more_than_a_checkpoint_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as file,
    ):
        for _ in range(1100):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ModelError, match="unpacks to"):
        load(path)


def _repeated(width: int) -> dict[str, torch.Tensor]:
    """The authors' network, so many filters wide, of one stored value: every stride is 0."""
    with torch.device("meta"):
        shapes = build(MODELS["5-parallel"], {"width": width}).state_dict()
    return {
        stored_name: torch.zeros(1).expand(shapes[name].shape)
        for name, stored_name in _pth_names().items()
    }


class _Greedy:
    """Pickled as a call that PyTorch's reader allows, of any size."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return (bytearray, (1 << 31,))


def _greedy_files(folder: Path) -> dict[str, Path]:
    """Small files that ask for gigabytes."""
    paths = {
        name: folder / f"{name}.pth"
        for name in ("one value", "bytes", "old", "compressed", "shared", "indices")
    }
    torch.save(_repeated(1024), paths["one value"])
    torch.save({"x": _Greedy()}, paths["bytes"])
    torch.save({"x": _Greedy()}, paths["old"], _use_new_zipfile_serialization=False)
    large = torch.zeros(1 << 20)
    torch.save([large[number:] for number in range(1000)], paths["shared"])
    torch.save(
        {"x": torch.zeros(4).as_strided((1 << 20, 1 << 20), (0, 0))}, paths["indices"]
    )
    with (
        zipfile.ZipFile(paths["shared"]) as archive,
        zipfile.ZipFile(paths["compressed"], "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for entry in archive.infolist():
            other.writestr(entry.filename, archive.read(entry))
    return paths


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("one value", "which the file does not hold"),
        ("bytes", "plain tensors"),
        ("old", "plain tensors"),
        ("compressed", "more than the file has"),
        ("shared", "which the file does not hold"),
        ("indices", "which the file does not hold"),
    ],
)
def test_a_small_file_gets_no_more_memory_than_it_has_bytes(
    tmp_path: Path, kind: str, says: str
) -> None:
    path = _greedy_files(tmp_path)[kind]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=says) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_what_is_checked_is_what_is_read(tmp_path: Path) -> None:
    """An archive with two tables of contents: PyTorch goes by another one than Python."""
    good = tmp_path / "good.pth"
    evil = tmp_path / "evil.pth"
    torch.save({"x": torch.zeros(3)}, good)
    torch.save({"x": _Evil()}, evil)
    content = good.read_bytes()
    for joined in (evil.read_bytes() + content, content + evil.read_bytes()):
        path = tmp_path / "joined.pth"
        path.write_bytes(joined)
        try:
            stored = read_tensors(path)
        except ModelError:
            continue
        assert torch.equal(stored["x"], torch.zeros(3))


def test_files_of_older_pytorch_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    stored: dict[str, Any] = {"a": torch.rand(3, 4), "step": 7, "names": ["b"]}
    torch.save(stored, path, _use_new_zipfile_serialization=False)
    again = read_tensors(path)
    assert torch.equal(again.pop("a"), stored.pop("a"))
    assert again == stored


@pytest.mark.parametrize("size", [0, 4, 100, -30])
def test_a_torn_file_is_one_clear_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "torn.pth"
    torch.save({"x": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match="refused"):
        load(path)


_ODD = [None, True, 3.5, "x", [], ["delta"], {"a": "b"}, -1, float("nan")]


@pytest.mark.parametrize("name", [field.name for field in fields(CheckpointInfo)])
def test_odd_values_in_a_header(tmp_path: Path, name: str) -> None:
    """What is read has the types that the rest of the program relies on."""
    path = tmp_path / "odd.safetensors"
    for value in _ODD:
        header = {"model": "delta"} | {name: value}
        metadata = {METADATA_KEY: json.dumps(header)}
        path.write_bytes(serialize({"a": torch.zeros(1)}, metadata=metadata))
        try:
            info = read_info(path)
        except ModelError:
            continue
        expected = getattr(CheckpointInfo("delta"), name)
        if expected is not None:
            assert isinstance(getattr(info, name), type(expected))


@pytest.mark.parametrize("arguments", [{"width": -5}, {"width": 0.5}, {"width": 0}])
def test_arguments_that_make_no_network(
    tmp_path: Path, arguments: dict[str, float]
) -> None:
    path = tmp_path / "odd.safetensors"
    header = json.dumps({"model": "5-parallel", "arguments": arguments})
    path.write_bytes(serialize({"a": torch.zeros(1)}, metadata={METADATA_KEY: header}))
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [torch.int64, torch.float8_e4m3fn, torch.bool])
def test_weights_that_are_no_numbers_of_networks(
    tmp_path: Path, kind: torch.dtype
) -> None:
    path = tmp_path / "odd.safetensors"
    network = build(MODELS["lite"])
    tensors = {
        name: value.contiguous().to(kind)
        for name, value in network.state_dict().items()
    }
    metadata = {METADATA_KEY: CheckpointInfo("lite").to_json()}
    path.write_bytes(serialize(tensors, metadata=metadata))
    with pytest.raises(ModelError, match="floating-point numbers of 16, 32 or 64 bits"):
        load(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".onnx"])
def test_a_file_larger_than_any_network(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"giant{suffix}"
    path.touch()
    header = b"{}"
    with path.open("wb") as file:
        if suffix == ".safetensors":
            tensor = {"dtype": "U8", "shape": [1 << 33], "data_offsets": [0, 1 << 33]}
            header = json.dumps({"a": tensor}).encode()
            file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + (1 << 33))  # takes no space
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="that a network here can have"):
        read_graph(path) if suffix == ".onnx" else load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("x" * 300 + ".pth", "a/b.pth", ".pth", "nul\0.pth"):
        with pytest.raises((ModelError, OptionError)):  # ".pth" has no ending
            locate(str(tmp_path / name))
    with pytest.raises(ModelError, match=r"cannot be read: No such file"):
        sha256(tmp_path / "gone.pth")
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        read_tensors(tmp_path)


def _graph(kind: str) -> onnx.ModelProto:
    """A graph with vsr's header, and something that ``vsr export`` never writes."""
    helper = onnx.helper
    value = helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [0.0])
    node = helper.make_node("Constant", [], ["pictures"], value=value)
    functions = []
    if kind == "subgraph":
        branch = helper.make_graph([node], "branch", [], [])
        node = helper.make_node("If", ["x"], ["y"], then_branch=branch)
    elif kind == "domain":
        node = helper.make_node("EPContext", [], ["y"], domain="com.microsoft")
    elif kind == "function":
        opset = helper.make_opsetid("", 17)
        functions = [helper.make_function("f", "F", [], ["y"], [node], [opset])]
    elif kind == "attribute":
        value.data_location = onnx.TensorProto.EXTERNAL
        value.ClearField("float_data")
        entry = value.external_data.add(key="location", value="/etc/passwd")
        assert entry.value
        node = helper.make_node("Constant", [], ["pictures"], value=value)
    elif kind == "sparse":
        indices = helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0])
        indices.external_data.add(key="location", value="/etc/passwd")
        sparse = helper.make_sparse_tensor(value, indices, [1])
        node = helper.make_node("Constant", [], ["y"], sparse_value=sparse)
    graph = helper.make_graph([node], "network", [], [])
    model = helper.make_model(graph, functions=functions)
    helper.set_model_props(model, {METADATA_KEY: CheckpointInfo("lite").to_json()})
    return model


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("subgraph", "branches or loops"),
        ("domain", "operators of its own"),
        ("function", "operators of its own"),
        ("attribute", "keeps weights in other files"),
        ("sparse", "keeps weights in other files"),
    ],
)
def test_graphs_that_read_files_or_run_for_ever(
    tmp_path: Path, kind: str, says: str
) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(_graph("").SerializeToString())
    assert read_graph(path).info.model == "lite"
    path.write_bytes(_graph(kind).SerializeToString())
    with pytest.raises(ModelError, match=says):
        read_graph(path)
