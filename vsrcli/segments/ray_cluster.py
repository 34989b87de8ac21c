"""The Ray cluster of a run: one that is there already, or one of its own on this machine.

Ray runs any code for whoever reaches it. A cluster of the run's own listens on the loopback
interface only, asks for a token that nobody else has, and keeps its sockets in a folder that nobody
else can enter.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from vsrcli.backends import first_line
from vsrcli.errors import BackendError

LOCAL = "local"
_LOOPBACK = "127.0.0.1"
# Ray's sockets are up to 85 characters below this, and their names may have 107.
_MAX_BASE_LENGTH = 22


class RayCluster:
    """A connection to a Ray cluster.

    Args:
        address: of the cluster, or ``local`` to start one for this run.

    Attributes:
        ray: the library, which is loaded only here: it reads the environment while it loads.

    Raises:
        BackendError: there is no such cluster.
    """

    ray: Any

    def __init__(self, address: str | None) -> None:
        self._settings = ExitStack()
        self._is_ours = False
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to Anyscale
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            options = self._own_cluster()
        try:
            self.ray = import_module("ray")
            self._is_ours = not self.ray.is_initialized()
            if self._is_ours:
                self._connect(address, options)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            try:
                self.ray.shutdown(wait_for_processes=True)
            except TypeError:  # an older version
                self.ray.shutdown()
        self._settings.close()

    def _connect(self, address: str | None, options: dict[str, Any]) -> None:
        with _own_signal_handler():
            try:
                self.ray.init(
                    logging_level=logging.ERROR, log_to_driver=False, **options
                )
            except (
                Exception
            ) as error:  # some of Ray's errors have no class of their own
                reason = first_line(error)
                if address == LOCAL:
                    raise BackendError(
                        f"--ray {address}: Ray does not start on this machine: {reason}: "
                        "--devices works without it"
                    ) from error
                raise BackendError(
                    f"--ray {address}: no Ray cluster answers there: {reason}"
                ) from error

    def _own_cluster(self) -> dict[str, Any]:
        """Have Ray start a cluster that only this run can reach; gives what ``init`` takes."""
        folder = self._settings.enter_context(_private_folder())
        environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            # "no clusters": then Ray does not look for an address that others reach
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        self._settings.enter_context(_environment(environment))
        return {
            "address": LOCAL,
            "include_dashboard": False,
            "_node_ip_address": _LOOPBACK,
            "_temp_dir": str(folder / "ray"),  # which Ray opens to everybody
        }


@contextlib.contextmanager
def _own_signal_handler() -> Iterator[None]:
    """Keep this program's answer to SIGTERM, which Ray replaces by its own while it starts."""
    previous = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        if callable(previous):
            previous(signal.SIGTERM, None)
        raise
    finally:
        with contextlib.suppress(
            ValueError
        ):  # not the main thread: nothing was replaced
            signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    previous = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs, and a process that removes it with those who use it."""
    base = tempfile.gettempdir()
    if len(base) > _MAX_BASE_LENGTH:
        base = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="vsr-ray-", dir=base))
    watcher = subprocess.Popen(
        [sys.executable, "-m", "vsrcli.segments.ray_watcher", folder],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C does not reach it
    )
    try:
        yield folder
    finally:
        watcher.communicate()
