"""YAML read as plain data: words stay words, and nothing clever happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.yaml_text import load_yaml, read_yaml
from isthmus.model.errors import Invalid, Unavailable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: NO", {"a": "NO"}),
        ("[yes, no, on, off, Y, n, True, TRUE, Null]", ["yes", "no", "on", "off", "Y", "n", "True", "TRUE", "Null"]),
        ("[true, false, null, ~, ]", [True, False, None, None]),
        ("[1, -2, 1.5, .5, 1e3, 0]", [1, -2, 1.5, 0.5, 1000.0, 0]),
        ("[007, 1_000, 0x1F, 1:30, 2024-01-31, .inf, .nan, '1', \"2\"]", ["007", "1_000", "0x1F", "1:30", "2024-01-31", ".inf", ".nan", "1", "2"]),
        ("levels: [NO, 1, 01, true, ~, 1.0]", {"levels": ["NO", "1", "01", "true", "~", "1.0"]}),
        ("reference: {SEX: N, ward: 2}", {"reference": {"SEX": "N", "ward": "2"}}),
        ("causes: {1: relapse, no: 2}", {"causes": {"1": "relapse", "no": 2}}),
        ("a:\n- x: 1\n  y:\n- |\n  two\n  lines\n", {"a": [{"x": 1, "y": None}, "two\nlines\n"]}),
        ("", None),
    ],
)  # fmt: skip
def test_words_stay_words(text: str, value: Any) -> None:
    assert load_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "twice"),
        ("a: {b: 1, b: 1}", "twice"),
        ("a: &x [1]", "anchors"),
        ("a: *x", "anchors"),
        ("<<: *x", "anchors"),
        ("!!python/object/apply:os.system [id]", "tags"),
        ("a: !x 1", "tags"),
        ("? [1, 2]\n: 3", "key"),
        ("--- 1\n--- 2", "second document"),
        ("[" * 200 + "]" * 200, "nesting"),
        ("a: [", "expected"),
        ("\ta: 1", "cannot start"),
        ("a: \x00", "not allowed"),
        ("x" * 1_000_001, "characters"),
    ],
)
def test_what_is_not_plain_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        load_yaml(text)
    assert caught.value.code == "E-YAML"
    assert says in caught.value.message


def test_the_line_is_told() -> None:
    with pytest.raises(Invalid) as caught:
        load_yaml("a: 1\nb: 2\na: 3\n")
    assert caught.value.where == "line 3, column 1"


@given(st.text(max_size=80) | st.lists(st.sampled_from(list("ab:-[]{}, \n\t\"'&*!|>?%#1~")), max_size=40).map("".join))
def test_reading_raises_nothing_but_invalid(text: str) -> None:
    try:
        load_yaml(text)
    except Invalid as error:
        assert error.code == "E-YAML"  # noqa: PT017 - reading is as good an outcome


def test_files(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="E-FILE"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(Invalid, match="UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
    (tmp_path / "good.yaml").write_text("a: on")
    assert read_yaml(tmp_path / "good.yaml") == {"a": "on"}
