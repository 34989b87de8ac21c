"""A network into an ONNX file, held against PyTorch before it gets its name. Prints nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsrcli.backends import Float
from vsrcli.errors import BackendError, ModelError, OutputError
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.weights import CheckpointInfo, locate
from vsrcli.options import ExportOptions

# Grey levels that the graph's picture may be off PyTorch's: rounding in float32; half precision is coarser where values are large.
TOLERANCE = {"fp32": 2e-3, "fp16": 0.5}
_SIZES = ((32, 48), (45, 27))

_SCRIPT = '''"""Doubles the size of SOURCE in VapourSynth with vs-mlrt: vspipe -c y4m {script} - | ffmpeg -i - out.mkv"""

import vapoursynth as vs

core = vs.core
SOURCE = "in.mkv"

clip = core.lsmas.LWLibavSource(SOURCE)
luma = core.resize.Point(core.std.ShufflePlanes(clip, 0, vs.GRAY), format=vs.GRAYS)
last = luma.num_frames - 1


def shifted(frames):
    """The clip so many frames later; the ends repeat."""
    if frames < 0:
        return luma[0] * -frames + luma[: last + 1 + frames] if luma.num_frames > -frames else luma[0] * luma.num_frames
    return luma[frames:] + luma[last] * frames if luma.num_frames > frames else luma[last] * luma.num_frames


# on an NVIDIA GPU: core.trt.Model (after trtexec) or core.ort.Model(..., provider="CUDA"); on a processor: core.ov.Model
doubled = core.ort.Model([shifted(frames) for frames in range(-{radius}, {radius} + 1)], network_path="{graph}", provider="CPU")
chroma = core.resize.Spline36(clip, clip.width * 2, clip.height * 2)
doubled = core.resize.Point(doubled, format=core.std.ShufflePlanes(clip, 0, vs.GRAY).format.id)
core.std.ShufflePlanes([doubled, chroma, chroma], [0, 1, 2], vs.YUV).set_output()
'''


@dataclass(slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        target: the ONNX file.
        model, domain: the network and its weights.
        layout, precision: of the graph.
        max_difference: largest difference from PyTorch in float32 over random windows and a smooth one, grey levels.
        bytes: size of the file.
        script: a script for another program, beside the file; None where there is none.
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
        ModelError: no such model, or a bad checkpoint.
        OutputError: the file cannot be written, or its results are not PyTorch's.
        BackendError: ONNX Runtime does not take the graph.
    """
    target, options = Path(target), options or ExportOptions()
    script = target.with_suffix(".vpy") if options.runner == "vs-mlrt" else None
    _check_target(target, options.overwrite)
    if script is not None and script.exists() and not options.overwrite:
        raise OutputError(f"{script} exists; -y replaces it")
    path = locate(options.model, options.domain)
    if path.suffix == ".onnx":
        raise ModelError(
            f"{path} is exported already: give a network's name or a checkpoint"
        )

    from vsrcli.models.checkpoint import load
    from vsrcli.models.export import export

    precision = options.precision or "fp32"
    network, info = load(path)
    notes = _motion_notes(info.spec, options.runner)
    content = export(
        network, info, layout=options.layout, target=options.runner, precision=precision
    )
    info, difference = _difference(content, path, options)
    if difference > TOLERANCE[precision]:
        raise OutputError(
            f"{target}: the graph differs from PyTorch by {difference:.2g} grey levels ({TOLERANCE[precision]:g} are allowed) in {precision}"
        )
    _write(target, content)
    if script is not None:
        _write(
            script,
            _SCRIPT.format(
                script=script.name, graph=target.name, radius=info.spec.radius
            ).encode(),
        )
    return ExportReport(
        str(target),
        info.model,
        info.domain,
        options.layout,
        precision,
        difference,
        len(content),
        None if script is None else str(script),
        notes,
    )


def _motion_notes(spec: ModelSpec, runner: str) -> list[str]:
    """What to know of a graph that takes neighbours sampled along their motion.

    Raises:
        ModelError: the program that is to run it cannot sample them.
    """
    if not spec.is_motion_compensated:
        return []
    plain = ", ".join(
        name for name, other in MODELS.items() if not other.is_motion_compensated
    )
    if runner != "vsr":
        raise ModelError(
            f"{spec.name} takes neighbours that vsr samples along their motion, which {runner} "
            f"cannot do: export one of {plain}, which take the frames themselves"
        )
    return [
        f"the graph takes {spec.planes} planes, not {spec.frames} frames: vsr makes them for its "
        f"own backends; for other programs export one of {plain}"
    ]


def _difference(
    content: bytes, path: Path, options: ExportOptions
) -> tuple[CheckpointInfo, float]:
    from vsrcli.backends.onnx import run_graph
    from vsrcli.backends.torch import TorchBackend
    from vsrcli.picture.tiles import upscale_plane

    reference = TorchBackend(str(path), device="cpu")
    info = reference.checkpoint
    black, span = (16.0, 219.0) if info.luma_scale == "limited" else (0.0, 255.0)
    largest = 0.0
    for windows in _windows(info.spec.planes):
        if options.runner == "vsr":
            found, expected = run_graph(content, windows), reference.run(windows)
        else:
            found = (
                run_graph(content, ((windows - black) / span).astype(np.float32))[:, 0]
                * span
                + black
            )
            expected = np.stack(
                [
                    upscale_plane(window, reference.run, info.spec, max_pixels=None)
                    for window in windows
                ]
            )
            expected = np.clip(expected, black, black + span)
        if found.shape != expected.shape:
            raise BackendError(
                f"the graph gives pictures of {found.shape}, PyTorch of {expected.shape}"
            )
        largest = max(largest, float(np.abs(found - expected).max()))
    return info, largest


def _windows(frames: int) -> list[Float]:
    """A batch of noise, and a smooth picture that moves, on either luma scale."""
    random = np.random.default_rng(0)
    height, width = _SIZES[1]
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack(
        [
            110 + 50 * np.sin((rows + t) / 5) + 40 * np.sin((columns + 2 * t) / 7)
            for t in range(frames)
        ]
    )
    return [
        random.uniform(16, 235, (2, frames, *_SIZES[0])).astype(np.float32),
        smooth[None].astype(np.float32),
    ]


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix != ".onnx":
        raise OutputError(f"{target}: the name of an ONNX file ends in .onnx")
    if not target.resolve().parent.is_dir():
        raise OutputError(
            f"{target}: there is no folder {target.resolve().parent}: make it first"
        )
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; -y replaces it")


def _write(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
