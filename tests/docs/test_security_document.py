"""SECURITY.md: the warning comes first, and each claim names a test that attacks it."""

from __future__ import annotations

import re

import pytest
from documents import ROOT, rows

DOCUMENT = ROOT / "SECURITY.md"
NODE = ROOT / "src" / "isthmus"
CODE = re.compile(r"`([^`]+\.[a-z]+)`")
TEST = re.compile(r"\[[^\]]*\]\((tests/[^)#]+\.py)\)")


def claims() -> list[list[str]]:
    text = DOCUMENT.read_text()
    section = text[text.index("## Claims") : text.index("## Not claimed")]
    return rows(section)


def test_the_first_sentence_is_the_warning() -> None:
    body = DOCUMENT.read_text().split("\n", 1)[1].strip()
    assert body.startswith("**Nobody has reviewed this protocol independently.**")


@pytest.mark.parametrize("claim", claims(), ids=lambda row: row[0][:60])
def test_each_claim_names_a_test_that_attacks_it(claim: list[str]) -> None:
    files = TEST.findall(claim[-1])
    assert files, f"no test for: {claim[0]}"
    for file in files:
        assert "def test_" in (ROOT / file).read_text()


@pytest.mark.parametrize("claim", claims(), ids=lambda row: row[0][:60])
def test_the_code_that_a_claim_names_is_there(claim: list[str]) -> None:
    folder = NODE  # a bare name is beside the one before it
    for name in CODE.findall(claim[1]):
        folder = NODE if (NODE / name).exists() else folder
        assert (folder / name).exists(), name
        folder = (folder / name).parent


def test_each_attack_belongs_to_a_claim() -> None:
    attacks = {f"tests/attack/{p.name}" for p in (ROOT / "tests" / "attack").glob("test_*.py")}
    assert attacks <= set(TEST.findall(DOCUMENT.read_text()))
