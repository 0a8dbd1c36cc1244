"""The reference page of each kind says what its code and its example say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from examples import QUESTIONS

import isthmus
from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE, analyses

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
