"""The house's walls: who may import whom, which library stays where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "vsrcli").rglob("*.py"))

# layer -> the layers of vsrcli it may import; single modules at the top are layers of their own
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "frame": set(),
    "models": {"errors"},
    "options": {"errors", "models"},
    "backends": {"errors", "models"},
    "picture": {"errors", "frame", "models", "backends"},
    "demo": {"errors", "frame"},
    "quality": {"errors"},
    "media": {"errors", "frame", "options", "demo"},
    "run": {"errors", "frame", "options", "models", "backends", "picture", "media"},
    "training": {"errors", "frame", "options", "models", "backends", "picture", "media", "quality"},
    "cli": {"_version", "errors", "options", "models", "media", "run", "training"},
    "__init__": {"_version", "errors", "options", "run"},
}
# foreign library -> path prefixes below vsrcli where it may be imported
HOMES: dict[str, tuple[str, ...]] = {
    "av": ("media/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "threading": ("run/prefetch.py",),
    "queue": ("run/prefetch.py",),
    "cv2": ("picture/resize.py", "training/", "demo.py"),
    "torch": (
        "models/layers.py", "models/delta.py", "models/five_parallel.py", "models/previous.py", "models/checkpoint.py",
        "backends/torch.py", "training/trainer.py",
    ),
    "safetensors": ("models/weights.py", "models/checkpoint.py"),
    "onnxruntime": ("backends/onnx.py",),
    "ray": ("run/cluster.py",),
}  # fmt: skip


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: imports are absolute"
            names |= {node.module} if node.module != "vsrcli" else {f"vsrcli.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_stay_within_the_walls(file: Path) -> None:
    place = file.relative_to(ROOT / "vsrcli")
    layer = place.parts[0].removesuffix(".py")
    for name in _imports(file):
        top, *rest = name.split(".")
        if top == "vsrcli" and rest:
            assert rest[0] == layer or rest[0] in ALLOWED[layer], f"{place} imports {name}"
        if top in HOMES:
            assert str(place).startswith(HOMES[top]), f"{place} imports {top}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_keep_one_concern(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400


@pytest.mark.parametrize("arguments", [["--help"], ["upscale", "--help"], ["train", "--help"], ["models"], ["--version"]])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = f"import sys\nfrom vsrcli.cli import _run\nstatus = _run({arguments!r})\nassert status == 0, status\nassert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
