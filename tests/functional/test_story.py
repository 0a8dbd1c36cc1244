"""The story of one study, by commands alone, with real processes: `make story` prints it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus.federation.store import open_store
from isthmus.ledger.entries import decode_entry

TOOL = Path(__file__).parents[2] / "tools" / "story.py"


def story() -> Any:
    spec = importlib.util.spec_from_file_location("story_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(1800)
def test_from_the_agreement_to_the_evidence(tmp_path: Path) -> None:
    """The tool itself stops at the first command that does not end as the story says, edits of the crate included."""
    told = story().main(tmp_path / "story").said
    assert "Signed by every party." in told["agreement"]
    assert "keeper-boston (boston) returned the study: arms differ in age: adjust for it" in told["returned"]
    assert "result was released by cleo and cora" in told["verified"]
    for keeper in ("keeper-oxford", "keeper-chicago"):  # in the order in which their sites answered
        assert f"a standing rule of {keeper}" in told["verified"]
    assert [name for name in told if name.startswith("edited ")] == [f"edited {name}" for name in story().EDITED]
    for (
        site
    ) in story().SITES:  # what the hub's ledger holds of each, and what left it, from exports in the auditor's folder
        assert f"{site} tells its verdicts: agreement admitted" in told["verdicts"]
        assert f"What left site/{site}" in told["border"]
    assert "What left hub" in told["border"]
    register = re.findall(r"(\d+) of (\d+) messages are sealed", told["border"])
    assert len(register) == 5
    assert all(sealed == messages for sealed, messages in register)
    assert "NOT ENTERED" not in told["signatures"]
    for site in story().SITES:  # the crate holds what every site told, the last one too
        assert site in told["verified"].partition("verdicts of every gate at")[2]
    assert "the release, at " in told["verified"]
    assert "Not known here: what the ledger holds" in " ".join(told["unknown"].split())
    agreed = [line for line in told["agreed"].splitlines() if "agreement" in line and ": admitted; signed by" in line]
    assert {line.split()[1] for line in agreed} == {"hub", *(f"site/{site}" for site in story().SITES)}
    for party in story().PARTIES:
        assert all(f"signed by keeper-{party} ({party}), who says on " in line for line in agreed)
    assert told["ledgers"].count("5 of 5 signatures on the agreement were entered by") == 5
    for heading, lines in LEDGERS.items():
        at = -1
        for line in lines:
            here = told[heading].find(line)
            assert here > at, (heading, line, told[heading])
            at = here
    for site in ("leeds", "boston"):  # the law of both countries has something to say, and is kept
        passed = {gate: set(rules["pass"]) for gate, rules in decided(tmp_path / "story", site).items()}
        assert passed["agreement"] >= SPEAK["agreement"]
        assert passed["run"] >= SPEAK["run"]


SPEAK = {
    "agreement": {"UK-LAW-01", "UK-LAW-02", "UK-LAW-03", "UK-LAW-06", "UK-LAW-10", "UK-NHS-01", "UK-NHS-07"}
    | {"XB-01", "XB-06", "XB-09", "XB-11", "US-HIP-01", "US-DSP-03"},
    "run": {"UK-NHS-02", "UK-NHS-03", "UK-NHS-04", "XB-10", "US-HIP-02", "US-HIP-03", "US-CR-01", "US-DSP-01"},
}


def decided(folder: Path, site: str) -> dict[str, Any]:
    """Gate -> rules by verdict, of the last decision of each in a site's ledger; none fails, and nothing is unknown."""
    store = open_store(folder / site / "state" / f"{site}.db")
    leaves = store.leaves(f"site/{site}")
    found = [decode_entry(leaf).facts for leaf in leaves.read(0, leaves.size())]
    store.close()
    made = {facts["gate"]: facts["rules"] for facts in found if "rules" in facts}
    assert all(set(rules) <= {"pass", "n/a"} for rules in made.values())
    return made


LEDGERS = {
    "first told": [
        "submitted by ada",
        "keeper-boston (boston) returned: arms differ in age: adjust for it",
    ],
    "told": [
        "submitted by ada (amends ",
        "keeper-leeds (leeds) approves it",
        "keeper-boston (boston) approves it",
        "every party has agreed",
        "question death round 1",
        "was concluded, signed by the sites",
        "cleo (oxford) has voted on the result",
        "cora (chicago) has voted on the result",
        "the result was released (cleo accept; cora accept)",
    ],
}
