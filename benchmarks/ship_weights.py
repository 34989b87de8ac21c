"""Ship checkpoints that were judged better: python benchmarks/ship_weights.py DATA CHECKPOINT...

Each checkpoint replaces the file in weights/ for its network and domain. Its header gets the gain
over bicubic on the usual 24 of the validation sequences in DATA (`val.mp4`), whatever it was
validated on during its training, and `weights/SHA256SUMS` is written again. Judge it first, on
more than this (benchmarks/README.md), and write its card in weights/README.md afterwards.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vsrcli.clips.data import load as load_clips
from vsrcli.clips.sequences import Sequences
from vsrcli.models.checkpoint import load, save
from vsrcli.models.layers import Network
from vsrcli.models.weights import CheckpointInfo, sha256, weights_file_name
from vsrcli.training.validation import Floats, Validation

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
COUNT = 24


def gains(
    network: Network,
    info: CheckpointInfo,
    sequences: Sequences,
) -> dict[str, float]:
    """Gain over bicubic on the domain of the weights and on `clean`, dB."""
    domains = dict.fromkeys(name for name in (info.domain, "clean") if name)
    validation = Validation(sequences, info.spec, domains, COUNT)

    def infer(windows: Floats) -> Floats:
        batch = torch.from_numpy(np.ascontiguousarray(windows))[:, None]
        result: torch.Tensor = network(batch)
        pictures: Floats = result[:, 0].numpy()
        return pictures

    with torch.inference_mode():
        return validation.gains(infer)


def ship(
    checkpoint: Path,
    sequences: Sequences,
    trained_on: str | None,
    weights: Path,
) -> Path:
    """Write ``checkpoint`` to its place in ``weights`` with a header measured here."""
    network, info = load(checkpoint)
    if info.domain is None:
        raise SystemExit(f"{checkpoint}: its header names no domain")
    measured = gains(network, info, sequences)
    rounded = {domain: round(gain, 3) for domain, gain in measured.items()}
    path: Path = weights / weights_file_name(info.model, info.domain)
    info = replace(
        info,
        gain_db=rounded,
        trained_on=trained_on or info.trained_on,
    )
    save(path, network, info)
    return path


def write_sums(weights: Path) -> None:
    files = sorted(weights.glob("*.safetensors"))
    lines = [f"{sha256(file)}  {file.name}\n" for file in files]
    (weights / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path, nargs="+")
    parser.add_argument(
        "--trained-on", help="for the header, where that of the run says less"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    sequences = load_clips([arguments.data / "val.mp4"])
    for checkpoint in arguments.checkpoint:
        path = ship(checkpoint, sequences, arguments.trained_on, arguments.weights)
        print(f"{path.name} <- {checkpoint}")
    write_sums(arguments.weights)


if __name__ == "__main__":
    main()
