"""The auditor's form of a bundle: the pooled sums of every round, and every estimate computed again from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.crypto.keys import verify
from isthmus.federation import told_verdicts
from isthmus.federation.plan import Plan
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.context import Entry, summary_digest, transcript_digest
from isthmus.federation.request import charter_of, plan_of
from isthmus.federation.results import released
from isthmus.federation.script import Script
from isthmus.governance.admission import RunRequest, admit_at_hub, asker, created_at, open_request
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import Case
from isthmus.governance.reviewed import Reviewed, read_reviewed, require_approved, require_released
from isthmus.governance.signing import SignedAgreement, check_signatures
from isthmus.ledger.bundle import read_roll, release_statement
from isthmus.ledger.document import hex_bytes
from isthmus.ledger.verify import Verified
from isthmus.model.canonical import digest, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted
from isthmus.model.names import Digest
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
        script.learn(step, pooled, tuple(verified.bundle["result"]["sites"]))
    if transcript_digest(told["cards"], entries) != verified.bundle["transcript_digest"]:
        raise Untrusted("E-BUNDLE", "the pooled sums are not those that the sites signed")
    return script


def _plan(verified: Verified, told: Mapping[str, Any]) -> Plan:
    request, agreement = agreed(verified)
    codebook = parse(Codebook, told["codebook"], "codebook")
    if digest(codebook) != agreement.dataset(request.study.dataset).codebook:
        raise Untrusted("E-BUNDLE", "the codebook is not the agreed one")
    return plan_of(charter_of(request, agreement), request, agreement, codebook)


def agreed(verified: Verified) -> tuple[RunRequest, Agreement]:
    """The request and the agreement of a federated bundle.

    The agreement is signed by every party; the request by one of its researchers, and admitted by it; the charter is
    the one that follows from both, so that roster, keys, threshold and minimum are not the bundle's to choose; and the
    result is of that study, from enough of those sites.

    Raises:
        Untrusted: E-BUNDLE, and what `check_signatures` raises.
    """
    try:
        return _agreed(verified.bundle)
    except (Invalid, Refused, LookupError, TypeError, ValueError) as error:
        raise Untrusted("E-BUNDLE", "the bundle holds no admitted request under a signed agreement") from error


def verdicts(verified: Verified) -> None:
    """Check that every site whose verdicts stand in the bundle's entries signed them.

    Raises:
        Untrusted: E-SIGNATURE, E-BUNDLE.
    """
    roll = read_roll(verified.bundle["charter"])
    keys = {str(site): key for site, key in roll.keys.items()}
    try:
        for entry in verified.entries:
            if entry.facts.get("decision") == told_verdicts.TOLD:
                told_verdicts.check(entry.facts, verified.run, keys)
    except Invalid as error:
        raise Untrusted("E-BUNDLE", "an entry holds verdicts that no site of the run told") from error


def reviewed(verified: Verified) -> None:
    """Check that the people whom the agreement asks for approved the study, and released the result.

    Raises:
        Untrusted: E-NOT-APPROVED, E-NOT-CHECKED, and what a signature that does not hold raises.
    """
    agreement, found = _approved(verified)
    require_released(agreement, found)
    if found.result():
        _check_release(verified, [vote.envelope for vote in found.result()])


def reviewed_so_far(verified: Verified) -> None:
    """Check that the people whom the agreement asks for approved the study; the result may wait for output checkers.

    Raises:
        Untrusted: E-NOT-APPROVED, and what a signature that does not hold raises.
    """
    _approved(verified)


def _approved(verified: Verified) -> tuple[Agreement, Reviewed]:
    request, agreement = agreed(verified)
    study = verified.bundle["study"]
    case = Case(
        run=verified.run,
        study=verified.study,
        asker=asker(study, agreement),
        created=created_at(request),
        result=verified.result,
    )
    try:
        found = read_reviewed(verified.bundle.get("approvals", ()), agreement, case)
    except (Invalid, Refused) as error:
        raise Untrusted("E-APPROVAL", f"an approval does not hold: {error.message}", error.hint) from error
    require_approved(agreement, request, case.asker, found)
    return agreement, found


def _check_release(verified: Verified, votes: Sequence[Digest]) -> None:
    """Return when as many sites as sign a result signed its release, over these votes."""
    bundle, roll = verified.bundle, read_roll(verified.bundle["charter"])
    statement = release_statement(roll.mode, verified.run, verified.result, votes)
    signed = bundle.get("released", {})
    for site, signature in signed.items():
        if site not in roll.keys:
            raise Untrusted("E-SIGNATURE", "a site outside the roster signed the release")
        verify(roll.keys[site], hex_bytes(signature), statement)
    told = [e.facts.get("sites") for e in verified.entries if e.facts.get("step") == "release"]
    if any(sites != sorted(signed) for sites in told):
        raise Untrusted("E-BUNDLE", "the ledger's release names other sites than those whose signatures are here")
    if len(signed) < roll.threshold:
        raise Untrusted("E-NOT-CHECKED", "fewer sites than the threshold signed the release of the result")


def _agreed(bundle: Mapping[str, Any]) -> tuple[RunRequest, Agreement]:
    agreement = check_signatures(parse(SignedAgreement, bundle["agreement"][0], "agreement"))
    asked = created_at(open_request(bundle["study"], agreement))
    request = admit_at_hub(bundle["study"], agreement, "federated", asked)
    charter = charter_of(request, agreement)
    if plain(charter) != bundle["charter"]:
        raise Untrusted("E-BUNDLE", "the charter does not follow from the request and the agreement")
    result, sites = bundle["result"], tuple(bundle["result"]["sites"])
    enough = len(set(sites)) >= charter.threshold and charter.entities(sites) >= charter.minimum_sites
    if result["study"] != charter.study or not enough:
        raise Untrusted("E-BUNDLE", "the result is not of this study and enough of its sites")
    return request, agreement


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
