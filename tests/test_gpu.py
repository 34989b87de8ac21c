"""What only a card can show. Nothing here needs FFmpeg: a machine with a card may have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rectangles import moving_rectangles

from vsrcli.backends import TakesCodes, open_backend
from vsrcli.backends.cuda_graphs import CudaGraphs
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters, save
from vsrcli.models.weights import CheckpointInfo
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import RECIPES
from vsrcli.training.trainer import Trainer

# Grey levels and dB. Half precision is this far from the processor's single precision at most:
# measured on an H200, on these windows, 1.32 (Delta) and 1.03 (5-parallel); on other windows 0.53
# and 0.85 at 69 to 71 dB.
HALF_ATOL = 1.5
HALF_PSNR = 60


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["delta", "5-parallel"])
def test_cards_give_the_picture_of_the_processor(model: str, shared: Path) -> None:
    """Real windows: fp32 within a thousandth of a grey level; replays equal the first run."""
    from vsrcli.clips.data import load as load_clips
    from vsrcli.clips.sequences import validation_pairs

    windows = np.stack(
        [
            low
            for low, _ in validation_pairs(
                load_clips([shared / "data" / "val.mp4"]), "clean", count=4, size=128
            )
        ]
    ).astype(np.float32)
    reference = open_backend(
        "torch", model, "clean", device="cpu", precision="fp32"
    ).run(windows)
    single = open_backend("torch", model, "clean", device="cuda", precision="fp32")
    np.testing.assert_allclose(single.run(windows), reference, atol=1e-3)
    half = open_backend("torch", model, "clean", device="cuda", precision="fp16")
    first = half.run(windows)
    np.testing.assert_allclose(first, reference, atol=HALF_ATOL)
    assert 10 * np.log10(255**2 / np.mean(np.square(first - reference))) > HALF_PSNR
    for _ in range(3):
        assert np.array_equal(half.run(windows), first)
    codes = windows.astype(np.uint8)
    assert isinstance(half, TakesCodes)
    for _ in range(3):
        assert np.array_equal(
            half.run_codes(codes, 1.0, 0.0, 255),
            np.rint(half.run(codes.astype(np.float32))).clip(0, 255).astype(np.uint8),
        )


@pytest.mark.gpu
@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_cuda_gives_the_picture_of_the_cpu(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Untrained networks; single precision is not TF32, even where the program allows it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.manual_seed(7)
    network = build(spec)
    network.initialise()
    save(
        tmp_path / "x.safetensors",
        network,
        CheckpointInfo(spec.name, parameters=count_parameters(network)),
    )
    window = (
        np.random.default_rng(48)
        .uniform(16, 235, (1, spec.planes, 48, 64))
        .astype(np.float32)
    )
    reference = open_backend(
        "torch", str(tmp_path / "x.safetensors"), None, device="cpu", precision="fp32"
    ).run(window)
    single = open_backend(
        "torch", str(tmp_path / "x.safetensors"), None, device="cuda", precision="fp32"
    ).run(window)
    half = open_backend(
        "torch", str(tmp_path / "x.safetensors"), None, device="cuda", precision="fp16"
    ).run(window)
    np.testing.assert_allclose(single, reference, atol=1e-3)
    np.testing.assert_allclose(half, reference, atol=0.5)


@pytest.mark.gpu
def test_graphs_that_share_memory_do_not_disturb_each_other() -> None:
    """More shapes than are kept, in any order, on the last card: graphs come, go and come again."""
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    graphs = CudaGraphs(device)
    random = np.random.default_rng(3)

    def work(x: torch.Tensor) -> torch.Tensor:
        for _ in range(4):
            x = torch.relu(1.5 * x - 20)
        return x + x.amax(-1, keepdim=True)

    for _ in range(80):
        given = random.uniform(0, 255, (int(random.integers(1, 7)), 300, 500)).astype(
            np.float32
        )
        expected = work(torch.from_numpy(given).to(device)).cpu().numpy()
        assert np.array_equal(graphs.run("a", work, given), expected)
    assert len(graphs._captured) == 4


@pytest.mark.gpu
@pytest.mark.parametrize("reason", ["waits", "memory"])
def test_a_card_is_as_before_after_a_capture_that_failed(reason: str) -> None:
    graphs = CudaGraphs(torch.device("cuda", 0))
    given = np.random.default_rng(3).uniform(0, 255, (300, 500)).astype(np.float32)

    def work(x: torch.Tensor) -> torch.Tensor:
        doubled = 2 * x
        if torch.cuda.is_current_stream_capturing():
            if reason == "waits":
                doubled.sum().item()  # no graph can hold it
            else:
                torch.empty(1 << 48, device=x.device)
        return doubled

    for _ in range(4):
        assert np.array_equal(graphs.run("a", work, given), 2 * given)
    assert not graphs._captured
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.empty_cache()
    others = CudaGraphs(torch.device("cuda", 0))
    for _ in range(4):
        assert np.array_equal(others.run("a", torch.square, given), np.square(given))
    assert len(others._captured) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS)
def test_training_on_a_card_gains_and_resumes(model: str, tmp_path: Path) -> None:
    """Every network, all stages, as CUDA graphs in half precision; a resumed run goes on alike.

    Libraries choose their kernels by timing and add in an order of their own, so a resumed run is
    not the same to the bit: the weights differ by less than a third of what the last steps moved.
    """
    clips = moving_rectangles(3, 64)
    recipe = replace(
        RECIPES["ship"],
        batch=8,
        patch=24,
        maps=0.25,
        maps_batch=8,
        passes=((0.0, 1), (0.5, None)),
        warmup_steps=8,
        closing=0.1,
        fourier=0.05,
    )
    plan = TrainingPlan(
        model, "clean", recipe, 160, None, validate_every=1e9, device="cuda:0",
        precision="fp16", validation_count=2,
    )  # fmt: skip
    whole = Trainer(plan, tmp_path / "whole", clips, clips)
    before = whole.validate()["clean"]
    while whole.step < 128:
        whole.advance()
    middle = whole.training.weights.values.clone()
    (tmp_path / "parts").mkdir()
    whole.folder = tmp_path / "parts"
    whole.save_state()
    whole.folder = tmp_path / "whole"
    after = whole.run()["clean"]
    assert after > before + 0.2
    graphs = whole.training._graphs.values()
    assert len(graphs) >= 2, "the picture, and the closing stage"
    assert {graph.__name__ for graph in graphs} == {"replay"}, (
        "a step did not become a graph"
    )
    assert whole.batches.low.is_cuda
    again = Trainer(plan, tmp_path / "parts", clips, clips)
    again.resume()
    assert again.step == 128
    assert again.run()["clean"] == pytest.approx(after, abs=0.05)
    moved = (whole.training.weights.values - middle).norm()
    apart = (whole.training.weights.values - again.training.weights.values).norm()
    assert float(apart) < float(moved) / 3


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["delta", "lite"])
def test_steps_on_a_card_are_those_of_the_processor(model: str, tmp_path: Path) -> None:
    """Single precision, the same batches, small steps: the same losses within half a percent."""
    clips = moving_rectangles(3, 64)
    recipe = replace(
        RECIPES["ship"],
        learning_rate=1e-4,
        batch=4,
        patch=16,
        maps=0.0,
        passes=((0.0, None),),
    )
    losses = {}
    for device in ("cpu", "cuda:0"):
        plan = TrainingPlan(
            model,
            "clean",
            recipe,
            40,
            None,
            device=device,
            precision="fp32",
            validation_count=1,
        )
        trainer = Trainer(plan, tmp_path / device.replace(":", ""), clips, clips)
        while trainer.step < 32:
            trainer.advance()
        losses[device] = trainer.loss
    assert losses["cuda:0"] == pytest.approx(losses["cpu"], rel=5e-3)
