"""A sum of mixed signs and the sum of its absolute values give the few negative contributions away."""

import numpy as np
import pyarrow as pa
import pytest
from hole_lab import ROWS, STRICT, TARGET, sites

import isthmus
from attack import Attack, Say
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.model.rules import OPEN

ATTACK = Attack("A mean of mixed signs beside the mean of its size", "dominance on each side where signs mix")
DERIVED = {"SIZE": "SQRT(CHANGE * CHANGE)"}  # no comparison, no hinge: nothing that the guards on expressions could see


def tables():
    """A change in blood pressure that fell in one person only."""
    found = sites()
    for table in found:
        table["CHANGE"] = table["BMI"].copy()
    found[0]["CHANGE"][TARGET] = -float(found[0]["BMI"][TARGET])
    return found


def means(rules, made):
    study = isthmus.Study(
        title="t",
        question="q",
        dataset="d",
        derive=DERIVED,
        analyses={name: {"table_one": {"variables": [name]}} for name in ("CHANGE", "SIZE")},
        purpose={"duo": "DUO:0000007", "text": "x", "commercial": False},
    )
    files = {f"s{i}": pa.table(table) for i, table in enumerate(made)}
    return isthmus.rehearse(study, sites=files, rules=rules).to_dict()["analyses"]


def test_bare_two_means_give_one_persons_value(leak: Say) -> None:
    made = tables()
    found = means(OPEN, made)
    signed, size = (found[name]["cells"][0]["mean"] for name in ("CHANGE", "SIZE"))
    assert (size - signed) * 3 * ROWS / 2 == pytest.approx(-made[0]["CHANGE"][TARGET])
    leak(f"the one negative value, {made[0]['CHANGE'][TARGET]:.2f}, exactly")


def test_through_the_site_the_mean_of_mixed_signs_is_refused(stop: Say) -> None:
    found = means(STRICT, tables())
    assert found["CHANGE"]["error"]["code"] == "E-DISCLOSURE"
    assert "cells" in found["SIZE"]
    stop("the signed mean is refused; the mean of the size alone tells nothing")


def test_a_change_that_many_people_have_on_both_sides_is_answered():
    made = tables()
    for seed, table in enumerate(made):
        table["CHANGE"] = np.round(np.random.default_rng(seed).normal(1.0, 8.0, ROWS), 1)
    assert "cells" in means(STRICT, made)["CHANGE"]


def test_absolute_values_alone_let_one_side_be_one_person():
    values = np.append(np.full(400, 30.0), -40.0)
    rules = isthmus.sdk.rules.read_rules({**STRICT, "minimum_count": 1})
    assert consider(Evidence(rows=401, sums={"x": np.abs(values)}), rules).holds  # the rule without the signs
    (told,) = [v for v in consider(Evidence(rows=401, sums={"x": values}), rules).verdicts if v.broken]
    assert told.rule == "dominance"
