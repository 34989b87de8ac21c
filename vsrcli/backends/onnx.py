"""ONNX Runtime as a backend: on the CPU with the sliced graph, on CUDA or TensorRT where its build and the machine have them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import onnxruntime

from vsrcli.backends import Float, fitting_pixels, parse_device, says_memory
from vsrcli.backends.graphs import graph_of, grouped_graphs
from vsrcli.backends.grouped import Grouped
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.models.graph import cache_folder

log = logging.getLogger(__name__)

_ERRORS_ONLY = 3
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxBackend:
    """A network in ONNX Runtime; keeps ``vsrcli.backends.Backend``.

    Args:
        model: name in ``MODELS``, a checkpoint, or an ``.onnx`` file of `vsr export`.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``tensorrt:N``; auto never takes TensorRT, which builds for minutes at the first run.
        precision: ``fp32`` or None; ``fp16`` is a matter of the exported file.

    Raises:
        ModelError: no such model, or a bad file.
        BackendError: the device is not there, or the library does not take the graph.
    """

    name = "onnx"
    bytes_per_pixel = (
        14 * 1024
    )  # measured: 11 KB with either network's sliced graph at 320x180

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
                "--fp16 with ONNX Runtime is a matter of the file: `vsr export --fp16` writes one"
            )
        self.precision = "fp32"
        provider, options = _provider(device)
        # on a card the groups would travel to the machine's memory and back
        graphs = (
            grouped_graphs(model, domain, "sliced")
            if provider == _PROVIDERS["cpu"]
            else [graph_of(model, domain, "sliced")]
        )
        self._info = graphs[0].info
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.enable_mem_pattern = False  # patterns are for pictures of one size
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
        except Exception as error:  # its errors have no common class of their own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if provider != _PROVIDERS["cpu"]:
                raise BackendError(
                    f"--device {device}: ONNX Runtime cannot use {provider} here: {reason}: use --device cpu"
                ) from error
            raise BackendError(
                f"ONNX Runtime does not take the graph: {reason}"
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
        found = self._sessions[0].get_providers()[0]
        if found != provider:
            raise BackendError(
                f"--device {device}: ONNX Runtime fell back to {found}: check what onnxruntime-gpu needs, or use --device cpu"
            )
        self.device = (
            device
            if device != "auto"
            else "cpu"
            if provider == _PROVIDERS["cpu"]
            else "cuda:0"
        )
        self.exact_parts = provider == _PROVIDERS["cpu"] and all(
            graph.is_local for graph in graphs
        )
        self.max_pixels = fitting_pixels(self.bytes_per_pixel)
        log.info(
            "%s by ONNX Runtime (%s, %s graph)",
            self._info.model,
            found,
            graphs[0].layout,
        )

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
        except Exception as error:  # its errors have no common class of their own
            height, width = windows.shape[-2:]
            reason = str(error).splitlines()[0]
            kind = OutOfMemory if says_memory(error) else BackendError
            raise kind(
                f"ONNX Runtime failed on {self.device} at a {width}x{height} picture: {reason}"
            ) from error

    def _call(self, number: int, *inputs: Float) -> Float:
        session = self._sessions[number]
        # a network without a shortcut does not take the middle frame, which comes last
        given = {
            item.name: np.ascontiguousarray(value, np.float32)
            for item, value in zip(session.get_inputs(), inputs, strict=False)
        }
        result: Float = session.run(None, given)[0]
        return result


def run_graph(content: bytes, windows: Float) -> Float:
    """Run any exported graph once on the processor, as it is.

    Args:
        content: the ONNX file.
        windows: its input.

    Raises:
        BackendError: the library does not take it.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            content, settings, providers=[_PROVIDERS["cpu"]], enable_fallback=False
        )
        result: Float = session.run(None, {"windows": windows})[0]
    except Exception as error:  # its errors have no common class of their own
        raise BackendError(
            f"ONNX Runtime does not take the graph: {str(error).splitlines()[0]}"
        ) from error
    return result


def _provider(device: str) -> tuple[str, dict[str, Any]]:
    available = onnxruntime.get_available_providers()
    kind, number = parse_device(device)
    if kind in ("cuda", "tensorrt") and _PROVIDERS[kind] not in available:
        has = ", ".join(available)
        raise BackendError(
            f"--device {device}: this ONNX Runtime has no {_PROVIDERS[kind]} (it has {has}): install onnxruntime-gpu, or use --device cpu"
        )
    if kind == "tensorrt":
        # engines take minutes to build: they are kept beside the graphs
        return _PROVIDERS[kind], {
            "device_id": number,
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(cache_folder()),
        }
    if kind == "cuda" or (
        kind == "auto" and _PROVIDERS["cuda"] in available and _cuda_works()
    ):
        return _PROVIDERS["cuda"], {"device_id": number}
    return _PROVIDERS["cpu"], {}


def _cuda_works() -> bool:
    import torch

    return torch.cuda.is_available()
