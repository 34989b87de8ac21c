"""Training: degradations, batches, exact resume, and that it learns."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from rectangles import moving_rectangles

from vsrcli.cli import _run
from vsrcli.clips.data import load
from vsrcli.clips.degradation import DEGRADATIONS, clean, video
from vsrcli.clips.sequences import (
    SEQUENCE,
    Sequences,
    split_held_out,
    validation_pairs,
)
from vsrcli.errors import BackendError, InputError, ModelError, OptionError, OutputError
from vsrcli.jobs.demo import write_demo
from vsrcli.metrics.frames import psnr
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import load as load_checkpoint
from vsrcli.models.layers import RecursiveBlock3d, set_passes
from vsrcli.options import TrainOptions
from vsrcli.training.batches import Batches
from vsrcli.training.curves import append_row, draw
from vsrcli.training.job import _choose_recipe, _verdict, train
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import RECIPES, recipe_for
from vsrcli.training.trainer import Trainer


def _plan(**changes: object) -> TrainingPlan:
    recipe = replace(RECIPES["ship"], batch=2, patch=12, warmup_steps=2)
    plan = TrainingPlan(
        "previous",
        "clean",
        recipe,
        steps=6,
        seconds=None,
        validate_every=1e9,
        threads=1,
        validation_count=2,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", DEGRADATIONS)
def test_degradations_are_pure_and_keep_brightness(domain: str) -> None:
    clip = moving_rectangles(1).clips[0]
    before = clip.copy()
    low = DEGRADATIONS[domain](clip, 3)
    assert low.shape == (SEQUENCE, 24, 24)
    assert low.dtype == np.uint8
    assert np.array_equal(low, DEGRADATIONS[domain](clip, 3))
    assert np.array_equal(clip, before)
    assert abs(float(low.mean()) - float(clip.mean())) < 2


def test_video_degradation_varies_with_its_seed_and_leaves_a_quarter_clean() -> None:
    clip = moving_rectangles(1).clips[0]
    results = [video(clip, seed) for seed in range(40)]
    untouched = sum(np.array_equal(result, clean(clip, 0)) for result in results)
    assert 4 <= untouched <= 17
    assert len({result.tobytes() for result in results}) == 40 - untouched + 1


def test_batches_follow_from_seed_and_step_alone() -> None:
    batches = Batches(
        moving_rectangles(), MODELS["delta"], "clean", patch=12, batch=4, seed=1
    )
    late = Batches(
        moving_rectangles(), MODELS["delta"], "clean", patch=12, batch=4, seed=1
    ).at(9)
    early = [batches.at(step) for step in range(10)]
    assert all(
        torch.equal(one, other) for one, other in zip(early[9], late, strict=True)
    )
    assert not torch.equal(early[8][0], early[9][0])
    assert late[0].shape == (4, 1, 5, 12, 12)
    assert late[1].shape == (4, 1, 24, 24)


def test_batches_pair_the_middle_frame_with_its_truth() -> None:
    """Whatever the flips, halving the truth gives the window's middle frame."""
    low_batch, high_batch = (
        part.numpy()
        for part in Batches(
            moving_rectangles(), MODELS["delta"], "clean", patch=16, batch=24
        ).at(0)
    )
    for low, high in zip(low_batch, high_batch, strict=True):
        again = clean(high.astype(np.uint8), 0)[0]
        assert psnr(low[0, 2, 4:-4, 4:-4], again[4:-4, 4:-4]) > 45


def test_every_clip_is_seen_once_an_epoch() -> None:
    sequences = Sequences(
        tuple(
            np.full((SEQUENCE, 32, 32), value, np.uint8) for value in (40, 80, 120, 160)
        ),
        tuple("abcd"),
    )
    batches = Batches(sequences, MODELS["delta"], "clean", patch=8, batch=2)
    seen = [
        float(value)
        for step in (0, 1)
        for value in batches.at(step)[1].mean(dim=(1, 2, 3))
    ]
    assert sorted(seen) == [40, 80, 120, 160]


def test_batches_turn_and_repeat_frames_as_chosen() -> None:
    """Each choice, repeated in numpy, gives the batch; flips, ends and cuts all occur."""
    clips = moving_rectangles()
    with Batches(
        clips, MODELS["delta"], "clean", patch=12, batch=200, edge_share=0.5
    ) as batches:
        lows, highs = (part[:, 0].numpy() for part in batches.at(0))
        choices = batches.choose(0)
        for row, (low, high) in enumerate(zip(lows, highs, strict=True)):
            top = choices.top[row]
            left = choices.left[row]
            frames = choices.frames[row]
            source = batches.planes_of(
                int(choices.clip[row]), int(choices.variant[row])
            )
            window = np.stack(
                [source[t, top : top + 12, left : left + 12] for t in frames]
            )
            truth = clips.clips[choices.clip[row]][
                frames[2], 2 * top : 2 * top + 24, 2 * left : 2 * left + 24
            ]
            for is_flipped, axis in (
                (choices.mirrored[row], -1),
                (choices.upside_down[row], -2),
            ):
                window, truth = (
                    np.flip(part, axis) if is_flipped else part
                    for part in (window, truth)
                )
            if choices.transposed[row]:
                window = window.swapaxes(-1, -2)
                truth = truth.T
            assert np.array_equal(low, window)
            assert np.array_equal(high, truth)
    steps = [np.diff(frames) for frames in choices.frames]
    assert all(
        abs(step).max() <= 1 and (np.all(step >= 0) or np.all(step <= 0))
        for step in steps
    )
    repeated = [
        frames
        for frames, step in zip(choices.frames, steps, strict=True)
        if (step == 0).any()
    ]
    assert 60 < len(repeated) < 100
    assert any(len(set(frames)) == 1 for frames in repeated), "no static window"
    flips = zip(choices.mirrored, choices.upside_down, choices.transposed, strict=True)
    assert len(set(flips)) == 8
    assert set(choices.frames[:, 2]) == {2, 3, 4}


def test_random_degradations_have_variants_and_fixed_ones_are_made_once() -> None:
    clips = moving_rectangles()
    with (
        Batches(clips, MODELS["delta"], "video", 12, 3, variants=2) as random,
        Batches(clips, MODELS["delta"], "clean", 12, 3, variants=2) as fixed,
    ):
        assert {int(random.choose(step).variant[0]) for step in range(6)} == {0, 1}
        assert {int(fixed.choose(step).variant[0]) for step in range(6)} == {0}
        random.prepare(0)
        assert len(random._pending) == 6
        random.tables(0, 1)
        random.prepare(0)
        assert len(random._pending) == 3, "clips that are in place are made again"


def test_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    clips = moving_rectangles()
    whole = Trainer(_plan(), tmp_path / "whole", clips, clips)
    whole.run()
    first = Trainer(_plan(), tmp_path / "parts", clips, clips)
    for _ in range(4):
        first.advance()
    first.save_state()
    second = Trainer(_plan(), tmp_path / "parts", clips, clips)
    second.resume()
    assert second.step == 4
    second.run()
    for name, value in whole.weights().items():
        assert torch.equal(value, second.weights()[name]), name
        assert torch.equal(whole.averages()[name], second.averages()[name]), name
    assert (tmp_path / "whole" / "last.safetensors").read_bytes() == (
        tmp_path / "parts" / "last.safetensors"
    ).read_bytes()


def test_interrupted_run_with_growing_recursion_equals_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    recipe = replace(
        RECIPES["ship"],
        batch=1,
        patch=8,
        warmup_steps=1,
        maps=0.3,
        maps_batch=2,
        passes=((0.0, 1), (0.4, 2), (0.8, None)),
    )
    plan = _plan(model="delta", recipe=recipe, steps=5, validation_count=1)
    clips = moving_rectangles()
    whole = Trainer(plan, tmp_path / "whole", clips, clips)
    whole.run()
    for stop in (1, 3, 5):  # each time in another part of the recursion's growth
        part = Trainer(plan, tmp_path / "parts", clips, clips)
        if stop > 1:
            part.resume()
        while part.step < stop:
            part.advance()
        part.save_state()
    for name, value in whole.weights().items():
        assert torch.equal(value, part.weights()[name]), name
    assert not (tmp_path / "parts" / "last.safetensors").exists()


@pytest.mark.parametrize("model", ["delta", "5-parallel"])
def test_frame_maps_are_trained_before_the_3d_part(tmp_path: Path, model: str) -> None:
    recipe = replace(
        RECIPES["ship"],
        batch=1,
        patch=8,
        warmup_steps=1,
        maps=0.5,
        maps_batch=4,
        passes=((0.0, None),),
    )
    trainer = Trainer(
        _plan(model=model, recipe=recipe, steps=4, validation_count=1),
        tmp_path,
        moving_rectangles(),
        moving_rectangles(),
    )
    moved = []
    for _ in range(4):
        before = {name: value.clone() for name, value in trainer.weights().items()}
        trainer.advance()
        moved.append(
            {
                name
                for name, value in trainer.weights().items()
                if not torch.equal(value, before[name])
            }
        )
    is_3d = {name for name in before if name.startswith(("volume.", "output."))}
    assert all(names and not names & is_3d for names in moved[:2])
    assert all(names & is_3d and names - is_3d for names in moved[2:])


def test_more_passes_do_about_the_same() -> None:
    """More passes with the second convolution scaled down change a block far less than without."""
    torch.manual_seed(0)
    block = torch.nn.Sequential(RecursiveBlock3d(8, 5))
    set_passes(block, 3)
    x = [torch.rand(1, 8, 16, 16) + 0.5 for _ in range(5)]
    with torch.no_grad():
        before = torch.stack(block(x))
        factors = set_passes(block, None)
        unscaled = float((torch.stack(block(x)) - before).abs().mean())
        for name, factor in factors.items():
            block.get_parameter(name).mul_(factor)
        scaled = float((torch.stack(block(x)) - before).abs().mean())
    assert factors == {"0.b.weight": 0.6, "0.b.bias": 0.6}
    assert scaled < 0.3 * unscaled


def test_ctrl_c_saves_the_run(tmp_path: Path) -> None:
    trainer = Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles())

    def interrupt(progress: object) -> None:
        if trainer.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt)
    again = Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles())
    again.resume()
    assert again.step == 2


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt during a weight update: what is saved equals a run of whole steps."""
    trainer = Trainer(
        _plan(), tmp_path / "cut", moving_rectangles(), moving_rectangles()
    )
    optimizer = trainer.training.optimizer
    update = optimizer.step

    def interrupted() -> None:
        if trainer.step == 2:  # the third step is at work
            os.kill(os.getpid(), signal.SIGINT)
        update()

    monkeypatch.setattr(optimizer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    saved = torch.load(tmp_path / "cut" / "state.pt", weights_only=True)
    assert saved["step"] == 3
    steps = Trainer(
        _plan(), tmp_path / "steps", moving_rectangles(), moving_rectangles()
    )
    while steps.step < 3:
        steps.advance()
    assert torch.equal(steps.training.weights.values, saved["weights"])
    assert torch.equal(steps.training.average, saved["average"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_validating_saves_the_trained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Not the averaged weights under validation; and saving does not wait for its end."""
    trainer = Trainer(
        _plan(validate_every=0.0), tmp_path, moving_rectangles(), moving_rectangles()
    )
    infer = trainer._infer

    def interrupted(windows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if trainer.step == 2:
            os.kill(os.getpid(), number)
        return infer(windows)

    monkeypatch.setattr(trainer, "_infer", interrupted)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        trainer.run()
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    steps = Trainer(
        _plan(), tmp_path / "steps", moving_rectangles(), moving_rectangles()
    )
    while steps.step < 2:
        steps.advance()
    assert torch.equal(steps.training.weights.values, saved["weights"])


def test_termination_waits_for_the_end_of_a_step_and_a_second_one_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kills, saved_step in ((1, 3), (2, None)):
        folder = tmp_path / str(kills)
        trainer = Trainer(_plan(), folder, moving_rectangles(), moving_rectangles())
        optimizer = trainer.training.optimizer
        update = optimizer.step

        def interrupted(
            trainer: Trainer = trainer,
            kills: int = kills,
            update: Callable[[], Any] = update,
        ) -> None:
            if trainer.step == 2:  # the third step is at work
                for _ in range(kills):
                    os.kill(os.getpid(), signal.SIGTERM)
            update()

        monkeypatch.setattr(optimizer, "step", interrupted)
        with pytest.raises(SystemExit):
            trainer.run()
        state = folder / "state.pt"
        assert (
            torch.load(state, weights_only=True)["step"] if state.exists() else None
        ) == saved_step
        assert trainer.is_saved == (saved_step is not None)


def test_a_card_without_memory_is_told_of_smaller_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles())

    def launch(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(trainer.training, "launch", launch)
    with pytest.raises(BackendError, match="smaller --batch or --patch"):
        trainer.run()


def test_a_full_disk_leaves_what_a_resumed_run_reads(
    tmp_path: Path, moving_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    train(
        TrainOptions(
            model="previous",
            domain="clean",
            data=(str(moving_clip),),
            out=str(folder),
            steps=1,
            device="cpu",
        )
    )
    before = (folder / "options.json").read_text()

    def full(self: Path, text: str) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match="No space left"):
            train(TrainOptions(resume=str(folder), steps=2, device="cpu"))
    assert (folder / "options.json").read_text() == before
    assert not list(folder.glob(".*.part"))


def test_many_steps_in_a_launch_are_the_run_of_single_ones(tmp_path: Path) -> None:
    """As on a card, with the next tables made ahead; the device is only called one here."""
    clips = moving_rectangles()
    plan = _plan(
        steps=70, recipe=replace(_plan().recipe, maps=0.0, passes=((0.0, None),))
    )
    single = Trainer(plan, tmp_path / "single", clips, clips)
    together = Trainer(plan, tmp_path / "together", clips, clips)
    together.device = torch.device("cuda")
    launches = 0
    while together.step < 70:
        together.advance()
        launches += 1
    while single.step < 70:
        single.advance()
    assert launches == 3
    assert torch.equal(single.training.weights.values, together.training.weights.values)
    assert torch.equal(single.training.average, together.training.average)


def test_a_run_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    trainer = Trainer(
        _plan(), tmp_path / "run", moving_rectangles(), moving_rectangles()
    )
    (tmp_path / "run").rmdir()
    with pytest.raises(OutputError, match="cannot be saved there"):
        trainer.save_state()


def test_what_is_wrong_shows_before_the_clips_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for changes, error in (
        ({"out": str(tmp_path / "file" / "run")}, OutputError),
        ({"init": "nothing"}, OptionError),
        ({"device": "toaster"}, OptionError),
    ):
        options = {
            "data": (str(tmp_path / "missing.mp4"),),
            "out": str(tmp_path / "run"),
            "steps": 1,
        } | changes
        with pytest.raises(error):
            train(TrainOptions(**options))  # type: ignore[arg-type]


def test_resume_refuses_another_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no run to resume"):
        Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles()).resume()
    Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles()).save_state()
    with pytest.raises(ModelError, match="resume with the same"):
        Trainer(
            _plan(seed=1), tmp_path, moving_rectangles(), moving_rectangles()
        ).resume()
    (tmp_path / "state.pt").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="refused"):
        Trainer(_plan(), tmp_path, moving_rectangles(), moving_rectangles()).resume()


def test_it_learns(tmp_path: Path) -> None:
    clips = moving_rectangles(3, 64)
    trainer = Trainer(_plan(steps=80, model="delta", seed=1), tmp_path, clips, clips)
    before = trainer.validate()["clean"]
    after = trainer.run()["clean"]
    assert after > before + 0.3
    assert (tmp_path / "best.safetensors").is_file()
    _, first, last = (tmp_path / "log.csv").read_text().splitlines()
    assert first.startswith("0,0,nan,")
    assert float(first.split(",")[5]) == pytest.approx(before, abs=1e-3)
    assert last.startswith("80,")


def test_curves_begin_with_what_the_run_begins_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Any] = []
    write = Figure.savefig

    def remember(figure: Any, *given: Any, **named: Any) -> None:
        drawn.append(figure)
        write(figure, *given, **named)

    monkeypatch.setattr(Figure, "savefig", remember)
    for step, loss in ((0, math.nan), (10, 0.25)):
        gains = {"gain": {"clean": 0.1 * step - 1}}
        append_row(tmp_path, {"step": step, "loss": loss}, gains)
        assert draw(tmp_path) == tmp_path / "curves.png"
    gain, loss_panel = drawn[-1].axes
    assert list(gain.lines[0].get_xdata()) == [0, 10]
    assert list(gain.lines[0].get_ydata()) == [-1, 0]
    losses = loss_panel.lines[0].get_ydata()
    assert math.isnan(losses[0])
    assert losses[1] == 0.25


def test_training_from_options_with_a_video_file_and_resume(
    tmp_path: Path, moving_clip: Path
) -> None:
    options = TrainOptions(
        model="previous",
        domain="clean",
        data=(str(moving_clip),),
        out=str(tmp_path / "run"),
        steps=2,
        device="cpu",
        threads=1,
    )
    notes: list[str] = []
    report = train(options, on_note=notes.append)
    assert report.steps == 2
    assert Path(report.last).is_file()
    assert any("held out" in line for line in notes)
    with pytest.raises(OptionError, match="--resume"):
        train(options)
    assert (
        train(TrainOptions(resume=str(tmp_path / "run"), steps=3, device="cpu")).steps
        == 3
    )


def test_folders_and_bad_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video file and no pictures"):
        load([tmp_path])
    with pytest.raises(InputError, match="too small"):
        Batches(moving_rectangles(1, 16), MODELS["delta"], "clean", patch=32, batch=1)
    with pytest.raises(InputError, match="hold one out"):
        split_held_out(moving_rectangles(1))
    kept, held = split_held_out(moving_rectangles(3))
    assert (len(kept), len(held)) == (2, 1)


def test_every_file_gives_its_last_tenth_to_validation_and_packs_whole_scenes() -> None:
    clip = moving_rectangles(1).clips[0]
    names = (
        [f"a/x.mp4#{n}" for n in range(20)]
        + [f"b/x.mp4#{n}" for n in range(3)]
        + ["short.mp4#0"]
    )
    kept, held = split_held_out(Sequences((clip,) * len(names), tuple(names)))
    assert held.names == ("a/x.mp4#18", "a/x.mp4#19", "b/x.mp4#2")
    assert sorted(kept.names + held.names) == sorted(names)
    scenes = ("street",) * 15 + ("sea",) * 5
    kept, held = split_held_out(Sequences((clip,) * 20, scenes))
    assert held.names == ("sea",) * 5
    assert len(split_held_out(Sequences((clip,) * 20, ("street",) * 20))[1]) == 2


def test_pictures_of_one_colour_are_not_validated_on(tmp_path: Path) -> None:
    """The black end of a film: bicubic is exact there, and its mean gain would be infinite."""
    clips = moving_rectangles()
    black = Sequences(
        (*clips.clips[:1], np.full((SEQUENCE, 48, 48), 16, np.uint8)), ("a", "b")
    )
    trainer = Trainer(_plan(), tmp_path / "a", clips, black)
    assert np.isfinite(trainer.validate()["clean"])
    with pytest.raises(InputError, match="single colours"):
        Trainer(
            _plan(), tmp_path / "b", clips, Sequences(black.clips[1:], black.names[1:])
        )


def test_a_pack_needs_no_pyav(tmp_path: Path) -> None:
    """Without PyAV, packs are read by OpenCV, and `clean` and `blur3` need no encoder."""
    writer = cv2.VideoWriter(
        str(tmp_path / "train.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64)
    )
    for clip in moving_rectangles(2, 64).clips:
        for picture in clip:
            writer.write(np.dstack([picture] * 3))
    writer.release()
    rows = "".join(f"train,1,scene{number}\n" for number in range(2))
    (tmp_path / "manifest.csv").write_text("split,shippable,content_group\n" + rows)
    code = (
        "import sys\n"
        "sys.modules['av'] = None\n"
        "from vsrcli.options import TrainOptions\n"
        "from vsrcli.training.job import train\n"
        "options = TrainOptions(\n"
        "    model='previous', domain='blur3', data=(sys.argv[1],), out=sys.argv[2],\n"
        "    steps=1, batch=1, patch=8, device='cpu', threads=1)\n"
        "train(options)\n"
    )
    places = [str(tmp_path / "train.avi"), str(tmp_path / "run")]
    command = [sys.executable, "-c", code, *places]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_pack_and_its_licences(shared: Path) -> None:
    everything = load([shared / "data" / "val.mp4"])
    shippable = load([shared / "data" / "val.mp4"], shippable_only=True)
    assert len(everything) == 132
    assert 0 < len(shippable) < 132
    assert everything.clips[0].shape == (SEQUENCE, 256, 256)
    low, high = validation_pairs(everything, "clean", count=4, size=128)[1]
    assert (low.shape, high.shape) == ((5, 64, 64), (128, 128))


def test_a_run_from_trained_weights_never_ends_with_worse_best_ones(
    tmp_path: Path,
) -> None:
    clips = moving_rectangles(3, 64)
    Trainer(_plan(steps=40), tmp_path / "first", clips, clips).run()
    start = tmp_path / "first" / "last.safetensors"
    wild = replace(
        _plan().recipe, learning_rate=0.3, warmup_steps=0, clip_norm=0.0, floor=1.0
    )
    trainer = Trainer(
        _plan(recipe=wild, steps=3), tmp_path / "second", clips, clips, init=start
    )
    gains = trainer.run()
    assert gains["clean"] < trainer.best
    kept, _ = load_checkpoint(tmp_path / "second" / "best.safetensors")
    begun, info = load_checkpoint(start)
    assert info.step == 40
    assert load_checkpoint(tmp_path / "second" / "last.safetensors")[1].step == 43, (
        "the steps behind the weights, all of them"
    )
    assert all(
        torch.equal(value, kept.state_dict()[name])
        for name, value in begun.state_dict().items()
    )


def test_early_stopping(tmp_path: Path) -> None:
    clips = moving_rectangles()
    frozen = replace(_plan().recipe, learning_rate=1e-12, patience=2, ema=0.0)
    trainer = Trainer(
        _plan(recipe=frozen, steps=50, validate_every=0.0), tmp_path, clips, clips
    )
    trainer.run()
    assert trainer.step < 50
    assert trainer.stale >= 2


def test_a_resumed_fine_tuning_is_judged_by_its_beginning(
    tmp_path: Path, moving_clip: Path
) -> None:
    """Gains from before an interruption count: no false "no gain", and the report starts there."""
    clips = load([moving_clip])
    train_on, held = split_held_out(clips)
    Trainer(_plan(steps=1), tmp_path / "start", train_on, held).run()
    first = train(
        TrainOptions(
            model="previous",
            domain="clean",
            data=(str(moving_clip),),
            out=str(tmp_path / "run"),
            init=str(tmp_path / "start" / "last.safetensors"),
            steps=25,
            learning_rate=1e-3,
            batch=2,
            patch=16,
            device="cpu",
            threads=1,
        )
    )
    assert first.gain_db["clean"] > first.gain_before_db["clean"] + 0.1
    notes: list[str] = []
    second = train(
        TrainOptions(resume=str(tmp_path / "run"), steps=26, device="cpu"),
        on_note=notes.append,
    )
    assert second.gain_before_db == first.gain_before_db
    assert not any(line.startswith("no gain") for line in notes)
    train(
        TrainOptions(resume=str(tmp_path / "run"), device="cpu"), on_note=notes.append
    )
    assert any("reached its end (26 steps)" in line for line in notes)


def test_resuming_keeps_what_the_run_was_started_with(
    tmp_path: Path, moving_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moving_clip.parent)
    options = TrainOptions(
        model="previous",
        domain="clean",
        data=(moving_clip.name,),
        out=str(tmp_path / "run"),
        steps=1,
        batch=3,
        patch=9,
        device="cpu",
    )
    train(options)
    monkeypatch.chdir(tmp_path)
    for changes in (
        {"data": ("other.mp4",)},
        {"batch": 4},
        {"learning_rate": 1e-5},
        {"recipe": "report"},
    ):
        flag = "--" + next(iter(changes)).replace("_", "-")
        with pytest.raises(OptionError, match=f"omit {flag}"):
            train(TrainOptions(resume=str(tmp_path / "run"), steps=2, **changes))
    train(TrainOptions(resume=str(tmp_path / "run"), steps=2, threads=1, device="cpu"))
    kept = json.loads((tmp_path / "run" / "options.json").read_text())
    assert (kept["batch"], kept["patch"], kept["learning_rate"], kept["threads"]) == (
        3,
        9,
        RECIPES["ship"].learning_rate,
        1,
    )
    assert kept["precision"] is None, (
        "a run resumed on another device takes the precision that fits there"
    )


@pytest.mark.parametrize(
    ("figures", "is_fine_tuned", "told"),
    [
        (
            (1.0, 0.5, 1.0),
            True,
            [
                "no gain: on clean the weights are no better than those they started from "
                "(+1.00 dB over bicubic, now +0.50 dB), and best"
            ],
        ),
        ((1.0, 1.005, 1.005), True, ["no gain: on clean"]),
        (
            (1.0, 1.3, 1.3),
            True,
            [
                "gained 0.30 dB on clean on the clips held out: "
                "+1.00 dB over bicubic before, +1.30 dB now"
            ],
        ),
        (
            (1.0, 1.1, 1.3),
            True,
            [
                "gained 0.30 dB",
                "the best weights of the run, best.safetensors, are 0.20 dB better",
            ],
        ),
        (
            (-1.2, -0.3, -0.3),
            False,
            ["the weights do not yet beat bicubic on clean (-0.30 dB)"],
        ),
        ((-1.2, 1.5, 1.5), False, []),
    ],
)
def test_what_a_run_came_to_is_said_plainly(
    figures: tuple[float, float, float], is_fine_tuned: bool, told: list[str]
) -> None:
    lines = _verdict(*figures, "clean", is_fine_tuned=is_fine_tuned)
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))
    assert ("is what they started from" in "".join(lines)) == (figures[2] == figures[0])


def test_the_user_is_told_when_fine_tuning_gained_nothing(
    tmp_path: Path, moving_clip: Path
) -> None:
    notes: list[str] = []
    options = TrainOptions(
        domain="clean",
        data=(str(moving_clip),),
        out=str(tmp_path / "run"),
        init="video",
        steps=1,
        learning_rate=1.0,
        batch=1,
        patch=8,
        device="cpu",
        threads=1,
    )
    train(options, on_note=notes.append)
    assert any(
        line.startswith("no gain") and "--learning-rate" in line for line in notes
    )
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    columns = (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    assert columns == (
        "step,seconds,loss,learning_rate,passes,gain_clean_db,temporal_gain_clean_db"
    )


def test_a_resumed_run_keeps_its_recipe_and_one_without_is_an_older_versions(
    tmp_path: Path, moving_clip: Path
) -> None:
    """What the recipe is now, or on another device, does not matter to a run that has begun."""
    folder = tmp_path / "run"
    options = TrainOptions(
        model="lite",
        domain="clean",
        data=(str(moving_clip),),
        out=str(folder),
        recipe="long",
        steps=1,
        batch=2,
        patch=16,
        device="cpu",
        threads=1,
    )
    train(options)
    path = folder / "recipe.json"
    kept = json.loads(path.read_text())
    assert (kept["name"], kept["batch"], kept["patch"]) == ("long", 2, 16)
    path.write_text(json.dumps(kept | {"warmup_steps": 7, "passes": [[0.0, None]]}))
    train(TrainOptions(resume=str(folder), steps=2, device="cpu", threads=1))
    assert json.loads(path.read_text())["warmup_steps"] == 7
    path.write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        train(TrainOptions(resume=str(folder), steps=3, device="cpu"))
    path.unlink()
    with pytest.raises(ModelError, match="an older version of vsr made this run"):
        train(TrainOptions(resume=str(folder), steps=3, device="cpu"))


@pytest.mark.parametrize(("time", "name"), [(600.0, "ship"), (4 * 3600.0, "long")])
def test_long_runs_take_the_long_recipe_unless_told_otherwise(
    time: float, name: str
) -> None:
    options = TrainOptions(data=("x",), out="y", time=time)
    assert _choose_recipe(options, is_gpu=False).name == name
    assert _choose_recipe(options, is_gpu=True).name == "long"
    assert (
        _choose_recipe(replace(options, recipe="report"), is_gpu=True).name == "report"
    )
    small = _choose_recipe(
        replace(options, batch=3, patch=20, learning_rate=0.5), is_gpu=True
    )
    assert (small.batch, small.patch, small.learning_rate, small.maps_batch) == (
        3,
        20,
        0.5,
        12,
    )


def test_a_network_may_differ_from_the_recipe() -> None:
    assert recipe_for("ship", "delta") == RECIPES["ship"]
    assert recipe_for("report", "lite") == RECIPES["report"]
    lite = recipe_for("ship", "lite")
    assert (lite.name, lite.loss, lite.learning_rate, lite.batch) == (
        "ship",
        RECIPES["ship"].loss,
        2e-3,
        8,
    )


def test_a_network_without_trim_learns_and_comes_back(tmp_path: Path) -> None:
    clips = moving_rectangles()
    recipe = replace(
        _plan().recipe, learning_rate=1e-3, warmup_steps=1, ema=0.5, floor=1.0
    )
    plan = _plan(model="lite", recipe=recipe, steps=300)
    trainer = Trainer(plan, tmp_path, clips, clips)
    before = trainer.validate()
    gains = trainer.run()
    assert gains["clean"] > before["clean"] + 0.5
    again = Trainer(
        plan, tmp_path / "second", clips, clips, init=tmp_path / "last.safetensors"
    )
    assert again.validate()["clean"] == pytest.approx(gains["clean"], abs=1e-6)


def test_the_report_recipe_is_the_reports() -> None:
    recipe = RECIPES["report"]
    assert (
        recipe.loss,
        recipe.learning_rate,
        recipe.batch,
        recipe.patch,
        recipe.domain,
    ) == ("mse", 5e-4, 1, None, "blur3")
    assert recipe.patience > 0
    assert not recipe.augment
    wide = Sequences(
        tuple(clip[:, :40] for clip in moving_rectangles(2, 64).clips), ("a", "b")
    )
    batches = Batches(
        wide,
        MODELS["delta"],
        "blur3",
        recipe.patch,
        recipe.batch,
        augment=recipe.augment,
    )
    assert batches.at(0)[0].shape == (1, 1, 5, 20, 32)
    for choices in map(batches.choose, range(40)):
        assert {tuple(frames) for frames in choices.frames} <= {
            (0, 1, 2, 3, 4),
            (1, 2, 3, 4, 5),
            (2, 3, 4, 5, 6),
        }
        assert not (choices.mirrored | choices.upside_down | choices.transposed).any()


def test_whole_pictures_where_the_recipe_takes_whole_pictures(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", frames=14, size=(600, 300))
    assert [clip.shape for clip in load([path], whole=True).clips] == [
        (SEQUENCE, 300, 600)
    ] * 2
    assert [clip.shape for clip in load([path]).clips] == [
        (SEQUENCE, 256, 256),
        (SEQUENCE, 256, 256),
    ] * 2
    assert len(load([path], whole=True, limit=2).clips) == 1, (
        "a whole picture counts for the tiles it holds"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"batch": 0},
        {"patch": 4},
        {"clips": 1},
        {"learning_rate": 0.0},
        {"learning_rate": 3.0},
        {"steps": 0},
        {"time": -1.0},
    ],
)
def test_options_that_make_no_sense(changes: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        TrainOptions(data=("x",), out="y", **({"steps": 1} | changes))  # type: ignore[arg-type]


def test_half_precision_on_the_cpu_is_refused(
    tmp_path: Path, moving_clip: Path
) -> None:
    with pytest.raises(OptionError, match="CUDA"):
        train(
            TrainOptions(
                data=(str(moving_clip),),
                out=str(tmp_path / "run"),
                steps=1,
                precision="fp16",
                device="cpu",
            )
        )


def test_frames_in_a_folder_train_like_the_video_they_came_from(tmp_path: Path) -> None:
    blocks = np.kron(
        np.random.default_rng(2).integers(0, 256, (8, 8)), np.ones((8, 8))
    ).astype(np.uint8)
    for number in range(8, 22):  # 9 before 10: by number, not by name
        grey = np.roll(blocks, number, axis=1)
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.dstack([grey] * 3))
    loaded = load([tmp_path])
    assert loaded.clips[0].shape == (SEQUENCE, 64, 64)
    for place, luma in enumerate(loaded.clips[0]):
        assert (
            np.abs(luma - (16 + np.roll(blocks, 8 + place, axis=1) * (219 / 255))).max()
            < 1
        )
    (tmp_path / "frame12.png").unlink()
    with pytest.raises(InputError, match="12 missing"):
        load([tmp_path])


def test_long_films_are_sampled_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "film.mp4", frames=300, size=(64, 48))
    assert len(load([path])) > 30
    monkeypatch.setattr("vsrcli.clips.data._SAMPLED_PLACES", 5)
    few = load([path], limit=5).clips
    assert len(few) == 5
    means = [float(np.abs(a.astype(int) - b).mean()) for a, b in pairwise(few)]
    assert min(means) > 1, "the same place twice"


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path,
    moving_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        Trainer, "_note_loss", lambda self, loss: os.kill(os.getpid(), signal.SIGINT)
    )
    arguments = [
        "train",
        "-m",
        "previous",
        "--domain",
        "clean",
        "--data",
        str(moving_clip),
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "9",
        "-d",
        "cpu",
    ]
    assert _run(arguments) == 130
    assert f"vsr train --resume {tmp_path / 'run'}" in capsys.readouterr().err


def test_training_from_scratch_on_the_command_line_gains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first training: a generated clip, Delta, a short run; the held-out gain grows well."""
    clip = tmp_path / "clip.mp4"
    write_demo(clip, seconds=2.0, size=(128, 96))
    arguments = [
        "train",
        "--data",
        str(clip),
        "--domain",
        "clean",
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "100",
        "--patch",
        "14",
        "--threads",
        "1",
        "-d",
        "cpu",
        "--json",
    ]
    assert _run(arguments) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["gain_db"]["clean"] > report["gain_before_db"]["clean"] + 0.5
    assert "over bicubic" in printed.err
    assert (tmp_path / "run" / "curves.png").is_file()


def test_clips_that_no_memory_holds_are_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(
        BackendError, match=r"no memory for .* GB .* fewer than 3 with --clips"
    ):
        Batches(moving_rectangles(), MODELS["lite"], "clean", patch=12, batch=2)
