"""Rows with holes for r/imputation.R, what the chains made of them, and the questions asked. Run: writes the two tables.

python tests/reference/imputed_rows.py  r/holes.csv (as they came), r/completed.csv (chain by chain, of each question)
"""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from imputing import imputed

from isthmus.testing import Trace, run_flow, split

HERE = Path(__file__).parent / "r"
ROWS, SITES = 360, 3
WISH: dict[str, Any] = {"m": 4, "cycles": 2, "seed": 20260726}
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "glm": (
        "glm",
        {
            "formula": "died ~ age + stage + pressure + offset(exposure)",
            "family": "binomial",
            "weights": {"variable": "weight", "kind": "sampling"},
            "cluster": "practice",
            "contrasts": {"III over II": {"stage[III]": 1.0, "stage[II]": -1.0}},
            "tests": {"stage": ["stage[II]", "stage[III]"]},
            "release": ["vcov"],
        },
    ),
    "multinomial": ("multinomial", {"formula": "stage ~ age + pressure"}),
    "cox": (
        "cox",
        {
            "formula": "Surv(time, event) ~ age + stage + pressure",
            "tests": {"stage": ["stage[II]", "stage[III]"]},
        },
    ),
    "weibull": (
        "parametric_survival",
        {
            "formula": "Surv(time, event) ~ age + stage + pressure",
            "distribution": "weibull",
            "contrasts": {"III over II": {"stage[III]": 1.0, "stage[II]": -1.0}},
        },
    ),
}
TEXTS = ("stage",)
KEPT = ("died", "age", "stage", "pressure", "exposure", "weight", "practice", "time", "event")


def holes() -> dict[str, Any]:
    """Stage of a disease and pressure are missing, more often in those who died."""
    draw = np.random.default_rng(726)
    age = np.round(draw.normal(60, 10, ROWS))
    stage = np.array(["I", "II", "III"], dtype=object)[
        (draw.normal((age - 60) / 15, 1)[:, None] > [-0.3, 0.7]).sum(axis=1)
    ]
    severe = np.array([("I", "II", "III").index(s) for s in stage], dtype=float)
    pressure = np.round(120 + 0.4 * (age - 60) + 4 * severe + draw.normal(0, 10, ROWS), 1)
    exposure = np.round(draw.normal(0, 0.3, ROWS), 2)
    risk = -0.8 + 0.03 * (age - 60) + 0.5 * severe + 0.02 * (pressure - 120) + exposure
    died = (draw.random(ROWS) < 1 / (1 + np.exp(-risk))).astype(float)
    life = 40 * draw.weibull(1.3, ROWS) * np.exp(-(0.02 * (age - 60) + 0.4 * severe + 0.015 * (pressure - 120)))
    end = draw.uniform(5, 60, ROWS)
    event = (life <= end).astype(float)
    time = np.ceil(np.minimum(life, end) * 10) / 10
    pressure[draw.random(ROWS) < 0.12 + 0.15 * died] = np.nan
    stage[draw.random(ROWS) < 0.1 + 0.15 * died] = None
    weight = np.round(draw.uniform(0.5, 2.0, ROWS), 2)
    practice = np.repeat(np.arange(ROWS // 9), 9).astype(float)
    made = {"died": died, "age": age, "stage": stage, "pressure": pressure, "exposure": exposure, "weight": weight}
    return made | {"practice": practice, "time": time, "event": event}


def sites() -> np.ndarray:
    """Practices lie whole at a site."""
    return (np.arange(ROWS) // 9) % SITES


def answered(name: str, wish: dict[str, Any] | None = None) -> tuple[Trace, list[dict[str, Any]]]:
    """The answer, and the completed rows of each chain in the order that they came."""
    kind, stated = QUESTIONS[name]
    rows = holes()
    statistic, example = imputed(kind, stated, rows, wish or WISH)
    where, kept = sites(), []

    def prepare(question: Any, setting: Any, inputs: Any) -> Any:
        kept.append(statistic.prepare(question, setting, inputs))
        return kept[-1]

    parts = split(example.inputs, where, SITES)
    trace = run_flow(replace(statistic, prepare=prepare), example.question, example.setting, parts)
    return trace, [_whole(kept[:SITES], where, chain, rows) for chain in range((wish or WISH)["m"])]


def _whole(parts: list[Any], where: np.ndarray, chain: int, rows: dict[str, Any]) -> dict[str, Any]:
    made = {key: value.copy() for key, value in rows.items()}
    for site, part in enumerate(parts):
        filled = part.chains[chain][1]
        for key in made:
            if key in filled.numbers:
                made[key][where == site] = filled.numbers[key]
            elif key in filled.codes:
                levels = np.array(filled.levels[key], dtype=object)
                made[key][where == site] = levels[filled.codes[key]]
    return made


def text(value: Any) -> str:
    """As R reads it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "NA"
    return value if isinstance(value, str) else repr(float(value))


def main() -> None:
    """Write both tables."""
    with (HERE / "holes.csv").open("w", newline="") as file:
        found = holes()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(KEPT)
        writer.writerows([[text(found[key][i]) for key in KEPT] for i in range(ROWS)])
    with (HERE / "completed.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("question", "chain", "row", "stage", "pressure"))
        holed = [i for i in range(ROWS) if "NA" in {text(found["stage"][i]), text(found["pressure"][i])}]
        for name in QUESTIONS:
            for chain, made in enumerate(answered(name)[1]):
                writer.writerows([[name, chain, i, made["stage"][i], text(made["pressure"][i])] for i in holed])


if __name__ == "__main__":
    main()
