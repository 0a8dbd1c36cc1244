"""What an attack file declares, and the table that `make attack` prints of all of them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

HERE = Path(__file__).parent
Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: as a reader of the table knows it.
        rule: the rule, guard or invariant that stops it.
        number: in the list of 25 that docs/attacks.md begins with, if it is one of them.
        peer: the product whose released version gives way to it, if one was seen to.
    """

    name: str
    rule: str
    number: int | None = None
    peer: str | None = None


@dataclass(frozen=True)
class Row:
    """An attack file, what its tests told of the leak and of the stop, and whether all of them passed."""

    file: str
    attack: Attack
    leaks: tuple[str, ...]
    stops: tuple[str, ...]
    passed: bool

    @property
    def holds(self) -> bool:
        """The leak was shown without the defence, and the defence stopped it."""
        return self.passed and bool(self.leaks) and bool(self.stops)


def files() -> list[Path]:
    """Every attack file."""
    return sorted(HERE.glob("test_*.py"))


def declared() -> dict[str, Attack]:
    """File name -> what it declares, ordered as the table is: the numbered ones, the peers', our own."""
    found = {path.name: _module(path).ATTACK for path in files()}
    return dict(sorted(found.items(), key=lambda item: (item[1].number or 99, item[1].peer or "~", item[0])))


def _module(path: Path) -> ModuleType:
    name = f"attack_file_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.path[:0] = [str(HERE), str(HERE.parent)]
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def table(told: Mapping[str, Sequence[tuple[str, str]]], failed: frozenset[str]) -> list[Row]:
    """Rows in order. `told`: file -> (`leak` or `stop`, text); `failed`: files with a test that did not pass."""
    rows = []
    for file, attack in declared().items():
        texts = told.get(file, ())
        leaks, stops = (tuple(sorted({t for k, t in texts if k == kind})) for kind in ("leak", "stop"))
        rows.append(Row(file, attack, leaks, stops, file not in failed))
    return rows


HEAD = """# Attacks

Each line is a file that runs twice: against the bare statistic or protocol, where the leak must succeed, and through a real site, where it must fail. `make attack` runs them all and writes this page;
numbers are those of the list of 25 that the design began with. A test holds the files to the claims of [SECURITY.md](../SECURITY.md).

"""


def markdown(rows: Sequence[Row]) -> str:
    """docs/attacks.md."""
    lines = ["| # | attack | leak without the defence | through Isthmus | stopped by |", "|---|---|---|---|---|"]
    for row in rows:
        name = f"[{row.attack.name}](../tests/attack/{row.file})" + (f" ({row.attack.peer})" if row.attack.peer else "")
        cells = (str(row.attack.number or ""), name, "; ".join(row.leaks), "; ".join(row.stops), row.attack.rule)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines)
