"""The border register: durable before a message leaves, sealed by the ledger, and no row changed or lost unnoticed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from isthmus.crypto.keys import SigningKey
from isthmus.federation.border import ROWS, Border, Crossing, read_register
from isthmus.federation.hub_border import HubBorder
from isthmus.federation.messages import Author, BytesPayload, Message, weight
from isthmus.federation.node import Ledger
from isthmus.federation.protocol.charter import Step
from isthmus.federation.store import RunRow, Store, open_store
from isthmus.governance.route import RULE, Leg
from isthmus.governance.rulepack import own_pack
from isthmus.model.errors import Refused, Untrusted
from isthmus.summary import Field, Layout

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
LEG = Leg(
    sender="leeds-nhs",
    from_country="GB",
    receiver="office",
    to_country="US",
    what="encrypted_shares",
    facilities=("leeds-dc",),
    flow="sums",
    mechanism="idta",
    rules=("XB-01", "XB-06", "XB-10"),
)
LAYOUT = Layout(fields=(Field(name="x", shape=(3,), kind="score"), Field(name="n", shape=(2,), kind="count")))
STEP = Step(question="death", kind="cox", round=1, layout=LAYOUT, transcript="start")
CROSSING = Crossing(study="sha256:study", way=LEG, step=STEP)
AUTHOR = Author("federated", "sha256:run", "leeds", SigningKey.from_bytes(b"leeds".ljust(32)))


def message(kind: str = "masked", size: int = 100) -> Message:
    return AUTHOR.say(kind, {"context": "c"}, BytesPayload(bytes(size)))


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "leeds.db")
    yield opened
    opened.close()


def opened(store: Store) -> tuple[Border, Ledger]:
    ledger = Ledger(store, "site/leeds", lambda: NOW)
    return Border(store, ledger, lambda: NOW), ledger


def test_a_row_says_what_left_and_what_permits_it(store: Store) -> None:
    border, ledger = opened(store)
    border.cross([message(), message("agree", 0)], CROSSING)
    border.seal({"run": "sha256:run"})
    register = read_register(store, ledger.log.entries())
    assert register.sealed == 2
    first, second = register.rows
    assert (first["question"], first["kind"], first["statistics"]) == ("death", "cox", ["count", "score"])
    assert (first["to_country"], first["receiver"], first["facilities"]) == ("US", "office", ["leeds-dc"])
    assert (first["flow"], first["mechanism"], first["study"]) == ("sums", "idta", "sha256:study")
    assert first["rules"] == ["XB-01", "XB-06", "XB-10"]
    assert second["statistics"] == []
    assert [row["bytes"] for row in register.rows] == [weight(message()), weight(message("agree", 0))]
    (day,) = register.by_day()
    assert (day["day"], day["messages"], day["statistics"]) == ("2026-01-31", 2, ["count", "score"])
    assert day["rules"] == ("XB-01", "XB-06", "XB-10")
    assert day["bytes"] == sum(row["bytes"] for row in register.rows)
    (entry,) = ledger.log.entries()
    assert (entry.event, entry.facts["messages"], entry.facts["bytes"]) == ("border", 2, day["bytes"])


def test_a_reply_written_ahead_is_one_row_until_it_leaves_again(store: Store) -> None:
    border, ledger = opened(store)
    reply = message()
    border.ahead("sha256:study", LEG, reply, STEP)
    assert len(read_register(store, ledger.log.entries()).rows) == 1
    border.cross([reply], CROSSING)
    assert len(read_register(store, ledger.log.entries()).rows) == 1
    border.cross([reply], CROSSING)  # sent again after a broken connection
    assert len(read_register(store, ledger.log.entries()).rows) == 2


def test_a_rehearsal_has_no_way(store: Store) -> None:
    border, ledger = opened(store)
    border.cross([message()], Crossing(study="sha256:study", way=None, step=None))
    assert "flow" not in read_register(store, ledger.log.entries()).rows[0]


def test_what_was_written_is_there_after_a_restart_and_sealed(store: Store) -> None:
    opened(store)[0].cross([message()], CROSSING)  # killed before the run's end
    border, ledger = opened(store)
    assert [entry.facts["messages"] for entry in ledger.log.entries()] == [1]
    border.cross([message()], CROSSING)
    border.seal({})
    border.seal({})
    assert [entry.facts["messages"] for entry in ledger.log.entries()] == [1, 2]
    opened(store)
    assert ledger.log.head().size == 2  # nothing new, no entry


@pytest.mark.parametrize("change", ["edited", "lost", "lost at the end", "added", "exchanged", "all made anew"])
def test_a_register_that_was_changed_is_noticed(store: Store, change: str) -> None:
    border, ledger = opened(store)
    for size in (10, 20, 30):
        border.cross([message(size=size)], CROSSING)
    border.seal({})
    read_register(store, ledger.log.entries())
    number = ROWS.c.number
    (row,) = store.rows(sa.select(ROWS).where(number == 2))
    match change:
        case "edited":
            smaller = bytes(row[2]).replace(b'"to_country":"US"', b'"to_country":"GB"')
            store.write(sa.update(ROWS).where(number == 2).values(row=smaller))
        case "lost":
            store.write(sa.delete(ROWS).where(number == 2), sa.update(ROWS).where(number == 3).values(number=2))
        case "lost at the end":
            store.write(sa.delete(ROWS).where(number == 3))
        case "added":
            store.write(sa.insert(ROWS).values(number=4, total=row[1], row=bytes(row[2]), head=row[3]))
        case "exchanged":
            store.write(sa.update(ROWS).where(number == 2).values(number=9))
            store.write(sa.update(ROWS).where(number == 3).values(number=2))
            store.write(sa.update(ROWS).where(number == 9).values(number=3))
        case "all made anew":
            store.write(sa.delete(ROWS))
            other = Ledger(store, "elsewhere", lambda: NOW)
            Border(store, other, lambda: NOW).cross([message(size=5)] * 3, CROSSING)
    with pytest.raises(Untrusted, match="E-LEDGER"):
        read_register(store, ledger.log.entries())


def test_a_site_whose_register_lacks_what_was_sealed_does_not_start(store: Store) -> None:
    border, _ = opened(store)
    border.cross([message(), message()], CROSSING)
    border.seal({})
    store.write(sa.delete(ROWS).where(ROWS.c.number == 2))
    with pytest.raises(Untrusted, match="E-ROLLBACK"):
        opened(store)


@pytest.mark.parametrize("change", ["edited", "head", "added"])
def test_a_node_whose_rows_were_edited_does_not_start(
    store: Store, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The twin that does not look starts, and goes on from what was edited."""
    border, _ = opened(store)
    border.cross([message(size=size) for size in (10, 20, 30)], CROSSING)
    border.seal({})
    opened(store)
    (row,) = store.rows(sa.select(ROWS).where(ROWS.c.number == 2))
    other = bytes(row[2]).replace(b'"to_country":"US"', b'"to_country":"GB"')
    match change:
        case "edited":
            store.write(sa.update(ROWS).where(ROWS.c.number == 2).values(row=other))
        case "head":
            store.write(sa.update(ROWS).where(ROWS.c.number == 2).values(head="0" * 64))
        case "added":
            store.write(sa.insert(ROWS).values(number=4, total=row[1], row=other, head=row[3]))
    with pytest.raises(Untrusted, match="E-ROLLBACK"):
        opened(store)
    monkeypatch.setattr(Border, "_checked", lambda _self, seal: seal["head"])
    opened(store)[0].cross([message()], CROSSING)


def test_a_register_that_was_long_not_sealed_is_looked_at_from_its_seal_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stopped in a long run starts; what it wrote down since the seal is looked at as a whole."""
    monkeypatch.setattr("isthmus.federation.border.LOOKED_AT", 3)
    border, ledger = opened(store)
    border.cross([message(size=size) for size in (1, 2)], CROSSING)
    border.seal({})
    border.cross([message(size=size) for size in range(3, 10)], CROSSING)
    (row,) = store.rows(sa.select(ROWS.c.row).where(ROWS.c.number == 4))
    store.write(sa.update(ROWS).where(ROWS.c.number == 4).values(row=b"{}"))
    with pytest.raises(Untrusted, match="E-ROLLBACK"):
        Border(store, ledger, lambda: NOW)
    store.write(sa.update(ROWS).where(ROWS.c.number == 4).values(row=bytes(row[0])))
    _, after = opened(store)
    assert read_register(store, after.log.entries()).sealed == 9


def test_a_long_register_is_looked_at_where_it_is_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.federation.border._PAGE", 2)
    border, ledger = opened(store)
    border.cross([message(size=size) for size in range(1, 8)], CROSSING)
    border.seal({})
    monkeypatch.setattr("isthmus.federation.border.LOOKED_AT", 3)
    opened(store)
    for number, starts in ((4, True), (5, False)):  # the newest three are 5, 6 and 7
        store.write(sa.update(ROWS).where(ROWS.c.number == number).values(row=b"{}"))
        if starts:
            opened(store)
        else:
            with pytest.raises(Untrusted, match="E-ROLLBACK"):
                opened(store)
    with pytest.raises(Untrusted, match="E-LEDGER"):
        read_register(store, ledger.log.entries())


def test_a_register_of_before_rows_had_several_rules_is_read(store: Store) -> None:
    border, ledger = opened(store)
    border.give("sha256:run", Crossing(study="s", way=None, step=None), {"statistics": [], "bytes": 1, "rule": "XB-10"})
    assert read_register(store, ledger.log.entries()).by_day()[0]["rules"] == ("XB-10",)


def test_no_result_goes_where_no_flow_lets_it(store: Store) -> None:
    study = {"dataset": "trial", "analyses": {"death": {"cox": {}}, "risk": {"glm": {}}, "arms": {"cox": {}}}}
    payload = base64.b64encode(json.dumps({"study": study}).encode()).decode()
    row = RunRow(
        run="sha256:run",
        number=1,
        study="sha256:study",
        created="",
        state="concluded",
        note="",
        request=json.dumps({"payload": payload}).encode(),
        charter=b"",
    )
    ways = {
        "ada": LEG,
        "eve": replace(LEG, to_country="FR", flow=None, mechanism=None),
        "kim": replace(LEG, flow=None, rules=()),
    }
    ledger = Ledger(store, "hub", lambda: NOW)
    border = HubBorder(store, ledger, lambda: NOW, lambda dataset, whom: ways[whom] if dataset == "trial" else None)
    with pytest.raises(Refused) as refused:
        border.given(row, "eve", 10)
    assert (refused.value.code, "FR" in refused.value.message) == ("E-FLOW", True)
    border.given(row, "ada", 1000)
    border.given(row, "kim", 20)  # at home: a mechanism and no flow
    found = read_register(store, ledger.log.entries())
    assert [(r["to"], r["message"], r["bytes"], r["to_country"]) for r in found.rows] == [
        ("ada", "result", 1000, "US"),
        ("kim", "result", 20, "US"),
    ]
    assert found.sealed == 2
    first, second = found.rows
    assert (first["question"], first["kind"], first["statistics"]) == ("death, risk, arms", "cox, glm", ["estimate"])
    assert (first["rules"], second["rules"]) == (list(LEG.rules), [])


def test_a_message_with_pooled_sums_says_of_what(store: Store) -> None:
    border, ledger = opened(store)
    other = replace(
        STEP, question="risk", kind="glm", layout=Layout(fields=(Field(name="n", shape=(2,), kind="cells"),))
    )
    crossing = Crossing("sha256:study", LEG, None, {"c1": STEP, "c2": other})
    asked = {"descriptor": {"question": "next", "kind": "cox"}, "sums": [{"context": "c1"}, {"context": "c2"}]}
    border.cross([AUTHOR.say("round", asked), AUTHOR.say("sum", {"sum": {"context": "c2"}})], crossing)
    border.cross([AUTHOR.say("round", asked | {"sums": []})], crossing)
    both, one, none = read_register(store, ledger.log.entries()).rows
    assert (both["question"], both["pooled"]) == ("next", ["death", "risk"])
    assert both["statistics"] == ["cells", "count", "score"]
    assert (one["question"], one["kind"], one["pooled"], one["statistics"]) == ("risk", "glm", ["risk"], ["cells"])
    assert (none["statistics"], "pooled" in none) == ([], False)


def test_an_answer_in_review_is_a_row_that_the_ledger_takes(store: Store) -> None:
    border, ledger = opened(store)
    way, said = ("sha256:study", LEG), {"answer": {"verdict": "waiting"}}
    border.answered("sha256:run", way, "reviewed", said)
    border.seal({"run": "sha256:run"})
    found = read_register(store, ledger.log.entries())
    (row,) = found.rows
    assert (row["message"], row["kind"], row["statistics"]) == ("reviewed", "review", ["decision"])
    assert (row["bytes"], row["rules"], row["to_country"], found.sealed) == (32, list(LEG.rules), "US", 1)
    border.answered("sha256:run", ("", None), "decline", {"error": {}})  # of a request that is nobody's
    border.answered("sha256:run", None, "decline", {"error": {}})  # a rehearsal has no border
    rows = read_register(store, ledger.log.entries()).rows
    assert [row["message"] for row in rows] == ["reviewed", "decline"]
    assert (rows[1]["study"], "mechanism" in rows[1]) == ("", False)


def test_the_rule_of_a_row_is_the_packs_rule_on_flows() -> None:
    rule = next(r for r in own_pack().rules if r.id == RULE)
    assert (rule.gate, rule.severity) == ("run", "deny")
    assert "a.flows.exists" in rule.requires
