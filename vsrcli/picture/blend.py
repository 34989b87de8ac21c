"""A network's luma mixed with plain interpolation of the frame.

A network that was trained to sharpen also sharpens noise and what compression left. Interpolation
adds nothing, so a mixture of the two flickers less.
"""

from __future__ import annotations

import numpy as np

from vsrcli.frame import Plane
from vsrcli.picture.color import Float, rounded
from vsrcli.picture.resize import double, double_phase

_CENTRED = 0.25


def interpolated(luma: Plane, bits: int) -> Plane:
    """Bicubic interpolation to twice the size, as ``picture.resize.double`` does it.

    Args:
        luma: shape (H, W), uint8 or uint16, codes of ``bits`` bits.
        bits: significant bits of a code.

    Returns:
        Shape (2H, 2W), codes of the same kind, rounded and clipped to 0..2**bits - 1.
    """
    peak = (1 << bits) - 1
    return double_phase(luma, _CENTRED, _CENTRED, peak=peak)


def blended(codes: Float, luma: Plane, bits: int, strength: float) -> Plane:
    """Mix a network's luma with bicubic interpolation; nothing is rounded before.

    Args:
        codes: what the network makes of the frame, (2H, 2W), on the scale of the frame's codes,
            not rounded; not changed.
        luma: the frame, (H, W), uint8 or uint16, codes of ``bits`` bits.
        bits: significant bits of a code.
        strength: share of the network, 0..1.

    Returns:
        Shape (2H, 2W), codes of the frame's kind, rounded and clipped to 0..2**bits - 1.
    """
    mixture = double(luma.astype(np.float32))
    mixture *= np.float32(1 - strength)
    mixture += np.float32(strength) * codes
    return rounded(mixture, bits)
