"""Real patients for the demonstration: ACTG 175, dealt to six invented sites by a hash of the patient number."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

# The names are invented; the patients are those of one real trial. Nobody was treated at "leeds".
SITES = {"leeds": "GB", "oxford": "GB", "edinburgh": "GB", "boston": "US", "durham": "US", "seattle": "US"}
ARMS = ("ZDV", "ZDV + ddI", "ZDV + ddC", "ddI")
ARMS_IN_WORDS = "ZDV zidovudine, ddI didanosine, ddC zalcitabine"
TRIAL = "ACTG 175 (Hammer et al., N Engl J Med 1996; 335:1081), 2,139 adults with HIV"
FILE = "lifelines/datasets/ACTG175.csv"

# The public ladder of time grids (ends of steps in days), finest first: four weeks, quarters, half-years, years. The
# vote takes the finest that no site's rules refuse.
LADDER = (range(28, 1093, 28), range(91, 1093, 91), range(182, 1093, 182), range(365, 1096, 365))

# name in the codebook -> (column of the file, words for its codes)
_WORDS = {
    "prior": ("str2", ("naive", "experienced")),
    "race": ("race", ("white", "non-white")),
    "sex": ("gender", ("female", "male")),
    "symptoms": ("symptom", ("no", "yes")),
    "other_art": ("oprior", ("no", "yes")),
    "arm": ("arms", ARMS),
}
_NUMBERS = {"patient": "pidnum", "days": "days", "event": "cens", "age": "age", "cd4": "cd40", "cd4_week20": "cd420"}


def locate() -> Path:
    """The trial's file inside the installed lifelines wheel; lifelines itself is never imported.

    Raises:
        Unavailable: E-DEMO-DATA, when it is not installed.
    """
    hint = "install the demo's data: pip install 'isthmus[demo]'"
    try:
        path = Path(str(importlib.metadata.distribution("lifelines").locate_file(FILE)))
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("E-DEMO-DATA", "the demonstration's data are not installed", hint) from None
    if not path.is_file():
        raise Unavailable("E-DEMO-DATA", "this version of lifelines does not hold ACTG175.csv", hint)
    return path


def site_of(patient: int) -> str:
    """Which site a patient is dealt to: SHA-256 of the patient number, modulo six."""
    word = hashlib.sha256(str(patient).encode()).digest()[:8]
    return list(SITES)[int.from_bytes(word, "big") % len(SITES)]


def deal(lines: Iterable[str]) -> dict[str, pa.Table]:
    """The file's lines as one Arrow table per site, with readable names and levels."""
    import pyarrow as pa

    rows: dict[str, list[dict[str, Any]]] = {site: [] for site in SITES}
    for raw in csv.DictReader(lines):
        row = _read(raw)
        rows[site_of(row["patient"])].append(row)
    return {site: pa.Table.from_pylist(dealt) for site, dealt in rows.items()}


def _read(raw: dict[str, str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {name: None if raw[c] == "NA" else int(raw[c]) for name, c in _NUMBERS.items()}
    return numbers | {name: levels[int(raw[c])] for name, (c, levels) in _WORDS.items()}


def codebook_data() -> dict[str, Any]:
    """The codebook that all six sites agree on, as a codebook file holds it."""
    levels = {name: {"type": "category", "levels": list(words)} for name, (_, words) in _WORDS.items()}
    labels = {
        "prior": "Antiretroviral therapy before the trial",
        "race": "Race as recorded by the trial",
        "sex": "Sex",
        "symptoms": "Symptoms of HIV at entry",
        "other_art": "Therapy other than zidovudine before the trial",
        "arm": f"Treatment arm ({ARMS_IN_WORDS})",
    }
    numbers: dict[str, dict[str, Any]] = {
        "days": {
            "type": "integer",
            "unit": "d",
            "range": [0, 1300],
            "label": "Days to event or last visit",
            "grid": [list(edges) for edges in LADDER],
        },
        "event": {"type": "integer", "range": [0, 1], "label": "CD4 fall of 50 %, AIDS or death"},
        "age": {"type": "integer", "unit": "a", "range": [12, 90], "label": "Age at entry"},
        "cd4": {"type": "integer", "unit": "{cells}/uL", "range": [0, 2000], "label": "CD4 count at entry"},
        "cd4_week20": {"type": "integer", "unit": "{cells}/uL", "range": [0, 2000], "label": "CD4 count at 20 weeks"},
    }
    named = {name: {**levels[name], "label": labels[name]} for name in levels}
    return {"name": "actg175", "person": "patient", "variables": {**numbers, **named}}
