"""The auditor's form of a bundle: the pooled sums of every round, and every estimate computed again from them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from isthmus.data.dictionary import dictionary
from isthmus.federation.plan import Plan, make_plan
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.context import Entry, summary_digest, transcript_digest
from isthmus.federation.results import released
from isthmus.federation.script import Script
from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import Agreement, agreement_digest, shared_rules
from isthmus.governance.signing import SignedAgreement, check_signatures
from isthmus.ledger.verify import Verified
from isthmus.model.canonical import digest, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import IsthmusError, Untrusted
from isthmus.strict import parse
from isthmus.summary import Summary


def transcript(sums: Iterable[tuple[Step, Summary]], cards: str, codebook: Codebook) -> dict[str, Any]:
    """What the auditor's form adds: each round's pooled sum, exactly; the codebook; the digest of the exchanged keys."""
    rounds = [{"question": step.question, "round": step.round, "sum": _hex(pooled)} for step, pooled in sums]
    return {"codebook": plain(codebook), "cards": cards, "rounds": rounds}


def recomputed(verified: Verified) -> None:
    """Check that the bundle's result is what its pooled sums give, under the rules of its agreement.

    Raises:
        Untrusted: E-BUNDLE, another result, other sums than the ledger's rounds, or a transcript that cannot be read.
    """
    if "transcript" not in verified.bundle:
        return
    try:
        result = released(replayed(verified), tuple(verified.bundle["result"]["sites"]))
    except (IsthmusError, KeyError, TypeError, ValueError) as error:
        raise Untrusted(
            "E-BUNDLE", "the pooled sums do not give a result", "ask the hub for the bundle again"
        ) from error
    if digest(result) != verified.result:
        raise Untrusted("E-BUNDLE", "the pooled sums give another result than the one that is signed")


def replayed(verified: Verified) -> Script:
    """The run of an auditor's bundle, with every flow advanced on the pooled sums.

    Raises:
        Untrusted, Invalid, Refused: the transcript is not of this run.
        KeyError, TypeError, ValueError: it is malformed.
    """
    told = verified.bundle["transcript"]
    contexts = [entry.facts["context"] for entry in verified.entries if entry.event == "round"]
    script, entries = Script(_plan(verified, told)), []
    for said, context in zip(told["rounds"], contexts, strict=True):
        name = said["question"]
        step = script.first(script.plan.question(name)) if script.voted else script.vote_step()
        if (step.question, step.round) != (name, said["round"]):
            raise Untrusted("E-BUNDLE", "the rounds are in another order")
        pooled = _summary(step, bytes.fromhex(said["sum"]))
        entries.append(Entry(step.question, step.round, context, summary_digest(pooled)))
        script.learn(step, pooled)
    if transcript_digest(told["cards"], entries) != verified.bundle["transcript_digest"]:
        raise Untrusted("E-BUNDLE", "the pooled sums are not those that the sites signed")
    return script


def _plan(verified: Verified, told: Mapping[str, Any]) -> Plan:
    bundle = verified.bundle
    agreement = agreed(verified)
    request = parse(RunRequest, json.loads(base64.b64decode(bundle["study"]["payload"])), "request")
    codebook = parse(Codebook, told["codebook"], "codebook")
    if digest(codebook) != agreement.dataset(request.study.dataset).codebook:
        raise Untrusted("E-BUNDLE", "the codebook is not the agreed one")
    countries = tuple(dict.fromkeys(member["country"] for member in bundle["charter"]["roster"]))
    known = dictionary(request.study, codebook, countries)
    effective = shared_rules(agreement, request.study.dataset)
    return make_plan(verified.run, request.study, known, effective.rules, effective.whose, len(request.roster))


def agreed(verified: Verified) -> Agreement:
    """The agreement of a bundle, signed by every party, with the roster and hub of the charter.

    Raises:
        Untrusted: E-BUNDLE; what `check_signatures` raises.
    """
    signed = parse(SignedAgreement, verified.bundle["agreement"][0], "agreement")
    agreement = check_signatures(signed)
    charter = verified.bundle["charter"]
    roster = {member["site"]: member["key"] for member in charter["roster"]}
    pinned = {name: agreement.site(name).key for name in roster}
    if agreement_digest(agreement) != verified.agreement or (pinned, agreement.hub.key) != (roster, charter["hub_key"]):
        raise Untrusted("E-BUNDLE", "the charter is not of the bundle's agreement")
    return agreement


def _hex(pooled: Summary) -> str:
    parts = (pooled.values[f.name].astype(f.dtype.newbyteorder("<")).tobytes() for f in pooled.layout.fields)
    return b"".join(parts).hex()


def _summary(step: Step, raw: bytes) -> Summary:
    values: dict[str, Any] = {}
    at = 0
    for f in step.layout.fields:
        size = f.size * f.dtype.itemsize
        words = np.frombuffer(raw[at : at + size], dtype=f.dtype.newbyteorder("<"))
        values[f.name] = words.astype(f.dtype).reshape(f.shape)
        at += size
    if at != len(raw):
        raise Untrusted("E-BUNDLE", "a sum has another length than its layout")
    return Summary(step.layout, values)
