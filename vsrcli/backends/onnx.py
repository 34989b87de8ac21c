"""ONNX Runtime as a backend: on the CPU, or on CUDA or TensorRT if its build supports them."""

from __future__ import annotations

import logging
import os
from typing import Any

from vsrcli.backends import Float, first_line, parse_device
from vsrcli.backends.graph_backend import GraphBackend
from vsrcli.backends.graph_cache import private_folder
from vsrcli.backends.onnx_graphs import load_graph, load_graph_pieces
from vsrcli.errors import BackendError

# ONNX Runtime would send what it runs to Microsoft, and keep a number of this machine. It reads the
# variable while it loads; builds for Windows have the function instead.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

onnxruntime.disable_telemetry_events()

log = logging.getLogger(__name__)

_ERRORS_ONLY = 3
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxBackend(GraphBackend):
    """A network in ONNX Runtime; implements ``vsrcli.backends.Backend``.

    Args:
        model: name in ``MODELS``, a checkpoint, or an ``.onnx`` file of `vsr export`.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``tensorrt:N``. ``auto``
            never chooses TensorRT, whose first run builds an engine for minutes.
        precision: ``fp32`` or None. The exported file determines whether it is ``fp16``.

    Raises:
        ModelError: no such checkpoint file, or a bad file.
        BackendError: no such device, or the library does not accept the graph.
    """

    name = "onnx"
    library = "ONNX Runtime"
    library_errors = (Exception,)  # its errors have no common class of their own
    # measured: 11 KB with the sliced graphs of Delta and 5-parallel at 320x180
    bytes_per_pixel = 14 * 1024

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        if precision == "fp16":
            raise BackendError(
                "with ONNX Runtime the file determines the precision, not --fp16: "
                "`vsr export --fp16` writes one in half precision"
            )
        self.precision = "fp32"
        provider, options = _choose_provider(device)
        on_cpu = provider == _PROVIDERS["cpu"]
        if on_cpu:
            graphs = load_graph_pieces(model, domain, "sliced")
        else:
            # In pieces, the features of the groups would travel to main memory and back.
            graphs = [load_graph(model, domain, "sliced")]
        super().__init__(graphs)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.enable_mem_pattern = False  # for pictures of one size only
        try:
            self._sessions = [
                onnxruntime.InferenceSession(
                    graph.content,
                    settings,
                    providers=[(provider, options)],
                    enable_fallback=False,
                )
                for graph in graphs
            ]
        except self.library_errors as error:
            reason = first_line(error)
            if on_cpu:
                raise _rejected(error) from error
            raise BackendError(
                f"--device {device}: ONNX Runtime cannot use {provider} here: {reason}: "
                "use --device cpu"
            ) from error
        actual = self._sessions[0].get_providers()[0]
        if actual != provider:
            raise BackendError(
                f"--device {device}: ONNX Runtime fell back to {actual}: "
                "check what onnxruntime-gpu needs, or use --device cpu"
            )
        if device == "auto":
            device = "cpu" if on_cpu else "cuda:0"
        self.device = device
        self.exact_parts = on_cpu and all(graph.is_local for graph in graphs)
        log.info(
            "%s by ONNX Runtime (%s, %s graph)",
            self._info.model,
            actual,
            graphs[0].layout,
        )

    def _run_graph(self, number: int, inputs: list[Float]) -> Float:
        session = self._sessions[number]
        names = [item.name for item in session.get_inputs()]
        # The last input may have no name, see GraphBackend.
        named_inputs = dict(zip(names, inputs, strict=False))
        result: Float = session.run(None, named_inputs)[0]
        return result


def run_graph(content: bytes, windows: Float) -> Float:
    """Run any exported graph once on the CPU, as it is.

    Args:
        content: the ONNX file.
        windows: its input.

    Raises:
        BackendError: the library does not accept it.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            content, settings, providers=[_PROVIDERS["cpu"]], enable_fallback=False
        )
        result: Float = session.run(None, {"windows": windows})[0]
    except OnnxBackend.library_errors as error:
        raise _rejected(error) from error
    return result


def _rejected(error: Exception) -> BackendError:
    return BackendError(f"ONNX Runtime does not accept the graph: {first_line(error)}")


def _choose_provider(device: str) -> tuple[str, dict[str, Any]]:
    """The execution provider for a device, and its options."""
    available = onnxruntime.get_available_providers()
    kind, number = parse_device(device)
    if kind in ("cuda", "tensorrt") and _PROVIDERS[kind] not in available:
        raise BackendError(
            f"--device {device}: this ONNX Runtime has no {_PROVIDERS[kind]} "
            f"(it has {', '.join(available)}): install onnxruntime-gpu, or use --device cpu"
        )
    if kind == "tensorrt":
        options: dict[str, Any] = {"device_id": number}
        # Engines take minutes to build: they are kept beside the graphs. They are code, and the
        # library reads them by itself.
        folder = private_folder("tensorrt")
        if folder is not None:
            options["trt_engine_cache_enable"] = True
            options["trt_engine_cache_path"] = str(folder)
        return _PROVIDERS[kind], options
    if kind == "auto":
        is_available = _PROVIDERS["cuda"] in available and _cuda_works()
        kind = "cuda" if is_available else "cpu"
    if kind == "cuda":
        return _PROVIDERS["cuda"], {"device_id": number}
    return _PROVIDERS["cpu"], {}


def _cuda_works() -> bool:
    import torch

    return torch.cuda.is_available()
