"""The hub in one run: a state machine that relays, adds up, and is trusted with nothing below the sum.

Gathering -> Pairing -> rounds (hub_rounds.py) -> Signing -> Witnessing -> Concluded      and from everywhere: Failed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from isthmus.crypto.keys import SigningKey
from isthmus.federation.messages import HUB, Author, BytesPayload, Message, check_signature, header_digest, weight
from isthmus.federation.protocol.charter import Charter, HubWork, check_charter
from isthmus.federation.protocol.context import Binding, cards_digest, said
from isthmus.federation.protocol.exchange import check_keys, check_pairs, paired_message, roster_message
from isthmus.federation.protocol.hub_end import Concluded, Ending, Signing, Witnessing
from isthmus.federation.protocol.hub_phases import Asking, Finished
from isthmus.federation.protocol.hub_rounds import HubRounds, Kept, Outgoing
from isthmus.federation.protocol.hub_states import (
    Failed,
    Gathering,
    HubState,
    Pairing,
    Progress,
    Running,
    Traffic,
    expected_size,
    is_awaited,
    left_behind,
    progress_of,
)
from isthmus.federation.protocol.journal import Journal, bundle, damaged, unbundle
from isthmus.federation.protocol.records import Head, Keys, Pairs, Refuse, header
from isthmus.federation.protocol.stopped import rule_of, told
from isthmus.federation.protocol.survivors import check_size
from isthmus.federation.protocol.witness import Recorder
from isthmus.federation.spool import Spool
from isthmus.ledger.bundle import study_facts
from isthmus.ledger.log import Log
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted
from isthmus.strict import parse

__all__ = ["Concluded", "Failed", "Gathering", "HubRun", "HubState", "Pairing", "Progress", "Running", "Traffic"]


class HubRun:
    """The hub's part of one run. Given a journal with entries, it goes on where they end.

    Args:
        key: the hub's Ed25519 identity.
        charter: from the signed request and agreement.
        work: the hub's own copy of the run.
        journal: of this run.
        spool: a directory of this run's own.
        log: the hub's ledger, shared by its runs.

    Raises:
        Invalid: E-CHARTER.
        Untrusted: E-ROSTER, the charter names another hub.
        Unavailable: E-JOURNAL, E-SPOOL.
    """

    def __init__(
        self, key: SigningKey, charter: Charter, work: HubWork, journal: Journal, spool: Spool, log: Log
    ) -> None:
        check_charter(charter)
        if key.public.hex() != charter.hub_key:
            raise Untrusted("E-ROSTER", "the charter names another hub")
        self.charter = charter
        self.traffic: dict[str, Traffic] = {site: Traffic() for site in charter.sites}
        self.late = False
        self._binding = Binding(charter)
        self._author = Author(charter.mode, charter.run, HUB, key)
        self._work = work
        self._journal = journal
        self._spool = spool
        self._log = log
        self._entries = list(journal.read())
        self._kept = self._begin()
        self._ending = Ending(self._binding, work, self._kept)
        self._paired: dict[str, Message] = {}
        self.state: HubState = Gathering()
        self._resume()

    # -- what a transport calls -----------------------------------------------------------------------------------

    def start(self) -> Outgoing:
        """What every site is owed now; nothing in a new run, where sites speak first."""
        return self._sent(tuple(item for site in self.charter.sites for item in self._owed(site)))

    def connected(self, site: str) -> Outgoing:
        """What a site that has just (re)connected is owed."""
        return self._sent(self._owed(site))

    def receive(self, message: Message) -> Outgoing:
        """Take one message of a site; the messages to send.

        Raises:
            Untrusted: a check fails; nothing was changed by the message.
            Invalid: a malformed header.
            Unavailable: the journal, ledger or spool cannot be written.
        """
        self._admit(message)
        self.traffic[message.sender].received += weight(message)
        self.traffic[message.sender].messages += 1
        handler = self._handlers().get(message.kind)
        if handler is None:
            raise Untrusted("E-ORDER", "a message that the hub does not expect now")
        out = handler(self._spool.take(message))
        if isinstance(self.state, Running) and self.state.rounds.ready:
            out = self._go_on(self.state.rounds.open, lambda opened: opened)
        self.late = self.late and not out
        return self._sent(out)

    def expects(self, site: str) -> int:
        """Bytes of the masked reply that is awaited from a site; 0 while none is."""
        return expected_size(self.state, site)

    def expired(self) -> Outgoing:
        """A round's deadline passed: drop the lost sites before anything is opened, else wait for them (`late`)."""
        try:
            out = self._expire()
        except Untrusted:  # E-MIN-SITES: too few are left to go on without the others
            out = ()
        self.late = not out and not isinstance(self.state, Concluded | Failed)
        return self._sent(out)

    def abandon(self, error: IsthmusError) -> Outgoing:
        """End the run without a result."""
        ended = isinstance(self.state, Concluded | Failed)
        return () if ended else self._sent(self._fail(error.code, error.message))

    def forget(self) -> None:
        """Erase the run's replies and keys, once its bundle is kept."""
        if isinstance(self.state, Concluded | Failed):
            for key in ("begun", "roster", "paired", "proposal", "opened", "signed", "concluded"):
                self._journal.erase(key)
            self._spool.clear()

    def transcript(self) -> Any:
        """The pooled sums, for the auditor's form of the bundle; None where the work keeps none."""
        return self._work.transcript(self._binding.cards)

    @property
    def recorder(self) -> Recorder:
        """Writes entries of this run, each once, and knows where they are."""
        return self._kept.recorder

    def progress(self) -> Progress:
        """What is being waited for."""
        awaited = tuple(site for site in self.charter.sites if is_awaited(self.state, site))
        return progress_of(self.state, awaited, self.late)

    # -- dispatch -------------------------------------------------------------------------------------------------

    def _admit(self, message: Message) -> None:
        if message.mode != self.charter.mode:
            raise Untrusted("E-MODE", "a rehearsal and a federated run never mix")
        if message.run != self.charter.run:
            raise Untrusted("E-RUN", "a message of another run")
        self._binding.key(message.sender)

    def _handlers(self) -> dict[str, Callable[[Message], Outgoing]]:
        common: dict[str, Callable[[Message], Outgoing]] = {
            "keys": self._keys, "pairs": self._pairs, "refuse": self._refused,
        }  # fmt: skip
        match self.state:
            case Running(rounds=rounds):
                return common | {
                    "masked": self._unless_dropped(rounds.masked), "agree": self._unless_dropped(rounds.agree),
                    "reveal": self._unless_dropped(rounds.reveal), "shares": rounds.shares,
                }  # fmt: skip
            case Signing() | Witnessing() | Concluded():
                late = dict.fromkeys(("masked", "agree", "shares"), self._late_answer)
                return common | late | {"result": self._result, "cosigned": self._cosigned}
            case _:
                return common

    def _late_answer(self, message: Message) -> Outgoing:
        self._spool.drop(message.body)
        return ()  # t answers were enough

    def _unless_dropped(self, handler: Callable[[Message], Outgoing]) -> Callable[[Message], Outgoing]:
        def handle(message: Message) -> Outgoing:
            if not left_behind(self.state, message.sender):
                return handler(message)
            self._spool.drop(message.body)
            return self._owed(message.sender)

        return handle

    # -- M1, M2, M1' ----------------------------------------------------------------------------------------------

    def _keys(self, message: Message) -> Outgoing:
        check_signature(message, self._binding.key(message.sender))
        check_keys(header(Keys, message))
        cards = self.state.cards if isinstance(self.state, Gathering | Pairing) else {}
        known = cards.get(message.sender)
        if known is not None and known.signature != message.signature:
            raise Untrusted("E-EQUIVOCATION", "a site sent other keys before in this run", "start a new run")
        if not isinstance(self.state, Gathering):
            return ()
        self.state.cards[message.sender] = message
        return self._acquaint() if len(self.state.cards) == len(self.charter.roster) else ()

    def _acquaint(self) -> Outgoing:
        if not isinstance(self.state, Gathering):
            return ()
        cards = {site: self.state.cards[site] for site in self.charter.ordered(self.state.cards)}
        check_size(self._binding, tuple(cards))
        grown = self._kept.recorder.grown({site: m.header["head"]["size"] for site, m in cards.items()})
        message = roster_message(self._author, cards, grown)
        facts = {site: [dict(m.header), m.signature.hex()] for site, m in cards.items()}
        self._journal.append("roster", bundle({"cards": facts, "grown": grown}))
        self.state = Pairing(cards, message)
        return tuple((site, message) for site in cards)

    def _pairs(self, message: Message) -> Outgoing:
        if not isinstance(self.state, Pairing) or message.sender in self.state.answers:
            return ()  # sent again; after a restart of the hub M2 is sent again too
        check_signature(message, self._binding.key(message.sender))
        roster = tuple(self.state.cards)
        if message.sender not in roster:
            return self._owed(message.sender)
        check_pairs(self._binding, message.sender, header(Pairs, message), message.body.size, roster)
        self.state.answers[message.sender] = message
        return self._pair() if len(self.state.answers) == len(roster) else ()

    def _pair(self) -> Outgoing:
        if not isinstance(self.state, Pairing):
            return ()
        answers = {site: self.state.answers[site] for site in self.charter.ordered(self.state.answers)}
        check_size(self._binding, tuple(answers))
        heads = dict.fromkeys(answers, self.state.message.header["head"]["size"])
        snapshots = {site: self.state.cards[site].header["snapshot"] for site in answers}
        joined = {"run": self.charter.run, "decision": "joined", "snapshots": snapshots}
        self._kept.recorder.record("decision", joined)  # invariant 4: what each site signed that it reads
        head = self._kept.recorder.head()
        sent = [[site, dict(m.header), m.signature.hex()] for site, m in answers.items()]
        bodies = [b"".join(m.body.chunks()) for m in answers.values()]
        self._journal.append("paired", bundle({"answers": sent, "heads": heads, "head": plain(head)}, *bodies))
        return self._run_rounds(answers, heads, head)

    def _run_rounds(self, answers: dict[str, Message], heads: Mapping[str, int], head: Head) -> Outgoing:
        self._paired = answers
        rounds = HubRounds(self._exchanged(), self._work, self._kept, heads, head)
        self.state = Running(rounds)
        return self._go_on(rounds.ask, lambda out: tuple(item for site, m in out for item in self._with_pairs(site, m)))

    def _exchanged(self) -> Binding:
        """The binding with the digest of all M1."""
        cards = self.state.cards if isinstance(self.state, Pairing) else {}
        digests = {site: header_digest(m.header) for site, m in cards.items()}
        self._binding = replace(self._binding, cards=cards_digest(digests))
        return self._binding

    def _with_pairs(self, site: str, message: Message) -> Outgoing:
        return ((site, paired_message(self._binding, self._author, site, self._paired)), (site, message))

    # -- rounds ---------------------------------------------------------------------------------------------------

    def _go_on(self, step: Callable[[], Outgoing], shape: Callable[[Outgoing], Outgoing]) -> Outgoing:
        """One step of the rounds; what fails in it is the run's failure, not that of the message that caused it."""
        try:
            out = step()
            if isinstance(self.state, Running) and isinstance(self.state.rounds.phase, Finished):
                self.state = self._ending.sign(self.state.rounds)
                return self.state.everything()
        except (Untrusted, Invalid, Refused) as error:
            return self._fail(error.code, error.message)
        return shape(out)

    def _refused(self, message: Message) -> Outgoing:
        check_signature(message, self._binding.key(message.sender))
        if isinstance(self.state, Concluded | Failed) or left_behind(self.state, message.sender):
            return ()
        said = header(Refuse, message)
        if said.code == "E-QUORUM" and isinstance(self.state, Running):
            return self._go_on(self.state.rounds.recheck, lambda out: out)
        return self._fail(*told(said.code), rule_of(said.code, said.rule))

    def _fail(self, code: str, message: str, rule: str = "") -> Outgoing:
        self._journal.append("failed", bundle({"code": code, "message": message, "rule": rule}))
        self.state = Failed(code, message, rule)
        return tuple((site, self._stop(code, message)) for site in self.charter.sites)

    def _stop(self, code: str, message: str) -> Message:
        return self._author.say("stop", {"context": "", "code": code, "message": message})

    # -- S --------------------------------------------------------------------------------------------------------

    def _result(self, message: Message) -> Outgoing:
        try:
            out, state = self._ending.result(self.state, message)
        except Refused as error:
            return self._fail(error.code, error.message)
        self.state = state
        return out

    def _cosigned(self, message: Message) -> Outgoing:
        out, self.state = self._ending.cosigned(self.state, message)
        return out

    # -- time and connections -------------------------------------------------------------------------------------

    def _expire(self) -> Outgoing:
        match self.state:
            case Gathering():
                return self._acquaint()
            case Pairing():
                return self._pair()
            case Running(rounds=rounds):
                out = rounds.expired()
                return out and (
                    *out,
                    *(i for site in self.charter.sites if left_behind(self.state, site) for i in self._owed(site)),
                )
            case _:
                return ()

    def _owed(self, site: str) -> Outgoing:
        if left_behind(self.state, site):
            return ((site, self._stop("E-DROPPED", "the run went on without this site")),)
        match self.state:
            case Gathering():
                return ()
            case Pairing(message=message, answers=answers):
                return () if site in answers else ((site, message),)
            case Running(rounds=rounds):
                owed = rounds.outstanding(site)
                first = rounds.bound is None and isinstance(rounds.phase, Asking)
                return tuple(i for s, m in owed for i in self._with_pairs(s, m)) if first else owed
            case Signing() | Witnessing() | Concluded():
                return self.state.owed(site)
            case Failed(code=code, message=text):
                return ((site, self._stop(code, text)),)

    def _sent(self, out: Outgoing) -> Outgoing:
        for site, message in out:
            self.traffic[site].sent += weight(message)
            self.traffic[site].messages += 1
        return out

    # -- restart --------------------------------------------------------------------------------------------------

    def _begin(self) -> Kept:
        begun = next((unbundle(blob)[0] for key, blob in self._entries if key == "begun"), None)
        if begun is None:
            if self._entries:
                raise damaged()
            begun = {"since": self._log.head().size}
            self._journal.append("begun", bundle(begun))
        recorder = Recorder(self._log, self.charter.run, begun["since"])
        recorder.record("study", study_facts(self.charter))
        return Kept(self._author, self._journal, self._spool, recorder)

    def _resume(self) -> None:
        for key, blob in self._entries:
            self._restore(key, blob)
        self._entries.clear()
        if isinstance(self.state, Running):
            rounds = self.state.rounds
            self._go_on(rounds.ask, lambda out: out)

    def _restore(self, key: str, blob: bytes) -> None:
        match (key, self.state):
            case ("begun", Gathering()):
                return
            case ("roster", Gathering()):
                facts, _ = unbundle(blob)
                cards = facts["cards"]
                told = {s: said(self.charter, "keys", s, tuple(cards[s])) for s in self.charter.ordered(cards)}
                self.state = Pairing(told, roster_message(self._author, told, facts["grown"]))
            case ("paired", Pairing()):
                self._restore_rounds(blob)
            case ("proposal" | "opened", Running(rounds=rounds)):
                rounds.restore(key, blob)
            case ("signed", Running(rounds=rounds)):
                self.state = self._ending.restore_signed(rounds, blob)
            case ("concluded", Witnessing()):
                self.state = self._ending.restore_concluded(self.state, blob)
            case ("failed", _):
                facts, _ = unbundle(blob)
                self.state = Failed(facts["code"], facts["message"], facts.get("rule", ""))
            case _:
                raise damaged()

    def _restore_rounds(self, blob: bytes) -> None:
        facts, bodies = unbundle(blob)
        self._paired = {
            site: said(self.charter, "pairs", site, (head, signature), BytesPayload(body))
            for (site, head, signature), body in zip(facts["answers"], bodies, strict=True)
        }
        head = parse(Head, facts["head"])
        self.state = Running(HubRounds(self._exchanged(), self._work, self._kept, facts["heads"], head))
