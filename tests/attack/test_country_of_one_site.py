"""Attack: two countries, one of them with a single hospital. The result of the other country, beside that of all, is the
hospital's own: a mean here, by subtraction; asked for by itself, a count.

Defence: results of countries are given only where each country and the rest have `minimum_sites` legal entities; a question
that tells such a country apart is refused.
"""

import pyarrow as pa
import pytest
from hole_lab import patients

import isthmus
from attack import Attack
from isthmus.model.rules import OPEN
from stated_rules import STRICT

ATTACK = Attack("A country of one hospital", "`minimum_sites` legal entities in each country and its rest")
HOME = {"leeds": "GB", "oxford": "GB", "york": "GB", "boston": "US"}
MEAN = {"glm": {"formula": "CHOL ~ 1", "family": "gaussian"}}
TABLES = {site: patients(seed) for seed, site in enumerate(HOME)}


def ask(rules, analysis, **more):
    study = isthmus.Study(title="t", dataset="d", analyses={"m": analysis}, **more)
    tables = {site: pa.table(table) for site, table in TABLES.items()}
    return isthmus.rehearse(study, tables, rules=rules, countries=HOME).to_dict()


def total(answer):
    return answer["n"] * answer["terms"][0]["estimate"]


def test_the_difference_is_one_hospital(leak):
    found = ask(OPEN, MEAN, groups={"by": "country"})["analyses"]["m"]
    british = found["groups"]["GB"]
    mean = (total(found) - total(british)) / (found["n"] - british["n"])
    assert mean == pytest.approx(TABLES["boston"]["CHOL"].mean())
    leak("one hospital's mean, exactly")


def test_no_country_has_a_result_of_its_own(stop):
    found = ask(STRICT, MEAN, groups={"by": "country"})
    assert "terms" in found["analyses"]["m"]
    assert "groups" not in found["analyses"]["m"]
    assert found["groups"]["withheld"]["code"] == "E-COUNTRY"
    stop("the whole is answered, no country is, and the result says why")


@pytest.mark.parametrize(
    "analysis",
    [
        {"count": {"by": ["country"]}},
        {"log_rank": {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["country"]}},
    ],
)
def test_nor_is_one_told_apart_by_a_question(stop, analysis):
    with pytest.raises(isthmus.Refused) as caught:
        ask(STRICT, analysis)
    assert caught.value.code == "E-COUNTRY"
    stop("a question by country is refused")
