"""A peer's failure: two subsets and two means give one record (DataSHIELD's shipped defaults, dsBase#251, open since 2021).

Each subset is larger than the filter, each mean is answered; n1 * mean1 - n2 * mean2 is the one who is in only one.
Defence: the site's history of row sets, whoever asks and however the subset is written.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from history_lab import VICTIM, VICTIMS_AGE, Forgetful, Recalling

from attack import Attack, Say

ATTACK = Attack("Two subsets and two means", "history: near an earlier set", peer="DataSHIELD, dsBase#251")
TABLE = {"table_one": {"variables": ["SBP"]}}
FIRST, SECOND = f"AGE <= {VICTIMS_AGE}", f"NOT (AGE >= {VICTIMS_AGE}) AND AGE IS NOT NULL"


def test_bare_two_means_give_one_record(leak: Say) -> None:
    sites = Forgetful()
    one, two = sites.ask(FIRST, m=TABLE), sites.ask(SECOND, m=TABLE)
    assert not one.refused("m")
    assert not two.refused("m")
    secret = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    people = []
    for table in sites.tables.values():
        rows = table.to_pylist()
        people.append(
            ([r["SBP"] for r in rows if r["AGE"] <= VICTIMS_AGE], [r["SBP"] for r in rows if r["AGE"] < VICTIMS_AGE])
        )
    means = [sum(map(sum, side)) for side in zip(*people, strict=True)]
    assert means[0] - means[1] == pytest.approx(secret)
    leak(f"one patient's pressure, {secret:.0f}, exactly")


def test_through_the_site_the_second_mean_is_refused(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(FIRST, m=TABLE).refused("m")
    assert sites.ask(SECOND, m=TABLE).refused("m")
    stop("the second mean is refused")
