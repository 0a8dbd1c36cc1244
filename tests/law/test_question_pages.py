"""The reference page of each kind says what its code and its example say."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest
from examples import QUESTIONS, table

import isthmus
from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE, analyses

RUN = """
d <- read.csv("d.csv")
for (file in sort(list.files(pattern = "[.]r$"))) {
  said <- tryCatch({ capture.output(source(file, local = new.env(), echo = FALSE)); "ran" },
    packageNotFoundError = function(e) "lacks", error = function(e) gsub("\n", " ", conditionMessage(e)))
  cat(file, said, sep = "\t", fill = FALSE); cat("\n")
}
"""
ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "reference" / "questions"


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("question_reference", ROOT / "tools" / "question_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_questions_are_what_their_code_says() -> None:
    """`python tools/question_reference.py` writes them again."""
    written = {path.name: path.read_text() for path in PAGES.glob("*.md")}
    made = tool().pages()
    assert set(written) == set(made), "run tools/question_reference.py"
    assert [name for name in made if written[name] != made[name]] == [], "run tools/question_reference.py"


def test_the_study_of_each_page_is_its_example(tmp_path: Path) -> None:
    head = 'isthmus: study/1\ntitle: t\ndataset: d\npurpose: {duo: "DUO:0000042", text: t, commercial: false}\n'
    for kind, text in tool().pages().items():
        if kind == "README.md":
            continue
        path = tmp_path / "study.yaml"
        path.write_text(head + text.split("```yaml\n")[1].split("```")[0])
        (asked,) = analyses(isthmus.Study.read(path).record)
        stated = QUESTIONS[asked.kind][0]
        assert asked.question == strict.parse(CATALOGUE[asked.kind].question, stated), kind


def test_the_lines_of_r_are_whole() -> None:
    assert [kind for kind, text in tool().R.items() if "..." in text] == []


@pytest.mark.long  # needs R, which `make test-all` installs
def test_the_lines_of_r_run_on_the_example(tmp_path: Path) -> None:
    """Of packages that are not there, nothing is said."""
    lines, rows = tool().R, table()
    with (tmp_path / "d.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(rows)
        out.writerows(zip(*(values.tolist() for values in rows.values()), strict=True))
    for kind, text in lines.items():
        (tmp_path / f"{kind}.r").write_text(text)
    (tmp_path / "run.R").write_text(RUN)
    done = subprocess.run(["Rscript", "run.R"], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = dict(line.split("\t") for line in done.stdout.strip().splitlines() if "\t" in line)
    assert set(said) == {f"{kind}.r" for kind in lines}
    assert {kind: text for kind, text in said.items() if text not in {"ran", "lacks"}} == {}
    assert list(said.values()).count("ran") > len(lines) / 2
