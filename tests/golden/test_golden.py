"""Help, error texts and figures, byte for byte: a change is seen and meant (`python tests/golden/regenerate_golden.py`)."""

from __future__ import annotations

import pytest
from drawings import FOLDER, texts

HELD = dict(texts())


@pytest.mark.parametrize("name", HELD)
def test_golden(name: str) -> None:
    assert HELD[name] == (FOLDER / name).read_text(encoding="utf-8")
