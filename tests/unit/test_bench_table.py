"""The bench's tables: a target is met, missed, or said not to have been compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from isthmus.governance.identifiers import scan

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _bench_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [n for n in sys.modules if n == "bench" or n.startswith("bench.")]:
        monkeypatch.delitem(sys.modules, name)


def test_targets_are_judged_by_medians_and_ratios() -> None:
    from bench.table import Measure, Target, judge

    measures = [Measure("fit", "ours", "s", (0.1, 0.9, 0.2)), Measure("fit", "theirs", "s", (1.0,))]
    targets = [
        Target("fit", "ours", 0.25, "theirs"),
        Target("fit", "ours", 0.1, "theirs"),
        Target("fit", "ours", 0.3),
        Target("fit", "ours", 0.3, "absent"),
        Target("other", "ours", 1.0),
    ]
    assert [v.reached for v in judge(targets, measures)] == [True, False, True, None]


def test_the_page_says_what_was_missed() -> None:
    from bench.table import Measure, Target, judge, markdown

    measures = [Measure("round", "3 sites", "ms", (25.0, 30.0))]
    page = markdown(measures, judge([Target("round", "3 sites", 20.0)], measures))
    assert "| round | 3 sites | at most 20 ms | 27.5 ms | **missed** |" in page


def test_every_target_of_the_project_names_a_part_that_is_measured() -> None:
    """The constants of bench/targets.py are what the parts measure under."""
    from bench import targets

    named = {value for name, value in vars(targets).items() if name.isupper() and isinstance(value, str)}
    parts = {*targets.GATED, *targets.LARGE.values(), *targets.ABOVE.values()}
    assert {t.part for t in targets.TARGETS} <= named | parts


def test_the_two_floors_fit_the_same_model() -> None:
    """A floor that computed something else would be no floor."""
    from bench.data import make
    from bench.rivals import numpy_floor, numpy_floor_chunked

    pooled = make(200)
    plain, chunked = numpy_floor(pooled), numpy_floor_chunked(pooled)
    assert plain.coefficients == pytest.approx(chunked.coefficients, rel=1e-9)


@pytest.mark.parametrize("part", ["models", "patients"])
def test_the_data_of_the_bench_show_no_identifier(part: str) -> None:
    """Its agreement calls them de-identified, and sites refuse what is not."""
    from importlib import import_module

    found = scan(import_module(f"bench.{part}").codebook(), "2027-12-31")
    assert (found.found, found.age90_ok) == ({}, True)
