"""Each rule on outputs fires at a site's egress gate on a fault that is really planted: a gate left open, a kind that shows rows, a
history that forgets. Three sites' own code, in one process; the twin without the fault passes every rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_processes_agreed as agreed
from test_processes_agreed import ROWS, SITES, Alliance, alliance, now, study

from isthmus.disclosure import output, site
from isthmus.federation import law, results, work
from isthmus.federation.agreed import request_for, site_setup
from isthmus.federation.body import extension, names, shows_rows
from isthmus.federation.identity import load_identity
from isthmus.federation.plan import VOTE
from isthmus.federation.script import Asked
from isthmus.governance.agreement import shared_rules
from isthmus.governance.verdicts import RuleRefused
from isthmus.model.rules import Dominance
from isthmus.summary import Summary

Patch = pytest.MonkeyPatch
EDGES = [*range(0, 95, 5)]
FINE = [x / 4 for x in range(361)]


@pytest.fixture
def wide(monkeypatch: Patch) -> None:
    """The codebook has a grid for ages, so that there are curves to show."""
    variables: dict[str, Any] = {**agreed.CODEBOOK["variables"]}  # type: ignore[dict-item]
    variables["age"] = {"type": "number", "range": [0, 90], "grid": [FINE, EDGES]}
    monkeypatch.setattr(agreed, "CODEBOOK", agreed.CODEBOOK | {"variables": variables})


class Run:
    """A study at three sites whose parts are added in the open: what a hub does, without masks."""

    def __init__(self, made: Alliance, analyses: Mapping[str, Any]) -> None:
        self.seats: list[Any] = []
        self.stores: list[Any] = []
        key = load_identity(made.directory / "ada" / "keys2").key
        for name in sorted(SITES):
            setup = site_setup(made.config(name), {}, now, os.urandom)
            desk: Any = setup.desk
            request = request_for(study(analyses=analyses), desk.agreement, 1, now(), key)
            self.seats.append(desk.admit(request, now(), lambda *_: None))
            self.stores.append(setup.means.store)
        self.works = [seat.work for seat in self.seats]

    def result(self) -> Any:
        self._round(VOTE, 1)
        script, at = self.works[0].script, 0
        while at < len(order := script.order()):
            name = order[at].name
            for one in self.works:
                one.script.open(order[at])
            while isinstance(asked := script.outcomes[name], Asked):
                self._round(name, asked.number)
            at += 1
        return self.works[0].conclude(tuple(sorted(SITES)))

    def _round(self, question: str, number: int) -> None:
        step = [one.step(question, number) for one in self.works][-1]  # each derives its own
        parts = [one.answer(step).summary for one in self.works]
        pooled = Summary(step.layout, {f.name: sum(p.values[f.name] for p in parts) for f in step.layout.fields})
        for one in self.works:
            one.learn(step, pooled, tuple(sorted(SITES)))

    def failing(self, at: datetime | None = None) -> set[str]:
        """Rules that stop the first site's signature, now or at another time."""
        made = self.result()
        assert {body.get("status") for body in made["analyses"].values()} == {None}, made["analyses"]
        try:
            self.seats[0].egress(made, at or now())
        except RuleRefused as refused:
            told = refused.record["decisions"]
            return {name for each in told for out in ("fail", "unknown") for name in each["rules"].get(out, ())}
        finally:
            for store in self.stores:
                store.close()
        return set()


COUNT = {"people": {"count": {"by": ["arm"]}}}
CURVE = {"curve": {"kaplan_meier": {"time": "age", "event": "died"}}}
MODEL = {"death": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}}}
MEAN = {"age": {"table_one": {"variables": ["age"]}}}
KINDS = ("count", "kaplan_meier", "glm", "table_one")


def showing(patch: Patch, **more: Callable[[int], Any]) -> None:
    """A kind whose report holds something more, made of the number of people."""
    report = results._report

    def told(question: Any, script: Any, estimate: Any, excluded: Any) -> dict[str, Any]:
        return report(question, script, estimate, excluded) | {k: make(estimate.n) for k, make in more.items()}

    patch.setattr(results, "_report", told)


def open_at_sites(patch: Patch, *rules: str) -> None:
    for rule in rules:
        patch.setitem(site.SITE_RULES, rule, lambda _evidence, _rules: ())  # type: ignore[arg-type]


def few_at_boston(made: Alliance) -> None:
    rows = agreed.rows(0)
    arm = pa.array(np.where(np.arange(ROWS) < 3, "B", "A"))
    pq.write_table(rows.set_column(2, "arm", arm), made.directory / "boston" / "trial.parquet")


def no_history(patch: Patch, _made: Alliance) -> None:
    patch.setattr(work, "judge", lambda *_: {})


def open_cells(patch: Patch, made: Alliance) -> None:
    few_at_boston(made)
    open_at_sites(patch, "minimum_count_site", "minimum_count")


def unmerged(patch: Patch, _made: Alliance) -> None:
    open_at_sites(patch, "minimum_count_site", "minimum_count", "zeros")
    patch.setattr(output, "gate_curve", lambda values, _floor, _zeros: values)


def weaker_dominance(patch: Patch, _made: Alliance) -> None:
    def weaker(*asked: Any) -> Any:
        found = shared_rules(*asked)
        return replace(found, rules=replace(found.rules, dominance=Dominance(n=2, k=0.99, p=0.1)))

    patch.setattr(law, "shared_rules", weaker)


def open_fit(patch: Patch, _made: Alliance) -> None:
    open_at_sites(patch, "minimum_dof")
    patch.setattr(results, "check_fit", lambda *_: ())


def zeros_shown(patch: Patch, made: Alliance) -> None:
    for name in SITES:
        rows = agreed.rows(0)
        pq.write_table(rows.set_column(2, "arm", pa.array(["A"] * ROWS)), made.directory / name / "trial.parquet")
    open_at_sites(patch, "zeros", "minimum_count")
    gate = results.gate_counts
    patch.setattr(
        results, "gate_counts", lambda counts, rules, kind="": gate(counts, replace(rules, zeros="allowed"), kind)
    )


FAULTS: dict[str, tuple[str, dict[str, Any], Callable[[Patch, Alliance], None]]] = {
    "rows": ("OUT-01", MODEL, lambda patch, _: showing(patch, residuals=lambda n: [i * 0.5 for i in range(n)])),
    "names": ("OUT-01", MODEL, lambda patch, _: showing(patch, note=lambda _: "see 943 476 5919")),
    "file": ("OUT-01", MODEL, lambda patch, _: showing(patch, plot=lambda _: "<svg xmlns='...'>")),
    "dominance": ("OUT-04", MEAN, weaker_dominance),
    "curve": ("OUT-06", CURVE, unmerged),
    "history": ("OUT-08", COUNT, no_history),
    "site": ("OUT-09", COUNT, open_cells),
    "record": ("OUT-13", COUNT, lambda patch, _: patch.setattr(results, "findings_json", lambda *_: [])),
    "checkers": ("OUT-13", COUNT, lambda patch, _: patch.setattr(law.Law, "_checkers", lambda _self, asker: (asker,))),
}


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fires_its_rule(tmp_path: Path, monkeypatch: Patch, fault: str) -> None:
    rule, analyses, plant = FAULTS[fault]
    made = alliance(tmp_path, kinds=KINDS)
    plant(monkeypatch, made)
    assert rule in Run(made, analyses).failing()


@pytest.mark.usefixtures("wide")
def test_without_a_fault_every_rule_holds(tmp_path: Path) -> None:
    made = alliance(tmp_path, kinds=KINDS)
    assert Run(made, {**COUNT, **CURVE, **MODEL, **MEAN}).failing() == set()


@pytest.mark.usefixtures("wide")
def test_who_looks_at_a_result_is_trained_on_the_day_of_the_result(tmp_path: Path) -> None:
    """Training that held at admission, and has run out when the site is about to sign."""
    made = alliance(tmp_path, kinds=KINDS)
    assert Run(made, COUNT).failing(now() + timedelta(days=40)) == {"OUT-13"}


def test_a_fit_with_too_few_people_fires_its_rule(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(agreed, "FLOOR", replace(agreed.FLOOR, minimum_dof=5000))
    made = alliance(tmp_path, kinds=KINDS)
    open_fit(monkeypatch, made)
    assert Run(made, MODEL).failing() == {"OUT-05"}


def test_an_empty_cell_where_zeros_are_barred_fires_its_rule(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(agreed, "FLOOR", replace(agreed.FLOOR, zeros="barred"))
    made = alliance(tmp_path, kinds=KINDS)
    zeros_shown(monkeypatch, made)
    assert "OUT-03" in Run(made, COUNT).failing()


def test_a_floor_of_an_origin_fires_its_rule(tmp_path: Path) -> None:
    made = alliance(tmp_path, kinds=KINDS, custody={"origins": ("all_of_us",)})
    assert Run(made, COUNT).failing() == {"OUT-02"}


# ---- what the body of an output shows


def test_rows_are_a_list_of_everyone_and_a_curve_is_none() -> None:
    steps = [0.9**i for i in range(40)]
    assert shows_rows({"residuals": [i * 0.1 for i in range(200)]}, 200, 11)
    assert shows_rows({"deep": [{"x": [i % 7 for i in range(200)]}]}, 200, 11)
    assert not shows_rows({"time": list(range(40)), "survival": steps}, 30, 11)  # beside the times that were asked for
    assert not shows_rows({"edges": list(range(41)), "counts": steps}, 30, 11)
    assert not shows_rows({"cells": ([0] * 9 + [20, 20] + [0] * 9) * 4}, 80, 11)
    assert not shows_rows({"terms": [1.0, 2.0, 3.0]}, 200, 11)


def test_names_are_texts_in_the_form_of_an_identifier() -> None:
    assert names({"levels": ["A", "B"], "of": {"B": 3}, "digest": "sha256:" + "1" * 64}) == 0
    assert names({"levels": ["jo@example.org"]}) == names({"943 476 5919": 12}) == 1


@pytest.mark.parametrize(
    ("text", "end"),
    [("<svg x>", ".svg"), ("PAR1abc", ".parquet"), ("H4sIAAAA", ".rds"), ("gASVAAAA", ".pkl"), ("age", ".isthmus")],
)
def test_a_file_is_known_by_how_it_begins(text: str, end: str) -> None:
    assert extension({"deep": [{"x": text}]}) == end
