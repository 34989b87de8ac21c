"""What motion compensation gains and costs:
python benchmarks/motion.py trials DATA [--steps N] [--only NAME]... | cost [--size WxH]...

``trials`` trains the body of lite for equally many steps on the training pack in DATA, seeing
different things of a window, and prints gains over bicubic: on validation sequences, on photographs
under a moving camera that are held out of the training (every fifth such group), and on the scenes
of ``standins.py``; behind each the temporal gain, what of it is lost with frame t five times.
``cost`` times the parts of a frame in one thread, and the network in all, on a film that moves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from standins import CAMERAS
from standins import motion as scene_frames
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.backends import open_backend
from vsrcli.frame import Plane
from vsrcli.models import MODELS, NEIGHBOUR_PLANES, PHASES, ModelSpec
from vsrcli.models.lite import Lite
from vsrcli.picture import motion
from vsrcli.training.batches import Batches
from vsrcli.training.data import SEQUENCE, Sequences, load, manifest_rows
from vsrcli.training.recipe import recipe_for
from vsrcli.training.step import Stage, TrainingStep
from vsrcli.training.validation import Floats, Validation

LITE = MODELS["lite"]
FRAMES = replace(LITE, is_motion_compensated=False)
INNER = range(NEIGHBOUR_PLANES, LITE.planes - NEIGHBOUR_PLANES)
SAMPLES = [
    number
    for number in range(LITE.planes)
    if number == LITE.middle
    or (number - (number > LITE.middle)) % NEIGHBOUR_PLANES < PHASES
]
Search = Callable[[cv2.DISOpticalFlow], None]


def usual(search: cv2.DISOpticalFlow) -> None:
    """As ``picture.motion`` sets it."""


def medium(search: cv2.DISOpticalFlow) -> None:
    """OpenCV's preset MEDIUM, down to full size: precise, and eight times as slow."""
    search.setPatchStride(3)
    search.setGradientDescentIterations(25)
    search.setVariationalRefinementIterations(5)


def coarse(search: cv2.DISOpticalFlow) -> None:
    """OpenCV's preset FAST, which ends at a quarter of the size."""
    search.setFinestScale(2)
    search.setPatchStride(4)
    search.setGradientDescentIterations(16)
    search.setVariationalRefinementIterations(5)


@dataclass(frozen=True)
class Trial:
    """What a network is shown: which of its planes, and how motion is found."""

    what: str
    spec: ModelSpec = LITE
    shown: Sequence[int] = range(LITE.planes)
    search: Search = usual
    is_direct: bool = False


TRIALS = {
    "one": Trial("frame t alone", FRAMES, [FRAMES.middle]),
    "frames": Trial("five frames as they are", FRAMES, range(FRAMES.planes)),
    "motion": Trial("neighbours along their motion, with their distance (lite)"),
    "samples": Trial("the same without the distance", shown=SAMPLES),
    "inner": Trial("t-1 and t+1 only", shown=INNER),
    "direct": Trial("flow to t-2 and t+2 by a search of its own", is_direct=True),
    "medium": Trial(
        "flow by MEDIUM, each by a search of its own", search=medium, is_direct=True
    ),
    "coarse": Trial("flow by FAST, at a quarter of the size", search=coarse),
}


class Picked(Lite):
    """The body of lite behind some of the planes."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.planes = trial.spec.planes
        self._shown = list(trial.shown)
        width = self.head.out_channels
        self.head = nn.Conv2d(len(self._shown), width, 3, padding=1)

    def features(self, window: Tensor) -> Tensor:
        """As of ``Lite``."""
        planes = window[:, 0, self._shown].contiguous(memory_format=torch.channels_last)
        first = functional.relu_(self.head(planes))
        result: Tensor = self.body(first) + first
        return result

    def initialise(self) -> None:
        """As of ``Lite``."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.output.weight)

    @property
    def multiply_adds(self) -> float:
        """For an output pixel."""
        weights = (
            layer.weight for layer in self.modules() if isinstance(layer, nn.Conv2d)
        )
        return sum(weight.numel() for weight in weights) / 4


@contextmanager
def motion_found_as(trial: Trial) -> Iterator[None]:
    """Let ``picture.motion`` search as the trial says."""
    settings = motion.new_search
    over = motion.Motion._flow_over

    def set_up() -> cv2.DISOpticalFlow:
        search = settings()
        trial.search(search)
        return search

    motion.new_search = set_up
    if trial.is_direct:
        motion.Motion._flow_over = _direct  # type: ignore[method-assign]
    try:
        yield
    finally:
        motion.new_search = settings
        motion.Motion._flow_over = over  # type: ignore[method-assign]


def _direct(
    self: motion.Motion,
    middle: motion.View,
    nearer: motion.View,
    neighbour: motion.View,
) -> motion.Flow | None:
    return self._flow(middle, neighbour)


def split(data: Path) -> tuple[Sequences, dict[str, Sequences]]:
    """Clips to train on, and those to judge by."""
    pack = load([data / "train.mp4"])
    rows = [row for row in manifest_rows(data / "train.mp4") if row["split"] == "train"]
    groups = sorted({name for name in pack.names if name.startswith("photo-")})
    held = set(groups[::5])
    is_ours = [row["shippable"] == "1" for row in rows]
    training = [
        k for k, name in enumerate(pack.names) if name not in held and is_ours[k]
    ]
    photos = [k for k, name in enumerate(pack.names) if name in held]
    judged = {"val": load([data / "val.mp4"]), "photo": pack.subset(photos)}
    for scene in CAMERAS:
        frames = np.stack(list(scene_frames(scene, 3 * SEQUENCE)))
        clips = tuple(frames.reshape(3, SEQUENCE, *frames.shape[1:]))
        judged[scene] = Sequences(clips, (scene,) * len(clips))
    return pack.subset(training), judged


def run_trial(
    trial: Trial, training: Sequences, judged: dict[str, Sequences], steps: int
) -> list[str]:
    """Train, and judge: the cells of a row."""
    recipe = recipe_for("long", "lite")
    torch.manual_seed(0)
    network = Picked(trial)
    network.initialise()
    stage = Stage(is_maps=False, passes=None, loss=recipe.loss, fourier=recipe.fourier)
    with (
        motion_found_as(trial),
        Batches(
            training, trial.spec, "clean", recipe.patch, recipe.batch, workers=1
        ) as batches,
    ):
        batches.prepare(0)
        step = TrainingStep(network.train(), trial.spec, recipe, batches, "bf16")
        for number in range(steps):
            rate = recipe.rate_at(number, number / steps)
            control = torch.tensor([[rate, recipe.decay_at(number)]])
            step.launch(batches.tables(number, 1), control, stage)
        network.load_state_dict(step.weights.in_codes(step.average))
        cells = [f"{network.multiply_adds:,.0f}"]
        for sequences in judged.values():
            validation = Validation(sequences, trial.spec, ("clean",), 33, size=256)
            with torch.inference_mode():
                infer = partial(_inferred, network.eval())
                gain = validation.gains(infer)["clean"]
                still = validation.still_gains(infer)["clean"]
            cells.append(f"{gain:+.2f} ({gain - still:+.2f})")
    return cells


def _inferred(network: Lite, windows: Floats) -> Floats:
    result: Tensor = network(torch.from_numpy(np.ascontiguousarray(windows))[:, None])
    pictures: Floats = result[:, 0].numpy()
    return pictures


def trials(data: Path, steps: int, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    training, judged = split(data)
    print(f"| shown | multiply-adds | {' | '.join(judged)} |")
    print("|---|---|" + "---|" * len(judged))
    for name in names or TRIALS:
        cells = run_trial(TRIALS[name], training, judged, steps)
        print(f"| {TRIALS[name].what} | {' | '.join(cells)} |", flush=True)


def film(width: int, height: int, count: int) -> list[Plane]:
    """Smooth noise that moves by a part of a pixel more than one a frame."""
    noise = (
        np.random.default_rng(0)
        .normal(size=(height + 40, width + 80))
        .astype(np.float32)
    )
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.2)
    picture = 126 + 400 * smooth
    frames: list[Plane] = []
    for number in range(count):
        shift = np.array(
            [[1, 0, 10 + 1.35 * number], [0, 1, 10 + 0.4 * number]], np.float32
        )
        kind = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(picture, shift, (width, height), flags=kind)
        frames.append(moved.clip(16, 235).astype(np.uint8))
    return frames


def cost(sizes: Sequence[str], backend: str) -> None:
    """Milliseconds a frame of the parts, on a film of which each window has one new frame."""
    print(
        "| size | search | sampling | all motion, one thread | network, all threads |"
    )
    print("|---|---|---|---|---|")
    network = open_backend(backend, "lite", "clean", device="cpu", precision=None)
    for size in sizes:
        width, height = (int(side) for side in size.split("x"))
        frames = film(width, height, 14)
        taken: dict[str, float] = {}
        with _timed("_search", taken), _timed("_sampled", taken):
            made = motion.Motion(8)
            for start in range(10):
                if start == 4:
                    taken.clear()
                    began = time.perf_counter()
                planes = made.planes(made.window(frames[start : start + 5]))
            whole = time.perf_counter() - began
        values = planes[None].astype(np.float32)
        for _ in range(3):
            network.run(values)
        began = time.perf_counter()
        for _ in range(6):
            network.run(values)
        alone = time.perf_counter() - began
        cells = [taken["_search"], taken["_sampled"], whole, alone]
        print(
            f"| {size} | "
            + " | ".join(f"{1e3 * cell / 6:.0f}" for cell in cells)
            + " |"
        )


@contextmanager
def _timed(name: str, taken: dict[str, float]) -> Iterator[None]:
    function = getattr(motion, name)

    def timed(*given: object) -> object:
        began = time.perf_counter()
        result = function(*given)
        taken[name] = taken.get(name, 0.0) + time.perf_counter() - began
        return result

    setattr(motion, name, timed)
    try:
        yield
    finally:
        setattr(motion, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    trying = commands.add_parser("trials")
    trying.add_argument("data", type=Path)
    trying.add_argument("--steps", type=int, default=2500)
    trying.add_argument("--only", action="append", default=[], choices=list(TRIALS))
    costing = commands.add_parser("cost")
    costing.add_argument("--size", action="append", default=[])
    costing.add_argument("--backend", default="openvino")
    arguments = parser.parse_args()
    if arguments.command == "trials":
        trials(arguments.data, arguments.steps, arguments.only)
    else:
        cost(arguments.size or ["640x360", "1280x720"], arguments.backend)


if __name__ == "__main__":
    main()
