"""Files that name other files, and HLS playlists as copies that name nothing unchecked.

A playlist may name any file or address, itself included. The ones here are read in Python first.
FFmpeg then gets a copy in which every name is a number, and reads only what was checked.
"""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from vsrcli.errors import InputError
from vsrcli.paths import open_regular, reason_of

_START = b"#EXTM3U"
# A day in segments of two seconds takes about 3 MB.
_MAX_PLAYLIST_BYTES = 16 << 20
_MAX_PLAYLISTS = 64
_VARIANT = "#EXT-X-STREAM-INF:"
_RENDITION = "#EXT-X-MEDIA:"
_BEGINNING = "#EXT-X-MAP:"
_KEY = "#EXT-X-KEY:"
_PLAYLIST_TAGS = (_VARIANT, _RENDITION)
_NAMING_TAGS = (_RENDITION, _BEGINNING)
# What else FFmpeg understands; these lines name nothing.
_KEPT_TAGS = (
    _VARIANT,
    "#EXT-X-TARGETDURATION:",
    "#EXT-X-MEDIA-SEQUENCE:",
    "#EXT-X-PLAYLIST-TYPE:",
    "#EXT-X-BYTERANGE:",
    "#EXT-X-DISCONTINUITY",
    "#EXTINF:",
)
_NAME = re.compile(r"[:,]\s*URI=\"([^\"]*)\"")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_FFMPEG = "`ffmpeg -allowed_extensions ALL -i PLAYLIST -c copy FILE.mkv`"
_FFMPEG_NET = (
    "`ffmpeg -protocol_whitelist file,http,https,tcp,tls,crypto "
    "-i PLAYLIST -c copy FILE.mkv`"
)
# How such files begin, and what they are.
_LISTS = {
    b"ffconcat": "a list of files for FFmpeg: `ffmpeg -f concat -safe 0 -i {0} -c copy FILE.mkv`",
    b"#EXTM3U": "a playlist, and FFmpeg plays none of its files: give those one by one",
    b"[playlist]": "a playlist of other files: give those instead",
    b"<smil": "a playlist of other files: give those instead",
    b"<MPD": "a DASH manifest: `ffmpeg -i {0} -c copy FILE.mkv`",
    b"v=0": "a description of a live stream (SDP): `ffmpeg -i {0} -c copy FILE.mkv`",
    b"# VobSub": "an index of subtitles, without video",
}
_BEGINNING_BYTES = 1024


def list_kind(path: Path) -> str | None:
    """What a file is that names others, with the way out; None if it is none, or unreadable."""
    try:
        with open_regular(path) as file:
            beginning = file.read(_BEGINNING_BYTES).lstrip()
    except OSError:
        return None
    for mark, kind in _LISTS.items():
        is_inside = mark.startswith(b"<") and mark in beginning
        if is_inside or beginning.startswith(mark):
            return kind.format(path)
    return None


def is_playlist(path: Path) -> bool:
    """Whether a file begins as HLS playlists do.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return file.read(len(_START)) == _START


class Playlist:
    """A playlist, and the playlists and segments that it names, all in its folder or below.

    Attributes:
        name: what FFmpeg is told to open.
    """

    name = "/0.m3u8"

    def __init__(self, path: Path) -> None:
        """Read a playlist and check every name in it.

        Args:
            path: as the user gave it.

        Raises:
            InputError: it names something outside its folder, something that is missing or no
                regular file, an address, or playlists in playlists; or it is encrypted.
            OSError: it cannot be read.
        """
        self._path = path
        self._file = path.resolve()
        self._copies: dict[str, bytes] = {}
        self._files: dict[str, Path] = {}
        self._numbers: dict[Path, str] = {}
        self._copy(self._file, self.name, is_listed=False)

    def open(self, name: str, flags: int, options: dict[str, str]) -> BinaryIO:
        """Open a file for FFmpeg, by the name that the copy gives it (PyAV's ``io_open``).

        Raises:
            InputError: the copy has no such name.
            OSError: the file cannot be opened.
        """
        copy = self._copies.get(name)
        if copy is not None:
            return io.BytesIO(copy)
        file = self._files.get(name)
        if file is None:
            raise self._error(f"FFmpeg asks for {name}, which it does not name")
        return open_regular(file, follow_link=False)

    def _copy(self, file: Path, name: str, *, is_listed: bool) -> None:
        """Make the copy of a playlist; ``is_listed`` if another one names it."""
        if len(self._copies) == _MAX_PLAYLISTS:
            raise self._error(f"it names more than {_MAX_PLAYLISTS - 1} playlists")
        self._copies[name] = b""
        with file.open("rb") as opened:
            content = opened.read(_MAX_PLAYLIST_BYTES + 1)
        if len(content) > _MAX_PLAYLIST_BYTES:
            raise self._error(f"{file.name} is larger than a playlist can be")
        lines = [os.fsdecode(_START)]
        is_playlist = False
        for line in os.fsdecode(content).splitlines():
            line = line.strip()
            if line.startswith(_PLAYLIST_TAGS) and is_listed:
                raise self._error(f"it names {file.name}, which names playlists again")
            if line.startswith(_KEY) and "METHOD=NONE" not in line:
                raise self._error(f"its segments are encrypted: {_FFMPEG} decrypts it")
            if line.startswith(_NAMING_TAGS):
                names_playlist = line.startswith(_PLAYLIST_TAGS)
                lines.append(self._renamed(line, file, is_playlist=names_playlist))
            elif line.startswith(_KEPT_TAGS):
                lines.append(line)
            elif line and not line.startswith("#"):
                lines.append(self._number(line, file, is_playlist=is_playlist))
                is_playlist = False
            is_playlist |= line.startswith(_VARIANT)
        lines.append("#EXT-X-ENDLIST\n")
        self._copies[name] = os.fsencode("\n".join(lines))

    def _renamed(self, line: str, playlist: Path, *, is_playlist: bool) -> str:
        """A line with the file in it named by its number."""
        match = _NAME.search(line)
        if match is None:
            return line
        number = self._number(match[1], playlist, is_playlist=is_playlist)
        return line[: match.start(1)] + number + line[match.end(1) :]

    def _number(self, name: str, playlist: Path, *, is_playlist: bool) -> str:
        """What a file is called in the copies."""
        file = self._checked(name, playlist)
        known = self._numbers.get(file)
        if known is not None:
            return known
        suffix = file.suffix if _SUFFIX.fullmatch(file.suffix) else ""
        number = f"/{len(self._numbers) + 1}{suffix}"
        self._numbers[file] = number
        if is_playlist:
            self._copy(file, number, is_listed=True)
        else:
            self._files[number] = file
        return number

    def _checked(self, name: str, playlist: Path) -> Path:
        """The file that a name in a playlist means.

        Raises:
            InputError: it is not one that is read.
        """
        if _ADDRESS.match(name):
            raise self._error(
                f"it names the address {name}: {_FFMPEG_NET} downloads it"
            )
        try:
            file = playlist.parent / name
            if "/" not in name and stat.S_ISREG(file.lstat().st_mode):
                # beside its playlist, and no link: most are, and there may be thousands
                return self._other(file)
            file = file.resolve()
            is_inside = file.is_relative_to(self._file.parent)
            mode = file.stat().st_mode if is_inside else 0
        except (OSError, RuntimeError, ValueError) as error:
            raise self._error(
                f"{name} cannot be read ({reason_of(error)}): download it again"
            ) from error
        if not is_inside:
            raise self._error(
                f"it names {name}, outside its folder: {_FFMPEG} makes one file of it "
                "if you trust it"
            )
        if not stat.S_ISREG(mode):
            raise self._error(f"{name} is not a regular file")
        return self._other(file)

    def _other(self, file: Path) -> Path:
        """The same file, unless it is the playlist itself."""
        if file == self._file:
            raise self._error("it names itself")
        return file

    def _error(self, reason: str) -> InputError:
        return InputError(f"{self._path}: vsr does not play this playlist: {reason}")
