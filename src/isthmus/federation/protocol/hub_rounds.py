"""The hub's rounds: ask, gather, propose survivors, recover the dropped, open, learn. It never sees a part, only sums.

The survivors of the first round that is opened bind the run: later a reply brings the signature on them, has no mask of its
own, and the sum opens once all are there (ADR 0042). Durable: each survivor set before M4 goes out, the opened sum before
anyone hears of it. A restarted hub asks again from there; sites answer with cached bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from isthmus.crypto.keys import SIGNATURE_SIZE, verify
from isthmus.crypto.shares import SHARE_SIZE
from isthmus.federation.messages import EMPTY, Author, BytesPayload, ChainPayload, Message, check_signature
from isthmus.federation.protocol.charter import HubWork, Step
from isthmus.federation.protocol.context import Binding, Entry, said, summary_digest, turn
from isthmus.federation.protocol.hub_opening import Doubted, holding, open_again, open_seeds, open_sum, quorum_header
from isthmus.federation.protocol.hub_phases import (
    Asking,
    Block,
    Finished,
    Opening,
    Phase,
    Recovering,
    Settling,
    awaited,
)
from isthmus.federation.protocol.journal import Journal, bundle, damaged, unbundle
from isthmus.federation.protocol.masking import SEALED_SIZE, sealed_for
from isthmus.federation.protocol.records import Context, Head, Masked, Reveal, Survivors, header
from isthmus.federation.protocol.sums import by_replies
from isthmus.federation.protocol.survivors import Final, Partial, Place, check_size, stage, statement
from isthmus.federation.protocol.witness import Recorder
from isthmus.federation.spool import Spool, inline
from isthmus.model.canonical import plain
from isthmus.model.errors import Untrusted
from isthmus.strict import parse
from isthmus.summary import Summary

Outgoing: TypeAlias = tuple[tuple[str, Message], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a hub keeps and writes with."""

    author: Author
    journal: Journal
    spool: Spool
    recorder: Recorder


class HubRounds:
    """The rounds of one run at the hub.

    Args:
        binding: the charter.
        work: the hub's copy of the run.
        kept: key, journal, spool, ledger.
        heads: site of the first round -> size of the hub's ledger it said it knew.
        head: the ledger head that goes with the first question.
    """

    def __init__(self, binding: Binding, work: HubWork, kept: Kept, heads: Mapping[str, int], head: Head) -> None:
        self.phase: Phase = Finished()
        self.bound: tuple[str, ...] | None = None
        self.entries: list[Entry] = []
        self.trusted: list[tuple[str, int]] = []
        self.unsent: list[Block] = []
        self.opened: dict[str, Step] = {}  # context of an opened sum -> what it is the sum of
        self.previous: dict[str, Any] | None = None
        self.anchor = head  # the last head that t sites signed over; before the first round, the one to be signed
        self.binding = binding
        self._work = work
        self._kept = kept
        self._heads = dict(heads)
        self._head = head
        self._fixed: Partial | Final | None = None
        self._reveals: dict[str, Message] = {}
        self._doubted: str | None = (
            None  # context of a round in which sites refused a quorum: its signatures are verified
        )

    @property
    def roster(self) -> tuple[str, ...]:
        """Sites that take part."""
        return self.bound or self.binding.charter.ordered(self._heads)

    # -- R0 -------------------------------------------------------------------------------------------------------

    def ask(self) -> Outgoing:
        """R0 of the next round, with the sums it rests on; nothing when every flow has ended."""
        step = self._work.next()
        if step is None:
            self.phase = Finished()
            return ()
        own = turn(self.binding, step, self.roster)
        blocks = self._due(step)
        body = blocks[0].body if len(blocks) == 1 else ChainPayload(tuple(b.body for b in blocks)) if blocks else EMPTY
        common = {
            "descriptor": plain(own.descriptor),
            "head": plain(self._head),
            "sums": [b.sum for b in blocks],
            **({"previous": self.previous} if self.previous else {}),
        }
        messages = {}
        for old in {self._heads[site] for site in own.roster}:
            proof = list(self._kept.recorder.proof(old, self._head.size))
            messages[old] = self._kept.author.say("round", {**common, "old": old, "proof": proof}, body)
        self.phase = Asking(own, self._head, messages, self._fixed, reveals=dict(self._reveals))
        return self.outstanding()

    def _due(self, step: Step) -> list[Block]:
        """Sums that go out with a step: its question's own and the vote's. Others are withheld to the end."""
        known = {step.question, step.after}
        due = [b for b in self.unsent if b.turn.step.question in known or b.turn.step.kind == "vote"]
        self.unsent = [b for b in self.unsent if b not in due]
        return due

    # -- M3 -------------------------------------------------------------------------------------------------------

    def masked(self, message: Message) -> Outgoing:
        """Take a masked reply; once all are here M4, or in a bound round nothing: it is `ready`.

        Raises:
            Untrusted: E-SIGNATURE; E-REPLAY, another round's; E-EQUIVOCATION, two replies of one site; E-REPLY, a
                wrong length.
        """
        asked = header(Masked, message)
        phase = self._open_round(asked.context)
        if not isinstance(phase, Asking) or message.sender not in phase.turn.roster:
            self._kept.spool.drop(message.body)
            return ()  # sent again, or of a site that was dropped
        check_signature(message, self.binding.key(message.sender))
        known = phase.replies.get(message.sender)
        if known is not None:
            if known.signature != message.signature:
                raise Untrusted("E-EQUIVOCATION", "a site sent two masked replies for one round")
            self._kept.spool.drop(message.body)  # a copy
            return ()
        enclosed = SEALED_SIZE * (len(phase.turn.roster) - 1) if self.bound is None else SIGNATURE_SIZE
        lengths = (message.body.size, len(message.enclosed), bool(asked.commitment))
        if lengths != (phase.turn.size, enclosed, self.bound is None):
            raise Untrusted("E-REPLY", "a masked reply or its shares have another length than the round's layout")
        if self.bound is not None:
            verify(self.binding.key(message.sender), message.enclosed, self._statement(phase, Final(self.bound)))
        phase.replies[message.sender] = message
        awaited = phase.fixed.survivors if phase.fixed else phase.turn.roster
        if not all(site in phase.replies for site in awaited):
            return ()
        return () if self.ready else self._propose(phase, phase.fixed or Final(phase.turn.roster))

    @property
    def ready(self) -> bool:
        """Whether the sum can be opened: by t answers to M6, or by every reply of a bound round."""
        match self.phase:
            case Opening(answers=answers):
                return len(answers) >= self.binding.charter.threshold
            case Asking(replies=replies):
                return self.bound is not None and set(replies) == set(self.bound)
            case _:
                return False

    # -- M4 -------------------------------------------------------------------------------------------------------

    def _propose(
        self, asked: Asking, wanted: Partial | Final, signatures: Mapping[str, bytes] = MappingProxyType({})
    ) -> Outgoing:
        check_size(self.binding, wanted.survivors)
        if self.bound is None and wanted != self._fixed:
            reveals = {site: [dict(m.header), m.signature.hex()] for site, m in asked.reveals.items()}
            facts = {"survivors": list(wanted.survivors), "stage": stage(wanted), "reveals": reveals}
            self._kept.journal.append("proposal", bundle(facts))  # before M4 goes out; no site reveals after final
            self._reveals = asked.reveals
            self._fixed = wanted
        for site in set(asked.replies) - set(wanted.survivors):
            self._kept.spool.drop(asked.replies.pop(site).body)
        final = isinstance(wanted, Final)
        head = {"context": asked.turn.name, "survivors": list(wanted.survivors), "final": final}
        self.phase = Settling(asked, wanted, self._kept.author.say("survivors", head), dict(signatures))
        return self.outstanding()

    def agree(self, message: Message) -> Outgoing:
        """Take a signature on the survivor set; M5 or M6 at t. It is relayed unverified, unless sites refused one before.

        Raises:
            Untrusted: E-SIGNATURE.
        """
        asked = header(Survivors, message)
        phase = self._open_round(asked.context)
        if not isinstance(phase, Settling) or message.sender not in phase.wanted.survivors:
            return ()
        if (asked.survivors, asked.final) != (phase.wanted.survivors, isinstance(phase.wanted, Final)):
            return ()  # of an earlier, larger set
        if phase.asked.turn.name == self._doubted:
            verify(self.binding.key(message.sender), message.signature, self._statement(phase.asked, phase.wanted))
        phase.signatures[message.sender] = message.signature
        if len(phase.signatures) < self.binding.charter.threshold:
            return ()
        return self._settled(phase.asked, phase.wanted, dict(phase.signatures))

    def _settled(self, asked: Asking, wanted: Partial | Final, signatures: Mapping[str, bytes]) -> Outgoing:
        quorum = quorum_header(asked.turn.name, wanted.survivors, signatures)
        say = self._kept.author.say
        if isinstance(wanted, Partial):
            self.phase = Recovering(asked, wanted, signatures, say("recover", quorum))
        else:
            messages = {
                site: say("open", quorum, BytesPayload(self._sealed(asked, wanted, site))) for site in wanted.survivors
            }
            self.phase = Opening(asked, wanted, signatures, messages)
        return self.outstanding()

    def _sealed(self, asked: Asking, wanted: Final, taker: str) -> bytes:
        givers = (site for site in wanted.survivors if site != taker)
        return b"".join(sealed_for(asked.turn, giver, taker, asked.replies[giver].enclosed) for giver in givers)

    def recheck(self) -> Outgoing:
        """Sites refused a quorum: go on with the signatures that hold, or ask for as many more as are needed.

        Raises:
            Untrusted: E-QUORUM, all of them hold.
        """
        phase = self.phase
        if not isinstance(phase, Opening | Recovering):
            return ()
        good = holding(self.binding, self._statement(phase.asked, phase.wanted), phase.signatures)
        context = phase.asked.turn.name
        if len(good) == len(phase.signatures):
            if context == self._doubted:
                return ()  # another site refuses the quorum before
            raise Untrusted("E-QUORUM", "a site refuses a survivor set whose signatures hold")
        self._doubted = context
        if len(good) >= self.binding.charter.threshold:
            return self._settled(phase.asked, phase.wanted, good)
        return self._propose(phase.asked, phase.wanted, good)

    def _statement(self, asked: Asking, wanted: Partial | Final) -> bytes:
        place = Place(asked.turn.name, asked.turn.roster, asked.head, self.bound is not None)
        return statement(self.binding, place, wanted)

    # -- M5 -------------------------------------------------------------------------------------------------------

    def reveal(self, message: Message) -> Outgoing:
        """Take a survivor's mask keys of the dropped; the final M4 once all survivors gave theirs."""
        asked = header(Reveal, message)
        phase = self._open_round(asked.context)
        if not isinstance(phase, Recovering) or asked.survivors != phase.wanted.survivors:
            return ()
        if message.sender not in asked.survivors:
            return ()
        check_signature(message, self.binding.key(message.sender))
        if set(asked.keys) != set(phase.asked.turn.roster) - set(asked.survivors):
            raise Untrusted("E-REPLY", "not the mask keys of the dropped sites")
        phase.reveals[message.sender] = message
        if len(phase.reveals) < len(asked.survivors):
            return ()
        phase.asked.reveals = phase.reveals
        return self._propose(phase.asked, Final(asked.survivors))

    # -- the sum -------------------------------------------------------------------------------------------------------

    def shares(self, message: Message) -> Outgoing:
        """Take a site's opened shares. Untrusted (E-REPLAY, E-REPLY) for wrong ones."""
        asked = header(Context, message)
        phase = self._open_round(asked.context)
        if not isinstance(phase, Opening) or message.sender not in phase.wanted.survivors:
            return ()
        if message.body.size != SHARE_SIZE * len(phase.wanted.survivors):
            raise Untrusted("E-REPLY", "not one share for every survivor")
        phase.answers[message.sender] = message
        return ()

    def open(self) -> Outgoing:
        """Open the sum, keep it, learn it, and ask the next round.

        Raises:
            Untrusted: E-CHECKSUM, masks did not cancel; E-SHARES, the shares give no seed that was committed to.
        """
        phase = self.phase
        if isinstance(phase, Opening):
            seeds = open_seeds(self.binding, phase)
            if isinstance(seeds, Doubted):
                return tuple((site, phase.messages[site]) for site in seeds.sites)
            return self._open(phase.asked, phase.wanted.survivors, (seeds, phase.signatures))
        if isinstance(phase, Asking) and self.bound is not None and self.ready:
            return self._open(phase, self.bound, ({}, {site: phase.replies[site].enclosed for site in self.bound}))
        return ()

    def _open(
        self, asked: Asking, survivors: tuple[str, ...], found: tuple[Mapping[str, bytes], Mapping[str, bytes]]
    ) -> Outgoing:
        seeds, signatures = found
        block, pooled = open_sum(self.binding, asked, survivors, seeds, self._kept.spool)
        facts = {
            "run": self.binding.charter.run,
            "question": asked.turn.step.question,
            "round": asked.turn.step.round,
            "attempt": asked.turn.descriptor.attempt,
            "context": asked.turn.name,
            "survivors": list(survivors),
        }
        self._kept.recorder.record("round", facts)
        quorum = quorum_header(asked.turn.name, survivors, signatures)
        head = self._kept.recorder.head()
        entry = {"sum": block.sum, "body": self._kept.spool.settle(block.body), "previous": quorum, "head": plain(head)}
        self._kept.journal.append("opened", bundle(entry, inline(block.body)))  # before anyone hears of the sum
        for reply in asked.replies.values():
            self._kept.spool.drop(reply.body)
        self._learned(block, pooled, quorum, head)
        return self.ask()

    def _learned(self, block: Block, pooled: Summary, quorum: dict[str, Any], head: Head) -> None:
        step = block.turn.step
        survivors = tuple(quorum["survivors"])
        self._work.learn(step, pooled, survivors)
        self.entries.append(Entry(step.question, step.round, block.turn.name, summary_digest(pooled)))
        if not by_replies(block.turn):
            self.trusted.append((step.question, step.round))
        self.unsent.append(block)
        self.opened[block.turn.name] = step
        self.previous, self.bound = quorum, survivors
        self._fixed, self._reveals = None, {}
        self.anchor, self._head = self._head, head
        self._heads = dict.fromkeys(survivors, self.anchor.size)

    # -- time, connections, restart -------------------------------------------------------------------------------

    def expired(self) -> Outgoing:
        """The round's deadline passed: before anything was opened the lost sites are dropped, later they are awaited.

        Raises:
            Untrusted: E-MIN-SITES, too few are left; the run waits.
        """
        phase = self.phase
        if self.bound is not None:
            return ()  # invariant 2: the survivors of the first opened round bind
        match phase:
            case Asking(fixed=None) if len(phase.replies) < len(phase.turn.roster):
                return self._propose(phase, Partial(self.binding.charter.ordered(phase.replies)))
            case Asking(fixed=Partial(survivors=survivors)):
                left = self.binding.charter.ordered(set(phase.replies) & set(survivors))
                return self._propose(phase, Partial(left))
            case Settling(wanted=Partial()):
                return self._propose(phase.asked, Partial(self.binding.charter.ordered(phase.signatures)))
            case Recovering():
                return self._propose(phase.asked, Partial(self.binding.charter.ordered(phase.reveals)))
            case _:
                return ()

    def outstanding(self, only: str | None = None) -> Outgoing:
        """What sites have not answered in this phase."""
        waiting = awaited(self.phase, self._heads)
        return tuple((site, message) for site, message in waiting.items() if only in (None, site))

    def dropped(self, site: str) -> bool:
        """Whether a site of the roster was left behind."""
        match self.phase:
            case Settling(wanted=wanted) | Recovering(wanted=wanted) | Opening(wanted=wanted):
                return site not in wanted.survivors
            case Asking(fixed=Partial(survivors=survivors) | Final(survivors=survivors)):
                return site not in survivors
            case _:
                return site not in self.roster

    def _open_round(self, context: str) -> Phase:
        phase = self.phase
        own = phase.turn if isinstance(phase, Asking) else None if isinstance(phase, Finished) else phase.asked.turn
        if own is not None and own.name == context:
            return phase
        if any(entry.context == context for entry in self.entries):
            return Finished()  # late: t answers were enough
        raise Untrusted("E-REPLAY", "an answer of another round")

    def restore(self, key: str, blob: bytes) -> None:
        """Take in one journal entry. Unavailable (E-JOURNAL) when it does not fit."""
        facts, parts = unbundle(blob)
        if key == "proposal":
            kind = Final if facts["stage"] == "final" else Partial
            self._fixed = kind(tuple(facts["survivors"]))
            charter = self.binding.charter
            self._reveals = {s: said(charter, "reveal", s, (h, sig)) for s, (h, sig) in facts["reveals"].items()}
            return
        step = self._work.next()
        if step is None:
            raise damaged()
        own = turn(self.binding, step, self.roster)
        self._due(step)
        block = Block(own, facts["sum"], self._kept.spool.find(facts["body"], parts[0]))
        if own.name != block.sum["context"]:
            raise damaged()
        self._learned(
            block,
            open_again(self.binding, block, facts["previous"]["survivors"]),
            facts["previous"],
            parse(Head, facts["head"]),
        )
