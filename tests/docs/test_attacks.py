"""docs/attacks.md has a line for each attack file, with what the file declares."""

from __future__ import annotations

import sys

from documents import ROOT, rows

sys.path.insert(0, str(ROOT / "tests" / "attack"))
from attack import declared

PAGE = ROOT / "docs" / "attacks.md"
LIST = range(1, 26)
PEERS = ("dsBase#251", "vantage6#2017", "glmDS2", "ds.quantileMean")


def test_every_file_has_its_line() -> None:
    shown = {row[1].partition("](../tests/attack/")[2].partition(")")[0]: row for row in rows(PAGE.read_text())}
    assert list(shown) == list(declared()), "run `make attack`"
    for file, attack in declared().items():
        number, name, leak, stop, rule = shown[file]
        assert number == str(attack.number or "")
        assert attack.name in name
        assert rule == attack.rule
        assert leak, file
        assert stop, file


def test_no_number_is_twice() -> None:
    numbers = [attack.number for attack in declared().values() if attack.number is not None]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= set(LIST)


def test_every_number_of_the_list_is_declared() -> None:
    assert set(LIST) - {attack.number for attack in declared().values()} == set()


def test_every_failure_of_a_peer_is_attacked() -> None:
    peers = [attack.peer for attack in declared().values() if attack.peer]
    assert [failure for failure in PEERS if not any(failure in peer for peer in peers)] == []
