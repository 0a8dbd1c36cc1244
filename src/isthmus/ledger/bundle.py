"""The result bundle (`*.isthmus`): one canonical JSON file that holds a result and all that proves it.

The hub seals the whole file; t sites sign the result; t sites cosign the checkpoint; the entries that bind run,
charter and result stand in the log under it. `verify.py` checks all of this with no network.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isthmus.ledger.document import read_canonical
from isthmus.model.canonical import canonical, digest, digest_bytes, plain
from isthmus.model.errors import Invalid
from isthmus.model.names import Digest, SiteId
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isthmus.crypto.keys import SigningKey
    from isthmus.ledger.log import Log

SCHEMA: Final = "isthmus/bundle/1"
RESERVED: Final = "hub"  # no site's name: messages and reports speak of the hub by it
MAXIMUM_BUNDLE = 256 * 1024 * 1024
_HEX_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)

_SHAPE: dict[str, type] = {
    "schema": str,
    "mode": str,
    "charter": dict,
    "agreement": list,
    "study": dict,
    "result": dict,
    "transcript_digest": str,
    "signatures": dict,
    "checkpoint": str,
    "entries": list,
    "inclusion": list,
    "seal": str,
}
_OPTIONAL: dict[str, type] = {"transcript": object, "approvals": list, "released": dict, "later": dict}


@record
class Contents:
    """What a bundle is about; the ledger reads of it only the charter's mode, run, roster, threshold and hub key.

    Attributes:
        charter: record or JSON with `mode`, `run`, `study`, `agreement`, `roster` of {`site`, `key`}, `threshold`, `hub_key`, and more.
        agreement: its envelopes.
        study: its envelope.
        result: what people read.
        transcript_digest: of all pooled sums, as the sites signed it.
        signatures: site -> hex of its Ed25519 signature of `result_statement`.
        transcript: the pooled sums, for recomputation; `None` leaves them out.
        approvals: envelopes of the people who decided on study and result, and of standing rules; empty leaves them out.
    """

    charter: Any
    agreement: Sequence[Any]
    study: Mapping[str, Any]
    result: Mapping[str, Any]
    transcript_digest: str
    signatures: Mapping[SiteId, str]
    transcript: Any = None
    approvals: Sequence[Any] = ()


@record
class Roll:
    """What the ledger needs of a charter."""

    mode: str
    run: str
    study: str
    agreement: str
    threshold: int
    hub_key: bytes
    keys: Mapping[SiteId, bytes]


def result_statement(mode: str, run: str, transcript: str, result: Digest) -> bytes:
    """What each site signs at the end, with its identity key: the transcript and the result it computed itself."""
    return canonical(["isthmus result", mode, run, transcript, result])


def release_statement(mode: str, run: str, result: Digest, votes: Iterable[Digest]) -> bytes:
    """What each site signs once output checkers have released a result: whose votes (digests of the envelopes) it found to hold."""
    return canonical(["isthmus release", mode, run, result, sorted(votes)])


def study_facts(charter: Any) -> dict[str, Any]:
    """Facts of the `study` entry of a run, from its charter (a record or its JSON); a bundle needs that entry."""
    body = plain(charter)
    return {"run": body["run"], "charter": digest(body), "study": body["study"], "agreement": body["agreement"]}


def release_facts(run: str, transcript: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the `release` entry of a run; a bundle needs that entry."""
    return {"run": run, "transcript": transcript, "result": digest(result)}


def make_bundle(
    contents: Contents, log: Log, indices: Sequence[int], checkpoint: str, size: int, hub_key: SigningKey
) -> bytes:
    """The bundle's bytes.

    Args:
        contents: what it is about.
        log: the hub's log.
        indices: entries to show, ascending; among them the run's `study` and `release`.
        checkpoint: the cosigned note of the log.
        size: the log's size in that note.
        hub_key: seals the whole.

    Raises:
        Invalid: E-PROOF, an index not under the checkpoint; E-JSON, contents that are not plain data.
    """
    charter = plain(contents.charter)
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": charter["mode"],
        "charter": charter,
        "agreement": contents.agreement,
        "study": contents.study,
        "result": contents.result,
        "transcript_digest": contents.transcript_digest,
        "signatures": contents.signatures,
        "checkpoint": checkpoint,
        "entries": [log.entry(index) for index in indices],
        "inclusion": [[step.hex() for step in log.inclusion(index, size)] for index in indices],
    }
    if contents.transcript is not None:
        body["transcript"] = contents.transcript
    if contents.approvals:
        body["approvals"] = contents.approvals
    return _sealed(body, hub_key)


def resealed(bundle: Mapping[str, Any], changes: Mapping[str, Any], hub_key: SigningKey) -> bytes:
    """A parsed bundle with these parts in place of those it held (`approvals`, `released`, `later`); else as it was."""
    return _sealed({**{name: part for name, part in bundle.items() if name != "seal"}, **changes}, hub_key)


def _sealed(body: Mapping[str, Any], hub_key: SigningKey) -> bytes:
    return canonical({**body, "seal": hub_key.sign(seal_statement(body)).hex()})


def seal_statement(body: Mapping[str, Any]) -> bytes:
    """What the hub signs: the digest of the bundle without its seal."""
    return canonical(["isthmus bundle", digest_bytes(canonical(body))])


def read_bundle(raw: bytes) -> dict[str, Any]:
    """The parsed bundle; nothing in it is verified yet.

    Raises:
        Invalid: E-CANONICAL, not one canonical JSON document; E-BUNDLE, other keys, types or schema, or too large.
    """
    if len(raw) > MAXIMUM_BUNDLE:
        raise bad_bundle("the file is too large")
    value = read_canonical(raw, "bundle")
    if not isinstance(value, dict) or set(value) - set(_OPTIONAL) != set(_SHAPE):
        raise bad_bundle("the file has other parts than a bundle")
    if not all(isinstance(value[name], kind) for name, kind in {**_SHAPE, **_OPTIONAL}.items() if name in value):
        raise bad_bundle("a part of the file is of another type")
    if value["schema"] != SCHEMA:
        raise bad_bundle(f"the file is not of schema {SCHEMA}")
    return value


def read_roll(charter: Mapping[str, Any]) -> Roll:
    """Mode, run, roster, threshold and hub key of a charter.

    Raises:
        Invalid: E-BUNDLE, one of them missing or malformed, a site or a key twice.
    """
    threshold, roster = charter.get("threshold"), charter.get("roster")
    if type(threshold) is not int or not isinstance(roster, list):
        raise bad_bundle("the charter lacks its threshold or roster")
    members = [_member(member) for member in roster]
    keys = dict(members)
    if len(keys) != len(members) or len(set(keys.values())) != len(members) or RESERVED in keys:
        raise bad_bundle("the charter names a site or a key twice")
    return Roll(
        mode=_text(charter, "mode"),
        run=_text(charter, "run"),
        study=_text(charter, "study"),
        agreement=_text(charter, "agreement"),
        threshold=threshold,
        hub_key=_key(charter.get("hub_key")),
        keys=keys,
    )


def bad_bundle(message: str) -> Invalid:
    """The one error of a malformed bundle."""
    return Invalid("E-BUNDLE", message, "the file was changed, cut, or made by another version")


def _member(member: Any) -> tuple[SiteId, bytes]:
    if not isinstance(member, dict):
        raise bad_bundle("the charter's roster is a list of sites")
    return SiteId(_text(member, "site")), _key(member.get("key"))


def _text(source: Mapping[str, Any], name: str) -> str:
    text = source.get(name)
    if not isinstance(text, str):
        raise bad_bundle(f"the charter lacks {name}")
    return text


def _key(text: Any) -> bytes:
    if not isinstance(text, str) or not _HEX_KEY.fullmatch(text):
        raise bad_bundle("a key is 64 lower-case hex digits")
    return bytes.fromhex(text)
