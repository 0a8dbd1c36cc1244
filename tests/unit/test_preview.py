"""What a preview says before any row is touched, and that it touches none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import isthmus
from isthmus.federation import preview as module
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.sdk.preview import tables

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from history_lab import BOOK, Forgetful

from stated_rules import STRICT

ANALYSES: dict[str, Any] = {
    "table": {"table_one": {"variables": ["AGE"], "by": "ARM"}},
    "model": {"glm": {"formula": "DIED ~ AGE + old", "family": "binomial", "robust": "HC1"}},
    "curve": {"kaplan_meier": {"time": "AGE", "event": "DIED", "grid": {"every": 20, "to": 80}}},
    "few": {"glm": {"formula": "SBP ~ 1", "family": "gaussian", "where": "ARM = 'A'"}},
}


def study(**changed: Any) -> isthmus.Study:
    stated: dict[str, Any] = {
        "title": "t",
        "dataset": "ward",
        "analyses": ANALYSES,
        "derive": {"old": "CASE WHEN AGE > 60 THEN 1 ELSE 0 END"},
        "population": {"where": "SBP > 60"},
    }
    return isthmus.Study(**{**stated, **changed})


def test_every_column_is_named_where_and_derive_included() -> None:
    seen = study().preview(BOOK, rules=STRICT)
    assert seen["population"] == ["SBP"]
    assert {name: set(a["reads"]) for name, a in seen["analyses"].items()} == {
        "table": {"AGE", "ARM"},
        "model": {"AGE", "DIED"},
        "curve": {"AGE", "DIED"},
        "few": {"SBP", "ARM"},
    }


def test_what_may_not_be_asked_is_said() -> None:
    asks = {**ANALYSES, "sites": {"meta": {"by": "site", "treatment": "ARM", "outcome": "ARM2"}}}
    derive = {"ARM2": "CASE WHEN SBP > 100 THEN 1 ELSE 0 END"}
    seen = study(analyses=asks, derive={**derive, "old": "CASE WHEN AGE > 60 THEN 1 ELSE 0 END"}).preview(
        BOOK, rules=STRICT
    )
    assert set(seen["analyses"]) == set(ANALYSES)
    assert seen["refused"]["sites"]["code"] == "E-SITE-RESULTS"
    assert any("E-SITE-RESULTS" in row for table in tables(seen) for row in table.rows)


def test_what_leaves_is_what_a_run_sends() -> None:
    """The layouts of every round are those of a real run over other rows, up to where they end."""
    stated = {name: dict(one) for name, one in ANALYSES.items()}
    stated["model"] = {"glm": {"formula": "DIED ~ AGE", "family": "binomial"}}
    seen = study(analyses=stated, population=None).preview(BOOK, rules=STRICT)
    ran = Forgetful().ask(**stated)
    answered = [name for name in stated if not ran.refused(name)]
    assert {"table", "model"} <= set(answered)
    for name in answered:
        real = [summary.layout for (question, _), summary in ran.sums.items() if question == name]
        told = [
            [(f["name"], tuple(f["shape"]), f["kind"]) for f in r["fields"]] for r in seen["analyses"][name]["leaves"]
        ]
        sent = [[(f.name, f.shape, f.kind) for f in layout.fields] for layout in real]
        shared = min(len(told), len(sent))
        assert shared > 0
        assert told[:shared] == sent[:shared]


def test_no_source_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = module.open_source

    def spy(spec: object) -> Any:
        opened.append(spec)
        return real(spec)

    monkeypatch.setattr(module, "open_source", spy)
    monkeypatch.setattr(Path, "is_file", lambda _self: pytest.fail("a file was looked for"))
    study().preview(BOOK, rules=STRICT)
    assert len(opened) == 3
    assert all(isinstance(spec, pa.Table) and spec.num_rows == module.INVENTED for spec in opened)


def test_rules_say_whose_they_are_and_which_could_refuse() -> None:
    seen = study().preview(BOOK, rules=STRICT)
    assert {r["rule"]: r["whose"] for r in seen["rules"]}["minimum_count"] == "rehearsal"
    assert "maximum_leverage" in seen["analyses"]["model"]["may be refused by"]
    assert "maximum_leverage" not in seen["analyses"]["table"]["may be refused by"]
    assert seen["analyses"]["curve"]["if it is refused"]
    assert json.loads(json.dumps(seen)) == seen
    assert seen == study().preview(BOOK, rules=STRICT)  # the same each time


@pytest.mark.parametrize("codebook", [None, Codebook(name="ward", variables={"AGE": Variable(type="number")})])
def test_without_what_it_needs_it_says_so(codebook: Codebook | None, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        study().preview(codebook, rules=STRICT)
    assert caught.value.code in {"E-PREVIEW", "E-COLUMN", "E-VARIABLE"}


def test_the_rounds_of_an_imputation_are_shown_once_for_each_cycle() -> None:
    asked = {"model": {"glm": {"formula": "DIED ~ AGE + SBP", "family": "binomial"}}}
    wish: dict[str, Any] = {"seed": 1, "impute": {"m": 20, "cycles": 10}, "population": None}
    leaves = study(analyses=asked, **wish).preview(BOOK, rules=STRICT)["analyses"]["model"]["leaves"]
    phases = [one["phase"] for one in leaves]
    assert phases == sorted(phases, key=["missing", "margins", "chains", "analysis"].index)
    assert set(phases) == {"missing", "margins", "chains", "analysis"}
    chains = next(one for one in leaves if one["phase"] == "chains")
    assert (chains["fits"], chains["repeated"]) == (20, 10)
    assert {field["name"] for field in chains["fields"]} >= {"0.gram"}
    margins = next(one for one in leaves if one["phase"] == "margins")
    assert {field["name"].split(".")[0] for field in margins["fields"]} == {"0", "1", "agree"}  # AGE and SBP
    plain = study(analyses=asked, population=None).preview(BOOK, rules=STRICT)["analyses"]["model"]["leaves"]
    assert "phase" not in plain[0]
    shown = tables(study(analyses=asked, **wish).preview(BOOK, rules=STRICT))[1]
    assert [row[1].split(" (")[1] for row in shown.rows] == [
        "missing values)",
        "means)",
        "each cycle, 20 fits at once)",
        "the analysis, 20 fits at once)",
    ]
    assert "if every covariate lacks values" in shown.notes[0]


def test_matched_sets_clusters_and_late_entry_are_played_to_their_end() -> None:
    """Invented identifiers are shared by a few rows, and entries come before times: else the first round was the last."""
    variables = {
        **BOOK.variables,
        "pair": Variable(type="integer", range=(1, 5000)),
        "entered": Variable(type="number"),
    }
    variables["clinic"] = Variable(type="number")
    asked: dict[str, Any] = {
        "sets": {"conditional_logistic": {"formula": "DIED ~ AGE + SBP", "sets": "pair", "cluster": "clinic"}},
        "late": {"cox": {"formula": "Surv(entered, SBP, DIED) ~ AGE", "strata": ["site"]}},
        "pairs": {
            "cox": {
                "formula": "Surv(entered, SBP, DIED) ~ AGE",
                "grid": {"every": 20, "to": 200},
                "concordance": "within_sites",
            }
        },
        "weibull": {"parametric_survival": {"formula": "Surv(entered, SBP, DIED) ~ AGE", "distribution": "weibull"}},
        "groups": {"gee": {"formula": "DIED ~ AGE", "family": "binomial", "cluster": "clinic"}},
    }
    book = Codebook(name="ward", variables=variables)
    seen = study(analyses=asked, population=None, derive={}).preview(book, rules=STRICT)["analyses"]
    assert {name: len(one["leaves"]) > 3 for name, one in seen.items()} == dict.fromkeys(asked, True)
    assert "meat" in {field["name"] for field in seen["sets"]["leaves"][-1]["fields"]}
    last = [{field["name"] for field in leaves["fields"]} for leaves in seen["pairs"]["leaves"][-2:]]
    assert ["pairs" in last[0], "squares" in last[1]] == [True, True]
