"""What was measured, what was aimed at, and a table of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measure:
    """Repeated measurements of one thing, in one unit (`s`, `ms` or `MB`)."""

    part: str
    what: str
    unit: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Target:
    """An aim: the median of one measure, at most `limit`, absolute or as a multiple of another measure."""

    part: str
    what: str
    limit: float
    of: str | None = None

    def wording(self, unit: str) -> str:
        return f"at most {self.limit:g} {unit}" if self.of is None else f"at most {self.limit:g} x {self.of}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target beside what was measured; `reached` is None when the other side was not there to compare with."""

    part: str
    what: str
    wording: str
    measured: str
    reached: bool | None


def judge(targets: Sequence[Target], measures: Sequence[Measure]) -> list[Verdict]:
    """Each target that something was measured for."""
    known = {(m.part, m.what): m for m in measures}
    verdicts = []
    for target in targets:
        mine = known.get((target.part, target.what))
        if mine is None:
            continue
        wording = target.wording(mine.unit)
        if target.of is None:
            shown, reached = f"{mine.median:.3g} {mine.unit}", mine.median <= target.limit
            verdicts.append(Verdict(target.part, target.what, wording, shown, reached))
        elif (other := known.get((target.part, target.of))) is not None:
            ratio = mine.median / other.median
            verdicts.append(Verdict(target.part, target.what, wording, f"{ratio:.3g} x", ratio <= target.limit))
        else:
            verdicts.append(Verdict(target.part, target.what, wording, "not compared", None))
    return verdicts


WORDS = {True: "met", False: "**missed**", None: "not compared"}


def markdown(measures: Sequence[Measure], verdicts: Sequence[Verdict]) -> str:
    """Two tables: what was measured, and the targets."""
    lines = ["| part | what | median | smallest | largest | runs | note |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {m.part} | {m.what} | {m.median:.3g} {m.unit} | {min(m.values):.3g} | {max(m.values):.3g} | {len(m.values)} | {m.note} |"
        for m in measures
    ]
    lines += ["", "| part | what | target | measured | |", "|---|---|---|---|---|"]
    lines += [f"| {v.part} | {v.what} | {v.wording} | {v.measured} | {WORDS[v.reached]} |" for v in verdicts]
    return "\n".join(lines)
