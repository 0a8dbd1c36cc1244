"""The egress gate: before a site signs a result, the rules on outputs are judged on facts of each output, and one that
fails withholds the signature, so that nothing is released."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_processes_agreed import SITES, Alliance, alliance, logs, now, study
from test_revocation import NODES, entries, start
from toy_fleet import follow

from isthmus.federation.agreed import connect
from isthmus.federation.grounds import decisions, judged_again
from isthmus.federation.launch import Fleet
from isthmus.governance.duties import Judgement
from isthmus.governance.rulepack import own_pack
from isthmus.governance.signing import read_signed

ANALYSES = {
    "people": {"count": {"by": ["arm"]}},
    "age": {"table_one": {"variables": ["age"]}},
    "middle": {"quantiles": {"variable": "age"}},
    "death": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}},
}
OURS = {
    "isthmus": "rule-pack/1",
    "id": "urn:ours",
    "version": 1,
    "date": "2026-11-25",
    "title": "Ours",
    "constants": {},
}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(environ=dict(os.environ)) as started:
        yield started


def asked(fleet: Fleet, made: Alliance, **changed: Any) -> dict[str, Any]:
    start(fleet, made)
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        last = follow(client, ada.submit(study(**changed), 1, now()))
        if last["state"] != "concluded":
            with pytest.raises(Exception, match=r"E-RUN|E-NOT-RELEASED"):
                client.bundle(last["run"])
    for name in NODES:
        assert fleet.stop(name) == 0
    return last


def decided(made: Alliance, site: str) -> list[Mapping[str, Any]]:
    return [e.facts for e in entries(made, site) if e.event == "decision" and e.facts.get("gate") == "egress"]


def rule(requires: str, severity: str = "deny") -> str:
    """A consortium's own rule on outputs."""
    own = {
        "id": "OURS-01", "gate": "egress", "jurisdiction": "ours", "severity": severity, "citation": "our committee",
        "why": "Ours.", "applies": "true", "requires": requires, "fault": {"o.dof": 0},
    }  # fmt: skip
    return yaml.safe_dump({**OURS, "rules": [own]})


def with_rule(made: Alliance, text: str) -> None:
    for site in SITES:
        (made.directory / site / "ours.yaml").write_text(text)
        path = made.config(site)
        path.write_text(path.read_text().replace("[dataset.trial]", 'rule_pack = "ours.yaml"\n[dataset.trial]'))


def test_every_rule_on_outputs_is_judged_before_a_site_signs(fleet: Fleet, tmp_path: Path) -> None:
    made = alliance(tmp_path, kinds=tuple(kind for a in ANALYSES.values() for kind in a))
    last = asked(fleet, made, analyses=ANALYSES)
    assert last["state"] == "concluded", logs(tmp_path)
    for site in SITES:
        (entry,) = decided(made, site)
        assert entry["verdict"] == "signed"
        assert sorted(name for told in entry["decisions"] for name in told["outputs"]) == sorted(ANALYSES)
        rules = [told["rules"] for told in entry["decisions"]]
        assert all(set(found) <= {"pass", "n/a"} for found in rules), rules
        kept = {name for found in rules for name in found["pass"]}
        assert {"OUT-01", "OUT-02", "OUT-04", "OUT-05", "OUT-06", "OUT-08", "OUT-09", "OUT-13"} <= kept
        seen = {told["read"]["o"]["smallest"] for told in entry["decisions"]}
        assert seen <= {0, 10, 11, 21}  # thresholds of rules, no count
        path = made.directory / site / "agreement.json"
        signed = read_signed(path.read_text(), "agreement").agreement
        for each in decisions(entry):
            again = judged_again(each, signed, own_pack())
            assert again.whole
            assert {v.rule.id for v in again.verdicts if v.outcome == "pass"} == set(each["rules"]["pass"])


@pytest.mark.parametrize("failing", [True, False])
def test_a_rule_that_fails_withholds_the_signature_and_nothing_is_released(
    fleet: Fleet, tmp_path: Path, failing: bool
) -> None:
    """The twin's rule holds, and its result is released."""
    made = alliance(tmp_path)
    with_rule(made, rule("o.dof >= 100" if failing else "o.dof >= 10"))
    last = asked(fleet, made)
    if not failing:
        assert last["state"] == "concluded", logs(tmp_path)
        return
    assert (last["state"], last["error"]["code"], last["error"]["where"]) == ("refused", "E-RULE", "OURS-01")
    for name in NODES:
        assert "release" not in [e.event for e in entries(made, name)]
    found = [d for site in SITES for d in decided(made, site)]
    assert found
    assert {d["verdict"] for d in found} == {"withheld"}
    assert found[0]["decisions"][0]["rules"]["fail"] == ["OURS-01"]


def test_the_floor_of_an_origin_is_held_against_every_output(fleet: Fleet, tmp_path: Path) -> None:
    """All of Us wants 21 where the agreement says 11: the sums are never released."""
    made = alliance(tmp_path, custody={"origins": ("all_of_us",)})
    last = asked(fleet, made)
    assert (last["error"]["code"], last["error"]["where"]) == ("E-RULE", "OUT-02"), logs(tmp_path)


@pytest.mark.parametrize("judged", [False, True])
def test_an_output_without_an_agreed_rule_needs_a_person(fleet: Fleet, tmp_path: Path, judged: bool) -> None:
    said = Judgement(rule="OUT-10", person="keeper-hub", reason="curves of this data were examined", date="2026-11-01")
    law = {"duties": lambda d: replace(d, judgements=(said,))} if judged else {}
    made = alliance(tmp_path, law=law, kinds=("roc",))
    last = asked(fleet, made, analyses={"curve": {"roc": {"outcome": "died", "marker": "age"}}})
    if judged:
        assert last["state"] == "concluded", logs(tmp_path)
        (entry,) = decided(made, "leeds")
        assert list(entry["decisions"][0]["judged"]) == ["OUT-10"]
    else:
        assert (last["error"]["code"], last["error"]["where"]) == ("E-HUMAN", "OUT-10"), logs(tmp_path)
