"""Attack: a meta-analysis over sites, and a mixed model with sites as groups: each site's own mean comes out, which no sum
over sites hides.

Or a validation by site, where one hospital with four deaths would not answer: the answer of all, less the others'.

Defence: numbers of single sites are refused before a row is read, unless the agreement has `site_results` among its
releases; then each of them passes every rule by itself. Where a site refuses its own answer, there is none of all sites.
"""

import numpy as np
import pyarrow as pa
import pytest
from hole_lab import answered, patients, refused

import isthmus
from attack import Attack
from isthmus.model.rules import OPEN
from stated_rules import STRICT

ATTACK = Attack(
    "One hospital's own result",
    "`site_results` in the agreement, and every rule for each number (meta, mixed, validate_model)",
)
MEAN = {"meta": {"by": "site", "of": {"glm": {"formula": "CHOL ~ 1", "family": "gaussian"}}, "term": "(Intercept)"}}
TABLES = {"meta": {"by": "site", "treatment": "HIV", "outcome": "DIED", "method": "MH"}}
MIXED = {"mixed": {"formula": "CHOL ~ 1", "group": "site", "release": ["site_results"]}}
EQUATION = {"formula": "AGE + HIV", "coefficients": {"(Intercept)": -1.0, "AGE": 0.01, "HIV": 0.3}, "thresholds": [0.4]}
VALID = {"validate_model": {"outcome": "DIED", **EQUATION, "release": ["site_results"]}}
ALLOWED = ("site_results",)


def hospitals():
    return {site: patients(seed) for seed, site in enumerate(("leeds", "oslo", "boston", "tampa"))}


def ask(rules, analysis, tables=None, releases=()):
    study = isthmus.Study(title="t", dataset="d", analyses={"m": analysis})
    made = {site: pa.table(table) for site, table in (tables or hospitals()).items()}
    return isthmus.rehearse(study, made, rules=rules, releases=releases).to_dict()["analyses"]["m"]


def small(analysis, change, rules=STRICT):
    """Whether a site refuses, for its own few people, although the agreement allows numbers of sites."""
    tables = hospitals()
    change(tables["oslo"])
    answer = ask(rules, analysis, tables, ALLOWED)
    return answer.get("status") == "refused" and answer["error"]["code"] == "E-DISCLOSURE"


def test_the_bare_question_tells_each_mean(leak):
    rows = {row["term"]: row["estimate"] for row in ask(OPEN, MEAN)["terms"]}
    for site, table in hospitals().items():
        assert rows[site] == pytest.approx(table["CHOL"].mean())
    leak("each hospital's mean cholesterol, exactly")


def test_all_less_the_others_is_the_one_that_would_not_answer(leak):
    tables = hospitals()
    few_deaths(tables["oslo"])
    found = ask(OPEN, VALID, tables)
    others = sum(own["events"] for site, own in found["sites"].items() if site != "oslo")
    assert found["events"] - others == 4
    leak("each hospital's mean cholesterol, exactly")


@pytest.mark.parametrize("analysis", [MEAN, TABLES, MIXED, VALID])
def test_without_the_agreement_it_is_refused(stop, analysis):
    with pytest.raises(isthmus.Refused) as caught:
        ask(STRICT, analysis)
    assert caught.value.code == "E-SITE-RESULTS"
    assert "site_results" in caught.value.hint
    with pytest.raises(isthmus.Refused, match="minimum_count"):
        ask({**STRICT, "minimum_count_site": 1}, analysis, releases=ALLOWED)
    stop("refused by name, before a row is read")


def few_deaths(table):
    table["DIED"] = np.where(np.arange(len(table["AGE"])) < 4, 1.0, 0.0)


def few_rows(table):
    for name in table:
        table[name] = table[name][:8]


def one_large(table):
    table["CHOL"][0] = 1e6


def test_where_it_is_allowed_each_site_still_holds_to_every_rule(stop):
    for analysis in (MEAN, TABLES, MIXED, VALID):
        assert "n" in ask(STRICT, analysis, releases=ALLOWED)
        assert small(analysis, few_rows)
    assert small(TABLES, few_deaths)
    assert small(MEAN, one_large)
    assert small(MIXED, one_large)
    assert small(VALID, few_deaths)
    stop("answered where the agreement says so; a site of eight people, four deaths or one outlier refuses")


def test_a_validation_shows_who_refuses_and_no_answer_of_all(stop):
    tables = hospitals()
    few_deaths(tables["oslo"])
    found = ask(STRICT, VALID, tables, ALLOWED)
    assert {site: own.get("status", "answered") for site, own in found["sites"].items()} == {
        "leeds": "answered",
        "oslo": "refused",
        "boston": "answered",
        "tampa": "answered",
    }
    assert found["sites"]["oslo"]["error"]["code"] == "E-DISCLOSURE"
    assert found["status"] == "refused"
    assert "events" not in found
    stop("a validation shows the sites that answer and the one that refuses, and no answer of all")


LEVEL = {"glm": {"formula": "CHOL ~ CLINIC", "family": "gaussian"}}
GROUPS = (
    {"table_one": {"variables": ["CHOL"], "by": "CLINIC"}},
    {"quantiles": {"variable": "CHOL", "by": "CLINIC"}},
    {"rate": {"event": "DIED", "time": "DAYS", "by": "CLINIC"}},
)


def clinics(*sites):
    """A hundred people of one level at each of these sites."""
    made = hospitals()
    for site, table in made.items():
        rows = np.arange(len(table["CHOL"]))
        table["CLINIC"] = np.where((rows < 100) & (site in sites), "own", np.where(rows % 2, "a", "b")).astype(object)
    return made


def test_bare_the_level_of_one_hospital_is_its_mean() -> None:
    tables = clinics("leeds")
    found = {term["term"]: term["estimate"] for term in ask(OPEN, LEVEL, tables)["terms"]}
    assert found["(Intercept)"] + found["CLINIC[own]"] == pytest.approx(tables["leeds"]["CHOL"][:100].mean(), rel=1e-9)


@pytest.mark.parametrize("analysis", [LEVEL, *GROUPS], ids=lambda analysis: next(iter(analysis)))
def test_a_level_that_one_hospital_alone_has_is_no_column_and_no_group(analysis) -> None:
    ((kind, question),) = analysis.items()
    assert refused(kind, question, list(clinics("leeds").values()))
    assert answered(kind, question, list(clinics(*hospitals()).values()))
