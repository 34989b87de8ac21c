"""Names of languages: the two of ISO 639-2, and the one that QuickTime knows.

Matroska writes the bibliographic code, most others the terminological one. QuickTime numbers its
languages, and FFmpeg's list of these numbers has one code for each.
"""

from __future__ import annotations

from dataclasses import dataclass

UNDETERMINED = "und"


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        code: the terminological code of ISO 639-2.
        bibliographic: the other code of ISO 639-2; None where there is only one.
        quicktime: the code that FFmpeg's muxer for QuickTime takes; None where QuickTime has no
            number for the language.
    """

    code: str
    bibliographic: str | None = None
    quicktime: str | None = None

    @property
    def codes(self) -> set[str]:
        """Every code that means this language."""
        names = (self.code, self.bibliographic, self.quicktime)
        return {name for name in names if name is not None}


# Those with more than one code.
_SEVERAL_CODES = (
    Language("bod", "tib", quicktime="tib"),
    Language("ces", "cze", quicktime="ces"),
    Language("cym", "wel", quicktime="wel"),
    Language("deu", "ger", quicktime="ger"),
    Language("ell", "gre", quicktime="gre"),
    Language("eus", "baq", quicktime="baq"),
    Language("fas", "per", quicktime="per"),
    Language("fra", "fre", quicktime="fra"),
    Language("hye", "arm", quicktime="arm"),
    Language("isl", "ice", quicktime="ice"),
    Language("kat", "geo", quicktime="geo"),
    Language("mkd", "mac", quicktime="mac"),
    Language("mri", "mao"),
    Language("msa", "may", quicktime="may"),
    Language("mya", "bur", quicktime="bur"),
    Language("nld", "dut", quicktime="dut"),
    Language("ron", "rum", quicktime="ron"),
    Language("slk", "slo", quicktime="slk"),
    Language("sqi", "alb", quicktime="alb"),
    Language("swe", quicktime="sve"),
    Language("zho", "chi", quicktime="chi"),
)
# Those that QuickTime numbers under the only code that they have.
_ONE_CODE = (
    "amh ara asm aym aze bel ben bul cat dan dzo eng epo est fin grn guj heb hin hun "
    "ind ita jav jpn kan kas kaz khm kin kir kor kur lao lat lav lit mal mar mlg mlt "
    "mol mon nep nor nya ori orm pol por pus que run rus san sin slv snd som spa swa tam "
    "tat tel tgk tgl tha tir tuk tur uig ukr urd uzb vie yid"
)
LANGUAGES = (
    *_SEVERAL_CODES,
    *(Language(code, quicktime=code) for code in _ONE_CODE.split()),
)
_BY_CODE = {code: language for language in LANGUAGES for code in language.codes}


def is_known(tag: str | None) -> bool:
    """Whether a language tag names a language at all."""
    return tag not in (None, "", UNDETERMINED)


def quicktime_code(code: str) -> str | None:
    """The code under which QuickTime knows a language; None where it has no number for it."""
    language = _BY_CODE.get(code)
    return None if language is None else language.quicktime


def same_language(first: str | None, second: str | None) -> bool:
    """Whether two language tags mean the same: ``fre`` is ``fra``, and ``und`` is no language."""
    return _normalized(first) == _normalized(second)


def _normalized(tag: str | None) -> str | None:
    if tag is None or not is_known(tag):
        return None
    code = tag.lower()
    language = _BY_CODE.get(code)
    return code if language is None else language.code
