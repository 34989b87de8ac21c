"""``vsr models``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import print_facts, print_json

if TYPE_CHECKING:
    from vsrcli.models import ModelSpec


@click.command("models", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the networks and the weights that ship for them.

    \b
    vsr models
    vsr models --json
    """
    from vsrcli.models import MODELS

    rows = [_describe_model(spec) for spec in MODELS.values()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_facts(f"{row['name']}: {row['summary']}", _facts(row))


def _facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    no_weights = "no weights ship yet: train some with `vsr train`"
    yield "parameters", f"{row['parameters']:,}"
    yield "frames, scale", f"{row['frames']} frames, x{row['scale']}"
    yield "domains", ", ".join(row["domains"]) or no_weights
    for weights in row["checkpoints"]:
        yield weights["domain"], f"{weights['file']}, licence {weights['licence']}"
        yield "", f"sha256 {weights['sha256']}"
        yield "", f"trained for {_training(weights)}"
        yield "", f"over bicubic {_gains(weights['gain_db'])}"


def _training(weights: dict[str, Any]) -> str:
    steps = f"{weights['steps']:,} steps"
    if weights["pixels"]:
        steps += f" ({weights['pixels'] / 1e6:,.0f} million pixels)"
    return f"{steps} on {weights['trained_on']}"


def _gains(gain_db: dict[str, float]) -> str:
    gains = [f"{gain:+.2f} dB on {domain}" for domain, gain in gain_db.items()]
    return ", ".join(gains)


def _describe_model(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": spec.summary,
        "parameters": spec.parameters,
        "frames": spec.frames,
        "scale": spec.scale,
        "domains": list(spec.domains),
        "checkpoints": [_describe_weights(spec, domain) for domain in spec.domains],
    }


def _describe_weights(spec: ModelSpec, domain: str) -> dict[str, Any]:
    from vsrcli.models.weights import locate, read_info, sha256

    path = locate(spec.name, domain)
    info = read_info(path)
    return {
        "domain": domain,
        "file": path.name,
        "sha256": sha256(path),
        "licence": info.licence,
        "trained_on": info.trained_on,
        "recipe": info.recipe,
        "steps": info.step,
        "pixels": info.pixels,
        "gain_db": dict(info.gain_db),
    }
