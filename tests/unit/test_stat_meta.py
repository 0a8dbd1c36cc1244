"""`meta`: what is asked wrongly, what is left out, and that every level is guarded at each site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isthmus
from isthmus import strict
from isthmus.charts import terminal_forest
from isthmus.model.errors import Invalid
from isthmus.sdk.figures import forest_figure
from isthmus.statistics import meta
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.meta import STATISTIC, Meta
from isthmus.statistics.meta_models import MODELS, NOT_POOLED

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import ONLY_SUMS, answered, ask, refused, sites

from stated_rules import STRICT

TABLES = {"by": "PLACE", "treatment": "HIV", "outcome": "DIED"}
MODEL = {"by": "PLACE", "of": {"glm": {"formula": "DIED ~ HIV + AGE", "family": "binomial"}}, "term": "HIV"}


def placed(few: int = 0) -> list[dict[str, Any]]:
    """Three sites with people of two places each; of a third place the first site has `few`."""
    tables = sites()
    for table in tables:
        draw = np.random.default_rng(5)
        table["PLACE"] = np.where(draw.random(len(table["AGE"])) < 0.5, "north", "south").astype(object)
    tables[0]["PLACE"][:few] = "west"
    return tables


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"by": "PLACE"}, "E-META"),
        ({**TABLES, "term": "HIV"}, "E-META"),
        ({**MODEL, "treatment": "HIV"}, "E-META"),
        ({**MODEL, "method": "MH"}, "E-META"),
        ({**MODEL, "of": {"count": {}}}, "E-KIND"),
        ({**MODEL, "of": {"glmm": {}}}, "E-KIND"),
        ({**MODEL, "of": {"mixed": {"formula": "CHOL ~ HIV", "group": "site"}}}, "E-META"),
        ({**MODEL, "of": {"glm": {"formula": "DIED ~ HIV", "family": "binomial", "cluster": "site"}}}, "E-META"),
        ({**MODEL, "of": {"cox": {"formula": "Surv(DAYS, DIED) ~ HIV", "cluster": "site"}}}, "E-META"),
        ({**MODEL, "of": {"cox": {"formula": "Surv(DAYS, DIED) ~ HIV", "release": ["baseline"]}}}, "E-META"),
        ({**MODEL, "of": {"glm": {"formula": "DIED ~ HIV", "familly": "binomial"}}}, "E-UNKNOWN-KEY"),
        ({**TABLES, "outcome": "HIV"}, "E-VARIABLE"),
    ],
)
def test_what_is_asked_wrongly(stated, code) -> None:
    with pytest.raises(Invalid) as caught:
        STATISTIC.needs(strict.parse(Meta, stated))
    assert caught.value.code == code


def test_over_sites_it_is_that_over_a_category_that_names_them() -> None:
    tables = placed()
    for at, table in enumerate(tables):
        table["CLINIC"] = np.full(len(table["AGE"]), f"s{at}", dtype=object)
    for stated in (TABLES, MODEL):
        assert STATISTIC.needs(strict.parse(Meta, {**stated, "by": "site"})).by_site
        own, named = (ask("meta", {**stated, "by": by}, tables) for by in ("site", "CLINIC"))
        assert own["terms"] == named["terms"]
        assert own["fit"] == named["fit"]


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({**MODEL, "term": "BMI"}, "E-TERM"),
        ({**TABLES, "compare": {"a": ["north"], "b": ["east"]}}, "E-LEVEL"),
        ({**TABLES, "compare": {"a": ["north"], "b": ["north", "south"]}}, "E-META"),
        ({**TABLES, "compare": {"a": ["north", "south"]}}, "E-META"),
        ({**TABLES, "treatment": "ARM", "outcome": "PLACE", "by": "AGEBAND"}, "E-META"),
    ],
)
def test_what_cannot_be_computed(stated, code) -> None:
    tables = placed(few=40)
    for table in tables:
        table["AGEBAND"] = np.where(table["AGE"] < 50, "young", "old").astype(object)
    assert ask("meta", stated, tables)["error"]["code"] == code


def test_levels_without_an_estimate_are_named() -> None:
    tables = placed(few=40)
    for table in tables:
        table["DIED"][table["PLACE"] == "west"] = 0.0
    found = ask("meta", {**MODEL, "method": "fixed"}, tables)
    assert found["left_out"] == {"west": "E-NO-EVENTS"}
    assert [t["term"] for t in found["terms"]] == ["north", "south", "pooled"]


@pytest.mark.parametrize("stated", [TABLES, MODEL])
def test_a_level_of_few_people_at_a_site_is_refused(stated) -> None:
    assert answered("meta", stated, placed(few=0))
    assert refused("meta", stated, placed(few=8))
    assert "west" in str(ask("meta", stated, placed(few=8)))  # its twin without rules


@pytest.mark.parametrize("few", [8, 4])
def test_where_only_sums_leave_a_small_level_is_hidden_or_refused(few) -> None:
    found = ask("meta", TABLES, placed(few), ONLY_SUMS)
    assert "terms" not in found  # others are hidden with it, or it could be worked out
    assert "west (E-DISCLOSURE)" in found["error"]["hint"]
    assert refused("meta", MODEL, placed(few), ONLY_SUMS)


def test_a_term_that_few_people_have_in_one_level_is_refused() -> None:
    tables = placed(few=0)
    for table in tables:
        table["HIV"][table["PLACE"] == "north"] = 0.0
        table["HIV"][np.flatnonzero(table["PLACE"] == "north")[:6]] = 1.0
    assert answered("glm", {"formula": "DIED ~ HIV + AGE", "family": "binomial"}, tables)
    assert refused("meta", MODEL, tables)


def in_families(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the same identifiers at each site."""
    for table in tables:
        table["FAMILY"] = np.array([f"f{at % 60}" for at in range(len(table["AGE"]))], dtype=object)
    return tables


CLUSTERED = [
    {"glm": {"formula": "DIED ~ HIV + AGE", "family": "binomial", "cluster": "FAMILY"}},
    {"cox": {"formula": "Surv(DAYS, DIED) ~ HIV + AGE + cluster(FAMILY)", "strata": ["site"]}},
    {"gee": {"formula": "DIED ~ HIV + AGE", "family": "binomial", "cluster": "FAMILY"}},
    {"parametric_survival": {"formula": "Surv(DAYS, DIED) ~ HIV + cluster(FAMILY)", "distribution": "weibull"}},
]


@pytest.mark.parametrize("of", CLUSTERED)
def test_errors_of_each_level_are_clustered_as_those_of_its_model_alone(of) -> None:
    tables = in_families(placed())
    ((kind, model),) = of.items()
    rows = {row["term"]: row for row in ask("meta", {"by": "PLACE", "of": of, "term": "HIV"}, tables)["terms"]}
    for place in ("north", "south"):
        alone = ask(kind, {**model, "where": f"PLACE = '{place}'"}, tables)
        (own,) = (row for row in alone["terms"] if row["term"] == "HIV")
        for key in ("estimate", "std_error"):
            assert rows[place][key] == pytest.approx(own[key], rel=1e-9)


@pytest.mark.parametrize(
    "of",
    [
        *CLUSTERED[:2],
        {"gee": {**CLUSTERED[2]["gee"], "correlation": "independence"}},
        {"parametric_survival": {"formula": "Surv(DAYS, DIED) ~ HIV", "distribution": "weibull"}},
    ],
)
def test_a_level_of_few_people_is_refused_whatever_its_model(of) -> None:
    stated = {"by": "PLACE", "of": of, "term": "HIV"}
    assert answered("meta", stated, in_families(placed()))
    assert refused("meta", stated, in_families(placed(few=8)))


CAUSES = {"causes": {"1": "a", "2": "b"}, "cause": "a"}
EVERY: dict[str, tuple[dict[str, Any], str, str | None]] = {  # kind -> the model, its term, what exp(estimate) is
    "glm": ({"formula": "DIED ~ HIV + AGE", "family": "binomial"}, "HIV", "OR"),
    "gee": ({"formula": "DIED ~ HIV + AGE", "family": "binomial", "cluster": "FAMILY"}, "HIV", "OR"),
    "mixed": ({"formula": "BMI ~ HIV + AGE", "group": "FAMILY"}, "HIV", None),
    "multinomial": ({"formula": "STAGE ~ HIV + AGE"}, "III: HIV", "OR"),
    "ordinal": ({"formula": "STAGE ~ HIV + AGE"}, "I|II", None),
    "conditional_logistic": ({"formula": "DIED ~ HIV + AGE", "sets": "FAMILY"}, "HIV", "OR"),
    "cox": ({"formula": "Surv(DAYS, DIED) ~ HIV + AGE"}, "HIV", "HR"),
    "fine_gray": ({"formula": "Surv(DAYS, CAUSE) ~ HIV + AGE", **CAUSES}, "HIV", "SHR"),
    "parametric_survival": (
        {"formula": "Surv(DAYS, DIED) ~ HIV", "distribution": "piecewise_exponential", "cuts": [100, 300]},
        "HIV",
        "HR",
    ),
    "effect": ({"treatment": "HIV", "outcome": "DIED", "adjust": "AGE", "method": "iptw"}, "log ratio", "RR"),
    "rate": ({"event": "DIED", "time": "DAYS", "by": "ARM"}, "rate ratio[B]", "RR"),
    "rmst": ({"time": "DAYS", "event": "DIED", "by": "ARM", "tau": 100}, "ARM[B]", None),
    "roc": ({"marker": "AGE", "outcome": "DIED"}, "auc", None),
    "calibration": ({"prediction": "RISK", "outcome": "DIED"}, "slope", None),
}


def staged() -> list[dict[str, Any]]:
    """With a stage, a cause and a predicted risk."""
    tables = in_families(placed())
    for at, table in enumerate(tables):
        draw = np.random.default_rng(at)
        n = len(table["AGE"])
        table["STAGE"] = draw.choice(["I", "II", "III"], n).astype(object)
        table["CAUSE"] = np.where(table["DIED"] > 0, draw.choice(["1", "2"], n), "0").astype(object)
        table["RISK"] = np.round(draw.uniform(0.2, 0.6, n), 3)
    return tables


@pytest.mark.parametrize("kind", EVERY)
def test_each_level_has_the_answer_that_its_people_alone_have(kind) -> None:
    model, term, measure = EVERY[kind]
    tables = staged()
    found = ask("meta", {"by": "PLACE", "of": {kind: model}, "term": term}, tables)
    assert found["fit"]["measure"] == measure
    for row in found["terms"][:-1]:
        alone = ask(kind, {**model, "where": f"PLACE = '{row['term']}'"}, tables)
        terms = alone.get("terms", [{"term": "auc", "estimate": alone["fit"].get("auc"), **alone["fit"]}])
        (own,) = (other for other in terms if other["term"] == term)
        assert row["n"] == alone["n"]
        for key in ("estimate", "std_error"):
            assert row[key] == pytest.approx(own[key], rel=1e-9)


def test_every_kind_is_pooled_or_said_not_to_be_and_why() -> None:
    assert set(EVERY) == set(MODELS)
    assert set(MODELS) | set(NOT_POOLED) == set(CATALOGUE)
    assert not set(MODELS) & set(NOT_POOLED)
    assert [kind for kind in CATALOGUE if kind != "meta" and f"`{kind}`" not in str(meta.__doc__)] == []
    with pytest.raises(Invalid, match="standard error") as caught:
        STATISTIC.needs(
            strict.parse(Meta, {**MODEL, "of": {"penalised": {"formula": "DIED ~ HIV", "family": "binomial"}}})
        )
    assert caught.value.code == "E-KIND"


def test_a_ridge_model_is_not_pooled() -> None:
    model = {"formula": "DIED ~ HIV", "family": "binomial", "ridge": 0.1}
    with pytest.raises(Invalid, match="biased on purpose") as caught:
        STATISTIC.needs(strict.parse(Meta, {**MODEL, "of": {"glm": model}}))
    assert caught.value.code == "E-META"


def test_what_a_level_warns_of_is_said_with_its_name() -> None:
    tables = staged()
    for at, table in enumerate(tables):
        few = np.array([f"{'abc'[at]}{k % 2}" for k in range(len(table["AGE"]))], dtype=object)
        table["FAMILY"] = np.where((table["PLACE"] == "north") & (at > 0), "one", few)  # four groups; six in the south
    mixed = {"mixed": EVERY["mixed"][0]}
    warnings = ask("meta", {"by": "PLACE", "of": mixed, "term": "HIV"}, tables)["warnings"]
    assert [text.split(":")[:2] for text in warnings] == [["north", " singular fit"], ["north", " fewer than 5 groups"]]


def test_a_bound_of_each_area_is_shown_where_it_lies_on_a_grid() -> None:
    found = ask("meta", {"by": "PLACE", "of": {"roc": EVERY["roc"][0]}, "term": "auc"}, staged(), STRICT)
    assert found["exactness"] == "grid"
    exact = ask("meta", {"by": "PLACE", "of": {"roc": EVERY["roc"][0]}, "term": "auc"}, staged())
    for got, whole in zip(found["terms"][:-1], exact["terms"][:-1], strict=True):
        assert abs(got["estimate"] - whole["estimate"]) <= got["bound"]
        assert "bound" not in whole
    assert "bound" not in found["terms"][-1]


@pytest.mark.parametrize("grid", [{"edges": [40, 55, 70]}, None])
def test_a_site_without_people_of_a_level_does_not_refuse_it_where_zeros_are_barred(grid) -> None:
    """It sends zeros about it, as in every country but its own."""
    tables = staged()
    for at, table in enumerate(tables):
        table["PLACE"][:] = "north" if at == 0 else "south"
    roc = EVERY["roc"][0] | ({} if grid is None else {"grid": grid})
    assert answered("meta", {"by": "PLACE", "of": {"roc": roc}, "term": "auc"}, tables, {**STRICT, "zeros": "barred"})


@pytest.mark.parametrize(("least", "answers"), [(150, True), (200, False)])
def test_degrees_of_freedom_are_those_of_each_level(least, answers) -> None:
    """At each site a place has some 200 of its 400 people."""
    assert answered("meta", MODEL, placed(), {**STRICT, "minimum_dof": least}) is answers
    assert answered("glm", MODEL["of"]["glm"], placed(), {**STRICT, "minimum_dof": least})


def test_ratios_of_a_gee_are_named() -> None:
    found = ask("meta", {"by": "PLACE", "of": CLUSTERED[2], "term": "HIV"}, in_families(placed()))
    assert found["fit"]["measure"] == "OR"


def test_figures_that_cannot_be_pooled() -> None:
    for figures in ({"a": (0.1, 0.1)}, {"a": (0.1, 0.1), "b": (0.2, 0.0)}, {"a": (0.1,), "b": (0.2, 0.1)}):
        with pytest.raises(Invalid, match="E-META"):
            isthmus.pool_estimates(figures)
    with pytest.raises(Invalid, match="E-META"):
        isthmus.pool_tables({"a": (5, 4, 1, 9), "b": (1, 9, 2, 9)})
    with pytest.raises(Invalid, match="E-UNKNOWN-KEY"):
        isthmus.pool_estimates({"a": (0.1, 0.1), "b": (0.2, 0.1)}, methd="DL")


def test_the_summary_has_studies_weights_and_heterogeneity() -> None:
    found = isthmus.pool_estimates({"a": (0.1, 0.1), "b": (0.5, 0.2), "c": (0.3, 0.1)}, measure="OR")
    text = found.summary()
    for word in ("Meta-analysis", "OR", "Weight %", "pooled", "I2", "prediction interval", "Pooled without"):
        assert word in text
    assert repr(found) == "<meta: meta, n = ->"


def test_the_forest_plot_shows_weights_and_the_pooled_diamond() -> None:
    figures = {"a": (0.1, 0.1), "b": (0.5, 0.2), "c": (0.3, 0.1)}
    drawn = isthmus.pool_estimates(figures, measure="RR").plot()
    assert "n = " not in drawn  # nobody stated how many there were
    for word in ("Weight %", "Risk ratio, log scale", "pooled", "prediction interval", "<path"):
        assert word in drawn
    assert "0 sites" not in drawn


def test_the_forest_plot_of_a_terminal() -> None:
    figures = {"a": (-2.5, 0.4), "bb": (0.5, 0.2), "c": (0.3, 1.9)}
    body = isthmus.pool_estimates(figures, measure="OR", method="fixed").to_dict()
    lines = terminal_forest.draw(forest_figure("m", body, {}), 70)
    assert [line.split()[0] for line in lines[1:-1]] == ["a", "bb", "c", "pooled"]
    assert all(len(line) <= 70 for line in lines)
    assert "◆" in lines[-2]
    assert all("■" in line for line in lines[1:-2])
    assert "←" in lines[1]
    assert "→" in lines[3]
    assert lines[-1].split() == ["0.05", "1", "20"]


def test_hazard_ratios_of_a_weighted_survival_effect_are_pooled() -> None:
    effect = {"treatment": "HIV", "time": "DAYS", "event": "DIED", "adjust": "AGE", "method": "iptw"}
    found = ask("meta", {"by": "site", "of": {"effect": effect}, "term": "log hazard ratio"}, sites())
    assert [row["term"] for row in found["terms"]] == ["s0", "s1", "s2", "pooled"]
    assert found["fit"]["measure"] == "HR"
