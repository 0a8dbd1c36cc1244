"""Attack: the hub says that site a dropped, collects every mask key k_*a, then takes a back and opens b_a.

Defence: in a round survivor lists only shrink, and a site is in no set it was dropped from.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from secagg_evil import Evil, same, without_standing

from attack import Attack, Say
from isthmus.model.errors import Untrusted

ATTACK = Attack("A site pretended dropped and taken back", "survivor lists only shrink")


def dropped(evil: Evil) -> dict[str, str]:
    """k_*a, with t honest signatures on the set without a."""
    signatures = {site: evil.sign(site, "bcd", final=False) for site in "bcd"}
    return {site: evil.recover(site, "bcd", signatures)["a"] for site in "bcd"}


def taken_back(evil: Evil) -> bytes:
    signatures = {site: evil.sign(site, "abcd", final=True) for site in "bcd"}
    return evil.seed({site: evil.open(site, "abcd", signatures)["a"] for site in "bcd"})


def test_it_works_on_sites_that_forget_what_they_signed(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_standing(monkeypatch)
    evil = Evil(tmp_path)
    keys = dropped(evil)
    assert same(evil.value("a", taken_back(evil), keys), evil.truth("a"))
    leak("one site's sum opened")


def test_a_dropped_site_cannot_come_back(stop: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    dropped(evil)
    for site in "bcd":
        for final in (False, True):
            with pytest.raises(Untrusted, match="dropped") as caught:
                evil.sign(site, "abcd", final)
            assert caught.value.code == "E-SURVIVORS"
    stop("E-SURVIVORS")


def test_not_even_after_a_restart(tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    dropped(evil)
    for site in "bcd":
        evil.network.sites[site] = evil.lab.site(site)
        with pytest.raises(Untrusted) as caught:
            evil.sign(site, "abcd", final=True)
        assert caught.value.code == "E-SURVIVORS"


def test_the_dropped_site_does_not_sign_its_own_removal(tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    with pytest.raises(Untrusted) as caught:
        evil.sign("a", "bcd", final=False)
    assert caught.value.code == "E-SURVIVORS"
