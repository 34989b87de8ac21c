"""Descriptions of the files that the commands in `golden.py` write, as JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
import numpy as np

# Metadata that names the version of an encoder or a muxer.
VERSION_TAGS = ("encoder",)
# Packets of other video encoders depend on their version even where the frames do not.
STABLE_VIDEO_CODECS = ("ffv1", "rawvideo", "png")
# Primes: weights of neighbours in a row or a column have nothing in common.
WEIGHT_FACTORS = (7919, 5261)
WEIGHT_MODULUS = 997

_DIGEST_CHARACTERS = 16


def describe_media(path: Path, *, is_portable: bool) -> dict[str, Any]:
    """Describe a video file: container, streams, packets, and the frames of its first video."""
    with av.open(str(path)) as container:
        record: dict[str, Any] = {
            "container": container.format.name,
            "start": container.start_time,
            "duration": container.duration,
            "metadata": without(dict(container.metadata), VERSION_TAGS),
            "chapters": [
                f"{chapter['start']} {chapter['end']} {chapter['time_base']} "
                f"{chapter['metadata'].get('title')}"
                for chapter in container.chapters()
            ],
            "streams": [_describe_stream(stream) for stream in container.streams],
        }
        for packet in container.demux():
            if packet.size:
                stream = record["streams"][packet.stream_index]
                is_stable = _has_stable_payload(stream, is_portable=is_portable)
                stream["packets"].append(_describe_packet(packet, is_stable))
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    record["rotation"] = frames[0].rotation
    is_yuv = frames[0].format.name.startswith("yuv")
    if is_portable and is_yuv:
        record |= _describe_yuv(frames)
    else:
        record["frames"] = [f"{frame.pts} {digest(_pixels(frame))}" for frame in frames]
    return record


def _describe_yuv(frames: list[av.VideoFrame]) -> dict[str, Any]:
    """Digests of luma, which interpolation by halves and quarters makes exactly, and chroma."""
    lumas: list[str] = []
    chroma_means: list[list[float]] = []
    for frame in frames:
        planes = _pixels(frame)
        luma = planes[: frame.height]
        chroma = planes[frame.height :]
        lumas.append(f"{frame.pts} {digest(luma)}")
        chroma_means.append(weighted_means(chroma))
    return {
        "luma": lumas,
        "chroma_means": chroma_means,
    }


def _describe_stream(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    record: dict[str, Any] = {
        "kind": stream.type,
        "codec": None if context is None else context.name,
        "time_base": str(stream.time_base),
        "disposition": int(stream.disposition),
        "metadata": without(dict(stream.metadata), VERSION_TAGS),
    }
    if stream.type == "video":
        record |= {
            "size": f"{context.width}x{context.height}",
            "pixel_format": context.pix_fmt,
            "sample_aspect": str(stream.sample_aspect_ratio),
            "rate": str(stream.average_rate),
            "color_range": int(context.color_range),
            "color_primaries": int(context.color_primaries),
            "color_transfer": int(context.color_trc),
            "color_matrix": int(context.colorspace),
        }
    if stream.type == "audio":
        record |= {
            "rate": context.sample_rate,
            "layout": context.layout.name,
            "sample_format": context.format.name,
        }
    return {**record, "packets": []}


def _has_stable_payload(stream: dict[str, Any], *, is_portable: bool) -> bool:
    """Whether the same frames always give the same bytes; those of copied streams do."""
    if stream["kind"] != "video":
        return True
    return not is_portable and stream["codec"] in STABLE_VIDEO_CODECS


def _describe_packet(packet: Any, is_stable: bool) -> str:
    """Presentation and decoding time, duration, flags, and the payload where it is stable."""
    flags = ""
    if packet.is_keyframe:
        flags += "K"
    if packet.is_discard:
        flags += "D"
    if packet.is_corrupt:
        flags += "C"
    times = f"{packet.pts} {packet.dts} {packet.duration} {flags or '-'}"
    if not is_stable:
        return times
    payload = digest(bytes(packet))
    return f"{times} {payload}"


def describe_picture(path: Path, *, is_portable: bool) -> dict[str, Any]:
    """Describe a PNG file by its pixels."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    pixels = _pixels(frame)
    return {
        "size": f"{frame.width}x{frame.height}",
        "pixel_format": frame.format.name,
        "pixels": weighted_means(pixels) if is_portable else digest(pixels),
    }


def _pixels(frame: av.VideoFrame) -> Any:
    """All planes as one array; a byte that only fills up a pixel is left out."""
    if frame.format.name in ("bgr0", "rgb0"):
        frame = frame.reformat(format="rgb24")
    return frame.to_ndarray()


def describe_graph(path: Path, *, is_portable: bool) -> dict[str, Any]:
    """Describe an ONNX file by its interface and by what it makes of a fixed input.

    Names of nodes and weights are left out: they follow from names in the source code.
    """
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0]
    windows = _test_windows(source.shape[1])
    results = session.run(None, {source.name: windows})
    pictures = results[0]
    sample = pictures.flat[::5]
    record: dict[str, Any] = {
        "inputs": [f"{each.name} {each.shape}" for each in session.get_inputs()],
        "outputs": [f"{each.name} {each.shape}" for each in session.get_outputs()],
        "opset": [each.version for each in model.opset_import],
        "properties": {each.key: each.value for each in model.metadata_props},
        "result_shape": list(pictures.shape),
        "result": [round(float(value), 5) for value in sample],
    }
    if not is_portable:
        record["nodes"] = [node.op_type for node in model.graph.node]
        record["weights"] = sorted(
            f"{list(weight.dims)} {digest(onnx.numpy_helper.to_array(weight))}"
            for weight in model.graph.initializer
        )
    return record


def _test_windows(planes: int) -> Any:
    """A fixed input of a network: shape (1, planes, 8, 12), float32, 16..235."""
    places = np.arange(planes * 8 * 12)
    values = 16 + places * WEIGHT_FACTORS[0] % WEIGHT_MODULUS % 220
    windows = values.reshape(1, planes, 8, 12)
    return windows.astype(np.float32)


def weighted_means(pixels: Any) -> list[float]:
    """The mean of an array, and means with weights of no order, each 0..1.

    They stand in for a digest where processors may round a few values differently. That changes
    them by less than the tolerance of a comparison; other changes to a picture do not.
    """
    values = pixels.ravel()
    places = np.arange(values.size)
    means = [values.mean()]
    for factor in WEIGHT_FACTORS:
        weights = places * factor % WEIGHT_MODULUS / WEIGHT_MODULUS
        weighted = weights * values
        means.append(weighted.mean())
    return [round(float(mean), 4) for mean in means]


def digest(content: Any) -> str:
    """The beginning of the SHA-256 of bytes or of an array's values in their order."""
    if not isinstance(content, bytes):
        content = content.tobytes()
    digits = hashlib.sha256(content).hexdigest()
    return digits[:_DIGEST_CHARACTERS]


def without(value: Any, keys: Collection[str]) -> Any:
    """A JSON value without such keys (in either case) at any depth."""
    if isinstance(value, dict):
        return {
            key: without(inner, keys)
            for key, inner in value.items()
            if key.lower() not in keys
        }
    if isinstance(value, list):
        return [without(inner, keys) for inner in value]
    return value
