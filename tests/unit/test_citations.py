"""Every refusal in a ledger says which rule stands behind it, and where that stands."""

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

import isthmus
from isthmus.federation.node import Ledger
from isthmus.federation.store import open_store
from isthmus.governance.citations import BEHIND, grounded
from isthmus.governance.rulepack import own_pack

RULES = {rule.id: rule for rule in own_pack().rules}
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_the_rule_behind_each_code_is_in_the_pack() -> None:
    assert set(BEHIND.values()) <= set(RULES)


@pytest.mark.parametrize("event", ["refusal", "decision"])
@pytest.mark.parametrize("code", sorted(BEHIND))
def test_a_ledger_adds_rule_and_citation(tmp_path: Path, event: str, code: str) -> None:
    ledger = Ledger(open_store(tmp_path / "state.db"), "site/leeds", lambda: NOW)
    ledger.append(event, {"run": "r", "code": code})
    facts = ledger.log.entry(0).facts
    assert facts == {"run": "r", "code": code, "rule": BEHIND[code], "citation": RULES[BEHIND[code]].citation}


def test_what_no_rule_of_law_stands_behind_is_left_as_it_is() -> None:
    assert grounded({"code": "E-RANGE"}) == {"code": "E-RANGE"}
    ours = {"code": "E-RULE", "rule": "OURS-01", "citation": "our committee"}
    assert grounded(ours) == ours
    assert grounded({"code": "E-RULE", "rule": "OURS-01"}) == {"code": "E-RULE", "rule": "OURS-01"}


def test_a_private_ledger_looks_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written in the middle of a vote: what takes time there would tell who refuses."""
    monkeypatch.setattr("isthmus.federation.node.grounded", lambda _facts: pytest.fail("looked up"))
    ledger = Ledger(open_store(tmp_path / "state.db"), "site/leeds/private", lambda: NOW)
    ledger.append("refusal", {"run": "r", "code": "E-CODEBOOK"})
    assert ledger.log.entry(0).facts == {"run": "r", "code": "E-CODEBOOK"}


def test_refusals_are_written_by_a_nodes_ledger_alone() -> None:
    """Nobody appends one to a log past it."""
    root = Path(isthmus.__file__).parent
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and any(
                isinstance(a, ast.Constant) and a.value == "refusal" for a in node.args
            ):
                assert "log.append" not in ast.unparse(node), file
