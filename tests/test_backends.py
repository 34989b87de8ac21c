"""What backends promise beyond the conformance tests: codes, memory, half precision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake import FakeBackend

from vsrcli.backends import (
    TakesCodes,
    fitting_pixels,
    is_memory_error,
    machine_bytes,
    open_backend,
)
from vsrcli.backends.torch import TorchBackend, choose_device
from vsrcli.errors import BackendError, ModelError, OptionError, OutOfMemory
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import build, load
from vsrcli.models.half import to_half
from vsrcli.models.layers import freeze
from vsrcli.models.weights import locate
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.color import affine, from_model, to_model
from vsrcli.pipeline.network import LumaNetwork


@pytest.fixture(scope="module")
def previous() -> TorchBackend:
    return TorchBackend("previous", "clean", device="cpu")


@pytest.mark.parametrize(
    ("bits", "full"),
    [(8, False), (8, True), (10, False), (12, True), (16, False), (16, True)],
)
def test_codes_on_the_device_are_those_of_numpy(
    previous: TorchBackend, bits: int, full: bool
) -> None:
    assert isinstance(previous, TakesCodes)
    peak = (1 << bits) - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    random = np.random.default_rng(bits)
    codes: Any = random.integers(0, peak + 1, (2, 5, 11, 14)).astype(dtype)
    gain, offset = affine(bits, full, previous.luma_scale)
    ours = previous.run_codes(codes, gain, offset, peak)
    expected = from_model(
        previous.run(to_model(codes, bits, full, previous.luma_scale)),
        bits,
        full,
        previous.luma_scale,
    )
    assert ours.dtype == dtype
    assert np.array_equal(ours, expected)
    assert ours.max() > peak // 2


def test_what_is_no_number_is_refused(
    previous: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        previous, "_values", lambda windows: torch.full((1, 12, 12), torch.nan)
    )
    with pytest.raises(BackendError, match="not numbers in fp32"):
        previous.run_codes(np.zeros((1, 5, 8, 8), np.uint8), 1.0, 0.0, 255)


class Small(FakeBackend):
    """Has memory for so many pixels, which it only finds out when it is asked for more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.asked: list[int] = []

    def run(self, windows: np.ndarray) -> np.ndarray:
        pixels = windows.shape[-1] * windows.shape[-2]
        self.asked.append(pixels)
        if pixels > self.room:
            raise OutOfMemory("out of memory on a small card")
        return super().run(windows)


def test_out_of_memory_halves_and_says_so() -> None:
    lumas = np.random.default_rng(0).integers(16, 235, (5, 400, 120)).astype(np.uint8)
    notes: list[str] = []
    small = Small(lumas[0].size * 2 // 3)
    network = LumaNetwork(small, on_note=notes.append)
    result = network.upscale(lumas, 8, False)
    assert np.array_equal(result, LumaNetwork(FakeBackend()).upscale(lumas, 8, False))
    assert small.asked[0] > small.room
    assert small.asked[-1] <= small.room
    assert len(notes) >= 1
    assert all("continuing in parts" in note for note in notes)
    tried = len(small.asked)
    network.upscale(lumas[::-1].copy(), 8, False)
    assert all(pixels <= small.room for pixels in small.asked[tried:]), (
        "what was learned is forgotten"
    )


def test_no_memory_at_all_is_an_error() -> None:
    with pytest.raises(OutOfMemory, match="small card"):
        LumaNetwork(Small(10)).upscale(np.zeros((5, 200, 200), np.uint8), 8, False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError(
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"
        ),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
def test_errors_about_memory_are_told_from_others(error: Exception) -> None:
    assert is_memory_error(error)


@pytest.mark.parametrize(
    "message",
    [
        "shape mismatch",
        "CUDA error: an illegal memory access was encountered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "unable to find an engine in the library's path",
    ],
)
def test_other_errors_are_not_about_memory(message: str) -> None:
    assert not is_memory_error(RuntimeError(message))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("GET was unable to find an engine to execute this computation", OutOfMemory),
        ("CUDA error: an illegal memory access was encountered", BackendError),
    ],
)
def test_an_error_that_no_smaller_part_cures_comes_out_after_few_tries(
    previous: TorchBackend,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: type[BackendError],
) -> None:
    """cuDNN finds no engine for want of memory, and for want of support for the card."""
    tried: list[int] = []

    def refuse(windows: torch.Tensor) -> torch.Tensor:
        tried.append(windows.shape[-2] * windows.shape[-1])
        raise RuntimeError(message)

    monkeypatch.setattr(previous, "_values", refuse)
    with pytest.raises(BackendError, match=message) as caught:
        LumaNetwork(previous).upscale(np.zeros((5, 1080, 1920), np.uint8), 8, False)
    assert type(caught.value) is kind
    if kind is BackendError:
        assert len(tried) == 1
        return
    assert "--device cpu" in str(caught.value)
    assert 1 < len(tried) < 16
    assert tried == sorted(set(tried), reverse=True), "the parts do not become smaller"


def test_cudnn_gives_the_same_bits_in_every_run(
    previous: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flags are set around the network alone, whatever the program has set."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen: list[tuple[bool, bool, bool]] = []

    def flags() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return bool(cudnn.benchmark), bool(cudnn.deterministic), bool(cudnn.allow_tf32)

    values = previous._values

    def noting(windows: torch.Tensor) -> torch.Tensor:
        seen.append(flags())
        return values(windows)

    monkeypatch.setattr(previous, "_values", noting)
    previous.run(np.zeros((1, 5, 8, 8), np.float32))
    previous.run_codes(np.zeros((1, 5, 8, 8), np.uint8), 1.0, 0.0, 255)
    assert seen == [(False, True, False)] * 2
    assert flags() == (True, False, True)


class Cards:
    """A machine's cards: how many there are, and which of them were touched."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, count: int, broken: tuple[int, ...] = ()
    ) -> None:
        self.touched: list[str] = []
        self._broken = broken
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch, "zeros", self._zeros)

    def _zeros(self, *size: int, device: str) -> None:
        self.touched.append(device)
        if device in [f"cuda:{number}" for number in self._broken]:
            raise RuntimeError(
                "CUDA error: no kernel image is available for execution on the device"
            )


def test_a_card_that_is_not_there_is_refused_without_touching_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = Cards(monkeypatch, 1)
    with pytest.raises(BackendError, match=r"cuda:7: this machine has 1 CUDA GPU\(s\)"):
        choose_device("cuda:7")
    assert cards.touched == []


@pytest.mark.parametrize(
    ("wanted", "number"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)]
)
def test_only_the_card_in_question_is_asked(
    monkeypatch: pytest.MonkeyPatch, wanted: str, number: int
) -> None:
    """Each card touched costs half a gigabyte of its memory, and one card may be broken."""
    cards = Cards(monkeypatch, 2, broken=(1 - number,))
    assert choose_device(wanted) == torch.device("cuda", number)
    assert cards.touched == [f"cuda:{number}"]


def test_a_card_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(monkeypatch, 2, broken=(0, 1))
    assert choose_device("auto") == torch.device("cpu")
    assert cards.touched == ["cuda:0"], "auto means the first card or none"
    with pytest.raises(BackendError, match=r"--device cuda:1: .*nvidia-smi"):
        choose_device("cuda:1")
    assert cards.touched == ["cuda:0", "cuda:1"]


def test_no_card_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(monkeypatch, 0)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(BackendError, match=r"--device cuda:3: .*--device cpu"):
        choose_device("cuda:3")
    assert cards.touched == []


def test_pixels_that_fit_are_the_same_in_every_run() -> None:
    assert fitting_pixels(1000) == machine_bytes() // 2 // 1000
    assert fitting_pixels(1000, 10**9) == 10**6
    assert fitting_pixels(10**9, 10**9) == 256 * 256


def test_tile_option(moving_clip: Path, tmp_path: Path, fake: FakeBackend) -> None:
    upscale(
        moving_clip,
        tmp_path / "o.mkv",
        UpscaleOptions(tile=48, encoder=EncoderOptions(codec="ffv1")),
    )
    sizes = {window.shape[1:] for window in fake.windows}
    assert len(sizes) > 1 or next(iter(sizes)) != (64 + 8, 96 + 8)
    with pytest.raises(OptionError, match="--tile 8 makes no sense: 32 to 65536"):
        UpscaleOptions(tile=8)


@pytest.mark.parametrize("name", MODELS)
def test_frozen_weights_change_nothing(name: str) -> None:
    torch.manual_seed(1)
    network = build(MODELS[name]).eval()
    window = torch.rand(1, 1, MODELS[name].planes, 9, 12) * 255
    with torch.inference_mode():
        before = network(window)
        freeze(network)
        assert torch.equal(network(window), before)


@pytest.mark.parametrize(
    ("name", "domain"),
    [(spec.name, domain) for spec in MODELS.values() for domain in spec.domains],
)
def test_shipped_weights_fit_half_precision(name: str, domain: str) -> None:
    """Scaled, they give the same picture, and no layer comes near the limit of half precision."""
    network, info = load(locate(name, domain))
    shape = (1, 1, info.spec.planes, 12, 14)
    window = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 255
    last = {key: value.clone() for key, value in network.output.state_dict().items()}
    with torch.inference_mode():
        expected = network(window)
        unit = to_half(network)
        assert network.output.weight.dtype == torch.float32
        # the unit is a power of two: scaled by it, the weights keep every bit
        assert torch.equal(network.output.weight * unit, last["weight"])
        assert not torch.equal(last["weight"], last["weight"].half().float()), (
            "nothing to round"
        )
        assert all(
            torch.equal(network.output.state_dict()[key], last[key])
            for key in last
            if key != "weight"
        )
        assert {
            parameter.dtype
            for key, parameter in network.named_parameters()
            if not key.startswith("output")
        } == {torch.float16}
        network.float()  # the rounding of the weights is left, that of the sums is not
        features = network.features(window * unit)
        ours = network.picture(features, window[:, :, info.spec.middle])
    assert features.abs().max() < 8192
    assert (ours - expected).abs().max() < 1


@pytest.mark.parametrize("factor", [30.0, 1e5])
def test_weights_too_large_for_half_precision_are_scaled_or_refused(
    factor: float,
) -> None:
    network, _ = load(locate("previous", "clean"))
    with torch.no_grad():
        next(network.parameters()).mul_(factor)
    if factor > 100:
        with pytest.raises(ModelError, match=r"half precision.*--fp32"):
            to_half(network)
    else:
        assert to_half(network) < 1


def test_signals_after_openvino_has_gone(tmp_path: Path) -> None:
    """OpenVINO gives threads a stack for signals, and must not take it away.

    It used to do so when the second of two networks closed: the next Ctrl-C was a crash.
    """
    pytest.importorskip("openvino")
    code = (
        "import gc, os, signal\n"
        "from vsrcli.backends import open_backend\n"
        "options = {'device': 'cpu', 'precision': None}\n"
        "first = open_backend('openvino', 'previous', 'clean', **options)\n"
        "second = open_backend('openvino', 'previous', 'blur3', **options)\n"
        "del first, second\n"
        "gc.collect()\n"
        "held = [bytearray(12000) for _ in range(2000)]\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('as usual')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, "as usual"), result.stderr


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("torch", "--backend onnx"),
        ("openvino", "runs on the CPU"),
        ("onnx", "device tensorrt"),
        ("auto", "device tensorrt"),
    ],
)
def test_tensorrt_is_never_replaced_in_silence(backend: str, says: str) -> None:
    """On a machine without it, every backend says so in one line."""
    with pytest.raises(BackendError, match=says):
        open_backend(backend, "previous", "clean", device="tensorrt", precision=None)


@pytest.mark.parametrize(
    ("flags", "is_exact"), [("avx2 avx512f", True), ("avx2", False), (None, False)]
)
def test_parts_of_5_parallel_are_exact_in_openvino_with_avx512_alone(
    flags: str | None, is_exact: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    from vsrcli.backends import openvino

    processor = tmp_path / "cpuinfo"
    if flags is not None:
        processor.write_text(f"flags : {flags}\n")
    monkeypatch.setattr(openvino, "_PROCESSOR", processor)
    openvino._has_avx512.cache_clear()
    try:
        for model, expected in (("5-parallel", is_exact), ("lite", True)):
            backend = open_backend(
                "openvino", model, "clean", device="cpu", precision=None
            )
            assert backend.exact_parts == expected
    finally:
        openvino._has_avx512.cache_clear()
