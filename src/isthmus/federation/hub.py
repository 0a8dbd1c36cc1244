"""The hub's process: takes submissions, invites sites, drives runs, keeps the ledger, hands out status and bundles.

It resumes every running study from its journal after `kill -9`, and never sees anything below a sum.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from isthmus.federation import hub_window
from isthmus.federation.by_law import as_told, refusal_of
from isthmus.federation.control import Control
from isthmus.federation.desk import HubDesk
from isthmus.federation.grpc_hub import HubServer, Party
from isthmus.federation.hub_border import HubBorder
from isthmus.federation.hub_greeting import greet
from isthmus.federation.hub_release import keep_end
from isthmus.federation.hub_review import HubReview
from isthmus.federation.hub_runs import Deadlines, HeldRun, held_run, new_row, open_run
from isthmus.federation.hub_witness import SiteHeads
from isthmus.federation.link import Ended, Link
from isthmus.federation.messages import Message
from isthmus.federation.node import Ledger, Means, Tell, job_name, log_to_stderr
from isthmus.federation.protocol.charter import Charter, HubWork
from isthmus.federation.protocol.hub import Gathering
from isthmus.federation.protocol.hub_rounds import Outgoing
from isthmus.federation.reasons import error_of, facts
from isthmus.federation.spool import discard
from isthmus.federation.standing import Standing
from isthmus.federation.store import RUNS, UNFINISHED, RunRow, RunState
from isthmus.federation.worker import Worker
from isthmus.governance.citations import cited
from isthmus.model.errors import DEFECTS, IsthmusError, Refused, Unavailable, Untrusted, coded

TICK = 0.25  # seconds between looks at the clock


class HubNode:
    """One hub. `start` listens, `run` serves until `stop`."""

    def __init__(
        self, means: Means, parties: Mapping[str, Party], desk: HubDesk, tell: Tell, deadlines: Deadlines | None = None
    ) -> None:
        self.ledger = Ledger(means.store, "hub", means.clock)
        self.means = means
        self.desk = desk
        self.border = HubBorder(means.store, self.ledger, means.clock, desk.desk.way)
        self.worker = Worker()
        self.runs: dict[str, HeldRun] = {}
        self.presence: dict[str, str] = {}
        self.stopped = asyncio.Event()
        self._deadlines = deadlines or Deadlines()
        self._tell = tell
        self._log = log_to_stderr(means.identity.name)
        self._server = HubServer(means.identity, parties, self, means.settings())
        self._links: dict[str, Link] = {}
        self._broken: set[str] = set()
        self._heads = SiteHeads(means.store)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._standing = Standing(desk.desk, self.ledger, means.store, means.clock, self._log)
        self.refusals = self._standing.refusals
        self.review = HubReview(self, desk.desk.review) if desk.desk.review is not None else None

    async def start(self, address: str) -> int:
        """Take up every unfinished run, then listen; gives the port."""
        for row in self.means.store.runs(RUNS.c.state.in_(UNFINISHED)):
            await self._resume(row)
        if self.review is not None:
            await self.review.resume()
        port = await self._server.start(address)
        self._log.info("listening on port %d", port)
        self._tell({"port": port})
        return port

    async def run(self) -> None:
        """Serve until `stop`."""
        try:
            while not self.stopped.is_set():
                await self._tick()
                try:
                    await asyncio.wait_for(self.stopped.wait(), TICK)
                except TimeoutError:
                    continue
        finally:
            await self._server.stop()
            for task in self._tasks:
                task.cancel()
            self.worker.close()

    def stop(self) -> None:
        """Say bye to everyone and end `run`."""
        self.stopped.set()

    # -- what sites do (grpc_hub.Office) ---------------------------------------------------------------------------

    async def joined(self, site: str, link: Link, hello: Control) -> Mapping[str, Any]:
        """A site's stream is open: one stream per site, the newest counts."""
        body = hello.body
        self._standing.check_stream()
        self.desk.desk.check_hello(body)
        await self._stand(self._standing.hear(site, body))
        offered = {} if self.review is None else {"checkpoint": await self.review.greeted(site, body.get("hub"))}
        return {"ledger": self._heads.kept(site, body.get("ledger")), **offered, **self._standing.news()}

    def welcomed(self, site: str, link: Link, hello: Control) -> None:
        """The welcome is out: tell the site of its runs."""
        self._links[site] = link
        self._heads.welcomed(site, hello.body["ledger"])
        link.news = self._standing.news
        self.presence[site] = "joined"
        self._log.info("%s joined", site)
        self._later(greet(self, site, link, hello.body.get("open")))

    def _later(self, what: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def received(self, site: str, item: Message | Control) -> None:
        """A message or control document of a site."""
        self._standing.check_stream()
        self._heads.speaks(site)
        if isinstance(item, Message):
            await self._message(site, item)
        elif item.kind == "heartbeat":
            await self._stand(self._standing.hear(site, item.body))
        elif item.kind == "decline":
            await self._declined(site, item.body)
        elif item.kind == "done":
            await self._done(site, item.body)
        elif item.kind == "verdicts" and (held := self.runs.get(str(item.body.get("run")))) is not None:
            await self.worker.run("ledger", held.told, site, item.body)
        elif self.review is not None:
            await self.review.heard(site, item)

    async def _done(self, site: str, body: Mapping[str, Any]) -> None:
        if self.review is not None and body.get("hub") is not None:
            self.review.witnesses.reported(site, body["hub"])
        held = self.runs.get(str(body.get("run")))
        if held is not None:
            self._heads.grown(site, body.get("ledger"))
            held.confirmed.add(site)
            await self._after(held)

    def expected(self, site: str, head: Mapping[str, Any]) -> int:
        """Only the masked reply that an open round awaits from this very site may go to the disk."""
        held = self.runs.get(str(head["run"]))
        if held is None or head["kind"] != "masked" or head["sender"] != site:
            return 0
        return held.run.expects(site)

    async def left(self, site: str, link: Link, ended: Ended) -> None:
        """A site's stream ended; its runs wait for it until their deadline."""
        if self._links.get(site) is link:
            del self._links[site]
            self._heads.left(site)
            why = ended.error if ended.how == "bye" else None  # whoever asks sees why it left
            self.presence[site] = f"left ({why.code})" if why else "left" if ended.how == "bye" else ended.how
            if why is not None and why.code in {"E-LEDGER", "E-ROLLBACK"}:
                self.turned_away(site, "site", why)
        self._log.info("%s: stream ended (%s)%s", site, ended.how, f" {ended.error}" if ended.error else "")

    def turned_away(self, who: str, role: str, error: IsthmusError) -> None:
        """A site's stream, or a person's question, was refused; or the site calls this ledger false."""
        what = "stream" if role == "site" else "question"
        if not isinstance(error, Unavailable):  # later: the call of a stream that ended is cancelled
            said = {"by": who, "what": what, **refusal_of(error)}
            self._later(self.worker.run("ledger", self.refusals.enter, what, said))

    def asked(self, person: Party, question: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """A person's signed question."""
        return hub_window.answer(self, person, question)

    async def _message(self, site: str, message: Message) -> None:
        held = self.runs.get(message.run)
        if held is None:
            discard(message.body)
            self._log.info("%s sent %s of a run that is not under way", site, message.kind)
            return
        if message.sender != site:
            discard(message.body)
            raise Untrusted("E-SENDER", "a site speaks for itself alone")
        own = message
        try:
            own = self.means.own(message)
            answers = await self.worker.run(job_name(message), held.run.receive, own)
            held.moved = asyncio.get_running_loop().time()
            await self.send(held, answers)
        except Unavailable as error:
            self._break(held, error)
        except IsthmusError as error:
            discard(own.body)
            self._log.warning("run %s, %s from %s: %s", message.run[:19], message.kind, site, error)

    async def _declined(self, site: str, body: Mapping[str, Any]) -> None:
        error = error_of(body.get("error"))
        cause = as_told(error, body.get("rules"))
        held = self.runs.get(str(body.get("run")))
        if held is None:
            if self.review is not None:
                await self.review.declined(site, str(body.get("run")), cause)
            return
        if site not in held.charter.sites:
            raise Untrusted("E-ROSTER", "a site outside a run declines it")
        self._log.warning("run %s: %s declines: %s", held.name[:19], site, error)
        held.declined[site] = error
        if isinstance(held.run.state, Gathering):  # later the others may go on, or wait, without it
            await self.abandon(held, cause)

    async def abandon(self, held: HeldRun, cause: IsthmusError) -> None:
        """End a run for a reason."""
        held.cause = cause
        await self.send(held, await self.worker.run("abandon", held.run.abandon, cause))

    async def send(self, held: HeldRun, answers: Outgoing) -> None:
        """Send what is connected its messages of a run, and keep what the run has come to."""
        leaving = [(site, message) for site, message in answers if site in self._links]
        self.border.out(held, leaving)
        for site, message in leaving:
            self._links[site].send([message])
        await self._after(held)

    # -- the course of runs ----------------------------------------------------------------------------------------

    async def submit(self, researcher: str, request: Mapping[str, Any]) -> str:
        """Admit a request and start its run; the same request again gives the same run.

        Raises:
            Refused, Untrusted, Invalid: it is not admitted.
            Unavailable: E-DISK.
        """
        try:
            self._standing.check()
            admitted = await self.worker.run("admit", self.desk.admit, request, self.means.clock())
        except IsthmusError as error:
            self._log.info("a request of %s is not admitted: %s", researcher, error)
            entry = {"by": researcher, **refusal_of(error)}
            await self.worker.run("ledger", self.refusals.enter, "study", entry)
            raise cited(error) from error
        name = admitted[0].run
        if self.means.store.run(name) is None:
            if self.review is not None and self.review.of_studies:
                await self.review.submitted(admitted[0], request)
                return name
            row = new_row(admitted[0], request, self.means.clock().isoformat())
            self.means.store.add_run(row)
            await self._start(row, admitted)
        return name

    async def start_run(self, row: RunRow) -> None:
        """Start a run that people have approved."""
        try:
            self._standing.check()
            admitted = await self.worker.run("admit", self.desk.admit, json.loads(row.request), self.means.clock())
        except IsthmusError as error:
            await self._cannot(row, error)
            return
        self.means.store.set_state(row.run, "running")
        await self._start(replace(row, state="running"), admitted)

    async def _start(self, row: RunRow, admitted: tuple[Charter, HubWork]) -> None:
        now = asyncio.get_running_loop().time()
        await self._begin(await self.worker.run("begin", held_run, row, admitted, self.means, self.ledger.log, now))

    async def _begin(self, held: HeldRun) -> None:
        """Hold a run and say what everyone who is connected is owed."""
        self.runs[held.name] = held
        for site in held.charter.sites:
            if site in self._links:
                self._links[site].say("invite", held.invitation)
        await self.send(held, await self.worker.run("start", held.run.start))

    async def _resume(self, row: RunRow) -> None:
        now = asyncio.get_running_loop().time()
        try:
            self._standing.check()
            held = await self.worker.run("resume", open_run, row, self.means, self.desk, self.ledger.log, now)
        except Unavailable as error:
            self._broken.add(row.run)
            self._log.error("run %s cannot go on now: %s", row.run[:19], error)
            return
        except IsthmusError as error:
            await self._cannot(row, error)
            return
        self._log.info("run %s taken up at %s", row.run[:19], held.run.progress().stage)
        await self._begin(held)

    async def _cannot(self, row: RunRow, error: IsthmusError) -> None:
        """A run that is no longer admitted, or cannot be held: sites let it go."""
        self.runs.pop(row.run, None)
        self._log.error("run %s cannot go on: %s", row.run[:19], error)
        await self.enter("refusal", {"run": row.run, **refusal_of(error)})
        state: RunState = "refused" if isinstance(error, Refused) else "failed"
        self.means.store.set_state(row.run, state, json.dumps(hub_window.ended_status(row, error)))
        for link in self._links.values():
            link.say("done", {"run": row.run, "error": facts(error)})

    def _break(self, held: HeldRun, error: Unavailable) -> None:
        """Memory may be ahead of the journal: throw it away and take the run up again."""
        self._log.error("run %s: %s", held.name[:19], error)
        self.runs.pop(held.name, None)
        self._broken.add(held.name)

    async def _tick(self) -> None:
        for name in list(self._broken):
            self._broken.discard(name)
            if (row := self.means.store.run(name)) is not None:
                await self._resume(row)
        for held in list(self.runs.values()):
            try:
                await self._look(held)
            except Unavailable as error:
                self._break(held, error)
            except (IsthmusError, *DEFECTS) as error:  # it ends this run, and no other
                await self._cannot(held.row, coded(error))
        await self._stand(self._standing.look())

    async def _stand(self, new: bool) -> None:
        """End every run when the agreement has ended, and pass on at once what is new."""
        if new:
            for link in self._links.values():
                link.say("heartbeat", self._standing.news())
        why = self._standing.lapsed()
        if why is None:
            return
        for held in list(self.runs.values()):
            if held.cause is None and held.state in {"running", "waiting"}:
                await self.abandon(held, why)
        if self.review is not None:
            await self.review.halt(why)

    async def _look(self, held: HeldRun) -> None:
        passed = held.overdue(asyncio.get_running_loop().time(), self._deadlines)
        if passed == "round":
            self._log.info("run %s: the round's deadline passed", held.name[:19])
            await self.send(held, await self.worker.run("expired", held.run.expired))
        elif passed == "run":
            await self.abandon(held, Unavailable("E-LOST", "a site did not come back in time", "start a new run"))
        elif passed == "erasing":
            await self.enter("waiting", held.go_on())
        await self._after(held)

    async def _after(self, held: HeldRun) -> None:
        """Keep what a run has come to; whoever is at it already looks again when done."""
        if held.settling:
            return
        held.settling = True
        try:
            while held.row.state != held.state:
                await self._settle(held, held.state)
        finally:
            held.settling = False

    async def _settle(self, held: HeldRun, now: RunState) -> None:
        """Keep a new state. The bundle comes first: whoever is told `concluded` finds it."""
        store, row = self.means.store, replace(held.row, state=now)
        if now in {"running", "waiting"}:
            store.set_state(held.name, now)
            waits = {"run": held.name, "sites": list(held.run.progress().awaited) if now == "waiting" else []}
            await self.enter("waiting", waits)
        else:
            note = json.dumps(await hub_window.status_of(self, held, row, asyncio.get_running_loop().time()))
            if held.error is None and store.bundle(held.name) is None:
                approvals = self.review.cases.approvals(held.name) if self.review is not None else []
                signed = (self.desk.envelopes(), approvals)
                forms = await self.worker.run("bundle", held.bundles, signed, self.means.identity.key, self.ledger.log)
                store.finish(held.name, forms, note)
            if now != "closing":
                await self._over(held, now, note)
        held.row = row
        self.said(held.name, now, held.remark)

    async def enter(self, event: str, said: Mapping[str, Any]) -> int:
        """Write an entry into the ledger; its index."""
        return await self.worker.run("ledger", self.ledger.append, event, said)

    def link(self, site: str) -> Link | None:
        """A site's stream, while it is open."""
        return self._links.get(site)

    def said(self, run: str, state: RunState, remark: str = "") -> None:
        """A run has come to a state."""
        self._log.info("run %s is %s%s", run[:19], state, remark)
        self._tell({"run": run, "state": state})

    async def _over(self, held: HeldRun, now: RunState, note: str) -> None:
        """Forget a run that is over everywhere."""
        if held.error is not None:
            await self.enter("refusal", {"run": held.name, **refusal_of(held.error)})
        await self.worker.run("border", self.border.over, held.name)
        if self.review is not None:
            now = self.review.over(now, held.error)
        await self.worker.run("keep", keep_end, self.means, self.ledger.log, (held.name, now, note), {})
        await self.worker.run("forget", held.run.forget)
        self.runs.pop(held.name, None)
        self.means.forget(held.name)
