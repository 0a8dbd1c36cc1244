"""Attack: the hub opens b_a as it should, and then asks for the mask keys k_*a of the same round.

Defence: final is a one-way door. After a site signed a final set it reveals no mask key of that round.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from secagg_evil import Evil, same, without_standing

from attack import Attack, Say
from isthmus.model.errors import Untrusted

ATTACK = Attack("Both masks of one site", "final is a one-way door")


def opened(evil: Evil) -> bytes:
    signatures = {site: evil.sign(site, "abcd", final=True) for site in "abcd"}
    return evil.seed({site: evil.open(site, "abcd", signatures)["a"] for site in "bcd"})


def test_it_works_on_sites_that_forget_what_they_signed(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_standing(monkeypatch)
    evil = Evil(tmp_path)
    seed = opened(evil)
    signatures = {site: evil.sign(site, "bcd", final=False) for site in "bcd"}
    keys = {site: evil.recover(site, "bcd", signatures)["a"] for site in "bcd"}
    assert same(evil.value("a", seed, keys), evil.truth("a"))
    leak("one site's sum opened")


@pytest.mark.parametrize("restart", [False, True])
def test_no_mask_key_after_the_final_set(stop: Say, tmp_path: Path, restart: bool) -> None:
    evil = Evil(tmp_path)
    opened(evil)
    forged = {site: evil.traitor_signs(site, "bcd", final=False) for site in "bcd"}
    for site in "bcd":
        if restart:
            evil.network.sites[site] = evil.lab.site(site)
        with pytest.raises(Untrusted, match="final") as caught:
            evil.sign(site, "bcd", final=False)
        assert caught.value.code == "E-SURVIVORS"
        with pytest.raises(Untrusted) as caught:  # even if t sites had signed it
            evil.recover(site, "bcd", forged)
        assert caught.value.code == "E-SURVIVORS"
    stop("E-SURVIVORS, after a restart too")


def test_no_self_seed_of_a_dropped_site(tmp_path: Path) -> None:
    """The other way round: mask keys of a were revealed, so b_a stays shut, signatures or not."""
    evil = Evil(tmp_path)
    signatures = {site: evil.sign(site, "bcd", final=False) for site in "bcd"}
    evil.recover("b", "bcd", signatures)
    forged = {site: evil.traitor_signs(site, "abcd", final=True) for site in "bcd"}
    with pytest.raises(Untrusted) as caught:
        evil.open("b", "abcd", forged)
    assert caught.value.code == "E-SURVIVORS"
