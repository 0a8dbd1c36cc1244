"""How many sites every sum of a run must hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from governance_alliance import draft

from isthmus.federation.request import least_sites
from isthmus.model.privacy import Privacy

BUDGET = Privacy(rho=1.0, delta=1e-6, per_person=1.0, per_project=1.0, colluders=1)


@pytest.mark.parametrize(("survivors", "least"), [(None, 3), (2, 3), (5, 5)])
def test_noise_sized_for_more_survivors_than_the_rules_ask_asks_for_them(survivors: int | None, least: int) -> None:
    agreement = draft()
    entry = replace(agreement.dataset("trial"), privacy=replace(BUDGET, minimum_survivors=survivors))
    assert least_sites(replace(agreement, datasets=(entry,)), "trial") == least


def test_without_a_budget_the_rules_say() -> None:
    assert least_sites(draft(), "trial") == 3
