"""Every artefact of evidence, with the duties that it serves, stands in docs/reference/evidence.md."""

from __future__ import annotations

from documents import ROOT, rows

from isthmus.sdk.artefacts.catalogue import ARTEFACTS
from isthmus.sdk.artefacts.satre import NEEDED, STATES


def page() -> str:
    return (ROOT / "docs" / "reference" / "evidence.md").read_text()


def test_every_artefact_is_described_with_what_it_serves() -> None:
    told = {row[0].strip("`"): row for row in rows(page()) if row[0].strip("`") in ARTEFACTS}
    assert set(told) == set(ARTEFACTS)
    assert {name: row[2] for name, row in told.items()} == {name: a.serves for name, a in ARTEFACTS.items()}


def test_the_states_of_the_self_assessment_are_explained() -> None:
    assert not [state for state in STATES if state not in page()]
    assert all(NEEDED[name] or name == "always" for name in NEEDED)
