"""The hub's window for people: submit, status, watch, bundle. Counts, sums and parameters never show here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.federation.border import border_lines
from isthmus.federation.by_law import refusal_of
from isthmus.federation.hub_runs import HeldRun
from isthmus.federation.ledgers import exported_lines
from isthmus.federation.reasons import facts
from isthmus.federation.store import UNFINISHED, RunRow
from isthmus.governance.citations import cited
from isthmus.governance.roles import Action, permit
from isthmus.model.errors import Invalid, IsthmusError, Refused, Unavailable, Waiting

if TYPE_CHECKING:
    from isthmus.federation.grpc_hub import Party
    from isthmus.federation.hub import HubNode

Answers = AsyncIterator[Mapping[str, Any]]

NEEDS: Mapping[str, Action] = {
    "submit": "ask",
    "bundle": "see_results",
    "status": "see_runs",
    "runs": "see_runs",
    "names": "see_runs",
    "watch": "see_runs",
    "cases": "see_reviews",
    "ledger": "see_ledger",
    "border": "see_ledger",
    "case": "see_runs",
}
ENDED = frozenset({"concluded", "released", "returned", "rejected", "withdrawn", "refused", "failed"})
PART = 256 * 1024  # bytes of a bundle in one answer
FEW = 10  # runs that are told of where the first digits are those of several
GLANCE = 0.1  # seconds between two looks of a watcher


async def answer(hub: HubNode, person: Party, question: Mapping[str, Any]) -> Answers:
    """Answer one question.

    Raises:
        Invalid: E-QUESTION, E-RUN.
        Waiting: E-NOT-RELEASED.
        Refused: E-ROLE.
        IsthmusError: as the hub's admission decides.
    """
    name, what = str(question.get("run")), str(question.get("what"))
    await _permitted(hub, person, question)
    match what:
        case "watch":
            async for seen in watch(hub, name):
                yield seen
        case "bundle":
            raw = await _bundle(hub, person, name)
            for start in range(0, len(raw), PART):
                yield {"part": raw[start : start + PART].hex()}
        case "ledger" | "border":
            async for part in _exported(hub, what):
                yield part
        case "cases" | "case" | "decide":
            yield await _reviewed(hub, person, question)
        case _:
            yield await _told(hub, person, question)


async def _permitted(hub: HubNode, person: Party, question: Mapping[str, Any]) -> None:
    """Refuse what somebody may not see or do, and write that down."""
    what = str(question.get("what"))
    try:
        require_role(person, what)
        if what == "bundle":
            require_trained(person, hub.means.clock())
            require_released(hub, person, str(question.get("run")))
    except (Refused, Waiting) as error:
        await hub.worker.run("ledger", _enter, hub, person, question, error)
        raise cited(error) from error


async def _told(hub: HubNode, person: Party, question: Mapping[str, Any]) -> dict[str, Any]:
    match question.get("what"):
        case "submit":
            return {"run": await hub.submit(person.name, _request(question))}
        case "status":
            return await status(hub, str(question.get("run")))
        case "runs":
            return {"runs": [await status(hub, row.run) for row in hub.means.store.runs()]}
        case "names":
            return {"names": hub.means.store.names(str(question.get("run")), FEW)}
        case _:
            raise Invalid("E-QUESTION", "the hub does not know this question", "use the same release on both sides")


def require_role(person: Party, what: str) -> None:
    """Refuse what a person's roles do not allow.

    Raises:
        Refused: E-ROLE.
    """
    if what in NEEDS:
        permit(person.roles, NEEDS[what])


def require_trained(person: Party, now: datetime) -> None:
    """Refuse a result to somebody whose training has run out, in whatever role.

    Raises:
        Refused: E-TRAINING.
    """
    if person.trained_until < f"{now.date()}":
        said = f"the training expired on {person.trained_until}" if person.trained_until else "no training is stated"
        hint = "renew it, and state `training_expires` in the next version of the agreement"
        raise Refused("E-TRAINING", f"{said} of {person.name}", hint, "people.standing")


def require_released(hub: HubNode, person: Party, name: str) -> None:
    """Refuse a result that people have not released.

    Raises:
        Waiting: E-NOT-RELEASED. Refused: E-RETURNED, E-REJECTED, E-WITHDRAWN.
    """
    row = hub.means.store.run(name)
    if hub.review is not None and row is not None and hub.means.store.bundle(name) is not None:
        hub.review.cases.require_fetch(person, row)


def _enter(hub: HubNode, person: Party, question: Mapping[str, Any], error: IsthmusError) -> None:
    """Write down what somebody was not given."""
    what, row = str(question.get("what")), hub.means.store.run(str(question.get("run")))
    about = {} if row is None else {"about": row.run}
    entry = {"by": person.name, "roles": sorted(person.roles), "asked": what, **about, **refusal_of(error)}
    hub.refusals.enter(what, entry)


async def _reviewed(hub: HubNode, person: Party, question: Mapping[str, Any]) -> dict[str, Any]:
    """What people see of review and hand in to it."""
    if hub.review is None:
        raise Refused("E-STATE", "the agreement asks nobody to decide", "`isthmus agreement show` says who decides")
    envelope = question.get("envelope")
    if question.get("what") == "cases":
        return {"cases": hub.review.cases.listed(person)}
    if question.get("what") == "case":
        return hub.review.cases.shown(str(question.get("run")), person)
    if not isinstance(envelope, Mapping):
        raise Invalid("E-ENVELOPE", "a decision is a signed envelope", "use `isthmus approve`")
    return await hub.review.decided(person, envelope)


async def status(hub: HubNode, name: str) -> dict[str, Any]:
    """Where a run stands, from memory while it lives, else as it was kept.

    Raises:
        Invalid: E-RUN.
    """
    held = hub.runs.get(name)
    if held is not None:
        # an error is never shown beside a state that goes on; `concluded` waits until the bundle is kept
        shown = replace(held.row, state=held.state) if held.error else held.row
        seen = await status_of(hub, held, shown, asyncio.get_running_loop().time())
        return seen if hub.review is None else hub.review.cases.beside(shown, seen)
    row = hub.means.store.run(name)
    if row is None:
        raise Invalid("E-RUN", "no such run here", "give the run as `study submit` printed it")
    kept = json.loads(row.note) if row.note else {"sites": _away(hub, row), "error": None}
    seen = {**kept, **head_of_row(row)}
    return seen if hub.review is None else hub.review.cases.beside(row, seen)


def _away(hub: HubNode, row: RunRow) -> dict[str, Any]:
    """The sites of a study in review that left with an error, and which: nobody would know for what it waits."""
    if row.state != "in_review":
        return {}
    roster = [member["site"] for member in json.loads(row.charter)["roster"]]
    gone = {site: hub.presence.get(site, "") for site in roster}
    return {site: {"state": state} for site, state in gone.items() if state.startswith("left (")}


async def status_of(hub: HubNode, held: HeldRun, row: RunRow, now: float) -> dict[str, Any]:
    """The status of a live run in the state that `row` says."""
    seen = await hub.worker.run("status", held.progress, now)
    awaited, sent = seen.pop("awaited"), seen["traffic"]["bytes_out"]
    sites = {
        member.site: {
            "country": member.country,
            "state": _site_state(hub, held, member.site, awaited),
            "step": seen["step"],
            **({"bytes": sent[member.site]} if member.site in sent else {}),
        }
        for member in held.charter.roster
    }
    return {**head_of_row(row), **seen, "sites": sites, "error": facts(held.error) if held.error else None}


def head_of_row(row: RunRow) -> dict[str, Any]:
    """What is always known of a run. A closing run is concluded for whoever asks."""
    state = "concluded" if row.state == "closing" else row.state
    return {"run": row.run, "study": row.study, "number": row.number, "created": row.created, "state": state}


def error_in(row: RunRow | None) -> Any:
    """Why a run has ended, as it was kept; None where it is not known or ended well."""
    return json.loads(row.note).get("error") if row is not None and row.note else None


def ended_status(row: RunRow, error: IsthmusError) -> dict[str, Any]:
    """The last status of a run that could not be taken up again."""
    return {**head_of_row(row), "state": "failed", "sites": {}, "error": facts(error)}


async def watch(hub: HubNode, name: str) -> AsyncIterator[dict[str, Any]]:
    """The status whenever it changes, until the run ends or the hub stops."""
    before: dict[str, Any] = {}
    while not hub.stopped.is_set():
        seen = await status(hub, name)
        if _without_time(seen) != _without_time(before):
            yield seen
        if seen["state"] in ENDED:
            return
        before = seen
        await asyncio.sleep(GLANCE)
    raise Unavailable("E-UNREACHABLE", "the hub is stopping", "watch again in a moment")


def _site_state(hub: HubNode, held: HeldRun, site: str, awaited: list[str]) -> str:
    if site in held.declined:
        return f"declined ({held.declined[site].code})"
    presence = hub.presence.get(site, "not joined")
    if presence != "joined":
        return presence
    return "working" if site in awaited else "answered"


def _without_time(seen: Mapping[str, Any]) -> dict[str, Any]:
    traffic = {k: v for k, v in seen.get("traffic", {}).items() if k != "seconds"}
    return {**seen, "traffic": traffic}


def _request(question: Mapping[str, Any]) -> Mapping[str, Any]:
    request = question.get("request")
    if not isinstance(request, Mapping):
        raise Invalid("E-REQUEST", "a submission carries a signed request", "use `isthmus study submit`")
    return request


async def _exported(hub: HubNode, what: str) -> Answers:
    """The hub's ledger as an exported file, or its border register, in parts. Who looks is no message of a study."""
    lines = await hub.worker.run("export", _lines, hub, what)
    while part := await hub.worker.run("export", _part, lines):
        yield {"part": part.hex()}


def _lines(hub: HubNode, what: str) -> Iterator[bytes]:
    means = hub.means
    if what == "border":
        return border_lines("hub", means.store)
    return exported_lines(means.store, "hub", means.identity, hub.desk.desk.witnesses, means.clock())


def _part(lines: Iterator[bytes]) -> bytes:
    found = bytearray()
    for line in lines:
        found += line
        if len(found) >= PART:
            break
    return bytes(found)


async def _bundle(hub: HubNode, person: Party, name: str) -> bytes:
    raw, row = hub.means.store.bundle(name), hub.means.store.run(name)
    if row is None:
        raise Invalid("E-RUN", "no such run here", "give the run as `study submit` printed it")
    if raw is not None:
        await hub.worker.run("border", hub.border.given, row, person.name, len(raw))
        return raw
    if row.state in (*UNFINISHED, "in_review"):
        raise Waiting("E-NOT-RELEASED", "the run has not ended", "follow it with `isthmus watch`")
    raise Invalid("E-RUN", "the run ended without a result", "`isthmus study status` says why")
