"""One training step, against plain PyTorch; tables, stages, losses, the loss scale."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rectangles import moving_rectangles
from torch import Tensor

from vsrcli.models import MODELS
from vsrcli.models.banded import BandedVolume, _tap_selection
from vsrcli.models.checkpoint import build
from vsrcli.models.layers import Network, WindowNetwork, set_passes
from vsrcli.training import step as step_module
from vsrcli.training.batches import Batches
from vsrcli.training.flat import FlatWeights
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import RECIPES, Recipe, fine_tuning, recipe_for
from vsrcli.training.step import Stage, TrainingStep, loss_of
from vsrcli.training.trainer import Trainer

PICTURE = Stage(is_maps=False, passes=None, loss="charbonnier", fourier=0.0)
MAPS = replace(PICTURE, is_maps=True)
RECIPE = replace(
    RECIPES["ship"], batch=2, patch=12, maps_batch=2, warmup_steps=0, clip_norm=0.02
)


@pytest.fixture
def model() -> str:
    """The network whose batches a test takes, where it is not parametrised by one."""
    return "delta"


@pytest.fixture
def batches(model: str) -> Iterator[Batches]:
    with Batches(
        moving_rectangles(), MODELS[model], "clean", patch=12, batch=2
    ) as made:
        yield made


def _network(model: str, passes: int | None = 1) -> Network:
    torch.manual_seed(3)
    network = build(MODELS[model])
    set_passes(network, passes)
    return network.train()


def _control(steps: int, rate: float = 1e-3, decay: float = 0.5) -> Tensor:
    return torch.tensor([[rate, decay]] * steps)


def _step(model: str, batches: Batches, recipe: Recipe = RECIPE) -> TrainingStep:
    return TrainingStep(_network(model), MODELS[model], recipe, batches, "fp32")


@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_adam_on_the_network_in_codes(model: str, batches: Batches) -> None:
    """Plain PyTorch, parameter by parameter, on the network that takes and gives codes.

    Adam's steps are in the unit of the parameter: biases, which live on the scale of codes, get 256
    times the rate. The norm that is clipped is that of the network in units of 0..1.
    """
    training = _step(model, batches)
    training.launch(batches.tables(0, 3), _control(3), PICTURE)
    training.wait()

    network = _network(model)
    named = dict(network.named_parameters())
    units = {name: 256.0 if name.endswith("bias") else 1.0 for name in named}
    adam = torch.optim.Adam(
        [
            {"params": [parameter], "lr": 1e-3 * units[name], "eps": 1e-8 / units[name]}
            for name, parameter in named.items()
        ]
    )
    begin = {name: parameter.detach().clone() for name, parameter in named.items()}
    average = dict(begin)
    trim = MODELS[model].trim
    for number in range(3):
        window, truth = batches.at(number)
        result = network(window)
        truth = truth[..., trim : truth.shape[-2] - trim, trim : truth.shape[-1] - trim]
        loss = (((result - truth) / 255).square() + 1e-6).sqrt().mean()
        adam.zero_grad()
        torch.autograd.backward(loss)
        gradients = {name: parameter.grad for name, parameter in named.items()}
        norms = [gradients[name].norm() * units[name] for name in named]  # type: ignore[union-attr]
        norm = torch.stack(norms).norm()
        assert norm > RECIPE.clip_norm, "nothing is clipped"
        for gradient in gradients.values():
            gradient.mul_(RECIPE.clip_norm / norm)  # type: ignore[union-attr]
        adam.step()
        average = {
            name: 0.5 * average[name] + 0.5 * named[name].detach() for name in named
        }

    for flat, expected in (
        (
            training.weights.values,
            {name: value.detach() for name, value in named.items()},
        ),
        (training.average, average),
    ):
        actual = training.weights.in_codes(flat)
        for name, unit in units.items():
            moved = (actual[name] - begin[name]) / unit
            wanted = (expected[name] - begin[name]) / unit
            # rare weights whose gradient is float noise may step either way
            apart = (moved - wanted).abs() > 2e-5
            assert float(apart.float().mean()) < 0.01, name
            assert float(wanted.abs().max()) > 1e-6, f"{name} was not trained"


@pytest.mark.parametrize("model", MODELS)
def test_flat_weights_give_back_what_they_took(model: str) -> None:
    network = _network(model)
    flat = FlatWeights(network, torch.device("cpu"))
    for name, value in flat.in_codes(flat.values).items():
        assert torch.equal(value, network.get_parameter(name).detach()), name
    sizes = [value.numel() for value in flat.views(flat.values).values()]
    assert sum(sizes) == MODELS[model].parameters
    assert sum(part.numel() for part in flat.parts) == flat.values.numel()
    for value in flat.views(flat.values).values():
        assert value.storage_offset() % 8 == 0, (
            "cuDNN wants 16 bytes, which are 8 halves"
        )
    flat.parts[0].data.fill_(7.0)
    assert float(flat.values[0]) == 7.0, "the parts are no views of the values"


@pytest.mark.parametrize("model", ["delta", "5-parallel", "previous"])
def test_the_banded_form_is_the_network(model: str) -> None:
    """Features and gradients, in double precision."""
    network = _network(model, 2).double()
    assert isinstance(network, WindowNetwork)
    maps = [
        torch.rand(2, 1, 14, 18, dtype=torch.float64, requires_grad=True)
        for _ in range(5)
    ]
    parameters = list(network.volume.parameters())
    results = []
    for form in (network.fuse_groups, BandedVolume(network.volume)):
        features: Tensor = form(maps)
        gradients = torch.autograd.grad(features.square().sum(), [*maps, *parameters])
        results.append([features, *gradients])
    for sliced, banded in zip(*results, strict=True):
        torch.testing.assert_close(banded, sliced)


def test_the_banded_form_may_be_trained_after_it_was_used() -> None:
    """What is kept between calls was made by an inference, say of a validation."""
    _tap_selection.cache_clear()
    network = _network("previous")
    assert isinstance(network, WindowNetwork)
    maps = [torch.rand(1, 1, 12, 12) for _ in range(5)]
    with torch.inference_mode():
        BandedVolume(network.volume)(maps)
    torch.autograd.backward(BandedVolume(network.volume)(maps).sum())


def test_many_steps_in_one_launch_equal_single_ones(batches: Batches) -> None:
    together = _step("previous", batches)
    together.launch(batches.tables(0, 5), _control(5), PICTURE)
    single = _step("previous", batches)
    for number in range(5):
        single.launch(batches.tables(number, 1), _control(1), PICTURE)
    assert together.wait() == single.wait()
    assert torch.equal(together.weights.values, single.weights.values)
    assert torch.equal(together.average, single.average)


def test_the_3d_part_starts_afresh_when_its_training_begins(batches: Batches) -> None:
    """Adam's correction for young moments is that of the part's own steps."""
    training = _step("delta", batches)
    before = [part.detach().clone() for part in training.weights.parts]
    training.launch(batches.tables(0, 2), _control(2), MAPS)
    maps, volume = training.weights.parts
    assert not torch.equal(maps, before[0])
    assert torch.equal(volume, before[1])
    assert volume not in training.optimizer.state
    training.launch(batches.tables(2, 1), _control(1), PICTURE)
    assert float(training.optimizer.state[maps]["step"]) == 3
    assert float(training.optimizer.state[volume]["step"]) == 1
    moved = (volume.detach() - before[1]).abs().max()
    assert float(moved) == pytest.approx(1e-3, rel=0.02)


def test_a_stage_is_recorded_once_after_its_warm_up(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the recording replaced: each stage runs three times as it is, then as a graph."""
    training = _step("delta", batches)
    recorded: list[Stage] = []
    replays: list[Stage] = []

    def record(tables: Tensor, stage: Stage) -> Callable[[], None]:
        recorded.append(stage)

        def replay() -> None:
            replays.append(stage)
            training._step(tables, stage)

        return replay

    monkeypatch.setattr(training, "_record", record)
    monkeypatch.setattr(training, "_is_gpu", True)
    other = replace(PICTURE, loss="mse")
    for stage in (PICTURE, PICTURE, other, PICTURE):
        training.launch(batches.tables(0, 4), _control(4), stage)
    assert recorded == [PICTURE, other]
    assert replays == [PICTURE] * 5 + [other] + [PICTURE] * 4


@pytest.mark.parametrize("factor", [1e10, torch.inf])
@pytest.mark.parametrize("model", ["lite"])
def test_an_overflow_changes_nothing_but_the_scale(
    model: str, factor: float, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the gradients alone, or of the network's values as well."""
    training = _step(model, batches)
    training.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**10, growth_interval=1000
    )
    training.launch(batches.tables(0, 1), _control(1), PICTURE)
    training.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**120, growth_interval=1000
    )
    state = deepcopy(training.state())
    loss = training._loss
    with monkeypatch.context() as patch:
        patch.setattr(training, "_loss", lambda *arguments: loss(*arguments) * factor)
        training.launch(batches.tables(1, 1), _control(1, decay=1.0), PICTURE)
    after = training.state()
    assert torch.equal(after["weights"], state["weights"])
    assert torch.equal(after["average"], state["average"])
    assert after["optimizer"][0]["step"] == state["optimizer"][0]["step"] == 1
    assert torch.equal(
        after["optimizer"][0]["exp_avg"], state["optimizer"][0]["exp_avg"]
    )
    assert float(training.scaler.get_scale()) == 2.0**119
    assert np.isfinite(after["loss"])
    training.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**10, growth_interval=1000
    )
    training.launch(batches.tables(1, 1), _control(1), PICTURE)
    assert not torch.equal(training.weights.values, state["weights"])


def test_a_step_that_cannot_be_recorded_goes_on_as_it_is(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A capture that breaks off between the scaler's calls; the run is that of plain steps."""

    def broken(*arguments: object, **named: object) -> float:
        raise RuntimeError("operation not permitted when stream is capturing")

    def scaled() -> TrainingStep:
        training = _step("previous", batches)
        training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        return training

    @contextmanager
    def capture(*arguments: object, **named: object) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(torch.nn.utils, "clip_grad_norm_", broken)
            yield

    plain = scaled()
    plain.launch(batches.tables(0, 6), _control(6), PICTURE)
    training = scaled()
    ended: list[object] = []
    monkeypatch.setattr(training, "_is_gpu", True)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(
        step_module, "end_broken_capture", lambda *given: ended.append(given)
    )
    training.launch(batches.tables(0, 6), _control(6), PICTURE)
    assert len(ended) == 1
    assert "no CUDA graph" in caplog.text
    assert "not permitted" in caplog.text
    assert torch.equal(plain.weights.values, training.weights.values)


def test_scaled_steps_are_the_same_steps(batches: Batches) -> None:
    """A power of two is taken out again exactly, before the norm is clipped."""
    plain = _step("previous", batches)
    scaled = _step("previous", batches)
    scaled.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**10, growth_interval=1000
    )
    for training in (plain, scaled):
        training.launch(batches.tables(0, 2), _control(2), PICTURE)
    torch.testing.assert_close(
        plain.weights.values, scaled.weights.values, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("fourier", [0.0, 0.05])
def test_losses_by_their_formulas(fourier: float) -> None:
    difference = np.random.default_rng(1).normal(0, 0.1, (2, 1, 12, 10))
    transform = np.fft.rfft2(difference)
    term = 0.5 * (np.abs(transform.real).mean() + np.abs(transform.imag).mean())
    plain = {
        "charbonnier": np.sqrt(difference**2 + 1e-6).mean(),
        "l1": np.abs(difference).mean(),
        "mse": np.square(difference).mean(),
    }
    for kind, expected in plain.items():
        actual = loss_of(kind, fourier, torch.from_numpy(difference))
        assert float(actual) == pytest.approx(expected + fourier * term)


def test_the_rate_rises_falls_and_ends_at_its_floor() -> None:
    recipe = replace(RECIPES["long"], learning_rate=1e-3, floor=0.001, warmup_steps=10)
    assert recipe.rate_at(0, 0.0) == pytest.approx(1e-4)
    assert recipe.rate_at(9, 0.0) == pytest.approx(1e-3)
    assert recipe.rate_at(500, 0.5) == pytest.approx(1e-3 * (0.001 + 0.999 * 0.5))
    assert recipe.rate_at(1000, 1.0) == pytest.approx(1e-6)
    assert RECIPES["report"].rate_at(1000, 1.0) == RECIPES["report"].learning_rate
    assert recipe.decay_at(0) == pytest.approx(2 / 11)
    assert recipe.decay_at(10**6) == recipe.ema
    assert replace(recipe, ema=0.0).decay_at(10**6) == 0.0


def test_a_run_closes_with_squared_error() -> None:
    recipe = replace(RECIPES["long"], closing=0.2, fourier=0.05)
    assert recipe.loss_at(0.79, is_maps=False) == ("charbonnier", 0.05)
    assert recipe.loss_at(0.8, is_maps=False) == ("mse", 0.0)
    assert recipe.loss_at(0.9, is_maps=True) == ("charbonnier", 0.05)
    assert replace(recipe, closing=0.0).loss_at(1.0, is_maps=False) == (
        "charbonnier",
        0.05,
    )


def test_a_card_has_recipes_of_its_own() -> None:
    for model in MODELS:
        card = recipe_for("long", model, is_gpu=True)
        processor = recipe_for("long", model)
        assert card.patch is not None
        assert processor.patch is not None
        assert card.batch * card.patch**2 > processor.batch * processor.patch**2
        assert card.maps_batch >= card.batch or card.maps == 0
        assert recipe_for("ship", model, is_gpu=True) == recipe_for("ship", model)
        tuned = fine_tuning(card)
        assert (tuned.batch, tuned.patch, tuned.maps) == (card.batch, card.patch, 0.0)
        assert tuned.learning_rate < card.learning_rate


def test_launches_on_a_card_begin_at_the_same_steps_in_every_run(
    tmp_path: Path,
) -> None:
    """Stages change between launches only, in a resumed run where they do in a whole one."""
    clips = moving_rectangles()
    plan = TrainingPlan("previous", "clean", RECIPE, 70, None, validation_count=1)
    trainer = Trainer(plan, tmp_path, clips, clips)
    trainer.device = torch.device("cuda")  # nothing is launched here
    for step, expected in ((0, 32), (32, 32), (64, 6), (5, 27), (40, 24)):
        trainer.step = step
        assert trainer._steps_together() == expected


def test_a_checkpoint_says_how_many_pixels_its_weights_saw(tmp_path: Path) -> None:
    clips = moving_rectangles()
    recipe = replace(RECIPE, maps=0.0)
    plan = TrainingPlan(
        "previous", "clean", recipe, 3, None, threads=1, validation_count=1
    )
    Trainer(plan, tmp_path / "a", clips, clips).run()
    from vsrcli.models.weights import read_info

    assert read_info(tmp_path / "a" / "last.safetensors").pixels == 3 * 2 * 12 * 12
    second = Trainer(
        plan, tmp_path / "b", clips, clips, init=tmp_path / "a" / "last.safetensors"
    )
    second.run()
    assert read_info(tmp_path / "b" / "last.safetensors").pixels == 2 * 3 * 2 * 12 * 12


def test_a_run_resumed_on_a_card_keeps_the_cards_settings(batches: Batches) -> None:
    """The state carries moments, not settings: a run of one device goes on on another."""
    first = _step("previous", batches)
    first.launch(batches.tables(0, 2), _control(2), PICTURE)
    state = deepcopy(first.state())
    second = _step("previous", batches)
    second.optimizer.param_groups[0]["capturable"] = "this device's"
    second.load_state(state)
    group = second.optimizer.param_groups[0]
    assert group["capturable"] == "this device's"
    assert group["lr"] is second._rate
    group["capturable"] = False
    for training in (first, second):
        training.launch(batches.tables(2, 1), _control(1), PICTURE)
    assert torch.equal(first.weights.values, second.weights.values)


def test_batches_that_nobody_holds_leave_no_thread() -> None:
    """By counting references alone: the clips of a finished run leave a card at once."""
    gc.disable()
    try:
        batches = Batches(
            moving_rectangles(), MODELS["delta"], "clean", patch=12, batch=2
        )
        batches.tables(0, 1)
        released = weakref.ref(batches)
        del batches
        assert released() is None
    finally:
        gc.enable()
