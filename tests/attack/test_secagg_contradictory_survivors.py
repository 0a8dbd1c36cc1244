"""Attack: four sites, the hub and site d are traitors. Three contradictory survivor sets open site a's own value.

a hears that c is lost, b that a is lost, c that all are there. Defence: nothing is revealed or opened without t
signatures on one set (M4).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from secagg_evil import Evil, same, without_quorums

from attack import Attack, Say
from isthmus.model.errors import Untrusted

ATTACK = Attack("Contradictory survivor sets", "t signatures on one set")


LIES = {"a": ("abd", False), "b": ("bcd", False), "c": ("abcd", True)}


def test_it_works_on_sites_that_skip_the_quorum(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_quorums(monkeypatch)
    evil = Evil(tmp_path)
    keys = {
        "b": evil.recover("b", "bcd", {})["a"],
        "c": evil.recover("a", "abd", {})["c"],  # a itself gives the key it shares with c
        "d": evil.traitor_key("d", "a"),
    }
    shares = {
        "a": evil.open("a", "abd", {})["a"],
        "c": evil.open("c", "abcd", {})["a"],
        "d": evil.traitor_share("d", "a"),
    }
    assert same(evil.value("a", evil.seed(shares), keys), evil.truth("a"))
    leak("one site's sum opened")


def test_no_lie_gets_a_quorum(stop: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    signatures: dict[tuple[str, bool], dict[str, str]] = {lie: {} for lie in LIES.values()}
    for lie in LIES.values():
        signatures[lie]["d"] = evil.traitor_signs("d", *lie)
    for site, lie in LIES.items():
        signatures[lie][site] = evil.sign(site, *lie)
    for site in "abc":
        for lie, collected in signatures.items():
            survivors, final = lie
            if site in collected or site not in survivors:
                continue
            with pytest.raises(Untrusted, match=r"dropped|final") as caught:
                collected[site] = evil.sign(site, survivors, final)
            assert caught.value.code == "E-SURVIVORS"
    for site, (survivors, final) in LIES.items():
        act = evil.open if final else evil.recover
        with pytest.raises(Untrusted) as caught:
            act(site, survivors, signatures[survivors, final])
        assert caught.value.code == "E-QUORUM"
    stop("no set gets a quorum")
