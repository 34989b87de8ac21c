"""A network that only interpolates: fast, and its result is known."""

from __future__ import annotations

import time

import numpy as np

from vsrcli.backends import Float
from vsrcli.errors import BackendError
from vsrcli.models import MODELS, LumaScale, ModelSpec
from vsrcli.picture.resize import double


class FakeBackend:
    """Counts its windows and remembers whose frames they held."""

    name = "fake"
    device = "cpu"
    precision = "fp32"
    domain = None
    luma_scale: LumaScale = "limited"
    max_pixels = 1 << 20
    bytes_per_pixel = 1024
    exact_parts = True

    def __init__(
        self, fail_at: int | None = None, *, spec: ModelSpec = MODELS["delta"]
    ) -> None:
        self.spec = spec
        self.windows: list[Float] = []
        self._fail_at = fail_at

    def run(self, windows: Float) -> Float:
        if self._fail_at == len(self.windows):
            raise BackendError("out of memory on fake: use a smaller source")
        self.windows.append(windows[0].copy())
        doubled = double(windows[:, self.spec.middle], "bilinear")
        trim = self.spec.trim
        _, height, width = doubled.shape
        inner = doubled[:, trim : height - trim, trim : width - trim]
        return np.asarray(inner, np.float32)


def open_fake(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """In the place of ``open_backend`` where it has to reach other processes."""
    return FakeBackend()


class SlowBackend(FakeBackend):
    """Takes its time."""

    def run(self, windows: Float) -> Float:
        """Wait, then interpolate."""
        time.sleep(0.05)
        return super().run(windows)


def open_slow(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """As ``open_fake``, for runs that are to be disturbed."""
    return SlowBackend()
