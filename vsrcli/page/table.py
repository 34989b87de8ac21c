"""A table with a row per method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrcli.page.text import text_of


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, a figure per row, and the best figure if there is one."""

    title: str
    figures: list[str]
    best: str | None = None


def table_of(
    names: Sequence[str],
    columns: Sequence[Column],
    *,
    baselines: Sequence[bool],
    title: str = "Figures",
) -> str:
    """A table as HTML; it scrolls by itself where it is too wide.

    Args:
        names: of the rows.
        columns: what is beside them.
        baselines: for each row, whether it is only there to be compared with.
        title: heading.
    """
    titles = ["Method", *(column.title for column in columns)]
    head = [f'<th scope="col">{text_of(title)}</th>' for title in titles]
    lines = []
    for number, name in enumerate(names):
        cells = [f'<th scope="row">{text_of(name)}</th>']
        for column in columns:
            figure = column.figures[number]
            mark = " class=best" if figure == column.best else ""
            cells.append(f"<td{mark}>{text_of(figure)}</td>")
        mark = " class=baseline" if baselines[number] else ""
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return (
        f"<h2>{text_of(title)}</h2>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text_of(title)}">'
        f"<table><thead><tr>{''.join(head)}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
