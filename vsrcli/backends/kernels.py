"""Triton kernels: a 3D convolution on slices with bias, ReLU and residual in one pass over memory.

An implicit matrix product: rows are output pixels, columns output channels, and the sum runs over all taps and input channels at once, so that 8 or 24
channels fill the blocks as well as 32 do. Products are of the inputs' type, sums float32. Pictures are (B, D, H, W, C), channels last.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK_PIXELS = 64
_BLOCK_SUM = 64
_LEAST_BLOCK = 16  # what a matrix unit takes


@triton.jit  # type: ignore[untyped-decorator]
def _convolve(  # type: ignore[no-untyped-def]  # Triton reads the names, not the types
    given, weight, bias, residual, result,
    depth, height, width, out_depth, out_height, out_width,
    pad_depth, pad_height, pad_width,
    CHANNELS: tl.constexpr, OUT_CHANNELS: tl.constexpr,
    TAPS_DEPTH: tl.constexpr, TAPS_HEIGHT: tl.constexpr, TAPS_WIDTH: tl.constexpr,
    HAS_RESIDUAL: tl.constexpr, RECTIFY: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_SUM: tl.constexpr, BLOCK_OUT: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    batch = tl.program_id(1) // out_depth
    slice_ = tl.program_id(1) % out_depth
    row, column = pixel // out_width, pixel % out_width
    channel = tl.arange(0, BLOCK_OUT)
    is_pixel = pixel < out_height * out_width
    is_channel = channel < OUT_CHANNELS
    total = tl.zeros((BLOCK_PIXELS, BLOCK_OUT), dtype=tl.float32)
    SUM: tl.constexpr = TAPS_DEPTH * TAPS_HEIGHT * TAPS_WIDTH * CHANNELS
    for first in range(0, SUM, BLOCK_SUM):
        place = first + tl.arange(0, BLOCK_SUM)
        channel_in, tap = place % CHANNELS, place // CHANNELS
        tap_width, tap_height, tap_depth = tap % TAPS_WIDTH, tap // TAPS_WIDTH % TAPS_HEIGHT, tap // (TAPS_WIDTH * TAPS_HEIGHT)
        z = slice_ - pad_depth + tap_depth
        y = row[:, None] - pad_height + tap_height[None, :]
        x = column[:, None] - pad_width + tap_width[None, :]
        is_sum = place < SUM
        inside = (z >= 0) & (z < depth) & is_sum
        inside = inside[None, :] & (y >= 0) & (y < height) & (x >= 0) & (x < width) & is_pixel[:, None]
        # 64 bits: five slices of 32 channels of a large picture are more than 2**31 values
        plane = (batch * depth + z).to(tl.int64) * height
        source = ((plane[None, :] + y) * width + x) * CHANNELS + channel_in[None, :]
        values = tl.load(given + source, mask=inside, other=0.0)
        factors = tl.load(weight + place[:, None] * OUT_CHANNELS + channel[None, :], mask=is_sum[:, None] & is_channel[None, :], other=0.0)
        total += tl.dot(values, factors, input_precision="ieee")
    total += tl.load(bias + channel, mask=is_channel, other=0.0).to(tl.float32)[None, :]
    target = (tl.program_id(1).to(tl.int64) * out_height * out_width + pixel[:, None]) * OUT_CHANNELS + channel[None, :]
    is_target = is_pixel[:, None] & is_channel[None, :]
    if HAS_RESIDUAL:
        total += tl.load(residual + target, mask=is_target, other=0.0).to(tl.float32)
    if RECTIFY:
        total = tl.maximum(total, 0.0)
    tl.store(result + target, total.to(result.dtype.element_ty), mask=is_target)


def pack(weight: Tensor) -> Tensor:
    """Bring the weight of an ``nn.Conv3d``, (out, in, depth, height, width), into the kernel's order: (depth * height * width * in, out)."""
    return weight.permute(2, 3, 4, 1, 0).reshape(-1, weight.shape[0]).contiguous()


def convolve(
    given: Tensor, packed: Tensor, bias: Tensor, *, kernel: tuple[int, int, int], padding: tuple[int, int, int], residual: Tensor | None = None,
    rectify: bool = True,
) -> Tensor:  # fmt: skip
    """``relu(conv3d(given) + bias + residual)`` of stride 1.

    Args:
        given: (B, D, H, W, in), contiguous, float16 or float32.
        packed: from ``pack``, of the same type.
        bias: (out,).
        kernel: taps in depth, height and width.
        padding: zeros around the picture in depth, height and width.
        residual: of the result's shape and type, contiguous; added before the ReLU.
        rectify: whether there is a ReLU.

    Returns:
        (B, D', H', W', out), contiguous, of the same type.
    """
    batch, depth, height, width, channels = given.shape
    out_depth, out_height, out_width = (size + 2 * pad - taps + 1 for size, pad, taps in zip((depth, height, width), padding, kernel, strict=True))
    out_channels = packed.shape[1]
    result = torch.empty((batch, out_depth, out_height, out_width, out_channels), dtype=given.dtype, device=given.device)
    grid = (triton.cdiv(out_height * out_width, _BLOCK_PIXELS), batch * out_depth)
    _convolve[grid](
        given, packed, bias, given if residual is None else residual, result,
        depth, height, width, out_depth, out_height, out_width, *padding,
        CHANNELS=channels, OUT_CHANNELS=out_channels, TAPS_DEPTH=kernel[0], TAPS_HEIGHT=kernel[1], TAPS_WIDTH=kernel[2],
        HAS_RESIDUAL=residual is not None, RECTIFY=rectify,
        BLOCK_PIXELS=_BLOCK_PIXELS, BLOCK_SUM=_BLOCK_SUM, BLOCK_OUT=max(_LEAST_BLOCK, triton.next_power_of_2(out_channels)),
    )  # fmt: skip
    return result
