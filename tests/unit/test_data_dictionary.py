"""Codebook files and the dictionary of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.data.dictionary import codebook_from, derived_expressions, dictionary, population, read_codebook
from isthmus.data.yaml_text import load_yaml
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.study import Population, Purpose, Step, Study

FILE = """
isthmus: codebook/1
name: ist
person: patient_id
variables:
  AGE: {type: integer, label: Age, unit: a, range: [16, 120]}
  SEX: {type: category, levels: [F, M]}
  RXASP: {type: category, levels: [NO, on, 1, true]}
  RDELAY: {type: integer, missing: [99, NA]}
  ECOG: {type: integer, levels: [0, 1, 2]}
  TD: {type: integer, unit: d, range: [0, 1322], grid: [[0, 7, 14, 182, 365], [0, 182]]}
"""


def study(**keys: Any) -> Study:
    return Study(isthmus="study/1", title="t", dataset="ist", purpose=Purpose(duo="d", text="t"), analyses={}, **keys)


def codebook() -> Codebook:
    return codebook_from(load_yaml(FILE))


def test_a_codebook_file(tmp_path: Path) -> None:
    (tmp_path / "ist.yaml").write_text(FILE)
    read = read_codebook(tmp_path / "ist.yaml")
    assert read == codebook()
    assert read.person == "patient_id"
    assert read.variables["RXASP"].levels == ("NO", "on", "1", "true")
    assert read.variables["ECOG"].levels == ("0", "1", "2")
    assert read.variables["RDELAY"].missing == (99, "NA")
    assert not read.inferred


@pytest.mark.parametrize(
    ("variable", "code"),
    [
        ("AGE: {type: integer, labell: x}", "E-UNKNOWN-KEY"),
        ("AGE: {type: whole}", "E-TYPE"),
        ("AGE: {label: x}", "E-MISSING-KEY"),
        ("AGE: {type: integer, levels: [a]}", "E-CODEBOOK"),
        ("AGE: {type: integer, range: [9, 1]}", "E-CODEBOOK"),
        ("AGE: {type: integer, grid: [[0, 0]]}", "E-CODEBOOK"),
        ("AGE: {type: integer, grid: []}", "E-CODEBOOK"),
        ("SEX: {type: category}", "E-CODEBOOK"),
        ("SEX: {type: category, levels: [F, F]}", "E-CODEBOOK"),
        ("SEX: {type: category, levels: [F], range: [0, 1]}", "E-CODEBOOK"),
        ("SEX: {type: boolean, levels: [F, M]}", "E-CODEBOOK"),
        ("SEX: {type: category, levels: [F, M], grid: [[0, 1]]}", "E-CODEBOOK"),
        ("site: {type: integer}", "E-RESERVED-NAME"),
        ("country: {type: integer}", "E-RESERVED-NAME"),
        ("a b: {type: integer}", "E-CODEBOOK"),
        ("a__b: {type: integer}", "E-CODEBOOK"),
        ("lambda: {type: integer}", "E-CODEBOOK"),
        ("patient_id: {type: integer}", "E-CODEBOOK"),
    ],
)
def test_a_codebook_that_makes_no_sense(variable: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        codebook_from(load_yaml(f"name: ist\nperson: patient_id\nvariables:\n  {variable}\n"))
    assert caught.value.code == code


@pytest.mark.parametrize(("text", "code"), [("[1]", "E-TYPE"), ("isthmus: codebook/2\nname: x\nvariables: {}", "E-CODEBOOK"), ("name: x\nvariables: {}\ninferred: true", "E-UNKNOWN-KEY")])  # fmt: skip
def test_the_frame_of_a_codebook(text: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        codebook_from(load_yaml(text))
    assert caught.value.code == code


def test_the_dictionary_adds_country_and_derived_variables() -> None:
    derive = {
        "old": "AGE >= 65",
        "group": "CASE WHEN old THEN 'old' ELSE 'young' END",
        "days": "LEAST(TD, 182)",
        "died": "CASE WHEN TD <= 182 THEN 1 ELSE 0 END",
    }
    found = dictionary(study(derive=derive), codebook(), ["GB", "US", "GB"]).variables
    assert found["country"] == Variable(type="category", label="Country", levels=("GB", "US"))
    assert found["old"] == Variable(type="boolean")
    assert found["group"] == Variable(type="category", levels=("old", "young"))
    assert found["died"] == Variable(type="integer", levels=("0", "1"))
    assert found["days"] == Variable(type="integer", unit="d", range=(0, 182), grid=((0, 7, 14, 182), (0, 182)))


def test_an_inferred_codebook_is_a_dictionary_already() -> None:
    inferred = Codebook(name="ist", variables={}, inferred=True)
    assert dictionary(study(), inferred, ["GB"]) is inferred


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("AGE", "TD", "E-CODEBOOK"),
        ("patient_id", "TD", "E-CODEBOOK"),
        ("site", "TD", "E-RESERVED-NAME"),
        ("a b", "TD", "E-CODEBOOK"),
        ("x", "patient_id", "E-VARIABLE"),
        ("x", "later + 1", "E-VARIABLE"),
        ("x", "x + 1", "E-VARIABLE"),
        ("x", "UPPER(SEX)", "E-EXPRESSION"),
        ("x", "SEX = 'Q'", "E-LEVEL"),
        ("x", "CASE WHEN RDELAY > 3 THEN 1 ELSE 0 END", "E-MISSING-ELSE"),
    ],
)
def test_what_cannot_be_derived(name: str, text: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        dictionary(study(derive={name: text, "later": "TD"}), codebook(), ["GB"])
    assert caught.value.code == code


def test_errors_name_the_derived_variable() -> None:
    with pytest.raises(Invalid) as caught:
        derived_expressions(study(derive={"x": "TD", "y": "x + nothing"}), codebook())
    assert caught.value.where == "derive.y"


def test_names_that_differ_by_case_are_two_variables() -> None:
    found = dictionary(study(derive={"age": "AGE + 1"}), codebook(), ["GB"])
    assert {"age", "AGE"} <= set(found.variables)


def test_population_steps() -> None:
    steps = Population(steps=(Step(label="adults", where="AGE >= 18"), Step(label="known", where="x IS NOT NULL")))
    found = population(study(population=steps, derive={"x": "TD"}), codebook())
    assert [(label, e.names) for label, e in found] == [("adults", ("AGE",)), ("known", ("TD",))]
    both = Population(where="AGE >= 18", steps=())
    with pytest.raises(Invalid, match="E-POPULATION"):
        population(study(population=both), codebook())
    with pytest.raises(Invalid, match="E-POPULATION"):
        population(study(population=Population(cohort="c.json")), codebook())
    with pytest.raises(Invalid, match="E-EXPRESSION"):
        dictionary(study(population=Population(where="AGE + 1")), codebook(), ["GB"])
