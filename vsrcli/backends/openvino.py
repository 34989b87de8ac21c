"""OpenVINO as a backend: the fastest of the stock libraries on a CPU. Optional: ``pip install 'vsrcli[openvino]'``."""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.backends import Float, fitting_pixels, parse_device, says_memory
from vsrcli.backends.graphs import grouped_graphs
from vsrcli.backends.grouped import Grouped
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec

log = logging.getLogger(__name__)

_Shapes = tuple[tuple[int, ...], ...]

# Networks whose parts come out to the bit only where OpenVINO has AVX-512: with AVX2 it adds up the
# 24 channels of 5-parallel in another order near a picture's edge (measured on an AMD Zen 3: up to
# 1e-5 grey levels).
_NEEDS_AVX512 = frozenset({"5-parallel"})
_PROCESSOR = Path("/proc/cpuinfo")


class OpenVinoBackend:
    """A network in OpenVINO on the CPU, float32; keeps ``vsrcli.backends.Backend``.

    Args:
        model: name in ``MODELS``, a checkpoint, or an ``.onnx`` file of `vsr export`.
        domain: which shipped weights, or None for the default.
        device: ``auto`` or ``cpu``.
        precision: ``fp32`` or None.

    Raises:
        ModelError: no such model, or a bad file.
        BackendError: OpenVINO is not installed, does not take the graph, or another device or precision was asked for.
    """

    name = "openvino"
    device, precision = "cpu", "fp32"
    bytes_per_pixel = 10 * 1024  # measured: 8 KB at 320x180

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        if parse_device(device)[0] in ("cuda", "tensorrt"):
            raise BackendError(
                f"--device {device}: OpenVINO runs on the processor here: use --backend torch for CUDA"
            )
        if precision == "fp16":
            raise BackendError(
                "--fp16 on the CPU would be slower and coarser than --fp32: leave it away"
            )
        if find_spec("openvino") is None:
            raise BackendError(
                "OpenVINO is not installed: pip install 'vsrcli[openvino]', or use --backend onnx"
            )
        graphs = grouped_graphs(model, domain, "conv3d")
        self._info = graphs[0].info
        self.max_pixels = fitting_pixels(self.bytes_per_pixel)
        try:
            self._compiled = [
                _Compiled(graph.content, self.max_pixels) for graph in graphs
            ]
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO does not take the graph: {str(error).splitlines()[0]}"
            ) from error
        self._grouped = (
            Grouped(
                self.spec,
                self._call,
                lambda made, middle: self._call(-1, *made, middle),
            )
            if len(graphs) > 1
            else None
        )
        is_local = all(graph.is_local for graph in graphs)
        self.exact_parts = is_local and (
            self.spec.name not in _NEEDS_AVX512 or _has_avx512()
        )
        log.info("%s by OpenVINO (%s graph)", self._info.model, graphs[0].layout)

    @property
    def domain(self) -> str | None:
        """Domain of the weights, or None where unknown."""
        return self._info.domain

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return self._info.spec

    @property
    def luma_scale(self) -> LumaScale:
        """The scale the checkpoint lives on."""
        return self._info.luma_scale

    def run(self, windows: Float) -> Float:
        """Upscale windows (B, planes, H, W) float32 to (B, 2H-4, 2W-4) float32; see ``Backend.run``."""
        try:
            return (
                self._call(0, windows)
                if self._grouped is None
                else self._grouped.run(windows)
            )
        except (RuntimeError, MemoryError) as error:
            height, width = windows.shape[-2:]
            kind = OutOfMemory if says_memory(error) else BackendError
            raise kind(
                f"OpenVINO failed at a {width}x{height} picture: {str(error).splitlines()[0]}"
            ) from error

    def _call(self, number: int, *inputs: Float) -> Float:
        return self._compiled[number].run(
            [np.ascontiguousarray(value, np.float32) for value in inputs]
        )


# Of the pixels that fit into memory, what a size may have that is met for the first time to be run by the graph for all sizes, which keeps its memory.
_OF_ALL_FOR_ANY = 32


class _Compiled:
    """A graph, compiled for pictures of any size, and for sizes that come again each by itself: the same bits, up to 1.3 times as fast (Delta, 320x180).

    Args:
        content: the ONNX file.
        max_pixels: low-resolution pixels of all sizes together that it may be compiled for at once, since each keeps memory.

    Raises:
        RuntimeError: OpenVINO does not take it.
    """

    def __init__(self, content: bytes, max_pixels: int) -> None:
        self._content, self._max_pixels = content, max_pixels
        self._any_size = self._compile(None)
        self._inputs = len(self._any_size.input_tensors)
        self._fixed: OrderedDict[_Shapes, tuple[Any, int]] = (
            OrderedDict()
        )  # with pixels; the one used last comes last
        self._met: set[_Shapes] = set()
        self._largest = 0

    def run(self, inputs: list[Float]) -> Float:
        """Run the graph.

        Args:
            inputs: float32, contiguous; the last one is of the low-resolution size (..., H, W), and left out where the graph does not take it.
        """
        batch, height, width = inputs[-1].shape[0], *inputs[-1].shape[-2:]
        taken = inputs[: self._inputs]
        request = self._request(
            tuple(value.shape for value in taken), batch * height * width
        )
        picture: Float = np.array(
            request.infer(taken, share_inputs=True, share_outputs=True)[0]
        )  # the library uses its memory again
        return picture

    def _request(self, shapes: _Shapes, pixels: int) -> Any:
        if shapes not in self._fixed:
            if shapes not in self._met and pixels * _OF_ALL_FOR_ANY <= self._max_pixels:
                self._met.add(shapes)
                return self._any_size
            self._largest = max(self._largest, pixels)
            room = min(self._max_pixels, 2 * self._largest)
            while (
                self._fixed
                and pixels + sum(kept for _, kept in self._fixed.values()) > room
            ):
                self._fixed.popitem(last=False)
            self._fixed[shapes] = self._compile(shapes), pixels
        self._fixed.move_to_end(shapes)
        return self._fixed[shapes][0]

    def _compile(self, shapes: _Shapes | None) -> Any:
        model = _core().read_model(self._content)
        if shapes is not None:
            model.reshape({number: list(shape) for number, shape in enumerate(shapes)})
        return (
            _core()
            .compile_model(
                model,
                "CPU",
                {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
            )
            .create_infer_request()
        )


@cache
def _has_avx512() -> bool:
    """Whether the processor is known to have it; where nothing says so, it has not."""
    return _PROCESSOR.is_file() and "avx512f" in _PROCESSOR.read_text()


@cache
def _core() -> Any:
    """The library, once in a process and to its end: it gives the thread a stack for signals, and takes it away with the last of several instances.

    A signal that comes then, a Ctrl-C for instance, would kill the process.
    """
    import openvino

    return openvino.Core()
