"""Checkpoint files as data: which ship with vsr, what their headers say, whether they are whole. Imports no torch.

A checkpoint of ours is a safetensors file whose metadata holds one JSON text under the key ``vsr``: model, arguments, domain, luma scale,
recipe, step, validation gain, licence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from vsrcli.errors import ModelError
from vsrcli.models import DEFAULT_DOMAIN, MODELS, LumaScale, ModelSpec

METADATA_KEY = "vsr"


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a checkpoint's header says.

    Attributes:
        model: name in ``MODELS``.
        arguments: of the network's constructor, where they differ from its defaults.
        domain: the degradation it was trained to undo, or None where unknown.
        luma_scale: the scale its input and output live on.
        recipe: name of the training recipe, or None.
        step: training steps behind the weights.
        pixels: low-resolution pixels that those steps saw, frame t alone; 0 where unknown.
        gain_db: PSNR gain over bicubic on validation clips by degradation, dB.
        licence: of the weights.
        trained_on: one line on the data.
        parameters: number of values.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    domain: str | None = None
    luma_scale: LumaScale = "limited"
    recipe: str | None = None
    step: int = 0
    gain_db: Mapping[str, float] = field(default_factory=dict)
    licence: str | None = None
    trained_on: str | None = None
    parameters: int = 0
    pixels: int = 0

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return MODELS[self.model]

    def to_json(self) -> str:
        """The header's text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: Path) -> CheckpointInfo:
        """Read a header's text.

        Raises:
            ModelError: it is not one of ours, or names a network that this version does not know.
        """
        try:
            info = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{path}: the checkpoint's header is not one that this version of vsr can read"
            ) from error
        if info.model not in MODELS:
            raise ModelError(
                f"{path}: it is for a network {info.model!r} that this version does not know (known: {', '.join(MODELS)})"
            )
        if info.luma_scale not in ("limited", "full"):
            raise ModelError(
                f"{path}: unknown luma scale {info.luma_scale!r} in the header"
            )
        return info


def folder() -> Path:
    """The folder of the weights that ship with vsr: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def file_name(model: str, domain: str) -> str:
    """Name of a shipped file."""
    return f"{model}-{domain}-x{MODELS[model].scale}.safetensors"


def locate(model: str, domain: str | None = None) -> Path:
    """Find the checkpoint that ``--model`` and ``--domain`` mean.

    Args:
        model: a name in ``MODELS``, or the path of a .safetensors, .pth or .onnx file.
        domain: a domain, or None for ``video`` (or, where no such weights ship, the first domain that does).

    Returns:
        An existing file.

    Raises:
        ModelError: no such model, file or domain.
    """
    if model in MODELS:
        domains = MODELS[model].domains
        if not domains:
            raise ModelError(
                f"no weights ship for {model!r} yet: give a checkpoint file, or train one with `vsr train --model {model}`"
            )
        if domain is not None and domain not in domains:
            raise ModelError(
                f"no {domain!r} weights ship for {model!r}: choose --domain {' or '.join(domains)}"
            )
        path = folder() / file_name(
            model,
            domain or (DEFAULT_DOMAIN if DEFAULT_DOMAIN in domains else domains[0]),
        )
        if not path.is_file():
            raise ModelError(
                f"{path} is missing from the installation: install vsr again"
            )
        return path
    path = Path(model)
    if path.suffix not in (".safetensors", ".pth", ".onnx"):
        raise ModelError(
            f"unknown model {model!r}: choose {', '.join(MODELS)}, or give a .safetensors, .pth or .onnx file"
        )
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint file")
    if domain is not None:
        raise ModelError(
            f"--domain {domain} picks among shipped weights; {path} is a file of its own: leave --domain away"
        )
    return path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {
        name: digest
        for digest, name in (
            line.split() for line in path.read_text().splitlines() if line.strip()
        )
    }


def check_sum(path: Path) -> None:
    """Compare a shipped file with ``SHA256SUMS``; files elsewhere are not checked.

    Raises:
        ModelError: the file is damaged.
    """
    if path.resolve().parent != folder().resolve():
        return
    expected = _sums(folder() / "SHA256SUMS").get(path.name)
    if expected is None:
        raise ModelError(
            f"{path} is not listed in SHA256SUMS beside it: install vsr again"
        )
    if sha256(path) != expected:
        raise ModelError(
            f"{path} is damaged (its SHA-256 is not the one in SHA256SUMS): install vsr again"
        )


def read_info(path: Path) -> CheckpointInfo:
    """Read the header of one of our checkpoints.

    Raises:
        ModelError: not a safetensors file, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error})") from error
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path}: a safetensors file without vsr's header, so its network is unknown; give one that `vsr train` wrote"
        )
    return CheckpointInfo.from_json(metadata[METADATA_KEY], path)
