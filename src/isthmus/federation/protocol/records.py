"""The strict header of every message kind. Digests, keys, shares and signatures are lower-case hex.

| kind | from | record | spec |
|---|---|---|---|
| keys | site | Keys | M1 |
| roster | hub | Roster | M2 |
| pairs | site | Pairs; body: ciphertexts for the higher sites | M1' |
| paired | hub | Paired; body: ciphertexts of the lower sites | M1' |
| round | hub | Ask; body: the sums it names | R0, M7 |
| masked | site | Masked; enclosed: sealed shares, or in a bound round the M4 signature; body: y_i | M3 |
| survivors | hub | Survivors | M4 |
| agree | site | Survivors; the signature is over the statement itself | M4 |
| recover | hub | Quorum | M5 |
| reveal | site | Reveal | M5 |
| open | hub | Quorum; body: the shares sealed for this site | M6 |
| shares | site | Context; body: its shares | M6 |
| sum | hub | Final; body: one withheld sum | M7 |
| conclude | hub | Conclude | S |
| result | site | Result; the signature is over the statement itself | S |
| witness | hub | Witness | S |
| cosigned | site | Cosigned | S |
| end | hub | End | S |
| stop | hub | Stop | |
| refuse | site | Refuse | |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from isthmus.federation.messages import Message
from isthmus.model.record import record
from isthmus.strict import parse

T = TypeVar("T")


@record
class Head:
    """A ledger head: number of entries and RFC 6962 root."""

    size: int
    root: str


@record
class Keys:
    """M1: exchange keys, the dataset snapshot of the run, and ledger heads.

    Attributes:
        head: the newest of the hub's that this site remembers.
        own: of this site's ledger.
        peers: the newest it holds of the other sites'.
    """

    x25519: str
    mlkem: str
    snapshot: str
    head: Head
    own: Head
    peers: Mapping[str, Head]


@record
class Card:
    """A relayed M1: its header and signature."""

    keys: Keys
    signature: str


@record
class Roster:
    """M2: every present site's signed keys; the hub's ledger now, and that it continues what each site holds of it."""

    cards: Mapping[str, Card]
    head: Head
    growth: Mapping[str, tuple[str, ...]]


@record
class Pairs:
    """M1': SHA-256 of the ciphertext for each higher site."""

    roster: tuple[str, ...]
    ciphertexts: Mapping[str, str]


@record
class Pair:
    """A relayed M1': its header, the digest of its whole body, and signature."""

    pairs: Pairs
    body: str
    signature: str


@record
class Paired:
    """The roster of the first round, and the signed M1' of every lower site."""

    roster: tuple[str, ...]
    pairs: Mapping[str, Pair]


@record
class Descriptor:
    """What a round asks. Each party derives its own; ctx is its SHA-256, so another question makes other masks."""

    protocol: str
    mode: str
    charter: str
    study: str
    run: str
    policy: str
    question: str
    kind: str
    round: int
    attempt: int
    roster: tuple[str, ...]
    layout: str
    transcript: str
    cards: str


@record
class Quorum:
    """t signatures on a survivor set of one context."""

    context: str
    survivors: tuple[str, ...]
    signatures: Mapping[str, str]


@record
class Reply:
    """One summand: the opened b_i (nothing in a bound round), digest of what M3 enclosed, and the signature that covers all and y_i."""

    seed: str
    shares: str
    signature: str


@record
class Revealed:
    """A relayed M5 answer: the mask keys of the dropped sites."""

    keys: Mapping[str, str]
    signature: str


@record
class Sum:
    """M7: the signed replies of one context (or none: then the body is the hub's signed sum, above 1 MiB a reply)."""

    context: str
    replies: Mapping[str, Reply]
    revealed: Mapping[str, Revealed]
    size: int


@record
class Ask:
    """R0 and the M7 it rests on. `old`, `head`, `proof`: the hub's ledger has only grown. `previous`: signatures on the final set of the last round."""

    descriptor: Descriptor
    old: int
    head: Head
    proof: tuple[str, ...]
    sums: tuple[Sum, ...]
    previous: Quorum | None = None


@record
class Masked:
    """M3: context and SHA-256(b_i); nothing in a bound round."""

    context: str
    commitment: str


@record
class Survivors:
    """M4: a survivor set, final or not."""

    context: str
    survivors: tuple[str, ...]
    final: bool


@record
class Reveal:
    """M5: k_ij of the dropped sites for this context alone."""

    context: str
    survivors: tuple[str, ...]
    keys: Mapping[str, str]


@record
class Context:
    """An answer's context."""

    context: str


@record
class Final:
    """A sum that was withheld to the end, and the signatures on the final set of the last round."""

    sum: Sum
    previous: Quorum


@record
class Conclude:
    """Every sum is out: compute and sign."""

    previous: Quorum


@record
class Result:
    """S: digests of the pooled sums and of the result."""

    transcript: str
    result: str


@record
class Witness:
    """t sites signed the same result, and the hub's checkpoint that has it, to be cosigned."""

    signatures: Mapping[str, str]
    note: str
    old: int
    proof: tuple[str, ...]


@record
class Cosigned:
    """This site's cosignature line."""

    line: str


@record
class End:
    """The result is released: forget the run's secrets."""

    note: str


@record
class Stop:
    """The run ends without a result; a text that names no row, count or secret."""

    context: str
    code: str
    message: str


@record
class Refuse:
    """A site stops the run: a code, and of a rule of law its id; never its own words."""

    context: str
    code: str
    rule: str = ""


def header(kind: type[T], message: Message) -> T:
    """The header as its record.

    Raises:
        Invalid: E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE.
    """
    return parse(kind, message.header, message.kind)
