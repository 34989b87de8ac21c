"""Values with a notation of their own: lists of devices. Times are read by ``vsrcli.timing``."""

from __future__ import annotations

import re

from vsrcli.errors import OptionError

_DEVICE = re.compile(r"(?P<device>cpu|cuda(?::\d+)?)(?:\*(?P<count>\d{1,3}))?")


def parse_devices(text: str) -> tuple[str, ...]:
    """Read ``cuda:0,cuda:1`` or ``cpu*2``.

    Raises:
        OptionError: not such a list, or devices of several kinds.
    """
    devices: list[str] = []
    for part in text.split(","):
        match = _DEVICE.fullmatch(part.strip())
        if match is None or match["count"] == "0":
            raise OptionError(
                f"--devices {text!r}: give a list such as cuda:0,cuda:1 or cpu*2"
            )
        count = int(match["count"] or 1)
        devices += [match["device"]] * count
    kinds = {device.partition(":")[0] for device in devices}
    if len(kinds) > 1:
        raise OptionError(
            f"--devices {text!r}: frames from cpu and cuda differ a little: "
            "give devices of one kind"
        )
    return tuple(devices)
