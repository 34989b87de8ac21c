"""What a run did, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UpscaleProgress:
    """How far a run is.

    Attributes:
        share: of the time range that is done, 0..1, earlier runs included; None if its length is
            unknown.
        frames_upscaled: frames that went through the network.
        frames_out: frames written.
        frames_expected: how many will have gone through the network at the end; None if the source
            does not say.
        work: of this run, in frames: those that went through the network, each as much as the share
            of its pixels that had to be computed.
        verified: share of the verification that is done, 0..1; None before it.
    """

    share: float | None
    frames_upscaled: int
    frames_out: int
    frames_expected: int | None = None
    work: float = 0.0
    verified: float | None = None


@dataclass(slots=True)
class UpscaleReport:
    """What a run did.

    Attributes:
        source, target: files.
        model: the network.
        domain: what its weights were trained to undo; None if unknown.
        width, height: of the output, pixels.
        device, backend, precision: what ran the network.
        frames_in: source frames in the range.
        frames_upscaled: frames that went through the network; those that the output's rate drops
            do not.
        frames_out: frames written.
        seconds: wall time of everything.
        network_seconds: time in the network alone.
        stages: seconds that each stage was at work, side by side with the others: ``decode``,
            ``network``, ``pictures`` (luma and chroma around the network), ``motion``
            (compensation, shared by its threads), ``encode``; and how long the encoder was
            ``waiting`` for the others.
        reused: share of the pixels that did not have to be computed, since nothing that they
            depend on had changed.
        frames_computed: frames that went through the network in this run.
        segments: how many the video was cut into; 0 if it was written in one go.
        frames_resumed: frames of ``frames_out`` that an earlier run had written.
        frames_recalled: frames beside those that an earlier run had put through the network, in
            segments that it did not finish; not in ``frames_computed``.
        damage: counts of what was wrong with the source (``frame.Damage.as_dict``).
        notes: lines for the user: what was dropped, converted or decided.
        verify_seconds: time that the verification of the output took.
        checks: the verification report, with ``verify``.
    """

    source: str
    target: str
    model: str
    domain: str | None
    width: int
    height: int
    device: str
    backend: str
    precision: str
    frames_in: int = 0
    frames_upscaled: int = 0
    frames_out: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    reused: float = 0.0
    frames_computed: int = 0
    segments: int = 0
    frames_resumed: int = 0
    frames_recalled: int = 0
    damage: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verify_seconds: float = 0.0
    checks: dict[str, Any] | None = None

    @classmethod
    def empty(cls) -> UpscaleReport:
        """A report that only counts, of nothing in particular."""
        return cls(
            source="",
            target="",
            model="",
            domain=None,
            width=0,
            height=0,
            device="",
            backend="",
            precision="",
        )

    def add(self, stages: dict[str, float], reused: float, frames: int) -> None:
        """Count one pass.

        Args:
            stages: seconds that each stage was at work.
            reused: share of the pixels that did not have to be computed.
            frames: how many went through the network.
        """
        for name, seconds in stages.items():
            self.stages[name] = self.stages.get(name, 0.0) + seconds
        self.network_seconds = self.stages["network"]
        frames_computed = self.frames_computed + frames
        if frames_computed:
            reused_frames = self.reused * self.frames_computed + reused * frames
            self.reused = reused_frames / frames_computed
        self.frames_computed = frames_computed
