"""Exports a network as an ONNX file, and compares it with PyTorch first. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsrcli.backends import Backend, Float
from vsrcli.encode.atomic_file import remove_abandoned, write_file
from vsrcli.errors import BackendError, ModelError, OutputError
from vsrcli.jobs.vapoursynth import vapoursynth_script
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.weights import CheckpointInfo, locate
from vsrcli.options import ExportOptions
from vsrcli.paths import output_name, refuse_inputs
from vsrcli.picture.tiles import upscale_plane

# Grey levels by which the graph may differ from PyTorch: rounding in float32; half precision is
# coarser where values are large.
TOLERANCE = {"fp32": 2e-3, "fp16": 0.5}
# Height and width of the compared windows, pixels.
_NOISE_SIZE = (32, 48)
_SMOOTH_SIZE = (45, 27)


@dataclass(slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        target: the ONNX file.
        model, domain: the network and its weights.
        layout, precision: of the graph.
        max_difference: largest difference from PyTorch in float32 over random windows and a smooth
            one, grey levels.
        bytes: size of the file.
        script: a script for another program, beside the file; None if there is none.
        notes: lines for the user.
    """

    target: str
    model: str
    domain: str | None
    layout: str
    precision: str
    max_difference: float
    bytes: int
    script: str | None = None
    notes: list[str] = field(default_factory=list)


def export_model(
    target: str | Path, options: ExportOptions | None = None
) -> ExportReport:
    """Write a network as an ONNX file, with what is known of its weights inside.

    Args:
        target: the file; its ending is ``.onnx``.
        options: see ``ExportOptions``.

    Raises:
        ModelError: no such checkpoint file, or a bad checkpoint.
        OutputError: the file cannot be written, or its results are not PyTorch's.
        BackendError: ONNX Runtime does not take the graph.
    """
    target = Path(target)
    options = options or ExportOptions()
    script = target.with_suffix(".vpy") if options.runner == "vs-mlrt" else None
    _check_target(target, options.overwrite)
    if script is not None:
        _check_free(script, options.overwrite)
    checkpoint = locate(options.model, options.domain)
    refuse_inputs(target, [checkpoint])
    if script is not None:
        refuse_inputs(script, [checkpoint])
    if checkpoint.suffix == ".onnx":
        raise ModelError(
            f"{checkpoint} is exported already: give a network's name or a checkpoint"
        )

    from vsrcli.models.checkpoint import load
    from vsrcli.models.export import export

    precision = options.precision or "fp32"
    network, info = load(checkpoint)
    notes = _motion_notes(info.spec, options.runner)
    content = export(
        network,
        info,
        layout=options.layout,
        target=options.runner,
        precision=precision,
    )
    info, difference = _compare_with_pytorch(content, checkpoint, options)
    if difference > TOLERANCE[precision]:
        raise OutputError(
            f"{target}: the graph differs from PyTorch by {difference:.2g} grey levels "
            f"({TOLERANCE[precision]:g} are allowed) in {precision}"
        )
    _write(target, content, options.overwrite)
    if script is not None:
        text = vapoursynth_script(script.name, target.name, info.spec.radius)
        _write(script, text.encode(), options.overwrite)
    return ExportReport(
        target=str(target),
        model=info.model,
        domain=info.domain,
        layout=options.layout,
        precision=precision,
        max_difference=difference,
        bytes=len(content),
        script=None if script is None else str(script),
        notes=notes,
    )


def _motion_notes(spec: ModelSpec, runner: str) -> list[str]:
    """What to know of a graph that takes neighbours sampled along their motion.

    Raises:
        ModelError: the program that will run it cannot sample them.
    """
    if not spec.is_motion_compensated:
        return []
    others = [name for name in MODELS if not MODELS[name].is_motion_compensated]
    names = ", ".join(others)
    if runner != "vsr":
        raise ModelError(
            f"{spec.name} takes neighbours that vsr samples along their motion, which {runner} "
            f"cannot do: export one of {names}, which take the frames themselves"
        )
    return [
        f"the graph takes {spec.planes} planes, not {spec.frames} frames: vsr makes them for its "
        f"own backends; for other programs export one of {names}"
    ]


def _compare_with_pytorch(
    content: bytes, checkpoint: Path, options: ExportOptions
) -> tuple[CheckpointInfo, float]:
    """The checkpoint's description, and the graph's largest difference, grey levels."""
    from vsrcli.backends.onnx import run_graph
    from vsrcli.backends.torch import TorchBackend

    reference = TorchBackend(str(checkpoint), device="cpu")
    info = reference.checkpoint
    # black, and white above it, on the checkpoint's scale
    black = 0.0
    span = 255.0
    if info.luma_scale == "limited":
        black = 16.0
        span = 219.0
    largest = 0.0
    for windows in _windows(info.spec.planes):
        if options.runner == "vsr":
            actual = run_graph(content, windows)
            expected = reference.run(windows)
        else:
            scaled = ((windows - black) / span).astype(np.float32)
            actual = run_graph(content, scaled)[:, 0] * span + black
            whole = _upscale_whole(windows, reference, info.spec)
            expected = np.clip(whole, black, black + span)
        if actual.shape != expected.shape:
            raise BackendError(
                f"the graph gives pictures of {actual.shape}, PyTorch of {expected.shape}"
            )
        largest = max(largest, float(np.abs(actual - expected).max()))
    return info, largest


def _upscale_whole(windows: Float, reference: Backend, spec: ModelSpec) -> Float:
    """What PyTorch makes of whole pictures, borders included."""
    planes = [
        upscale_plane(window, reference.run, spec, max_pixels=None)
        for window in windows
    ]
    return np.stack(planes)


def _windows(frames: int) -> list[Float]:
    """A batch of noise, and a smooth moving picture, on either luma scale."""
    random = np.random.default_rng(0)
    noise = random.uniform(16, 235, (2, frames, *_NOISE_SIZE))
    height, width = _SMOOTH_SIZE
    rows, columns = np.mgrid[:height, :width]
    pictures = []
    for time in range(frames):
        vertical = 50 * np.sin((rows + time) / 5)
        horizontal = 40 * np.sin((columns + 2 * time) / 7)
        pictures.append(110 + vertical + horizontal)
    smooth = np.stack(pictures)[None]
    return [noise.astype(np.float32), smooth.astype(np.float32)]


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix != ".onnx":
        raise OutputError(f"{target}: the name of an ONNX file ends in .onnx")
    output_name(target)
    folder = target.resolve().parent
    if not folder.is_dir():
        raise OutputError(f"{target}: there is no folder {folder}: make it first")
    _check_free(target, overwrite)


def _check_free(target: Path, overwrite: bool) -> None:
    remove_abandoned(target)
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; -y replaces it")


def _write(target: Path, content: bytes, overwrite: bool) -> None:
    try:
        write_file(target, content, overwrite=overwrite)
    except FileExistsError as error:
        raise OutputError(f"{target} now exists; -y replaces it") from error
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
