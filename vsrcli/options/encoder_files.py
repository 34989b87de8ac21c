"""Encoder options that make an encoder read or write files of its own, wherever vsr was started.

vsr writes its output and nothing else, so it refuses them. Encoders ignore what they do not know in
``x264-params`` and the like, so the table names more than one of them has.
"""

from __future__ import annotations

from collections.abc import Iterator

from vsrcli.errors import OptionError

_NOWHERE: frozenset[str] = frozenset()
_OFF = frozenset({"0", "off", "false", "no"})
# Option -> the values with which it touches no file.
_FILE_OPTIONS: dict[str, frozenset[str]] = {
    # statistics of two passes: each pass writes or reads a log
    "pass": _OFF,
    "passlogfile": _NOWHERE,
    "stats": _NOWHERE,
    "multi-pass-opt-analysis": _OFF,
    "multi-pass-opt-distortion": _OFF,
    "input-stat-file": _NOWHERE,
    "output-stat-file": _NOWHERE,
    "stats-file-prefix": _NOWHERE,
    "rcstatsfile": _NOWHERE,
    # what an encoder found out, for another run
    "analysis-save": _NOWHERE,
    "analysis-load": _NOWHERE,
    "analysis-reuse-file": _NOWHERE,
    # logs and pictures
    "csv": _NOWHERE,
    "dump-yuv": _NOWHERE,
    "recon": _NOWHERE,
    "log-file": _NOWHERE,
    "log2file": _NOWHERE,
    "logfile": _NOWHERE,
    "errlog": _NOWHERE,
    "tracefile": _NOWHERE,
    "opencl": _OFF,
    "opencl-clbin": _NOWHERE,
    # settings, tables and metadata that are read
    "config": _NOWHERE,
    "configfile": _NOWHERE,
    "cqmfile": _NOWHERE,
    "scaling-list": frozenset({"0", "off", "auto", "default"}),
    "lambda-file": _NOWHERE,
    "qpfile": _NOWHERE,
    "qp-file": _NOWHERE,
    "tcfile-in": _NOWHERE,
    "zonefile": _NOWHERE,
    "roi": _NOWHERE,
    "roi-map-file": _NOWHERE,
    "fgs-table": _NOWHERE,
    "aom-film-grain": _NOWHERE,
    # SVT-AV1 takes a strength, x265 a file
    "film-grain": frozenset(str(strength) for strength in range(51)),
    "nalu-file": _NOWHERE,
    "dhdr10-info": _NOWHERE,
    "dolby-vision-rpu": _NOWHERE,
    "scenecut-qp-config": _NOWHERE,
    "abr-ladder": _NOWHERE,
}
# FFmpeg's flags for two passes, by name and by value.
_PASS_FLAGS = {"pass1", "pass2"}
_PASS_BITS = 1 << 9 | 1 << 10


def refuse_encoder_files(key: str, value: str) -> None:
    """Refuse an encoder option that names a file, or makes the encoder use one.

    Args:
        key: as in ``-e KEY=VALUE``.
        value: may hold options of the encoder's own library, as ``x264-params`` does.

    Raises:
        OptionError: it does.
    """
    for name, setting in _settings(key, value):
        harmless = _FILE_OPTIONS.get(name)
        touches_file = harmless is not None and setting.lower() not in harmless
        if touches_file or (name == "flags" and _has_pass_flag(setting)):
            raise OptionError(
                f"-e {key}={value}: {name} makes the encoder read or write files of its own, "
                "and vsr writes the output only: omit it, or write a lossless file "
                "with --codec ffv1 and encode that with ffmpeg"
            )


def _settings(key: str, value: str) -> Iterator[tuple[str, str]]:
    """An option, and those in its value, by their common spelling."""
    yield _spelled(key.partition(":")[0]), value.strip()
    # FFmpeg takes quotes and backslashes out
    for part in value.translate({ord(sign): None for sign in "\\'"}).split(":"):
        name, equals, setting = part.partition("=")
        # x264's parser takes a name without a value as one that is switched on
        yield _spelled(name), setting.strip() if equals else "1"


def _spelled(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _has_pass_flag(flags: str) -> bool:
    for flag in flags.replace("-", "+-").split("+"):
        if flag in _PASS_FLAGS or (flag.isdecimal() and int(flag) & _PASS_BITS):
            return True
    return False
