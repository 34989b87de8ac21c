"""A pass of an 8-channel recursive block as one kernel, beside PyTorch: python benchmarks/pass8.py.

The kernel is pass8.cu, which says how it works. This file packs the weights, launches it on a card
through PyTorch's own NVRTC, and runs it on a processor in pass8_emulator.cpp, for which it needs a
C++ compiler. Called by itself it compares the emulated kernel with the block, at several sizes.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrcli.models.layers import RecursiveBlock3d, SlicedConv3d

SLICES = 5
CHANNELS = 8
# as in pass8.cu: a tile of 16 x 32 pixels, with rings of two and of one around it
THREADS = 256
SHARED_BYTES = ((16 + 4) * (32 + 4) + (16 + 2) * (32 + 2)) * SLICES * CHANNELS * 2
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class PackedBlock:
    """The weights of a recursive block as the kernel reads them.

    Attributes:
        weight_a, weight_b: int32 (3, 5, 32, 2), see ``pack_weights``.
        bias_a, bias_b: float32 (8,).
    """

    weight_a: Tensor
    bias_a: Tensor
    weight_b: Tensor
    bias_b: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order of the kernel's parameters."""
        return self.weight_a, self.bias_a, self.weight_b, self.bias_b


def pack_block(block: RecursiveBlock3d) -> PackedBlock:
    """Pack a block of 8 channels; the result is on the block's device."""
    return PackedBlock(
        weight_a=pack_weights(block.a.weight),
        bias_a=_bias(block.a),
        weight_b=pack_weights(block.b.weight),
        bias_b=_bias(block.b),
    )


def pack_weights(weight: Tensor) -> Tensor:
    """Lay out a weight as each lane of a warp holds it for mma.m16n8k16.

    Args:
        weight: (8, 8, 3, 3, 3), of output and input channels, depth, height, width.

    Returns:
        int32 (3 taps in depth, 5 steps, 32 lanes, 2): pairs of halves. A step is two of the nine
        taps of a slice, one in each of the last two places; the tenth tap is zeros. A lane holds
        output channel lane / 4, and input channels 2 (lane % 4) and the one after it.
    """
    halves = weight.detach().half().cpu().numpy()
    packed = np.zeros((3, 5, 32, 2, 2), np.float16)
    for tap in range(9):
        row, column = divmod(tap, 3)
        step, place = divmod(tap, 2)
        for lane in range(32):
            output = lane // 4
            first = 2 * (lane % 4)
            # (2 input channels, 3 taps in depth)
            values = halves[output, first : first + 2, :, row, column]
            packed[:, step, lane, place] = values.T
    pairs = packed.view(np.int32)[..., 0].copy()
    return torch.from_numpy(pairs).to(weight.device)


def _bias(layer: SlicedConv3d) -> Tensor:
    if layer.bias is None:
        raise TypeError("the kernel takes convolutions with a bias")
    return layer.bias.detach().float()


def launch(
    x: Tensor,
    packed: PackedBlock,
    *,
    result: Tensor | None = None,
    blocks: int | None = None,
) -> Tensor:
    """One pass on a card.

    Args:
        x: (B, H, W, 5, 8) in half precision, contiguous, on the card.
        packed: on the same card.
        result: tensor to write, as ``x``, and not ``x`` itself; None for a new one.
        blocks: how many run; None for two on each multiprocessor.

    Returns:
        ``result``, or a new tensor.

    Raises:
        RuntimeError: the kernel does not compile, or the card has too little shared memory.
    """
    kernel = _kernel()
    if result is None:
        result = torch.empty_like(x)
    if blocks is None:
        card = torch.cuda.get_device_properties(x.device)
        blocks = 2 * card.multi_processor_count
    kernel(
        grid=(blocks, 1, 1),
        block=(THREADS, 1, 1),
        args=[x, *packed.tensors, result, *x.shape[:3]],
        shared_mem=SHARED_BYTES,
    )
    return result


@cache
def _kernel() -> Any:
    source = (HERE / "pass8.cu").read_text()
    # The form for Hopper alone is the one that was measured.
    is_hopper = torch.cuda.get_device_capability() == (9, 0)
    kernel = torch.cuda._compile_kernel(
        source,
        "pass8",
        compute_capability="90a" if is_hopper else None,
    )
    kernel.set_shared_memory_config(SHARED_BYTES)
    return kernel


def compiler() -> str | None:
    """A C++ compiler for ``emulate``, or None."""
    return shutil.which("c++") or shutil.which("g++")


def emulate(x: Tensor, packed: PackedBlock, *, blocks: int = 2) -> Tensor:
    """One pass on a processor, slowly, lane by lane as on a card.

    Args:
        x: (B, H, W, 5, 8) in half precision, contiguous.
        packed: the weights.
        blocks: how many blocks share the tiles.

    Returns:
        A new tensor like ``x``; NaN where the kernel wrote nothing.

    Raises:
        RuntimeError: there is no C++ compiler.
        subprocess.CalledProcessError: it does not compile (the compiler has to know ``_Float16``).
    """
    library = _emulator()
    result = torch.full_like(x, float("nan"))
    tensors = (x, *packed.tensors, result)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
    library.emulate_pass8(*pointers, *x.shape[:3], blocks)
    return result


@cache
def _emulator() -> ctypes.CDLL:
    program = compiler()
    if program is None:
        raise RuntimeError("the emulator of pass8 needs a C++ compiler")
    source = HERE / "pass8_emulator.cpp"
    flags = ["-O2", "-shared", "-fPIC", "-std=c++17", "-Wno-unknown-pragmas"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pass8.so"
        subprocess.run([program, *flags, "-o", path, source], check=True)
        library = ctypes.CDLL(str(path))
    assert library.shared_bytes() == SHARED_BYTES
    return library


def expected(x: Tensor, block: RecursiveBlock3d) -> Tensor:
    """The same pass by the block itself in float32, in the shape of ``x``."""
    slices = [part.permute(0, 3, 1, 2).float() for part in x.unbind(3)]
    return torch.stack(block(slices), dim=1).permute(0, 3, 4, 1, 2)


def random_block() -> RecursiveBlock3d:
    """A block of one pass with random weights that half precision holds exactly."""
    torch.manual_seed(0)
    return RecursiveBlock3d(CHANNELS, 1).half().float()


def main() -> None:
    block = random_block()
    packed = pack_block(block)
    for batch, height, width in ((1, 20, 40), (2, 16, 32), (1, 5, 7), (1, 33, 65)):
        x = torch.rand(batch, height, width, SLICES, CHANNELS).half()
        with torch.inference_mode():
            by_block = expected(x, block)
        emulated = emulate(x, packed).float()
        difference = float((emulated - by_block).abs().max())
        largest = float(by_block.max())
        size = f"{batch}x{height}x{width}"
        print(f"{size}: differs by {difference:.2g}, of values up to {largest:.3g}")


if __name__ == "__main__":
    main()
