"""The page of the rule pack is what the pack says; SATRE items exist, and so do the commands that cover them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import typer.main
import yaml
from documents import ROOT, headings

from isthmus.cli.app import app
from isthmus.governance.rulepack import own_pack
from isthmus.sdk.artefacts.catalogue import ARTEFACTS
from isthmus.sdk.artefacts.satre import CHECKS, FACTS

REFERENCE = ROOT / "docs" / "reference"


def tool(name: str = "governance") -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_rules_is_what_the_pack_says() -> None:
    """`python tools/governance.py --write` writes it again."""
    page = REFERENCE / "governance-rules.md"
    assert page.read_text() == tool().page(own_pack())
    assert {r.id for r in own_pack().rules} <= set(headings(page))


def test_the_states_of_review_are_drawn_from_the_code() -> None:
    """`python tools/review_diagram.py` draws them again."""
    text = (REFERENCE / "review.md").read_text()
    assert text == tool("review_diagram").page(text)


def test_limits_of_the_pack_are_said_where_it_is_described() -> None:
    for page in ("governance.md", "governance-rules.md"):
        text = " ".join((REFERENCE / page).read_text().split())
        for said in ("ot legal advice", "third-party copies in November 2026", "placeholders", "not modelled"):
            assert said in text, (page, said)


def test_every_command_that_covers_a_satre_item_exists() -> None:
    for entry in tool().coverage()["covered"]:
        command = typer.main.get_command(app)
        words = entry["command"].split()[1:]
        if words[:2] == ["audit", "evidence"]:
            assert words.pop() in ARTEFACTS
        for word in words:
            command = command.commands[word]  # type: ignore[attr-defined]
        assert entry["extent"] in {"whole", "part"}
        assert entry.get("needs", "always") in CHECKS
    assert {entry["fact"] for entry in tool().coverage()["stated"]} <= set(FACTS)


def test_satre_items_are_those_of_its_specification(shared: Path) -> None:
    data = tool().coverage()
    stated = yaml.safe_load((shared / "governance" / "satre-2.0.1.yaml").read_text())["specification"]
    wanted = {(str(r["requirement_index"]), r["importance"]) for r in stated}
    listed = {(item, importance) for importance, items in data["items"].items() for item in items.split()}
    assert listed == wanted
    assert len(listed) == 185
    assert {e["item"] for e in data["covered"] + data["stated"]} <= {item for item, _ in listed}
