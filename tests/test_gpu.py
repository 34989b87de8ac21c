"""What only a card can show. Imports nothing that needs FFmpeg: a machine with a card may have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vsrcli.backends import TakesCodes, open_backend
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters, save
from vsrcli.models.weights import CheckpointInfo
from vsrcli.training.data import SEQUENCE, Sequences
from vsrcli.training.recipe import RECIPES
from vsrcli.training.trainer import Trainer, TrainingPlan


def _clips(count: int = 3, size: int = 64) -> Sequences:
    """Sharp rectangles that move: bicubic leaves something to gain."""
    rng = np.random.default_rng(5)
    clips = []
    for _ in range(count):
        clip = np.full((SEQUENCE, size, size), 90, np.uint8)
        for _ in range(12):
            top, left, height, width = rng.integers(0, size, 4)
            speed_y, speed_x = rng.integers(-2, 3, 2)
            grey = rng.integers(20, 230)
            for time, picture in enumerate(clip):
                y, x = max(0, top + time * speed_y), max(0, left + time * speed_x)
                picture[y : y + height // 3 + 2, x : x + width // 3 + 2] = grey
        clips.append(clip)
    return Sequences(tuple(clips), tuple("abc"[:count]))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["torch", "triton"])
@pytest.mark.parametrize("model", ["delta", "5-parallel"])
def test_cards_give_the_picture_of_the_processor(name: str, model: str, shared: Path) -> None:
    """Real windows: single precision within a thousandth of a grey level, half precision within half of one and 60 dB; replayed graphs as the first run."""
    from vsrcli.training.data import load as load_clips
    from vsrcli.training.data import validation_pairs

    windows = np.stack([low for low, _ in validation_pairs(load_clips([shared / "data" / "val.mp4"]), "clean", count=4, size=128)]).astype(np.float32)
    reference = open_backend("torch", model, "clean", device="cpu", precision="fp32").run(windows)
    single = open_backend(name, model, "clean", device="cuda", precision="fp32")
    np.testing.assert_allclose(single.run(windows), reference, atol=1e-3)
    half = open_backend(name, model, "clean", device="cuda", precision="fp16")
    first = half.run(windows)
    np.testing.assert_allclose(first, reference, atol=0.5)
    assert 10 * np.log10(255**2 / np.mean(np.square(first - reference))) > 60
    for _ in range(3):
        assert np.array_equal(half.run(windows), first)
    codes = windows.astype(np.uint8)
    assert isinstance(half, TakesCodes)
    for _ in range(3):
        assert np.array_equal(half.run_codes(codes, 1.0, 0.0, 255), np.rint(half.run(codes.astype(np.float32))).clip(0, 255).astype(np.uint8))


@pytest.mark.gpu
@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_cuda_gives_the_picture_of_the_cpu(spec: ModelSpec, tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(7)
    network = build(spec)
    network.initialise()
    save(tmp_path / "x.safetensors", network, CheckpointInfo(spec.name, parameters=count_parameters(network)))
    window = np.random.default_rng(48).uniform(16, 235, (1, spec.frames, 48, 64)).astype(np.float32)
    reference = open_backend("torch", str(tmp_path / "x.safetensors"), None, device="cpu", precision="fp32").run(window)
    single = open_backend("torch", str(tmp_path / "x.safetensors"), None, device="cuda", precision="fp32").run(window)
    half = open_backend("torch", str(tmp_path / "x.safetensors"), None, device="cuda", precision="fp16").run(window)
    np.testing.assert_allclose(single, reference, atol=1e-3)
    np.testing.assert_allclose(half, reference, atol=0.5)


@pytest.mark.gpu
def test_training_on_a_card_gains_and_resumes(tmp_path: Path) -> None:
    clips = _clips()
    recipe = replace(RECIPES["ship"], batch=2, patch=12, warmup_steps=2)
    plan = TrainingPlan("previous", "clean", recipe, 60, None, validate_every=1e9, device="cuda:0", precision="fp16", validation_count=2)
    trainer = Trainer(plan, tmp_path, clips, clips)
    before = trainer.validate()["clean"]
    assert trainer.run()["clean"] > before + 0.2
    assert all(tensor.device.type == "cuda" for tensor in trainer.batches._on_device.values())
    again = Trainer(plan, tmp_path, clips, clips)
    again.resume()
    assert again.step == 60
    assert all(value["step"].device.type == "cpu" for value in again.optimizer.state.values())
    assert all(value.device.type == "cuda" for value in again.average.values())
