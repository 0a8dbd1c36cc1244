"""Every part that an agreement may state for the rules of law has its word in docs/reference/governance.md."""

from __future__ import annotations

import dataclasses

from documents import ROOT

from isthmus.governance import duties


def test_every_part_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "governance.md").read_text()
    told = (duties.PartyStatus, duties.Standing, duties.Custody, duties.AgreedPurpose, duties.Flow, duties.Facility)
    told += (duties.Retention, duties.Assessments, duties.Approval, duties.Judgement)
    names = {f.name for kind in told for f in dataclasses.fields(kind)}
    names |= {f"duties.{f.name}" for f in dataclasses.fields(duties.Duties)}
    assert not sorted(name for name in names if f"`{name}`" not in page)
