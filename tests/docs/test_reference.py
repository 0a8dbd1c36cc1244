"""The reference cannot drift: every code, command, question, event, rule and setting has a heading, and no heading is stale."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from documents import ROOT, headings, rows

from isthmus.model.rules import Rules

REFERENCE = ROOT / "docs" / "reference"
PACKAGE = ROOT / "src" / "isthmus"
CODE = re.compile(r"[\"'](E-[A-Z0-9]+(?:-[A-Z0-9]+)*)[\"']")


def described(page: str) -> set[str]:
    return set(headings(REFERENCE / page))


def sources() -> Iterator[Path]:
    return PACKAGE.rglob("*.py")


def test_every_error_code_is_described() -> None:
    used = {code for path in sources() for code in CODE.findall(path.read_text())}
    assert used == {h for h in described("errors.md") if h.startswith("E-")}


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """`python tools/cli_reference.py` writes it again."""
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "tools" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (REFERENCE / "cli.md").read_text() == module.page()


def test_every_question_kind_is_described() -> None:
    from isthmus.statistics.catalogue import CATALOGUE

    assert set(CATALOGUE) <= described("questions.md")
    for kind, statistic in CATALOGUE.items():
        page = (REFERENCE / "questions.md").read_text()
        section = page[page.index(f"\n## {kind}\n") :].split("\n## ", 2)[1]
        missing = [f.name for f in dataclasses.fields(statistic.question) if f"`{f.name}`" not in section]
        assert not missing, f"{kind}: arguments without a word: {missing}"


def test_every_rule_is_described() -> None:
    assert {f.name for f in dataclasses.fields(Rules)} == {
        h for h in described("rules.md") if re.fullmatch("[a-z_]+", h)
    }


def test_every_ledger_event_is_described() -> None:
    from isthmus.ledger.entries import EVENTS

    assert set(EVENTS) == described("ledger.md") - {"The ledger"}


def test_every_setting_is_described() -> None:
    from isthmus.federation.config import (
        ConfigFile,
        DatasetConfig,
        HubConfig,
        LoginConfig,
        PersonConfig,
        SiteConfig,
        StoreConfig,
    )

    tables = {"site": SiteConfig, "hub": HubConfig, "person": PersonConfig}
    tables |= {"dataset": DatasetConfig, "store": StoreConfig, "login": LoginConfig}
    assert {f.name for f in dataclasses.fields(ConfigFile)} == set(tables) == described("config.md") - {"isthmus.toml"}
    page = (REFERENCE / "config.md").read_text()
    for table, kind in tables.items():
        section = page[page.index(f"\n## {table}\n") :].split("\n## ", 2)[1]
        assert {f.name for f in dataclasses.fields(kind)} == {row[0].strip("`") for row in rows(section)}, table
