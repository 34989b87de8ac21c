"""Checkpoint files as data: which ship with vsr, their headers and checksums. Imports no torch.

Our checkpoints are safetensors files. Their metadata holds one JSON text under the key ``vsr``:
model, arguments, domain, luma scale, recipe, step, validation gain, licence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open

from vsrcli.errors import ModelError, OptionError
from vsrcli.models import DEFAULT_DOMAIN, MODELS, LumaScale, ModelSpec
from vsrcli.wording import did_you_mean

METADATA_KEY = "vsr"
# More than any network here can have.
MAX_BYTES = 1 << 28
_SUFFIXES = (".safetensors", ".pth", ".onnx")


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The header of a checkpoint.

    Attributes:
        model: name in ``MODELS``.
        arguments: of the network's constructor, where they differ from its defaults.
        domain: the degradation it was trained to undo, or None if unknown.
        luma_scale: scale of its input and output.
        recipe: name of the training recipe, or None.
        step: number of training steps.
        pixels: low-resolution pixels of frame t in those steps; 0 if unknown.
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
        """The header as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: Path) -> CheckpointInfo:
        """Parse the text of a header.

        Raises:
            ModelError: it is not one of ours, or names a network that this version does not know.
        """
        try:
            info = cls(**json.loads(text))
            info._check_types()
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{path}: this version of vsr cannot read the checkpoint's header"
            ) from error
        if info.model not in MODELS:
            raise ModelError(
                f"{path}: it is for a network {info.model!r} that this version does not know "
                f"(known: {', '.join(MODELS)})"
            )
        if info.luma_scale not in get_args(LumaScale):
            raise ModelError(
                f"{path}: unknown luma scale {info.luma_scale!r} in the header"
            )
        return info

    def _check_types(self) -> None:
        """Raise ``TypeError`` for what JSON can hold and a header cannot."""
        texts = (self.domain, self.recipe, self.licence, self.trained_on)
        counts = (self.step, self.parameters, self.pixels)
        is_valid = (
            isinstance(self.model, str)
            and isinstance(self.arguments, Mapping)
            and isinstance(self.gain_db, Mapping)
            and all(isinstance(text, str | None) for text in texts)
            and all(isinstance(count, int) for count in counts)
            and all(isinstance(gain, int | float) for gain in self.gain_db.values())
        )
        if not is_valid:
            raise TypeError


def weights_folder() -> Path:
    """The folder of the shipped weights: in the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    if installed.is_dir():
        return installed
    return package.parent / "weights"


def weights_file_name(model: str, domain: str) -> str:
    """Name of a shipped file."""
    return f"{model}-{domain}-x{MODELS[model].scale}.safetensors"


def locate(model: str, domain: str | None = None) -> Path:
    """Find the checkpoint that ``--model`` and ``--domain`` mean.

    Args:
        model: a name in ``MODELS``, or the path of a .safetensors, .pth or .onnx file.
        domain: a domain. None for ``video``, or the first domain with shipped weights if ``video``
            has none.

    Returns:
        An existing file.

    Raises:
        OptionError: no such model, or no weights of that domain.
        ModelError: no such file.
    """
    if model in MODELS:
        return _locate_shipped(model, domain)
    path = Path(model)
    if path.suffix not in _SUFFIXES:
        hint = did_you_mean(model.partition(":")[0], MODELS)
        raise OptionError(
            f"unknown model {model!r}{hint}: choose {', '.join(MODELS)}, "
            "or give a .safetensors, .pth or .onnx file"
        )
    try:
        is_file = path.is_file()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not is_file:
        raise ModelError(f"{path}: no such checkpoint file")
    if domain is not None:
        raise OptionError(
            f"--domain {domain} chooses among the shipped weights, "
            f"and {path} is a file of your own: omit --domain"
        )
    return path


def domain_note(model: str, domain: str | None) -> str | None:
    """A line for the user where the weights are not those of the default domain, unasked.

    Args:
        model: as for ``locate``.
        domain: as for ``locate``.
    """
    spec = MODELS.get(model)
    if domain is not None or spec is None or DEFAULT_DOMAIN in spec.domains:
        return None
    if not spec.domains:
        return None
    return (
        f"no {DEFAULT_DOMAIN!r} weights ship for {model}: those for {spec.domains[0]!r} are used; "
        f"--domain chooses from {', '.join(spec.domains)}"
    )


def _locate_shipped(model: str, domain: str | None) -> Path:
    domains = MODELS[model].domains
    if not domains:
        raise ModelError(
            f"no weights ship for {model!r} yet: "
            f"give a checkpoint file, or train one with `vsr train --model {model}`"
        )
    if domain is None:
        domain = DEFAULT_DOMAIN if DEFAULT_DOMAIN in domains else domains[0]
    if domain not in domains:
        hint = did_you_mean(domain, domains)
        raise OptionError(
            f"no {domain!r} weights ship for {model!r}{hint}: "
            f"choose --domain {' or '.join(domains)}"
        )
    path = weights_folder() / weights_file_name(model, domain)
    if not path.is_file():
        raise ModelError(f"{path} is missing from the installation: install vsr again")
    return path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a checkpoint.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def too_large(path: Path, max_bytes: int = MAX_BYTES) -> ModelError:
    """The error to raise for a file of more than ``max_bytes``."""
    return ModelError(
        f"{path}: refused: it has more than the {max_bytes / 1e6:.0f} MB "
        "that a network here can have"
    )


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path}: cannot be read: {error.strerror}")


@cache
def _read_checksums(path: Path) -> dict[str, str]:
    """File names -> hexadecimal SHA-256; empty if there is no such file."""
    checksums: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            digest, _, name = line.partition("  ")
            checksums[name] = digest
    return checksums


def verify_checksum(path: Path) -> None:
    """Compare a shipped file with ``SHA256SUMS``. Files elsewhere are not checked.

    Raises:
        ModelError: the file is damaged.
    """
    folder = weights_folder()
    if path.resolve().parent != folder.resolve():
        return
    expected = _read_checksums(folder / "SHA256SUMS").get(path.name)
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
        size = path.stat().st_size
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a complete safetensors file ({error})"
        ) from error
    if size > MAX_BYTES:
        raise too_large(path)
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path}: a safetensors file without vsr's header, so its network is unknown; "
            "give one that `vsr train` wrote"
        )
    return CheckpointInfo.from_json(metadata[METADATA_KEY], path)
