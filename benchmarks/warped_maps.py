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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from script_parts import print_header, print_row
from standins import CAMERAS
from standins import motion as render
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.clips.degradation import clean
from vsrcli.clips.pack_reader import manifest_rows, read_pack
from vsrcli.metrics.frames import psnr
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import build, load
from vsrcli.models.layers import WindowNetwork, set_passes
from vsrcli.models.weights import locate
from vsrcli.picture.motion import Motion
from vsrcli.picture.resize import double
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


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of an example.

    Attributes:
        windows: for each form, (5, h, w) codes.
        flows: (4, 2, h, w) float32, for the window of the warped form.
        truth: (2h, 2w) codes.
    """

    windows: dict[str, Codes]
    flows: Flows
    truth: Codes

    def moved(self, move: Callable[[Any], Any]) -> Patch:
        """The patch with its pixels elsewhere; its flows are copied."""
        windows = {form: move(window) for form, window in self.windows.items()}
        return Patch(windows, move(self.flows).copy(), move(self.truth))


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """Sample maps along a flow, by cubic interpolation.

    Args:
        maps: (B, C, H, W) float32.
        flow: (B, 2, H, W) float32, displacements in pixels of the maps, x first.
    """
    rows, columns = maps.shape[-2:]
    x = torch.arange(columns) + flow[:, 0]
    y = torch.arange(rows)[:, None] + flow[:, 1]
    across = (2 * x + 1) / columns - 1
    down = (2 * y + 1) / rows - 1
    return functional.grid_sample(
        maps,
        torch.stack((across, down), dim=-1),
        mode="bicubic",
        padding_mode="border",
        align_corners=False,
    )


def check_warp() -> float:
    """Warp waves by a known shift, and return the largest error in codes, away from the border."""
    shift = torch.tensor([1.3, -2.6])

    def waves(x: Tensor, y: Tensor) -> Tensor:
        first = 50 * torch.sin(0.2 * x + 0.1 * y)
        second = 40 * torch.cos(0.1 * x - 0.2 * y)
        return 128 + first + second

    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    flow = shift[:, None, None].expand(2, *x.shape)
    moved = warp(waves(x, y)[None, None], flow[None])[0, 0]
    expected = waves(x + shift[0], y + shift[1])
    difference = (moved - expected).abs()
    return float(difference[8:-8, 8:-8].max())


def doubled(flow: Tensor) -> Tensor:
    """A flow at twice the size, in pixels of that size: (B, 2, h, w) to (B, 2, 2h, 2w)."""
    enlarged = functional.interpolate(
        flow,
        scale_factor=2,
        mode="bilinear",
        align_corners=False,
    )
    return 2 * enlarged


class Form:
    """One of the two forms in training.

    Attributes:
        network: the weights in training.
        average: their running average, which is judged.
        seconds: processor time of the steps so far.
    """

    def __init__(
        self,
        name: str,
        network: WindowNetwork,
        rate: float,
        is_half: bool,
    ) -> None:
        self.name = name
        self.network = copy.deepcopy(network).train()
        self.average = copy.deepcopy(network).eval()
        self.seconds = 0.0
        self._rate = rate
        self._is_half = is_half
        biases: list[nn.Parameter] = []
        weights: list[nn.Parameter] = []
        for parameter_name, parameter in self.network.named_parameters():
            is_bias = parameter_name.endswith("bias")
            (biases if is_bias else weights).append(parameter)
        self._optimizer = torch.optim.Adam(
            [
                {"params": weights, "unit": 1.0},
                {"params": biases, "unit": UNIT},
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
            self.network,
            batch.windows[self.name],
            batch.flows,
            is_half=self._is_half,
        )
        error = picture - batch.truth[..., 2:-2, 2:-2]
        loss = loss_of("charbonnier", 0.0, error / 255)
        self._optimizer.zero_grad(set_to_none=True)
        cast("Any", loss).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._update_average(number)
        self.seconds += time.process_time() - began
        return float(loss.detach())

    def _update_average(self, number: int) -> None:
        decay = min(DECAY, (2 + number) / (11 + number))
        means = self.average.parameters()
        values = self.network.parameters()
        with torch.no_grad():
            for mean, value in zip(means, values, strict=True):
                mean.lerp_(value, 1 - decay)

    def gain(self, example: Example) -> float:
        """PSNR gain over bicubic, dB, in single precision."""
        window = torch.from_numpy(example.window.astype(np.float32))[None, None]
        flows = torch.from_numpy(example.flows.astype(np.float32))[None]
        with torch.inference_mode():
            upscaled = self._upscale(self.average, window, flows, is_half=False)
        picture = upscaled[0, 0].numpy()
        bicubic = double(example.window[RADIUS].astype(np.float32))
        crop = 2 * MARGIN_PX
        score = _psnr(example.truth[2:-2, 2:-2], picture, crop - 2)
        return score - _psnr(example.truth, bicubic, crop)

    def _upscale(
        self,
        network: WindowNetwork,
        window: Tensor,
        flows: Tensor,
        *,
        is_half: bool,
    ) -> Tensor:
        with _half(is_half):
            maps = network.frame_maps(window)
        if self.name == "warped":
            outer = torch.cat([maps[place] for place in OUTER]).float()
            flow = doubled(flows.transpose(0, 1).flatten(0, 1))
            moved = warp(outer, flow).chunk(len(OUTER))
            for place, moved_map in zip(OUTER, moved, strict=True):
                maps[place] = moved_map
        with _half(is_half):
            features = network.fuse_groups(maps)
        return network.picture(features.float(), window[:, :, RADIUS])


def _psnr(truth: Codes, picture: Floats, crop: int) -> float:
    return psnr(truth, np.clip(np.rint(picture), 0, 255), crop=crop)


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
    height, width = example.window.shape[1:]
    top = (height - EVALUATED_PX) // 2
    left = (width - EVALUATED_PX) // 2
    rows = slice(top, top + EVALUATED_PX)
    columns = slice(left, left + EVALUATED_PX)
    return Example(
        window=example.window[:, rows, columns],
        flows=example.flows[..., rows, columns],
        truth=_doubled_part(example.truth, top, left, EVALUATED_PX),
    )


def _doubled_part(
    truth: Codes,
    top: int,
    left: int,
    side: int,
) -> Codes:
    """The square of a picture of twice the size; arguments in pixels of the input."""
    rows = slice(2 * top, 2 * (top + side))
    columns = slice(2 * left, 2 * (left + side))
    return truth[rows, columns]


def sequences(data: Path, split: str) -> tuple[list[Codes], list[str]]:
    """Clips (7, H, W) of a file of the pack whose weights may ship, and their scenes."""
    file = data / f"{split}.mp4"
    pack = read_pack(file, manifest_rows(file), shippable_only=split == "train")
    return list(pack.clips), list(pack.names)


def read_sets(
    data: Path,
    limit: int | None,
) -> tuple[list[Example], dict[str, list[Example]]]:
    """What is trained on, and the sets that are evaluated."""
    clips, names = sequences(data, "train")
    scenes = sorted({name for name in names if name.startswith("photo-")})
    held_out = set(scenes[::5])
    training: list[Example] = []
    photos: list[Example] = []
    for number, (clip, name) in enumerate(zip(clips, names, strict=True)):
        if name in held_out:
            photos += map(middle_part, examples_of(clip, [MIDDLE]))
        elif limit is None or number < limit:
            training += examples_of(clip, CENTRES)
    validation: list[Example] = []
    for clip in sequences(data, "val")[0][:limit:4]:
        validation += map(middle_part, examples_of(clip, [MIDDLE]))
    sets = {
        "val": validation,
        "photos": photos,
        "slow photos": [item for item in photos if item.speed_px <= SLOW_PX],
    }
    for scene in CAMERAS:
        sets[scene] = scene_examples(scene)
    return training, sets


def scene_examples(scene: str) -> list[Example]:
    examples: list[Example] = []
    for centre in SCENE_FRAMES:
        places = range(centre - RADIUS, centre + RADIUS + 1)
        frames = np.stack(list(render(scene, only=places)))
        examples += map(middle_part, examples_of(frames, [RADIUS]))
    return examples


def spread(examples: list[Example], count: int) -> list[Example]:
    """At most so many of them, evenly taken."""
    count = min(count, len(examples))
    return [examples[number * len(examples) // count] for number in range(count)]


def cut_patch(
    example: Example,
    top: int,
    left: int,
    side: int,
) -> Patch:
    """A patch of an example.

    In a whole picture a flow finds what it points to however far away. So the neighbours of the
    warped form are cut where the flow points to on the whole, and only the rest of it is left.
    """
    here = (slice(top, top + side), slice(left, left + side))
    flows = example.flows[:, :, *here].astype(np.float32)
    plain = example.window[:, *here]
    followed = plain.copy()
    rows, columns = example.window.shape[1:]
    for flow, place in zip(flows, OUTER, strict=True):
        across = round(float(np.median(flow[0])))
        down = round(float(np.median(flow[1])))
        x = min(max(left + across, 0), columns - side)
        y = min(max(top + down, 0), rows - side)
        followed[place] = example.window[place, y : y + side, x : x + side]
        flow[0] -= x - left
        flow[1] -= y - top
    return Patch(
        windows={"plain": plain, "warped": followed},
        flows=flows,
        truth=_doubled_part(example.truth, top, left, side),
    )


def turned(patch: Patch, moves: Sequence[bool]) -> Patch:
    """Mirror, turn upside down, transpose and reverse in time, each where ``moves`` says so."""
    is_mirrored, is_upside_down, is_transposed, is_reversed = moves
    if is_mirrored:
        patch = patch.moved(lambda plane: plane[..., ::-1])
        patch.flows[:, 0] *= -1
    if is_upside_down:
        patch = patch.moved(lambda plane: plane[..., ::-1, :])
        patch.flows[:, 1] *= -1
    if is_transposed:
        patch = patch.moved(lambda plane: plane.swapaxes(-1, -2))
        patch = replace(patch, flows=patch.flows[:, ::-1])
    if is_reversed:
        windows = {form: window[::-1] for form, window in patch.windows.items()}
        patch = replace(patch, windows=windows, flows=patch.flows[::-1])
    return patch


def draw(
    training: Sequence[Example],
    rng: np.random.Generator,
    batch: int,
    side: int,
) -> Batch:
    """Choose, cut and turn the patches of a step."""
    patches = []
    for index in rng.integers(0, len(training), batch):
        example = training[index]
        height, width = example.window.shape[1:]
        top = int(rng.integers(0, height - side + 1))
        left = int(rng.integers(0, width - side + 1))
        moves = list(rng.random(4) < 0.5)
        patches.append(turned(cut_patch(example, top, left, side), moves))
    windows = {}
    for form in FORMS:
        windows[form] = _tensor([patch.windows[form] for patch in patches])[:, None]
    return Batch(
        windows=windows,
        flows=_tensor([patch.flows for patch in patches]),
        truth=_tensor([patch.truth for patch in patches])[:, None],
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
    """The mean score of each set; an example may be in several."""
    known: dict[int, Score] = {}
    means = {}
    for name, examples in sets.items():
        if not examples:
            continue
        for example in examples:
            if id(example) not in known:
                still_gain = form.gain(example.still())
                known[id(example)] = Score(form.gain(example), still_gain)
        scores = [known[id(example)] for example in examples]
        means[name] = Score(
            gain=float(np.mean([score.gain for score in scores])),
            still_gain=float(np.mean([score.still_gain for score in scores])),
        )
    return means


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
        done = number + 1
        if done % LOGGED_STEPS == 0:
            means = losses / LOGGED_STEPS
            pairs = zip(forms, means, strict=True)
            report = ", ".join(f"{form.name} {loss:.5f}" for form, loss in pairs)
            print(f"step {done}: loss {report}", file=sys.stderr, flush=True)
            losses[:] = 0
        if done in (options.steps // 2, options.steps):
            stages.append({form.name: evaluate(form, sets) for form in forms})
    return stages


def print_table(
    stages: Sequence[dict[str, dict[str, Score]]],
    sets: dict[str, list[Example]],
) -> None:
    """The gains as a table in Markdown."""
    when = ("start", "half", "end")
    temporal = [f"temporal, {stage}" for stage in when]
    print_header("set", "windows", "form", *when, *temporal)
    for name, examples in sets.items():
        if not examples:
            continue
        by_form = {}
        for form in FORMS:
            scores = [stage[form][name] for stage in stages]
            gains = [score.gain for score in scores]
            temporal_gains = [score.temporal_gain for score in scores]
            by_form[form] = np.array(gains + temporal_gains)
        by_form["difference"] = by_form["warped"] - by_form["plain"]
        for form, figures in by_form.items():
            cells = [f"{figure:+.2f}" for figure in figures]
            print_row(name, len(examples), form, *cells)


def parse_arguments() -> argparse.Namespace:
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
    parser.add_argument(
        "--batch",
        type=int,
        default=2,
        help="patches a step",
    )
    parser.add_argument(
        "--patch", type=int, default=40, help="side, pixels of the input"
    )
    parser.add_argument(
        "--rate", type=float, default=2e-4, help="Adam's, at its highest"
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
    parser.add_argument(
        "--windows",
        type=int,
        default=33,
        help="of each set, at most",
    )
    parser.add_argument(
        "--limit", type=int, help="read the first so many sequences only"
    )
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    print(f"largest error of a known shift: {check_warp():.3f} codes", file=sys.stderr)
    began = time.process_time()
    training, sets = read_sets(options.data, options.limit)
    seconds = time.process_time() - began
    print(
        f"{len(training)} windows to train on, with their flows: {seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    sets = {name: spread(examples, options.windows) for name, examples in sets.items()}
    network = starting_network(options.model, options.init, options.passes)
    is_half = options.precision == "bf16"
    forms = [Form(name, network, options.rate, is_half) for name in FORMS]
    stages = train(forms, training, sets, options)
    pixels = options.steps * options.batch * options.patch**2
    costs = [f"{form.name} {form.seconds / options.steps:.3f}" for form in forms]
    print(
        f"{options.model} from {options.init}: {options.steps} steps of {options.batch} patches of "
        f"{options.patch}, {pixels / 1e6:.1f} million pixels, {options.passes} passes, "
        f"{options.precision}; seconds a step: {', '.join(costs)}"
    )
    print_table(stages, sets)


if __name__ == "__main__":
    main()
