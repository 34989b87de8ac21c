"""Whether the report's networks gain from motion compensation between their two parts.

Call: python benchmarks/warped_maps.py DATA [--model delta] [--init clean] [--steps 2000] ...

DATA is the folder of the training pack: train.mp4, val.mp4, manifest.csv.

Delta and 5-parallel make a map of each of five frames at twice the size (2D part) and fuse the five
maps (3D part). Two forms of the network are trained side by side, from the same weights and on the
same batches:

``plain``: as it is.
``warped``: between the two parts, the maps of t-2, t-1, t+1 and t+2 are sampled where the optical
flow says that the pixels of frame t lie. That adds no parameter.

The result is a table of gains over bicubic after none, half and all of the steps, on

``val``: every fourth validation sequence.
``photos``: photographs under a moving camera, every fifth scene, none of them trained on.
``slow photos``: those of them that move by at most 2 pixels a frame.
``pan``, ``zoom``, ``turn``, ``fast``: the scenes of ``standins.py``.

The temporal gain is what the five frames bring beyond frame t shown five times. Judge by it as
well as by the difference of the forms: luma passes through every layer of these networks, and
whatever rounds it in one form less often than in the other is a difference, too. Half precision
(``--precision bf16``) is faster and costs 0.3 dB for that reason. Degradation is ``clean``; one
thread does everything.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from standins import CAMERAS
from standins import motion as render
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.metrics.frames import psnr
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import build, load
from vsrcli.models.layers import WindowNetwork, set_passes
from vsrcli.models.weights import locate
from vsrcli.picture.motion import Motion
from vsrcli.picture.resize import double
from vsrcli.training.data import manifest_rows, read_pack
from vsrcli.training.degradation import clean
from vsrcli.training.step import loss_of

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
# (4, 2, H, W): displacements from frame t into t-2, t-1, t+1 and t+2, in pixels, x first.
Flows = NDArray[Any]

FORMS = ("plain", "warped")
# Frames of a sequence that have two neighbours on either side.
CENTRES = (2, 3, 4)
RADIUS = 2
MIDDLE = 3
# Places in a window of five frames.
OUTER = (0, 1, 3, 4)
# Pixels of the input: side of the part of a sequence that is upscaled, and how much of its border
# is left out of the score, because networks see zeros beyond it and neighbours end there.
EVALUATED_PX = 96
MARGIN_PX = 16
SCENE_FRAMES = (8, 17, 26)
SLOW_PX = 2.0
# The rates are meant for weights and input in units of 0..1; in codes, biases are larger by this.
UNIT = 256.0
WARM_UP_STEPS = 50
FINAL_RATE = 0.02
DECAY = 0.999
MAX_GRADIENT_NORM = 0.5
LOGGED_STEPS = 100


@dataclass(frozen=True, slots=True)
class Example:
    """A window to upscale.

    Attributes:
        window: (5, h, w) codes.
        flows: (4, 2, h, w).
        truth: (2h, 2w) codes.
    """

    window: Codes
    flows: Flows
    truth: Codes

    @property
    def speed_px(self) -> float:
        """Median length of the flow from one frame to the next."""
        return float(np.median(np.hypot(*self.flows[2].astype(np.float32))))

    def still(self) -> Example:
        """Frame t, shown five times."""
        return Example(self.window[[RADIUS] * 5], np.zeros_like(self.flows), self.truth)


@dataclass(frozen=True, slots=True)
class Score:
    """PSNR gains over bicubic, dB.

    Attributes:
        gain: with the five frames.
        still_gain: with frame t shown five times.
    """

    gain: float
    still_gain: float

    @property
    def temporal_gain(self) -> float:
        """What the neighbours bring."""
        return self.gain - self.still_gain


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches to train on.

    Attributes:
        windows: for each form, (B, 1, 5, h, w) codes.
        flows: (B, 4, 2, h, w), for the windows of the warped form.
        truth: (B, 1, 2h, 2w) codes.
    """

    windows: dict[str, Tensor]
    flows: Tensor
    truth: Tensor


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Sample maps along a flow, by cubic interpolation.

    Args:
        maps: (B, C, H, W) float32.
        flow: (B, 2, H, W) float32, displacements in pixels of the maps, x first.
    """
    rows, columns = maps.shape[-2:]
    x = torch.arange(columns) + flow[:, 0]
    y = torch.arange(rows)[:, None] + flow[:, 1]
    grid = torch.stack(((2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1), dim=-1)
    return functional.grid_sample(
        maps, grid, mode="bicubic", padding_mode="border", align_corners=False
    )


def check_warp() -> float:
    """Warp waves by a known shift, and return the largest error in codes, away from the border."""
    shift = torch.tensor([1.3, -2.6])

    def waves(x: Tensor, y: Tensor) -> Tensor:
        return (
            128 + 50 * torch.sin(0.2 * x + 0.1 * y) + 40 * torch.cos(0.1 * x - 0.2 * y)
        )

    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    flow = shift[:, None, None].expand(2, *x.shape)
    moved = warp(waves(x, y)[None, None], flow[None])[0, 0]
    difference = (moved - waves(x + shift[0], y + shift[1])).abs()
    return float(difference[8:-8, 8:-8].max())


def doubled(flow: Tensor) -> Tensor:
    """A flow at twice the size, in pixels of that size: (B, 2, h, w) to (B, 2, 2h, 2w)."""
    return 2 * functional.interpolate(
        flow, scale_factor=2, mode="bilinear", align_corners=False
    )


class Form:
    """One of the two forms in training.

    Attributes:
        network: the weights in training.
        average: their running average, which is judged.
        seconds: processor time of the steps so far.
    """

    def __init__(
        self, name: str, network: WindowNetwork, rate: float, is_half: bool
    ) -> None:
        self.name = name
        self.network = copy.deepcopy(network).train()
        self.average = copy.deepcopy(network).eval()
        self.seconds = 0.0
        self._rate = rate
        self._is_half = is_half
        groups: dict[float, list[nn.Parameter]] = {1.0: [], UNIT: []}
        for parameter_name, parameter in self.network.named_parameters():
            groups[UNIT if parameter_name.endswith("bias") else 1.0].append(parameter)
        self._optimizer = torch.optim.Adam(
            [
                {"params": parameters, "unit": unit}
                for unit, parameters in groups.items()
            ]
        )

    def step(self, batch: Batch, number: int, count: int) -> float:
        """Train on one batch, in step ``number`` of ``count``, and return the loss."""
        began = time.process_time()
        cosine = 0.5 * (1 + math.cos(math.pi * number / count))
        rate = self._rate * min(1, (number + 1) / WARM_UP_STEPS)
        rate *= FINAL_RATE + (1 - FINAL_RATE) * cosine
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["unit"]
        picture = self._upscale(
            self.network, batch.windows[self.name], batch.flows, is_half=self._is_half
        )
        loss = loss_of(
            "charbonnier", 0.0, (picture - batch.truth[..., 2:-2, 2:-2]) / 255
        )
        self._optimizer.zero_grad(set_to_none=True)
        cast("Any", loss).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        decay = min(DECAY, (2 + number) / (11 + number))
        with torch.no_grad():
            for mean, value in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(value, 1 - decay)
        self.seconds += time.process_time() - began
        return float(loss.detach())

    def gain(self, example: Example) -> float:
        """PSNR gain over bicubic, dB, in single precision."""
        window = torch.from_numpy(example.window.astype(np.float32))[None, None]
        flows = torch.from_numpy(example.flows.astype(np.float32))[None]
        with torch.inference_mode():
            picture = self._upscale(self.average, window, flows, is_half=False)[
                0, 0
            ].numpy()
        crop = 2 * MARGIN_PX
        bicubic = double(example.window[RADIUS].astype(np.float32))
        scores = [
            psnr(truth, np.clip(np.rint(upscaled), 0, 255), crop=border)
            for truth, upscaled, border in (
                (example.truth, bicubic, crop),
                (example.truth[2:-2, 2:-2], picture, crop - 2),
            )
        ]
        return scores[1] - scores[0]

    def _upscale(
        self, network: WindowNetwork, window: Tensor, flows: Tensor, *, is_half: bool
    ) -> Tensor:
        with _half(is_half):
            maps = network.frame_maps(window)
        if self.name == "warped":
            outer = torch.cat([maps[place] for place in OUTER]).float()
            moved = warp(outer, doubled(flows.transpose(0, 1).flatten(0, 1)))
            for place, moved_map in zip(OUTER, moved.chunk(len(OUTER)), strict=True):
                maps[place] = moved_map
        with _half(is_half):
            features = network.of_groups(maps)
        return network.picture(features.float(), window[:, :, RADIUS])


def _half(enabled: bool) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


def flows_of(motion: Motion, frames: Sequence[Codes]) -> Flows:
    """(4, 2, h, w) float32 of a window of five frames."""
    views = motion.window(frames)
    middle = views[RADIUS]
    nearer = (1, 2, 2, 3)
    flows = np.zeros((len(OUTER), 2, *frames[0].shape), np.float32)
    for flow, place, between in zip(flows, OUTER, nearer, strict=True):
        found = motion._flow_over(middle, views[between], views[place])
        if found is not None:
            flow[:] = found
    return flows


def examples_of(clip: Codes, centres: Iterable[int]) -> Iterator[Example]:
    """Windows of a clip (T, H, W) around these frames."""
    motion = Motion(8)
    low = clean(clip, 0)
    frames = list(low)
    for centre in centres:
        places = slice(centre - RADIUS, centre + RADIUS + 1)
        flows = flows_of(motion, frames[places])
        yield Example(low[places], flows.astype(np.float16), clip[centre])


def middle_part(example: Example) -> Example:
    """The part of an example that is evaluated."""
    rows, columns = (
        slice(start, start + EVALUATED_PX)
        for start in ((side - EVALUATED_PX) // 2 for side in example.window.shape[1:])
    )
    top = 2 * rows.start
    left = 2 * columns.start
    side = 2 * EVALUATED_PX
    truth = example.truth[top : top + side, left : left + side]
    return Example(
        example.window[:, rows, columns], example.flows[..., rows, columns], truth
    )


def sequences(data: Path, split: str) -> tuple[list[Codes], list[str]]:
    """Clips (7, H, W) of a file of the pack whose weights may ship, and their scenes."""
    file = data / f"{split}.mp4"
    pack = read_pack(file, manifest_rows(file), shippable_only=split == "train")
    return list(pack.clips), list(pack.names)


def read_sets(
    data: Path, limit: int | None
) -> tuple[list[Example], dict[str, list[Example]]]:
    """What is trained on, and the sets that are evaluated."""
    clips, names = sequences(data, "train")
    photos = sorted({name for name in names if name.startswith("photo-")})
    held_out = set(photos[::5])
    sets: dict[str, list[Example]] = {"val": [], "photos": [], "slow photos": []}
    training: list[Example] = []
    for clip, name in zip(clips[:limit], names, strict=False):
        if name not in held_out:
            training += examples_of(clip, CENTRES)
    for clip, name in zip(clips, names, strict=True):
        if name in held_out:
            sets["photos"] += map(middle_part, examples_of(clip, [MIDDLE]))
    sets["slow photos"] = [item for item in sets["photos"] if item.speed_px <= SLOW_PX]
    for clip in sequences(data, "val")[0][:limit:4]:
        sets["val"] += map(middle_part, examples_of(clip, [MIDDLE]))
    for scene in CAMERAS:
        sets[scene] = []
        for centre in SCENE_FRAMES:
            shown = render(scene, only=range(centre - RADIUS, centre + RADIUS + 1))
            sets[scene] += map(
                middle_part, examples_of(np.stack(list(shown)), [RADIUS])
            )
    return training, sets


def spread(examples: list[Example], count: int) -> list[Example]:
    """At most so many of them, evenly taken."""
    count = min(count, len(examples))
    return [examples[number * len(examples) // count] for number in range(count)]


def cut_patch(
    example: Example, top: int, left: int, side: int
) -> tuple[dict[str, Codes], Flows, Codes]:
    """A patch of an example: a window for each form, flows for the warped one, and the truth.

    In a whole picture a flow finds what it points to however far away. So the neighbours of the
    warped form are cut where the flow points to on the whole, and only the rest of it is left.
    """
    here = (slice(top, top + side), slice(left, left + side))
    flows = example.flows[:, :, *here].astype(np.float32)
    plain = example.window[:, *here]
    followed = plain.copy()
    rows, columns = example.window.shape[1:]
    for flow, place in zip(flows, OUTER, strict=True):
        across, down = (round(float(np.median(part))) for part in flow)
        x = min(max(left + across, 0), columns - side)
        y = min(max(top + down, 0), rows - side)
        followed[place] = example.window[place, y : y + side, x : x + side]
        flow[0] -= x - left
        flow[1] -= y - top
    truth = example.truth[2 * top : 2 * (top + side), 2 * left : 2 * (left + side)]
    return {"plain": plain, "warped": followed}, flows, truth


def turned(
    windows: dict[str, Codes], flows: Flows, truth: Codes, moves: Sequence[bool]
) -> tuple[dict[str, Codes], Flows, Codes]:
    """Mirror, turn upside down, transpose and reverse in time, each where ``moves`` says so."""
    mirrored, upside_down, transposed, reversed_ = moves
    if mirrored:
        windows, flows, truth = _each(
            windows, flows, truth, lambda plane: plane[..., ::-1]
        )
        flows = flows * np.array([-1, 1], np.float32)[:, None, None]
    if upside_down:
        windows, flows, truth = _each(
            windows, flows, truth, lambda plane: plane[..., ::-1, :]
        )
        flows = flows * np.array([1, -1], np.float32)[:, None, None]
    if transposed:
        windows, flows, truth = _each(
            windows, flows, truth, lambda plane: plane.swapaxes(-1, -2)
        )
        flows = flows[:, ::-1]
    if reversed_:
        windows = {form: window[::-1] for form, window in windows.items()}
        flows = flows[::-1]
    return windows, flows, truth


def _each(
    windows: dict[str, Codes], flows: Flows, truth: Codes, move: Any
) -> tuple[dict[str, Codes], Flows, Codes]:
    return (
        {form: move(window) for form, window in windows.items()},
        move(flows),
        move(truth),
    )


def draw(
    training: Sequence[Example], rng: np.random.Generator, batch: int, side: int
) -> Batch:
    """Choose, cut and turn the patches of a step."""
    windows: dict[str, list[Codes]] = {form: [] for form in FORMS}
    flows: list[Flows] = []
    truths: list[Codes] = []
    for index in rng.integers(0, len(training), batch):
        example = training[index]
        top, left = (
            int(rng.integers(0, length - side + 1))
            for length in example.window.shape[1:]
        )
        patch = turned(*cut_patch(example, top, left, side), list(rng.random(4) < 0.5))
        for form in FORMS:
            windows[form].append(patch[0][form])
        flows.append(patch[1])
        truths.append(patch[2])
    return Batch(
        {form: _tensor(parts)[:, None] for form, parts in windows.items()},
        _tensor(flows),
        _tensor(truths)[:, None],
    )


def _tensor(parts: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(parts).astype(np.float32))


def starting_network(model: str, init: str, passes: int | None) -> WindowNetwork:
    """The network with the weights that both forms begin with."""
    if init == "none":
        network = build(MODELS[model])
        network.initialise()
    else:
        network = load(locate(model, init))[0]
    if not isinstance(network, WindowNetwork):
        raise SystemExit(f"{model} is not a network of two parts")
    factors = set_passes(network, passes)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(factors.get(name, 1.0))
    return network


def evaluate(form: Form, sets: dict[str, list[Example]]) -> dict[str, Score]:
    """The mean score of each set."""
    scores: dict[int, Score] = {}
    for example in (example for examples in sets.values() for example in examples):
        if id(example) not in scores:
            scores[id(example)] = Score(form.gain(example), form.gain(example.still()))
    return {
        name: Score(
            float(np.mean([scores[id(example)].gain for example in examples])),
            float(np.mean([scores[id(example)].still_gain for example in examples])),
        )
        for name, examples in sets.items()
        if examples
    }


def train(
    forms: Sequence[Form],
    training: Sequence[Example],
    sets: dict[str, list[Example]],
    options: argparse.Namespace,
) -> list[dict[str, dict[str, Score]]]:
    """Train all forms; scores after none, half and all of the steps, by form and set."""
    rng = np.random.default_rng(options.seed)
    stages = [{form.name: evaluate(form, sets) for form in forms}]
    losses = np.zeros(len(forms))
    for number in range(options.steps):
        batch = draw(training, rng, options.batch, options.patch)
        losses += [form.step(batch, number, options.steps) for form in forms]
        if (number + 1) % LOGGED_STEPS == 0:
            report = ", ".join(
                f"{form.name} {loss / LOGGED_STEPS:.5f}"
                for form, loss in zip(forms, losses, strict=True)
            )
            print(f"step {number + 1}: loss {report}", file=sys.stderr, flush=True)
            losses[:] = 0
        if number + 1 in (options.steps // 2, options.steps):
            stages.append({form.name: evaluate(form, sets) for form in forms})
    return stages


def print_table(
    stages: Sequence[dict[str, dict[str, Score]]], sets: dict[str, list[Example]]
) -> None:
    """The gains as a table in Markdown."""
    when = ("start", "half", "end")
    print(
        f"| set | windows | form | {' | '.join(when)} | temporal, {' | temporal, '.join(when)} |"
    )
    print("|---" * (3 + 2 * len(when)) + "|")
    for name, examples in sets.items():
        if not examples:
            continue
        by_form = {}
        for form in FORMS:
            scores = [stage[form][name] for stage in stages]
            gains = [score.gain for score in scores]
            by_form[form] = np.array(gains + [score.temporal_gain for score in scores])
        by_form["difference"] = by_form["warped"] - by_form["plain"]
        for form, figures in by_form.items():
            cells = " | ".join(f"{figure:+.2f}" for figure in figures)
            print(f"| {name} | {len(examples)} | {form} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--model", choices=("delta", "5-parallel"), default="delta")
    parser.add_argument(
        "--init",
        choices=("clean", "video", "blur3", "none"),
        default="clean",
        help="start from the shipped weights of this domain, or from scratch",
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=2, help="patches a step")
    parser.add_argument(
        "--patch", type=int, default=40, help="side, pixels of the input"
    )
    parser.add_argument(
        "--rate", type=float, default=2e-4, help="Adam's, at its height"
    )
    parser.add_argument(
        "--passes", type=int, default=2, help="of the recursive 3D blocks, at most"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of all layers but the last",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--windows", type=int, default=33, help="of each set, at most")
    parser.add_argument(
        "--limit", type=int, help="read the first so many sequences only"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    print(f"largest error of a known shift: {check_warp():.3f} codes", file=sys.stderr)
    began = time.process_time()
    training, sets = read_sets(options.data, options.limit)
    print(
        f"{len(training)} windows to train on, with their flows: "
        f"{time.process_time() - began:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    sets = {name: spread(examples, options.windows) for name, examples in sets.items()}
    network = starting_network(options.model, options.init, options.passes)
    forms = [
        Form(name, network, options.rate, options.precision == "bf16") for name in FORMS
    ]
    stages = train(forms, training, sets, options)
    pixels = options.steps * options.batch * options.patch**2
    print(
        f"{options.model} from {options.init}: {options.steps} steps of {options.batch} patches of "
        f"{options.patch}, {pixels / 1e6:.1f} million pixels, {options.passes} passes, "
        f"{options.precision}; seconds a step: "
        + ", ".join(f"{form.name} {form.seconds / options.steps:.3f}" for form in forms)
    )
    print_table(stages, sets)


if __name__ == "__main__":
    main()
