"""How readable code is, in numbers: python tests/style.py [PATH...], files or folders.

A row for each path: lines of code, tokens in a line of code, lines of more than 100 columns, tuple
assignments, nested conditional expressions. Comments and docstrings do not count as code; of them
only the columns are measured. `-v` names the places.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_COLUMNS = 100
_ROOT = Path(__file__).resolve().parent.parent
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Style:
    """What was counted; places are ``file:line``.

    Attributes:
        tokens: of code: names, numbers, strings, operators, brackets.
        lines: that hold at least one of them.
        wide: lines of more than ``MAX_COLUMNS`` columns, prose included.
        tuple_assignments: such as ``a, b = 1, 2``: several statements in one line. An exchange of
            values, ``a, b = b, a``, is one statement and does not count.
        nested_conditionals: such as ``a if b else c if d else e``.
    """

    tokens: int = 0
    lines: int = 0
    wide: list[str] = field(default_factory=list)
    tuple_assignments: list[str] = field(default_factory=list)
    nested_conditionals: list[str] = field(default_factory=list)

    @property
    def tokens_per_line(self) -> float:
        """Tokens in a line of code, on average."""
        return self.tokens / max(1, self.lines)


def measure(files: list[Path]) -> Style:
    """Count in Python files."""
    style = Style()
    for file in files:
        text = file.read_text()
        tree = ast.parse(text)
        _count_tokens(text, _docstring_lines(tree), style)
        for number, line in enumerate(text.splitlines(), start=1):
            if len(line) > MAX_COLUMNS:
                style.wide.append(f"{file}:{number}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and _assigns_tuple(node):
                style.tuple_assignments.append(f"{file}:{node.lineno}")
            if isinstance(node, ast.IfExp) and _is_nested(node):
                style.nested_conditionals.append(f"{file}:{node.lineno}")
    return style


def _count_tokens(text: str, docstrings: set[int], style: Style) -> None:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _LAYOUT or token.start[0] in docstrings:
            continue
        style.tokens += 1
        lines.update(range(token.start[0], token.end[0] + 1))
    style.lines += len(lines)


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return lines


def _assigns_tuple(node: ast.Assign) -> bool:
    target = node.targets[0]
    if not isinstance(target, ast.Tuple) or not isinstance(node.value, ast.Tuple):
        return False
    names = {ast.unparse(element) for element in target.elts}
    values = {ast.unparse(element) for element in node.value.elts}
    return names != values


def _is_nested(node: ast.IfExp) -> bool:
    return any(
        isinstance(inner, ast.IfExp) and inner is not node for inner in ast.walk(node)
    )


def python_files(paths: list[Path]) -> Iterator[Path]:
    """The Python files among ``paths`` and in the folders among them."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main(arguments: list[str]) -> None:
    """Print a row for each path."""
    names = [name for name in arguments if name != "-v"]
    paths = [Path(name) for name in names]
    for path in paths or [_ROOT / "vsrcli", _ROOT / "tests", _ROOT / "benchmarks"]:
        style = measure(list(python_files([path])))
        print(
            f"{path}: {style.lines} lines of code, "
            f"{style.tokens_per_line:.2f} tokens a line, {len(style.wide)} wide, "
            f"{len(style.tuple_assignments)} tuple assignments, "
            f"{len(style.nested_conditionals)} nested conditionals"
        )
        if "-v" in arguments:
            for place in style.wide:
                print(f"  {place}: wide")
            for place in style.tuple_assignments:
                print(f"  {place}: tuple assignment")
            for place in style.nested_conditionals:
                print(f"  {place}: nested conditional")


if __name__ == "__main__":
    main(sys.argv[1:])
