"""``vsr models``."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from vsrcli.cli.console import print_json, stdout


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
        table = Table.grid(padding=(0, 2))
        table.add_row("parameters", f"{row['parameters']:,}")
        table.add_row("frames, scale", f"{row['frames']} frames, x{row['scale']}")
        table.add_row("domains", ", ".join(row["domains"]) or "no weights ship yet: train some with `vsr train`")
        for weights in row["checkpoints"]:
            gains = ", ".join(f"{gain:+.2f} dB on {domain}" for domain, gain in weights["gain_db"].items())
            table.add_row(weights["domain"], f"{weights['file']} ({weights['licence']}, {weights['steps']:,} steps; over bicubic: {gains})")
            table.add_row("", f"sha256 {weights['sha256']}")
            table.add_row("", f"trained on {weights['trained_on']}")
        console = stdout()
        console.print(f"[bold]{row['name']}[/bold]: {row['summary']}", soft_wrap=True)
        console.print(table, soft_wrap=True)


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
                    "domain": domain, "file": path.name, "sha256": sha256(path), "licence": info.licence, "trained_on": info.trained_on,
                    "recipe": info.recipe, "steps": info.step, "gain_db": dict(info.gain_db),
                }
            )
        rows.append(
            {
                "name": spec.name, "summary": spec.summary, "parameters": spec.parameters, "frames": spec.frames, "scale": spec.scale,
                "domains": list(spec.domains), "checkpoints": checkpoints,
            }
        )
    return rows
