"""One site in one run: a state machine that is given messages and answers with messages. No clock, no network.

Joining -> Pairing -> Paired -> Concluding -> Concluded          and from everywhere: Left
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from isthmus.crypto.exchange import ExchangeKeys
from isthmus.federation.messages import HUB, Author, BytesPayload, Message, check_signature
from isthmus.federation.protocol.charter import Charter, SiteWork, Step, check_charter
from isthmus.federation.protocol.conclude import Outcome, check_end, check_outcome, cosigned, outcome_of
from isthmus.federation.protocol.context import Binding, cards_digest
from isthmus.federation.protocol.exchange import (
    Acquainted,
    check_roster,
    decapsulated,
    encapsulated,
    keys_header,
)
from isthmus.federation.protocol.gossip import check_heads, spoken_of
from isthmus.federation.protocol.journal import bundle, damaged, unbundle
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.masking import Circle
from isthmus.federation.protocol.records import Conclude, End, Head, Roster, Stop, Witness, header
from isthmus.federation.protocol.records import Paired as PairedHeader
from isthmus.federation.protocol.site_rounds import Rounds
from isthmus.federation.protocol.stopped import rule_of
from isthmus.federation.protocol.witness import NOTHING
from isthmus.model.canonical import plain
from isthmus.model.errors import IsthmusError, Unavailable, Untrusted
from isthmus.strict import parse

# errors that say nothing about the run: a stray, altered or repeated message, or trouble at home
_QUIET = frozenset({"E-SIGNATURE", "E-RUN", "E-MODE", "E-SENDER", "E-REPLAY", "E-ENDED"})


@dataclass(frozen=True, slots=True)
class Joining:
    """M1 is out."""

    keys: ExchangeKeys
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pairing:
    """M2 is verified and M1' is out."""

    joining: Joining
    known: Acquainted
    answer: Message
    secrets: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Paired:
    """Rounds are being answered."""

    rounds: Rounds


@dataclass(frozen=True, slots=True)
class Concluding:
    """The result is computed and signed; the hub's checkpoint is to be cosigned."""

    rounds: Rounds
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Concluded:
    """t sites signed the same result as this one. The run's secrets are erased."""

    result: Mapping[str, Any]
    note: str


@dataclass(frozen=True, slots=True)
class Left:
    """The run ended without a result here. The run's secrets are erased."""

    code: str
    message: str


SiteState: TypeAlias = Joining | Pairing | Paired | Concluding | Concluded | Left
Answers: TypeAlias = tuple[Message, ...]


class SiteRun:
    """A site's part of one run. Given a journal with entries, it goes on where they end.

    Args:
        me: this site's name.
        charter: from the signed request and agreement.
        work: this site's own copy of the run.
        local: key, journal, spool, randomness, clock, snapshot, anchor.

    Raises:
        Invalid: E-CHARTER.
        Untrusted: E-ROSTER, this site or its key is not in the charter.
        Unavailable: E-JOURNAL, E-SPOOL.
    """

    def __init__(self, me: str, charter: Charter, work: SiteWork, local: Local) -> None:
        check_charter(charter)
        self.charter = charter
        self._binding = Binding(charter)
        if self._binding.key(me) != local.key.public:
            raise Untrusted("E-ROSTER", "this site's key is not the one in the charter")
        self._me = me
        self._work = work
        self._local = local
        self._author = Author(charter.mode, charter.run, me, local.key)
        self._hub_key = bytes.fromhex(charter.hub_key)
        self._held: Answers = ()
        self._voted = False
        self._anchor = local.anchor or NOTHING
        self.state: SiteState = self._resume()

    # -- what a transport calls -----------------------------------------------------------------------------------

    def connected(self) -> Answers:
        """What to say on every new connection; later messages the hub asks for again."""
        match self.state:
            case Joining(header=head):
                return (self._author.say("keys", head),)
            case Pairing(joining=joining, answer=answer):
                return (self._author.say("keys", joining.header), answer)
            case _:
                return ()

    def receive(self, message: Message) -> Answers:
        """Answer one message of the hub.

        Raises:
            Untrusted: a check of the protocol fails; nothing was changed by the message.
            Invalid: E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE, E-WIRE, malformed; E-RANGE, a value that cannot be masked.
            Unavailable: the journal or spool cannot be written.
        """
        self._authenticate(message)
        if isinstance(self.state, Concluded | Left):
            raise Untrusted("E-ENDED", "the run has ended here")
        handler = self._handlers().get(message.kind)
        if handler is None:
            raise Untrusted("E-ORDER", f"a site that is {type(self.state).__name__.lower()} expects no such message")
        return handler(self._local.spool.take(message))

    @property
    def due(self) -> float | None:
        """Seconds after the vote was asked at which `release` must be called, so that the time of an answer says
        nothing; None when nothing is held back."""
        return self.charter.vote_after if self._held else None

    def release(self) -> Answers:
        """The answer that was held back."""
        held, self._held = self._held, ()
        self._voted = self._voted or bool(held)
        return held

    def refusal(self, error: IsthmusError) -> Answers:
        """What to tell the hub about an error of `receive`; nothing where it is no matter of the run."""
        if error.code in _QUIET or isinstance(error, Unavailable) or isinstance(self.state, Concluded | Left):
            return ()
        return self._refuse(error)

    def leave(self, error: IsthmusError) -> Answers:
        """End this site's part now: its secrets are erased, and nothing more of the run leaves but this refusal."""
        if isinstance(self.state, Concluded | Left):
            return ()
        answers = self._refuse(error)
        self._erase({"code": error.code, "message": error.message[:1000]})
        return answers

    @property
    def head(self) -> Head:
        """The newest head of the hub's ledger that a quorum signed: to be remembered beyond the run."""
        match self.state:
            case Paired(rounds=rounds) | Concluding(rounds=rounds):
                return rounds.anchor
            case _:
                return self._anchor

    @property
    def step(self) -> Step | None:
        """The step of the round that was answered last; None before any, and once its sum is settled."""
        rounds = self.state.rounds if isinstance(self.state, Paired | Concluding) else None
        return rounds.current.turn.step if rounds and rounds.current else None

    @property
    def trusted(self) -> tuple[tuple[str, int], ...]:
        """Rounds (question, number) whose replies are above 1 MiB: the hub's signed sum was used."""
        match self.state:
            case Paired(rounds=rounds) | Concluding(rounds=rounds):
                return tuple(rounds.trusted)
            case _:
                return ()

    # -- dispatch -------------------------------------------------------------------------------------------------

    def _authenticate(self, message: Message) -> None:
        if message.mode != self.charter.mode:
            raise Untrusted("E-MODE", "a rehearsal and a federated run never mix")
        if message.run != self.charter.run:
            raise Untrusted("E-RUN", "a message of another run")
        if message.sender != HUB:
            raise Untrusted("E-SENDER", "sites hear the hub alone; it relays what others signed")
        check_signature(message, self._hub_key)

    def _handlers(self) -> dict[str, Callable[[Message], Answers]]:
        common: dict[str, Callable[[Message], Answers]] = {"stop": self._stop}
        match self.state:
            case Joining() | Pairing():
                return common | {"roster": self._roster, "paired": self._paired}
            case Paired(rounds=rounds):
                return common | {
                    "paired": self._paired_again, "round": self._round, "survivors": rounds.survivors,
                    "recover": rounds.recover, "open": rounds.open, "sum": rounds.final_sum, "conclude": self._conclude,
                }  # fmt: skip
            case Concluding(rounds=rounds):
                return common | {
                    "sum": rounds.final_sum, "conclude": self._concluded_again, "witness": self._witness, "end": self._end,
                    "round": rounds.asked_again,
                    "survivors": rounds.survivors, "recover": rounds.recover, "open": rounds.open,  # replays
                }  # fmt: skip
            case _:
                return common

    # -- M1, M2, M1' ----------------------------------------------------------------------------------------------

    def _join(self) -> Joining:
        keys = ExchangeKeys.generate()
        memory = self._local.memory
        ledgers = (memory.own(), memory.of(spoken_of(self._me, self.charter.sites)))
        head = keys_header(keys.public, self._local.snapshot, self._anchor, ledgers)
        self._local.journal.append("keys", bundle({"header": head}, keys.to_bytes()))  # one M1 per run
        return Joining(keys, head)

    def _roster(self, message: Message) -> Answers:
        joining = self.state.joining if isinstance(self.state, Pairing) else self.state
        if not isinstance(joining, Joining):
            raise Untrusted("E-ORDER", "the keys were exchanged before")
        roster = header(Roster, message)
        known = check_roster(self._binding, self._me, joining.header, roster)
        check_heads(self._me, roster, self._local.memory)
        if isinstance(self.state, Pairing):
            if known != self.state.known:
                raise Untrusted("E-ROSTER", "the hub showed another roster before")
            return (self.state.answer,)
        head, body, secrets = encapsulated(self._binding, self._me, joining.keys, known)
        answer = self._author.say("pairs", head, BytesPayload(body))
        facts = {
            "cards": dict(message.header),
            "header": head,
            "signature": answer.signature.hex(),
            "peers": [*secrets],
        }
        self._local.journal.append("pairs", bundle(facts, body, *secrets.values()))  # they cannot be made again
        self.state = Pairing(joining, known, answer, secrets)
        return (answer,)

    def _paired(self, message: Message) -> Answers:
        if not isinstance(self.state, Pairing):
            raise Untrusted("E-ORDER", "the keys were not exchanged yet")
        pairing = self.state
        paired = header(PairedHeader, message)
        keys = pairing.joining.keys
        lower = decapsulated(self._binding, self._me, keys, pairing.known, (paired, message.body))
        secrets = {site: raw for site, raw in {**pairing.secrets, **lower}.items() if site in paired.roster}
        self._local.journal.append(
            "paired", bundle({"roster": list(paired.roster), "peers": [*secrets]}, *secrets.values())
        )
        ledgers = pairing.known.ledgers  # each of these sites has found there what others hold of it, and went on
        self._local.memory.remember({site: ledgers[site] for site in paired.roster if site != self._me})
        self.state = self._ready(pairing.known, paired.roster, secrets)
        return ()

    def _paired_again(self, _message: Message) -> Answers:
        return ()  # sent again by a restarted hub; the first one binds

    def _ready(self, known: Acquainted, roster: tuple[str, ...], secrets: Mapping[str, bytes]) -> Paired:
        circle = Circle(replace(self._binding, cards=cards_digest(known.digests)), self._me, roster, secrets)
        return Paired(Rounds(circle, self._author, self._work, self._local, (self._anchor, known.head)))

    # -- rounds ---------------------------------------------------------------------------------------------------

    def _round(self, message: Message) -> Answers:
        rounds = self._rounds()
        answers = rounds.ask(message)
        vote = rounds.current is not None and rounds.current.turn.step.kind == "vote"
        if vote and not self._voted and self.charter.vote_after > 0:
            self._held = answers
            return ()
        return answers

    def _refuse(self, error: IsthmusError) -> Answers:
        rounds = self.state.rounds if isinstance(self.state, Paired | Concluding) else None
        context = rounds.current.turn.name if rounds and rounds.current else ""
        rule = rule_of(error.code, error.where)
        said = {"context": context, "code": error.code, **({"rule": rule} if rule else {})}
        return (self._author.say("refuse", said),)

    def _rounds(self) -> Rounds:
        if not isinstance(self.state, Paired | Concluding):
            raise Untrusted("E-ORDER", "no round can be answered now")
        return self.state.rounds

    # -- S --------------------------------------------------------------------------------------------------------

    def _conclude(self, message: Message) -> Answers:
        rounds = self._rounds()
        entries = rounds.settle(header(Conclude, message).previous)
        result = self._work.conclude(rounds.bound or ())
        self._local.egress(result)
        outcome = outcome_of(rounds.circle.binding, self._local.key, entries, result)
        self.state = Concluding(rounds, outcome)
        return self._result(outcome)

    def _concluded_again(self, _message: Message) -> Answers:
        if not isinstance(self.state, Concluding):
            raise Untrusted("E-ORDER", "nothing was concluded")
        return self._result(self.state.outcome)

    def _result(self, outcome: Outcome) -> Answers:
        head = {"transcript": outcome.transcript, "result": outcome.digest}
        return (self._author.endorse("result", head, outcome.signature),)

    def _witness(self, message: Message) -> Answers:
        if not isinstance(self.state, Concluding):
            raise Untrusted("E-ORDER", "nothing was concluded")
        asked = header(Witness, message)
        check_outcome(self._binding, self.state.outcome, asked.signatures, (self._me, self.state.outcome.signature))
        rounds = self.state.rounds
        line, rounds.anchor = cosigned(self._binding, rounds.anchor, asked, (self._me, self._local))
        return (self._author.say("cosigned", {"line": line}),)

    def _end(self, message: Message) -> Answers:
        if not isinstance(self.state, Concluding):
            raise Untrusted("E-ORDER", "nothing was concluded")
        note = header(End, message).note
        check_end(self._binding, note)
        self._erase({"result": plain(self.state.outcome.result), "note": note})
        return ()

    def _stop(self, message: Message) -> Answers:
        stop = header(Stop, message)
        self._erase({"code": stop.code[:64], "message": stop.message[:1000]})
        return ()

    def _erase(self, facts: dict[str, Any]) -> None:
        """Private keys, pair secrets and replies go; that the run has ended stays."""
        self._anchor = self.head
        self._local.journal.append("ended", bundle(facts))
        for key in ("keys", "pairs", "paired", "masked", "signed"):
            self._local.journal.erase(key)
        self._local.spool.clear()
        self._held = ()
        self.state = _ended(facts)

    # -- restart --------------------------------------------------------------------------------------------------

    def _resume(self) -> SiteState:
        state: SiteState | None = None
        for key, blob in self._local.journal.read():
            if key == "ended":
                return _ended(unbundle(blob)[0])
            state = self._restore(state, key, blob)
        return state or self._join()

    def _restore(self, state: SiteState | None, key: str, blob: bytes) -> SiteState:
        match (key, state):
            case ("keys", None):
                facts, (raw,) = unbundle(blob)
                self._anchor = parse(Head, facts["header"]["head"])  # what M1 said; other runs may have moved on
                return Joining(ExchangeKeys.from_bytes(raw), facts["header"])
            case ("pairs", Joining()):
                facts, (body, *secrets) = unbundle(blob)
                known = check_roster(self._binding, self._me, state.header, parse(Roster, facts["cards"]))
                signature = bytes.fromhex(facts["signature"])
                answer = self._author.endorse("pairs", facts["header"], signature, BytesPayload(body))
                return Pairing(state, known, answer, dict(zip(facts["peers"], secrets, strict=True)))
            case ("paired", Pairing()):
                facts, peers = unbundle(blob)
                return self._ready(state.known, tuple(facts["roster"]), dict(zip(facts["peers"], peers, strict=True)))
            case ("masked" | "signed", Paired(rounds=rounds)):
                rounds.restore(key, blob)
                return state
            case _:
                raise damaged()


def _ended(facts: Mapping[str, Any]) -> Concluded | Left:
    if "result" in facts:
        return Concluded(facts["result"], facts["note"])
    return Left(facts["code"], facts["message"])
