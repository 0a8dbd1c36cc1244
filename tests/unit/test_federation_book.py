"""A site's record of questions: durable, charged once, forgotten when not asked, bound to a chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from pyroaring import BitMap

from isthmus.data.persons import Keys
from isthmus.disclosure.history import NEAR, Past
from isthmus.disclosure.traces import Floors, People, RowSet
from isthmus.federation.book import SqlBook, check_history, history_head
from isthmus.federation.recall import CAP, Enrolled, MemoryBook, judge
from isthmus.federation.rowsets import Asked
from isthmus.federation.store import open_store
from isthmus.federation.tables import CHAIN, CHARGES, ENTRIES, SETS, USES
from isthmus.model.errors import Untrusted

FLOOR = Floors(5, 5)
ROWS = np.arange(1, 101, dtype=np.uint64) * np.uint64(7919)


def book(folder: Path, cap: tuple[int | None, int | None] = (None, None), researcher: str = "ada") -> SqlBook:
    return SqlBook(open_store(folder / "leeds.db"), "ward", researcher, cap)


def enrol(held: SqlBook | MemoryBook, rows: np.ndarray = ROWS) -> Enrolled:
    return held.enrol(f"snapshot of {len(rows)}", lambda _secret: Keys(rows, rows))


def question(name: str, low: int, high: int) -> Asked:
    return Asked(name, f"key of {name}", (RowSet("rows", True, BitMap(range(low, high))),))


def ask(held: SqlBook | MemoryBook, run: str, *asked: Asked) -> dict[str, str]:
    return judge(held, run, enrol(held), FLOOR, asked, [one.key for one in asked])


def test_a_study_after_a_restart(tmp_path: Path) -> None:
    assert ask(book(tmp_path), "one", question("a", 0, 80)) == {}
    assert ask(book(tmp_path), "two", question("b", 0, 78)) == {"b": NEAR}
    assert ask(book(tmp_path), "three", question("c", 0, 70)) == {}


def test_what_was_not_agreed_is_forgotten_and_what_an_other_run_asks_is_not(tmp_path: Path) -> None:
    one, two = book(tmp_path), book(tmp_path)
    ask(one, "one", question("a", 0, 80), question("x", 80, 100))
    ask(two, "two", question("b", 0, 80))
    one.settle("one", {"x"})
    assert ask(one, "three", question("c", 0, 78)) == {"c": NEAR}
    two.settle("two", set())
    assert ask(one, "four", question("c", 0, 78)) == {}
    assert ask(one, "five", question("d", 80, 98)) == {"d": NEAR}


class Looks:
    """How often the record was read to set a question against it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, read = 0, SqlBook.past

        def counted(held: SqlBook, people: People, floors: Floors) -> Past:
            self.number += 1
            return read(held, people, floors)

        monkeypatch.setattr(SqlBook, "past", counted)


def test_the_same_question_again_is_not_set_against_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, looks = book(tmp_path), Looks(monkeypatch)
    assert ask(held, "one", question("a", 0, 80)) == {}
    assert ask(held, "two", replace(question("a", 0, 80), name="b")) == {}
    assert looks.number == 1
    held.settle("one", set())
    held.settle("two", {"b"})  # what the second run asked counts by itself
    assert ask(held, "three", question("c", 0, 78)) == {"c": NEAR}
    check_history(held.store, history_head(held.store))


@pytest.mark.parametrize("change", ["another key", "other sets", "other floors", "not agreed", "restarted"])
def test_a_question_that_is_not_known_is_set_against_the_record(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, looks = book(tmp_path), Looks(monkeypatch)
    one = question("a", 0, 80)
    ask(held, "one", one)
    if change == "not agreed":
        held.settle("one", set())
        ask(held, "two", question("b", 0, 79))
    asked = {"another key": replace(one, key="k"), "other sets": replace(question("a", 0, 79), key=one.key)}
    held = book(tmp_path) if change == "restarted" else held
    floors = Floors(9, 9) if change == "other floors" else FLOOR
    looks.number = 0
    found = judge(held, "three", enrol(held), floors, [asked.get(change, one)], [])
    assert looks.number == 1
    assert found == ({"a": NEAR} if change in {"other sets", "not agreed"} else {})


def test_later_questions_of_a_study_give_way(tmp_path: Path) -> None:
    for held in (book(tmp_path), MemoryBook()):
        assert ask(held, "one", question("a", 0, 80), question("b", 0, 79), question("c", 0, 50)) == {"b": NEAR}


def test_the_whole_snapshot_counts_as_asked(tmp_path: Path) -> None:
    most = Asked("population", "k", (RowSet("asked", True, BitMap(range(98))),))
    assert ask(book(tmp_path), "one", most, question("a", 0, 98)) == {"population": NEAR, "a": NEAR}


def test_a_cap_is_a_hard_stop_and_the_same_question_is_free(tmp_path: Path) -> None:
    held = book(tmp_path, cap=(2, None))
    asked = [question("a", 0, 80), question("b", 0, 50), question("c", 0, 30)]
    assert ask(held, "one", *asked) == {"c": CAP}
    assert ask(held, "two", *asked[:2]) == {}
    assert ask(held, "three", question("d", 50, 80)) == {"d": CAP}


def test_refusals_are_charged(tmp_path: Path) -> None:
    held = book(tmp_path, cap=(2, None))
    assert ask(held, "one", question("a", 0, 80), question("b", 0, 79)) == {"b": NEAR}
    assert ask(held, "two", question("c", 0, 50)) == {"c": CAP}


def test_a_researcher_has_a_cap_of_their_own(tmp_path: Path) -> None:
    assert ask(book(tmp_path, (5, 1)), "one", question("a", 0, 80), question("b", 0, 50)) == {"b": CAP}
    assert ask(book(tmp_path, (5, 1), "bob"), "two", question("b", 0, 50)) == {}


def test_ids_stay_over_snapshots(tmp_path: Path) -> None:
    held = book(tmp_path)
    first = enrol(held)
    again = enrol(book(tmp_path), np.concatenate([ROWS[::-1], ROWS[:3] + np.uint64(1)]))
    assert again.ids[:100].tolist() == first.ids[::-1].tolist()
    assert sorted(again.ids[100:].tolist()) == [100, 101, 102]
    assert len(again.people.person) == 103


def test_the_chain_names_what_is_missing(tmp_path: Path) -> None:
    held = book(tmp_path)
    check_history(held.store, None)
    ask(held, "one", question("a", 0, 80))
    before = history_head(held.store)
    ask(held, "two", question("b", 0, 50))
    check_history(held.store, before)  # a crash came between the history and the ledger
    after = history_head(held.store)
    for table in (CHAIN, SETS, USES, CHARGES, ENTRIES):
        kept = [dict(row._mapping) for row in held.store.rows(sa.select(table))]
        held.store.write(sa.delete(table).where(table.c.id == kept[-1]["id"]))
        with pytest.raises(Untrusted, match="E-ROLLBACK"):
            check_history(held.store, after)
        held.store.write(sa.insert(table).values(kept[-1]))
        check_history(held.store, after)
