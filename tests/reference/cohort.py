"""The invented cohort of r/cohort.csv: its columns, its three sites, and questions over them through the masked path."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

R = Path(__file__).parent / "r"
TEXTS = ("gp", "arm", "sex", "site")


def cohort() -> dict[str, np.ndarray]:
    """Columns; `site_` numbers the site of a row; a practice (`gp`) lies inside one site."""
    with (R / "cohort.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {
        name: np.array([row[name] for row in rows], dtype=object)
        if name in TEXTS
        else np.array([float(row[name]) for row in rows])
        for name in rows[0]
    }
    return {name: values for name, values in found.items() if name != "site"} | {"site_": found["site"].astype(int)}


def expected(name: str) -> Any:
    """R's values of a script."""
    return json.loads((R / f"{name}.json").read_text())


def tables(rows: dict[str, np.ndarray]) -> dict[str, pa.Table]:
    """A table for each value of `site_`."""
    names = [name for name in rows if name != "site_"]
    return {
        f"s{site}": pa.table({name: rows[name][rows["site_"] == site] for name in names})
        for site in np.unique(rows["site_"])
    }


def asked(rows: dict[str, np.ndarray], analyses: dict[str, Any], **study: Any) -> dict[str, Any]:
    """Answers with open rules: files, gate, masks, sums, output gate."""
    made = isthmus.Study(
        title="cohort",
        dataset="cohort",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses=analyses,
        **study,
    )
    found: dict[str, Any] = isthmus.rehearse(made, tables(rows), rules=plain(OPEN)).to_dict()["analyses"]
    return found


def column(body: dict[str, Any], name: str) -> list[Any]:
    """One column of the terms."""
    return [term[name] for term in body["terms"]]
