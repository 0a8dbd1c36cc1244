"""A site's process: dials the hub, admits studies, answers rounds, and goes on after `kill -9`.

Everything that must survive is in the store before a message leaves. When the disk fails, the run's memory is thrown
away and built again from the journal: nothing is ever half done.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from isthmus.federation import told_verdicts
from isthmus.federation.book import check_history, history_head
from isthmus.federation.border import Border, Crossing
from isthmus.federation.by_law import refusal_of, rules_of
from isthmus.federation.control import Control
from isthmus.federation.desk import Seat, SiteDesk
from isthmus.federation.gossip import SqlMemory
from isthmus.federation.grounds import parted
from isthmus.federation.grpc_site import HubAddress, SiteClient
from isthmus.federation.history import SqlHistory
from isthmus.federation.link import Ended, Link
from isthmus.federation.messages import Message
from isthmus.federation.node import Ledger, Means, Tell, job_name, log_to_stderr
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.site import Concluded, Left, SiteRun
from isthmus.federation.reasons import error_of, facts, text
from isthmus.federation.refusals import AGAIN, FLOOD
from isthmus.federation.site_cases import SiteCases
from isthmus.federation.site_review import Reviewer
from isthmus.federation.site_watch import SiteWatch
from isthmus.federation.site_witness import SiteWitness
from isthmus.federation.spool import discard
from isthmus.federation.standing import Standing
from isthmus.federation.store import RUNS, Mark, RunRow
from isthmus.federation.worker import Worker
from isthmus.governance.citations import cited
from isthmus.governance.route import Leg
from isthmus.governance.verdicts import RuleRefused
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, Unavailable, Untrusted, coded

VEIL = "snapshot-secret"  # in the store: keys the snapshot id that leaves


class SiteNode:
    """One site. `run` serves until `stop`."""

    def __init__(
        self, means: Means, hub: HubAddress, desk: SiteDesk, tell: Tell, review: Reviewer | None = None
    ) -> None:
        self.ledger = Ledger(means.store, f"site/{means.identity.name}", means.clock)
        # Which question this site refuses, and why, is its own matter: the head of this log never leaves, and the
        # ledger whose head does grows by the same entries whatever the site answers.
        self.private = Ledger(means.store, f"site/{means.identity.name}/private", means.clock)
        self._means = means
        self._sealed = (self.ledger.last("history") or {}).get("head")
        check_history(means.store, self._sealed)
        self._hub = hub
        self._memory = SqlMemory(means.store, self.ledger)
        self._witness = SiteWitness(self._memory, means.identity, hub.key, means.seconds)
        self._border = Border(means.store, self.ledger, means.clock)
        self._ways: dict[str, Leg | None] = {}
        self._verdicts: dict[str, list[dict[str, Any]]] = {}  # run -> what the hub is told before the signed result
        self._desk = desk
        self._review = review
        self._tell = tell
        self._log = log_to_stderr(means.identity.name)
        self._worker = Worker()
        self._runs: dict[str, SiteRun] = {}
        self._refused: Counter[str] = Counter()  # how often each run was declined since this process started
        self._link: Link | None = None
        self._said = ""
        self._standing = Standing(desk.desk, self.ledger, means.store, means.clock, self._log)
        self._cases = SiteCases(
            review, self._standing, self._witness, self.ledger, self._worker, means.clock, means.identity.key,
            self._tell_hub, self._declined,
        )  # fmt: skip
        self._watch = SiteWatch(
            self._standing, self.ledger, self._worker, means.clock, self._runs,
            self._left_by_watch, self._lost, self._news, self._cases.early, self._log,
        )  # fmt: skip
        self._client = SiteClient(means.identity, hub, self, means.settings())

    async def run(self) -> None:
        """Serve until `stop`."""
        looking = asyncio.create_task(self._watch.looking())
        try:
            await self._client.run()
        finally:
            looking.cancel()
            self._worker.close()

    async def stop(self) -> None:
        """Say bye and end `run`."""
        await self._client.stop()

    # -- what the network brings (grpc_site.Branch) ----------------------------------------------------------------

    def hello(self) -> Mapping[str, Any]:
        """Agreement, mode, the head of this site's ledger, and the runs it believes open."""
        desk = self._desk.desk
        running = [row.run for row in self._means.store.runs(RUNS.c.state == "running")]
        own = {"agreement": desk.agreement, "mode": desk.mode, "ledger": self.ledger.head(), "open": running}
        return {**own, "hub": self._witness.report(), **self._standing.news()}

    async def joined(self, link: Link, welcome: Control) -> None:
        """The stream is open. Refuses to serve on a ledger older than what the hub remembers of it, and, where people
        decide, a hub whose ledger does not continue the one held here: nothing is answered before.
        """
        self._memory.check_remembered(welcome.body.get("ledger"))
        if self._review is not None:
            offered = welcome.body.get("checkpoint")
            link.say("cosigned", await self._worker.run("cosign", self._witness.continued, offered))
        self._link = link
        self._cases.fresh.clear()
        link.news = self._standing.news
        await self._watch.hear(welcome.body)
        self._say("joined the hub")
        self._tell({"joined": True})
        for run in self._runs.values():
            self._send(run, run.connected())

    async def received(self, item: Message | Control) -> None:
        """One message or control document of the hub. Nothing of a study is answered once the agreement has ended."""
        self._standing.check_stream()
        if isinstance(item, Message):
            await self._message(item)
        elif item.kind == "heartbeat":
            await self._watch.hear(item.body)
        elif item.kind == "invite":
            await self._invited(item.body)
        elif item.kind == "review":
            await self._cases.shown(item.body)
        elif item.kind == "checkpoint":
            self._say_cosigned(await self._worker.run("cosign", self._witness.cosigned, item.body))
        elif item.kind == "done":
            self._done(item.body)

    async def left(self, ended: Ended) -> None:
        """The stream ended or could not be opened."""
        self._link = None
        if ended.error is None:
            self._say(f"left the hub ({ended.how})")
        else:
            self._say(str(cited(ended.error)), logging.WARNING)
            self._standing.ended(ended.error)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def _invited(self, body: Mapping[str, Any]) -> None:
        name, request = body.get("run"), body.get("request")
        if not isinstance(name, str) or not isinstance(request, dict):
            raise Invalid("E-WIRE", "an invitation names a run and carries its request")
        held = self._means.store.run(name)
        if name in self._runs or (held is not None and held.state != "running"):
            return  # `joined` has said what there is to say, or the run is over here
        try:
            run = await self._worker.run(f"{name} admit", self._seated, name, request)
        except Unavailable:
            raise
        except (IsthmusError, *DEFECTS) as error:
            self._declined(name, coded(error), request)
            return
        self._runs[name] = run
        self._send(run, run.connected())
        self._after(name, run)

    def _seated(self, name: str, request: dict[str, Any]) -> SiteRun:
        """Admit a run and take it up where its journal ends; in the worker thread."""
        means = self._means
        held = means.store.run(name)
        self._standing.check()

        def note(question: str, code: str) -> None:
            self.private.append("refusal", {"run": name, "question": question, "code": code})

        seat = self._desk.admit(request, means.clock(), note)
        if seat.charter.run != name:
            raise Untrusted("E-RUN", "the hub names the run otherwise than its request does")
        self._watch.still[name] = seat.still
        self._ways[name] = seat.way
        if held is None:
            self._keep(seat, request)
        local = Local(
            key=means.identity.key,
            journal=means.store.journal(name),
            spool=means.spool(name),
            randomness=secrets.token_bytes,
            clock=means.seconds,
            snapshot=self._veiled(seat.snapshot),
            anchor=self._memory.hub(),
            history=SqlHistory(means.store, seat.charter.agreement, seat.snapshot, seat.charter.study),
            egress=partial(self._leaves, name, seat),
            memory=self._memory,
            leaving=partial(self._border.ahead, seat.charter.study, seat.way),
        )
        return SiteRun(means.identity.name, seat.charter, seat.work, local)

    def _leaves(self, name: str, seat: Seat, result: Mapping[str, Any]) -> None:
        """Decide on the outputs of a result before it is signed; without this site's signature it is not released."""
        try:
            verdicts = seat.egress(result, self._means.clock())
        except RuleRefused as refused:
            for part in parted(refused.record):
                self.ledger.append("decision", {"run": name, "verdict": "withheld", "code": refused.code, **part})
            raise
        if verdicts:
            for part in parted(verdicts):
                self.ledger.append("decision", {"run": name, "verdict": "signed", **part})
            me = self._means.identity
            self._verdicts[name] = told_verdicts.signed(name, me.name, seat.told(verdicts), me.key)

    def _veiled(self, snapshot: str) -> str:
        """What M1 says of the data: equal for equal data of this site, and no digest that others could try out."""
        store = self._means.store
        secret = store.fact(VEIL)
        if secret is None:
            secret = secrets.token_hex(32)
            store.set_fact(VEIL, secret)
        return "hmac-sha256:" + hmac.digest(bytes.fromhex(secret), snapshot.encode(), "sha256").hex()

    def _keep(self, seat: Seat, request: dict[str, Any]) -> None:
        charter = seat.charter
        row = RunRow(
            run=charter.run,
            number=charter.number,
            study=charter.study,
            created=self._means.clock().isoformat(),
            state="running",
            note="",
            request=canonical(request),
            charter=canonical(charter),
        )
        decision = {"run": charter.run, "study": charter.study, "agreement": charter.agreement, "verdict": "admitted"}
        self.ledger.append("decision", {**decision, **seat.decision})
        self._means.store.add_run(row)

    def _seal(self, run: str) -> None:
        """The ledger takes the head of the history before the vote that moved it leaves."""
        head = history_head(self._means.store)
        if head is not None and head != self._sealed:
            self.ledger.append("history", {"run": run, "head": head})
            self._sealed = head

    def _declined(self, name: str, error: IsthmusError, request: Mapping[str, Any]) -> None:
        self._refused[name] += 1
        entry = {"run": name[:80], "verdict": "declined", **refusal_of(error)}
        if isinstance(error, RuleRefused):
            entry |= error.record
        entered = self._standing.refusals.enter(f"run {name[:80]}", entry, "decision")
        if entered == FLOOD or self._refused[name] > AGAIN:
            return  # it was told, and asks on
        self._log.warning("run %s declined: %s", name[:19], error)
        self._tell_hub(name[:80], request, "decline", {"run": name, "error": facts(error), **rules_of(error)})

    def _tell_hub(self, run: str, request: Mapping[str, Any], kind: str, said: Mapping[str, Any]) -> None:
        """Say something of a study besides its sums, once the border register and the ledger hold it."""
        if self._link is not None:
            self._border.answered(run, self._desk.desk.out(request), kind, said)
            self._border.seal({"run": run})
            self._link.say(kind, dict(said))

    async def _message(self, message: Message) -> None:
        run = self._runs.get(message.run)
        if run is None:
            self._stray(message)
            return
        try:
            answers = await self._worker.run(job_name(message), run.receive, self._means.own(message))
            if message.kind == "round" and run.step is not None and run.step.kind == "vote":
                self._seal(message.run)
        except Unavailable:
            # Memory may be ahead of the journal: throw it away. The hub invites again, and the journal says where.
            self._runs.pop(message.run, None)
            raise
        except (IsthmusError, *DEFECTS) as error:
            met = coded(error)
            self._log.warning("run %s, message %s: %s", message.run[:19], message.kind[:20], met)
            answers = run.refusal(met)
            if answers:
                self.private.append("refusal", {"run": message.run, "code": met.code})
            self._accuse(message.run, met)
        self._answer(message.run, run, answers)

    def _answer(self, name: str, run: SiteRun, answers: tuple[Message, ...]) -> None:
        if self._runs.get(name) is not run:
            return  # halted in between
        self._send(run, answers)
        if run.due is not None:
            asyncio.get_running_loop().call_later(run.due, lambda: self._send(run, run.release()))
        self._after(name, run)

    def _stray(self, message: Message) -> None:
        """A message of a run that is not under way: it ended here while the message was on its way, or was declined."""
        discard(message.body)
        if self._means.store.run(message.run) is None and message.run not in self._refused:
            raise Invalid("E-RUN", "a message of a run that this site was not invited to")

    def _accuse(self, run: str, error: IsthmusError) -> None:
        """Write down, once a day and run, that a ledger is not one story. It is no matter of the data: the head may tell it."""
        if error.code in {"E-LEDGER", "E-ROLLBACK"}:
            facts = {"run": run, "code": error.code, "why": error.message}
            self._standing.refusals.enter(f"run {run}", facts | ({"site": error.where} if error.where else {}))

    def _after(self, name: str, run: SiteRun) -> None:
        """Write down that a run has ended."""
        match run.state:
            case Concluded(result=result):
                if self._review is not None:
                    self._review.concluded(name, digest(result))
                self._means.store.set_state(name, "concluded")
                self._end(name, run, "release", {"run": name, "result": digest(result)})
            case Left(code=code, message=message):
                stopped = Untrusted(code, message)
                self._means.store.set_state(name, "failed", text(stopped))
                self._end(name, run, "refusal", {"run": name, "code": code})
            case _:
                return

    def _end(self, name: str, run: SiteRun, event: str, entry: Mapping[str, Any]) -> None:
        self._border.seal({"run": name})
        self.ledger.append(event, entry)
        self._means.store.set_mark("hub", Mark(size=run.head.size, root=run.head.root))
        self._runs.pop(name, None)
        self._watch.still.pop(name, None)
        self._ways.pop(name, None)
        self._verdicts.pop(name, None)
        self._means.forget(name)
        self._log.info("run %s ended: %s", name[:19], event)
        self._tell({"ended": name, "event": event})
        if self._link is not None:
            self._link.say("done", {"run": name, "ledger": self.ledger.head(), "hub": self._witness.report()})

    def _left_by_watch(self, name: str, run: SiteRun, answers: tuple[Message, ...]) -> None:
        self._send(run, answers)
        self._after(name, run)

    def _lost(self, why: IsthmusError) -> None:
        """Runs that were not taken up since this process started: their secrets go too."""
        for row in self._means.store.runs(RUNS.c.state == "running"):
            self._done({"run": row.run, "error": facts(why)})

    def _say_cosigned(self, answer: Mapping[str, Any]) -> None:
        if self._link is not None:
            self._link.say("cosigned", dict(answer))

    def _news(self) -> None:
        if self._link is not None:
            self._link.say("heartbeat", self._standing.news())

    def _done(self, body: Mapping[str, Any]) -> None:
        """The hub says that a run is over which this site believes open: its secrets go."""
        name = str(body.get("run"))
        row = self._means.store.run(name)
        if row is None or row.state != "running":
            return
        self._runs.pop(name, None)
        self._means.store.journal(name).erase("")
        self._means.store.set_state(name, "failed", text(error_of(body.get("error"))))
        self._means.forget(name)

    # -- small things ----------------------------------------------------------------------------------------------

    def _send(self, run: SiteRun, messages: tuple[Message, ...]) -> None:
        """Nothing leaves that the border register does not hold."""
        if self._link is not None:
            way, verdicts = self._ways.get(run.charter.run), self._verdicts.get(run.charter.run, ())
            for told in verdicts if any(message.kind == "result" for message in messages) else ():
                self._border.answered(run.charter.run, (run.charter.study, way), "verdicts", told)
                self._link.say("verdicts", told)
            self._border.cross(messages, Crossing(study=run.charter.study, way=way, step=run.step))
            self._link.send(messages)

    def _say(self, what: str, level: int = logging.INFO) -> None:
        """Log once what repeats at every attempt to reconnect."""
        if what != self._said:
            self._log.log(level, what)
        self._said = what
