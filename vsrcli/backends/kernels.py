"""Triton kernels: a 3D convolution on slices with bias, ReLU and residual in one pass over memory, and a whole pass of a recursive block.

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
_TILE = 14, 30  # of a whole pass; with a pixel all round it 16 x 32, which fills blocks
_PROGRAMS_PER_UNIT = (
    2  # of a whole pass; their scratch together stays in the card's second-level cache
)


@triton.jit  # type: ignore[untyped-decorator]
def _products(  # type: ignore[no-untyped-def]  # Triton reads the names, not the types
    given, weight, first_plane, slice_, row, column, is_pixel, channel, is_channel,
    depth, height, width, pad_depth, pad_height, pad_width,
    CHANNELS: tl.constexpr, OUT_CHANNELS: tl.constexpr,
    TAPS_DEPTH: tl.constexpr, TAPS_HEIGHT: tl.constexpr, TAPS_WIDTH: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_SUM: tl.constexpr, BLOCK_OUT: tl.constexpr,
):  # fmt: skip
    """The sums of a convolution, float32, without its bias, at ``row`` and ``column`` of ``slice_``; the picture's slices begin at ``first_plane``."""
    total = tl.zeros((BLOCK_PIXELS, BLOCK_OUT), dtype=tl.float32)
    SUM: tl.constexpr = TAPS_DEPTH * TAPS_HEIGHT * TAPS_WIDTH * CHANNELS
    for first in range(0, SUM, BLOCK_SUM):
        place = first + tl.arange(0, BLOCK_SUM)
        channel_in, tap = place % CHANNELS, place // CHANNELS
        tap_width, tap_height, tap_depth = (
            tap % TAPS_WIDTH,
            tap // TAPS_WIDTH % TAPS_HEIGHT,
            tap // (TAPS_WIDTH * TAPS_HEIGHT),
        )
        z = slice_ - pad_depth + tap_depth
        y = row[:, None] - pad_height + tap_height[None, :]
        x = column[:, None] - pad_width + tap_width[None, :]
        is_sum = place < SUM
        inside = (z >= 0) & (z < depth) & is_sum
        inside = (
            inside[None, :]
            & (y >= 0)
            & (y < height)
            & (x >= 0)
            & (x < width)
            & is_pixel[:, None]
        )
        # 64 bits: five slices of 32 channels of a large picture are more than 2**31 values
        plane = (first_plane + z).to(tl.int64) * height
        source = ((plane[None, :] + y) * width + x) * CHANNELS + channel_in[None, :]
        values = tl.load(given + source, mask=inside, other=0.0)
        factors = tl.load(
            weight + place[:, None] * OUT_CHANNELS + channel[None, :],
            mask=is_sum[:, None] & is_channel[None, :],
            other=0.0,
        )
        total += tl.dot(values, factors, input_precision="ieee")
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _convolve(  # type: ignore[no-untyped-def]
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
    channel = tl.arange(0, BLOCK_OUT)
    is_pixel = pixel < out_height * out_width
    is_channel = channel < OUT_CHANNELS
    total = _products(
        given, weight, batch * depth, slice_, pixel // out_width, pixel % out_width, is_pixel, channel, is_channel,
        depth, height, width, pad_depth, pad_height, pad_width,
        CHANNELS, OUT_CHANNELS, TAPS_DEPTH, TAPS_HEIGHT, TAPS_WIDTH, BLOCK_PIXELS, BLOCK_SUM, BLOCK_OUT,
    )  # fmt: skip
    total += tl.load(bias + channel, mask=is_channel, other=0.0).to(tl.float32)[None, :]
    target = (
        tl.program_id(1).to(tl.int64) * out_height * out_width + pixel[:, None]
    ) * OUT_CHANNELS + channel[None, :]
    is_target = is_pixel[:, None] & is_channel[None, :]
    if HAS_RESIDUAL:
        total += tl.load(residual + target, mask=is_target, other=0.0).to(tl.float32)
    if RECTIFY:
        total = tl.maximum(total, 0.0)
    tl.store(result + target, total.to(result.dtype.element_ty), mask=is_target)


@triton.jit  # type: ignore[untyped-decorator]
def _recurse(  # type: ignore[no-untyped-def]
    given, first_weight, first_bias, second_weight, second_bias, scratch, result,
    batches, depth, height, width,
    CHANNELS: tl.constexpr, TILE_HEIGHT: tl.constexpr, TILE_WIDTH: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_SUM: tl.constexpr, BLOCK_OUT: tl.constexpr,
):  # fmt: skip
    ROOM_WIDTH: tl.constexpr = TILE_WIDTH + 2
    ROOM: tl.constexpr = (TILE_HEIGHT + 2) * ROOM_WIDTH
    down, across = tl.cdiv(height, TILE_HEIGHT), tl.cdiv(width, TILE_WIDTH)
    own = scratch + tl.program_id(0).to(tl.int64) * depth * ROOM * CHANNELS
    channel = tl.arange(0, BLOCK_OUT)
    is_channel = channel < CHANNELS
    bias_a = tl.load(first_bias + channel, mask=is_channel, other=0.0).to(tl.float32)[
        None, :
    ]
    bias_b = tl.load(second_bias + channel, mask=is_channel, other=0.0).to(tl.float32)[
        None, :
    ]
    for tile in range(tl.program_id(0), batches * down * across, tl.num_programs(0)):
        batch = tile // (down * across)
        top, left = tile // across % down * TILE_HEIGHT, tile % across * TILE_WIDTH
        for slice_ in range(depth):
            for first in range(0, ROOM, BLOCK_PIXELS):
                pixel = first + tl.arange(0, BLOCK_PIXELS)
                row, column = (
                    top - 1 + pixel // ROOM_WIDTH,
                    left - 1 + pixel % ROOM_WIDTH,
                )
                is_inside = (
                    (row >= 0)
                    & (row < height)
                    & (column >= 0)
                    & (column < width)
                    & (pixel < ROOM)
                )
                total = _products(
                    given, first_weight, batch * depth, slice_, row, column, is_inside, channel, is_channel, depth, height, width, 1, 1, 1,
                    CHANNELS, CHANNELS, 3, 3, 3, BLOCK_PIXELS, BLOCK_SUM, BLOCK_OUT,
                )  # fmt: skip
                # around the picture the second convolution sees zeros, not what the first would make there
                total = tl.where(
                    is_inside[:, None], tl.maximum(total + bias_a, 0.0), 0.0
                )
                target = (slice_ * ROOM + pixel[:, None]) * CHANNELS + channel[None, :]
                tl.store(
                    own + target,
                    total.to(result.dtype.element_ty),
                    mask=(pixel < ROOM)[:, None] & is_channel[None, :],
                )
        tl.debug_barrier()
        for slice_ in range(depth):
            for first in range(0, TILE_HEIGHT * TILE_WIDTH, BLOCK_PIXELS):
                pixel = first + tl.arange(0, BLOCK_PIXELS)
                row, column = pixel // TILE_WIDTH, pixel % TILE_WIDTH
                is_pixel = (
                    (top + row < height)
                    & (left + column < width)
                    & (pixel < TILE_HEIGHT * TILE_WIDTH)
                )
                total = _products(
                    own, second_weight, 0, slice_, row, column, is_pixel, channel, is_channel, depth, TILE_HEIGHT + 2, ROOM_WIDTH, 1, 0, 0,
                    CHANNELS, CHANNELS, 3, 3, 3, BLOCK_PIXELS, BLOCK_SUM, BLOCK_OUT,
                )  # fmt: skip
                plane = (batch * depth + slice_).to(tl.int64) * height
                target = (
                    (plane + top + row[:, None]) * width + left + column[:, None]
                ) * CHANNELS + channel[None, :]
                is_target = is_pixel[:, None] & is_channel[None, :]
                total += bias_b
                total += tl.load(given + target, mask=is_target, other=0.0).to(
                    tl.float32
                )
                tl.store(
                    result + target,
                    tl.maximum(total, 0.0).to(result.dtype.element_ty),
                    mask=is_target,
                )
        tl.debug_barrier()


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
    out_depth, out_height, out_width = (
        size + 2 * pad - taps + 1
        for size, pad, taps in zip((depth, height, width), padding, kernel, strict=True)
    )
    out_channels = packed.shape[1]
    result = torch.empty(
        (batch, out_depth, out_height, out_width, out_channels),
        dtype=given.dtype,
        device=given.device,
    )
    grid = (triton.cdiv(out_height * out_width, _BLOCK_PIXELS), batch * out_depth)
    _convolve[grid](
        given, packed, bias, given if residual is None else residual, result,
        depth, height, width, out_depth, out_height, out_width, *padding,
        CHANNELS=channels, OUT_CHANNELS=out_channels, TAPS_DEPTH=kernel[0], TAPS_HEIGHT=kernel[1], TAPS_WIDTH=kernel[2],
        HAS_RESIDUAL=residual is not None, RECTIFY=rectify,
        BLOCK_PIXELS=_BLOCK_PIXELS, BLOCK_SUM=_BLOCK_SUM, BLOCK_OUT=max(_LEAST_BLOCK, triton.next_power_of_2(out_channels)),
    )  # fmt: skip
    return result


def recurse(
    given: Tensor,
    first: Tensor,
    first_bias: Tensor,
    second: Tensor,
    second_bias: Tensor,
) -> Tensor:
    """``relu(b(relu(a(given))) + given)``, one pass of a ``RecursiveBlock3d``, that reads the picture once and writes it once.

    Each program makes one tile after the other: what ``a`` gives for it and the pixels around it goes to the program's own scratch, small enough to stay
    in the card's cache, and from there through ``b``. So ``a`` is computed 1.2 times, and memory sees two pictures instead of five.

    Args:
        given: (B, D, H, W, C), contiguous, float16 or float32.
        first: weight of ``a`` from ``pack``, of the same type.
        first_bias: (C,).
        second: weight of ``b``.
        second_bias: (C,).

    Returns:
        The shape and type of ``given``, contiguous.
    """
    batch, depth, height, width, channels = given.shape
    tile_height, tile_width = _TILE
    units = (
        torch.cuda.get_device_properties(given.device).multi_processor_count
        if given.is_cuda
        else 1
    )
    programs = min(
        _PROGRAMS_PER_UNIT * units,
        batch * triton.cdiv(height, tile_height) * triton.cdiv(width, tile_width),
    )
    result = torch.empty_like(given)
    scratch = torch.empty(
        (programs, depth, tile_height + 2, tile_width + 2, channels),
        dtype=given.dtype,
        device=given.device,
    )
    _recurse[(programs,)](
        given, first, first_bias, second, second_bias, scratch, result, batch, depth, height, width,
        CHANNELS=channels, TILE_HEIGHT=tile_height, TILE_WIDTH=tile_width,
        BLOCK_PIXELS=_BLOCK_PIXELS, BLOCK_SUM=_BLOCK_SUM, BLOCK_OUT=max(_LEAST_BLOCK, triton.next_power_of_2(channels)),
    )  # fmt: skip
    return result
