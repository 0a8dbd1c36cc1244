"""Tests and standardised differences of `table_one` against R (r/table_tests.R), through the masked path."""

from __future__ import annotations

import numpy as np
import pytest
from cohort import asked, cohort, expected
from reference_cases import run, worst

from isthmus.model.errors import Invalid


@pytest.mark.parametrize("by", ["arm", "times"])
def test_equals_r(by) -> None:
    rows = cohort()
    rows["third"] = np.array(["abcd"[sum(a > e for e in (50, 60, 70))] for a in rows["age"]], dtype=object)
    question = {"variables": ["age", "bp", "sex", "third"], "by": by, "tests": True, "smd": True}
    found, r = asked(rows, {"t": {"table_one": question}})["t"]["fit"], expected("table_tests")[by]
    keys = ("statistic", "df", "df_residual", "p_value")
    for name in ("age", "bp"):
        got = found["tests"][name]
        assert got["test"] == "welch"
        assert worst([got[k] for k in keys], [r[name]["welch"][k] for k in keys]) < 1e-12
        assert worst([got["anova"][k] for k in keys], [r[name]["anova"][k] for k in keys]) < 1e-12
    for name in ("sex", "third"):
        assert worst([found["tests"][name][k] for k in keys[:2]], [r[name][k] for k in keys[:2]]) < 1e-12
        assert worst(found["tests"][name]["p_value"], r[name]["p_value"]) < 1e-12
    assert worst(list(found["smd"].values()), list(r["smd"].values())) < 1e-12


def test_what_has_no_variance_or_no_group_has_no_test() -> None:
    rows = {"x": np.ones(60), "y": np.arange(60.0), "g": np.repeat(np.array(["a", "b"], dtype=object), 30)}
    rows["site_"] = np.arange(60) % 3
    found = run("table_one", {"variables": ["x", "y"], "by": "g", "tests": True}, rows).report["fit"]["tests"]
    assert found["x"]["p_value"] is found["x"]["anova"]["p_value"] is None
    assert found["y"]["p_value"] < 1e-9
    with pytest.raises(Invalid, match="compare groups"):
        run("table_one", {"variables": ["x"], "tests": True}, rows)
