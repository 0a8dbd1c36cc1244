"""A stated grid under a floor of 11: refused as it is, answered on the finest of its coarser forms that no site refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

FLOOR = plain(OPEN) | {"minimum_count": 11, "minimum_count_site": 11, "minimum_sites": 3}
GRID = {"every": 90, "to": 720}
CURVE = {"time": "time", "event": "death", "by": "arm"}
COMPETING = {"time": "time", "cause": "cause", "causes": {"1": "relapse", "2": "death"}}


def rows(seed: int) -> dict[str, Any]:
    """3,000 people: two causes, and few censored early."""
    draw = np.random.default_rng(seed)
    relapse, death, left = draw.exponential(800, 3000), draw.exponential(1200, 3000), draw.uniform(80, 1500, 3000)
    time = np.ceil(np.minimum(np.minimum(relapse, death), left))
    cause = np.where(left < np.minimum(relapse, death), "0", np.where(relapse < death, "1", "2")).astype(object)
    arm = np.array(["control", "treated"], dtype=object)[draw.integers(0, 2, 3000)]
    return {"time": time, "cause": cause, "death": (cause == "2") * 1.0, "arm": arm}


def ask(kind: str, stated: dict[str, Any], table: dict[str, Any], rules: dict[str, Any] = FLOOR) -> dict[str, Any]:
    whole, site = pa.table(table), np.arange(3000) % 3
    sites = {f"s{i}": whole.filter(pa.array(site == i)) for i in range(3)}
    study = isthmus.Study(title="t", dataset="d", analyses={"a": {kind: stated}})
    return isthmus.rehearse(study, sites=sites, rules=rules).to_dict()["analyses"]["a"]


CASES = [
    ("kaplan_meier", CURVE),
    ("log_rank", CURVE),
    ("rmst", CURVE | {"tau": 720}),
    ("cumulative_incidence", COMPETING),
    ("cumulative_incidence", COMPETING | {"by": "arm"}),
]


@pytest.mark.parametrize(("kind", "stated"), CASES, ids=["-".join((kind, *stated)) for kind, stated in CASES])
def test_a_refused_grid_is_answered_in_a_coarser_form(kind, stated) -> None:
    refused = ask(kind, stated | {"grid": GRID}, rows(0))
    assert refused["error"]["code"] == "E-DISCLOSURE"
    assert "`coarser: true`" in refused["error"]["hint"]
    answer = ask(kind, stated | {"grid": GRID | {"coarser": True}}, rows(0))
    edges = answer["grid"]["edges"]
    assert set(edges) < set(np.arange(90.0, 721.0, 90.0).tolist())
    assert edges[-1] == 720 or kind in {"kaplan_meier", "cumulative_incidence"}
    again = ask(kind, stated | {"grid": {"edges": edges}}, rows(0))
    assert again == answer, "the same as if that form had been stated"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", [{}, {"by": "arm"}], ids=["all", "arms"])
def test_cumulative_incidence_of_an_ordinary_study_has_a_bound_that_covers(seed, by) -> None:
    table = rows(seed)
    answer = ask("cumulative_incidence", COMPETING | by | {"grid": GRID | {"coarser": True}}, table)
    pooled = ask("cumulative_incidence", COMPETING | by, table, plain(OPEN))
    assert answer["exactness"] == "grid"
    assert 0 < answer["bound"] < 0.1
    for curve, whole in zip(answer["curves"], pooled["curves"], strict=True):
        at = np.searchsorted(whole["time"], curve["time"], side="right") - 1
        gap = np.abs(np.array(curve["incidence"]) - np.array(whole["incidence"])[at])
        assert float(gap.max()) <= answer["bound"]
