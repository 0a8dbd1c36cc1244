"""Multiple imputation: the laws, the same answer as own code on one table, Rubin's rules, coverage, and what is refused.

R's `mice` is compared in `tests/reference/test_imputation_reference.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bare import codebook
from dealings import dealings
from hypothesis import given, settings
from imputing import Rows, holes, imputed, logistic, pooled_run, rubin
from scipy import special

import isthmus
from isthmus import strict
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics import imputation_survival
from isthmus.statistics.contract import Grid, Setting
from isthmus.testing import check_statistic, largest_difference, run_flow, split

WISH: dict[str, Any] = {"m": 3, "cycles": 3, "seed": 20260101}
LOGISTIC = {"formula": "died ~ age + sex + pressure + smoker", "family": "binomial"}
SIZE = 300
HOLES = holes(SIZE, 1)
DRAW = np.random.default_rng(11)
LESIONS = {
    "lesion": np.where(DRAW.random(SIZE) < 0.2, None, DRAW.choice(["a", "b", "c"], SIZE)),
    "days": np.ceil(DRAW.exponential(30, SIZE)) + 1.0,
    "early": DRAW.integers(0, 2, SIZE).astype(float),
    "event": (DRAW.random(SIZE) < 0.6).astype(float),
    "weight": np.round(DRAW.uniform(0.5, 2, SIZE), 2),
    "shift": np.round(DRAW.normal(0, 0.2, SIZE), 2),
}
WEIGHTED = {
    "formula": "died ~ age + lesion + offset(shift)",
    "family": "binomial",
    "weights": {"variable": "weight", "kind": "sampling"},
}
MARKS = {"died": HOLES["died"], "sex": HOLES["sex"]}


def report(stated: dict[str, Any], rows: Rows, wish: dict[str, Any] = WISH, kind: str = "glm") -> dict[str, Any]:
    statistic, example = imputed(kind, stated, rows, wish)
    return run_flow(statistic, example.question, example.setting, [example.inputs]).report


# -- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("glm", LOGISTIC | {"robust": "HC0"}),
        ("glm", {"formula": "pressure ~ age * smoker + sex", "family": "gaussian"}),
        ("multinomial", {"formula": "stage ~ age + pressure"}),
        ("ordinal", {"formula": "stage ~ age + pressure"}),
        (
            "glm",
            {
                "formula": "died ~ age + lesion + pressure",
                "family": "binomial",
                "tests": {"l": ["lesion[b]", "lesion[c]"]},
            },
        ),
        ("glm", WEIGHTED | {"contrasts": {"b over c": {"lesion[b]": 1, "lesion[c]": -1}}, "release": ["vcov"]}),
        ("cox", {"formula": "Surv(days, event) ~ age + lesion * smoker + pressure", "tests": {"s": ["smoker"]}}),
        ("cox", {"formula": "Surv(early, days, event) ~ age + lesion + pressure + strata(sex)"}),
        ("parametric_survival", {"formula": "Surv(days, event) ~ age + lesion", "distribution": "weibull"}),
    ],
)
def test_laws_hold(kind: str, stated: dict[str, Any]) -> None:
    rows = HOLES | LESIONS | {"stage": np.resize(np.array(["I", "II", "III"], dtype=object), SIZE)}
    statistic, example = imputed(kind, stated, rows, WISH)
    trace = check_statistic(statistic, example)
    assert trace.report["kind"] == kind
    assert trace.report["rounds"] == len(trace.rounds)
    assert all(term["df"] > 0 for term in trace.report["terms"])


@given(sites=dealings(MARKS))
@settings(max_examples=5)
def test_dealing_rows_otherwise_changes_nothing(sites: np.ndarray) -> None:
    statistic, example = imputed("glm", LOGISTIC, HOLES, WISH)
    whole = run_flow(statistic, example.question, example.setting, [example.inputs]).report
    parts = split(example.inputs, sites, int(sites.max()) + 1)
    hollow = [p.rows and any(np.isnan(v).all() for v in p.numbers.values()) for p in parts]
    if any(hollow):  # nothing at such a site says what its rows would be
        with pytest.raises(Invalid, match="is missing in every row of a site"):
            run_flow(statistic, example.question, example.setting, parts)
        return
    assert largest_difference(run_flow(statistic, example.question, example.setting, parts).report, whole) < 1e-9


ALIKE = 600  # rows of two kinds: a third of the numbers is missing, and then nothing tells rows of a kind apart
OUTCOME = np.random.default_rng(1).integers(0, 2, ALIKE).astype(float)
MEASURED = np.round(np.random.default_rng(2).normal(0, 1, ALIKE) + 0.5 * OUTCOME, 3)
MEASURED[np.random.default_rng(3).random(ALIKE) < 0.5] = np.nan


def alike(count: int, person: str | None) -> list[dict[str, float]]:
    """Terms over rows dealt to `count` sites."""
    rows = {"y": OUTCOME, "z": MEASURED, "pid": np.array([f"p{i}" for i in range(ALIKE)], dtype=object)}
    place = np.random.default_rng(count).integers(0, count, ALIKE)
    sites = {
        f"s{i}": pa.table({name: pa.array(v[place == i], from_pandas=True) for name, v in rows.items()})
        for i in range(count)
    }
    stated = {"variables": {"y": {"type": "integer", "range": [0, 1]}, "z": {"type": "number", "range": [-10, 10]}}}
    book = strict.parse(Codebook, {"name": "d", **stated, **({} if person is None else {"person": person})}, "codebook")
    study = isthmus.Study(
        title="t",
        dataset="d",
        purpose={"duo": "DUO:0000042", "text": "x", "commercial": False},
        analyses={"a": {"glm": {"formula": "z ~ y", "family": "gaussian"}}},
        seed=7,
        impute={"m": 20, "cycles": 1},
    )
    found: list[dict[str, float]] = isthmus.rehearse(study, sites=sites, rules=plain(OPEN), codebook=book).to_dict()[
        "analyses"
    ]["a"]["terms"]
    return found


@pytest.mark.parametrize("person", ["pid", None])
def test_rows_that_are_equal_have_noise_of_their_own_at_every_dealing(person: str | None) -> None:
    """Without persons they shared it between sites: the draws of 12 sites were 12 times the same, and errors nearly twice too large."""
    two, twelve = alike(2, person), alike(12, person)
    seen, half = ~np.isnan(MEASURED), OUTCOME == 1.0
    parts = [MEASURED[seen & half], MEASURED[seen & ~half]]
    expected = float(
        np.sqrt(sum(part.var(ddof=1) / part.size for part in parts))
    )  # complete cases tell all there is here
    for one, other in zip(two, twelve, strict=True):
        assert one["estimate"] == pytest.approx(other["estimate"], rel=1e-9)
        assert one["std_error"] == pytest.approx(other["std_error"], rel=1e-9)
    assert twelve[1]["std_error"] == pytest.approx(expected, rel=0.25)


def test_what_a_site_filled_in_an_earlier_run_is_not_taken_for_this_one() -> None:
    """Columns are kept between runs; other sites were there then, so the draws were others."""
    statistic, example = imputed("glm", LOGISTIC, HOLES, WISH)
    parts = split(example.inputs, np.arange(SIZE) % 3, 3)
    kept = {id(part): statistic.prepare(example.question, example.setting, part) for part in parts}
    keeping = replace(statistic, prepare=lambda question, setting, inputs: kept[id(inputs)])
    for present in (parts, parts[:2], parts):
        found = run_flow(keeping, example.question, example.setting, present).report
        assert found == run_flow(statistic, example.question, example.setting, present).report


def test_complete_rows_are_analysed_once() -> None:
    whole = {name: np.nan_to_num(v) if v.dtype.kind == "f" else v for name, v in HOLES.items()}
    found = report(LOGISTIC, whole)
    assert found["imputation"]["m"] == 1
    assert [term["fmi"] for term in found["terms"]] == pytest.approx([2 / (SIZE + 1)] * 5, rel=0.02)


# -- own code on one table ------------------------------------------------------------------------------------------


def test_the_federated_answer_is_that_of_one_table() -> None:
    statistic, example = imputed("glm", LOGISTIC, HOLES, WISH)
    found = run_flow(statistic, example.question, example.setting, split(example.inputs, np.arange(SIZE) % 3, 3)).report
    numbers = {"died": HOLES["died"], "age": HOLES["age"], "sex": (HOLES["sex"] == "M").astype(float)}
    numbers |= {name: HOLES[name] for name in ("pressure", "smoker")}
    tables = pooled_run(numbers, {"pressure": "linear", "smoker": "logistic"}, WISH)
    names = ("age", "sex", "pressure", "smoker")
    fits = [logistic(np.column_stack([np.ones(SIZE), *(t[n] for n in names)]), t["died"]) for t in tables]
    assert found["imputation"]["models"]["smoker"]["method"] == "logistic"
    for term, (estimate, error, df) in zip(found["terms"], rubin(fits, SIZE - 5), strict=True):
        assert term["estimate"] == pytest.approx(estimate, rel=1e-9)
        assert term["std_error"] == pytest.approx(error, rel=1e-9)
        assert term["df"] == pytest.approx(df, rel=1e-7)  # of a ratio of variances, which carries fewer digits


def test_models_hold_the_outcome_and_the_interactions() -> None:
    models = report({"formula": "died ~ age * smoker + sex + log(age)", "family": "binomial"}, HOLES)["imputation"][
        "models"
    ]
    assert models == {"smoker": {"method": "logistic", "formula": "smoker ~ died + age + sex + log(age) + died:age"}}
    held = report({"formula": "died ~ age + smoker", "family": "binomial"}, HOLES, WISH | {"with_": ("pressure",)})
    assert held["imputation"]["models"]["smoker"]["formula"] == "smoker ~ died + age + pressure"
    assert [t["term"] for t in held["terms"]] == ["(Intercept)", "age", "smoker"]


def test_models_of_a_time_hold_the_event_and_the_cumulative_hazard() -> None:
    cox = {"formula": "Surv(days, event) ~ age * smoker + sex", "strata": ["site"]}
    found = report(cox, HOLES | LESIONS, kind="cox")["imputation"]
    right = "smoker ~ cumulative_hazard + event + age + sex + event:age + cumulative_hazard:age"
    assert set(found["models"]["smoker"]["formula"].split(" ~ ")[1].split(" + ")) == set(
        right.split(" ~ ")[1].split(" + ")
    )
    assert found["baseline"] == "site"
    weibull = {"formula": "Surv(days, event) ~ smoker", "distribution": "weibull"}
    found = report(weibull, HOLES | LESIONS, kind="parametric_survival")["imputation"]
    assert set(found["models"]["smoker"]["formula"].split(" ~ ")[1].split(" + ")) == {"days", "log(days)", "event"}
    assert found["baseline"] == "parametric"


def test_the_hazard_is_nelson_and_aalens() -> None:
    time, event = np.array([5.0, 1.0, 3.0, 3.0, 2.0, 9.0]), np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    known = np.ones(6, dtype=bool)
    entry, stratum = np.array([0.0, 0.0, 0.0, 2.5, 0.0, 0.0]), np.zeros(6, dtype=int)
    times = imputation_survival.Times(known, time, event > 0, entry, stratum, 1)
    at_2 = 1 / 4  # five are left, one of whom has yet to come
    at_3 = at_2 + 2 / 4
    at_5 = at_3 + 1 / 2
    assert imputation_survival.own_hazard(times) == pytest.approx([at_5, 0.0, at_3, at_3, at_2, at_5])
    codebook_ = codebook({"time": time})
    setting = Setting(1, codebook_, {}, 0.95, grid=Grid((1.0, 2.0, 3.0, 5.0, 9.0), recorded=True))
    timing = imputation_survival.Timing(entry="entry", time="time", event="event", strata=(), baseline="grid")
    tallies = imputation_survival.tallies(timing, setting, times)
    pooled = imputation_survival.pooled_hazard({k: v.astype(float) for k, v in tallies.items()}, 1)
    assert imputation_survival.of_rows(timing, setting, times, pooled) == pytest.approx(
        [at_5, 0.0, at_3, at_3, at_2, at_5]
    )


def test_levels_come_with_their_probabilities() -> None:
    """A level that depends on nothing is drawn as often as it is seen: 3,000 rows, four binomial errors."""
    draw = np.random.default_rng(3)
    lesion = np.where(draw.random(3000) < 0.5, None, draw.choice(["a", "b", "c"], 3000, p=[0.6, 0.3, 0.1]))
    rows = {"died": (draw.random(3000) < 0.5) * 1.0, "lesion": lesion}
    stated = {"formula": "died ~ lesion", "family": "binomial"}
    statistic, example = imputed("glm", stated, rows, {"m": 2, "cycles": 1, "seed": 4})
    site = statistic.prepare(example.question, example.setting, example.inputs)
    keeping = replace(statistic, prepare=lambda question, setting, inputs: site)
    run_flow(keeping, example.question, example.setting, [example.inputs])
    codes = site.chains[0][1].codes["lesion"][site.missing["lesion"]]
    shares = np.bincount(codes, minlength=3) / codes.size
    assert np.all(np.abs(shares - [0.6, 0.3, 0.1]) < 4 * np.sqrt(0.25 / codes.size) * 1.5)  # and of the model as well


SITEWISE = {"formula": "died ~ age + pressure", "family": "binomial"}


@pytest.mark.parametrize("name", ["pressure", "smoker"])
def test_a_variable_that_a_whole_site_lacks_is_imputed_where_asked(name: str) -> None:
    sites = np.arange(SIZE) % 6
    hollow = HOLES | {name: np.where(sites == 2, np.nan, HOLES[name])}
    stated = SITEWISE | {"formula": f"died ~ age + {name}"}
    statistic, example = imputed("glm", stated, hollow, WISH | {"site_effects": (name,)})
    parts = split(example.inputs, sites, 6)
    found = run_flow(statistic, example.question, example.setting, parts).report
    assert found["imputation"]["models"][name]["method"].endswith("an intercept of each site")
    assert found["n"] == SIZE
    assert found["terms"][2]["fmi"] > 0.1
    statistic, example = imputed("glm", stated, hollow, WISH)
    with pytest.raises(Invalid, match="missing in every row of a site"):
        run_flow(statistic, example.question, example.setting, split(example.inputs, sites, 6))


def test_a_site_that_lacks_a_variable_gets_an_intercept_of_its_own() -> None:
    """Twenty sites whose means differ by 5: a site without values draws its mean anew in every data set."""
    draw = np.random.default_rng(8)
    sites = np.repeat(np.arange(20), 30)
    x = draw.normal(0, 5, 20)[sites] + draw.normal(size=600)
    rows = {"y": x + draw.normal(size=600), "x": np.where(sites == 0, np.nan, x)}
    wish = {"m": 30, "cycles": 1, "seed": 2, "site_effects": ("x",)}
    statistic, example = imputed("glm", {"formula": "y ~ x", "family": "gaussian"}, rows, wish)
    kept = []
    keeping = replace(statistic, prepare=lambda *told: kept.append(statistic.prepare(*told)) or kept[-1])
    run_flow(keeping, example.question, example.setting, split(example.inputs, sites, 20))
    missing = next(site for site in kept if site.missing["x"].all())
    means = [float(np.mean(missing.chains[i][1].numbers["x"])) for i in range(30)]
    assert 1.0 < np.std(means) < 6.0  # the sites' own, given y, is 2.5; without intercepts it would be 0.2
    assert abs(np.mean(means) - x[sites == 0].mean()) < 3 * np.std(means)


# -- coverage -------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("binary", [False, True])
def test_intervals_cover_the_truth_where_complete_cases_do_not(binary: bool) -> None:
    """300 trials of 300 rows; a covariate is missing in most of the rows whose outcome is high.

    95 % intervals of 300 trials: between 91 and 98 % cover but once in 2,000.
    """
    trials, covered, complete = 300, 0, 0
    for trial in range(trials):
        draw = np.random.default_rng(1_000 + trial)
        z = draw.normal(size=300)
        x = (draw.random(300) < 0.4).astype(float) if binary else 0.5 * z + draw.normal(size=300)
        y = 1 + x + 0.5 * z + draw.normal(size=300)
        holed = np.where((y > 1.5) & (draw.random(300) < 0.85), np.nan, x)
        rows, stated = {"y": y, "x": holed, "z": z}, {"formula": "y ~ x + z", "family": "gaussian"}
        wish = {"m": 10, "cycles": 1, "seed": trial}  # one incomplete variable: one cycle is exact
        term = report(stated, rows, wish)["terms"][1]
        covered += term["conf_low"] <= 1 <= term["conf_high"]
        kept = ~np.isnan(holed)
        naive = report(stated, {name: v[kept] for name, v in rows.items()})["terms"][1]
        complete += naive["conf_low"] <= 1 <= naive["conf_high"]
    assert 0.91 <= covered / trials <= 0.98
    assert complete / trials < 0.85


@pytest.mark.long
@pytest.mark.parametrize("strata", [["site"], []])
def test_intervals_of_hazard_ratios_cover_where_complete_cases_do_not(strata: list[str]) -> None:
    """200 trials; a covariate is missing in most of those with an early event. 90 to 99 % cover but once in 1,000."""
    trials, covered, complete = 200, 0, 0
    for trial in range(trials):
        draw = np.random.default_rng(5_000 + trial)
        z = draw.normal(size=250)
        x = (draw.random(250) < special.expit(0.7 * z)) * 1.0
        life, end = 30 * draw.exponential(size=250) * np.exp(-(0.7 * x + 0.4 * z)), draw.uniform(5, 60, 250)
        event, days = (life <= end) * 1.0, np.ceil(np.minimum(life, end))
        gone = (event == 1.0) & (days < 20) & (z > 0) & (draw.random(250) < 0.8)
        rows = {"days": days, "event": event, "x": np.where(gone, np.nan, x), "z": z}
        stated = {"formula": "Surv(days, event) ~ x + z", "strata": strata}
        term = report(stated, rows, {"m": 8, "cycles": 1, "seed": trial}, "cox")["terms"][0]
        covered += term["conf_low"] <= 0.7 <= term["conf_high"]
        naive = report(stated, {name: v[~gone] for name, v in rows.items()}, kind="cox")["terms"][1]
        complete += naive["conf_low"] <= 0.4 <= naive["conf_high"]
    assert 0.90 <= covered / trials <= 0.99
    assert complete / trials < 0.85


# -- through files, gate and masks ----------------------------------------------------------------------------------


def ask(
    analysis: dict[str, Any], rows: Rows, sites: np.ndarray, rules: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    whole = pa.table({name: pa.array(v, from_pandas=True) for name, v in rows.items()})
    dealt = {f"s{i}": whole.filter(pa.array(sites == i)) for i in range(int(sites.max()) + 1)}
    stated = {"seed": 7, "impute": {"m": 3, "cycles": 2}} | more
    study = isthmus.Study(title="t", dataset="d", analyses={"a": analysis}, **stated)
    answer: dict[str, Any] = isthmus.rehearse(study, dealt, rules=rules or plain(OPEN)).to_dict()["analyses"]["a"]
    return answer


WHOLE_PATH = {"glm": LOGISTIC}


def test_through_gate_and_masks_any_dealing_gives_one_answer() -> None:
    first = ask(WHOLE_PATH, HOLES, np.arange(SIZE) % 3)
    again = ask(WHOLE_PATH, HOLES, np.random.default_rng(3).integers(0, 5, SIZE))
    assert first["n"] == SIZE
    assert first["excluded"] == {}
    assert first["imputation"]["missing"]["pressure"] == int(np.isnan(HOLES["pressure"]).sum())
    assert largest_difference(first["terms"], again["terms"]) < 1e-9
    other = ask(WHOLE_PATH, HOLES, np.arange(SIZE) % 3, seed=8)
    assert largest_difference(first["terms"], other["terms"]) > 1e-3


def test_survival_through_gate_and_masks_any_dealing_gives_one_answer() -> None:
    rows = HOLES | LESIONS
    asked = {"cox": {"formula": "Surv(days, event) ~ age + lesion + pressure"}}
    first, again = (
        ask(asked, rows, np.arange(SIZE) % 3),
        ask(asked, rows, np.random.default_rng(3).integers(0, 4, SIZE)),
    )
    assert first["imputation"]["baseline"] == "grid"
    assert first["events"] == int(LESIONS["event"].sum())
    assert largest_difference(first["terms"], again["terms"]) < 1e-9
    clustered = {"glm": {"formula": "died ~ age + lesion + cluster(practice)", "family": "binomial"}}
    practices = rows | {"practice": (np.arange(SIZE) // 5).astype(float)}
    one, two = (ask(clustered, practices, (np.arange(SIZE) // 5) % k) for k in (2, 3))
    assert one["error"] == "cluster"
    assert largest_difference(one["terms"], two["terms"]) < 1e-9


def test_under_a_floor_of_eleven() -> None:
    from stated_rules import STRICT

    rows = holes(3000, 2)
    answer = ask(WHOLE_PATH, rows, np.arange(3000) % 3, STRICT)
    assert answer["n"] == 3000
    assert len(answer["terms"]) == 5
    rows = rows | {"smoker": np.where(np.arange(3000) < 9, np.nan, np.nan_to_num(rows["smoker"]))}
    assert ask(WHOLE_PATH, rows, np.arange(3000) % 3, STRICT)["status"] == "refused"


def test_survival_under_a_floor_of_eleven() -> None:
    """Sites as strata need no grid; the hazard of one baseline needs one that passes the vote."""
    from stated_rules import STRICT

    rows = holes(3000, 2)
    draw = np.random.default_rng(5)
    rows |= {"days": np.ceil(draw.exponential(30, 3000)), "event": (draw.random(3000) < 0.6) * 1.0}
    stated = {"formula": "Surv(days, event) ~ age + smoker"}
    own = ask({"cox": {**stated, "strata": ["site"]}}, rows, np.arange(3000) % 3, STRICT)
    pooled = ask({"cox": {**stated, "grid": {"edges": [10, 30, 60]}}}, rows, np.arange(3000) % 3, STRICT)
    assert (own["imputation"]["baseline"], pooled["imputation"]["baseline"]) == ("site", "grid")
    fine = ask({"cox": {**stated, "grid": {"every": 1, "to": 200}}}, rows, np.arange(3000) % 3, STRICT)
    assert fine["status"] == "refused"
    effects = {"impute": {"m": 2, "cycles": 1, "site_effects": ["smoker"]}}
    assert ask(WHOLE_PATH, rows, np.arange(3000) % 3, STRICT, **effects)["status"] in {"refused", "failed"}


TROUBLES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a constant covariate": (LOGISTIC, {"age": np.full(SIZE, 60.0)}, "age"),
    "separation": (LOGISTIC, {"died": (HOLES["age"] > 60) * 1.0}, "age"),
    "missing everywhere": (LOGISTIC, {"smoker": np.full(SIZE, np.nan)}, "smoker"),
    "one value where there is one": (LOGISTIC, {"smoker": np.where(np.isnan(HOLES["smoker"]), np.nan, 1.0)}, "smoker"),
    "two columns that are one": (LOGISTIC, {"pressure": HOLES["age"] * 2.0}, "pressure"),
    "no case": (LOGISTIC, {"died": np.zeros(SIZE)}, "died"),
    "an outcome of 2": (LOGISTIC, {"died": HOLES["died"] * 2.0}, "died"),
    "one row of a level": (
        {"formula": "died ~ age + lesion", "family": "binomial"},
        {"lesion": np.where(np.arange(SIZE) == 7, "d", LESIONS["lesion"])},
        "lesion",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_bad_input_ends_in_an_error_that_names_a_column_alike_at_one_site_and_three(trouble: str) -> None:
    stated, spoilt, name = TROUBLES[trouble]
    rows = HOLES | LESIONS | spoilt
    found = [ask({"glm": stated}, rows, np.arange(SIZE) % count) for count in (2, 3)]
    assert [one["status"] for one in found] == ["failed", "failed"]
    assert found[0]["error"]["code"] == found[1]["error"]["code"]
    assert name in found[0]["error"]["message"], found[0]["error"]


SURVIVAL_TROUBLES = {
    "a negative time": ({"days": np.where(np.arange(SIZE) == 3, -1.0, LESIONS["days"])}, "days"),
    "an event of 2": ({"event": LESIONS["event"] * 2.0}, "event"),
    "no event": ({"event": np.zeros(SIZE)}, "event"),
    "a missing time": ({"days": np.where(np.arange(SIZE) == 3, np.nan, LESIONS["days"])}, "days"),
    "a missing event": ({"event": np.where(np.arange(SIZE) == 3, np.nan, LESIONS["event"])}, "event"),
}


@pytest.mark.parametrize("trouble", SURVIVAL_TROUBLES)
@pytest.mark.parametrize("strata", [[], ["site"]])
def test_bad_times_end_in_an_error_that_names_them(trouble: str, strata: list[str]) -> None:
    spoilt, name = SURVIVAL_TROUBLES[trouble]
    stated = {"formula": "Surv(days, event) ~ age + smoker", "strata": strata}
    answer = ask({"cox": stated}, HOLES | LESIONS | spoilt, np.arange(SIZE) % 3)
    assert answer["status"] == "failed", answer
    assert name in answer["error"]["message"], answer["error"]


@pytest.mark.parametrize(
    ("analysis", "more", "says"),
    [
        ({"table_one": {"variables": ["age"]}}, {}, "table_one"),
        ({"glm": LOGISTIC | {"weights": {"variable": "smoker", "kind": "frequency"}}}, {}, "stands for several"),
        ({"glm": LOGISTIC | {"strata": ["site"]}}, {}, "no strata"),
        ({"cox": {"formula": "Surv(age, died) ~ smoker", "zph": "log"}}, {}, "zph"),
        (WHOLE_PATH, {"seed": None}, "seed"),
        (WHOLE_PATH, {"impute": {"m": 1}}, "`m` is 2 to 100"),
        (WHOLE_PATH, {"impute": {"m": 5, "cycles": 0}}, "`cycles`"),
    ],
)
def test_what_has_no_answer_over_imputed_data_says_so(analysis: Any, more: Any, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        ask(analysis, HOLES, np.arange(SIZE) % 3, **more)
    assert caught.value.code == "E-IMPUTE"
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("formula", "spoil", "says"),
    [
        ("died ~ log(pressure) + sex", {}, "'pressure' has missing values and stands inside 'log(pressure)'"),
        ("died ~ age + smoker + offset(pressure)", {}, "'pressure' has missing values, and times"),
        ("died ~ age + smoker", {"smoker": np.where(np.arange(SIZE) % 3 == 1, np.nan, 1.0)}, "every row of a site"),
    ],
)
def test_what_no_model_can_hold_is_named(formula: str, spoil: Rows, says: str) -> None:
    answer = ask({"glm": {"formula": formula, "family": "binomial"}}, HOLES | spoil, np.arange(SIZE) % 3)
    assert answer["status"] == "failed"
    assert answer["error"]["code"] == "E-IMPUTE"
    assert says in answer["error"]["message"]
