"""Root without its rights over files, so that tests of permissions mean something as root too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: read and write whatever the permissions say
_OVERRIDES = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def without_overrides() -> Iterator[None]:
    """Permissions of files hold for this thread, whoever runs it; skips where that cannot be."""
    if os.geteuid() != 0:
        yield
        return
    library = ctypes.CDLL(None)
    header = _Header(_VERSION, 0)
    sets = (_Sets * 2)()
    if not hasattr(library, "capset") or library.capget(ctypes.byref(header), sets):
        pytest.skip("root cannot give up its rights here")
    before = sets[0].effective
    sets[0].effective = before & ~_OVERRIDES
    assert not library.capset(ctypes.byref(header), sets)
    try:
        yield
    finally:
        sets[0].effective = before
        assert not library.capset(ctypes.byref(header), sets)
