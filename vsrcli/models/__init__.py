"""The networks as data: what each is called, how large it is, what it needs around a pixel. Imports no torch.

Adding a network is one file beside this one and one line in ``MODELS``; everything else (command line, tiling, training,
conformance tests) reads the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LumaScale = Literal["limited", "full"]

# What the low-resolution input is assumed to have gone through; see training/degradation.py for the formulas.
DOMAINS: dict[str, str] = {
    "video": "ordinary footage: mildly soft, slightly noisy, compressed",
    "clean": "pristine sources: antialiased bicubic half-size and nothing else",
    "blur3": "very soft sources: Gaussian blur of sigma 3, then half size (the report's protocol)",
}
DEFAULT_DOMAIN = "video"

# Places between a pixel and its neighbours that become the pixels of twice the size.
PHASES = 4
# What motion compensation makes of a neighbour: those places, and how far they are from frame t.
NEIGHBOUR_PLANES = PHASES + 1


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network's description.

    Attributes:
        name: what users type.
        module: ``package.module:Class`` of the torch module; its constructor's defaults give ``parameters``.
        parameters: trainable values of the default form.
        halo_px: low-resolution pixels around a tile beyond which nothing influences the tile's interior.
        domains: domains that weights ship for.
        summary: one line for people.
        radius: frames on each side of the one that is upscaled.
        scale: factor in width and height.
        trim: high-resolution pixels that the network leaves off on each side.
        group_frames: frames next to each other of which the network first makes something by themselves (`backends/grouped.py`); 0: of none.
        group_roles: for each such group of a window, in order, in which of its ways the network does that; the same group in the same role serves every
            window that holds it.
        is_motion_compensated: whether it takes the neighbours sampled along their motion
            (``picture.motion``) instead of the frames themselves.
    """

    name: str
    module: str
    parameters: int
    halo_px: int
    domains: tuple[str, ...]
    summary: str
    radius: int = 2
    scale: int = 2
    trim: int = 2
    group_frames: int = 0
    group_roles: tuple[int, ...] = ()
    is_motion_compensated: bool = False

    @property
    def frames(self) -> int:
        """Frames in a window."""
        return 2 * self.radius + 1

    @property
    def planes(self) -> int:
        """Planes that the network takes; frame t is the middle one."""
        samples = NEIGHBOUR_PLANES if self.is_motion_compensated else 1
        return 1 + samples * (self.frames - 1)

    @property
    def middle(self) -> int:
        """Which of the planes frame t is."""
        return self.planes // 2


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            "delta",
            "vsrcli.models.delta:Delta",
            83_702,
            37,
            ("video", "clean", "blur3"),
            "one shared 2D network, deeper for nearer frames, then a recursive 3D one (reconstructed from the report)",
            group_frames=1,
            group_roles=(0, 1, 2, 1, 0),
        ),
        ModelSpec(
            "5-parallel",
            "vsrcli.models.five_parallel:FiveParallel",
            259_938,
            28,
            ("video", "clean", "blur3"),
            "five 2D networks, one a frame, then a deep recursive 3D one",
        ),
        ModelSpec(
            "previous",
            "vsrcli.models.previous:Previous",
            73_706,
            9,
            ("clean", "blur3"),
            "the predecessor: a 2D network on every frame, then a small 3D one",
            group_frames=1,
            group_roles=(0,) * 5,
        ),
        ModelSpec(
            "lite",
            "vsrcli.models.lite:Lite",
            61_700,
            7,
            ("video", "clean"),
            "neighbours sampled along their motion, all at the input's size: "
            "a twentieth of Delta's work",
            trim=0,
            is_motion_compensated=True,
        ),
    )
}
DEFAULT_MODEL = "delta"
