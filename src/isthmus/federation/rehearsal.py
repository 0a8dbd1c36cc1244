"""A rehearsal: hub and sites on one machine, with the same gate, masking and protocol as between real sites.

The rules are stated by whoever owns the files; everything a run says is signed in mode `rehearsal`, which no serving
site accepts.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.crypto.keys import SigningKey
from isthmus.crypto.shares import threshold_for
from isthmus.data.dictionary import dictionary
from isthmus.data.inference import infer
from isthmus.data.persons import NOBODY, KeyArray, read_hashes
from isthmus.data.source import Source, open_source
from isthmus.disclosure.budget import Account, MemoryPurse, check_privacy
from isthmus.disclosure.rules import check_rules, restricts
from isthmus.federation.hub_work import HubWork
from isthmus.federation.memory import Network
from isthmus.federation.places import Place
from isthmus.federation.plan import Plan, inferred_reads, make_plan
from isthmus.federation.protocol.charter import Charter, Member
from isthmus.federation.protocol.hub import Failed, HubRun
from isthmus.federation.protocol.hub_end import Concluded
from isthmus.federation.protocol.journal import MemoryJournal
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.recall import Book, MemoryBook
from isthmus.federation.results import proof_of
from isthmus.federation.spool import Spool
from isthmus.federation.work import SiteWork
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted
from isthmus.model.privacy import Privacy
from isthmus.model.rules import Rules
from isthmus.model.study import Study, study_digest

ORIGIN = "isthmus.rehearsal/ledger"
ALONE = Account(person="rehearsal", project="")
COUNTRY = "GB"  # where none is stated
Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a rehearsal needs, opened and checked."""

    study: Study
    sources: Mapping[str, Source]
    countries: Mapping[str, str]
    rules: Rules
    dictionary: Codebook
    privacy: Privacy | None = None
    releases: tuple[str, ...] = ()

    def plan(self, run: str) -> Plan:
        """The plan that every party of the rehearsal derives."""
        whose = dict.fromkeys(Rules.__dataclass_fields__, "rehearsal")
        places = {site: Place(site, country) for site, country in self.countries.items()}
        return make_plan(
            run, self.study, self.dictionary, self.rules, whose, len(places), self.privacy, places, self.releases
        )


def stage(  # noqa: PLR0913 - what a rehearsal is given
    study: Study,
    sites: Mapping[str, Any],
    *,
    rules: Rules,
    countries: Mapping[str, str] | None,
    codebook: Codebook | None,
    privacy: Privacy | None = None,
    releases: tuple[str, ...] = (),
) -> Stage:
    """Open the sites' files and lay out the dictionary.

    Raises:
        Invalid, Unavailable: a file, the study, the rules or the codebook is not usable.
        Refused: E-MIN-SITES.
    """
    check_rules(rules, "rehearsal")
    if privacy is not None:
        check_privacy(privacy, rules.minimum_sites, len(sites))
    if len(sites) < rules.minimum_sites:
        raise Refused("E-MIN-SITES", f"fewer sites than minimum_sites = {rules.minimum_sites}", "add sites")
    sources = {name: open_source(spec) for name, spec in sites.items()}
    where = {name: (countries or {}).get(name, COUNTRY) for name in sites}
    if codebook is None:
        known = infer(study, sources, inferred_reads(study), where)
    else:
        known = dictionary(study, codebook, tuple(dict.fromkeys(where.values())))
    return Stage(study, sources, where, rules, known, privacy, releases)


def rehearse(  # noqa: PLR0913 - the SDK's options
    study: Study,
    sites: Mapping[str, Any],
    *,
    rules: Rules,
    countries: Mapping[str, str] | None = None,
    codebook: Codebook | None = None,
    progress: Progress | None = None,
    privacy: Privacy | None = None,
    releases: tuple[str, ...] = (),
    now: datetime,
) -> dict[str, Any]:
    """Run a study over `sites` (name -> file or Arrow table) in this process; the result of STUDY's format.

    `releases`: as an agreement would allow them.

    Raises:
        IsthmusError: as `stage`; Untrusted or Unavailable when the run fails.
    """
    staged = stage(
        study, sites, rules=rules, countries=countries, codebook=codebook, privacy=privacy, releases=releases
    )
    open_all(staged)
    keys = {name: SigningKey.generate() for name in staged.sources}
    hub_key = SigningKey.generate()
    charter = charter_of(staged, {name: key.public for name, key in keys.items()}, hub_key.public, now.isoformat())
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        network, works = _network(staged, charter, (hub_key, keys), Path(folder), now)
        for site in staged.sources:
            network.connect(site)
        while network.links:
            network.step(next(iter(network.links)))
            if progress is not None:
                progress(_heard(network.hub))
        body = result_body(network.hub, number=charter.number)
        return candid(body, staged, {name: work.faults for name, work in works.items()})


def charter_of(staged: Stage, keys: Mapping[str, bytes], hub_key: bytes, created: str) -> Charter:
    """The charter of a rehearsal: every site is a party of its own."""
    roster = tuple(
        Member(site=name, party=name, country=staged.countries[name], key=keys[name].hex()) for name in staged.countries
    )
    rules = digest({"rehearsal": staged.rules, "dictionary": staged.dictionary, "privacy": staged.privacy})
    study = study_digest(staged.study)
    return Charter(
        protocol="secagg/1",
        mode="rehearsal",
        run=digest({"study": study, "rules": rules, "roster": roster, "created": created}),
        number=1,
        study=study,
        agreement=rules,
        roster=roster,
        threshold=threshold_for(len(roster)),
        minimum_sites=staged.rules.minimum_sites,
        hub_key=hub_key.hex(),
        vote_after=0.0,
    )


def _network(
    staged: Stage, charter: Charter, keys: tuple[SigningKey, Mapping[str, SigningKey]], folder: Path, now: datetime
) -> tuple[Network, dict[str, SiteWork]]:
    hub_key, site_keys = keys
    plan = staged.plan(charter.run)
    spools = {name: _spool(folder / name) for name in ("hub", *site_keys)}
    log = Log(MemoryStore(), ORIGIN, lambda: now)
    hub = HubRun(hub_key, charter, HubWork(plan, staged.dictionary), MemoryJournal(), spools["hub"], log)
    works = {name: site_work(staged, plan, name, lambda _question, _reason: None) for name in site_keys}
    sites = {}
    for name, key in site_keys.items():
        local = Local(
            key=key,
            journal=MemoryJournal(),
            spool=spools[name],
            randomness=secrets.token_bytes,
            clock=lambda: int(now.timestamp()),
            snapshot=staged.sources[name].fingerprint(),
            anchor=None,
        )
        sites[name] = SiteRun(name, charter, works[name], local)
    return Network(hub=hub, sites=sites, spools=spools), works


def site_work(
    staged: Stage, plan: Plan, name: str, note: Callable[[str, str], None], book: Book | None = None
) -> SiteWork:
    """A site's copy of a rehearsal; without a `book` it recalls nothing but the study's own questions."""
    return SiteWork(
        plan=plan,
        site=name,
        country=staged.countries[name],
        source=staged.sources[name],
        rules=staged.rules,
        randomness=secrets.token_bytes,
        cache={},
        note=note,
        book=MemoryBook(lambda: _before(staged, name)) if book is None else book,
        codebook=staged.dictionary,
        person=_person(staged, name),
        purse=None if staged.privacy is None else MemoryPurse(staged.privacy, ALONE),
    )


def _before(staged: Stage, name: str) -> KeyArray:
    """Hashes of the rows of the sites before this one: equal rows of two sites are two rows."""
    book, secret = staged.dictionary, MemoryBook().secret()
    earlier = sorted(site for site in staged.sources if site < name)
    read = [read_hashes(staged.sources[site], book, _person(staged, site), secret)[0] for site in earlier]
    return np.concatenate([NOBODY, *read])


def _person(staged: Stage, name: str) -> str | None:
    """The person column, where the file has it."""
    person = staged.dictionary.person
    return person if person in staged.sources[name].schema() else None


def candid(
    body: dict[str, Any], staged: Stage, met: Mapping[str, Mapping[str, IsthmusError]] | None = None
) -> dict[str, Any]:
    """On files of one's own, a refusal whose cause is the data says so; between parties the constant text stands.

    Where rules restrict, as they would between parties, it does not say at which site.

    `met`: per site, what it met in the rounds of a question.
    """
    if all(answer.get("status") != "refused" for answer in body["analyses"].values()):
        return body
    plan, hidden = staged.plan(""), restricts(staged.rules)
    for site in staged.sources:
        found = site_work(staged, plan, site, lambda _question, _reason: None).check()
        for name, fault in {**(met or {}).get(site, {}), **found}.items():
            answer = body["analyses"].get(name)
            if answer is not None and answer.get("status") == "refused":
                told = Invalid(fault.code, fault.message, fault.hint, "" if hidden else f"site {site}")
                answer |= {"status": "failed", "error": told.to_dict()}
    return body


def open_all(staged: Stage) -> None:
    """Read every site's rows, so that data which do not fit are told by site and column before anything starts.

    Raises:
        Invalid: a fault of a table, naming the site.
    """
    plan = staged.plan("")
    for site in staged.sources:
        try:
            site_work(staged, plan, site, lambda _question, _reason: None).open()
        except Invalid as fault:
            raise Invalid(fault.code, fault.message, fault.hint, f"site {site}") from fault


def _spool(folder: Path) -> Spool:
    folder.mkdir()
    return Spool(folder)


def _heard(hub: HubRun) -> dict[str, Any]:
    seen = hub.progress()
    step = f"{seen.question} {seen.round}" if seen.question else seen.stage
    return {"step": step, "sites": {site: {"bytes": t.received} for site, t in hub.traffic.items()}}


def result_body(hub: HubRun, number: int) -> dict[str, Any]:
    """The result with its traffic and proof, from a hub whose run has ended.

    Raises:
        Refused: a rule stopped the run.
        Untrusted: it failed.
    """
    state = hub.state
    if isinstance(state, Failed):
        kind = Refused if state.code == "E-DISCLOSURE" else Untrusted
        raise kind(state.code, state.message)
    if not isinstance(state, Concluded):
        raise Untrusted("E-RUN", "the run did not come to its end")
    mode = hub.charter.mode
    traffic = {
        "rows_left": 0,
        "bytes_out": {site: t.received for site, t in hub.traffic.items()},
        "messages": sum(t.messages for t in hub.traffic.values()),
    }
    head = {"run": number, "mode": mode, "status": "rehearsed" if mode == "rehearsal" else "released"}
    signed = (state.transcript, state.signatures)
    proof = proof_of(hub.charter.run, signed, state.note, bytes.fromhex(hub.charter.hub_key))
    return {**state.result, **head, "traffic": traffic, "proof": proof}
