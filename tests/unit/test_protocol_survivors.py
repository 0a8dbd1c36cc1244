"""The survivor rules one by one: which set a site that stands somewhere may sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.federation.protocol.context import Binding
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.survivors import Final, Partial, Place, Standing, Unsigned, check_step
from isthmus.model.errors import Untrusted
from secagg_lab import lab

ROSTER = tuple("abcdefg")  # t = 5
SIX, FIVE, OTHER = tuple("abcdef"), tuple("abcde"), tuple("bcdef")


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    return Binding(lab(tmp_path, 7).charter)


def place(bound: bool = False) -> Place:
    return Place("00", ROSTER, Head(size=0, root=""), bound)


ALLOWED = [
    (Unsigned(), Final(ROSTER)),
    (Unsigned(), Partial(SIX)),
    (Partial(SIX), Partial(FIVE)),
    (Partial(SIX), Final(SIX)),
    (Partial(SIX), Final(FIVE)),
    (Final(SIX), Final(SIX)),
]
REFUSED = [
    (Partial(SIX), Final(ROSTER)),
    (Partial(FIVE), Partial(SIX)),
    (Partial(FIVE), Partial(OTHER)),
    (Final(SIX), Final(FIVE)),
    (Final(SIX), Partial(FIVE)),
    (Final(ROSTER), Partial(ROSTER)),
    (Unsigned(), Partial(("a", "b", "c", "d", "z"))),
    (Unsigned(), Partial(("b", "a", "c", "d", "e"))),
    (Unsigned(), Partial(("a", "a", "b", "c", "d"))),
]


@pytest.mark.parametrize(("standing", "wanted"), ALLOWED)
def test_allowed(binding: Binding, standing: Standing, wanted: Partial | Final) -> None:
    check_step(binding, place(), standing, wanted)


@pytest.mark.parametrize(("standing", "wanted"), REFUSED)
def test_refused(binding: Binding, standing: Standing, wanted: Partial | Final) -> None:
    with pytest.raises(Untrusted) as caught:
        check_step(binding, place(), standing, wanted)
    assert caught.value.code == "E-SURVIVORS"


def test_too_few(binding: Binding) -> None:
    with pytest.raises(Untrusted) as caught:
        check_step(binding, place(), Unsigned(), Final(tuple("abcd")))
    assert caught.value.code == "E-MIN-SITES"


@pytest.mark.parametrize("wanted", [Partial(ROSTER), Partial(SIX), Final(SIX)])
def test_bound(binding: Binding, wanted: Partial | Final) -> None:
    check_step(binding, place(bound=True), Unsigned(), Final(ROSTER))
    with pytest.raises(Untrusted) as caught:
        check_step(binding, place(bound=True), Unsigned(), wanted)
    assert caught.value.code == "E-SURVIVORS"
