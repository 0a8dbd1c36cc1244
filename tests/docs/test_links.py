"""No document points at something that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import ROOT, anchors, documents, links


@pytest.mark.parametrize("document", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in links(document):
        target, _, anchor = link.partition("#")
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(link)
    assert not broken


def test_pictures_carry_a_description() -> None:
    """Every drawing says in words what it shows."""
    for picture in (ROOT / "docs" / "pictures").glob("*.svg"):
        text = picture.read_text()
        assert "<title" in text, picture
        assert "<desc" in text, picture
