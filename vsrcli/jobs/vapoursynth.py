"""A script that runs an exported network in VapourSynth with vs-mlrt."""

from __future__ import annotations

import shlex

_SCRIPT = '''"""Doubles the size of SOURCE in VapourSynth with vs-mlrt.

vspipe -c y4m {script} - | ffmpeg -i - out.mkv
"""

import vapoursynth as vs

core = vs.core
SOURCE = "in.mkv"

clip = core.lsmas.LWLibavSource(SOURCE)
luma = core.resize.Point(core.std.ShufflePlanes(clip, 0, vs.GRAY), format=vs.GRAYS)
count = luma.num_frames


def shifted(frames):
    """The clip so many frames later; the ends repeat."""
    if frames < 0:
        first = luma[0]
        if count <= -frames:
            return first * count
        return first * -frames + luma[: count + frames]
    last = luma[count - 1]
    if count <= frames:
        return last * count
    return luma[frames:] + last * frames


clips = [shifted(frames) for frames in range(-{radius}, {radius} + 1)]
# on an NVIDIA GPU: core.trt.Model (after trtexec) or core.ort.Model(..., provider="CUDA");
# on a processor: core.ov.Model
doubled = core.ort.Model(clips, network_path={graph!r}, provider="CPU")
chroma = core.resize.Spline36(clip, clip.width * 2, clip.height * 2)
gray = core.std.ShufflePlanes(clip, 0, vs.GRAY).format.id
doubled = core.resize.Point(doubled, format=gray)
core.std.ShufflePlanes([doubled, chroma, chroma], [0, 1, 2], vs.YUV).set_output()
'''


def vapoursynth_script(script: str, graph: str, radius: int) -> str:
    """Write the script.

    Args:
        script: its own name.
        graph: name of the ONNX file.
        radius: frames that the network needs before and after each frame.
    """
    # No name ends the text that it stands in and goes on as code.
    command_word = repr(shlex.quote(script))[1:-1].replace('"', '\\"')
    return _SCRIPT.format(script=command_word, graph=graph, radius=radius)
