"""Attack: the hub asks for shares before t sites signed the final set, then has another set signed and recovered.

Defence: M6 is answered only to t valid signatures of distinct survivors on (context, set, final, ledger head).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from secagg_evil import Evil, same, without_quorums

from attack import Attack, Say
from isthmus.federation.protocol import site_rounds
from isthmus.model.errors import Untrusted

ATTACK = Attack("Opening before the quorum", "t valid signatures of distinct survivors")


def test_it_works_on_sites_that_open_at_once(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_quorums(monkeypatch)
    monkeypatch.setattr(site_rounds.Rounds, "_move", lambda *_: None)  # and do not note what they opened
    evil = Evil(tmp_path)
    seed = evil.seed({site: evil.open(site, "abcd", {})["a"] for site in "bcd"})
    keys = {site: evil.recover(site, "bcd", {})["a"] for site in "bcd"}
    assert same(evil.value("a", seed, keys), evil.truth("a"))
    leak("one site's sum opened")


def test_fewer_than_t_signatures_open_nothing(stop: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    signatures = {site: evil.sign(site, "abcd", final=True) for site in "ab"}
    refused(evil, "abcd", signatures)
    stop("nothing is opened")


def test_signatures_that_do_not_count(tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    good = {site: evil.sign(site, "abcd", final=True) for site in "ab"}
    refused(evil, "abcd", good | {"d": "00" * 64})  # no signature at all
    refused(evil, "abcd", good | {"d": good["a"]})  # another site's
    refused(evil, "abcd", good | {"stranger": good["a"]})
    refused(evil, "abcd", good | {"d": evil.traitor_signs("d", "abcd", final=False)})  # on another stage
    refused(evil, "abcd", good | {"d": evil.traitor_signs("d", "acd", final=True)})  # on another set


def refused(evil: Evil, survivors: str, signatures: dict[str, str]) -> None:
    with pytest.raises(Untrusted) as caught:
        evil.open("c", survivors, signatures)
    assert caught.value.code == "E-QUORUM"


def test_a_set_below_the_threshold_is_not_signed(tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    with pytest.raises(Untrusted) as caught:
        evil.sign("a", "ab", final=True)
    assert caught.value.code == "E-MIN-SITES"


def test_legal_entities_are_counted_not_sites(tmp_path: Path) -> None:
    """Three sites of two parties: the second party would learn the first one's statistic from the sum."""
    evil = Evil(tmp_path, parties={"a": "one", "b": "one", "c": "two", "d": "three"}, minimum_sites=3)
    with pytest.raises(Untrusted) as caught:
        evil.sign("a", "abc", final=False)
    assert caught.value.code == "E-MIN-SITES"


def test_fewer_survivors_than_the_noise_is_sized_for_are_not_signed(tmp_path: Path) -> None:
    """Four of five reach the threshold, not the charter's least, which is a privacy budget's `minimum_survivors`."""
    (tmp_path / "five").mkdir()
    with pytest.raises(Untrusted) as caught:
        Evil(tmp_path / "five", sites=5, minimum_sites=5).sign("a", "abcd", final=False)
    assert caught.value.code == "E-MIN-SITES"
    (tmp_path / "three").mkdir()
    assert Evil(tmp_path / "three", sites=5, minimum_sites=3).sign("a", "abcd", final=False)


def test_another_ledger_head_is_not_cosigned(tmp_path: Path) -> None:
    """Sites that were shown different ledgers do not make a quorum: the signature covers the head."""
    evil = Evil(tmp_path)
    signatures = {site: evil.sign(site, "abcd", final=True) for site in "ab"}
    evil.asked.head = type(evil.asked.head)(size=7, root="11" * 32)
    refused(evil, "abcd", signatures | {"d": evil.traitor_signs("d", "abcd", final=True)})
