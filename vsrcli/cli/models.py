"""``vsr models``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from vsrcli.cli.console import print_facts, print_json


@click.command("models", short_help="List the networks and their weights.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the networks and the weights that ship for them.

    \b
    vsr models
    vsr models --json
    """
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_facts(f"{row['name']}: {row['summary']}", _facts(row))


def _facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "parameters", f"{row['parameters']:,}"
    yield "frames, scale", f"{row['frames']} frames, x{row['scale']}"
    yield (
        "domains",
        ", ".join(row["domains"]) or "no weights ship yet: train some with `vsr train`",
    )
    for weights in row["checkpoints"]:
        gains = ", ".join(
            f"{gain:+.2f} dB on {domain}" for domain, gain in weights["gain_db"].items()
        )
        yield weights["domain"], f"{weights['file']}, licence {weights['licence']}"
        yield "", f"sha256 {weights['sha256']}"
        seen = (
            f" ({weights['pixels'] / 1e6:,.0f} million pixels)"
            if weights["pixels"]
            else ""
        )
        yield (
            "",
            f"trained for {weights['steps']:,} steps{seen} on {weights['trained_on']}",
        )
        yield "", f"over bicubic {gains}"


def _rows() -> list[dict[str, Any]]:
    from vsrcli.models import MODELS
    from vsrcli.models.weights import locate, read_info, sha256

    rows = []
    for spec in MODELS.values():
        checkpoints = []
        for domain in spec.domains:
            path = locate(spec.name, domain)
            info = read_info(path)
            checkpoints.append(
                {
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
            )
        rows.append(
            {
                "name": spec.name,
                "summary": spec.summary,
                "parameters": spec.parameters,
                "frames": spec.frames,
                "scale": spec.scale,
                "domains": list(spec.domains),
                "checkpoints": checkpoints,
            }
        )
    return rows
