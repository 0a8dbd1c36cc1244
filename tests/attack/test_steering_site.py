"""A malicious site sends false sums in one round, so that the next derived parameters make one patient of another site
speak alone; it reads that patient's row off the pooled sum of the round after.

Every site checks that the sum is what the sites sent, and it is: honest values are not claimed. Defence: the other site
weighs its own rows in every round, whoever steered it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from history_lab import Forgetful
from steering_lab import MODEL, SHARE, false, row_in, unguarded, victim

from attack import Attack, Say
from isthmus.disclosure.gate import clear, release
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.federation.protocol.charter import Step
from isthmus.federation.work import SiteWork
from isthmus.model.canonical import digest
from isthmus.model.rules import OPEN
from isthmus.summary import Summary

ATTACK = Attack("Steering: a site's false sums make another site's patient speak alone", "weight guard")
LOUD = 1e9  # above what honest rows add up to; their part moves the target by a billionth


@dataclass
class Steering:
    """A site of its own mind: honest in the vote and the first round; the second is false, the third is known."""

    inner: SiteWork
    params: dict[int, Any] = field(default_factory=dict)
    learnt: dict[int, Summary] = field(default_factory=dict)

    def answer(self, step: Step) -> Any:
        if step.question != "m" or step.round < 2:
            return self.inner.answer(step)
        asked = self.inner.script.outcomes["m"].round
        self.params[step.round] = asked.params
        empty = Summary(asked.layout, {f.name: np.zeros(f.shape, dtype=f.dtype) for f in asked.layout.fields})
        if step.round == 2:
            part = false(empty, asked.params, LOUD)
        else:  # the identity, so that the others' flow goes on and this site gets the sum
            part = Summary(asked.layout, {**empty.values, "gram": np.eye(3)})
        return release(part, None, clear(digest("evil"), consider(Evidence(rows=100), OPEN)), OPEN)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        if step.question == "m":
            self.learnt[step.round] = pooled
        self.inner.learn(step, pooled, survivors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Betrayed(Forgetful):
    """Leeds and Oxford are honest, Boston is not."""

    traitor: Steering | None = None

    def work(self, site: str, own: SiteWork) -> Any:
        if site != "boston":
            return own
        self.traitor = Steering(own)
        return self.traitor


def test_it_works_on_sites_that_do_not_weigh_their_rounds(monkeypatch: pytest.MonkeyPatch, leak: Say) -> None:
    unguarded(monkeypatch)
    sites = Betrayed()
    sites.ask(m=MODEL)
    seen = sites.traitor
    row = row_in(seen.learnt[3]["gram"] - np.eye(3), seen.params[3])
    age, pressure = victim(sites)
    assert row == pytest.approx([1.0, age, pressure], rel=1e-6)
    leak(f"one patient of another site: age {row[1]:.2f}, pressure {row[2]:.1f}, to {abs(row[2] / pressure - 1):.0e}")


def test_through_the_site_the_third_round_is_refused(stop: Say) -> None:
    sites = Betrayed()
    assert sites.ask(m=MODEL).refused("m")
    assert any(site == "leeds" and SHARE in why for site, _, why in sites.notes)
    seen = sites.traitor
    assert int(seen.learnt[3].values["agree"][0]) != 0
    noise = row_in(seen.learnt[3]["gram"] - np.eye(3), seen.params[3])
    assert noise != pytest.approx([1.0, *victim(sites)], rel=1e-3)
    assert 4 not in seen.learnt
    stop("the steered round ends as refused: its sum is noise")
