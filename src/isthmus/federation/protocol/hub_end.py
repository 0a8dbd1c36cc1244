"""The hub's end of a run: withheld sums out, t signatures on the result, the release entry, t cosignatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from isthmus.federation.messages import Message, check_signature
from isthmus.federation.protocol.charter import HubWork, Step
from isthmus.federation.protocol.conclude import Outcome, check_signed, outcome_of
from isthmus.federation.protocol.context import Binding, Entry
from isthmus.federation.protocol.hub_rounds import HubRounds, Kept, Outgoing
from isthmus.federation.protocol.journal import bundle, unbundle
from isthmus.federation.protocol.records import Cosigned, Result, header
from isthmus.ledger.bundle import release_facts
from isthmus.ledger.checkpoint import verify_checkpoint, with_cosignatures
from isthmus.model.errors import Refused, Untrusted


@dataclass(slots=True)
class Signing:
    """Every sum is out; t sites must sign the same result.

    Attributes:
        survivors: sites that took part to the end.
        outcome: the result as the hub computed it.
        entries: the opened rounds, in order.
        trusted: rounds whose sum the sites took from the hub.
        anchor: size of the last ledger head that t sites signed over.
        closing: the messages that let a site conclude.
        opened: context of each sum -> what it is the sum of.
        signatures: on the hub's outcome.
        disputed: sites that computed another one.
    """

    survivors: tuple[str, ...]
    outcome: Outcome
    entries: tuple[Entry, ...]
    trusted: tuple[tuple[str, int], ...]
    anchor: int
    closing: tuple[Message, ...]
    opened: Mapping[str, Step]
    signatures: dict[str, bytes] = field(default_factory=dict)
    disputed: set[str] = field(default_factory=set)

    def everything(self) -> Outgoing:
        """The closing messages, for every survivor."""
        return tuple((site, message) for site in self.survivors for message in self.closing)

    def owed(self, site: str) -> Outgoing:
        """What a site that reconnects is owed: all of it, since a restarted site has to conclude anew."""
        return tuple((site, message) for message in self.closing)

    def awaits(self, site: str) -> bool:
        """Whether the site's signature is awaited."""
        return site not in self.signatures


@dataclass(slots=True)
class Witnessing:
    """The result is recorded; t sites must cosign the checkpoint that holds it."""

    signed: Signing
    size: int
    note: str
    message: Message
    lines: dict[str, str] = field(default_factory=dict)

    @property
    def survivors(self) -> tuple[str, ...]:
        """Sites that took part to the end."""
        return self.signed.survivors

    def owed(self, site: str) -> Outgoing:
        """What a site that reconnects is owed."""
        return (*self.signed.owed(site), (site, self.message))

    def awaits(self, site: str) -> bool:
        """Whether the site's cosignature is awaited."""
        return site not in self.lines


@dataclass(frozen=True, slots=True)
class Concluded:
    """Everything a result bundle needs.

    Attributes:
        signed: result, transcript, signatures, survivors.
        size: of the ledger in the checkpoint.
        note: the checkpoint with t cosignatures.
        end: tells sites to erase the run's secrets.
    """

    signed: Signing
    size: int
    note: str
    end: Message

    @property
    def survivors(self) -> tuple[str, ...]:
        """Sites that took part to the end."""
        return self.signed.survivors

    @property
    def result(self) -> Mapping[str, Any]:
        """The released result."""
        return self.signed.outcome.result

    @property
    def transcript(self) -> str:
        """Digest of all pooled sums, as the sites signed it."""
        return self.signed.outcome.transcript

    @property
    def signatures(self) -> dict[str, str]:
        """Site -> hex signature on the result."""
        return {site: raw.hex() for site, raw in self.signed.signatures.items()}

    def owed(self, site: str) -> Outgoing:
        """What a site that reconnects is owed."""
        return (*self.signed.owed(site), (site, self.end))

    def awaits(self, _site: str) -> bool:
        """Nobody is awaited."""
        return False


End: TypeAlias = Signing | Witnessing | Concluded


class Ending:
    """The steps between the last sum and the release."""

    def __init__(self, binding: Binding, work: HubWork, kept: Kept) -> None:
        self._binding = binding
        self._work = work
        self._kept = kept

    def sign(self, rounds: HubRounds) -> Signing:
        """Compute the result and let every site do the same."""
        survivors = rounds.bound or ()
        result = self._work.conclude(survivors)
        author = self._kept.author
        outcome = outcome_of(rounds.binding, author.key, rounds.entries, result)
        sums = [author.say("sum", {"sum": b.sum, "previous": rounds.previous}, b.body) for b in rounds.unsent]
        closing = (*sums, author.say("conclude", {"previous": rounds.previous}))
        entries, trusted = tuple(rounds.entries), tuple(rounds.trusted)
        return Signing(survivors, outcome, entries, trusted, rounds.anchor.size, closing, rounds.opened)

    def result(self, state: object, message: Message) -> tuple[Outgoing, End]:
        """Take a site's signature on its result.

        Raises:
            Untrusted: E-RESULT, the signature does not hold.
            Refused: E-RESULT, too many sites computed something else: there is no result.
        """
        if isinstance(state, Witnessing):
            return ((message.sender, state.message),), state
        if isinstance(state, Concluded):
            return (), state
        if not isinstance(state, Signing) or message.sender not in state.survivors:
            raise Untrusted("E-ORDER", "no result is awaited from this site")
        said = header(Result, message)
        if (said.transcript, said.result) != (state.outcome.transcript, state.outcome.digest):
            state.disputed.add(message.sender)
            if len(state.survivors) - len(state.disputed) < self._binding.charter.threshold:
                raise Refused("E-RESULT", "sites computed another result than the hub", "compare their releases")
            return (), state
        check_signed(self._binding, message.sender, state.outcome, message.signature)
        state.signatures[message.sender] = message.signature
        if len(state.signatures) < self._binding.charter.threshold:
            return (), state
        return self._witness(state)

    def _witness(self, signed: Signing) -> tuple[Outgoing, End]:
        charter, recorder = self._binding.charter, self._kept.recorder
        recorder.record("release", release_facts(charter.run, signed.outcome.transcript, signed.outcome.result))
        size = recorder.head().size
        told = {site: raw.hex() for site, raw in signed.signatures.items()}
        self._kept.journal.append("signed", bundle({"signatures": told, "size": size}))
        state = self._witnessing(signed, size)
        return tuple((site, state.message) for site in state.survivors if site in signed.signatures), state

    def _witnessing(self, signed: Signing, size: int) -> Witnessing:
        note = self._kept.recorder.note(self._kept.author.key, size)
        proof = list(self._kept.recorder.proof(signed.anchor, size))
        told = {site: raw.hex() for site, raw in signed.signatures.items()}
        head = {"signatures": told, "note": note, "old": signed.anchor, "proof": proof}
        return Witnessing(signed, size, note, self._kept.author.say("witness", head))

    def cosigned(self, state: object, message: Message) -> tuple[Outgoing, End]:
        """Take a site's cosignature line.

        Raises:
            Untrusted: E-SIGNATURE, it is not this site's line on this note.
            Invalid: E-CHECKPOINT.
        """
        if isinstance(state, Concluded):
            return (), state  # t cosignatures were enough
        if not isinstance(state, Witnessing) or message.sender not in state.survivors:
            raise Untrusted("E-ORDER", "no cosignature is awaited from this site")
        check_signature(message, self._binding.key(message.sender))
        line = header(Cosigned, message).line
        note = with_cosignatures(state.note, [line])
        hub_key = bytes.fromhex(self._binding.charter.hub_key)
        keys = {message.sender: self._binding.key(message.sender)}
        if not verify_checkpoint(note, hub_key, keys).cosigners:
            raise Untrusted("E-SIGNATURE", "not this site's cosignature")
        state.lines[message.sender] = line
        if len(state.lines) < self._binding.charter.threshold:
            return (), state
        lines = [state.lines[site] for site in self._binding.charter.ordered(state.lines)]
        note = with_cosignatures(state.note, lines)
        self._kept.journal.append("concluded", bundle({"note": note}))
        done = self._concluded(state, note)
        return tuple((site, done.end) for site in done.survivors), done

    def _concluded(self, state: Witnessing, note: str) -> Concluded:
        return Concluded(state.signed, state.size, note, self._kept.author.say("end", {"note": note}))

    def restore_signed(self, rounds: HubRounds, blob: bytes) -> Witnessing:
        """The journal entry of t signatures."""
        facts, _ = unbundle(blob)
        signed = self.sign(rounds)
        signed.signatures.update({site: bytes.fromhex(raw) for site, raw in facts["signatures"].items()})
        return self._witnessing(signed, facts["size"])

    def restore_concluded(self, state: Witnessing, blob: bytes) -> Concluded:
        """The journal entry of t cosignatures."""
        return self._concluded(state, unbundle(blob)[0]["note"])
