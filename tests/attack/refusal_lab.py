"""Real runs in one process, with everything that the hub sees written down: messages, ledger, status, result."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hole_lab
import pyarrow as pa

import isthmus
from isthmus.crypto.keys import SigningKey
from isthmus.federation import rehearsal
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, Message, read_all
from isthmus.model.canonical import plain
from isthmus.model.rules import Rules
from isthmus.strict import parse
from secagg_lab import Drawn

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
NAMES = ("s0", "s1", "s2")
STRICT = parse(Rules, hole_lab.STRICT, "rules")
ASKED: Mapping[str, Any] = {
    "deaths": {"count": {"by": ["DIED"]}},
    "model": {"glm": {"formula": "DIED ~ AGE + ARM", "family": "binomial"}},
    "arms": {"crosstab": {"rows": "ARM", "columns": "DIED"}},
}


@dataclass
class Seen:
    """What one run showed the hub, in order."""

    messages: list[tuple[str, str, Any, int, int]] = field(default_factory=list)
    bodies: dict[str, list[bytes]] = field(default_factory=dict)  # masked replies by site
    body: dict[str, Any] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)
    status: list[Any] = field(default_factory=list)
    notes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def public(self) -> str:
        """All of it but the masked bytes, with everything that is random in every run taken out."""
        return _plain([self.messages, self.body, self.ledger, self.status])


def _plain(told: Any) -> str:
    """Hex and base64 of keys, digests, signatures and cosignatures become their length."""
    text = json.dumps(told, sort_keys=True, default=str)
    return re.sub(r"[0-9a-f]{32,}|[0-9A-Za-z+/=]{40,}", lambda found: f"<{len(found.group())}>", text)


def run(folder: Path, prepare: Callable[[Network], None], asked: Mapping[str, Any] = ASKED) -> Seen:
    """One rehearsal of `asked` over three invented sites; `prepare` bends it before the first message."""
    study = isthmus.Study(
        title="t", question="q", dataset="d", analyses=dict(asked),
        purpose={"duo": "DUO:0000007", "text": "x", "commercial": False},
    ).record  # fmt: skip
    tables = {name: pa.table(table) for name, table in zip(NAMES, hole_lab.sites(), strict=True)}
    staged = rehearsal.stage(study, tables, rules=STRICT, countries=None, codebook=None)
    keys = {name: SigningKey.from_bytes(Drawn(f"key {name}")(32)) for name in (*NAMES, HUB)}
    public = {name: keys[name].public for name in NAMES}
    charter = rehearsal.charter_of(staged, public, keys[HUB].public, NOW.isoformat())
    folder.mkdir(parents=True, exist_ok=True)
    network, _ = rehearsal._network(staged, charter, (keys.pop(HUB), keys), folder, NOW)
    seen = Seen()
    for name, site in network.sites.items():
        seen.notes[name] = []
        site._work.note = lambda question, why, to=seen.notes[name]: to.append((question, why))
    prepare(network)
    for _ in watched(network, seen):
        seen.status.append(plain(network.hub.progress()))
    seen.ledger = [entry.facts for entry in network.hub._log.entries()]
    seen.body = rehearsal.result_body(network.hub, 1)
    return seen


def watched(network: Network, seen: Seen) -> Iterator[None]:
    """Deliver everything, and write down what reaches the hub."""
    receive = network.hub.receive

    def spy(message: Message) -> Any:
        raw = read_all(message.body) if message.body.size else b""
        seen.messages.append(
            (message.sender, message.kind, plain(dict(message.header)), message.body.size, len(message.enclosed))
        )
        if message.kind == "masked":
            seen.bodies.setdefault(message.sender, []).append(raw)
        return receive(message)

    network.hub.receive = spy  # type: ignore[method-assign]
    for name in network.sites:
        network.connect(name)
    while network.links:
        network.step(next(iter(network.links)))
        yield


def stricter(network: Network, site: str) -> None:
    """A custodian's own limit, that the first round of a logistic model keeps and a later one breaks."""
    work = network.sites[site]._work
    work.rules = replace(work.rules, maximum_weight_share=1.02 / hole_lab.ROWS)  # type: ignore[misc]


def larger_cells(network: Network, site: str) -> None:
    """A custodian's own limit, that `arms` breaks: the site says no in the vote."""
    work = network.sites[site]._work
    work.rules = replace(work.rules, minimum_count_site=100)  # type: ignore[misc]


def alike(runs: Mapping[str, Seen]) -> bool:
    """Whether all runs showed the hub the same, but for random bytes."""
    return len({seen.public() for seen in runs.values()}) == 1
