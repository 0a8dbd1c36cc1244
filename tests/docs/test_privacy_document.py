"""The figures of docs/privacy.md that a formula gives."""

from __future__ import annotations

import re
from pathlib import Path

from isthmus.sdk.privacy import epsilon

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def test_the_table_of_rho_and_epsilon() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) == 3
    for rho, shown in rows:
        assert f"{epsilon(float(rho), 1e-6):.3g}" == f"{float(shown):.3g}"
