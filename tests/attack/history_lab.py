"""Sites that are asked one study after another: real gate, masks and protocol in memory, a store on disk for each site.

`Forgetful` sites recall nothing between studies; `Recalling` ones keep their history in a store that is opened anew for
every study. What the hub learns are the pooled sums.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.crypto.keys import SigningKey
from isthmus.data.source import Source
from isthmus.disclosure.rules import read_rules
from isthmus.federation.book import Known, SqlBook
from isthmus.federation.hub_work import HubWork
from isthmus.federation.memory import Network
from isthmus.federation.protocol.hub import HubRun
from isthmus.federation.protocol.journal import MemoryJournal
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.recall import Book, MemoryBook
from isthmus.federation.rehearsal import ORIGIN, Stage, charter_of, result_body, site_work, stage
from isthmus.federation.snapshots import Lineage
from isthmus.federation.spool import Spool
from isthmus.federation.store import Store, open_store
from isthmus.federation.work import SiteWork
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.study import Study
from isthmus.strict import parse
from isthmus.summary import Summary
from stated_rules import STRICT

BOOK = Codebook(
    name="ward",
    person="id",
    variables={
        "AGE": Variable(type="number", range=(0, 120)),
        "SBP": Variable(type="number", range=(0, 400)),
        "DIED": Variable(type="integer", range=(0, 1)),
        "ARM": Variable(type="category", levels=("A", "B")),
    },
)
ROWS = 400
VICTIM = 7  # row of leeds
VICTIMS_AGE = 47.77  # nobody else's


def wards() -> dict[str, pa.Table]:
    """Three sites of invented patients."""
    return {name: ward(seed) for seed, name in enumerate(("leeds", "oxford", "boston"))}


def ward(seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    age = np.round(draw.uniform(20, 90, ROWS), 1)
    if seed == 0:
        age[VICTIM] = VICTIMS_AGE
    return pa.table(
        {
            "id": [f"{seed}-{i}" for i in range(ROWS)],
            "AGE": age,
            "SBP": np.round(draw.normal(130, 15, ROWS), 1),
            "DIED": (draw.random(ROWS) < 0.4).astype(np.int64),
            "ARM": np.where(draw.random(ROWS) < 0.5, "A", "B"),
        }
    )


@dataclass
class Asked:
    """What one study gave: the result people see, and the sums that the hub saw."""

    result: dict[str, Any]
    sums: dict[tuple[str, int], Summary]

    def refused(self, name: str) -> bool:
        return bool(self.result["analyses"][name].get("status") == "refused")

    def total(self, name: str, of: str) -> float:
        """A pooled sum of the first round."""
        return float(np.asarray(self.sums[name, 1].values[of]).reshape(-1)[0])


@dataclass
class Forgetful:
    """Sites without a history."""

    tables: dict[str, pa.Table] = field(default_factory=wards)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    codebook: Codebook = field(default_factory=lambda: BOOK)

    def book(self, site: str) -> Book:
        del site
        return MemoryBook()

    def served(self, site: str, source: Source) -> Source:
        """What the site answers from."""
        del site
        return source

    def work(self, site: str, own: SiteWork) -> Any:
        """A site's copy of a run, as the protocol gets it."""
        del site
        return own

    def ask(
        self, where: str | None = None, keys: Mapping[str, Any] | None = None, **analyses: Mapping[str, Any]
    ) -> Asked:
        """One study over all sites; `keys` are further keys of the study."""
        stated = {
            **(keys or {}),
            "isthmus": "study/1",
            "title": "t",
            "dataset": "ward",
            "analyses": analyses,
            "purpose": {"duo": "DUO:0000007", "text": "x"},
        }
        study = parse(Study, stated | ({"population": {"where": where}} if where else {}))
        staged = stage(
            study, self.tables, rules=read_rules(STRICT, "rehearsal"), countries=None, codebook=self.codebook
        )
        served = {name: self.served(name, source) for name, source in staged.sources.items()}
        return self._run(replace(staged, sources=served))

    def _run(self, staged: Stage) -> Asked:
        keys, hub_key = {name: SigningKey.generate() for name in staged.sources}, SigningKey.generate()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        public = {name: key.public for name, key in keys.items()}
        charter = charter_of(staged, public, hub_key.public, secrets.token_hex(8))
        plan = staged.plan(charter.run)
        work = HubWork(plan, staged.dictionary)
        with scratch() as folder:
            spools = {name: _spool(folder / name) for name in ("hub", *keys)}
            hub = HubRun(
                hub_key, charter, work, MemoryJournal(), spools["hub"], Log(MemoryStore(), ORIGIN, lambda: now)
            )
            sites = {}
            for name, key in keys.items():
                note = lambda question, why, site=name: self.notes.append((site, question, why))  # noqa: E731
                own = self.work(name, site_work(staged, plan, name, note, self.book(name)))
                local = Local(
                    key=key,
                    journal=MemoryJournal(),
                    spool=spools[name],
                    randomness=secrets.token_bytes,
                    clock=lambda: int(now.timestamp()),
                    snapshot=staged.sources[name].fingerprint(),
                    anchor=None,
                )
                sites[name] = SiteRun(name, charter, own, local)
            network = Network(hub=hub, sites=sites, spools=spools)
            for name in sites:
                network.connect(name)
            while network.links:
                network.step(next(iter(network.links)))
            result = result_body(hub, number=1)
        return Asked(result, {(step.question, step.round): pooled for step, pooled in work._sums})


@dataclass
class Recalling(Forgetful):
    """Sites that keep their history in a store of their own, and know what was asked since their process began."""

    folder: Path = Path()
    cap: tuple[int | None, int | None] = (None, None)
    stores: list[Store] = field(default_factory=list)
    known: dict[str, dict[tuple[str, str], Known]] = field(default_factory=dict)

    def book(self, site: str) -> Book:
        self.stores.append(open_store(self.folder / f"{site}.db"))
        return SqlBook(self.stores[-1], "ward", "ada", self.cap, known=self.known.setdefault(site, {}))

    def served(self, site: str, source: Source) -> Source:
        self.stores.append(open_store(self.folder / f"{site}.db"))
        folder = self.folder / site
        return Lineage(self.stores[-1], folder, "ward", self.codebook, "id", STRICT["minimum_count"]).served(source)

    def ask(
        self, where: str | None = None, keys: Mapping[str, Any] | None = None, **analyses: Mapping[str, Any]
    ) -> Asked:
        try:
            return super().ask(where, keys, **analyses)
        finally:
            while self.stores:
                self.stores.pop().close()


def scratch() -> Any:
    import tempfile

    class Folder(tempfile.TemporaryDirectory):  # type: ignore[type-arg]
        def __enter__(self) -> Path:
            return Path(super().__enter__())

    return Folder(prefix="isthmus-lab-")


def _spool(folder: Path) -> Spool:
    folder.mkdir()
    return Spool(folder)
