"""Each decision is one page with its reasons; each dependency has its row."""

from __future__ import annotations

import re
import tomllib

from documents import ROOT, headings, links, rows

FOLDER = ROOT / "docs" / "adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
ONE_PAGE = 60  # lines of prose; a table, such as that of the dependencies, may be longer


def test_a_decision_is_one_page_with_its_reasons() -> None:
    for page in PAGES:
        prose = [line for line in page.read_text().splitlines() if not line.startswith("|")]
        assert len(prose) <= ONE_PAGE, page.name
        assert "**Status:**" in page.read_text(), page.name
        assert {"Context", "Decision", "Consequences", "Turned down"} <= set(headings(page)), page.name


def test_the_index_lists_every_decision_in_order() -> None:
    assert [link for link in links(FOLDER / "README.md") if link[0].isdigit()] == [p.name for p in PAGES]
    assert [int(p.name[:4]) for p in PAGES] == list(range(1, len(PAGES) + 1))


def test_every_dependency_has_a_row() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (line for extra in project["optional-dependencies"].values() for line in extra)
    wanted = {re.split(r"[\[<>=~! ]", line)[0] for line in (*project["dependencies"], *extras)} - {"isthmus"}
    page = (FOLDER / "0014-dependencies.md").read_text()
    listed = {name.strip() for row in rows(page) for name in row[0].split(",")}
    assert wanted == listed
