"""Which numbers of an expression are looked at by themselves."""

from __future__ import annotations

import pytest

from isthmus.data.expressions import parse_expression
from isthmus.data.figures import figures
from isthmus.model.codebook import Codebook, Variable

NUMBER = Variable(type="number", range=(0, 100))
BOOK = Codebook(name="b", variables={"x": NUMBER, "y": NUMBER})


@pytest.mark.parametrize("text", ["x", "x + 1", "2 * x", "LEAST(x, 50)", "LN(x + 1)", "CASE WHEN x > 5 THEN y END"])
def test_one_variable_is_no_part(text: str) -> None:
    assert not figures(parse_expression(text, BOOK).tree)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x * y", 2),
        ("x + 2 * y", 2),
        ("1 / (x - 5)", 1),
        ("x / (x + y)", 4),  # x, the divisor, its reciprocal, y
        ("CASE WHEN x > 5 THEN y ELSE x END", 2),
        ("CASE WHEN x > 5 THEN y ELSE 0 END", 1),
    ],
)
def test_each_of_two_is_a_part(text: str, parts: int) -> None:
    assert len(figures(parse_expression(text, BOOK).tree)) == parts
