"""A paired site's rounds, M3 to M7: mask, sign survivors, reveal, open, and add up again.

Durable before anything leaves: the masked reply before M3, the survivor set before its signature. Once a round has bound
the run there is one set to sign: its signature goes with M3, and no mask key is revealed any more (ADR 0042).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.disclosure.gate import Release
from isthmus.federation.messages import Author, Message, Payload, part
from isthmus.federation.protocol import kept
from isthmus.federation.protocol.charter import SiteWork
from isthmus.federation.protocol.context import Entry, Turn, summary_digest, turn
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.masking import Circle, masked, masked_bound, opened_shares, revealed_keys
from isthmus.federation.protocol.records import Ask, Descriptor, Head, Quorum, Sum, Survivors, header
from isthmus.federation.protocol.records import Final as FinalSum
from isthmus.federation.protocol.sums import Own, by_replies, check_sum, restored
from isthmus.federation.protocol.survivors import (
    Final,
    Partial,
    Place,
    Standing,
    Unsigned,
    check_history,
    check_quorum,
    check_step,
    statement,
)
from isthmus.federation.protocol.witness import check_growth
from isthmus.model.errors import Untrusted
from isthmus.summary import Blind, Summary


@dataclass(slots=True)
class Current:
    """The round this site has answered last.

    Attributes:
        head: the hub's ledger head that came with the question.
        message: M3, resent as it is.
        own_share: this site's share of its own b_i; nothing in a bound round.
        standing: what was signed, durably.
        signature: on `standing`.
        opened: a quorum's signatures on the final set were seen.
    """

    turn: Turn
    head: Head
    message: Message
    own_share: bytes
    standing: Standing = field(default_factory=Unsigned)
    signature: bytes = b""
    opened: bool = False

    @property
    def own(self) -> Own:
        """What is needed of M3 once the reply itself is gone."""
        m = self.message
        return Own(m.header["commitment"], m.signature, kept.sha(m.enclosed), m.body.sha256)


@dataclass(frozen=True, slots=True)
class Owed:
    """An opened round whose sum this site has not seen."""

    turn: Turn
    survivors: tuple[str, ...]
    own: Own


class Rounds:
    """The rounds of one site in one run."""

    def __init__(self, circle: Circle, author: Author, work: SiteWork, local: Local, heads: tuple[Head, Head]) -> None:
        self.circle = circle
        self.current: Current | None = None
        self.bound: tuple[str, ...] | None = None
        self.anchor, self._shown = heads  # of the hub's ledger: the last that a quorum signed, the last that was shown
        self.owed: dict[str, Owed] = {}
        self.trusted: list[tuple[str, int]] = []
        self._author = author
        self._work = work
        self._local = local
        self._names: dict[str, Entry | None] = {}  # contexts answered, in order, with the sum once it is known
        self._asked: set[tuple[str, int, int]] = set()
        self._unsaved: list[tuple[str, Payload]] = []
        self._last = ""

    # -- R0, M3 ---------------------------------------------------------------------------------------------------

    def ask(self, message: Message) -> tuple[Message, ...]:
        """R0 (with M7 of what it rests on) -> M3.

        Raises:
            Untrusted: E-STEP, E-CONTEXT, E-REPLAY, E-ORDER, E-LEDGER, E-QUORUM, E-SURVIVORS, E-SUM, E-CHECKSUM, E-GATE.
        """
        asked = header(Ask, message)
        if self.current and asked.descriptor == self.current.turn.descriptor:
            return (self.current.message,)  # invariant 1: a retry gets the cached bytes
        wanted = asked.descriptor
        self._check_new(wanted)
        self._settle(asked.previous)
        self._learn_all(asked.sums, message.body)
        step = self._work.step(wanted.question, wanted.round)
        own = turn(self.circle.binding, step, self.bound or self.circle.roster)
        if own.descriptor != wanted:
            raise Untrusted("E-CONTEXT", "the hub asks for another step than this site derived")
        check_growth(self._shown, asked.head, asked.old, asked.proof)
        release = self._work.answer(step)
        if not isinstance(release, Release):  # only the gate makes one
            raise Untrusted("E-GATE", "only a release may be masked")
        return (self._mask(own, asked, release.summary),)

    def asked_again(self, message: Message) -> tuple[Message, ...]:
        """R0 once every sum is out. Untrusted (E-REPLAY, E-ORDER) in any case."""
        self._check_new(header(Ask, message).descriptor)
        raise Untrusted("E-ORDER", "every round of this run is over")

    def _check_new(self, wanted: Descriptor) -> None:
        if (wanted.question, wanted.round, wanted.attempt) in self._asked:
            raise Untrusted("E-REPLAY", "this round was answered before", "one masked reply per round and attempt")

    def _mask(self, own: Turn, asked: Ask, summary: Summary | Blind) -> Message:
        local = self._local
        if self.bound is None:
            reply = masked(self.circle, own, summary, local.randomness, local.spool)
            enclosed = reply.sealed
        else:
            reply, enclosed = (
                masked_bound(self.circle, own, asked.head, summary, local.spool),
                self._ahead(own, asked.head),
            )
        message = self._author.say("masked", reply.header, reply.body, enclosed)
        saved = kept.Masked(own, asked.head, asked.previous, message, reply.own_share, tuple(self._unsaved))
        local.leaving(message, own.step)
        local.journal.append("masked", kept.masked_blob(saved, local.spool))  # before M3 leaves
        self._begin(Current(own, asked.head, message, reply.own_share))
        return message

    def _ahead(self, own: Turn, head: Head) -> bytes:
        """The signature that goes with M3 once a round has bound the run: no other set can be signed in this one."""
        place, wanted = Place(own.name, own.roster, head, bound=True), Final(own.roster)
        self._check(place, Unsigned(), wanted)
        return self._author.key.sign(statement(self.circle.binding, place, wanted))

    def _begin(self, current: Current) -> None:
        asked = current.turn.descriptor
        self.current = current
        if not current.own_share:
            current.standing, current.signature = Final(current.turn.roster), current.message.enclosed
        self._unsaved.clear()
        self._names[current.turn.name] = None
        self._asked.add((asked.question, asked.round, asked.attempt))

    # -- M4, M5, M6 -----------------------------------------------------------------------------------------------

    def survivors(self, message: Message) -> tuple[Message, ...]:
        """M4: sign a survivor set. Untrusted (E-SURVIVORS, E-MIN-SITES, E-REPLAY, E-ORDER) for a wrong one."""
        asked = header(Survivors, message)
        current = self._current(asked.context)
        wanted = Final(asked.survivors) if asked.final else Partial(asked.survivors)
        if current.standing != wanted:
            self._move(current, wanted)
        return (self._author.endorse("agree", message.header, current.signature),)

    def recover(self, message: Message) -> tuple[Message, ...]:
        """M5: reveal k_ij of the sites outside a set that a quorum signed as not final.

        Raises:
            Untrusted: E-QUORUM, E-SURVIVORS, E-MIN-SITES, E-REPLAY, E-ORDER.
        """
        asked = header(Quorum, message)
        current = self._current(asked.context)
        self._accept(current, Partial(asked.survivors), asked)
        keys = revealed_keys(self.circle, current.turn, asked.survivors)
        return (
            self._author.say("reveal", {"context": asked.context, "survivors": list(asked.survivors), "keys": keys}),
        )

    def open(self, message: Message) -> tuple[Message, ...]:
        """M6: open this site's shares of b_i inside the set that a quorum signed as final.

        Raises:
            Untrusted: E-QUORUM, E-SURVIVORS, E-MIN-SITES, E-SEAL, E-SHARES, E-REPLAY, E-ORDER.
        """
        asked = header(Quorum, message)
        current = self._current(asked.context)
        if not current.own_share:
            raise Untrusted("E-ORDER", "the replies of this round have no masks of their own to open")
        self._accept(current, Final(asked.survivors), asked)
        current.opened = True
        shares = opened_shares(self.circle, current.turn, asked.survivors, current.own_share, message.body)
        return (self._author.say("shares", {"context": asked.context}, kept.payload(shares)),)

    def _accept(self, current: Current, wanted: Partial | Final, quorum: Quorum) -> None:
        """Check a quorum and stand where it stands, durably, before anything is revealed."""
        self._check(self._place(current), current.standing, wanted)
        own = (self.circle.me, current.signature) if current.standing == wanted else None
        check_quorum(self.circle.binding, self._place(current), wanted, quorum, own)
        if current.standing != wanted:
            self._move(current, wanted)

    def _move(self, current: Current, wanted: Partial | Final) -> None:
        self._check(self._place(current), current.standing, wanted)
        self._enter(wanted)
        self._local.journal.append("signed", kept.signed_blob(current.turn.name, wanted))  # before the signature leaves
        self.stand(current, wanted)

    def _enter(self, wanted: Partial | Final) -> None:
        """Invariant 5: judge a run's first final set by what earlier runs opened, and keep it for later ones."""
        if isinstance(wanted, Final) and self.bound is None:
            binding, history = self.circle.binding, self._local.history
            check_history(binding, wanted.survivors, history.sets())
            history.remember({site: binding.charter.member(site).party for site in wanted.survivors})

    def _check(self, place: Place, standing: Standing, wanted: Partial | Final) -> None:
        check_step(self.circle.binding, place, standing, wanted)
        if self.circle.me not in wanted.survivors:
            raise Untrusted("E-SURVIVORS", "a site does not sign, reveal or open for a set it is not in")

    def stand(self, current: Current, wanted: Partial | Final) -> None:
        """Take a standing that is durable."""
        current.signature = self._author.key.sign(statement(self.circle.binding, self._place(current), wanted))
        current.standing = wanted

    def _place(self, current: Current) -> Place:
        return Place(current.turn.name, current.turn.roster, current.head, self.bound is not None)

    def _current(self, context: str) -> Current:
        if self.current and self.current.turn.name == context:
            return self.current
        if context in self._names:
            raise Untrusted("E-REPLAY", "that round is over")
        raise Untrusted("E-ORDER", "that round was not asked")

    # -- M7 -------------------------------------------------------------------------------------------------------

    def final_sum(self, message: Message) -> tuple[Message, ...]:
        """A sum that was withheld to the end."""
        sent = header(FinalSum, message)
        self._settle(sent.previous)
        self._learn_all((sent.sum,), message.body)
        self._unsaved.clear()  # the hub sends final sums again to a site that restarts
        self._local.spool.drop(message.body)
        return ()

    def settle(self, previous: Quorum) -> tuple[Entry, ...]:
        """End the last round; the transcript, when every sum is known. Untrusted (E-ORDER) when one is missing."""
        self._settle(previous)
        entries = [entry for entry in self._names.values() if entry is not None]
        if self.owed or len(entries) != len(self._names):
            raise Untrusted("E-ORDER", "a sum is missing")
        return tuple(entries)

    def _settle(self, previous: Quorum | None) -> None:
        """End the open round with a quorum's signatures on its final set; it binds all later rounds."""
        current = self.current
        if current is None:
            if (previous.context if previous else "") != self._last:
                raise Untrusted("E-ORDER", "not the last round's survivors")
            return
        if previous is None:
            raise Untrusted("E-ORDER", "another round is open here")
        wanted = Final(previous.survivors)
        if not (current.opened and current.standing == wanted):
            self._check(self._place(current), current.standing, wanted)
            own = (self.circle.me, current.signature) if current.standing == wanted else None
            check_quorum(self.circle.binding, self._place(current), wanted, previous, own)
            if current.standing != wanted:
                self._enter(wanted)
        elif previous.context != current.turn.name:
            raise Untrusted("E-ORDER", "not the last round's survivors")
        self.over(current, previous.survivors)

    def over(self, current: Current, survivors: tuple[str, ...]) -> None:
        """Take leave of a round whose final set is certain."""
        self.owed[current.turn.name] = Owed(current.turn, survivors, current.own)
        self.bound = survivors
        self.anchor = self._shown = current.head  # t sites signed over it
        self._last = current.turn.name
        self.current = None
        self._local.spool.drop(current.message.body)

    def _learn_all(self, sums: tuple[Sum, ...], body: Payload) -> None:
        at = 0
        if body.size != sum(block.size for block in sums):
            raise Untrusted("E-SUM", "the sums have another length than announced")
        for block in sums:
            self._learn(block, part(body, at, block.size))
            at += block.size

    def _learn(self, block: Sum, body: Payload) -> None:
        owed = self.owed.get(block.context)
        if owed is None:
            if self._names.get(block.context) is None:
                raise Untrusted("E-ORDER", "a sum of a round that was not opened here")
            return  # known already
        if by_replies(owed.turn):
            own = (self.circle.me, owed.own)
            pooled, words = check_sum(self.circle.binding, owed.turn, owed.survivors, block, body, own)
            body = kept.payload(words)
        else:
            if block.replies or body.size != owed.turn.size:
                raise Untrusted("E-SUM", "above 1 MiB a reply the hub's signed sum is expected")
            pooled = restored(owed.turn, body)
            self.trusted.append((owed.turn.step.question, owed.turn.step.round))
        self.learn(owed, pooled)
        self._unsaved.append((block.context, body))

    def learn(self, owed: Owed, pooled: Summary) -> None:
        """Advance this site's own flow by a sum."""
        step, name = owed.turn.step, owed.turn.name
        self._work.learn(step, pooled, owed.survivors)
        self._names[name] = Entry(step.question, step.round, name, summary_digest(pooled))
        del self.owed[name]

    # -- restart --------------------------------------------------------------------------------------------------

    def restore(self, key: str, blob: bytes) -> None:
        """Take in one journal entry. Unavailable (E-JOURNAL) when it does not fit this run."""
        if key == "signed":
            context, wanted = kept.read_signed(blob)
            self.stand(self._current(context), wanted)
            return
        saved = kept.read_masked(blob, self._local.spool, self._author)
        if saved.previous and self.current:
            self.over(self.current, saved.previous.survivors)
        for context, words in saved.learned:
            owed = self.owed[context]
            if not by_replies(owed.turn):
                self.trusted.append((owed.turn.step.question, owed.turn.step.round))
            self.learn(owed, restored(owed.turn, words))
        step = self._work.step(saved.question, saved.round)
        own = turn(self.circle.binding, step, self.bound or self.circle.roster)
        if own.name != saved.message.header["context"]:
            raise kept.another_run()
        self._begin(Current(own, saved.head, saved.message, saved.own_share))
