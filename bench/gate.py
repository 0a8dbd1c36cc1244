"""What all rules cost: the same fits under every rule and history, and under the minimum count alone.

Three sites and a hub in one process, with real gate, votes, masks, signatures and protocol; the first run reads and
prepares the columns, the next find them cached, as a site's later questions do. Pairs are interleaved, so that a busy machine
slows both sides. That a site numbers the rows of a snapshot, once in its life, is measured by itself.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import data
from bench.models import COUNTRIES, FLOOR, NAMES, codebook, study
from bench.nodes import now
from bench.table import Measure
from bench.targets import ALL_RULES, ALONE, CACHED, ENROLMENT, FIRST, RATIO
from isthmus.crypto.keys import SigningKey
from isthmus.data.persons import read_keys
from isthmus.federation.book import SqlBook
from isthmus.federation.hub_work import HubWork
from isthmus.federation.memory import Network
from isthmus.federation.protocol.hub import HubRun
from isthmus.federation.protocol.journal import MemoryJournal
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.rehearsal import ORIGIN, Stage, charter_of, result_body, site_work, stage
from isthmus.federation.spool import Spool
from isthmus.federation.store import open_store
from isthmus.federation.work import SiteWork
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.rules import OPEN, Rules

KINDS = ("glm", "cox_site")
ONE = replace(OPEN, minimum_count=FLOOR.minimum_count, minimum_sites=FLOOR.minimum_sites, digits=FLOOR.digits)


class Unrecalling(SiteWork):
    """A site that votes by its rules alone, without the history."""

    __slots__ = ()

    def _votes(self) -> list[bool]:
        return [self._agrees(question, rung) for question, rung in self.plan.words]


@dataclass
class Side:
    """Sites under one set of rules, with what they keep between runs."""

    rules: Rules
    recalls: bool
    folder: Path
    caches: dict[str, dict[str, Any]] = field(default_factory=dict)
    books: dict[str, SqlBook] = field(default_factory=dict)

    def works(self, staged: Stage, run: str) -> dict[str, SiteWork]:
        """Each site's copy of a run."""
        plan = staged.plan(run)
        return {name: self._work(site_work(staged, plan, name, _silent, self.book(name))) for name in staged.sources}

    def _work(self, own: SiteWork) -> SiteWork:
        own.cache = self.caches.setdefault(own.site, {})
        if not self.recalls:
            own.__class__ = Unrecalling
        return own

    def book(self, site: str) -> SqlBook:
        """A site's history."""
        if site not in self.books:
            self.books[site] = SqlBook(open_store(self.folder / f"{site}.db"), "bench", "ada", (None, None))
        return self.books[site]


def costs(rows_per_site: int, repeats: int) -> list[Measure]:
    """First and cached runs of each fit on both sides."""
    taken: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        files = data.write(data.make(rows_per_site), Path(text))
        for turn, kind in product(range(repeats), KINDS):
            print(f"gate: turn {turn + 1} of {repeats}, {kind}", file=sys.stderr, flush=True)
            folder = Path(text) / f"{kind}-{turn}"
            sides = _sides(folder)
            taken.setdefault((ENROLMENT, ALL_RULES), []).append(_enrolled(sides[ALL_RULES], files, kind))
            for when in (FIRST, CACHED, CACHED, CACHED):
                for name in sorted(sides, reverse=bool(turn % 2)):
                    taken.setdefault((f"{NAMES[kind]}, {when}", name), []).append(_fit(sides[name], files, kind))
    measures = [
        Measure(part, name, "s", tuple(values), "three sites in turn") for (part, name), values in taken.items()
    ]
    parts = [part for part, name in taken if name == ALONE]
    return measures + [Measure(part, RATIO, "x", _ratios(taken, part), "pairs, one after the other") for part in parts]


def _ratios(taken: Mapping[tuple[str, str], list[float]], part: str) -> tuple[float, ...]:
    return tuple(all_rules / alone for all_rules, alone in zip(taken[part, ALL_RULES], taken[part, ALONE], strict=True))


def _sides(folder: Path) -> dict[str, Side]:
    made = {ALONE: Side(ONE, False, folder / "alone"), ALL_RULES: Side(FLOOR, True, folder / "all")}
    for side in made.values():
        side.folder.mkdir(parents=True)
    return made


def _enrolled(side: Side, files: Mapping[str, Path], kind: str) -> float:
    """Seconds until every site's history knows the rows of its snapshot."""
    staged = _staged(side, files, kind)
    began = perf_counter()
    for name, source in staged.sources.items():
        read = partial(read_keys, source, staged.dictionary, None)
        side.book(name).enrol(source.fingerprint(), read)
    return perf_counter() - began


def _staged(side: Side, files: Mapping[str, Path], kind: str) -> Stage:
    asked = study(0).record
    asked = replace(asked, analyses={kind: asked.analyses[f"{kind}_0"]})
    return stage(asked, files, rules=side.rules, countries=COUNTRIES, codebook=codebook())


def _fit(side: Side, files: Mapping[str, Path], kind: str) -> float:
    """Seconds from the first vote to the result."""
    staged = _staged(side, files, kind)
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        network = _network(side, staged, Path(text))
        began = perf_counter()
        for site in staged.sources:
            network.connect(site)
        while network.links:
            network.step(next(iter(network.links)))
        seconds = perf_counter() - began
        answer = result_body(network.hub, number=1)["analyses"][kind]
    if answer.get("status") is not None:
        raise RuntimeError(f"{kind}: {answer['error']}")
    return seconds


def _network(side: Side, staged: Stage, folder: Path) -> Network:
    keys, hub_key = {name: SigningKey.generate() for name in staged.sources}, SigningKey.generate()
    public = {name: key.public for name, key in keys.items()}
    charter = charter_of(staged, public, hub_key.public, secrets.token_hex(8))
    spools = {name: Spool(place) for name, place in _folders(folder, ("hub", *keys))}
    work = HubWork(staged.plan(charter.run), staged.dictionary)
    hub = HubRun(hub_key, charter, work, MemoryJournal(), spools["hub"], Log(MemoryStore(), ORIGIN, now))
    sites = {}
    for name, own in side.works(staged, charter.run).items():
        local = Local(
            key=keys[name],
            journal=MemoryJournal(),
            spool=spools[name],
            randomness=secrets.token_bytes,
            clock=lambda: int(now().timestamp()),
            snapshot=staged.sources[name].fingerprint(),
            anchor=None,
        )
        sites[name] = SiteRun(name, charter, own, local)
    return Network(hub=hub, sites=sites, spools=spools)


def _folders(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for name in names:
        (folder / name).mkdir()
        yield name, folder / name


def _silent(question: str, reason: str) -> None:
    del question, reason
