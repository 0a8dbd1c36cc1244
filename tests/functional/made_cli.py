"""Small studies, rules and results for tests of the command line."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from made_results import CURVES, LOGISTIC, REFUSED, RESULT

from stated_rules import STRICT


def study(*extra: str) -> dict[str, Any]:
    """A study of one regression, and one more for each name."""
    glm = {"glm": {"formula": "y ~ arm", "family": "binomial"}}
    return {
        "isthmus": "study/1",
        "title": "A test",
        "dataset": "trial",
        "purpose": {"duo": "DUO:0000042", "text": "a test"},
        "analyses": {name: copy.deepcopy(glm) for name in ("response", *extra)},
    }


def rules() -> dict[str, Any]:
    """Every rule, stated."""
    return {**STRICT, "zeros": "barred", "minimum_sites": 2}


def body(sites: tuple[str, ...], *, refused: bool) -> dict[str, Any]:
    """A result body."""
    analyses: dict[str, Any] = {"response": LOGISTIC, "survival": CURVES}
    return RESULT | {"sites": list(sites), "analyses": analyses | ({"rare": REFUSED} if refused else {})}
