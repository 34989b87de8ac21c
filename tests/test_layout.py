"""The house's walls: who may import whom, which library stays where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from vsrcli.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "vsrcli").rglob("*.py"))

# room -> the rooms of vsrcli it may import, lowest floor first; modules at the top are rooms too
ALLOWED: dict[str, str] = {
    # ground floor: no FFmpeg, no network
    "errors": "",
    "paths": "errors",
    "_version": "",
    "frame": "",
    "wording": "",
    "captions": "",
    "timing": "errors frame",
    "frame_io": "errors frame",
    # networks and pictures as arrays
    "models": "errors wording",
    "backends": "_version errors wording models",
    "options": "errors timing wording models backends",
    "picture": "errors frame models",
    "metrics": "errors",
    # files
    "containers": "errors",
    "decode": "errors captions paths frame frame_io timing picture containers",
    "streams": "frame timing containers decode",
    "encode": "errors wording captions paths frame frame_io timing options"
    " containers decode streams",
    "images": "errors paths wording frame frame_io timing picture encode",
    "page": "wording images",
    # work
    "preflight": "errors paths frame frame_io timing wording options picture"
    " containers decode encode streams images",
    "pipeline": "errors frame frame_io timing options models backends picture preflight",
    "segments": "errors captions paths frame frame_io timing wording options models backends"
    " picture encode preflight pipeline",
    "verification": "captions frame timing wording options picture"
    " containers decode encode streams preflight pipeline",
    "estimate": "errors frame timing wording options models backends picture"
    " containers decode encode images preflight pipeline segments",
    "preview": "errors paths frame frame_io timing wording options models backends picture"
    " decode encode images page preflight pipeline segments estimate",
    "jobs": "errors paths frame frame_io timing wording options models backends picture"
    " containers decode encode streams images preflight pipeline segments verification estimate",
    # training and measuring
    "clips": "errors paths frame timing options picture decode encode images",
    "training": "errors paths options models backends picture metrics clips",
    "bench": "errors paths frame timing wording options models backends picture metrics"
    " decode images page pipeline clips",
    # the user
    "cli": "_version errors paths frame timing wording options models"
    " containers decode streams encode pipeline verification estimate jobs preview"
    " clips training bench",
    "__main__": "cli",
    "__init__": "_version errors options pipeline jobs",
}
# foreign library -> path prefixes below vsrcli where it may be imported
HOMES: dict[str, tuple[str, ...]] = {
    "av": (
        "decode/",
        "streams/",
        "encode/",
        "containers/",
        "clips/packs.py",
        "clips/roundtrip.py",
        "jobs/demo.py",
        "metrics/xpsnr.py",
        "verification/packet_scan.py",
    ),
    "click": ("cli/",),
    "rich": ("cli/",),
    "threading": (
        "pipeline/prefetch.py",
        "training/interrupts.py",
        "cli/signals.py",
        "cli/ticker.py",
        "containers/pipe.py",
        "segments/lifetime.py",
    ),
    "queue": ("pipeline/prefetch.py",),
    "cv2": (
        "metrics/frames.py",
        "metrics/warping.py",
        "images/stills.py",
        "picture/demo_clip.py",
        "picture/drawing.py",
        "picture/motion.py",
        "picture/resize.py",
        "picture/side_by_side.py",
        "clips/degradation.py",
        "clips/pack_decoder.py",
    ),
    "matplotlib": ("training/curves.py", "bench/plot.py"),
    "torch": (
        "models/banded.py",
        "models/layers.py",
        "models/delta.py",
        "models/five_parallel.py",
        "models/lite.py",
        "models/previous.py",
        "models/checkpoint.py",
        "models/export.py",
        "models/half.py",
        "models/initialisation.py",
        "models/torch_file.py",
        "backends/",
        "training/batches.py",
        "training/flat.py",
        "training/patches.py",
        "training/checkpoints.py",
        "training/state.py",
        "training/unit_network.py",
        "training/step.py",
        "training/trainer.py",
    ),
    "imageio_ffmpeg": ("metrics/vmaf.py",),
    "flip_evaluator": ("metrics/flip.py",),
    "safetensors": ("models/weights.py", "models/checkpoint.py"),
    "onnx": ("models/export.py", "models/graph.py"),
    "onnxruntime": ("backends/onnx.py", "models/parity.py"),
    "openvino": ("backends/openvino.py",),
    "ray": ("segments/ray_cluster.py",),
    "multiprocessing": ("segments/process_executor.py", "segments/worker_process.py"),
}


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: imports are absolute"
            names |= (
                {node.module}
                if node.module != "vsrcli"
                else {f"vsrcli.{alias.name}" for alias in node.names}
            )
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_stay_within_the_walls(file: Path) -> None:
    place = file.relative_to(ROOT / "vsrcli")
    room = place.parts[0].removesuffix(".py")
    for name in _imports(file):
        top, *rest = name.split(".")
        if top == "vsrcli" and rest:
            assert rest[0] == room or rest[0] in ALLOWED[room].split(), (
                f"{place} imports {name}"
            )
        if top in HOMES:
            assert str(place).startswith(HOMES[top]), f"{place} imports {top}"


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def _loaded_at_once(file: Path, modules: set[str]) -> set[str]:
    """Modules of vsrcli that importing ``file`` imports.

    Imports in functions and under TYPE_CHECKING do not count.
    """
    found: set[str] = set()
    pending: list[ast.stmt] = list(ast.parse(file.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            }
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt)
            ]
    return (found & modules) - {_module(file)}


def test_no_module_imports_itself_over_others() -> None:
    names = {_module(file) for file in FILES}
    waiting = {_module(file): _loaded_at_once(file, names) for file in FILES}
    assert waiting["vsrcli.jobs.upscale"], (
        "the imports of vsrcli.jobs.upscale were not found, so no cycle would be"
    )
    while ready := {
        name for name, needs in waiting.items() if not needs & waiting.keys()
    }:
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}
    assert not waiting, f"import cycle among {sorted(waiting)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_keep_one_concern(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["upscale", "--help"], ["train", "--help"], ["models"], ["--version"]],
)
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = f"""
import sys
from vsrcli.cli import _run
status = _run({arguments!r})
assert status == 0, status
assert 'torch' not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT
    )


# each takes longer to import than all that the help needs
HEAVY = {
    "av",
    "cv2",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "ray",
    "rich",
    "safetensors",
    "torch",
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([command, "--help"] for command in COMMANDS),
    ],
    ids=" ".join,
)
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from vsrcli.cli import _run\n"
        f"assert _run({arguments!r}) == 0\n"
        "print('loaded', *sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    _, *loaded = result.stdout.splitlines()[-1].split()
    assert "click" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_the_library_imports_no_heavy_library_until_it_is_used() -> None:
    code = """
import sys, vsrcli
vsrcli.UpscaleOptions, vsrcli.VsrError
assert not {'torch', 'av', 'cv2', 'click', 'rich'} & sys.modules.keys()
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT
    )
