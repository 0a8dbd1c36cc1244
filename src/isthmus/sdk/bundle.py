"""Signed bundles: check them, and take the result out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isthmus.model.errors import Invalid, Unavailable, Untrusted
from isthmus.sdk.files import read_bytes
from isthmus.sdk.result import Result

if TYPE_CHECKING:
    from isthmus.ledger.verify import Check, Verified

SUFFIX = ".isthmus"


def verify(
    source: str | Path | bytes,
    keys: Mapping[str, str] | None = None,
    agreement: str | Path | None = None,
    exporter: Literal["signed", "anyone"] = "signed",
) -> dict[str, Any]:
    """Check a bundle or an evidence crate offline: every signature, the ledger's proof, every byte.

    Args:
        source: a bundle file or its bytes; or a crate, its folder or ZIP file.
        keys: site -> hex key as you hold them; without them the keys are those of the bundle's own agreement: compare
            `fingerprints` with the parties.
        agreement: file of the signed agreement as you trust it; the bundle must stand under it. Without it the agreement is
            the bundle's own, and whoever made one up could have signed it: compare `custodians` with the parties.
        exporter: of a crate; `anyone` takes one that nobody signed: its SBOM and time of export rest on nothing.

    Returns:
        `mode`, `run`, `study`, `signers`, `fingerprints`, `custodians` (name -> fingerprint), `checked`: what was checked, in
        words, and `look`: what was not; of a crate also `crate`.

    Raises:
        Untrusted: a signature, proof or file of a crate that does not hold; E-AGREEMENT-OTHER, it stands under another
            agreement; E-CRATE-UNSIGNED, nobody signed the export of a crate, or the signature was taken away.
        Invalid: not a bundle.
        Unavailable: E-FILE.
    """
    from isthmus.ledger.verify import pinned_keys

    checks = [pinned_keys(keys)] if keys is not None else []
    checks += [under(agreement)] if agreement is not None else []
    if not isinstance(source, bytes) and _is_crate(Path(source)):
        from isthmus.sdk.crate.make import check_crate, check_exporter
        from isthmus.sdk.crate.make import in_words as of_crate

        crate = check_crate(Path(source), checks)
        if exporter == "signed":
            check_exporter(crate)
        told = of_crate(crate)
        return _facts(crate.held) | told | _trusted(crate.held, agreement, told)
    held = verified(read_bytes(source), checks)
    return _facts(held) | _trusted(held, agreement, {"checked": in_words(held), "look": []})


def under(file: str | Path) -> Check:
    """A check that a bundle stands under the agreement of a file, which every party signed."""
    from isthmus.federation.named import read_agreed
    from isthmus.governance.agreement import agreement_digest

    trusted = agreement_digest(read_agreed(Path(file)))

    def check(held: Verified) -> None:
        if held.agreement != trusted:
            hint = "ask which agreement, and which version, the run was made under; without --agreement nothing is held to yours"
            raise Untrusted("E-AGREEMENT-OTHER", "the file stands under another agreement than the one given", hint)

    return check


def _trusted(held: Verified, agreement: str | Path | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """On what the trust in the keys rests, in words: the reader's own agreement, or what has to be compared."""
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.audit import agreed

    if held.mode != "federated":
        return {"custodians": {}, "checked": told["checked"], "look": told["look"]}
    _, own = agreed(held)
    custodians = {
        f"{person.person} ({party.party})": fingerprint(bytes.fromhex(person.key))
        for party in own.parties
        for person in own.custodians(party.party)
    }
    if agreement is not None:
        said = "it stands under the agreement that was given: the keys are those that its parties signed"
        return {"custodians": custodians, "checked": [said, *told["checked"]], "look": told["look"]}
    said = "the keys are those of the agreement in the file: compare the custodians' below with the parties, or give --agreement"
    return {"custodians": custodians, "checked": told["checked"], "look": [*told["look"], said]}


def _is_crate(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".zip"


def _facts(held: Verified) -> dict[str, Any]:
    return {
        "mode": held.mode,
        "run": held.run,
        "study": held.study,
        "agreement": held.agreement,
        "result": held.result,
        "signers": list(held.signers),
        "ledger_size": held.checkpoint.head.size,
        "fingerprints": dict(held.fingerprints),
        "checked": in_words(held),
    }


def verified(raw: bytes, checks: list[Any]) -> Verified:
    """The bundle in `raw` with every check of the ledger, the agreement, the pooled sums (if there) and `checks`."""
    from isthmus.federation.audit import recomputed, reviewed, verdicts
    from isthmus.ledger.verify import verify_bundle

    return verify_bundle(raw, [federated(reviewed), verdicts, recomputed, *checks])


def federated(check: Check) -> Check:
    """A check of bundles that stand under an agreement; a rehearsal has none."""

    def checked(held: Verified) -> None:
        if held.mode == "federated":
            check(held)

    return checked


def result_of(raw: bytes) -> Result:
    """The result in a bundle, after verifying it; its proof is added.

    Raises:
        Untrusted, Invalid: the bundle does not hold.
    """
    return result_from(verified(raw, []))


def result_in_review(raw: bytes) -> Result:
    """The result in the bundle of a run that waits for output checkers, after verifying everything else.

    Raises:
        Untrusted, Invalid: the bundle does not hold.
    """
    return result_from(_in_review(raw))


def held_in_review(raw: bytes, run: str) -> Verified:
    """What holds of the bundle of this run, which waits for output checkers.

    Raises:
        Untrusted: E-RUN, it is another run's; and as `result_in_review`.
    """
    held = _in_review(raw)
    if held.run != run:
        raise Untrusted("E-RUN", "the hub gave another run's bundle", "ask again")
    return held


def _in_review(raw: bytes) -> Verified:
    from isthmus.federation.audit import recomputed, reviewed_so_far
    from isthmus.ledger.verify import verify_bundle

    return verify_bundle(raw, [federated(reviewed_so_far), recomputed])


def result_from(held: Verified) -> Result:
    """The result in a bundle that was verified; its proof is added."""
    from isthmus.federation.results import proof_of_bundle

    bundle, proof = held.bundle, proof_of_bundle(held)
    about = {
        "mode": held.mode,
        "run": bundle["charter"]["number"],
        "status": "rehearsed" if held.mode == "rehearsal" else "released",
    }
    return Result({**about, **bundle["result"], "proof": proof})


def bundle_of(source: str) -> bytes | None:
    """The bundle behind a source: the file itself, or the run's from the hub; None for a result JSON.

    Raises:
        Unavailable: E-FILE; Waiting: the run has not ended.
    """
    path = Path(source)
    if path.exists():
        return read_bytes(path) if path.suffix == SUFFIX else None
    if path.suffix:
        raise Unavailable("E-FILE", f"there is no file {source!r}", "give a file, or a run at your hub")
    from isthmus.sdk.connect import connect

    with connect() as client:
        return client.bundle(source)


def open_result(source: str) -> Result:
    """A result from a bundle, a result JSON file, or a run at the hub of isthmus.toml.

    Raises:
        Invalid: E-RESULT, neither; what verification of a bundle raises.
    """
    raw = bundle_of(source)
    if raw is not None:
        return result_of(raw)
    try:
        body = json.loads(read_bytes(source))
    except (ValueError, RecursionError) as error:
        raise Invalid("E-RESULT", "not a result", "the file that `isthmus run --out` wrote", source) from error
    if not isinstance(body, dict) or body.get("schema") != "isthmus/result/1":
        raise Invalid("E-RESULT", "not a result of schema isthmus/result/1", "", source)
    return Result(body)


def in_words(held: Verified) -> list[str]:
    """What verification of a bundle has checked."""
    charter = held.bundle["charter"]
    found = (
        ["a researcher of the agreement signed the request, every party the agreement; the roster follows from it"]
        if held.mode == "federated"
        else ["a rehearsal: nobody signed an agreement, and the keys are this run's own"]
    )
    found += _approved_by(held)
    if "transcript" in held.bundle:
        found.append("every estimate was computed again from the pooled sums, and is the one that is signed")
    return [
        "the file is canonical: any flipped byte would fail",
        *found,
        f"the result is signed by {len(held.signers)} of {len(charter['roster'])} sites ({charter['threshold']} must): "
        + ", ".join(held.signers),
        f"the checkpoint of the ledger (size {held.checkpoint.head.size}) is signed by the hub and cosigned by "
        f"{len(held.checkpoint.cosigners)} sites",
        "study and release are entries of that ledger",
        *_told(held),
    ]


def _told(held: Verified) -> list[str]:
    from isthmus.federation.told_verdicts import told_by

    size = held.checkpoint.head.size
    since = [entry for entry in held.entries if entry.sequence >= size]
    told, late = told_by(entry for entry in held.entries if entry.sequence < size), told_by(since)
    found = [f"so are the verdicts of every gate at {', '.join(told)}, each signed by its site"] if told else []
    more = [f"the verdicts of every gate at {', '.join(late)}, each signed by its site"] if late else []
    more += [f"the release, at {entry.time}" for entry in since if entry.facts.get("step") == "release"]
    return [*found, f"the ledger goes on from there, as the hub signs, with {' and '.join(more)}"] if more else found


def _approved_by(held: Verified) -> list[str]:
    """Who approved the study and released the result, in words; none where nobody was asked."""
    from isthmus.governance.approval import PAYLOAD_TYPE

    said = [json.loads(base64.b64decode(e["payload"])) for e in held.bundle.get("approvals", ())]
    kinds = [e["payloadType"] == PAYLOAD_TYPE for e in held.bundle.get("approvals", ())]
    people = [a for a, signed in zip(said, kinds, strict=True) if signed]
    rules = [a["name"] for a, signed in zip(said, kinds, strict=True) if not signed]
    studies = [a["name"] for a in people if a["kind"] == "study"]
    results = [a["name"] for a in people if a["kind"] == "result"]
    told = []
    if studies or rules:
        by = [*studies, *(f"a standing rule of {name}" for name in rules)]
        told.append(f"the study was approved for every party whose site takes part: {', '.join(by)}")
    if results:
        told.append(f"the result was released by {' and '.join(results)}")
        sites = ", ".join(sorted(held.bundle.get("released", ())))
        told.append(f"that the votes hold, and stand in the ledger, is signed by {sites}")
    return told
