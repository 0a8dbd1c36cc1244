"""Verdicts that a site tells: signed by it, over its run alone, and without the facts they rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from governance_alliance import NOW, key_of
from made_bundle import made_bundle

from isthmus.federation.audit import verdicts
from isthmus.federation.grounds import decisions, parted
from isthmus.federation.protocol.witness import Recorder
from isthmus.federation.told_verdicts import check, entry, shown, signed, told_by
from isthmus.ledger.entries import Entry
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.words import in_words
from isthmus.model.errors import Invalid, IsthmusError, Untrusted
from isthmus.sdk.bundle import verified

RUN = "sha256:" + "1" * 64
RUN_GATE = {
    "gate": "run",
    "verdict": "admitted",
    "pack": "sha256:p",
    "facts": "sha256:f",
    "rules": {"pass": ["GOV-01"]},
}
EGRESS = RUN_GATE | {"gate": "egress", "verdict": "signed", "outputs": ["death"], "read": {"a": {}}}
KEYS = {site: key_of(site).public for site in ("leeds", "boston")}


def document(site: str = "leeds", run: str = RUN) -> dict[str, Any]:
    (made,) = signed(run, site, [RUN_GATE, EGRESS], key_of(site))
    return made


def test_a_sites_verdicts_are_entered_as_it_signed_them() -> None:
    facts = entry("leeds", KEYS["leeds"], document())
    assert check(facts, RUN, KEYS) == "leeds"
    assert [d["gate"] for d in facts["decisions"]] == ["run", "egress"]
    assert ["facts" in d for d in facts["decisions"]] == [False, True]  # of a study's facts some are the site's own
    assert "read" not in shown(EGRESS)
    told = Entry(event="decision", facts=facts, time="2026-11-26T10:00:00.000Z", sequence=0)
    assert in_words(told).endswith("leeds tells its verdicts: run admitted (1 pass); egress signed (1 pass)")
    assert told_by([told, replace(told, event="study", facts={})]) == ["leeds"]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said | {"run": "sha256:" + "2" * 64},
        lambda said: said | {"site": "boston"},
        lambda said: said | {"decisions": [{**said["decisions"][0], "rules": {"pass": []}}]},
        lambda said: said | {"signature": document("boston")["signature"]},
    ],
    ids=["another run", "another site", "another verdict", "another signature"],
)
def test_a_hub_that_changes_them_is_found_out(change: Any) -> None:
    facts = entry("leeds", KEYS["leeds"], document())
    changed = change(facts)
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        check(changed, str(changed["run"]), KEYS)


@pytest.mark.parametrize(
    "said", [{}, document() | {"decisions": {}}, document() | {"decisions": [1]}, document() | {"signature": "00"}]
)
def test_what_is_no_such_document_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        entry("leeds", KEYS["leeds"], said)


def test_verdicts_on_more_outputs_than_an_entry_holds_are_told_in_parts() -> None:
    """A study of hundreds of analyses concludes as any other: each part is an entry of its own, whole and signed."""
    many = [
        EGRESS | {"facts": f"sha256:{at}", "outputs": [f"analysis {at} {k} {'x' * 60}" for k in range(900)]}
        for at in range(9)
    ]
    documents = signed(RUN, "leeds", [RUN_GATE, *many], key_of("leeds"))
    assert len(documents) > 9
    log = Log(MemoryStore(), "hub", lambda: NOW)
    recorder = Recorder(log, RUN, 0)
    for said in (*documents, *documents):
        recorder.record("decision", entry("leeds", KEYS["leeds"], said))
    entered = [each.facts for each in log.entries()]
    assert len(entered) == len(documents)
    assert {check(facts, RUN, KEYS) for facts in entered} == {"leeds"}
    outputs = [name for facts in entered for each in facts["decisions"] for name in each.get("outputs", ())]
    assert outputs == [name for each in many for name in each["outputs"]]
    for changed in (
        documents[1] | {"part": 2},
        documents[0] | {"part": 1},
        {k: v for k, v in documents[1].items() if k != "part"},
    ):
        with pytest.raises(Untrusted, match="E-SIGNATURE"):
            entry("leeds", KEYS["leeds"], changed)
    for part in (-1, 0, 64, 10**9, "1", True, 1.0):
        with pytest.raises(Invalid, match="E-WIRE"):
            entry("leeds", KEYS["leeds"], documents[1] | {"part": part})


def test_an_entry_on_many_outputs_is_parted_and_each_decision_keeps_what_it_rests_on() -> None:
    shared = {"a": {"known": {}}, "doubles": []}
    each = [EGRESS | {"facts": f"sha256:{at}", "read": {"o": {"x": "y" * 500}, "doubles": []}} for at in range(200)]
    facts = {"gate": "egress", "pack": "sha256:p", "decisions": each, "read": shared, "rule": "OUT-01"}
    parts = parted(facts)
    log = Log(MemoryStore(), "site/leeds", lambda: NOW)
    with pytest.raises(Invalid, match="E-ENTRY"):
        log.append("decision", {"run": RUN, **facts})
    for part in parts:
        log.append("decision", {"run": RUN, **part})
        assert (part["gate"], part["rule"], part["read"]) == ("egress", "OUT-01", shared)
    assert [d["facts"] for part in parts for d in decisions(part)] == [d["facts"] for d in each]
    assert parted(RUN_GATE) == [RUN_GATE]


def test_a_bundle_with_verdicts_that_no_site_told_does_not_hold() -> None:
    held = verified(made_bundle(), [])
    sites = {member["site"]: member["key"] for member in held.bundle["charter"]["roster"]}
    name = next(iter(sites))

    def told(facts: dict[str, Any]) -> Any:
        more = Entry(event="decision", facts=facts, time="2026-11-26T10:00:00.000Z", sequence=9)
        return replace(held, entries=(*held.entries, more))

    (made,) = signed(held.run, name, [RUN_GATE], key_of(name))
    assert key_of(name).public.hex() == sites[name]
    verdicts(told(entry(name, key_of(name).public, made)))
    for facts in (
        made | {"decision": "told", "site": name, "run": RUN},
        made | {"decision": "told", "site": "nowhere"},
    ):
        with pytest.raises(IsthmusError) as caught:
            verdicts(told(facts))
        assert isinstance(caught.value, Untrusted)
