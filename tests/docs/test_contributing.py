"""The worked example of CONTRIBUTING.md is true: the file it shows is a statistic that holds every law."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from documents import ROOT, blocks

from isthmus.model.errors import Invalid
from isthmus.summary import Summary
from isthmus.testing import Example, check_statistic

DOCUMENT = ROOT / "CONTRIBUTING.md"


@pytest.fixture
def example() -> Iterator[dict[str, Any]]:
    """The names of both blocks, run in order as one module."""
    statistic, check = blocks(DOCUMENT, "python")
    module = types.ModuleType("proportion")
    sys.modules["proportion"] = module  # pydantic and dataclasses look the module up
    try:
        exec(compile(statistic, "CONTRIBUTING.md", "exec", dont_inherit=True), module.__dict__)
        exec(compile(check, "CONTRIBUTING.md", "exec", dont_inherit=True), module.__dict__)
        yield module.__dict__
    finally:
        del sys.modules["proportion"]


def test_the_example_holds_every_law(example: dict[str, Any]) -> None:
    fit = example["trace"].report["fit"]
    assert fit["proportion"] == pytest.approx(4 / 7, rel=1e-15)
    # Wilson (1927) for 4 of 7, by R: prop.test(4, 7, correct = FALSE)$conf.int
    assert (fit["conf_low"], fit["conf_high"]) == pytest.approx((0.250458364528, 0.841780144749), rel=1e-11)


def test_the_laws_catch_a_statistic_that_averages(example: dict[str, Any]) -> None:
    """What one would write by mistake: each site sends its share, not its counts."""
    from isthmus.statistics.contract import Answer

    right = example["STATISTIC"]

    def average(question: Any, setting: Any, prepared: Any, asked: Any) -> Answer:
        doubled = np.minimum(prepared, 1)
        return Answer(Summary(asked.layout, {"cells": doubled}))

    wrong = replace(right, summarise=average)
    with pytest.raises(Invalid, match="E-LAW"):
        check_statistic(
            wrong, Example(example["Proportion"](variable="relapse"), example["setting"], example["inputs"])
        )


def test_the_question_is_read_through_the_strict_door(example: dict[str, Any]) -> None:
    from isthmus.strict import parse

    assert parse(example["Proportion"], {"variable": "relapse"}).variable == "relapse"
    with pytest.raises(Invalid, match="did you mean 'variable'"):
        parse(example["Proportion"], {"varable": "relapse"})


def test_the_example_is_in_the_house_style(example: dict[str, Any], tmp_path: Any) -> None:
    import subprocess

    path = tmp_path / "proportion.py"
    path.write_text(blocks(DOCUMENT, "python")[0])
    config = ["--config", str(ROOT / "pyproject.toml"), "--quiet"]
    ignore = ["--ignore", "TC001,TC002,TC003"]  # as in src/isthmus/statistics
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "check", *config, *ignore, str(path)], [*ruff, "format", "--check", *config, str(path)]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
