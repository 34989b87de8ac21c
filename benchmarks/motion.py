"""What motion compensation gains and costs:
python benchmarks/motion.py trials DATA [--steps N] [--only NAME]... | cost [--size WxH]...

``trials`` trains the body of lite for equally many steps on the training pack in DATA, each trial
with other planes of a window, and prints gains over bicubic: on validation sequences, on
photographs under a moving camera that are held out of the training (every fifth such group), and on
the scenes of ``standins.py``. Behind each is the temporal gain: what is lost with frame t five
times.
``cost`` times the parts of a frame in one thread, and the network as a whole, on a film that moves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from script_parts import parse_size, print_header, print_row
from standins import CAMERAS
from standins import motion as scene_frames
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.backends import open_backend
from vsrcli.clips.data import load
from vsrcli.clips.pack_reader import manifest_rows
from vsrcli.clips.sequences import SEQUENCE, Sequences
from vsrcli.frame import Plane
from vsrcli.models import MODELS, NEIGHBOUR_PLANES, PHASES, ModelSpec
from vsrcli.models.lite import Lite
from vsrcli.picture import motion
from vsrcli.training.batches import Batches
from vsrcli.training.recipe import recipe_for
from vsrcli.training.step import Stage, TrainingStep
from vsrcli.training.validation import Floats, Validation

LITE = MODELS["lite"]
FRAMES = replace(LITE, is_motion_compensated=False)
INNER = range(NEIGHBOUR_PLANES, LITE.planes - NEIGHBOUR_PLANES)


def _is_sample(number: int) -> bool:
    """Whether a plane of lite is a picture, and not a distance."""
    if number == LITE.middle:
        return True
    place = number if number < LITE.middle else number - 1
    return place % NEIGHBOUR_PLANES < PHASES


SAMPLES = [number for number in range(LITE.planes) if _is_sample(number)]
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
    """What a network gets.

    Attributes:
        what: the trial in words.
        spec: says which planes there are.
        planes: those that the network gets.
        search: sets how motion is found.
        is_direct: whether the flow to t-2 and t+2 has a search of its own.
    """

    what: str
    spec: ModelSpec = LITE
    planes: Sequence[int] = range(LITE.planes)
    search: Search = usual
    is_direct: bool = False


TRIALS = {
    "one": Trial(
        "frame t alone",
        FRAMES,
        [FRAMES.middle],
    ),
    "frames": Trial(
        "five frames as they are",
        FRAMES,
        range(FRAMES.planes),
    ),
    "motion": Trial("neighbours along their motion, with their distance (lite)"),
    "samples": Trial(
        "the same without the distance",
        planes=SAMPLES,
    ),
    "inner": Trial(
        "t-1 and t+1 only",
        planes=INNER,
    ),
    "direct": Trial(
        "flow to t-2 and t+2 by a search of its own",
        is_direct=True,
    ),
    "medium": Trial(
        "flow by MEDIUM, each by a search of its own",
        search=medium,
        is_direct=True,
    ),
    "coarse": Trial(
        "flow by FAST, at a quarter of the size",
        search=coarse,
    ),
}


class Picked(Lite):
    """The body of lite behind some of the planes."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.planes = trial.spec.planes
        self._picked = list(trial.planes)
        width = self.head.out_channels
        self.head = nn.Conv2d(len(self._picked), width, 3, padding=1)

    def features(self, window: Tensor) -> Tensor:
        """As of ``Lite``."""
        picked = window[:, 0, self._picked]
        planes = picked.contiguous(memory_format=torch.channels_last)
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
        total = 0
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                total += layer.weight.numel()
        return total / 4


@contextmanager
def motion_found_as(trial: Trial) -> Iterator[None]:
    """Let ``picture.motion`` search as the trial says."""
    new_search = motion.new_search
    flow_over = motion.Motion._flow_over

    def set_up() -> cv2.DISOpticalFlow:
        search = new_search()
        trial.search(search)
        return search

    motion.new_search = set_up
    if trial.is_direct:
        motion.Motion._flow_over = _direct  # type: ignore[method-assign]
    try:
        yield
    finally:
        motion.new_search = new_search
        motion.Motion._flow_over = flow_over  # type: ignore[method-assign]


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
    held_out = set(groups[::5])
    training = []
    photos = []
    for number, (name, row) in enumerate(zip(pack.names, rows, strict=True)):
        if name in held_out:
            photos.append(number)
        elif row["shippable"] == "1":
            training.append(number)
    judged = {
        "val": load([data / "val.mp4"]),
        "photo": pack.subset(photos),
    }
    for scene in CAMERAS:
        frames = np.stack(list(scene_frames(scene, 3 * SEQUENCE)))
        clips = tuple(frames.reshape(3, SEQUENCE, *frames.shape[1:]))
        judged[scene] = Sequences(clips, (scene,) * len(clips))
    return pack.subset(training), judged


def run_trial(
    trial: Trial,
    training: Sequences,
    judged: dict[str, Sequences],
    steps: int,
) -> list[str]:
    """Train, and judge: the cells of a row."""
    with motion_found_as(trial):
        network = train(trial, training, steps)
        gains = [judge(network, trial, sequences) for sequences in judged.values()]
    return [f"{network.multiply_adds:,.0f}", *gains]


def train(trial: Trial, training: Sequences, steps: int) -> Picked:
    """A network after so many steps, with the average of its weights."""
    recipe = recipe_for("long", "lite")
    torch.manual_seed(0)
    network = Picked(trial)
    network.initialise()
    stage = Stage(
        is_maps=False,
        passes=None,
        loss=recipe.loss,
        fourier=recipe.fourier,
    )
    source = Batches(
        training,
        trial.spec,
        "clean",
        recipe.patch,
        recipe.batch,
        workers=1,
    )
    with source as batches:
        batches.prepare(0)
        step = TrainingStep(network.train(), trial.spec, recipe, batches, "bf16")
        for number in range(steps):
            rate = recipe.rate_at(number, number / steps)
            control = torch.tensor([[rate, recipe.decay_at(number)]])
            step.launch(batches.tables(number, 1), control, stage)
        network.load_state_dict(step.weights.in_codes(step.average))
    return network.eval()


def judge(network: Picked, trial: Trial, sequences: Sequences) -> str:
    """Gain over bicubic, and temporal gain, dB."""

    def infer(windows: Floats) -> Floats:
        batch = torch.from_numpy(np.ascontiguousarray(windows))[:, None]
        result: Tensor = network(batch)
        pictures: Floats = result[:, 0].numpy()
        return pictures

    validation = Validation(sequences, trial.spec, ("clean",), 33, size=256)
    with torch.inference_mode():
        gain = validation.gains(infer)["clean"]
        still = validation.still_gains(infer)["clean"]
    return f"{gain:+.2f} ({gain - still:+.2f})"


def trials(data: Path, steps: int, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    training, judged = split(data)
    print_header("planes", "multiply-adds", *judged)
    for name in names or TRIALS:
        trial = TRIALS[name]
        print_row(trial.what, *run_trial(trial, training, judged, steps))


def film(width: int, height: int, count: int) -> list[Plane]:
    """Smooth noise that moves by a little more than one pixel a frame."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(height + 40, width + 80)).astype(np.float32)
    picture = 126 + 400 * cv2.GaussianBlur(noise, (0, 0), 1.2)
    frames: list[Plane] = []
    for number in range(count):
        x = 10 + 1.35 * number
        y = 10 + 0.4 * number
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        kind = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(picture, shift, (width, height), flags=kind)
        frames.append(moved.clip(16, 235).astype(np.uint8))
    return frames


def cost(sizes: Sequence[str], backend: str) -> None:
    """Milliseconds a frame of the parts, on a film of which each window has one new frame."""
    print_header(
        "size",
        "search",
        "sampling",
        "all motion, one thread",
        "network, all threads",
    )
    network = open_backend(backend, "lite", "clean", device="cpu", precision=None)
    warm_up = 4
    counted = 6
    for size in sizes:
        frames = film(*parse_size(size), warm_up + counted + 4)
        taken: dict[str, float] = {}
        with _timed("_search", taken), _timed("_sample_rows", taken):
            compensation = motion.Motion(8)
            for start in range(warm_up + counted):
                if start == warm_up:
                    taken.clear()
                    began = time.perf_counter()
                window = compensation.window(frames[start : start + 5])
                planes = compensation.planes(window)
            whole = time.perf_counter() - began
        values = planes[None].astype(np.float32)
        for _ in range(3):
            network.run(values)
        began = time.perf_counter()
        for _ in range(counted):
            network.run(values)
        alone = time.perf_counter() - began
        parts = [taken["_search"], taken["_sample_rows"], whole, alone]
        print_row(size, *[f"{1e3 * seconds / counted:.0f}" for seconds in parts])


@contextmanager
def _timed(name: str, taken: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of a function of ``picture.motion``."""
    function = getattr(motion, name)

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        result = function(*arguments)
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
    trying.add_argument(
        "--only",
        action="append",
        default=[],
        choices=list(TRIALS),
    )
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
