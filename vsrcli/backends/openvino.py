"""OpenVINO as a backend: the fastest of the standard libraries on a CPU.

Optional: ``pip install 'vsrcli[openvino]'``.
"""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.backends import Float, first_line, parse_device
from vsrcli.backends.graph_backend import GraphBackend
from vsrcli.backends.onnx_graphs import load_graph_pieces
from vsrcli.errors import BackendError

log = logging.getLogger(__name__)

_Shapes = tuple[tuple[int, ...], ...]
_FixedSizes = OrderedDict[_Shapes, tuple[Any, int]]

# Networks whose parts have the bits of the whole picture only with AVX-512: with AVX2, OpenVINO
# adds up the 24 channels of 5-parallel in another order near a picture's edge (measured on an AMD
# Zen 3: up to 1e-5 grey levels).
_NEEDS_AVX512 = frozenset({"5-parallel"})
_PROCESSOR = Path("/proc/cpuinfo")


class OpenVinoBackend(GraphBackend):
    """A network in OpenVINO on the CPU, float32; implements ``vsrcli.backends.Backend``.

    Args:
        model: name in ``MODELS``, a checkpoint, or an ``.onnx`` file of `vsr export`.
        domain: which shipped weights, or None for the default.
        device: ``auto`` or ``cpu``.
        precision: ``fp32`` or None.

    Raises:
        ModelError: no such checkpoint file, or a bad file.
        BackendError: OpenVINO is not installed or does not accept the graph, or the device or
            precision is another.
    """

    name = "openvino"
    library = "OpenVINO"
    library_errors = (RuntimeError, MemoryError)
    device = "cpu"
    precision = "fp32"
    bytes_per_pixel = 10 * 1024  # measured: 8 KB at 320x180

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        kind, _ = parse_device(device)
        if kind in ("cuda", "tensorrt"):
            raise BackendError(
                f"--device {device}: OpenVINO runs on the CPU here: "
                "use --backend torch for CUDA"
            )
        if precision == "fp16":
            raise BackendError(
                "--fp16 on the CPU would be slower and less accurate than --fp32: omit it"
            )
        if find_spec("openvino") is None:
            raise BackendError(
                "OpenVINO is not installed: pip install 'vsrcli[openvino]', or use --backend onnx"
            )
        graphs = load_graph_pieces(model, domain, "conv3d")
        super().__init__(graphs)
        try:
            self._compiled = [
                _CompiledGraph(graph.content, self.max_pixels) for graph in graphs
            ]
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO does not accept the graph: {first_line(error)}"
            ) from error
        is_local = all(graph.is_local for graph in graphs)
        is_exact_here = self.spec.name not in _NEEDS_AVX512 or _has_avx512()
        self.exact_parts = is_local and is_exact_here
        log.info(
            "%s by OpenVINO (%s graph)",
            self._info.model,
            graphs[0].layout,
        )

    def _run_graph(self, number: int, inputs: list[Float]) -> Float:
        return self._compiled[number].run(inputs)


# A size is compiled at once, without waiting for its second picture, if its pixels are more than
# this share of those that fit into memory: otherwise the graph for all sizes would run it, and keep
# its memory.
_LARGE_SHARE = 32


class _CompiledGraph:
    """A graph, compiled for pictures of any size, and again for each size that recurs.

    The bits are the same, and a fixed size is up to 1.3 times as fast (Delta, 320x180).

    Args:
        content: the ONNX file.
        max_pixels: low-resolution pixels of all fixed sizes together, since each keeps memory.

    Raises:
        RuntimeError: OpenVINO does not accept it.
    """

    def __init__(self, content: bytes, max_pixels: int) -> None:
        self._content = content
        self._max_pixels = max_pixels
        self._any_size = self._compile(None)
        self._input_count = len(self._any_size.input_tensors)
        # request and pixels of each size, the most recently used last
        self._fixed: _FixedSizes = OrderedDict()
        self._seen: set[_Shapes] = set()
        self._largest = 0

    def run(self, inputs: list[Float]) -> Float:
        """Run the graph.

        Args:
            inputs: float32, contiguous. The last one is of the low-resolution size (..., H, W), and
                is dropped if the graph does not take it.
        """
        batch = inputs[-1].shape[0]
        height, width = inputs[-1].shape[-2:]
        inputs = inputs[: self._input_count]
        shapes = tuple(value.shape for value in inputs)
        request = self._request(shapes, batch * height * width)
        results = request.infer(inputs, share_inputs=True, share_outputs=True)
        # a copy: the library reuses its memory
        picture: Float = np.array(results[0])
        return picture

    def _request(self, shapes: _Shapes, pixels: int) -> Any:
        if shapes not in self._fixed:
            is_new = shapes not in self._seen
            is_large = pixels * _LARGE_SHARE > self._max_pixels
            if is_new and not is_large:
                self._seen.add(shapes)
                return self._any_size
            self._make_room(pixels)
            self._fixed[shapes] = (self._compile(shapes), pixels)
        self._fixed.move_to_end(shapes)
        request, _ = self._fixed[shapes]
        return request

    def _make_room(self, pixels: int) -> None:
        """Drop the least recently used sizes until ``pixels`` more are allowed."""
        self._largest = max(self._largest, pixels)
        allowed = min(self._max_pixels, 2 * self._largest)
        while self._fixed:
            in_use = sum(compiled for _, compiled in self._fixed.values())
            if in_use + pixels <= allowed:
                return
            self._fixed.popitem(last=False)

    def _compile(self, shapes: _Shapes | None) -> Any:
        model = _core().read_model(self._content)
        if shapes is not None:
            lists = [list(shape) for shape in shapes]
            model.reshape(dict(enumerate(lists)))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = _core().compile_model(model, "CPU", settings)
        return compiled.create_infer_request()


@cache
def _has_avx512() -> bool:
    """Whether the CPU is known to have it."""
    return _PROCESSOR.is_file() and "avx512f" in _PROCESSOR.read_text()


@cache
def _core() -> Any:
    """The library, once for the life of the process.

    It gives the thread a stack for signals, and takes it away with the last of several instances. A
    signal after that, such as a Ctrl-C, would kill the process.
    """
    with _without_telemetry():
        import openvino

    return openvino.Core()


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Have OpenVINO load without the module that reports to Intel through Google Analytics.

    It would do so while it is imported. Without the module it uses a stand-in of its own; the
    documented way to opt out is a file in the home folder, which is not ours to write.
    """
    name = "openvino_telemetry"
    loaded = sys.modules.pop(name, None)
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails
    try:
        yield
    finally:
        del sys.modules[name]
        if loaded is not None:
            sys.modules[name] = loaded
