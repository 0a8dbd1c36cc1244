"""The sums of one group, or one site, from the sums of a mixed model over several theta."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hole_lab import ROWS, answered, patients, refused, sites

from attack import Attack
from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over

ATTACK = Attack("Each group's sums from a mixed model asked at several theta", "counts on groups of one size (mixed)")
QUESTION = {"formula": "CHOL ~ AGE", "group": "CLINIC"}


def solved(group: np.ndarray, table: dict, question: dict, sizes: np.ndarray) -> np.ndarray:
    """Sums of the outcome (groups of one size together), from the pooled sums of the grid round and the sizes."""
    kind = CATALOGUE["mixed"]
    asked = strict.parse(kind.question, question)
    made = make(kind, asked, table)
    trace = over(kind, asked, made, group)
    at = next(i for i, request in enumerate(trace.rounds) if request.params["step"] == "grid")
    params, pooled = trace.rounds[at].params, trace.pooled[at]
    squares = np.asarray(params["theta"])[:, 0] ** 2
    mixture = 1.0 / (1.0 + squares[:, None] * sizes)  # of the sums of the outcome, in the intercept's column
    cells = pooled["grams"][:, 0, -1] / np.asarray(params["lift"])
    found = np.linalg.lstsq(mixture, cells, rcond=None)[0]
    return found * float(params["response_scale"]) + float(params["response_centre"]) * sizes


def test_bare_sums_give_every_sites_mean(leak):
    tables = [patients(seed) for seed in range(1, 6)]
    kept = (400, 370, 310, 250, 160)
    rows = {n: np.concatenate([t[n][:k] for t, k in zip(tables, kept, strict=True)]) for n in ("CHOL", "AGE")}
    site = np.repeat(np.arange(5), kept)
    told = solved(site, rows, {**QUESTION, "group": "site"}, np.array(kept, dtype=float))
    true = np.array([rows["CHOL"][site == s].sum() for s in range(5)])
    assert told == pytest.approx(true, rel=1e-4)
    leak("the mean of each of five sites, to four digits and more")


def test_bare_sums_give_a_family_of_three(leak):
    table = patients(1)
    rows = {"CHOL": table["CHOL"], "AGE": table["AGE"], "CLINIC": np.minimum(np.arange(ROWS) // 20, 19) + 1.0}
    rows["CLINIC"][-3:] = 0.0
    sizes = np.array([3.0, 17.0, 20.0])
    told = solved(np.zeros(ROWS, dtype=int), rows, QUESTION, sizes)[0]
    assert told == pytest.approx(rows["CHOL"][-3:].sum(), rel=1e-4)
    leak("what three people's cholesterol adds up to")


def by(clinic):
    tables = sites()
    for table in tables:
        table["CLINIC"] = clinic(np.arange(ROWS)).astype(float)
    return tables


def few(rows):
    return np.where(rows < 3, 0, 1 + rows // 4)  # groups of four, and one of three


def test_the_site_refuses_groups_that_would_come_out(stop):
    assert answered("mixed", QUESTION, by(lambda rows: rows // 4))  # a hundred groups of four at each site
    assert refused("mixed", QUESTION, by(few))
    assert refused("mixed", QUESTION, by(lambda rows: np.floor(np.sqrt(rows))))  # twenty sizes, each of one group
    deaths = {"formula": "DIED ~ AGE", "group": "CLINIC", "family": "binomial"}
    assert answered("mixed", deaths, by(lambda rows: rows // 4))
    assert refused("mixed", deaths, by(few))
    five = [patients(seed) for seed in range(1, 6)]
    assert refused("mixed", {**QUESTION, "group": "site"}, five)
    repeated = {"formula": "CHOL ~ AGE", "family": "gaussian", "cluster": "CLINIC"}
    assert answered("gee", repeated, by(lambda rows: rows // 4))
    assert refused("gee", repeated, by(few))  # its working correlation mixes clusters by their size as well
    assert answered("gee", {**repeated, "correlation": "independence"}, by(few))
    assert refused("gee", {**repeated, "correlation": "independence"}, by(lambda rows: rows // 100))
    stop("refused: too few groups have the size, or too few sums stay open")
