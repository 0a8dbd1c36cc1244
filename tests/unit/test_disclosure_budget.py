"""The budget: sub-budgets, the hard stop, the same values for nothing, threads, a restart."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from isthmus.disclosure.budget import Account, MemoryPurse, Purse, check_privacy
from isthmus.federation.purse import SqlPurse
from isthmus.federation.store import open_store
from isthmus.model.errors import Invalid, Refused
from isthmus.model.privacy import Privacy

PRIVACY = Privacy(rho=1.0, delta=1e-6, per_person=0.6, per_project=0.5, colluders=1)
ADA, BEN = Account(person="ada", project="p"), Account(person="ben", project="q")
TENTH = Fraction(1, 10)


@pytest.fixture(params=["memory", "store"])
def purse(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "memory":
        yield MemoryPurse(PRIVACY, ADA)
        return
    store = open_store(tmp_path / "state.db")
    yield SqlPurse(store, "a trial", PRIVACY, ADA)
    store.close()


def test_a_release_is_paid_for_once_and_keeps_its_values(purse: Purse) -> None:
    assert purse.spend("k", TENTH, lambda: b"first") == b"first"
    assert purse.paid("k")
    assert purse.spend("k", TENTH, lambda: b"second") == b"first"
    assert purse.left() == Fraction(4, 10)


def test_the_hard_stop_spends_and_keeps_nothing(purse: Purse) -> None:
    for k in range(5):
        purse.spend(f"k{k}", TENTH, lambda: b"")
    with pytest.raises(Refused) as caught:
        purse.spend("more", Fraction(1, 10**9), lambda: b"never")
    assert caught.value.code == "E-BUDGET"
    assert not purse.paid("more")
    assert purse.left() == 0


def test_sub_budgets_and_the_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")
    mine = SqlPurse(store, "a trial", PRIVACY, ADA)
    mine.spend("1", Fraction(1, 2), lambda: b"")
    other = SqlPurse(store, "a trial", PRIVACY, Account(person="ada", project="r"))
    assert (mine.left(), other.left()) == (0, TENTH)  # the project's rest, the person's
    third = SqlPurse(store, "a trial", PRIVACY, BEN)
    third.spend("2", Fraction(1, 2), lambda: b"")
    assert SqlPurse(store, "a trial", PRIVACY, Account(person="cy", project="s")).left() == 0  # the dataset's
    assert SqlPurse(store, "a other", PRIVACY, ADA).left() == Fraction(1, 2)
    store.close()
    again = open_store(tmp_path / "state.db")
    assert SqlPurse(again, "a trial", PRIVACY, ADA).left() == 0
    again.close()


def test_threads_never_spend_more_than_there_is(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")
    done: list[int] = []

    def spend(k: int) -> None:
        try:
            SqlPurse(store, "a trial", PRIVACY, ADA).spend(f"k{k}", TENTH, lambda: b"")
            done.append(k)
        except Refused:
            pass

    threads = [threading.Thread(target=spend, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 5
    assert SqlPurse(store, "a trial", PRIVACY, ADA).left() == 0
    store.close()


def test_two_processes_on_one_store_never_spend_more_than_there_is(tmp_path: Path) -> None:
    first, second = (open_store(tmp_path / "state.db") for _ in range(2))
    done = 0
    for k in range(10):
        try:
            SqlPurse((first, second)[k % 2], "a trial", PRIVACY, ADA).spend(f"k{k}", TENTH, lambda: b"")
            done += 1
        except Refused:
            pass
    assert done == 5
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("rho", 0.0, 0.6),
        ("delta", 0.0, 1e-9),
        ("delta", 1.0, 0.5),
        ("per_person", 1.1, 1.0),
        ("per_person", 0.0, 0.1),
        ("per_project", 1.1, 1.0),
        ("per_project", 0.0, 0.1),
        ("minimum_survivors", 2, 3),
        ("minimum_survivors", 6, 5),
        ("colluders", 3, 2),
        ("colluders", 0, 1),
    ],
)
def test_a_budget_that_makes_no_sense_is_named(name: str, bad: float, good: float) -> None:
    """Of five sites, three in each sum."""
    check_privacy(replace(PRIVACY, **{name: good}), 3, 5)
    with pytest.raises(Invalid) as caught:
        check_privacy(replace(PRIVACY, **{name: bad}), 3, 5)
    assert caught.value.code == "E-PRIVACY"
    assert caught.value.where == f"privacy.{name}"
