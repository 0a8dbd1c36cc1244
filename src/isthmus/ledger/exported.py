"""An exported ledger (`*.ledger`): a sealed line that says whose log it is, then one entry a line.

Whoever holds the file computes the tree again, with no network and no trust in the exporter: the checkpoints in it are
signed by the log's owner, and cosigned by sites. Several files are held against each other: two of one log must be one
story, and what one party remembers of another's log (its marks) must be in that log.

Reference: C2SP signed-note and tlog-checkpoint for the notes; RFC 9162 for the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from isthmus.crypto.envelope import open_envelope
from isthmus.crypto.keys import verify
from isthmus.ledger.checkpoint import Checkpoint, verify_checkpoint
from isthmus.ledger.document import hex_bytes, read_canonical
from isthmus.ledger.entries import MAXIMUM_ENTRY, Entry, decode_entry
from isthmus.ledger.log import Head, head_of
from isthmus.ledger.merkle import Edge
from isthmus.model.canonical import canonical, digest_bytes
from isthmus.model.errors import Invalid, Unavailable, Untrusted
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from isthmus.crypto.keys import SigningKey
    from isthmus.ledger.verify import Verified

SCHEMA: Final = "isthmus/ledger/1"
MAXIMUM_LINE = 64 * 1024 * 1024  # the first line holds a checkpoint for each concluded run
_SHAPE: dict[str, type] = {
    "schema": str, "owner": str, "key": str, "time": str, "checkpoint": str, "cosigned": list, "witnesses": dict,
    "marks": dict, "seal": str,
}  # fmt: skip


@record
class Cover:
    """What the first line says, beside its seal.

    Attributes:
        owner: whose log it is: a site's name or the hub's.
        key: the owner's Ed25519 key, hex.
        time: when it was exported, ISO 8601.
        checkpoint: the note of the whole log, signed by the owner; its origin is the log's name.
        cosigned: earlier notes with the cosignatures of sites.
        witnesses: site -> key under which its cosignature is checked, hex.
        marks: peer -> the newest head of its ledger that the owner holds.
    """

    owner: str
    key: str
    time: str
    checkpoint: str
    cosigned: tuple[str, ...]
    witnesses: Mapping[str, str]
    marks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported ledger whose first line holds: seal and every note are signed. Its entries are yet to be read."""

    path: Path
    cover: Cover
    checkpoint: Checkpoint
    cosigned: tuple[Checkpoint, ...]

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.checkpoint.origin

    @property
    def marks(self) -> dict[str, Head]:
        """Peer -> head of its ledger that the owner holds."""
        return {peer: head_of(mark) for peer, mark in self.cover.marks.items()}

    def leaves(self) -> Iterator[bytes]:
        """The entries as they stand in the file.

        Raises:
            Invalid: E-EXPORT, a line too long or not ended.
            Unavailable: E-FILE.
        """
        lines = _lines(self.path)
        next(lines, None)
        return lines

    def entries(self) -> Iterator[Entry]:
        """The entries, oldest first. Invalid (E-CANONICAL, E-ENTRY, E-EXPORT) for a line that is none."""
        return (decode_entry(leaf) for leaf in self.leaves())


def export_lines(cover: Cover, leaves: Iterable[bytes], key: SigningKey) -> Iterator[bytes]:
    """The lines of the file, each with its newline."""
    body = {name: getattr(cover, name) for name in _SHAPE if name not in {"schema", "seal"}} | {"schema": SCHEMA}
    yield canonical(body | {"seal": key.sign(_statement(body)).hex()}) + b"\n"
    for leaf in leaves:
        yield leaf + b"\n"


def open_exported(path: Path) -> Exported:
    """The ledger in a file, when its seal and notes hold.

    Raises:
        Invalid: E-EXPORT, E-CANONICAL, E-CHECKPOINT, not an exported ledger.
        Untrusted: E-SIGNATURE.
        Unavailable: E-FILE.
    """
    body = read_canonical(next(_lines(path), b""), "ledger export")
    if not isinstance(body, dict) or body.keys() != _SHAPE.keys() or body["schema"] != SCHEMA:
        raise _malformed(path)
    if not all(isinstance(body[name], kind) for name, kind in _SHAPE.items()):
        raise _malformed(path)
    key, seal = hex_bytes(body["key"]), hex_bytes(body.pop("seal"))
    verify(key, seal, _statement(body))
    witnesses = {site: hex_bytes(text) for site, text in body["witnesses"].items()}
    if not all(isinstance(note, str) for note in body["cosigned"]):
        raise _malformed(path)
    del body["schema"]
    cover = Cover(**{**body, "cosigned": tuple(body["cosigned"])})
    notes = tuple(verify_checkpoint(note, key, witnesses) for note in cover.cosigned)
    exported = Exported(path, cover, verify_checkpoint(cover.checkpoint, key, {}), notes)
    if any(note.origin != exported.origin for note in notes):
        raise _malformed(path)
    return exported


@record
class Beside:
    """A checkpoint of a log that came in another file, a bundle or a proof: what it is, its verified note, the owner's key, hex."""

    what: str
    checkpoint: Checkpoint
    key: str


def besides(held: Verified) -> list[Beside]:
    """The checkpoint of a bundle, and of its later entries, to hold the hub's ledger to."""
    what, key = f"the bundle of run {held.run[7:19]}", held.bundle["charter"]["hub_key"]
    found = [Beside(what=what, checkpoint=held.checkpoint, key=key)]
    if held.later is not None:
        found.append(Beside(what=f"{what}, later", checkpoint=held.later, key=key))
    return found


def beside_of_proof(entry: Entry, checkpoint: Checkpoint, key: str) -> Beside:
    """The checkpoint of a proof (`proved.check_proof`), to hold its ledger to."""
    return Beside(what=f"the proof of entry {entry.sequence}", checkpoint=checkpoint, key=key)


def check_exports(exports: Sequence[Exported], beside: Sequence[Beside] = ()) -> list[str]:
    """Every tree computed again, and the files held against each other; what was found, in words.

    Args:
        exports: whole ledgers.
        beside: checkpoints from elsewhere, which the longest export of their log must continue.

    Raises:
        Untrusted: E-LEDGER, something does not hold.
        Invalid: E-ENTRY, E-CANONICAL, E-EXPORT, a line that is no entry.
    """
    found: list[str] = []
    for exported in exports:
        claims = [*_own(exported), *_of_others(exported, exports), *_shown(exported, exports, beside)]
        roots = _roots(exported, {head.size for _, head in claims})
        for what, head in claims:
            size = exported.checkpoint.head.size
            if head.size > size:
                said = f"{what} has {head.size} entries, and this file {size}: it is older, or entries were cut off"
                hint = "export it again, now; where it stays shorter, ask the others for theirs"
                raise Untrusted("E-LEDGER", f"{exported.origin}: {said}", hint)
            if roots.get(head.size) != head.root:
                raise _broken(f"{exported.origin}: {what} is of another ledger, or of other entries than are here")
        found += [f"{exported.origin}: {what}, {head.size} entries" for what, head in claims]
    return found


def uncosigned(exports: Sequence[Exported], beside: Sequence[Beside] = ()) -> tuple[str, ...]:
    """Logs of which nobody but their owner says anything in these files: no cosignature, no mark of a peer."""
    notes = [(e.origin, note) for e in exports for note in e.cosigned]
    notes += [(each.checkpoint.origin, each.checkpoint) for each in beside]
    vouched = {origin for origin, note in notes if note.cosigners}
    remembered = {peer for e in exports for peer in e.marks}
    found = sorted({e.origin for e in exports} - vouched)
    return tuple(origin for origin in found if _peer(origin) not in remembered)


def check_envelopes(exported: Exported, keys: Mapping[str, bytes], most: int | None) -> tuple[int, int]:
    """Signatures of people that stand in entries (a revocation, an approval): how many hold, of how many.

    Args:
        exported: the ledger; its tree was checked.
        keys: key id -> public key of everybody who may sign.
        most: beyond this many envelopes a part is checked, chosen by the log's root and so not by who wrote the entries.

    Raises:
        Untrusted: E-SIGNATURE, one does not hold, or its signer is nobody known.
        Invalid: E-ENVELOPE.
    """
    sealed = [entry for entry in exported.entries() if isinstance(entry.facts.get("envelope"), dict)]
    root = exported.checkpoint.head.root
    chosen = sorted(sealed, key=lambda entry: sha256(root + entry.sequence.to_bytes(8)).digest())[:most]
    for entry in chosen:
        envelope = entry.facts["envelope"]
        open_envelope(envelope, str(envelope.get("payloadType")), keys)
    return len(chosen), len(sealed)


def check_decisions(exported: Exported, run: str, signed: Collection[str]) -> int:
    """People's decisions on a run: what they signed, held against the entries that name it by digest. How many there are.

    Args:
        exported: the hub's ledger; its tree was checked.
        run: the run's digest.
        signed: digests of the envelopes in the run's bundle, whose signatures were checked.

    Raises:
        Untrusted: E-LEDGER, an envelope without an entry, or a vote in the ledger whose envelope is not in the bundle.
    """
    told = [
        e.facts for e in exported.entries() if e.facts.get("run") == run and isinstance(e.facts.get("envelope"), str)
    ]
    entered = {str(facts["envelope"]) for facts in told}
    votes = {str(facts["envelope"]) for facts in told if facts.get("step") == "vote"}
    if set(signed) - entered:
        raise _broken(f"{exported.origin}: a decision in the bundle is not in the ledger")
    if votes - set(signed):
        raise _broken(f"{exported.origin}: a vote in the ledger is not in the bundle")
    return len(set(signed))


def check_agreed(exported: Exported, agreement: str, signed: Mapping[str, str]) -> list[str]:
    """Signatures on an agreement, held against the log's entries of it: by when how many were entered, in words.

    Args:
        exported: the ledger; its tree was checked.
        agreement: its digest.
        signed: digest of each envelope that came with it -> who signed.

    Raises:
        Untrusted: E-LEDGER, the log took the agreement with another signature of the same person, and never with this one.
    """
    entered: dict[str, Entry] = {}
    people: set[str] = set()
    for entry in exported.entries():
        if entry.facts.get("agreement") == agreement:
            for said in entry.facts.get("signatures", ()):
                entered.setdefault(said["envelope"], entry)
                people.add(said["by"])
    found = [entered[envelope] for envelope in signed if envelope in entered]
    for envelope, person in signed.items():
        if envelope not in entered and person in people:
            raise _broken(f"{exported.origin}: it took the agreement with another signature of {person}")
    if not found:
        return []
    last = max(found, key=lambda entry: entry.sequence)
    count = f"{len(found)} of {len(signed)} signatures on the agreement"
    return [f"{exported.origin}: {count} were entered by {last.time}, entry {last.sequence}"]


@record
class Signer:
    """Who signs a ledger of that name, and its witnesses: names and hex keys of the agreement."""

    owner: str
    key: str
    witnesses: Mapping[str, str]


def check_keys(origin: str, keys: tuple[str, Mapping[str, str]], signer: Signer) -> None:
    """Return when a file's keys (its owner's, its witnesses') are those of `signer`. Untrusted (E-LEDGER) otherwise."""
    if keys[0] != signer.key or any(signer.witnesses.get(site) != key for site, key in keys[1].items()):
        raise _broken(f"{origin}: its keys are not those that the agreement has for it")


def _own(exported: Exported) -> Iterator[tuple[str, Head]]:
    yield "signed by its owner", exported.checkpoint.head
    for note in exported.cosigned:
        yield f"cosigned by {', '.join(note.cosigners) or 'nobody'}", note.head


def _of_others(exported: Exported, exports: Sequence[Exported]) -> Iterator[tuple[str, Head]]:
    """What the other files say of this log: a shorter export of it, and the marks of peers."""
    for other in exports:
        if other is exported:
            continue
        if other.origin == exported.origin:
            if other.cover.key != exported.cover.key:
                raise _broken(f"{exported.origin}: two files of one name are signed by two keys")
            if other.checkpoint.head.size <= exported.checkpoint.head.size:
                yield f"continues {other.path.name}", other.checkpoint.head
        mark = other.marks.get(_peer(exported.origin))
        if mark is not None and _longest(exported, exports):
            yield f"as {other.cover.owner} remembers it", mark


def _shown(exported: Exported, exports: Sequence[Exported], beside: Sequence[Beside]) -> Iterator[tuple[str, Head]]:
    """What bundles and proofs show of this log."""
    for each in beside:
        if each.checkpoint.origin != exported.origin or not _longest(exported, exports):
            continue
        if each.key != exported.cover.key:
            raise _broken(f"{exported.origin}: the ledger and {each.what} are signed by two keys")
        by = ", ".join(each.checkpoint.cosigners)
        yield f"{each.what}, cosigned by {by}" if by else each.what, each.checkpoint.head


def _longest(exported: Exported, exports: Sequence[Exported]) -> bool:
    sizes = [e.checkpoint.head.size for e in exports if e.origin == exported.origin]
    return exported.checkpoint.head.size == max(sizes)


def _peer(origin: str) -> str:
    """The name under which others keep a mark of the log: `hub`, or the site's; nobody sees a private log."""
    return origin.removeprefix("site/")


def _roots(exported: Exported, sizes: Collection[int]) -> dict[int, bytes]:
    """The log's root at each of `sizes` that it reaches."""
    edge = Edge()
    found = {0: edge.root()}
    for leaf in exported.leaves():
        if decode_entry(leaf).sequence != edge.size:
            raise _broken(f"{exported.origin}: entries are out of order")
        edge.append(leaf)
        if edge.size in sizes:
            found[edge.size] = edge.root()
    if edge.size != exported.checkpoint.head.size:
        raise _broken(f"{exported.origin}: entries are missing, or too many")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            limit = MAXIMUM_LINE
            while line := file.readline(limit + 1):
                if not line.endswith(b"\n"):
                    raise _malformed(path)
                yield line[:-1]
                limit = MAXIMUM_ENTRY
    except OSError as error:
        raise Unavailable("E-FILE", "the file cannot be read", "", str(path)) from error


def _statement(body: Mapping[str, Any]) -> bytes:
    return canonical(["isthmus ledger", digest_bytes(canonical(body))])


def _malformed(path: Path) -> Invalid:
    return Invalid(
        "E-EXPORT",
        "not an exported ledger",
        "the file was changed or cut: `isthmus audit export` writes one",
        str(path),
    )


def _broken(message: str) -> Untrusted:
    return Untrusted("E-LEDGER", message, "ask the owner for its whole ledger, and the others for theirs")
