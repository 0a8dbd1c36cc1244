"""What was in date when a study began runs out in mid-study: the study stops at every site, and the ledgers say why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from law_nodes import moved
from test_processes_agreed import SITES, Alliance, alliance, logs, now, study
from test_revocation import entries, in_mid_study
from toy_fleet import follow, open_fleet

from isthmus.federation.agreed import Researcher, connect, site_setup
from isthmus.federation.launch import Fleet
from isthmus.federation.site_node import SiteNode
from isthmus.model.errors import Refused

NODES = ("hub", *SITES)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with open_fleet() as started:
        yield started


def start(fleet: Fleet, made: Alliance) -> Researcher:
    for name in NODES:
        role = "hub" if name == "hub" else "site"
        fleet.start(name, f"law_nodes:{role}", made.directory / name, {"config": str(made.config(name))})
        fleet.await_event(name, "port" if name == "hub" else "joined")
    return connect(made.config("ada"), os.environ, moved(made.directory / "clock"))


def decisions(made: Alliance, site: str, gate: str) -> list[Mapping[str, Any]]:
    return [e.facts for e in entries(made, site) if e.event == "decision" and e.facts.get("gate") == gate]


def soon(days: int) -> str:
    return str(now().date() + timedelta(days=days))


def trained_until(days: int) -> Callable[[Any], Any]:
    return lambda people: {n: replace(s, training_expires=soon(days)) for n, s in people.items()}


def certified_until(days: int) -> Callable[[Any], Any]:
    def change(duties: Any) -> Any:
        return replace(duties, facilities=tuple(replace(f, iso27001_expires=soon(days)) for f in duties.facilities))

    return change


@pytest.mark.parametrize(
    ("law", "code", "rule", "gate"),
    [
        ({"people": trained_until(1)}, "E-RULE", "GOV-03", "run"),
        ({"duties": certified_until(1)}, "E-HUMAN", "GOV-06", "operations"),
    ],
)
def test_a_training_or_a_certificate_that_runs_out_stops_a_running_study(
    fleet: Fleet, tmp_path: Path, law: Mapping[str, Any], code: str, rule: str, gate: str
) -> None:
    made = alliance(tmp_path, law=law)
    ada = start(fleet, made)
    run = in_mid_study(ada)
    (tmp_path / "clock").write_text("3")
    last = follow(ada.client, run)
    assert (last["error"]["code"], last["error"]["where"]) == (code, rule), logs(tmp_path)
    for site in SITES:
        assert fleet.await_event(site, "ended") == run
    again = follow(ada.client, ada.submit(study(), 2, moved(tmp_path / "clock")()))
    assert (again["error"]["code"], again["error"]["where"]) == (code, rule)
    ada.client.close()
    for name in NODES:
        fleet.stop(name)
    found = [d for site in SITES for d in decisions(made, site, gate) if d["verdict"] == "stopped"]
    assert found  # a site that heard of another's stop first has nothing to decide
    for stopped in found:
        assert rule in [*stopped["rules"].get("fail", ()), *stopped["rules"].get("unknown", ())]
    for site in SITES:
        operated = [d["verdict"] for d in decisions(made, site, "operations") if "run" not in d]
        assert operated == (["allowed", "stopped"] if gate == "operations" else ["allowed"])  # once for each change


def test_an_agreement_that_expires_in_mid_study_ends_the_study(fleet: Fleet, tmp_path: Path) -> None:
    made = alliance(tmp_path)
    ada = start(fleet, made)
    run = in_mid_study(ada)
    (tmp_path / "clock").write_text("40")
    last = follow(ada.client, run)
    assert (last["state"], last["error"]["code"]) == ("refused", "E-EXPIRED"), logs(tmp_path)
    for site in SITES:
        assert fleet.await_event(site, "ended") == run
    with pytest.raises(Refused, match="E-EXPIRED"):
        ada.submit(study(), 2, moved(tmp_path / "clock")())
    ada.client.close()
    for name in NODES:
        fleet.stop(name)


def test_a_site_that_may_not_operate_starts_and_admits_nothing(tmp_path: Path) -> None:
    """It stays connected, so that revocations travel; the decision stands in its ledger once."""
    made = alliance(tmp_path, law={"duties": certified_until(-1)})
    for _start in range(2):
        setup = site_setup(made.config("leeds"), {}, now, os.urandom)
        node = SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)
        node._standing.check_stream()
        with pytest.raises(Refused) as caught:
            node._standing.check()
        assert (caught.value.code, caught.value.where) == ("E-HUMAN", "GOV-06")
        assert "SATRE" in caught.value.hint
        setup.means.store.close()
    assert [d["verdict"] for d in decisions(made, "leeds", "operations")] == ["stopped"]
