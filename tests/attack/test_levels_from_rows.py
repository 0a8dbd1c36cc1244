"""Attack 24: the levels of a category are asked for, and a rare one names its bearer (a free text, a postcode, a name).

Defence: levels come from the signed codebook, never from rows; a row with another level is an error that does not say
which. (A codebook inferred from rows is for one's own files, in a rehearsal.)
"""

import json

import numpy as np
import pyarrow as pa
import pytest
from hole_lab import STRICT, patients

import isthmus
from attack import Attack
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid

ATTACK = Attack(
    "Categories and free text", "levels from the codebook alone; errors name columns, never values", number=24
)
SECRET = "Jane Doe of Bridge Street"


def table():
    rows = patients(1)
    rows["JOB"] = np.where(rows["AGE"] > 60, "retired", "working").astype(object)
    rows["JOB"][7] = SECRET
    return pa.table(rows)


def test_bare_the_levels_of_a_column_name_a_patient(leak):
    levels = sorted(set(table()["JOB"].to_pylist()))
    assert SECRET in levels
    leak("a name among the levels")


def test_through_the_site_no_level_is_told(stop):
    book = Codebook(
        name="d",
        variables={
            "JOB": Variable(type="category", levels=("retired", "working")),
            "ARM": Variable(type="category", levels=("A", "B")),
        },
    )
    study = isthmus.Study(
        title="t",
        dataset="d",
        analyses={"m": {"crosstab": {"rows": "JOB", "columns": "ARM"}}},
        purpose={"duo": "DUO:0000007", "text": "x", "commercial": False},
    )
    tables = {"s0": table(), "s1": table(), "s2": table()}
    with pytest.raises(Invalid) as caught:
        isthmus.rehearse(study, sites=tables, rules=STRICT, codebook=book)
    assert caught.value.code == "E-LEVEL"
    assert "Jane" not in json.dumps(caught.value.to_dict())
    stop("E-LEVEL, without the value")
