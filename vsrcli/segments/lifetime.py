"""A process that does not outlive the one that started it.

A worker imports this before anything else: loading the rest takes longer than a kill.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, descriptor: int) -> None:
    """End this process as soon as its parent has ended, whatever it is doing then.

    Linux kills it. Elsewhere, and if the parent was gone before it could be asked to, a thread sees
    that the other end of the connection is closed.

    Args:
        parent: process that must not be outlived.
        descriptor: of the socket to it; no other process has its other end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    watch = threading.Thread(
        target=_end_when_closed, args=(descriptor,), name="parent", daemon=True
    )
    watch.start()


def _end_when_closed(descriptor: int) -> None:
    connection = select.poll()
    # nothing but the end of the connection, which is always reported
    connection.register(descriptor, 0)
    connection.poll()
    os._exit(1)
