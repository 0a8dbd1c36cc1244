"""The auditor's form of a bundle: the pooled sums of every round, and every estimate computed again from them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.federation.plan import Plan, make_plan
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.context import summary_digest
from isthmus.federation.results import released
from isthmus.federation.script import Script
from isthmus.data.dictionary import dictionary
from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import Agreement, agreement_digest, shared_rules
from isthmus.governance.signing import SignedAgreement, check_signatures
from isthmus.ledger.verify import Verified
from isthmus.model.canonical import digest, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import IsthmusError, Untrusted
from isthmus.strict import parse
from isthmus.summary import Summary


def transcript(sums: list[tuple[Step, Summary]], codebook: Codebook) -> dict[str, Any]:
    """What the auditor's form adds: the codebook, and each round's pooled sum, exactly."""
    rounds = [{"question": step.question, "round": step.round, "sum": _hex(pooled)} for step, pooled in sums]
    return {"codebook": plain(codebook), "rounds": rounds}


def recomputed(verified: Verified) -> None:
    """Check that the bundle's result is what its pooled sums give, under the rules of its agreement.

    Raises:
        Untrusted: E-BUNDLE, another result, other sums than the ledger's rounds, or a transcript that cannot be read.
    """
    told = verified.bundle.get("transcript")
    if told is None:
        return
    try:
        script = Script(_plan(verified, told))
        _replay(script, told["rounds"])
        result = released(script, tuple(verified.bundle["result"]["sites"]))
    except (IsthmusError, KeyError, TypeError, ValueError) as error:
        raise Untrusted("E-BUNDLE", "the pooled sums do not give a result", "ask the hub for the bundle again") from error
    if digest(result) != verified.result:
        raise Untrusted("E-BUNDLE", "the pooled sums give another result than the one that is signed")


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


def _replay(script: Script, rounds: list[Mapping[str, Any]]) -> None:
    for said in rounds:
        name = said["question"]
        step = script.vote_step() if not script.voted else script.first(script.plan.question(name))
        if (step.question, step.round) != (name, said["round"]):
            raise Untrusted("E-BUNDLE", "the rounds are in another order")
        script.learn(step, _summary(step, bytes.fromhex(said["sum"])))


def _hex(pooled: Summary) -> str:
    parts = (pooled.values[f.name].astype(f.dtype.newbyteorder("<")).tobytes() for f in pooled.layout.fields)
    return b"".join(parts).hex()


def _summary(step: Step, raw: bytes) -> Summary:
    values, at = {}, 0
    for f in step.layout.fields:
        size = f.size * f.dtype.itemsize
        values[f.name] = np.frombuffer(raw[at : at + size], dtype=f.dtype.newbyteorder("<")).astype(f.dtype).reshape(f.shape)
        at += size
    if at != len(raw):
        raise Untrusted("E-BUNDLE", "a sum has another length than its layout")
    return Summary(step.layout, values)
