"""Negative binomial regression against R's MASS::glm.nb (r/negative_binomial.R), bare and through the masked path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_mixed import table

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
FORMULAS = {"plain": "falls ~ age + arm + day", "offset": "falls ~ age + arm + offset(logtime)"}


def timed() -> dict[str, np.ndarray]:
    made = table()
    return made | {"logtime": np.log(made["time"])}


def ask(formula: str) -> dict[str, Any]:
    return {"formula": formula, "family": "negative_binomial"}


def compared(body: dict[str, Any], name: str) -> dict[str, float]:
    right = json.loads((HERE / "negative_binomial.json").read_text())[name]
    own = {key: [t[key] for t in body["terms"]] for key in ("estimate", "std_error")} | body["fit"]
    exact = max(worst(own[key], right[key]) for key in right if key != "package")
    return {"exact": exact, "package": max(worst(own[key], value) for key, value in right["package"].items())}


@pytest.mark.parametrize("name", FORMULAS)
def test_equals_glm_nb(name: str) -> None:
    body = run("glm", ask(FORMULAS[name]), timed()).report
    found = compared(body, name)
    assert found["exact"] < 1e-9
    assert found["package"] < 1e-4  # where glm.nb stops, its theta and errors above all
    assert body["rounds"] <= 12


def test_equals_glm_nb_through_the_masked_path() -> None:
    whole = timed()
    names = ("age", "arm", "day", "falls", "logtime")
    sites = {f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in names}) for s in np.unique(whole["site_"])}
    study = isthmus.Study(
        title="falls",
        dataset="falls",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses={name: {"glm": ask(formula)} for name, formula in FORMULAS.items()},
    )
    answers = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]
    for name, answer in answers.items():
        assert "status" not in answer, answer
        assert compared(answer, name)["exact"] < 1e-9


def test_counts_that_vary_little_more_than_poisson() -> None:
    """Against glm.nb of R 4.2.2: theta 100213.8 from counts near 22,000. R's own theta.ml loses digits there, and says so."""
    i = np.arange(1, 401)
    x, noise = np.cos(i), np.sqrt(2.0) * np.sin(i * i)
    mean = np.exp(10 + 0.3 * x)
    y = np.round(mean + noise * np.sqrt(mean + mean**2 / 1e5))
    body = run("glm", ask("y ~ x"), {"x": x, "y": y, "site_": i % 3}).report
    assert worst([t["estimate"] for t in body["terms"]], [10.00004816303172639, 0.30060847219236631]) < 1e-9
    assert worst([t["std_error"] for t in body["terms"]], [0.00037532189376191324, 0.00052966086042578308]) < 1e-7
    assert worst(body["fit"]["theta"], 100213.79746489141) < 1e-6
    assert body["rounds"] <= 20


def even(rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.arange(rows["age"].size) % 2 + 1.0


@pytest.mark.parametrize(
    ("change", "more", "code", "says"),
    [
        (even, {}, "E-OUTCOME", "'falls' varies no more than a Poisson"),
        (lambda rows: rows["falls"] * 0, {}, "E-NO-EVENTS", "'falls'"),
        (lambda rows: rows["falls"] - 1, {}, "E-OUTCOME", "'falls'"),
        (lambda rows: rows["falls"], {"link": "identity"}, "E-LINK", "'identity'"),
        (lambda rows: np.where(rows["arm"] == "treated", 0.0, rows["falls"]), {}, "E-SEPARATED", "arm[treated]"),
    ],
)
def test_bad_input_names_the_column(change, more, code, says) -> None:
    rows = timed()
    rows["falls"] = change(rows)
    with pytest.raises(Invalid) as caught:
        run("glm", {**ask(FORMULAS["plain"]), **more}, rows)
    assert caught.value.code == code
    assert says in caught.value.message
