"""Results for a terminal: ruled tables, the survival curve in dots, what crossed the border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.charts import palette, terminal, terminal_forest
from isthmus.cli.screen import Screen, visible
from isthmus.sdk import figures, tables

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text


def rich_table(table: tables.Table) -> RichTable:
    """A table with ruled head; names left, numbers right."""
    from rich import box
    from rich.table import Table as RichTable

    made = RichTable(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(table.headings),
        show_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for index, heading in enumerate(table.headings):
        names = index < table.labels
        made.add_column(
            _plain(heading),
            justify="left" if names else "right",
            overflow="fold",
            no_wrap=table.labels < len(table.headings),
        )
    for row in table.rows:
        made.add_row(*(_plain(cell) for cell in row))
    return made


def _plain(text: str) -> Text:
    from rich.text import Text

    return Text(visible(text))


def analysis(screen: Screen, name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    """One analysis: its tables, and its curve where it has one."""
    if screen.json or screen.quiet:
        return
    first, *more = tables.of(name, body)
    screen.table(first)
    if figures.has_survival(body):
        curve(screen, name, body, context)  # in place of the life table, which `.summary()` prints
        for table in more:
            if table.title != tables.LIFE_TABLE:
                screen.table(table)
        return
    if body["kind"] == "meta" and "terms" in body:
        for line in terminal_forest.draw(figures.forest_figure(name, body, context), min(screen.out.width, 96)):
            screen.out.print(visible(line), markup=False, highlight=False)
        screen.say()
    for table in more:
        screen.table(table)


def curve(screen: Screen, name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    """The Kaplan-Meier drawing, coloured where the terminal has colours."""
    from rich.text import Text

    figure = figures.survival_figure(name, body, context)
    for line in terminal.draw(figure, width=min(screen.out.width, 96)):
        text = Text(no_wrap=True)
        for piece in line:
            text.append(visible(piece.text), style=palette.pen(piece.series).terminal if piece.series >= 0 else "dim")
        screen.out.print(text)
    screen.say()


def traffic(screen: Screen, body: Mapping[str, Any]) -> None:
    """What crossed: rows, bytes per site, messages."""
    moved = body.get("traffic", {})
    per_site = ", ".join(f"{site} {kilobytes(count)}" for site, count in moved.get("bytes_out", {}).items())
    screen.say(f"Rows that left a site: {moved.get('rows_left', 0)}")
    if per_site:  # a hub tells it by `isthmus study status`
        screen.say(f"Bytes that left (masked sums only): {per_site}")


def kilobytes(count: float) -> str:
    """Bytes as people read them."""
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
