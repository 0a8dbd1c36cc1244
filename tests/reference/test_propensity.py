"""The propensity model, its overlap and balance against R (r/propensity.R)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import worst
from test_effect_survival import table

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN
from isthmus.testing import largest_difference

HERE = Path(__file__).parent / "r"
FLOOR = plain(OPEN) | {"minimum_count": 5, "minimum_count_site": 5, "minimum_sites": 3}


def answers(rules: dict) -> dict:
    whole = table()
    columns = [name for name in whole if name != "site_"]
    sites = {f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in columns}) for s in np.unique(whole["site_"])}
    asked = {
        e: {"propensity": {"treatment": "event", "adjust": "age + x + time", "estimand": e}}
        for e in ("ATE", "ATT", "ATO")
    }
    return isthmus.rehearse(isthmus.Study(title="t", dataset="d", analyses=asked), sites, rules=rules).to_dict()[
        "analyses"
    ]


def test_equals_r_through_the_masked_path() -> None:
    right = json.loads((HERE / "propensity.json").read_text())
    for estimand, body in answers(plain(OPEN)).items():
        for key in ("estimate", "std_error"):
            assert worst([term[key] for term in body["terms"]], right[key]) < 1e-9
        for key in ("deviance", "null_deviance"):
            assert body["fit"][key] == pytest.approx(right[key], rel=1e-9)
        for arm, value in (("treated", "1"), ("control", "0")):
            assert [cell["count"] for cell in body["cells"] if cell["event"] == value] == right[arm]
        own = right[estimand]
        assert worst(list(body["fit"]["ess"].values()), own["ess"]) < 1e-9
        for when in ("before", "after"):
            theirs = (
                [own[when][term["term"]] for term in body["fit"]["balance"]]
                if isinstance(own[when], dict)
                else own[when]
            )
            assert max(abs(b[when] - t) for b, t in zip(body["fit"]["balance"], theirs, strict=True)) < 1e-9


def test_under_a_floor_bins_are_as_wide_as_every_site_needs() -> None:
    free, held = answers(plain(OPEN))["ATE"], answers(FLOOR)["ATE"]
    assert largest_difference(free["terms"], held["terms"]) < 1e-9
    assert set(held["grid"]["edges"]) < set(free["grid"]["edges"])
    counts = [cell["count"] for cell in held["cells"]]
    assert all(count == 0 or count >= 15 for count in counts if count is not None)  # 5 at each of three sites, or none
    assert sum(counts) == free["n"]
