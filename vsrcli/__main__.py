"""The command ``vsr``, also as ``python -m vsrcli``.

Until the command line takes over, nothing is begun that an interruption would have to end: Ctrl-C
ends the process at once, whatever library is being imported.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_STANDARD_ERROR = 2


def main() -> None:
    """Run the command line and exit the process."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from vsrcli.cli import main as run

    run()


def _end(number: int, frame: FrameType | None) -> None:
    try:
        os.write(_STANDARD_ERROR, b"vsr: interrupted\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
