"""The networks as data: name, size, context around a pixel. Imports no torch.

To add a network, add a file to this package and an entry to ``MODELS``. Everything else (command
line, tiling, training, conformance tests) reads the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LumaScale = Literal["limited", "full"]

# How the low-resolution input is assumed to have been degraded. clips/degradation.py has the
# formulas.
DOMAINS: dict[str, str] = {
    "video": "ordinary footage: mildly soft, slightly noisy, compressed",
    "clean": "pristine sources: antialiased bicubic half-size and nothing else",
    "blur3": (
        "very soft sources: Gaussian blur of sigma 3, then half size (the report's protocol)"
    ),
    "compressed": "heavily compressed footage: low bitrates, blocks and smears",
}
DEFAULT_DOMAIN = "video"

# Subpixel positions of a pixel: the pixels of the doubled picture that it turns into.
PHASES = 4
# Planes of a motion-compensated neighbour: one for each phase, and its distance from frame t.
NEIGHBOUR_PLANES = PHASES + 1


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network's description.

    Attributes:
        name: as users type it.
        module: ``package.module:Class`` of the torch module. Its constructor's defaults give
            ``parameters``.
        parameters: number of trainable values in the default form.
        halo_px: how far, in low-resolution pixels, a pixel influences the result.
        domains: domains that weights ship for.
        summary: one line for people.
        radius: frames on each side of the one that is upscaled.
        scale: factor in width and height.
        trim: high-resolution pixels that the network crops on each side.
        group_frames: number of adjacent frames that the network first encodes by themselves (see
            `backends/feature_cache.py`); 0 if it does not.
        group_roles: for each such group of a window, in order, the role it is encoded in. The
            features of a group in a role serve every window that has this group in this role.
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
        """Number of frames in a window."""
        return 2 * self.radius + 1

    @property
    def planes(self) -> int:
        """Number of planes that the network takes; frame t is the middle one."""
        planes_per_neighbour = NEIGHBOUR_PLANES if self.is_motion_compensated else 1
        neighbours = self.frames - 1
        return 1 + planes_per_neighbour * neighbours

    @property
    def middle(self) -> int:
        """Index of frame t among the planes."""
        return self.planes // 2


_DELTA = ModelSpec(
    name="delta",
    module="vsrcli.models.delta:Delta",
    parameters=83_702,
    halo_px=37,
    domains=("video", "clean", "blur3"),
    summary=(
        "one shared 2D network, deeper for nearer frames, then a recursive 3D one "
        "(reconstructed from the report)"
    ),
    group_frames=1,
    group_roles=(0, 1, 2, 1, 0),
)
_FIVE_PARALLEL = ModelSpec(
    name="5-parallel",
    module="vsrcli.models.five_parallel:FiveParallel",
    parameters=259_938,
    halo_px=28,
    domains=("video", "clean", "blur3"),
    summary="five 2D networks, one per frame, then a deep recursive 3D one",
)
_PREVIOUS = ModelSpec(
    name="previous",
    module="vsrcli.models.previous:Previous",
    parameters=73_706,
    halo_px=9,
    domains=("clean", "blur3"),
    summary="the predecessor: a 2D network on every frame, then a small 3D one",
    group_frames=1,
    group_roles=(0, 0, 0, 0, 0),
)
_LITE = ModelSpec(
    name="lite",
    module="vsrcli.models.lite:Lite",
    parameters=61_700,
    halo_px=7,
    domains=("video", "clean", "compressed"),
    summary=(
        "neighbours sampled along their motion, all at the input's size: "
        "a twentieth of Delta's work"
    ),
    trim=0,
    is_motion_compensated=True,
)

_SPECS = (_DELTA, _FIVE_PARALLEL, _PREVIOUS, _LITE)
MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
DEFAULT_MODEL = "delta"
