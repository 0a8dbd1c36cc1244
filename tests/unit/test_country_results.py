"""`groups: {by: country}`: the same questions over the sites of each country, or none and the reason."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.data.dictionary import dictionary
from isthmus.federation.places import Place, check_countries, check_subtotals
from isthmus.federation.plan import make_plan
from isthmus.federation.script import Ended, Script
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused
from isthmus.model.rules import OPEN, Rules
from isthmus.statistics.contract import Estimate
from isthmus.strict import parse
from isthmus.summary import Summary
from isthmus.testing import largest_difference

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import patients

from stated_rules import STRICT

STATED = parse(Rules, STRICT, "rules")
HOME = {"leeds": "GB", "oxford": "GB", "york": "GB", "boston": "US", "denver": "US", "tampa": "US"}
ANALYSES: dict[str, Any] = {
    "risk": {"glm": {"formula": "DIED ~ HIV + AGE", "family": "binomial", "robust": "HC0"}},
    "who": {"table_one": {"variables": ["AGE", "ARM"], "by": "ARM"}},
    "middle": {"quantiles": {"variable": "BMI", "probs": [0.5]}},
    "curve": {"kaplan_meier": {"time": "DAYS", "event": "DIED", "grid": {"every": 100, "to": 600}}},
    "tables": {"meta": {"by": "country", "treatment": "HIV", "outcome": "DIED", "method": "fixed"}},
}


def tables() -> dict[str, Any]:
    return {site: pa.table(patients(seed)) for seed, site in enumerate(HOME)}


def asked(sites: dict[str, Any], rules: Any, home: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    study = isthmus.Study(title="t", dataset="d", analyses=more.pop("analyses", ANALYSES), **more)
    return isthmus.rehearse(study, sites, rules=rules, countries=HOME if home is None else home).to_dict()


def test_each_country_has_the_answer_of_its_own_sites() -> None:
    found = asked(tables(), OPEN, groups={"by": "country"})
    assert found["groups"] == {"by": "country", "countries": ["GB", "US"]}
    for country in ("GB", "US"):
        alone = {site: table for site, table in tables().items() if HOME[site] == country}
        expected = asked(alone, OPEN, dict.fromkeys(alone, country))["analyses"]
        for name in ("risk", "who", "curve"):
            got = found["analyses"][name]["countries" if name == "who" else "groups"][country]
            for key in ("n", "terms", "fit", "cells", "curves"):
                assert largest_difference(got.get(key), expected[name].get(key)) < 1e-9, (name, key)


def test_under_strict_rules_with_three_parties_in_each() -> None:
    found = asked(tables(), STRICT, groups={"by": "country"})["analyses"]
    assert set(found["risk"]["groups"]) == {"GB", "US"}
    parts = [found["risk"]["groups"][country]["n"] for country in ("GB", "US")]
    assert found["risk"]["n"] == sum(parts) == 2400
    assert found["middle"]["groups"]["GB"]["cells"]
    rows = {row["term"]: row for row in found["tables"]["terms"]}
    assert set(rows) == {"GB", "US", "pooled"}


@pytest.mark.parametrize("rules", [STRICT, {**STRICT, "minimum_sites": 4}, {**STRICT, "minimum_count_site": 1}])
def test_else_there_are_none_and_the_reason_is_told(rules: Any) -> None:
    home = HOME if rules != STRICT else {**HOME, "denver": "GB"}
    found = asked(tables(), rules, home, groups={"by": "country"}, analyses={"risk": ANALYSES["risk"]})
    assert found["groups"]["countries"] == []
    assert found["groups"]["withheld"]["code"] == "E-COUNTRY"
    assert "groups" not in found["analyses"]["risk"]
    assert "terms" in found["analyses"]["risk"]


@pytest.mark.parametrize(
    "study",
    [
        {"analyses": {"n": {"count": {"by": ["country"]}}}},
        {"analyses": {"m": ANALYSES["tables"]}},
        {"analyses": {"n": {"count": {"by": ["uk"]}}}, "derive": {"uk": "CASE WHEN country = 'GB' THEN 1 ELSE 0 END"}},
        {"analyses": {"n": {"count": {"where": "country = 'GB'"}}}},
    ],
)
def test_no_question_tells_a_country_of_one_party_apart(study: dict[str, Any]) -> None:
    home = {**dict.fromkeys(HOME, "GB"), "boston": "US"}
    with pytest.raises(Refused) as caught:
        asked(tables(), STRICT, home, **study)
    assert caught.value.code == "E-COUNTRY"


def test_such_a_question_is_refused_alone() -> None:
    """Its variables do not count for the row set either: `BMI` is missing in half the rows."""
    home = {**dict.fromkeys(HOME, "GB"), "boston": "US"}
    sites = tables()
    for site, table in sites.items():
        half = pa.array([value if at % 2 else None for at, value in enumerate(table["BMI"].to_pylist())])
        sites[site] = table.set_column(table.schema.get_field_index("BMI"), "BMI", half)
    asks = {
        "risk": ANALYSES["risk"],
        "tables": ANALYSES["tables"],
        "by": {"quantiles": {"variable": "BMI", "where": "country = 'GB'"}},
    }
    found = asked(sites, STRICT, home, analyses=asks)
    assert list(found["analyses"]) == ["risk", "tables", "by"]
    assert found["analyses"]["risk"]["n"] == 2400
    for name in ("tables", "by"):
        assert found["analyses"][name]["status"] == "refused"
        assert found["analyses"][name]["error"]["code"] == "E-COUNTRY"
    assert isthmus.Result(found).refused == ("tables", "by")
    assert "E-COUNTRY" in isthmus.Result(found).summary()


def test_two_sites_of_one_party_count_once() -> None:
    places = {site: Place("nhs" if site in {"leeds", "oxford"} else site, country) for site, country in HOME.items()}
    check_countries({site: Place(site, country) for site, country in HOME.items()}, STATED)
    for check in (check_countries, check_subtotals):
        with pytest.raises(Refused, match="E-COUNTRY"):
            check(places, STATED)
        check(places, OPEN)
    check_countries({"leeds": Place("leeds", "GB")}, STATED)  # one country is the whole


def test_a_refused_whole_has_no_countries() -> None:
    """Else the country that answers would tell where the refusal came from."""
    sites = {site: patients(seed) for seed, site in enumerate(HOME)}
    sites["boston"]["HIV"] = np.where(np.arange(400) < 5, 1.0, 0.0)
    made = {site: pa.table(columns) for site, columns in sites.items()}
    found = asked(made, STRICT, groups={"by": "country"}, analyses={"risk": ANALYSES["risk"]})["analyses"]["risk"]
    assert found["status"] == "refused"
    assert "groups" not in found


def test_the_text_shows_countries() -> None:
    found = isthmus.Result(asked(tables(), STRICT, groups={"by": "country"}))
    assert found["risk"].groups["US"].n == 1200
    assert "risk [US]" in found.summary()


def test_a_lost_site_ends_the_questions_that_tell_countries_apart_alone() -> None:
    book = Codebook(name="d", variables={"AGE": Variable(type="number", range=(0, 120))})
    for where, left in ((None, {"population", "n"}), ("country = 'GB' OR AGE > 1", set())):
        asks = {"n": {"count": {}}, "by": {"count": {"by": ["country"]}}, "made": {"count": {"by": ["here"]}}}
        population = None if where is None else {"where": where}
        derive = {"here": "CASE WHEN country = 'GB' THEN NULL WHEN AGE > 40 THEN 1 ELSE 0 END"}
        record = isthmus.Study(title="t", dataset="d", analyses=asks, population=population, derive=derive).record
        places = {site: Place(site, country) for site, country in HOME.items()}
        known = dictionary(record, book, ("GB", "US"))
        script = Script(make_plan("run", record, known, STATED, {}, len(places), None, places))
        vote = script.vote_step()
        assert "here is missing" in {question.name for question, _ in script.plan.words}
        words = {f.name: np.zeros(f.shape, dtype=f.dtype) for f in vote.layout.fields}
        script.learn(vote, Summary(vote.layout, words), tuple(site for site in HOME if site != "tampa"))
        assert {question.name for question in script.order()} == left


@pytest.mark.parametrize(("lost", "apart"), [((), True), (("tampa",), False)])
def test_a_lost_site_may_leave_too_few_parties(lost: tuple[str, ...], apart: bool) -> None:
    """The survivors of the vote bind the run: with two parties in a country there is no result of it, at any party."""
    book = Codebook(name="d", variables={"AGE": Variable(type="number", range=(0, 120))})
    record = isthmus.Study(title="t", dataset="d", analyses={"n": {"count": {}}}, groups={"by": "country"}).record
    known = dictionary(record, book, ("GB", "US"))
    places = {site: Place(site, country) for site, country in HOME.items()}
    script = Script(make_plan("run", record, known, STATED, {}, len(places), None, places))
    vote = script.vote_step()
    words = {f.name: np.zeros(f.shape, dtype=f.dtype) for f in vote.layout.fields}
    script.learn(vote, Summary(vote.layout, words), tuple(site for site in HOME if site not in lost))
    assert script.apart is apart
    script.outcomes["n"] = Ended(Estimate("count", "exact", 99, rounds=1))
    assert [q.country for q in script.order() if q.of == "n"] == (["GB", "US"] if apart else [])


def test_each_analysis_says_whether_it_is_primary_and_how_many_outcomes_were_tried() -> None:
    asks = {
        "risk": {"glm": {"formula": "{outcome} ~ AGE", "family": "binomial", "for": ["DIED", "HIV"]}},
        "who": {"count": {"by": ["ARM"]}},
    }
    found = asked(tables(), OPEN, analyses=asks, primary=["risk"])["analyses"]
    told = {name: (body.get("standing"), body.get("outcomes")) for name, body in found.items()}
    assert told == {"risk[DIED]": ("primary", 2), "risk[HIV]": ("primary", 2), "who": ("exploratory", None)}
    plain = asked(tables(), OPEN, analyses={"who": asks["who"]})["analyses"]["who"]
    assert "standing" not in plain
