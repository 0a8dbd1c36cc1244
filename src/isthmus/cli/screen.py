"""Two streams and two readers: people at a terminal, and programs that asked for `--json`."""

from __future__ import annotations

import json as jsonlib
import sys
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import IsthmusError

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.sdk.tables import Table

WIDEST = 110
UNBOUNDED = 1000
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # controls, marks of direction, lone surrogates, line ends


def visible(text: str) -> str:
    """Text as it may be shown: what would move the cursor, hide or reorder is written out, and a further line is set in.

    Titles, reasons and names come from others, and people sign what they read.
    """
    if text.isprintable():
        return text
    kept = (c if c in "\n\t" or unicodedata.category(c) not in _UNSEEN else f"\\u{ord(c):04x}" for c in text)
    return "".join(kept).replace("\n", "\n  ")


@dataclass
class Screen:
    """Where a command writes: results on stdout, progress and errors on stderr."""

    json: bool
    quiet: bool

    @classmethod
    def of(cls, *, json: bool, quiet: bool) -> Screen:
        """The screen of this process."""
        return cls(json, quiet)

    @cached_property
    def out(self) -> Console:
        """Standard output; colour at a terminal only, none under NO_COLOR."""
        return _console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """Standard error."""
        return _console(sys.stderr)

    @property
    def live(self) -> bool:
        """Whether someone watches the progress."""
        return not self.json and not self.quiet and sys.stderr.isatty()

    def document(self, body: Any) -> None:
        """One JSON object for programs."""
        sys.stdout.write(jsonlib.dumps(body, allow_nan=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str = "", style: str = "") -> None:
        """A line for people; silent under `--json` and `--quiet`."""
        if not self.json and not self.quiet:
            self.out.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line of progress, on stderr."""
        if not self.json and not self.quiet:
            self.err.print(visible(text), style="dim", markup=False, highlight=False, soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table for people."""
        if not self.json and not self.quiet:
            from isthmus.cli.show import rich_table

            self.out.print(visible(table.title), style="bold", markup=False, highlight=False)
            shown = rich_table(table)
            # Numbers are never folded or cut: a table that is too wide for the terminal runs over.
            usual, wide = self.out.width, 0
            if table.labels < len(table.headings):
                wide = self.out.measure(shown, options=self.out.options.update(max_width=UNBOUNDED)).maximum
            self.out.width = max(usual, wide)
            self.out.print(shown)
            self.out.width = usual
            for note in table.notes:
                self.out.print(visible(note), style="dim", markup=False, highlight=False)
            self.out.print()

    def error(self, error: IsthmusError) -> None:
        """A coded error: an object on stdout for programs, lines on stderr for people."""
        if self.json:
            self.document({"schema": "isthmus/error/1", "error": error.to_dict()})
            return
        said = [(f"{error.code}  {error.message}", "bold red")]
        said += [(f"  {name} {told}", "") for name, told in (("where:", error.where), ("hint: ", error.hint)) if told]
        for text, style in said:
            self.err.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _console(stream: Any) -> Console:
    from rich.console import Console

    console = Console(file=stream)
    if console.width > WIDEST:
        console.width = WIDEST
    return console
