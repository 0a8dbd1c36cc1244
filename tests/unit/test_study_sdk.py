"""Studies as people write them: YAML, JSON, Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import isthmus
from isthmus.model.errors import Invalid, Unavailable
from isthmus.sdk.study import Study

YAML = """
isthmus: study/1
title: Aspirin
dataset: ist
purpose: {duo: "DUO:0000007", text: comparative effectiveness}
analyses:
  death: {glm: {formula: "died ~ RXASP + AGE", family: binomial, reference: {RXASP: NO}}}
primary: [death]
"""


def write(folder: Path, text: str, name: str = "study.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_yaml_python_and_json_are_one_study(tmp_path: Path) -> None:
    read = Study.read(write(tmp_path, YAML))
    given = read.to_dict()
    made = isthmus.Study(**{key: value for key, value in given.items() if key != "isthmus"})
    assert read.digest == made.digest
    assert given["analyses"]["death"]["glm"]["reference"] == {"RXASP": "NO"}  # never a boolean
    assert read.check()[0] == "death: glm of died, RXASP, AGE"


def test_a_study_knows_whether_its_purpose_was_stated(tmp_path: Path) -> None:
    assert Study.read(write(tmp_path, YAML)).states_purpose
    assert not Study(title="t", dataset="d", analyses={"a": {"count": {}}}).states_purpose


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("title:", "titel:", "E-UNKNOWN-KEY", ""),
        ("family: binomial", "family: binomal", "E-TYPE", "analyses.death"),
        ("formula:", "formla:", "E-UNKNOWN-KEY", "analyses.death"),
        ("RXASP + AGE", "RXASP + eval(AGE)", "E-FORMULA", "analyses.death"),
        ("RXASP + AGE", "RXASP + __class__", "E-FORMULA", "analyses.death"),
        ("glm:", "glmm:", "E-KIND", "analyses.death"),
        ("title: Aspirin", "title: [Aspirin", "E-YAML", ""),
        ("isthmus: study/1", "isthmus: study/2", "E-TYPE", ""),
    ],
)
def test_what_is_wrong_is_coded_and_placed(tmp_path: Path, old: str, new: str, code: str, place: str) -> None:
    with pytest.raises(Invalid) as error:
        Study.read(write(tmp_path, YAML.replace(old, new)))
    assert error.value.code == code
    assert place in error.value.where


def test_a_primary_analysis_must_exist(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path, YAML.replace("[death]", "[survival]")))
    with pytest.raises(Invalid, match="survival"):
        study.check()


def test_variables_are_checked_against_a_codebook(tmp_path: Path) -> None:
    book = "name: ist\nvariables:\n  died: {type: boolean}\n  AGE: {type: integer}\n"
    study = Study.read(write(tmp_path, YAML.replace(", reference: {RXASP: NO}", "")))
    with pytest.raises(Invalid) as error:
        study.check(write(tmp_path, book, "codebook.yaml"))
    assert error.value.code == "E-COLUMN"
    assert "RXASP" in error.value.message
    more = book + "  RXASP: {type: category, levels: [NO, YES]}\n"
    assert "agree with codebook" in study.check(write(tmp_path, more, "codebook.yaml"))[-1]


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"- a\n- b\n"])
def test_files_that_are_no_study(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "study.yaml").write_bytes(raw)
    with pytest.raises(Invalid):
        Study.read(tmp_path / "study.yaml")


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as error:
        Study.read(tmp_path / "none.yaml")
    assert error.value.code == "E-FILE"


def test_a_rehearsal_takes_no_argument_it_does_not_know(tmp_path: Path) -> None:
    study = Study(title="t", dataset="d", analyses={"a": {"count": {}}})
    wrong: dict[str, Any] = {"countrys": {}}
    with pytest.raises(TypeError, match="countrys"):
        isthmus.rehearse(study, {}, rules={}, **wrong)


def test_a_key_that_python_reserves_is_read_and_written_as_it_stands(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path, YAML + "impute: {m: 2, with: [RSBP]}\nseed: 3\n"))
    assert study.record.impute is not None
    assert study.record.impute.with_ == ("RSBP",)
    assert study.to_dict()["impute"]["with"] == ["RSBP"]
    again = isthmus.Study(**{key: value for key, value in study.to_dict().items() if key != "isthmus"})
    assert again.digest == study.digest
    with pytest.raises(Invalid, match="with_") as caught:
        Study.read(write(tmp_path, YAML + "impute: {m: 2, with_: [RSBP]}\nseed: 3\n"))
    assert caught.value.hint == "did you mean 'with'?"
