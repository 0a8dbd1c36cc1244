"""Attack: a mean in each place, errors clustered by site. Ten sites are enough for such errors, but one place lies at two of
them. There the scores of the two sites add to 0, so that the error tells both: how far each site's total is from the mean.

Defence: a model in a level of a meta-analysis takes no sites as clusters or groups, whatever the number of sites.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hole_lab import ask, patients

from attack import Attack, Say
from isthmus.model.errors import Invalid
from isthmus.statistics.meta_models import Inner

ATTACK = Attack("A place at two sites, errors clustered by site", "no sites as clusters in a level")
MEAN = {"glm": {"formula": "CHOL ~ 1", "family": "gaussian", "cluster": "site"}}
QUESTION = {"by": "PLACE", "of": MEAN, "term": "(Intercept)", "method": "fixed"}


def tables() -> list[dict[str, Any]]:
    """Ten sites; people of the west are at the first two."""
    found = [patients(seed) for seed in range(10)]
    for at, table in enumerate(found):
        table["PLACE"] = np.where((np.arange(len(table["AGE"])) < 200) & (at < 2), "west", "east").astype(object)
    return found


def test_without_the_check_the_error_is_one_sites_total(leak: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inner, "needs", property(lambda self: self.statistic.needs(self.question)))
    west = next(row for row in ask("meta", QUESTION, tables())["terms"] if row["term"] == "west")
    mean = west["estimate"] + west["std_error"] * west["n"] / math.sqrt(2.0) / 200  # of the site that lies above
    assert mean == pytest.approx(max(table["CHOL"][:200].mean() for table in tables()[:2]))
    leak("one hospital's mean, exactly")


def test_it_is_not_asked(stop: Say) -> None:
    with pytest.raises(Invalid, match="a few sites only") as caught:
        ask("meta", QUESTION, tables())
    assert caught.value.code == "E-META"
    stop("no question of such a kind is a study")
