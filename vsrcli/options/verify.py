"""Defaults of ``vsr verify``, whose other options are those of ``vsr upscale``."""

from __future__ import annotations

# PSNR of the halved output against its source that is always close enough, dB.
DEFAULT_THRESHOLD_DB = 25.0
