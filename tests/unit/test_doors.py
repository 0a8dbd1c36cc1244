"""Every door for what others wrote: whatever stands at any place of a document, a coded error comes out or nothing does.

Documents that are signed are changed twice: as they came, and by a signer who has a key of the agreement.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from governance_alliance import NOW, draft, key_of, signed_by_all
from identity_tokens import jwks
from identity_tokens import key_of as token_key
from made_bundle import made_bundle
from reviewed_alliance import AGREEMENT, ASKER, KEEPER, PASSES, STUDY, asked, case, envelope, person, request

from isthmus.cli.live import waiting
from isthmus.crypto.envelope import sign_envelope
from isthmus.crypto.exchange import ExchangeKeys, exchange_public
from isthmus.crypto.jwt import read_keys
from isthmus.crypto.keys import SigningKey
from isthmus.crypto.passphrase import lock, unlock
from isthmus.federation import audit, told_verdicts, wire
from isthmus.federation.border import read_border, register_of
from isthmus.federation.by_law import as_told
from isthmus.federation.control import Peer, Talk
from isthmus.federation.grounds import decisions
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.messages import Author
from isthmus.federation.reasons import error_of, facts
from isthmus.federation.request import asked_of, dataset_of
from isthmus.governance.admission import PAYLOAD_TYPE as REQUEST
from isthmus.governance.admission import admit_at_hub, asker, open_request
from isthmus.governance.approval import PAYLOAD_TYPE as APPROVAL
from isthmus.governance.approval import check_approval, read_approval
from isthmus.governance.card import read_card
from isthmus.governance.facts import Asking, study_facts
from isthmus.governance.revocation import PAYLOAD_TYPE as REVOCATION
from isthmus.governance.revocation import of_another_version, read_revocation, revoke
from isthmus.governance.signing import PAYLOAD_TYPE as AGREED
from isthmus.governance.signing import check_signatures, claims
from isthmus.governance.standing_rules import PAYLOAD_TYPE as STANDING
from isthmus.governance.standing_rules import (
    StandingTerms,
    make_rule,
    outside,
    questions,
    read_rule,
    refusals,
    sign_rule,
)
from isthmus.ledger.bundle import seal_statement
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.entries import EVENTS, Entry
from isthmus.ledger.exported import check_exports, open_exported
from isthmus.ledger.log import Log, MemoryStore, head_of
from isthmus.ledger.proved import check_proof, proof_of
from isthmus.ledger.words import in_words
from isthmus.model.canonical import canonical, digest_bytes, plain
from isthmus.model.errors import Exit, Invalid, IsthmusError, Refused, Untrusted
from isthmus.sdk.bundle import verified
from isthmus.sdk.connect import Client
from isthmus.sdk.crate import bag, make

ODD: tuple[Any, ...] = (
    None, True, 5, -1, 2**53, 1e300, "", "x", "sha256:", "\ud800", [], [5], [[]], {}, {"a": []}, {"a": {"b": 1}},
    json.loads("[" * 200 + "]" * 200),
)  # fmt: skip
FEW = (None, 5, "x", [5], {"a": []})


def broken(value: Any, odd: Sequence[Any] = ODD) -> Iterator[Any]:
    """The value with something odd at each of its places, with a part less, and with one more."""
    yield from odd
    if isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: other} for other in broken(part, odd))
            yield {key: kept for key, kept in value.items() if key != name}
        yield value | {"besides": [1]}
    elif isinstance(value, list):
        for at, part in enumerate(value[:2]):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in broken(part, odd))
        yield value[1:]


def hold(door: Callable[[Any], object], document: Any, odd: Sequence[Any] = ODD) -> int:
    """Try every broken form; how many were refused, each by a coded error: anything else fails the test as it is."""
    refused: list[IsthmusError] = []
    for changed in broken(document, odd):
        try:
            door(changed)
        except IsthmusError as error:
            refused.append(error)
    assert all(error.code.startswith("E-") and error.exit is not Exit.INTERNAL for error in refused)
    return len(refused)


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def signed_by(name: str, kind: str, key: SigningKey | None = None) -> Callable[[Any], dict[str, Any]]:
    """Puts any payload under the signature of a person of the agreement."""
    held = key or key_of(name)
    return lambda payload: sign_envelope(kind, raw(payload), [(held.public.hex(), held)])


def payload_of(made: Any) -> Any:
    return json.loads(base64.b64decode(made["payload"]))


RULE = make_rule(
    StandingTerms(
        dataset="trial", purpose="DUO:0000007", kinds=("count",), variables=("age",), people=(ASKER,), monthly=9, expires="2027-01-01"
    ),
    AGREEMENT, PASSES["pack"], person(KEEPER), NOW,
)  # fmt: skip
SIGNED = signed_by_all(draft())
STATED = SIGNED.signatures[0]


def approved(made: Any) -> None:
    check_approval(read_approval(made, AGREEMENT), case(request()), NOW)


def admitted(made: Any) -> None:
    dataset_of(made if isinstance(made, dict) else {})
    found, who = admit_at_hub(made, AGREEMENT, "federated", NOW), asker(made, AGREEMENT)
    told = read_rule(sign_rule(RULE, key_of(KEEPER)), AGREEMENT)
    outside(told, AGREEMENT, found, who, NOW.date())
    study_facts(found, Asking(who), AGREEMENT, "leeds", ("age",))
    questions(found.study), refusals(found.study, who), asked_of(made)


ENVELOPES: dict[str, tuple[Callable[[Any], object], str, str, Any]] = {
    "revocation": (lambda e: read_revocation(e, AGREEMENT), KEEPER, REVOCATION, revoke(AGREEMENT, key_of(KEEPER), "so", NOW)),
    "another version": (lambda e: of_another_version(e, AGREEMENT), KEEPER, REVOCATION, revoke(AGREEMENT, key_of(KEEPER), "so", NOW)),
    "request": (admitted, ASKER, REQUEST, asked(request())),
    "opened request": (lambda e: open_request(e, AGREEMENT), ASKER, REQUEST, asked(request())),
    "approval": (approved, KEEPER, APPROVAL, envelope(KEEPER, case(request()))),
    "standing rule": (lambda e: read_rule(e, AGREEMENT), KEEPER, STANDING, sign_rule(RULE, key_of(KEEPER))),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_of_any_form_is_read_or_refused(name: str) -> None:
    door, _, _, made = ENVELOPES[name]
    door(made)
    hold(door, made)


@pytest.mark.parametrize("name", ENVELOPES)
def test_whatever_a_known_key_signed_is_read_or_refused(name: str) -> None:
    door, who, kind, made = ENVELOPES[name]
    sign = signed_by(who, kind)
    hold(lambda payload: door(sign(payload)), payload_of(made))


@pytest.mark.parametrize("door", [check_signatures, claims], ids=["signatures", "claims"])
def test_an_agreements_envelopes_are_read_or_refused(door: Callable[[Any], object]) -> None:
    def among(made: Any) -> object:
        return door(replace(SIGNED, signatures=(made, *SIGNED.signatures[1:])))

    among(STATED)
    hold(lambda made: among(made if isinstance(made, dict) else {}), dict(STATED))
    who = next(p for p in draft().people if p.key == STATED["signatures"][0]["keyid"])
    sign = signed_by(who.person, AGREED)
    hold(lambda payload: among(sign(payload)), payload_of(STATED))


# ---- what nodes say to each other

RUN = "sha256:" + "1" * 64
KEYS = {"leeds": key_of("leeds").public}
DECISION = {"gate": "egress", "verdict": "signed", "pack": "sha256:p", "facts": "sha256:f", "rules": {"pass": ["GOV-01"]}, "outputs": ["death"], "judged": {}}  # fmt: skip


def test_verdicts_that_a_site_signed_are_entered_as_they_are_or_refused() -> None:
    """What is entered can be checked again: nothing that the site signed is left out."""

    def door(said: Any) -> None:
        statement = canonical(["isthmus verdicts", RUN, "leeds", told_verdicts.digest(said)])
        made = {"run": RUN, "decisions": said, "signature": key_of("leeds").sign(statement).hex()}
        entered = told_verdicts.entry("leeds", KEYS["leeds"], made)
        assert told_verdicts.check(entered, RUN, KEYS) == "leeds"
        in_words(Entry(event="decision", facts=entered, time="2026-11-26T10:00:00.000Z", sequence=0))

    door([DECISION])
    assert hold(door, [DECISION]) > 50
    (document,) = told_verdicts.signed(RUN, "leeds", [DECISION], key_of("leeds"))
    hold(lambda said: told_verdicts.entry("leeds", KEYS["leeds"], said if isinstance(said, dict) else {}), document)


def test_an_error_of_any_form_is_an_error() -> None:
    hold(lambda said: error_of(said).to_dict(), facts(Refused("E-RULE", "no", "ask", "GOV-01")))
    hold(lambda rules: as_told(Refused("E-RULE", "no", "ask", "GOV-01"), rules), ["GOV-01", "DUO-01"])


def test_what_a_hub_shows_of_review_is_read_or_refused() -> None:
    """Of any form: the list, what is to be decided in plain words, and the answer to a decision."""
    waits = {"whom": KEEPER, "party": "leeds-nhs", "since": NOW.isoformat()}
    said = {
        "by": KEEPER,
        "party": "leeds-nhs",
        "kind": "study",
        "decision": "accept",
        "time": NOW.isoformat(),
        "reason": None,
    }
    review = {"state": "In review", "waiting": [waits], "decisions": [said], "standing": {"leeds": [KEEPER]}}
    law = {"pack": PASSES["pack"], "pass": ["GOV-01"], "n/a": ["UK-LAW-01"]}
    answer = {
        "verdict": "approved",
        "since": NOW.isoformat(),
        "by": [KEEPER],
        "reason": None,
        "standing": None,
        "verdicts": law,
    }
    own, run = asked(request()), case(request()).run
    shown: dict[str, Any] = {
        "run": run, "title": "t", "request": own, "result": None, "review": review, "answers": {"leeds": answer},
        "mine": True, "amended": None,
    }  # fmt: skip
    listed = {"run": run, "study": "s", "created": NOW.isoformat(), "title": "t", "review": review, "mine": True}
    hub: Any = object.__new__(HubClient)
    me: Any = SimpleNamespace(
        client=hub,
        agreement=AGREEMENT,
        identity=SimpleNamespace(card=SimpleNamespace(key=key_of(KEEPER).public.hex()), key=key_of(KEEPER)),
    )
    client = Client(me, {})

    def door(of: Callable[[], Any], made: Any) -> Any:
        if not isinstance(made, dict):
            raise Invalid("E-WIRE", "no document")  # the wire's own door
        hub._one = lambda _body: made
        return of()

    def decided(made: Any) -> Any:
        hub._one = lambda body: made if body["what"] == "decide" else shown
        return client.decide(run, "accept")

    plainly = json.loads(json.dumps(shown))
    assert door(lambda: client.case(run), plainly)["mine"] is True
    assert door(client.cases, {"cases": [listed]}) == [listed]
    assert hold(lambda made: door(lambda: client.case(run), made), {**plainly, "request": own}, FEW) > 100
    assert (
        hold(lambda made: door(lambda: [waiting(c["review"]) for c in client.cases()], made), {"cases": [listed]}, FEW)
        > 60
    )
    taken = {"run": run, "review": review, "proof": "x"}
    with pytest.raises(Untrusted, match="E-LEDGER"):
        decided(taken)
    assert hold(decided, taken, FEW) > 60


def test_a_control_document_of_any_form_is_heard_or_refused() -> None:
    key = key_of("hub")

    def talk() -> Talk:
        return Talk("leeds", key_of("leeds"), Peer("hub", key.public), lambda: NOW)

    sent = json.loads(Talk("hub", key, Peer("leeds", KEYS["leeds"]), lambda: NOW).say("heartbeat", {"a": [1]}))
    talk().hear(raw(sent))
    hold(lambda made: talk().hear(raw(made)), sent)

    def signed(made: Any) -> None:
        body = {name: part for name, part in made.items() if name != "signature"} if isinstance(made, dict) else made
        signature = key.sign(b"isthmus control 1\n" + canonical(body)).hex()
        talk().hear(raw({**body, "signature": signature} if isinstance(body, dict) else body))

    hold(signed, {name: part for name, part in sent.items() if name != "signature"})
    hold(lambda made: talk().hear_ask(raw(made)), sent)


def test_a_head_of_a_message_of_any_form_is_read_or_refused() -> None:
    message = Author("federated", RUN, "leeds", key_of("leeds")).say("keys", {"a": {"b": 1}})
    head = json.loads(wire.encode(message)[0])
    wire.decode(raw(head))
    hold(lambda made: wire.decode(raw(made)), head)


def test_exchange_keys_and_heads_of_any_form_are_read_or_refused() -> None:
    hold(exchange_public, ExchangeKeys.generate().public.to_json())
    hold(head_of, {"size": 3, "root": "0" * 64})


# ---- files that people hand in


def test_a_border_register_of_any_form_is_read_or_refused() -> None:
    row = {"number": 1, "time": "2026-01-31T09:30:00.000Z", "run": RUN, "study": RUN, "message": "masked", "question": "q", "kind": "glm", "statistics": ["count"], "bytes": 3, "sender": "leeds"}  # fmt: skip
    register_of([raw(row)], ()).by_day()
    hold(lambda made: register_of([raw(made)], ()).by_day(), row)
    hold(lambda made: read_border(raw(made) + b"\n"), {"schema": "isthmus/border-rows/1", "log": "hub"})
    for text in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(IsthmusError, match="E-LEDGER"):
            register_of([text], ())


def test_a_seal_of_the_border_register_of_any_form_is_held_or_refused() -> None:
    def door(said: Any) -> None:
        register_of([], [Entry(event="border", facts=said, time="2026-01-31T09:30:00.000Z", sequence=0)])

    hold(lambda said: door(said if isinstance(said, dict) else {}), {"messages": 0, "bytes": 0, "head": ""})


def grown() -> Log:
    log = Log(MemoryStore(), "hub", lambda: NOW)
    for at in range(3):
        log.append("round", {"round": at})
    return log


def test_an_exported_ledger_of_any_form_is_read_or_refused(tmp_path: Path) -> None:
    log, key, path = grown(), key_of("hub"), tmp_path / "hub.ledger"
    cover = {
        "schema": "isthmus/ledger/1", "owner": "hub", "key": key.public.hex(), "time": NOW.isoformat(),
        "checkpoint": sign_checkpoint("hub", log.head(), key), "cosigned": [sign_checkpoint("hub", log.head(2), key)],
        "witnesses": {"leeds": KEYS["leeds"].hex()}, "marks": {"leeds": {"size": 1, "root": "0" * 64}},
    }  # fmt: skip

    def door(made: Any) -> None:
        body = {name: part for name, part in made.items() if name != "schema"} | {"schema": made.get("schema")}
        seal = key.sign(canonical(["isthmus ledger", digest_bytes(canonical(body))])).hex()
        lines = [canonical({**body, "seal": seal}), *(canonical(log.entry(at)) for at in range(3))]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        opened = open_exported(path)
        check_exports([opened, opened])

    door(cover)
    hold(lambda made: door(made if isinstance(made, dict) else {}), cover)


def test_a_proof_of_any_form_is_read_or_refused() -> None:
    log, key = grown(), key_of("hub")
    keys = (key.public.hex(), {"leeds": KEYS["leeds"].hex()})
    made = json.loads(proof_of(log, 1, (sign_checkpoint("hub", log.head(), key), 3), keys))
    check_proof(canonical(made))
    hold(lambda changed: check_proof(canonical(changed)), made)


def test_a_bundle_of_any_form_is_read_or_refused() -> None:
    key = key_of("hub")
    made = json.loads(made_bundle())
    checks = (audit.agreed, audit.verdicts, audit.reviewed, audit.recomputed)

    def door(changed: Any) -> None:
        body = {name: part for name, part in changed.items() if name != "seal"} if isinstance(changed, dict) else {}
        verified(canonical({**body, "seal": key.sign(seal_statement(body)).hex()}), [*checks])  # type: ignore[list-item]

    small = {**made, "result": {**made["result"], "analyses": {"n": {"kind": "count", "status": "refused"}}}}
    hold(
        door,
        {name: part for name, part in small.items() if name not in {"seal", "agreement"}} | {"agreement": [{}]},
        FEW,
    )
    for name in ("approvals", "released", "transcript"):
        hold(lambda part, name=name: door({**made, name: part}), {"leeds": "00", "rounds": [{"question": "vote", "sum": "00"}]}, FEW)  # fmt: skip


def test_a_crate_whose_exporter_writes_anything_is_read_or_refused(tmp_path: Path) -> None:
    """An unsigned crate: its SBOM is whatever whoever exported it says."""
    files = make.crate_of(verified(made_bundle(), []), made_bundle(), NOW)
    body = json.loads(files["data/sbom.cdx.json"])
    body = {"metadata": body["metadata"], "components": body["components"][:1]}
    hold(lambda made: (make._made(raw(made)), make._maker(raw(made))), body)

    def door(changes: dict[str, bytes], name: str) -> None:
        made = {path: held for path, held in {**files, **changes}.items() if "manifest-" not in path}
        inside = {path: held for path, held in made.items() if path.startswith("data/")}
        head = {path: held for path, held in made.items() if path not in inside}
        head |= {f"manifest-{kind}.txt": bag.manifest(inside, kind) for kind in bag.ALGORITHMS}
        last = {f"tagmanifest-{kind}.txt": bag.manifest(head, kind) for kind in bag.ALGORITHMS}
        bag.write_zip(inside | head | last, tmp_path / f"{name}.zip")
        make.check_crate(tmp_path / f"{name}.zip", [])

    door({}, "whole")
    for at, time in enumerate(("", "x", "2026-13-45T99:00")):
        changed = {**body, "metadata": {**body["metadata"], "timestamp": time}}
        with pytest.raises(IsthmusError):
            door({"data/sbom.cdx.json": raw(changed)}, f"time{at}")
    key = key_of("dr ada")
    sign = signed_by("dr ada", make.PAYLOAD_TYPE)
    signatures: list[Any] = [5, {}, {"signatures": [{"keyid": []}]}, sign([]), sign(5), sign("x"), sign([[1, 2]])]
    assert key.public.hex() in json.dumps(sign(5))
    for at, signature in enumerate(signatures):
        with pytest.raises(IsthmusError):
            door({"signature.json": raw(signature)}, f"signature{at}")


def test_a_compressed_crate_is_refused_before_anything_in_it_is_unpacked(tmp_path: Path) -> None:
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / f"{kind}.zip"
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr("crate/bagit.txt", b"x" * 1000)
        damaged = bytearray(path.read_bytes())
        damaged[45:60] = bytes(15)
        path.write_bytes(damaged)
        with pytest.raises(IsthmusError, match="E-CRATE"):
            bag.read_bag(path)


def test_keys_and_cards_of_any_form_are_read_or_refused() -> None:
    hold(read_keys, jwks(token_key("a"), token_key("b", "Ed25519")))
    hold(lambda made: read_card(raw(made)), json.loads(raw(plain(CARD))))
    document = json.loads(lock(b"secret", "four unrelated words", bytes(16)))
    few = [made for made in broken(document) if made != document]
    for made in few:
        if not (isinstance(made, dict) and made.get("scrypt") == document["scrypt"]):  # each guess takes a second
            with pytest.raises(IsthmusError):
                unlock(raw(made), "four unrelated words")


def _card() -> Any:
    from governance_alliance import cards

    return cards()[0]


CARD = _card()


FACTS: dict[str, dict[str, Any]] = {
    "study": {"run": RUN, "study": RUN},
    "decision": {"run": RUN, "decision": "joined", "snapshots": {"leeds": "h"}, "verdict": "declined", "code": "E-RULE", "rules": {"pass": ["A"]}, "by": ["x"], "decisions": [DECISION], "site": "leeds"},
    "approval": {"run": RUN, "step": "vote", "by": "x", "party": "p", "votes": [{"by": "x", "decision": "accept", "reason": ""}], "reason": "r", "amends": RUN},
    "waiting": {"run": RUN, "sites": ["leeds"], "unerased": ["leeds"]},
    "round": {"run": RUN, "question": "q", "round": 1, "survivors": ["leeds"]},
    "border": {"messages": 1, "bytes": 2, "head": "h", "run": RUN},
    "history": {"run": RUN, "head": "h"},
    "release": {"run": RUN, "result": RUN},
    "revocation": {"agreement": RUN, "party": "p", "by": "x", "reason": "r"},
    "refusal": {"run": RUN, "code": "E-RULE", "by": "x", "roles": ["auditor"], "asked": "bundle", "about": RUN, "rule": "A", "what": "approval"},
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_an_entry_of_any_form_is_said_in_words(event: str) -> None:
    def door(said: Any) -> None:
        for verdict in ({}, {"decision": "told"}, {"verdict": "approved"}):
            held = {**said, **verdict}
            assert in_words(Entry(event=event, facts=held, time="2026-01-31T09:30:00.000Z", sequence=0))
            decisions(held)

    hold(lambda said: door(said if isinstance(said, dict) else {}), FACTS[event])


def test_a_study_whose_release_is_no_list_stops_no_standing_rule() -> None:
    odd = replace(STUDY, analyses={**STUDY.analyses, "b": {"glm": {"formula": "died ~ age", "release": 5}}})
    admitted(asked(request(odd)))


def test_times_far_off_are_refused() -> None:
    made = replace(request(), created=(NOW + timedelta(days=9_000)).isoformat())
    with pytest.raises(Refused, match="E-CLOCK"):
        admitted(asked(made))
