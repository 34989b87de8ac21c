"""FFmpeg and its encoders asked without a word on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable

import av
import av.logging


def open_quietly(open_it: Callable[[], None]) -> str | None:
    """Run something that opens an encoder or writes a header, without a word on stderr.

    Args:
        open_it: raises ``av.FFmpegError``, ``ValueError`` or ``OSError`` if it is refused.

    Returns:
        None if it succeeds, else the library's own reason.
    """
    # SVT-AV1 has no other way to be silenced
    os.environ.setdefault("SVT_LOG", "1")
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            open_it()
    except PermissionError as error:
        messages = [text.strip() for _, _, text in logs]
        fallback = f"{error.strerror} (no NVIDIA GPU or driver here)"
        return messages[0] if messages else fallback
    except (av.FFmpegError, ValueError, OSError) as error:
        messages = [text.strip() for _, _, text in logs if text.strip()]
        fallback = str(getattr(error, "strerror", None) or error)
        return messages[0] if messages else fallback
    finally:
        av.logging.set_level(level)
    return None
