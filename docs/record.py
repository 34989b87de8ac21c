"""Write docs/examples.md: real runs on the demonstration clip, as text: python docs/record.py.

Every command runs off a terminal, with its output as it came. Times differ from run to run.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("examples.md")
COLUMNS = 96
HEAD = """# Examples

Recorded runs on the demonstration clip (256x144, three seconds), off a terminal, on two cores.
`python docs/record.py` makes this page; [usage.md](usage.md) explains
the options.
"""


@dataclass(frozen=True)
class Example:
    """A section of the page.

    Attributes:
        title: its heading.
        text: what it shows.
        commands: run one after the other in the same folder; each begins with ``vsr``.
        silent: commands that run before, and are not shown.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    silent: tuple[str, ...] = ()


EXAMPLES = (
    Example(
        "Before a long run",
        "`--dry-run` says what would happen to every stream, how long it would take on this "
        "machine and how large the output would be, and stops.",
        (
            "vsr demo clip.mp4",
            "vsr upscale clip.mp4 big.mp4 --model lite --dry-run",
        ),
    ),
    Example(
        "Some frames first",
        "`vsr preview` upscales a few frames and writes a page that compares them.",
        ("vsr preview clip.mp4 --model lite",),
    ),
    Example(
        "Several files",
        "A batch says which file it is at. A failure does not stop the rest.",
        ("vsr upscale a.mp4 b.mp4 --out-dir big --model lite",),
        ("vsr demo a.mp4", "vsr demo b.mp4"),
    ),
    Example(
        "Off a terminal",
        "Where there is no terminal (`nohup`, cron), there is a line after ten seconds and then "
        "one a minute; `--log` keeps them in a file as well.",
        ("vsr upscale big/a.mp4 larger.mp4 --model lite --log run.log",),
    ),
)


def run(command: str, folder: Path) -> str:
    """Run a command off a terminal, and return all that it writes.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    _, *arguments = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "vsrcli", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": str(COLUMNS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout.rstrip()


def section(example: Example, folder: Path) -> str:
    """A section of the page, with what its commands write now."""
    for command in example.silent:
        run(command, folder)
    lines = [f"$ {command}\n{run(command, folder)}" for command in example.commands]
    text = textwrap.fill(example.text, 100)
    block = "\n".join(lines)
    return f"\n## {example.title}\n\n{text}\n\n```console\n{block}\n```\n"


def main() -> None:
    """Run all examples and write the page."""
    with tempfile.TemporaryDirectory() as name:
        parts = [section(example, Path(name)) for example in EXAMPLES]
    PAGE.write_text(HEAD + "".join(parts))


if __name__ == "__main__":
    main()
