"""What is known of a source and its output before their frames are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsrcli.containers.table import Container
from vsrcli.encode.output import OutputVideo
from vsrcli.frame import VideoInfo
from vsrcli.options import UpscaleOptions
from vsrcli.picture.orientation import Orientation
from vsrcli.verification.packet_inventory import PacketInventory


@dataclass(frozen=True, slots=True)
class VerificationTask:
    """Two files to compare, and how.

    Attributes:
        source, output: the files.
        container: the output's.
        options: of the run that wrote the output.
        expected: what the output's video should be.
        orientation: how the run turned the frames.
        threshold_db: PSNR that is always close enough.
        source_packets, output_packets: what the files hold besides pictures.
        on_progress: called after each frame of the source with the share of the source that is done
            (None where unknown) and the number of frames compared.
    """

    source: VideoInfo
    output: VideoInfo
    container: Container
    options: UpscaleOptions
    expected: OutputVideo
    orientation: Orientation
    threshold_db: float
    source_packets: PacketInventory
    output_packets: PacketInventory
    on_progress: Callable[[float | None, int], None] | None

    @property
    def output_end(self) -> int | None:
        """When the output says that its video ends, ticks of its time base.

        None where it does not say, or its container keeps no duration of the last frame.
        """
        end = self.output_packets.end
        if end is None or not self.container.keeps_last_duration:
            return None
        return round(end / self.output.time_base)

    @property
    def expected_size(self) -> tuple[int, int]:
        """Width and height that the output should have."""
        return self.expected.width, self.expected.height

    @property
    def output_size(self) -> tuple[int, int]:
        """Width and height of the output."""
        return self.output.width, self.output.height
