"""Attack: a derived column that encodes who the row is: its number, a remainder, a piece of text, a random draw, a clock.

With one such column any sum is one patient's. Defence: the expression language is closed; none of these can be said, at
the researcher, the hub or the site.
"""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hole_lab import patients

from attack import Attack
from isthmus.data.expressions import parse_condition
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid

ATTACK = Attack("Row numbers, remainders, text and clocks in an expression", "a closed expression language")
BOOK = Codebook(
    name="d",
    person="ID",
    variables={
        "AGE": Variable(type="number", range=(0, 120)),
        "CHOL": Variable(type="number", range=(0, 1000)),
        "ARM": Variable(type="category", levels=("A", "B")),
    },
)
SAID = [
    "ROW_NUMBER() OVER () = 7",
    "rowid = 7",
    "AGE % 97 = 3",
    "MOD(AGE, 97) = 3",
    "AGE - 97 * FLOOR(AGE / 97) = 3 AND HASH(AGE) > 0",
    "SUBSTRING(ARM, 1, 1) = 'A'",
    "ARM LIKE 'A%'",
    "LENGTH(ARM) > 0",
    "MD5(ARM) = 'x'",
    "RANDOM() < 0.001",
    "CURRENT_DATE > DATE '2020-01-01'",
    "ID = '0-7'",
    "AGE = (SELECT MAX(AGE) FROM rows)",
    "POWER(AGE, 9) > 1",
    "EXP(AGE) > 1",
    "SIN(AGE) > 0.999",
    "AGE & 1 = 1",
    "RANK() OVER (ORDER BY AGE) = 1",
]


def test_bare_sql_finds_one_patient_by_the_number_of_the_row(leak):
    rows = pa.table(patients(1))
    con = duckdb.connect()
    con.register("rows", rows)
    query = "SELECT SUM(CASE WHEN n = 8 THEN CHOL ELSE 0 END) FROM (SELECT *, ROW_NUMBER() OVER () n FROM rows)"
    (found,) = con.execute(query).fetchone()
    assert found == np.asarray(rows["CHOL"])[7]
    leak(f"one patient's cholesterol, {found:.0f}, exactly")


@pytest.mark.parametrize("text", SAID)
def test_it_cannot_be_said(stop, text):
    with pytest.raises(Invalid) as caught:
        parse_condition(text, BOOK, {})
    assert caught.value.code in {"E-EXPRESSION", "E-VARIABLE", "E-COLUMN", "E-TYPE"}
    stop(f"{len(SAID)} ways of saying it are refused")
