"""``vsr export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import log_to_stderr, note, print_json
from vsrcli.cli.flags import FileName, option_flags
from vsrcli.options import ExportOptions


@click.command("export", cls=Command)
@click.argument("target", metavar="OUT.onnx", type=FileName())
@option_flags(ExportOptions)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary as JSON on stdout.",
)
def command(target: Path, as_json: bool, **values: Any) -> None:
    """Write a network and its weights as the ONNX file OUT.onnx, for pictures of any size.

    The file is written only if its results match PyTorch's.

    \b
    vsr export delta.onnx --model delta --domain clean
    vsr export delta-mlrt.onnx --target vs-mlrt --fp16
    """
    log_to_stderr(0)
    options = ExportOptions(**values)

    from vsrcli.jobs.export import export_model

    report = export_model(target, options)
    if as_json:
        print_json(asdict(report))
        return
    megabytes = report.bytes / 1e6
    script = f", and {report.script}" if report.script else ""
    note(
        f"{report.target}: {report.model} ({report.domain or 'own weights'}), "
        f"{report.layout}, {report.precision}, {megabytes:.2f} MB{script}; "
        f"at most {report.max_difference:.2g} grey levels off PyTorch"
    )
    for line in report.notes:
        note(line)
