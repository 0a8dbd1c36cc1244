"""A malicious hub gives out a sum of its own making, so that the next derived parameters make one patient speak alone,
and reads that patient's row off the sum of the round after.

Up to 1 MiB a reply sites add up the signed replies themselves, and a false sum is E-SUM. Above, the hub's signed sum is
taken; told alike to all, it steers. Defence there: every site weighs its own rows in every round. Here every round counts
as large, so that the model need not have 260 columns.
"""

from __future__ import annotations

from typing import Any

import pytest
from history_lab import Forgetful
from steering_lab import MODEL, SHARE, false, row_in, unguarded, victim

from attack import Attack, Say
from isthmus.crypto.ring import pack
from isthmus.federation.hub_work import HubWork
from isthmus.federation.protocol import hub_opening, site_rounds
from isthmus.federation.protocol.context import Turn
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary

ATTACK = Attack(
    "Steering: the hub's false sum makes one patient speak alone", "sites add up; above 1 MiB, weight guard"
)


class Evil:
    """A hub whose second sum of the model is false. What it asked with, and the true sums it opened, it keeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
        self.params: dict[int, Any] = {}
        self.sums: dict[int, Summary] = {}
        self.asked: Any = None
        true, step = hub_opening.summed, HubWork.next

        def summed(turn: Turn, chunks: Any, keep: Any) -> Summary:
            words: list[bytes] = []
            pooled = true(turn, chunks, words.append)
            if turn.step.question == "m":
                self.params[turn.step.round], self.sums[turn.step.round] = self.asked.params, pooled
                if turn.step.round == 2:
                    pooled = false(pooled, self.asked.params, 1.0)
                    words = [pack(turn.packing, pooled, turn.context).astype("<u8").tobytes()]
            for piece in words:
                keep(piece)
            return pooled

        def following(hub: HubWork) -> Any:
            found = step(hub)
            if found is not None and found.question == "m":
                self.asked = hub.script.outcomes["m"].round
            return found

        monkeypatch.setattr(hub_opening, "summed", summed)
        monkeypatch.setattr(HubWork, "next", following)
        if large:
            monkeypatch.setattr(hub_opening, "by_replies", lambda _turn: False)
            monkeypatch.setattr(site_rounds, "by_replies", lambda _turn: False)


def test_it_works_on_sites_that_do_not_weigh_their_rounds(monkeypatch: pytest.MonkeyPatch, leak: Say) -> None:
    unguarded(monkeypatch)
    hub, sites = Evil(monkeypatch, large=True), Forgetful()
    sites.ask(m=MODEL)
    row = row_in(hub.sums[3]["gram"], hub.params[3])
    age, pressure = victim(sites)
    assert row == pytest.approx([1.0, age, pressure], rel=1e-6)
    leak(f"one patient: age {row[1]:.2f}, pressure {row[2]:.1f}, to {abs(row[2] / pressure - 1):.0e}")


def test_through_the_site_a_large_round_is_weighed(monkeypatch: pytest.MonkeyPatch, stop: Say) -> None:
    hub, sites = Evil(monkeypatch, large=True), Forgetful()
    assert sites.ask(m=MODEL).refused("m")
    assert any(site == "leeds" and SHARE in why for site, _, why in sites.notes)
    assert row_in(hub.sums[3]["gram"], hub.params[3]) != pytest.approx([1.0, *victim(sites)], rel=1e-3)
    assert 4 not in hub.sums
    stop("the steered round ends as refused: its sum is noise")


def test_through_the_site_a_small_round_is_not_steered(monkeypatch: pytest.MonkeyPatch, stop: Say) -> None:
    """Sites add up the signed replies, derive another step than the hub asks for, and stop."""
    hub, sites = Evil(monkeypatch, large=False), Forgetful()
    with pytest.raises(Untrusted):
        sites.ask(m=MODEL)
    assert 3 not in hub.sums
    stop("a false sum of a small round is not believed")
