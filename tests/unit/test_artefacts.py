"""Every artefact of evidence, on the worked case and on the small alliance: what it shows, what it leaves open, what it never holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from governance_alliance import NOW, draft, key_of, signed_by_all
from governance_worked import worked_agreement
from made_bundle import made_bundle, request

from isthmus.federation.grounds import by_text, grounds
from isthmus.federation.law import taken
from isthmus.governance.agreement import Agreement, Questions, Review, agreement_digest
from isthmus.governance.rulepack import own_pack, pack_digest
from isthmus.governance.signing import claims, sign_agreement, unsigned
from isthmus.governance.verdicts import decide, recorded
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.entries import Entry, timestamp
from isthmus.model.canonical import digest, plain
from isthmus.model.privacy import Privacy
from isthmus.sdk.artefacts.catalogue import ARTEFACTS, document
from isthmus.sdk.artefacts.pages import BLANK, WIDTH, Document, Lines, to_html, to_json, to_text
from isthmus.sdk.artefacts.people import endings, ics
from isthmus.sdk.artefacts.satre import LEFT, PART, STATED, UNMET, WHOLE, answers
from isthmus.sdk.artefacts.told import Asked, Book, Told
from isthmus.sdk.artefacts.words import moment
from isthmus.sdk.tables import Table

RUN = "sha256:" + "d" * 64


def entry(event: str, sequence: int, **facts: Any) -> Entry:
    return Entry(event=event, facts=facts, time=timestamp(NOW + timedelta(minutes=sequence)), sequence=sequence)


def decided(agreement: Agreement, sequence: int, verdict: str = "admitted", **more: Any) -> Entry:
    rules = {"pass": ["XB-11"], "n/a": ["US-NIH-01"]} | ({"fail": ["XB-01"]} if verdict == "declined" else {})
    said = {
        "gate": "agreement",
        "pack": pack_digest(own_pack()),
        "facts": "sha256:" + "f" * 64,
        "rules": rules,
        "judged": {},
    }
    return entry("decision", sequence, agreement=agreement_digest(agreement), verdict=verdict, **said, **more)


def told(agreement: Agreement | None = None, **changed: Any) -> Told:
    agreement = agreement or draft()
    asked = request(agreement)
    study = digest(asked.study)
    entries = (
        decided(agreement, 0),
        decided(agreement, 1, "declined", run=RUN, code="E-RULE"),
        entry("study", 2, run=RUN, study=study, agreement=agreement_digest(agreement), charter="sha256:c"),
        entry("release", 5, run=RUN, result="sha256:" + "e" * 64),
        entry("refusal", 6, run=RUN, code="E-DISCLOSURE"),
        entry("refusal", 7, by="dr ada", code="E-SIGNATURE"),
    )
    book = Book(
        name="hub",
        size=8,
        root="ab" * 32,
        span=(entries[0].time, entries[-1].time),
        counts={"decision": 2, "round": 2, "release": 1},
        misplaced=0,
        backward=0,
        checkpoints=((6, 3, True),),
        marks={"leeds": 4},
    )
    own: dict[str, Any] = {
        "signed": signed_by_all(agreement),
        "agreement": agreement,
        "unsigned": "",
        "now": NOW + timedelta(days=2),
        "node": "hub",
        "entries": entries,
        "book": book,
        "asked": (Asked(RUN, NOW.isoformat(), "concluded", plain(asked), "dr ada"),),
        "bundles": (read_bundle(made_bundle(agreement)),),
        "machine": (("Isthmus", "0.1.0"), ("private key of hub", "closed to others")),
    }
    return Told(**own | changed)


def worked(**changed: Any) -> Told:
    """The worked case, signed, at one of its sites: nothing was asked there yet."""
    agreement = worked_agreement(**changed)
    signed = unsigned(agreement)
    for person in ("alice", "carol"):
        signed = sign_agreement(signed, key_of(person), NOW)
    empty: dict[str, Any] = {
        "entries": (),
        "asked": (),
        "bundles": (),
        "node": "site trust",
        "spent": {"statins": 0.25},
    }
    return told_of(signed.agreement, signed=signed, **empty)


def told_of(agreement: Agreement, **own: Any) -> Told:
    book = Book("site/trust", 0, "00" * 32, (), {}, 0, 0, (), {})
    return Told(agreement=agreement, unsigned="", now=NOW, book=book, **own)


def part(document: Document, title: str) -> Any:
    return next(p for p in document.parts if p.title.startswith(title))


def rows(name: str, title: str, of: Told) -> list[tuple[str, ...]]:
    found = part(document(name, of), title)
    return list(found.rows) if isinstance(found, Table) else []


# ---- all of them


class Page(HTMLParser):
    """Tags that open are closed; no script, no style attribute, no address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe", "a"}
        assert not {name for name, _ in attrs} & {"style", "src", "href", "onclick"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ARTEFACTS)
@pytest.mark.parametrize("of", [told, worked], ids=["alliance", "worked case"])
def test_every_artefact_is_a_page_a_text_and_an_object(name: str, of: Any) -> None:
    made = document(name, of())
    assert made.parts
    text, page = to_text(made), to_html(made)
    assert max(len(line) for line in text.splitlines()[8:]) <= WIDTH + 40  # a word that cannot be broken runs over
    json.dumps(to_json(made), allow_nan=False)
    reader = Page()
    reader.feed(page)
    assert reader.open == []
    assert "@page" in page
    for title in (p.title for p in made.parts):
        assert title in text
    assert made.serves
    assert of().agreement.title in text


def test_text_of_others_is_escaped() -> None:
    made = draft(title='<script>alert("x")</script>')
    page = to_html(document("agreement", told(made)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("name", ARTEFACTS)
def test_no_artefact_holds_a_secret_key(name: str) -> None:
    text = to_text(document(name, told())) + to_html(document(name, worked()))
    for who in ("alice", "carol", "hub", "dr ada", "leeds"):
        assert key_of(who).to_bytes().hex() not in text


def test_few_people_of_the_united_states_are_not_counted_out() -> None:
    """A controller may state how few they are; the floor of the agreement holds in what is printed too."""
    stated = plain(worked_agreement().datasets[0])
    few = [{**stated, "custody": [held | {"people_us": 3} for held in stated["custody"]]}]
    lines = {row[0]: row for row in rows("bulk", "Bulk thresholds", worked(datasets=few))}
    assert lines["health"] == ("health", "fewer than 11", "10001", "below")


def test_what_only_people_can_say_is_left_open() -> None:
    for name in ("dpia", "destruction", "access", "incidents", "satre", "keys"):
        assert BLANK in to_text(document(name, told())).replace("\n", " ") or "(to be" in to_text(
            document(name, told())
        )
        assert '<span class="blank">' in to_html(document(name, told()))


# ---- one by one


def test_agreement_shows_signatures_and_what_changed() -> None:
    before = draft()
    after = replace(before, version=2, previous=agreement_digest(before), expires="2028-10-31")
    made = document("agreement", told(after, previous=before))
    assert len(part(made, "Signatures").rows) == 4
    assert part(made, "What changed").lines == ("version: 2, was 1", "expires: 2028-10-31, was 2027-10-31 (weaker)")
    broken = document("agreement", told(unsigned="the agreement is not signed by: oslo-health"))
    assert "NOT IN FORCE" in to_text(broken)
    assert dict(broken.about)["Signatures"].startswith("DO NOT HOLD")


def test_a_revoked_agreement_is_not_in_force_and_has_ended() -> None:
    agreement = draft()
    said = entry("revocation", 9, agreement=agreement_digest(agreement), by="carol", party="leeds-nhs", reason="done")
    for of, state in (
        (replace(told(), entries=(said,)), "NOT IN FORCE: revoked by carol"),
        (told(), "signed by every"),
    ):
        lines = dict(part(document("agreement", of), "The agreement").rows)
        assert lines["state"].startswith(state)
    ended = {line[2] for line in rows("calendar", "What ends", replace(told(), entries=(said,)))}
    assert "agreement, revoked" in ended
    assert "agreement" not in ended


def test_projects_name_people_in_the_register_and_nobody_in_the_public_page() -> None:
    (line,) = rows("projects", "Register", told())
    assert line[5] == "dr ada"
    (public,) = rows("public", "Studies", told())
    assert public[1] == "To see which treatment patients live longer with."
    assert "dr ada" not in " ".join(public)
    assert "Leeds Teaching Hospitals" in public[2]
    assert "dr ada" not in to_text(document("public", told()))


def test_decisions_show_rules_pack_and_what_failed() -> None:
    taken = rows("decisions", "Decisions by the rules", told())
    assert [line[4] for line in taken] == ["admitted", "declined"]
    assert taken[1][6] == "XB-01"
    assert rows("decisions", "Rule packs", told()) == [(pack_digest(own_pack()), "comes with this installation")]
    lines = {line[0]: line for line in rows("decisions", "Entry 1: agreement", told())}
    assert (lines["XB-01"][1], lines["XB-01"][4]) == ("fail", "not judged")
    assert "UK GDPR Art 44A" in lines["XB-01"][2]
    assert "28 CFR 202" in lines["XB-11"][2]  # of one that passes, too
    assert "a.flows" in lines["XB-11"][3]
    assert "The hub judges no rule" in to_text(document("decisions", replace(told(), entries=())))


def test_a_decision_is_judged_again_from_its_entry() -> None:
    agreement = worked_agreement()
    text = by_text(agreement, own_pack())
    seen = dict(text) | {"revoked": True}
    made = recorded(decide(own_pack(), "agreement", {"a": seen}), {})
    read = grounds(agreement, text, {"a": seen})
    taken = replace(worked(), entries=(entry("decision", 0, verdict="admitted", **made, read=read),))
    lines = rows("decisions", "Entry 0: agreement", taken)
    assert len(lines) > 10
    assert all(line[1] == line[4] and line[2] and line[3] for line in lines)
    kept = dict(rows("decisions", "Entry 0: facts", taken))
    assert kept["a/agreement"] == f'"{agreement_digest(agreement)}"'
    assert (kept["a/known/revoked"], kept["rule pack"]) == ("true", pack_digest(own_pack()))
    assert "are those of the digest" in to_text(document("decisions", taken))
    forged = read | {"a": read["a"] | {"known": {}}}
    other = replace(worked(), entries=(entry("decision", 0, verdict="admitted", **made, read=forged),))
    assert "NOT those of the digest" in to_text(document("decisions", other))


def test_decisions_at_egress_stand_output_by_output() -> None:
    outputs = [
        {
            "gate": "egress",
            "outputs": [name],
            "pack": pack_digest(own_pack()),
            "rules": rules,
            "facts": "sha256:" + "a" * 64,
        }
        for name, rules in (("death", {"pass": ["OUT-09"]}), ("rare", {"fail": ["OUT-08"]}))
    ]
    taken = told(entries=(entry("decision", 0, run=RUN, verdict="declined", decisions=outputs),))
    found = rows("decisions", "Decisions by the rules", taken)
    assert [(line[2].split(": ")[1], line[3], line[6]) for line in found] == [
        ("death", "egress", "none"),
        ("rare", "egress", "OUT-08"),
    ]
    assert rows("decisions", "Other decisions", taken) == []
    ((_, verdict, *_),) = rows("decisions", "Entry 0: egress, run dddddddddddd: death", taken)
    assert verdict == "pass"


def test_releases_show_criteria_and_findings_for_each_output() -> None:
    made = document("releases", told())
    outputs = {
        row[0]: row for row in next(p for p in made.parts if p.title.startswith("Run ") and isinstance(p, Table)).rows
    }
    assert outputs["death"][3] == "minimum_count"
    assert outputs["rare"][2] == "refused: E-DISCLOSURE"
    assert ("minimum_count", "11", "agreement") in rows("releases", "Criteria in force", told())
    assert "2140" not in to_text(made)  # no number of the result


@pytest.mark.parametrize(
    ("state", "said"), [("released", "released"), ("egress", "waits for output checkers"), ("rejected", "rejected")]
)
def test_a_result_that_output_checkers_have_not_released_is_no_release(state: str, said: str) -> None:
    review = Review(study="none", egress=2, one_per_country=False)
    of = told()
    (bundle,), (asked,) = of.bundles, of.asked
    run = bundle["charter"]["run"]
    released = entry("release", 5, run=run, result="sha256:" + "e" * 64)
    of = replace(
        of,
        agreement=replace(of.agreement, review=review),
        asked=(replace(asked, run=run, state=state),),
        entries=(released,),
    )
    assert [row[-1] for row in rows("releases", "Results in the ledger", of)] == [said]
    shown = any(p.title.startswith("Run ") for p in document("releases", of).parts)
    assert shown == (state == "released")
    site = replace(of, node="site leeds")
    assert "hub" in rows("releases", "Results in the ledger", site)[0][-1]
    given = entry("approval", 9, run=run, step="release")
    for entries, when in (((released,), "not in this ledger"), ((released, given), "11:09:00")):
        ((concluded, _, out, *_),) = rows("releases", "Results in the ledger", replace(of, entries=entries))
        assert concluded.endswith(":05:00")
        assert out.endswith(when.removeprefix("11"))


def test_the_ledger_report_says_what_is_broken() -> None:
    text = to_text(document("ledger", told()))
    assert "every entry stands at its number" in text
    book = told().book
    assert book is not None
    bad = replace(book, misplaced=2, backward=1, checkpoints=((6, 3, False),))
    text = to_text(document("ledger", told(book=bad)))
    assert "BROKEN: 2 entries" in text
    assert "ran backward 1 times" in text
    assert "BROKEN" in " ".join(row[2] for row in rows("ledger", "Checkpoints", told(book=bad)))
    assert "a person keeps none" in to_text(document("ledger", told(book=None)))


def test_signatures_are_told_with_the_entry_that_holds_them() -> None:
    """One custodian signed again after this node took the agreement: that signature stands in no ledger."""
    signed, again = signed_by_all(draft()), signed_by_all(draft(), NOW + timedelta(hours=1))
    held = replace(signed, signatures=signed.signatures[:-1])
    took = entry("decision", 3, **taken(held, "admitted"))
    of = told(signed=replace(again, signatures=(*held.signatures, again.signatures[-1])), entries=(took,))
    there = {row[0]: row[3] for row in rows("agreement", "Signatures", of)}
    *entered, late = (claim.person for claim in claims(of.signed))
    assert {there[person] for person in entered} == {f"{moment(took.time)}, entry 3"}
    assert there[late] == "NOT ENTERED"
    assert [row[4] for row in rows("keys", "Who stands", of)] == list(there.values())
    acted = {row[0]: row[6] for row in rows("access", "People", replace(of, asked=()))}
    assert {acted[person] for person in entered} == {moment(took.time)}
    away = replace(of, entries=(), absent=frozenset({"ledger"}))
    assert {row[3] for row in rows("agreement", "Signatures", away)} == {"not known here"}


def test_access_shows_training_and_last_use() -> None:
    erin = next(row for row in rows("access", "People", worked()) if row[0] == "erin")
    assert erin[2:5] == ("US", "researcher", "1 Jan 2027 (in 39 days)")
    ada = next(row for row in rows("access", "People", told()) if row[0] == "dr ada")
    assert ada[6] == "23 Nov 2026 12:00:00"
    assert ada[4] == "not stated"
    decided_on = replace(worked(), entries=(entry("approval", 1, step="accept", run=RUN, by="alice", party="trust"),))
    acted = {row[0]: row[6] for row in rows("access", "People", decided_on)}
    assert (acted["alice"], acted["carol"]) == ("23 Nov 2026 12:01:00", "never, at this node")


def test_transfers_show_each_way_with_its_mechanism() -> None:
    ways = rows("transfers", "Ways", worked())
    assert ("statins", "uk (GB)", "us (US)", "border", "encrypted shares", "no", "not restricted") in [
        w[:7] for w in ways
    ]
    assert all("records" not in way[4] for way in ways)


def test_transfers_show_what_left_by_day() -> None:
    line = {"day": "2026-11-23", "study": "sha256:" + "a" * 64, "sender": "uk", "from_country": "GB", "receiver": "us"}
    line |= {
        "to_country": "US",
        "flow": "sums-to-hub",
        "mechanism": "not_restricted",
        "rules": ("XB-10",),
        "statistics": ["sum"],
    }
    (left,) = rows("transfers", "Left this site", replace(worked(), crossed=({**line, "messages": 7, "bytes": 12345},)))
    assert left == (
        "23 Nov 2026", "a" * 12, "uk (GB)", "us (US)", "sum", "sums-to-hub", "not restricted", "XB-10", "7", "12,345",
    )  # fmt: skip
    assert "NOT what this node's ledger sealed" in to_text(document("transfers", replace(worked(), crossed=None)))


def test_bulk_holds_people_against_the_thresholds() -> None:
    lines = {row[0]: row for row in rows("bulk", "Bulk thresholds", worked())}
    assert lines["health"] == ("health", "61,000", "10001", "BULK")
    assert ("NHS Trust", "GB", "screened, not a covered person") in rows("bulk", "Parties", worked())
    assert any("202" in row[2] and row[1] == "pass" for row in rows("bulk", "Rules", worked()))


def test_the_calendar_holds_everything_that_ends() -> None:
    what = {ending.what.partition(" (")[0] for ending in endings(worked())}
    assert what == {
        "agreement",
        "section 251",
        "DSPT",
        "ethics",
        "data use",
        "training",
        "ISO 27001 certificate",
        "transport certificate",
        "data: then destroy",
        "evidence may be destroyed after",
    }
    days = [ending.day for ending in endings(worked())]
    assert days == sorted(days)
    late = replace(worked(), now=datetime(2027, 7, 1, tzinfo=UTC))
    assert any(row[1].startswith("EXPIRED") for row in rows("calendar", "What ends", late))


def test_the_calendar_is_a_calendar() -> None:
    text = ics(worked())
    lines = text.split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert max(len(line.encode()) for line in lines) <= 75
    assert text.count("BEGIN:VEVENT") == len(endings(worked())) == text.count("END:VEVENT")
    assert "DTSTART;VALUE=DATE:20270501" in lines


def test_incidents_run_clocks_from_when_someone_became_aware() -> None:
    lines = rows("incidents", "Timeline", told())
    assert [line[2] for line in lines] == ["", "", "look"]
    aware = told(aware=NOW)
    clocks = {row[0].partition(":")[0]: row[1:] for row in rows("incidents", "Clocks", aware)}
    assert clocks["72 hours"] == ("26 Nov 2026 12:00:00", "1 days 0 hours")
    assert clocks["14 days"][0] == "7 Dec 2026 12:00:00"
    past = told(aware=NOW, now=NOW + timedelta(days=5))
    assert {row[0].partition(":")[0]: row[2] for row in rows("incidents", "Clocks", past)}["72 hours"] == "PAST"


def test_satre_has_every_item_once_with_a_state_from_live_controls() -> None:
    found = {answer.item: answer for answer in answers(told())}
    assert len(found) == 185
    assert {answer.state for answer in found.values()} <= {WHOLE, PART, STATED, UNMET, LEFT}
    assert found["1.5.04"].state == WHOLE
    assert found["3.3.09"].command == "isthmus results export"
    assert found["4.6.01"].state == LEFT
    unsigned_ = {answer.item: answer for answer in answers(told(unsigned="not signed by: oslo-health"))}
    assert unsigned_["1.5.04"].state == UNMET
    assert unsigned_["1.5.04"].shown == "the agreement is not signed by every party"
    nobody = {answer.item: answer for answer in answers(worked())}
    assert nobody["1.4.06"].state == UNMET
    assert nobody["2.8.01"].shown == "2 of 2 facilities state encryption at rest"
    assert nobody["2.8.01"].state == STATED


def test_satre_does_not_take_a_broken_ledger_or_an_open_key_for_evidence() -> None:
    book = told().book
    assert book is not None
    broken = {a.item: a for a in answers(told(book=replace(book, checkpoints=((6, 3, False),))))}
    assert broken["2.5.03"].state == UNMET
    opened = {a.item: a for a in answers(told(machine=(("private key of hub", "OPEN TO OTHERS"),)))}
    assert opened["2.8.05"].state == UNMET


def test_the_dpia_is_filled_from_the_agreement() -> None:
    made = document("dpia", worked())
    bases = {row[1]: row[2:] for row in part(made, "4. Necessity and proportionality: lawful").rows}
    assert bases["uk"][:4] == ("6(1)(e)", "9(2)(j)", "para 4", "s251")
    assert part(made, "2. The processing: purposes").rows[0][1] == "Do statins reduce heart attacks in people over 75?"
    documents = {row[0]: row for row in part(made, "Assessments").rows}
    assert documents["dpia"][3] == "ok"
    assert documents["processor contract"][1] == "not stated"


def test_the_budget_statement_says_what_is_spent_where_it_is_known() -> None:
    entry = replace(
        draft().datasets[0], privacy=Privacy(rho=1.0, delta=1e-6, per_person=0.5, per_project=0.5, colluders=1)
    )
    agreement = replace(draft(), datasets=(entry,))
    (line,) = rows("budget", "Privacy budgets", told(agreement, spent={"trial": 0.25}, bundles=()))
    assert line == ("trial", "1", "0.5", "0.5", "1e-06", "1", "0.25")
    (line,) = rows("budget", "Privacy budgets", told(agreement, bundles=()))
    assert line[-1] == "known at each site alone"
    capped = replace(draft(), datasets=(replace(draft().datasets[0], questions=Questions(total=40, each=10)),))
    assert rows("budget", "Caps", told(capped)) == [("trial", "40", "10")]
    assert isinstance(part(document("budget", told()), "Neither"), Lines)


def test_destruction_and_keys() -> None:
    made = document("destruction", replace(worked(), snapshots={"statins": 2}))
    stated = dict(part(made, "What this node keeps").rows)
    assert stated["frozen snapshots of rows"] == "statins: 2"
    assert dict(part(made, "What was agreed on").rows)["then"] == "destroy"
    keys = rows("keys", "Keys", told())
    assert len(keys) == len(told().agreement.keyed())
    assert rows("keys", "Taken at this node", told())[0][2] == "admitted"


def test_provenance_and_configuration() -> None:
    assert any(row[0] == "numpy" for row in rows("provenance", "Software", told()))
    assert ("private key of hub", "closed to others") in rows("configuration", "This machine", told())
    assert len(rows("configuration", "What facilities", worked())) == 2


def test_refusals_without_an_alarm_make_a_timeline_too() -> None:
    quiet = told(entries=(entry("refusal", 0, run=RUN, code="E-DISCLOSURE"),))
    assert [row[2] for row in rows("incidents", "Timeline", quiet)] == [""]
    assert "stopped, E-DISCLOSURE" in to_text(document("incidents", quiet))
