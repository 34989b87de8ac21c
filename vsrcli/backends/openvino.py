"""OpenVINO as a backend: the fastest of the stock libraries on a CPU. Optional: ``pip install 'vsrcli[openvino]'``."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from vsrcli.backends import Float, fitting_pixels, parse_device, says_memory
from vsrcli.backends.graphs import grouped_graphs
from vsrcli.backends.grouped import Grouped
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec

log = logging.getLogger(__name__)


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

    def __init__(self, model: str, domain: str | None = None, *, device: str = "auto", precision: str | None = None) -> None:
        if parse_device(device)[0] in ("cuda", "tensorrt"):
            raise BackendError(f"--device {device}: OpenVINO runs on the processor here: use --backend torch for CUDA")
        if precision == "fp16":
            raise BackendError("--fp16 on the CPU would be slower and coarser than --fp32: leave it away")
        if find_spec("openvino") is None:
            raise BackendError("OpenVINO is not installed: pip install 'vsrcli[openvino]', or use --backend onnx")
        graphs = grouped_graphs(model, domain, "conv3d")
        self._info = graphs[0].info
        hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        try:
            core = _core()
            self._requests: list[Any] = [core.compile_model(core.read_model(graph.content), "CPU", hints).create_infer_request() for graph in graphs]
        except RuntimeError as error:
            raise BackendError(f"OpenVINO does not take the graph: {str(error).splitlines()[0]}") from error
        self._grouped = Grouped(self.spec, self._call, lambda made, middle: self._call(-1, *made, middle)) if len(graphs) > 1 else None
        self.exact_parts = all(graph.is_local for graph in graphs)
        self.max_pixels = fitting_pixels(self.bytes_per_pixel)
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
        """Upscale windows (B, frames, H, W) float32 to (B, 2H-4, 2W-4) float32; see ``Backend.run``."""
        try:
            return self._call(0, windows) if self._grouped is None else self._grouped.run(windows)
        except (RuntimeError, MemoryError) as error:
            height, width = windows.shape[-2:]
            kind = OutOfMemory if says_memory(error) else BackendError
            raise kind(f"OpenVINO failed at a {width}x{height} picture: {str(error).splitlines()[0]}") from error

    def _call(self, number: int, *inputs: Float) -> Float:
        request = self._requests[number]
        # a network without a shortcut does not take the middle frame, which comes last
        taken = inputs[: len(request.input_tensors)]
        result = request.infer([np.ascontiguousarray(value, np.float32) for value in taken])[0]
        picture: Float = np.array(result)  # the library uses its memory again
        return picture


@cache
def _core() -> Any:
    """The library, once in a process and to its end: it gives the thread a stack for signals, and takes it away with the last of several instances.

    A signal that comes then, a Ctrl-C for instance, would kill the process.
    """
    import openvino

    return openvino.Core()
