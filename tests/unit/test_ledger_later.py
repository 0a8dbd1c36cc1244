"""What a ledger took after the checkpoint of a bundle goes with it: in a log that continues that checkpoint, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from test_ledger_bundle import KEYS, made

from isthmus.ledger.bundle import read_bundle, resealed
from isthmus.ledger.exported import besides
from isthmus.ledger.later import later
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.verify import verify_bundle
from isthmus.model.errors import Invalid, Untrusted

RUN = "sha256:aa"
BUNDLE = read_bundle(made())
LATE: dict[str, Any] = {"run": RUN, "step": "release", "sites": ["austin"]}


def grown(*more: dict[str, Any]) -> Log:
    """The log of the bundle, gone on."""
    log = Log(MemoryStore(), "isthmus/test", lambda: datetime(2026, 1, 31, tzinfo=UTC))
    log.append("decision", {"other": "run"})
    log.append("study", BUNDLE["entries"][0]["facts"])
    log.append("round", {"round": 1})
    log.append("release", BUNDLE["entries"][1]["facts"])
    for facts in more:
        log.append("approval", facts)
    return log


def part(log: Log, run: str = RUN) -> dict[str, Any]:
    found = later(log, 4, lambda entry: entry.facts.get("run") == run, KEYS["hub"])
    assert found is not None
    return found


def held(later_part: Any) -> tuple[Any, ...]:
    return verify_bundle(resealed(BUNDLE, {"later": later_part}, KEYS["hub"]), []).entries


def test_what_came_later_is_held_to_the_log_that_continues_the_checkpoint() -> None:
    log = grown({"run": "sha256:other"}, LATE, {"run": "sha256:other"})
    assert [(entry.sequence, entry.facts) for entry in held(part(log))[2:]] == [(5, LATE)]
    assert later(log, 6, lambda entry: entry.facts.get("run") == RUN, KEYS["hub"]) is None
    assert read_bundle(resealed(BUNDLE, {}, KEYS["hub"])) == BUNDLE


def test_an_exported_ledger_is_held_to_the_later_head_too() -> None:
    found = verify_bundle(resealed(BUNDLE, {"later": part(grown(LATE))}, KEYS["hub"]), [])
    assert [(each.what, each.checkpoint.head.size) for each in besides(found)] == [
        ("the bundle of run aa", 4),
        ("the bundle of run aa, later", 5),
    ]
    assert len(besides(verify_bundle(resealed(BUNDLE, {}, KEYS["hub"]), []))) == 1


def of_another_log() -> Any:
    log = Log(MemoryStore(), "isthmus/test", lambda: datetime(2026, 1, 31, tzinfo=UTC))
    for facts in ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}, LATE):
        log.append("approval", facts)
    return part(log)


def changed(change: Callable[[dict[str, Any]], Any]) -> Any:
    made_up = part(grown(LATE))
    change(made_up)
    return made_up


@pytest.mark.parametrize(
    "forged",
    [
        of_another_log,
        lambda: part(grown({"run": "sha256:other"}), "sha256:other"),
        lambda: later(grown(LATE), 1, lambda entry: entry.sequence == 1, KEYS["hub"]),  # not later
        lambda: part(grown(LATE)) | {"checkpoint": part(grown(LATE, LATE))["checkpoint"]},
        lambda: changed(lambda p: p["entries"][0]["facts"].update(sites=["lyon"])),
        lambda: changed(lambda p: p["entries"][0].update(time="2026-01-30T00:00:00.000Z")),
        lambda: changed(lambda p: p["consistency"].clear()),
        lambda: changed(lambda p: p["inclusion"].clear()),
        lambda: changed(lambda p: p.update(more=1)),
        lambda: changed(lambda p: p.pop("consistency")),
        lambda: changed(lambda p: p.update(entries={})),
        dict,
    ],
)
def test_later_entries_that_do_not_hold_fail_the_bundle(forged: Callable[[], Any]) -> None:
    with pytest.raises((Untrusted, Invalid)):
        held(forged())


def test_the_hub_alone_signs_them() -> None:
    with pytest.raises(Untrusted):
        held(later(grown(LATE), 4, lambda entry: entry.facts.get("run") == RUN, KEYS["leeds"]))
