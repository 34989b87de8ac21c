"""The help texts, README.md, the pages of docs/ and the docstrings, held against the code."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import vsrcli
from vsrcli.backends import BACKENDS
from vsrcli.cli import COMMANDS, group
from vsrcli.metrics.frames import FRAME_METRICS
from vsrcli.metrics.sequence import SEQUENCE_METRICS
from vsrcli.models import DEFAULT_DOMAIN, DOMAINS, MODELS
from vsrcli.options import EncoderOptions, TrainOptions, UpscaleOptions
from vsrcli.training.recipe import RECIPES

ROOT = Path(__file__).resolve().parent.parent
# what explains the program to its users
GUIDES = (
    "README.md",
    "docs/usage.md",
    "docs/performance.md",
    "docs/training.md",
    "docs/measuring.md",
    "docs/containers.md",
    "docs/faults.md",
    "docs/examples.md",
)
PAGES = (*GUIDES, "CONTRIBUTING.md", "CHANGELOG.md", "weights/README.md")
FILES = sorted((ROOT / "vsrcli").rglob("*.py"))
README = (ROOT / "README.md").read_text()
MAX_README_WORDS = 700
MAX_PICTURE_BYTES = 120_000
MAX_PICTURES_BYTES = 300_000
# picture -> the script that makes it, and the page that shows it
PICTURES = {
    "docs/before-after.png": ("docs/picture.py", "README.md"),
    "docs/slider.png": ("docs/slider.py", "docs/measuring.md"),
    "docs/speed-quality.svg": ("docs/speed_quality.py", "docs/measuring.md"),
    "docs/terminal.svg": ("docs/terminal.py", "docs/usage.md"),
}

CODE_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
TOML_BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FLAG = re.compile(r"(?<!\S)(--?[a-z][a-z0-9-]*)")


def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _prose(page: str) -> str:
    return CODE_BLOCK.sub("", _text(page))


def _command(name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None, f"there is no command {name!r}"
    return command


def _flags(command: click.Command) -> set[str]:
    flags: set[str] = set()
    for parameter in command.get_params(click.Context(command)):
        flags.update(parameter.opts)
        flags.update(parameter.secondary_opts)
    return flags


def _is_flag(word: str) -> bool:
    """``-`` alone is standard input or output."""
    return word.startswith("-") and word != "-"


def _split_at_operators(words: list[str]) -> Iterator[list[str]]:
    """The single commands of a line in the shell."""
    command: list[str] = []
    for word in words:
        if word in ("|", "&&"):
            yield command
            command = []
        else:
            command.append(word)
    yield command


def _shown_commands(page: str) -> Iterator[list[str]]:
    """The arguments of every ``vsr`` on a page, in its code blocks and between backticks."""
    lines = []
    for block in SHELL_BLOCK.findall(_text(page)):
        lines += block.replace("\\\n", " ").splitlines()
    for quoted in QUOTED.findall(_prose(page)):
        lines.append(" ".join(quoted.split()))
    for line in lines:
        for command in _split_at_operators(shlex.split(line, comments=True)):
            arguments = _arguments_of_vsr(command)
            if arguments:
                yield arguments


def _arguments_of_vsr(command: list[str]) -> list[str]:
    """What follows ``vsr``, up to a redirection; nothing where something else is called."""
    if ">" in command:
        command = command[: command.index(">")]
    if command[:2] == ["docker", "build"]:
        return []
    for place, word in enumerate(command):
        is_called = place == 0 or command[0] == "docker"
        is_vsr = word.rsplit("/", 1)[-1] == "vsr"
        if is_vsr and is_called and command[place + 1 :]:
            return command[place + 1 :]
    return []


def _command_names(page: str) -> set[str]:
    """The commands that a page shows."""
    names = set()
    for words in _shown_commands(page):
        names.add(words[0])
    return names


SHOWN = [(page, words) for page in PAGES for words in _shown_commands(page)]
SHOWN_IDS = [f"{page}: {' '.join(words)}" for page, words in SHOWN]


def _first_column(page: str, header: str) -> list[str]:
    """The first cells of the table on a page whose first column has that header."""
    pattern = rf"^\| {re.escape(header)} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)"
    tables = re.findall(pattern, _text(page), re.MULTILINE)
    assert len(tables) == 1, f"{page} has {len(tables)} tables of {header!r}"
    cells = []
    for row in tables[0].splitlines():
        first = row.split("|")[1]
        cells.append(first.strip())
    return cells


def _names_in_column(page: str, header: str) -> list[str]:
    """The names between backticks in those cells."""
    names = []
    for cell in _first_column(page, header):
        names += QUOTED.findall(cell)
    return names


def test_every_line_that_pipes_into_vsr_copies_packets() -> None:
    """Left to itself, FFmpeg encodes the video once more, as MPEG-4 of a low bit rate."""
    texts = [*map(_text, GUIDES), *(file.read_text() for file in FILES)]
    lines = [line for text in texts for line in text.splitlines() if "-f nut -" in line]
    assert len(lines) >= 3
    for line in lines:
        assert "-c copy -f nut -" in line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    example = rf"^  vsr {re.escape(name)}( |$)"
    assert re.search(example, result.stdout, re.MULTILINE), (
        f"vsr {name} --help shows no example"
    )
    assert _command(name).short_help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_in_the_help_parses(name: str) -> None:
    examples = re.findall(r"^ *vsr (.+)$", _command(name).help or "", re.MULTILINE)
    assert examples
    for example in examples:
        first, *words = shlex.split(example)
        command = _command(first)
        command.make_context(first, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text(name: str) -> None:
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"vsr {name} {parameter.opts[0]} has no help text"


def test_readme_shows_every_command() -> None:
    shown = _command_names("README.md")
    assert shown >= set(COMMANDS)


COMMANDS_OF_GUIDES = {
    "docs/usage.md": {
        "assemble",
        "config",
        "demo",
        "export",
        "extract",
        "info",
        "models",
        "preview",
        "upscale",
    },
    "docs/training.md": {"train"},
    "docs/measuring.md": {"bench", "verify"},
}


@pytest.mark.parametrize("page", COMMANDS_OF_GUIDES)
def test_the_guides_show_their_commands(page: str) -> None:
    assert _command_names(page) >= COMMANDS_OF_GUIDES[page]


def test_every_command_has_a_guide() -> None:
    explained = set().union(*COMMANDS_OF_GUIDES.values())
    assert explained == set(COMMANDS)


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=SHOWN_IDS)
def test_commands_on_the_pages_exist(
    page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where a command names a profile, it is that of the file that the page shows
    defaults = tmp_path / "vsr.toml"
    defaults.write_text("".join(TOML_BLOCK.findall(_text(page))))
    monkeypatch.setenv("VSR_CONFIG", str(defaults))
    name, *rest = words
    if name.startswith("-"):
        assert name in _flags(group)
        return
    command = _command(name)
    if "--profile" in rest:  # which is in the reader's own file
        place = rest.index("--profile")
        rest = rest[:place] + rest[place + 2 :]
    # prose may name a command with a flag and leave the files out; a line of a block is whole
    is_partial = not _has_arguments(command, rest)
    command.make_context(name, list(rest), resilient_parsing=is_partial)
    known = _flags(command)
    for word in rest:
        if _is_flag(word):
            flag = word.partition("=")[0]
            assert flag in known, f"{page}: vsr {name} has no {flag}"


def _has_arguments(command: click.Command, words: list[str]) -> bool:
    needed = 0
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            needed += len((parameter.metavar or "ONE").split())
    arguments = [word for word in words if not _is_flag(word)]
    return len(arguments) >= needed


def _all_flags() -> set[str]:
    flags = _flags(group)
    for name in COMMANDS:
        flags |= _flags(_command(name))
    return flags


@pytest.mark.parametrize("page", GUIDES)
def test_flags_on_the_pages_exist(page: str) -> None:
    named: set[str] = set()
    for quoted in QUOTED.findall(_prose(page)):
        named.update(FLAG.findall(quoted))
    unknown = sorted(named - _all_flags())
    assert not unknown, f"{page} names flags that do not exist: {unknown}"


def test_every_option_is_on_a_page() -> None:
    named: set[str] = set()
    for page in GUIDES:
        named.update(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", _text(page)))
    assert "--strict" in named
    long_flags = {flag for flag in _all_flags() if flag.startswith("--")}
    # --reuse is what happens anyway, --version and --help explain themselves
    missing = long_flags - named - {"--reuse", "--version", "--help"}
    assert not missing, f"no page explains {sorted(missing)}"


def _script(name: str) -> Any:
    """A script of ``docs/`` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def test_the_table_of_containers_is_current() -> None:
    """docs/containers.md is what docs/containers.py makes of the code's own rules."""
    module = _script("containers")
    assert module.page() == module.PAGE.read_text(), "run python docs/containers.py"


def test_readme_has_one_test_command() -> None:
    # .ci/run takes it from there, word for word
    assert README.count("<!-- test command -->") == 1
    block = r"^<!-- test command -->\n```sh\n(.+?)\n```$"
    commands = re.findall(block, README, re.DOTALL | re.MULTILINE)
    assert len(commands) == 1
    assert "\n" not in commands[0]
    assert commands[0].startswith("python3 -m venv .venv && ")
    assert commands[0].endswith("pytest")


def test_readme_is_short() -> None:
    assert len(README.split()) <= MAX_README_WORDS


def test_readme_shows_a_small_picture() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures == ["docs/before-after.png"]
    assert (ROOT / pictures[0]).stat().st_size <= MAX_PICTURE_BYTES


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_are_made_by_a_script_and_shown(picture: str) -> None:
    script, page = PICTURES[picture]
    name = Path(picture).name
    assert f'"{name}"' in _text(script)
    shown = {
        Path(link).name for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", _text(page))
    }
    assert name in shown


def test_pictures_are_small_and_need_nothing_from_elsewhere() -> None:
    files = [*(ROOT / "docs").glob("*.png"), *(ROOT / "docs").glob("*.svg")]
    assert {f"docs/{file.name}" for file in files} == set(PICTURES)
    assert sum(file.stat().st_size for file in files) <= MAX_PICTURES_BYTES
    for file in files:
        if file.suffix == ".svg":
            text = file.read_text()
            assert set(re.findall(r"https?://[^\s\"']+", text)) == {
                "http://www.w3.org/2000/svg"
            }
            assert "<script" not in text


def test_the_picture_of_speed_and_quality_is_current() -> None:
    """It shows the table of RESULTS.md, whose gains are those of the table of quality."""
    module = _script("speed_quality")
    found = {method.name: method for method in module.methods()}
    assert set(found) == {"bicubic", "lanczos", *MODELS}
    assert module.PICTURE.read_text() == module.draw(list(found.values())), (
        "run python docs/speed_quality.py"
    )
    results = _text("benchmarks/RESULTS.md")
    for method in found.values():
        for test, domain, gain in (
            ("clean", "clean", method.clean),
            ("crf 23", "video", method.compressed),
        ):
            name = f"{method.name}:{domain}" if method.name in MODELS else method.name
            row = rf"^\| {test} \| {name} \| [\d.]+ \| (\S+) \|"
            measured = re.findall(row, results, re.MULTILINE)
            assert measured == ([] if gain is None else [f"{gain:+.2f}"])


def test_the_recorded_runs_are_those_of_their_script() -> None:
    page = _text("docs/examples.md")
    examples = _script("record").EXAMPLES
    titles = [example.title for example in examples]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == titles, (
        "run python docs/record.py"
    )
    shown = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    assert shown == [command for example in examples for command in example.commands]
    for line in shown:
        _, name, *words = shlex.split(line)
        _command(name).make_context(name, words)


def test_readme_names_every_network_with_its_size() -> None:
    row = r"^\| `([^`]+)`(?: \(default\))? \| ([\d,]+) \|"
    rows = dict(re.findall(row, README, re.MULTILINE))
    assert rows == {spec.name: f"{spec.parameters:,}" for spec in MODELS.values()}


@pytest.mark.parametrize("page", ["docs/usage.md", "docs/training.md"])
def test_tables_of_domains_are_complete(page: str) -> None:
    assert _names_in_column(page, "domain") == list(DOMAINS)
    marked = [cell for cell in _first_column(page, "domain") if "(default)" in cell]
    assert marked == [f"`{DEFAULT_DOMAIN}` (default)"]


def test_the_table_of_recipes_is_complete() -> None:
    assert _names_in_column("docs/training.md", "recipe") == list(RECIPES)


def test_the_table_of_metrics_is_complete() -> None:
    named = _names_in_column("docs/measuring.md", "metric")
    assert sorted(named) == sorted((*FRAME_METRICS, *SEQUENCE_METRICS))


def test_the_table_of_backends_is_complete() -> None:
    named = _names_in_column("docs/performance.md", "backend")
    assert sorted(named) == sorted(BACKENDS)


def test_the_table_of_extras_is_complete() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = list(setup["options.extras_require"])
    assert sorted(_names_in_column("docs/usage.md", "extra")) == sorted(extras)


def test_the_table_of_exit_codes_knows_the_signals() -> None:
    signals = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    codes = [0, 1, 2, *(128 + number for number in signals)]
    rows = _first_column("docs/usage.md", "code")
    assert rows == [str(code) for code in codes]


def test_python_on_the_pages_uses_what_exists() -> None:
    blocks = []
    for page in GUIDES:
        blocks += PYTHON_BLOCK.findall(_text(page))
    assert blocks
    for block in blocks:
        for name in re.findall(r"\bvsrcli\.(\w+)", block):
            assert hasattr(vsrcli, name)
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call):
                source = ast.unparse(node)
                if source.startswith("vsrcli.UpscaleOptions("):
                    assert eval(source, {"vsrcli": vsrcli})


def _joined_source() -> str:
    """The program's text, with string literals of several lines joined."""
    text = "\n".join(file.read_text() for file in FILES)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_messages_in_the_table_of_faults_are_those_of_the_code() -> None:
    source = _joined_source()
    # what a message fills in: N, OUT, OUT.vsr, 4, (reason), ...
    placeholder = re.compile(r"\.\.\.|\b[A-Z]+(?:\.vsr)?\b|\d+|[()]")
    count = 0
    for row in re.findall(r"^\| .* \|$", _text("docs/faults.md"), re.MULTILINE):
        message_cell = row.split("|")[3]
        for message in QUOTED.findall(message_cell):
            for part in placeholder.split(message):
                words = part.strip(" :,")
                if len(words) > 4:
                    count += 1
                    assert words in source, f"no message says {words!r} ({message!r})"
    assert count > 20


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    for link in LINK.findall(_prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page} links to {link}, which does not exist"
        if anchor:
            assert anchor in _anchors(target), f"{page}: {link} has no such heading"


def _anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    prose = CODE_BLOCK.sub("", page.read_text())
    anchors = set()
    for heading in HEADING.findall(prose):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        anchors.add(words.replace(" ", "-"))
    return anchors


def test_readme_leads_to_every_guide() -> None:
    links = LINK.findall(README)
    for page in GUIDES:
        assert page == "README.md" or page in links


def test_model_card_covers_the_weights_that_ship() -> None:
    card = _text("weights/README.md")
    shipped = set()
    for spec in MODELS.values():
        for domain in spec.domains:
            shipped.add(f"{spec.name}-{domain}-x{spec.scale}.safetensors")
    listed = re.findall(r"^\| `([^`]+\.safetensors)`", card, re.MULTILINE)
    assert set(listed) == shipped
    checksums = _text("weights/SHA256SUMS").splitlines()
    assert {line.split()[1] for line in checksums} == shipped


def test_files_named_in_backticks_exist() -> None:
    path = re.compile(
        r"`((?:vsrcli|tests|weights|docs|benchmarks)/[\w./-]*)(?:::\w+)?`"
    )
    for page in PAGES:
        for name in path.findall(_text(page)):
            assert (ROOT / name).exists(), f"{page} names {name}, which does not exist"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_everything_public_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f"{file} has no docstring"
    for name, node in _public(tree):
        assert ast.get_docstring(node), f"{file}: {name} has no docstring"


def _public(
    parent: ast.Module | ast.ClassDef,
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for name, child in _public(node):
                yield f"{node.name}.{name}", child


@pytest.mark.parametrize(
    ("name", "declared"),
    [("upscale", UpscaleOptions), ("upscale", EncoderOptions), ("train", TrainOptions)],
)
def test_defaults_are_those_of_the_options(name: str, declared: type[Any]) -> None:
    options: dict[str, list[click.Option]] = {}
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option):
            options.setdefault(str(parameter.name), []).append(parameter)
    context = click.Context(_command(name))
    for field in fields(declared):
        if "help" not in field.metadata:
            continue
        flags = options[field.name]
        assert field.metadata["help"] == flags[0].help
        for flag in flags:
            value = flag.type_cast_value(context, flag.get_default(context))
            assert (value or None) == (field.default or None), (
                f"{flag.opts[0]}: {value!r} is not {field.default!r}"
            )
            if isinstance(field.default, Fraction):
                assert isinstance(value, Fraction)
