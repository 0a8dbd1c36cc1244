"""The border register: every message of a study that leaves a site or the hub, written down before it leaves.

A row says when, which study and question, what kind of statistic, how many bytes, from where to where, and which flow of
the agreement permits it by which mechanism. A masked reply's row is durable before the reply leaves, together with its journal
entry; rows of signatures and shares, which carry no statistic, outlive the process at once and a power cut with the next
durable write. Each row's head is SHA-256 over the head before and the row, and the site's
ledger takes the head (entry `border`) when a run ends and when the site starts: a row that is changed or lost shows.
A hub's rows are its messages to sites, and every result that it gives to a person; what a site answers to a study in
review, and that it declines one, is a row as well. Other control documents (hello, heartbeat, done ...) carry no word on a study's data and are none.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from isthmus.federation.control import Clock
from isthmus.federation.messages import Message, compact, weight
from isthmus.federation.node import Ledger
from isthmus.federation.protocol.charter import Step
from isthmus.federation.store import Store
from isthmus.federation.tables import METADATA, NAMES, ORDER
from isthmus.governance.route import Leg
from isthmus.ledger.entries import Entry, timestamp
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, Untrusted

EVENT = "border"
SCHEMA = "isthmus/border-rows/1"
SUFFIX = ".border"
LOOKED_AT = 100_000  # newest rows whose chain a start computes again, in half a second; `audit border` does so with all
_PAGE = 4096
DECISION = "decision"  # what an answer in review holds: a verdict, who gave it, why, and rules by outcome
ROWS = sa.Table(
    "border",
    METADATA,
    sa.Column("number", ORDER, primary_key=True, autoincrement=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("row", sa.LargeBinary, nullable=False),
    sa.Column("head", NAMES, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Crossing:
    """What of a message is known beside it.

    Attributes:
        study: of its run.
        way: that it takes.
        step: that it answers.
        opened: context of a pooled sum that it may carry -> the step whose sum that is.
    """

    study: str
    way: Leg | None
    step: Step | None
    opened: Mapping[str, Step] = field(default_factory=dict)


class Border:
    """A node's register, open for writing.

    Raises:
        Untrusted: E-ROLLBACK, rows that the ledger sealed are not here, or are others.
    """

    def __init__(self, store: Store, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._insert = store.prepare(ROWS, "number", "total", "row", "head")
        self._lock = threading.Lock()
        newest = store.rows(sa.select(ROWS.c.number, ROWS.c.total, ROWS.c.head).order_by(ROWS.c.number.desc()).limit(1))
        self._number: int = newest[0][0] if newest else 0
        self._total: int = newest[0][1] if newest else 0
        self._head: str = newest[0][2] if newest else ""
        self._ahead: set[bytes] = set()  # signatures of messages written down, but not yet given to a stream
        self._sealed = self._checked(ledger.last(EVENT))
        self.seal({})

    def ahead(self, study: str, way: Leg | None, message: Message, step: Step) -> None:
        """Write down a message before its journal entry, whose durable write covers both. Unavailable: E-DISK."""
        self.cross([message], Crossing(study=study, way=way, step=step))
        self._ahead.add(message.signature)

    def cross(self, messages: Sequence[Message], crossing: Crossing) -> None:
        """Write down messages that leave now, but for those written `ahead`. Unavailable: E-DISK; then none may leave."""
        self.cross_each([(message, crossing) for message in messages])

    def cross_each(self, leaving: Sequence[tuple[Message, Crossing]]) -> None:
        """The same for messages that go different ways."""
        with self._lock:
            known = {message.signature for message, _ in leaving} & self._ahead
            self._ahead -= known
            self._enter([_row(message, way) for message, way in leaving if message.signature not in known])

    def give(self, run: str, crossing: Crossing, what: Mapping[str, Any]) -> None:
        """Write down what leaves and is no message of the protocol: what it is, and how many bytes. Unavailable: E-DISK.

        Args:
            run: whose.
            crossing: its study and way.
            what: `message`, `question`, `kind`, `statistics`, `bytes`, and `to` where a person takes it.
        """
        with self._lock:
            self._enter([{"run": run, "study": crossing.study, **what, **_told(crossing.way)}])

    def answered(self, run: str, way: tuple[str, Leg | None] | None, kind: str, said: Mapping[str, Any]) -> None:
        """Write down what a site says of a study besides its sums; `seal` is the caller's.

        Args:
            run: whose.
            way: its study and way; None in a rehearsal, which has no border.
            kind: of control document: `reviewed`, `decline`, `verdicts`.
            said: its body.

        Raises:
            Unavailable: E-DISK; then it may not leave.
        """
        if way is None:
            return
        crossing = Crossing(study=way[0], way=way[1], step=None)
        what = {"message": kind, "question": "", "kind": "review", "statistics": [DECISION]}
        self.give(run, crossing, {**what, "bytes": len(canonical(said))})

    def _enter(self, found: Sequence[Mapping[str, Any]]) -> None:
        number, total, head, rows = self._number, self._total, self._head, []
        for row in found:
            number, total = number + 1, total + int(row["bytes"])
            raw = compact({"number": number, "time": timestamp(self._clock()), **row})
            head = _next(head, raw)
            rows.append((number, total, raw, head))
        if rows:
            self._store.note((self._insert, rows))
        self._number, self._total, self._head = number, total, head

    def seal(self, about: Mapping[str, Any]) -> None:
        """The ledger takes the register's head, unless it has it."""
        with self._lock:
            if self._head != self._sealed:
                seal = {"messages": self._number, "bytes": self._total, "head": self._head}
                self._ledger.append(EVENT, {**about, **seal})
                self._sealed = self._head

    def _checked(self, seal: Mapping[str, Any] | None) -> str:
        """The head that the ledger sealed last; the register holds it, and its newest rows are those of its heads."""
        if seal is None:
            return ""
        start, before, held = min(seal["messages"], max(0, self._number - LOOKED_AT)), "", ""
        for number, _, row, head in _stored(self._store, start):
            if number > start and head != _next(before, row):
                raise _rolled_back()
            if number == seal["messages"]:
                held = head
            before = head
        if held != seal["head"]:
            raise _rolled_back()
        return str(seal["head"])


@dataclass(frozen=True, slots=True)
class Register:
    """A register that was read: its rows, and up to which of them the ledger sealed."""

    rows: tuple[Mapping[str, Any], ...]
    sealed: int

    def by_day(self) -> list[dict[str, Any]]:
        """Messages and bytes by day, study and direction, with the kinds of statistic and what permits them."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in self.rows:
            shown = {"day": row["time"][:10], **{name: row.get(name) or "" for name in _SHOWN}}
            shown["rules"] = tuple(_rules(row))
            line = found.setdefault(tuple(shown.values()), {**shown, "statistics": set(), "messages": 0, "bytes": 0})
            line["statistics"] |= set(row["statistics"])
            line["messages"] += 1
            line["bytes"] += row["bytes"]
        return [{**line, "statistics": sorted(line["statistics"])} for line in found.values()]


_SHOWN = ("study", "sender", "from_country", "receiver", "to_country", "flow", "mechanism")


def read_register(store: Store, ledger: Iterable[Entry]) -> Register:
    """The register in a node's store, its chain computed again and held to every seal in the node's ledger.

    Raises:
        Untrusted: E-LEDGER, a row was changed, lost or added before a seal.
    """
    kept = list(_stored(store))
    rows, links = _chained(row for _, _, row, _ in kept)
    if [(at, chained, total) for at, total, _, chained in kept] != [(at, *link) for at, link in enumerate(links)][1:]:
        raise _broken()
    return Register(rows, _sealed(links, ledger))


def register_of(raws: Iterable[bytes], ledger: Iterable[Entry]) -> Register:
    """The same of rows as they were stored, from wherever they come.

    Raises:
        Untrusted: E-LEDGER.
    """
    rows, links = _chained(raws)
    return Register(rows, _sealed(links, ledger))


def _chained(raws: Iterable[bytes]) -> tuple[tuple[Mapping[str, Any], ...], list[tuple[str, int]]]:
    """Rows, and the head and the number of bytes after each; those of an empty register first."""
    rows, links = list[Mapping[str, Any]](), [("", 0)]
    for raw in raws:
        row, (head, total) = _read(raw, len(links)), links[-1]
        rows.append(row)
        links.append((_next(head, raw), total + row["bytes"]))
    return tuple(rows), links


def _read(raw: bytes, number: int) -> dict[str, Any]:
    """A row in its place. Untrusted (E-LEDGER) for anything else."""
    try:
        row = json.loads(raw)
        texts = [row["time"], *row["statistics"], *_rules(row), *(row.get(name) or "" for name in _SHOWN)]
        whole = row["number"] == number and type(row["bytes"]) is int and all(isinstance(text, str) for text in texts)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise _broken() from error
    if not whole:
        raise _broken()
    return dict(row)


def _sealed(links: Sequence[tuple[str, int]], ledger: Iterable[Entry]) -> int:
    """Up to which row a ledger sealed. Untrusted (E-LEDGER) where it sealed others."""
    number = 0
    for facts in (entry.facts for entry in ledger if entry.event == EVENT):
        number = facts.get("messages", -1)
        if type(number) is not int or not 0 <= number < len(links):
            raise _broken()
        if links[number] != (facts.get("head"), facts.get("bytes")):
            raise _broken()
    return number


def border_lines(log: str, store: Store) -> Iterator[bytes]:
    """A register as a file: whose it is, then its rows as they are stored, a line each. The log's seals vouch for them."""
    yield canonical({"schema": SCHEMA, "log": log}) + b"\n"
    for _, _, raw, _ in _stored(store):
        yield raw + b"\n"


def read_border(raw: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The name of the log that seals a register, and its rows, from what `border_lines` wrote. Invalid: E-BORDER."""
    first, *rows = raw.split(b"\n")
    try:
        head = json.loads(first)
        if head["schema"] != SCHEMA or rows[-1:] != [b""]:
            raise KeyError
        return str(head["log"]), tuple(rows[:-1])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise Invalid(
            "E-BORDER", "not an exported border register", "`isthmus audit export --border` writes one"
        ) from error


def _stored(store: Store, start: int = 0) -> Iterator[tuple[int, int, bytes, str]]:
    while True:
        page = store.rows(sa.select(ROWS).where(ROWS.c.number >= start).order_by(ROWS.c.number).limit(_PAGE))
        for number, total, row, head in page:
            yield number, total, bytes(row), head
        if len(page) < _PAGE:
            return
        start = page[-1][0] + 1


def _row(message: Message, crossing: Crossing) -> dict[str, Any]:
    step, asked, pooled = crossing.step, message.header.get("descriptor"), _pooled(message, crossing.opened)
    if step is None and message.kind == "sum" and pooled:
        step = pooled[0]
    asked = asked if isinstance(asked, Mapping) else {}  # a round of the hub says what it asks
    carried = [step] if step and message.kind == "masked" else pooled
    return {
        "run": message.run,
        "study": crossing.study,
        "message": message.kind,
        "question": step.question if step else str(asked.get("question", "")),
        "kind": step.kind if step else str(asked.get("kind", "")),
        "statistics": sorted({f.kind for each in carried for f in each.layout.fields}),
        **({"pooled": sorted({each.question for each in pooled})} if pooled else {}),
        "bytes": weight(message),
        **_told(crossing.way),
    }


def _pooled(message: Message, opened: Mapping[str, Step]) -> list[Step]:
    """Whose pooled sums a message of the hub carries: those of a round, or the one of a `sum`."""
    if not opened:
        return []
    told = [message.header["sum"]] if "sum" in message.header else message.header.get("sums", ())
    return [opened[each["context"]] for each in told if each["context"] in opened]


def _rules(row: Mapping[str, Any]) -> Sequence[str]:
    """The rules of law that decided on a row's way; registers had one rule for all of them before they had this."""
    return list(row["rules"]) if "rules" in row else [row["rule"]] if row.get("rule") else []


@lru_cache(maxsize=64)  # of every message of a run the same
def _told(way: Leg | None) -> Mapping[str, Any]:
    return plain(way) if way else {}


def _next(head: str, row: bytes) -> str:
    return hashlib.sha256(head.encode() + b"\n" + row).hexdigest()


def _rolled_back() -> Untrusted:
    message = "the border register does not hold what this node's ledger sealed"
    return Untrusted("E-ROLLBACK", message, "restore the newest state; isthmus audit border tells more")


def _broken() -> Untrusted:
    message = "the border register is not what this node's ledger sealed: a row was changed, lost or added"
    return Untrusted("E-LEDGER", message, "restore the newest state of the store")
