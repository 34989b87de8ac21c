"""Between luma, chroma and RGB: the matrices of ITU-T H.273, and what players guess by the size."""

from __future__ import annotations

from dataclasses import replace

from vsrcli.frame import UNSPECIFIED, ColorTags

# Code points of ITU-T H.273.
BT709 = 1
BT470BG = 5
SMPTE170M = 6
BT2020 = 9
IDENTITY = 0
YCGCO = 8
# Weights of red and blue in luma (H.273, table 4).
WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    7: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
_MATRIX_OF_PRIMARIES = {
    1: BT709,
    4: 4,
    BT470BG: BT470BG,
    6: SMPTE170M,
    7: 7,
    9: BT2020,
}
# Players take untagged pictures for high definition if they are larger than PAL.
_HD_WIDTH = 1280
_SD_HEIGHT = 576
# Primaries of the television standards with that many lines, as players guess them, and the matrix
# that goes with them: BT.601 of 525 lines and of 625.
_STANDARD_OF_LINES = {480: SMPTE170M, 486: SMPTE170M, 576: BT470BG}


def matrix_of(tags: ColorTags, width: int, height: int) -> int:
    """The matrix of a picture, as a code point of ITU-T H.273.

    It is the tagged one, else that of the tagged primaries, else BT.601 up to PAL's size and BT.709
    beyond.

    Raises:
        ValueError: a matrix that cannot be inverted plane by plane (constant luminance, ICtCp).
    """
    matrix = tags.matrix
    if matrix == UNSPECIFIED:
        default = BT709 if _looks_hd(width, height) else SMPTE170M
        matrix = _MATRIX_OF_PRIMARIES.get(tags.primaries, default)
    if matrix not in (*WEIGHTS, IDENTITY, YCGCO):
        raise ValueError(
            f"colours of matrix {matrix} (ITU-T H.273) cannot be converted to RGB here"
        )
    return matrix


def tags_for_size(
    tags: ColorTags,
    size: tuple[int, int],
    new_size: tuple[int, int],
) -> ColorTags:
    """The tags with which pictures of another size look as those of ``size`` do.

    What players guess of untagged pictures depends on their size: where the guess would change, it
    is tagged. BT.601 and BT.709 have the same transfer function.

    Args:
        tags: of the pictures, luma and chroma.
        size: width and height.
        new_size: the same of the other size.
    """
    is_same_guess = _looks_hd(*size) == _looks_hd(*new_size)
    if tags.matrix != UNSPECIFIED or is_same_guess:
        return tags
    matrix = matrix_of(tags, *size)
    primaries = tags.primaries
    if primaries == UNSPECIFIED and matrix == SMPTE170M:
        standard = _STANDARD_OF_LINES.get(size[1])
        if standard is not None:
            matrix = standard
            primaries = standard
    elif primaries == UNSPECIFIED:
        primaries = BT709
    return replace(tags, matrix=matrix, primaries=primaries)


def _looks_hd(width: int, height: int) -> bool:
    return width >= _HD_WIDTH or height > _SD_HEIGHT
