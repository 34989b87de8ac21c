"""Tags of Apple's cameras: QuickTime and MP4 can store them, as tags of any name.

Then FFmpeg's muxer writes no other kind of tags: FFmpeg reads them by their plain names still, but
other programs look for Apple's names only. So the common tags are written under both.
"""

from __future__ import annotations

from collections.abc import Iterable

from vsrcli.containers.table import Container

_PREFIX = "com.apple.quicktime."
_LOCATION = "location.ISO6709"
# Common tags by what Apple calls them.
_APPLE_NAMES = {
    **{
        name: name
        for name in (
            *(
                "title",
                "artist",
                "album",
                "author",
                "comment",
                "copyright",
                "description",
            ),
            *(
                "director",
                "genre",
                "keywords",
                "make",
                "model",
                "producer",
                "publisher",
            ),
        )
    },
    "location": _LOCATION,
}


def are_apple_tags(container: Container, names: Iterable[str]) -> bool:
    """Whether a container holds tags of these names only if it stores them by name.

    Args:
        container: what is written.
        names: of the tags of a file.
    """
    is_from_apple = any(name.lower().startswith(_PREFIX) for name in names)
    return container.stores_names_option is not None and is_from_apple


def muxer_options(container: Container, names: Iterable[str]) -> dict[str, str]:
    """The options of the muxer for a file with tags of these names.

    Args:
        container: what is written.
        names: of the tags of the file.
    """
    options = dict(container.muxer_options)
    for key, value in names_option(container, names).items():
        options[key] = options.get(key, "") + value
    return options


def names_option(container: Container, names: Iterable[str]) -> dict[str, str]:
    """What has to be added to the muxer's options for tags of these names; mostly nothing."""
    option = container.stores_names_option
    if option is None or not are_apple_tags(container, names):
        return {}
    return dict([option])


def apple_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags as they are stored by name: Apple's as Apple spells them, common ones under both names.

    Args:
        tags: as the source has them, where Matroska writes names in capitals.
    """
    stored = {}
    for name, value in tags.items():
        rest = name.lower().removeprefix(_PREFIX)
        if rest != name.lower():
            name = _PREFIX + (_LOCATION if rest == _LOCATION.lower() else rest)
        elif rest in _APPLE_NAMES:
            name = rest
        stored[name] = value
    for name, apple_name in _APPLE_NAMES.items():
        if name in stored:
            stored.setdefault(_PREFIX + apple_name, stored[name])
    return stored
