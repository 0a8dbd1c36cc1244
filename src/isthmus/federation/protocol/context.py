"""What signatures and masks are bound to: the descriptor of a round, its context, and the signed statement on its survivors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from isthmus.crypto.ring import Packing, check_range
from isthmus.federation.messages import EMPTY, Message, Payload, compact, header_digest, signed_bytes
from isthmus.federation.protocol.charter import SECAGG, Charter, Step
from isthmus.federation.protocol.records import Descriptor, Head
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, Untrusted
from isthmus.summary import Layout, Summary, feed

ATTEMPT = 1  # one attempt per round: a retry resends the cached bytes


@dataclass(frozen=True, slots=True)
class Binding:
    """A charter with everything about it that would be computed over and over.

    `cards` is the digest of all M1, known once keys are exchanged, to the hub and the sites alone. Contexts and the
    transcript digest cover it: both are published, and without it few enough sums could be found by trying them.
    """

    charter: Charter
    cards: str = ""
    digest: str = field(init=False)
    keys: Mapping[str, bytes] = field(init=False)
    indices: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.charter.digest)
        object.__setattr__(self, "keys", {m.site: bytes.fromhex(m.key) for m in self.charter.roster})
        object.__setattr__(self, "indices", {m.site: at for at, m in enumerate(self.charter.roster, start=1)})

    def key(self, site: str) -> bytes:
        """A site's pinned key. Untrusted (E-ROSTER) for a stranger."""
        if site not in self.keys:
            raise Untrusted("E-ROSTER", "a site that is not in the agreed roster")
        return self.keys[site]


@dataclass(frozen=True, slots=True)
class Turn:
    """One round as a party derived it: every later message of the round must name `context`."""

    step: Step
    descriptor: Descriptor
    context: bytes
    packing: Packing

    @property
    def roster(self) -> tuple[str, ...]:
        """Sites that are asked."""
        return self.descriptor.roster

    @property
    def name(self) -> str:
        """The context in hex."""
        return self.context.hex()

    @property
    def size(self) -> int:
        """Bytes of one masked reply."""
        return 8 * self.packing.words


def turn(binding: Binding, step: Step, roster: tuple[str, ...]) -> Turn:
    """The round of `step`, from this party's own copy of everything."""
    charter = binding.charter
    descriptor = Descriptor(
        protocol=SECAGG, mode=charter.mode, charter=binding.digest, study=charter.study, run=charter.run,
        policy=charter.agreement, question=step.question, kind=step.kind, round=step.round, attempt=ATTEMPT,
        roster=roster, layout=layout_digest(step.layout), transcript=step.transcript, cards=binding.cards,
    )  # fmt: skip
    context = hashlib.sha256(compact(plain(descriptor))).digest()
    return Turn(step, descriptor, context, packing(step.layout, len(charter.roster)))


def bound_context(own: Turn, head: Head) -> bytes:
    """What mask keys are bound to once a round has bound the run: the context, and the hub's ledger head that came with it."""
    return hashlib.sha256(compact(["secagg/1 bound", own.name, head.size, head.root])).digest()


def survivors_statement(binding: Binding, place: tuple[str, Head], survivors: tuple[str, ...], stage: str) -> bytes:
    """What an M4 answer signs: the survivor set of a context, `final` or `partial`, and the hub's ledger head."""
    context, head = place
    charter = binding.charter
    return compact(
        ["secagg/1 survivors", charter.mode, charter.run, context, list(survivors), stage, head.size, head.root]
    )


def masked_bytes(charter: Charter, site: str, header: Mapping[str, str], digests: tuple[str, str]) -> bytes:
    """The signed bytes of `site`'s M3, from its header and the digests of its sealed shares and of y_i."""
    return signed_bytes(charter.mode, "masked", charter.run, site, (header_digest(header), *digests))


def said(charter: Charter, kind: str, site: str, told: tuple[Mapping[str, Any], str], body: Payload = EMPTY) -> Message:
    """A site's message put together again from its header and signature (hex) in a journal."""
    header, signature = told
    return Message(
        kind=kind, mode=charter.mode, run=charter.run, sender=site, header=header, body=body,
        signature=bytes.fromhex(signature),
    )  # fmt: skip


@lru_cache(maxsize=256)
def layout_digest(layout: Layout) -> str:
    """`layout.digest`, once per layout."""
    return layout.digest


@lru_cache(maxsize=64)
def packing(layout: Layout, parties: int) -> Packing:
    """`Packing.of`, once per layout."""
    return Packing.of(layout, parties)


def summary_digest(summary: Summary) -> str:
    """Hex SHA-256 of a pooled sum: its layout's digest, then every field little-endian in layout order."""
    state = hashlib.sha256(layout_digest(summary.layout).encode())
    feed(state, summary)
    return state.hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One opened round in the transcript."""

    question: str
    round: int
    context: str
    sum: str


def cards_digest(cards: Mapping[str, str]) -> str:
    """Hex SHA-256 over site -> digest of its M1."""
    return hashlib.sha256(compact(dict(cards))).hexdigest()


def transcript_digest(cards: str, entries: Iterable[Entry]) -> str:
    """`sha256:...` of the exchanged keys and the run's opened rounds, in order."""
    listed = [cards, *([e.question, e.round, e.context, e.sum] for e in entries)]
    return "sha256:" + hashlib.sha256(compact(listed)).hexdigest()


def check_encodable(layout: Layout, sites: int, summary: Summary, reads: Iterable[str]) -> None:
    """Return when every value of a site's part can be summed over the parties.

    Raises:
        Invalid: E-RANGE, naming what the question reads.
    """
    try:
        check_range(packing(layout, sites), summary)
    except Invalid as error:
        listed = ", ".join(map(repr, reads))
        raise Invalid(error.code, f"{error.message}: look for absurd values in {listed}", error.hint) from error
