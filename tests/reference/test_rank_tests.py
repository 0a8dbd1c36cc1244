"""`spearman` and `kruskal_wallis` against R (r/rank_tests.R), through the masked path; what a floor makes of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from cohort import asked, cohort, expected
from reference_cases import run, worst

from isthmus.model.errors import Invalid


def rows() -> dict[str, np.ndarray]:
    found = cohort()
    found["third"] = np.array(["abcd"[sum(a > e for e in (50, 60, 70))] for a in found["age"]], dtype=object)
    return found


def test_rank_correlations_equal_r() -> None:
    names, r = ("age", "bp", "times"), expected("rank_tests")
    body = asked(rows(), {"s": {"spearman": {"variables": list(names)}}})["s"]
    assert body["exactness"] == "exact"
    for cell, (first, second) in zip(body["cells"], combinations(names, 2), strict=True):
        assert (cell["first"], cell["second"]) == (first, second)
        want = r[f"{first}_{second}"]
        assert worst(cell["estimate"], want["estimate"]) < 1e-12
        assert worst(cell["p_value"], want["p_value"]) < 1e-10  # a p value of 1e-32 has the error of its exponent
        assert cell["conf_low"] < cell["estimate"] < cell["conf_high"]


@pytest.mark.parametrize(("name", "variable", "by"), [("bp_by_third", "bp", "third"), ("times_by_arm", "times", "arm")])
def test_rank_tests_equal_r(name, variable, by) -> None:
    r = expected("rank_tests")
    body = asked(rows(), {"k": {"kruskal_wallis": {"variable": variable, "by": by}}})["k"]
    assert body["exactness"] == "exact"
    assert worst([body["fit"][k] for k in ("statistic", "df")], [r[name][k] for k in ("statistic", "df")]) < 1e-12
    assert worst(body["fit"]["p_value"], r[name]["p_value"]) < 1e-11
    if by == "third":
        assert worst([c["mean_rank"] for c in body["cells"]], list(r["mean_rank"].values())) < 1e-12
    else:  # of two groups: Wilcoxon's test
        assert worst(body["fit"]["p_value"], r["wilcox"]) < 1e-9  # R rounds the statistic's z on its way


def test_perfect_order_is_one_and_constants_are_refused() -> None:
    line = np.arange(90.0)
    made = {
        "x": line,
        "y": line**3,
        "z": -line,
        "c": np.ones(90),
        "g": np.repeat(np.array(["a", "b", "c"], dtype=object), 30),
    }
    made["site_"] = np.arange(90) % 3
    cells = run("spearman", {"variables": ["x", "y", "z"]}, made).report["cells"]
    assert [c["estimate"] for c in cells] == [1.0, -1.0, -1.0]
    assert all(c["p_value"] == 0.0 for c in cells)
    with pytest.raises(Invalid, match="'c' is constant"):
        run("spearman", {"variables": ["x", "c"]}, made)
    with pytest.raises(Invalid, match="'c' is constant"):
        run("kruskal_wallis", {"variable": "c", "by": "g"}, made)
    with pytest.raises(Invalid, match="two groups"):
        run(
            "kruskal_wallis",
            {"variable": "x", "by": "one"},
            made | {"one": np.repeat(np.array(["a"], dtype=object), 90)},
        )
