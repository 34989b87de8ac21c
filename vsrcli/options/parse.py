"""Values with a notation of their own: lists of devices, lengths of time."""

from __future__ import annotations

import re

from vsrcli.errors import OptionError

_DEVICE = re.compile(r"(?P<device>cpu|cuda(?::\d+)?)(?:\*(?P<count>\d{1,3}))?")

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(
    rf"(?:(?P<hours>{_NUMBER})h)?"
    rf"(?:(?P<minutes>{_NUMBER})m)?"
    rf"(?:(?P<seconds>{_NUMBER})s?)?"
)
_UNIT_SECONDS = {"hours": 3600, "minutes": 60, "seconds": 1}


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


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``15m``, ``2h`` or ``1h30m`` as seconds.

    Raises:
        OptionError: none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise OptionError(
            f"{text!r} is not a length of time: write 90s, 15m, 2h or 1h30m"
        )
    return sum(
        float(match[name] or 0) * seconds for name, seconds in _UNIT_SECONDS.items()
    )
