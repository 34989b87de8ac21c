"""PyTorch as a backend: the reference on the CPU, the fastest on CUDA."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vsrcli.backends import (
    Codes,
    Float,
    first_line,
    fitting_pixels,
    is_memory_error,
    parse_device,
)
from vsrcli.backends.cuda_graphs import CudaGraphs
from vsrcli.backends.feature_cache import FeatureCache
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.models.checkpoint import load
from vsrcli.models.half import to_half
from vsrcli.models.layers import GroupedNetwork, freeze, upcast_half
from vsrcli.models.weights import locate

log = logging.getLogger(__name__)

# The network may use this share of a GPU's memory, and of what is free now.
_SHARE_OF_ALL = 0.7
_SHARE_OF_FREE = 0.9
_MEMORY_ADVICE = "use --tile, --device cpu, or a smaller source"


class TorchBackend:
    """A network in PyTorch; implements ``vsrcli.backends.Backend`` and ``TakesCodes``.

    Args:
        model: name in ``MODELS`` or a checkpoint file.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16`` or ``fp32``; None for fp16 on CUDA and fp32 on the CPU. With fp16 the
            last layer and its result stay float32, and sums are float32 as everywhere on the GPU.

    Raises:
        ModelError: no such checkpoint file, or a bad checkpoint.
        BackendError: no such device, or it does not support that precision.
    """

    name = "torch"
    # Measured: several threads divide a part of a picture differently from the whole picture, and
    # the results differ by 2e-4 grey levels.
    exact_parts = False

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        self._device = choose_device(device)
        self.device = str(self._device)
        on_gpu = self._device.type == "cuda"
        self.precision = precision or ("fp16" if on_gpu else "fp32")
        is_half = self.precision == "fp16"
        if is_half and not on_gpu:
            raise BackendError(
                "--fp16 on the CPU would be slower and less accurate than --fp32: "
                "omit it, or use --device cuda"
            )
        path = locate(model, domain)
        if path.suffix == ".onnx":
            raise BackendError(
                f"{path} is a graph: PyTorch runs checkpoints; "
                "omit --backend, or give --backend onnx"
            )
        network, self.checkpoint = load(path)
        self._network = network.to(self._device)
        self._unit = to_half(self._network) if is_half else 1.0
        freeze(self._network)
        # Measured in float32: up to 3.4 KB per output pixel (5-parallel; Delta 1.8), of which there
        # are four per low-resolution pixel.
        self.bytes_per_pixel = 8 * 1024 if is_half else 14 * 1024
        available = _available_gpu_bytes(self._device) if on_gpu else None
        self.max_pixels = fitting_pixels(self.bytes_per_pixel, available)
        self._graphs = CudaGraphs(self._device) if on_gpu else None
        # On a GPU, a CUDA graph runs the whole window at once.
        self._feature_cache: FeatureCache[Tensor] | None = None
        if isinstance(network, GroupedNetwork) and not on_gpu:
            self._feature_cache = _make_feature_cache(network, self.spec)
        log.info(
            "%s from %s on %s, %s",
            self.checkpoint.model,
            path.name,
            self.device,
            self.precision,
        )

    @property
    def domain(self) -> str | None:
        """Domain of the weights, or None if unknown."""
        return self.checkpoint.domain

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return self.checkpoint.spec

    @property
    def luma_scale(self) -> LumaScale:
        """Scale of the checkpoint's input and output."""
        return self.checkpoint.luma_scale

    def run(self, windows: Float) -> Float:
        """Upscale windows (B, planes, H, W) float32 to (B, 2H - 2 trim, 2W - 2 trim) float32.

        See ``Backend.run``.
        """
        contiguous = np.ascontiguousarray(windows, np.float32)
        result: Float = self._compute("values", self._values, contiguous)
        return result

    def run_codes(
        self,
        windows: Codes,
        gain: float,
        offset: float,
        peak: int,
    ) -> Codes:
        """Upscale windows of codes; see ``TakesCodes.run_codes``.

        Normalising and rounding happen on the device.
        """
        contiguous = np.ascontiguousarray(windows)
        # PyTorch has few operators for uint16, so these codes are passed as int16.
        is_wide = contiguous.dtype == np.uint16
        codes = contiguous.view(np.int16) if is_wide else contiguous
        marked = self._compute(
            f"codes {gain} {offset} {peak}",
            partial(self._codes_to_codes, gain=gain, offset=offset, peak=peak),
            codes,
        )
        marks = marked[:, -1]
        if marks.any():
            advice = "the checkpoint or the source is unusable"
            if self.precision == "fp16":
                advice = "try --fp32"
            raise BackendError(
                f"the network produced values that are not numbers in {self.precision}: {advice}"
            )
        result: Codes = marked[:, :-1].view(contiguous.dtype)
        return result

    def _codes_to_codes(
        self,
        codes: Tensor,
        *,
        gain: float,
        offset: float,
        peak: int,
    ) -> Tensor:
        """(B, planes, H, W) codes -> (B, H' + 1, W') codes.

        NaN and infinite values do not survive the conversion to integers, so the last row marks
        pictures that contain any.
        """
        is_wide = codes.dtype == torch.int16
        unsigned = codes.to(torch.int32) & 0xFFFF if is_wide else codes
        values = unsigned.to(torch.float32)
        if gain != 1.0:
            values = values * np.float32(gain).item()
        if offset:
            values = values + np.float32(offset).item()
        result = self._values(values)
        result = result * np.float32(1.0 / gain).item()
        if offset:
            result = result - np.float32(offset / gain).item()
        rounded = result.round().clamp(0, peak)
        is_bad = ~torch.isfinite(result)
        has_bad = is_bad.flatten(1).any(1)
        valid = torch.nan_to_num(rounded)
        width = result.shape[2]
        marks = has_bad.to(valid.dtype)[:, None, None]
        marked = torch.cat((valid, marks.expand(-1, 1, width)), dim=1)
        return marked.to(torch.int32).to(codes.dtype)

    def _values(self, windows: Tensor) -> Tensor:
        """(B, planes, H, W) on the checkpoint's scale -> (B, H', W') float32."""
        if self._feature_cache is not None:
            pictures = self._feature_cache.run(windows.numpy())
            return torch.from_numpy(pictures)
        window = windows[:, None]
        middle = window[:, :, self.spec.middle]
        scaled = window
        if self.precision == "fp16":
            scaled = (window * self._unit).half()
        features = self._network.features(scaled)
        # The last layer stays in float32, see Network.forward.
        result = self._network.picture(upcast_half(features), middle)
        return result[:, 0]

    def _compute(
        self,
        key: str,
        work: Callable[[Tensor], Tensor],
        windows: Codes,
    ) -> Codes:
        height, width = windows.shape[-2:]
        place = f"{self.device} at a {width}x{height} picture"
        try:
            # The same video should get the same bits every time: no search for the fastest
            # algorithm, which may find another one in the next run, and no algorithm that adds in
            # varying order.
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                ),
            ):
                if self._graphs is not None:
                    return self._graphs.run(key, work, windows)
                tensor = torch.from_numpy(windows)
                result: Codes = work(tensor).numpy()
                return result
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(f"out of memory on {place}; {_MEMORY_ADVICE}") from error
        except RuntimeError as error:
            message = f"PyTorch failed on {place}: {first_line(error)}"
            if is_memory_error(error):
                raise OutOfMemory(f"{message}; {_MEMORY_ADVICE}") from error
            raise BackendError(message) from error


def _make_feature_cache(
    network: GroupedNetwork, spec: ModelSpec
) -> FeatureCache[Tensor]:
    def to_tensor(values: Float) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))

    def encode_group(role: int, frames: Float) -> Tensor:
        return network.encode_group(to_tensor(frames), role)

    def fuse_groups(groups: list[Tensor], middle: Float) -> Float:
        features = network.fuse_groups(groups)
        frame = to_tensor(middle)[:, None]
        pictures = network.picture(features, frame)
        result: Float = pictures[:, 0].numpy()
        return result

    return FeatureCache(spec, encode_group, fuse_groups)


def choose_device(device: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that works.

    Raises:
        BackendError: unknown, or CUDA was requested and is not available.
    """
    kind, number = parse_device(device)
    if kind == "auto":
        return torch.device("cuda:0" if _cuda_works(0) else "cpu")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "tensorrt":
        raise BackendError(
            f"--device {device}: only ONNX Runtime supports TensorRT: "
            "give --backend onnx as well"
        )
    count = torch.cuda.device_count()
    if torch.cuda.is_available() and number >= count:
        raise BackendError(
            f"--device {device}: this machine has {count} CUDA GPU(s), counted from cuda:0"
        )
    if not _cuda_works(number):
        raise BackendError(
            f"--device {device}: PyTorch finds no working CUDA GPU here; "
            "use --device cpu, or check the driver with nvidia-smi"
        )
    return torch.device("cuda", number)


def _available_gpu_bytes(device: torch.device) -> int:
    """Bytes of the GPU that the network may use.

    A share of all, so that every run cuts pictures alike, but no more than is free.
    """
    free, installed = torch.cuda.mem_get_info(device)
    return int(min(_SHARE_OF_ALL * installed, _SHARE_OF_FREE * free))


def _cuda_works(number: int) -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        # only this GPU: each one that is used loses half a gigabyte of its memory
        torch.zeros(1, device=f"cuda:{number}")
    except RuntimeError as error:  # a GPU too old for this PyTorch, or a broken driver
        log.info("CUDA is available but does not work: %s", error)
        return False
    return True
