"""Desks of a federated hub and site: the signed agreement decides who takes part, and in what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.crypto.keys import SigningKey
from isthmus.data.dictionary import read_codebook
from isthmus.data.source import Source
from isthmus.disclosure.budget import Account
from isthmus.disclosure.rules import with_own
from isthmus.federation import unagreed
from isthmus.federation.book import Known, SqlBook
from isthmus.federation.by_law import refusal_of
from isthmus.federation.config import Config, read_config
from isthmus.federation.control import Clock
from isthmus.federation.deidentified import Rows
from isthmus.federation.desk import Desk, Note, Request, Seat
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.holdings import Holdings
from isthmus.federation.hub_node import HubSetup
from isthmus.federation.hub_work import HubWork as OurHubWork
from isthmus.federation.identity import Ask, Identity, load_identity
from isthmus.federation.law import Asked, Law, enter_once, law_of, taken
from isthmus.federation.named import read_agreement, store_of
from isthmus.federation.node import Ledger, Means, log_to_stderr
from isthmus.federation.outputs import outputs
from isthmus.federation.parties import hub_address, parties_of
from isthmus.federation.plan import study_reads
from isthmus.federation.protocol.charter import Charter, HubWork
from isthmus.federation.purse import SqlPurse, budget_of
from isthmus.federation.reach import Reach
from isthmus.federation.recall import Enrolled
from isthmus.federation.refusals import Refusals
from isthmus.federation.request import charter_of, dataset_of, outside, plan_of, way_of
from isthmus.federation.revocations import Revocations, beside
from isthmus.federation.site_node import SiteSetup
from isthmus.federation.site_review import Admitted, SiteReview, SiteReviewer, admitted_of, site_review
from isthmus.federation.snapshots import Lineage
from isthmus.federation.store import Store
from isthmus.federation.work import SiteWork as OurSiteWork
from isthmus.governance.admission import Door, RunRequest, admit, admit_at_hub, asker, sign_request, without
from isthmus.governance.agreement import Agreement, agreement_digest, check_in_force, shared_rules
from isthmus.governance.citations import cited
from isthmus.governance.route import way_from_hub, way_out
from isthmus.governance.signing import SignedAgreement, check_own_site, check_signatures, verify_agreement
from isthmus.model.canonical import canonical, digest, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError
from isthmus.model.rules import Rules
from isthmus.model.study import Study
from isthmus.strict import parse

HELD = "agreement"


@dataclass(frozen=True, slots=True)
class AgreedHub:
    """The hub's desk: `codebooks` by dataset name, each checked against the agreement when it is used."""

    signed: SignedAgreement
    codebooks: Mapping[str, Codebook]
    revocations: Revocations

    @property
    def desk(self) -> Desk:
        """What is common."""
        return common(self.signed.agreement, self.revocations)

    def admit(self, request: Request, now: datetime) -> tuple[Charter, HubWork]:
        """The run of a request, and the hub's work."""
        agreement = self.signed.agreement
        asked = admit_at_hub(request, agreement, "federated", now)
        book = self.codebooks.get(asked.study.dataset)
        if book is None or digest(book) != agreement.dataset(asked.study.dataset).codebook:
            raise Invalid(
                "E-CODEBOOK", "the hub does not have the agreed codebook of this dataset", "add it to its [dataset.*]"
            )
        charter = charter_of(asked, agreement)
        return charter, OurHubWork(plan_of(charter, asked, agreement, book), book)

    def envelopes(self) -> list[Any]:
        """The agreement with its signatures, for the bundle."""
        return [plain(self.signed)]


@dataclass(frozen=True, slots=True)
class AgreedSite:
    """A site's desk.

    Attributes:
        store: the site's own; the history of questions is in it.
        law: the rules of law that a study must keep.
        review: what its custodians say of a study; None where the agreement asks nobody.
        cache: keeps columns and evidence between runs on the same data.
        snapshots: ids of the rows of each dataset's last snapshot.
        known: questions that were asked of them since this process began.
        rows: what its rows were seen to show.
    """

    agreement: Agreement
    name: str
    config: Config
    environ: Mapping[str, str]
    randomness: Callable[[int], bytes]
    store: Store
    law: Law
    review: SiteReview | None = None
    cache: MutableMapping[str, Any] = field(default_factory=dict)
    snapshots: dict[str, tuple[str, Enrolled]] = field(default_factory=dict)
    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", Rows(self.agreement, self.name))

    @property
    def holdings(self) -> Holdings:
        """What this site holds."""
        return Holdings(self.config, self.environ)

    @property
    def desk(self) -> Desk:
        """What is common."""
        out = partial(way_of, agreement=self.agreement, site=self.name)
        return replace(common(self.agreement, self.law.revocations), operate=self.law.operate, out=out)

    def admit(self, request: Request, now: datetime, note: Note) -> Seat:
        """This site's seat in the run of a request."""
        agreement = self.agreement
        case, decision, source = self._seen(request, now)
        asked, researcher, book, rules = case.request, case.person, case.codebook, case.rules
        if self.review is not None and self.review.of_studies:
            decision |= {"approval": self.review.require(request, admitted_of(case, decision), now)}
        decision |= {"reach": self.law.reach.add(agreement, asked.study.dataset, now)}
        charter = charter_of(asked, agreement)
        person = self.holdings.person(asked.study.dataset, book, source)
        folder = self.config.base / "snapshots"
        lineage = Lineage(self.store, folder, asked.study.dataset, book, person, rules.minimum_count or 1)
        source = lineage.served(source)
        self.rows.before_use(asked.study.dataset, source, book, person)
        work = OurSiteWork(
            plan=plan_of(charter, asked, agreement, book),
            site=self.name,
            country=agreement.site(self.name).country,
            source=source,
            rules=rules,
            randomness=self.randomness,
            cache=self.cache,
            note=note,
            book=self._book(asked.study.dataset, researcher),
            codebook=book,
            person=person,
            purse=self._purse(asked.study, researcher),
        )
        work.open()

        def egress(result: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
            return self.law.egress(case, work.own, lambda terms: outputs(work.script, result, terms), (now, at))

        way, still = way_out(agreement, self.name, asked.study.dataset), partial(self.law.admit, case)
        told = partial(self.law.told, decision)
        return Seat(charter, work, source.fingerprint(), decision, still, egress, way, told)

    def admitted(self, request: Request, now: datetime) -> Admitted:
        """A study that agreement and law let in; people have not been asked. Opens no data."""
        case, verdicts, _ = self._seen(request, now)
        return admitted_of(case, verdicts)

    def _seen(self, request: Request, now: datetime) -> tuple[Asked, dict[str, Any], Source]:
        asked = admit(request, self._door(request), now)
        book, source = self.holdings.codebook(asked.study.dataset), self.holdings.source(asked.study.dataset)
        if book is None or source is None:
            raise Invalid("E-DATASET", "this site does not map the dataset", "add [dataset.NAME] to isthmus.toml")
        left = without(asked.study, outside(asked.study, self.agreement, book))
        researcher, reads = asker(request, self.agreement), study_reads(left, book)
        case = Asked(asked, researcher, reads, book, self._rules(asked.study.dataset))
        return case, self.law.admit(case, now), source

    def _book(self, dataset: str, researcher: str) -> SqlBook:
        cap = self.agreement.dataset(dataset).questions
        caps = (None, None) if cap is None else (cap.total, cap.each)
        return SqlBook(self.store, dataset, researcher, caps, self.snapshots, self.known)

    def _purse(self, study: Study, researcher: str) -> SqlPurse | None:
        """The dataset's budget here. A new version of the agreement and a new snapshot draw on the same one."""
        privacy = self.agreement.dataset(study.dataset).privacy
        if privacy is None:
            return None
        return SqlPurse(
            self.store,
            budget_of(self.agreement, study.dataset),
            privacy,
            Account(person=researcher, project=study.project or ""),
        )

    def _door(self, request: Request) -> Door:
        agreement = self.agreement
        dataset = dataset_of(request)
        known = {entry.dataset for entry in agreement.datasets}
        book = self.holdings.codebook(dataset)
        return Door(
            agreement=agreement,
            site=self.name,
            mode="federated",
            rules=self._rules(dataset) if dataset in known else agreement.disclosure,
            codebook=book,
            reads=lambda study: study_reads(study, book) if book else (),
        )

    def _rules(self, dataset: str) -> Rules:
        """What this site holds rows against: as agreed, or stricter by its own configuration."""
        return with_own(shared_rules(self.agreement, dataset).rules, self.config.site().rules)


def common(agreement: Agreement, revocations: Revocations) -> Desk:
    """What both kinds of desk know."""

    def in_force(now: datetime) -> None:
        revocations.check()
        check_in_force(agreement, now)

    asked = agreement if agreement.review is not None else None
    return Desk(
        "federated",
        agreement_digest(agreement),
        in_force,
        revocations,
        review=asked,
        way=lambda dataset, whom: way_from_hub(agreement, whom, dataset),
        witnesses={site.site: site.key for site in agreement.sites},
    )


# -- from a configuration file --------------------------------------------------------------------------------------


def hub_setup(path: Path, environ: Mapping[str, str], clock: Clock) -> HubSetup:
    """A hub ready to listen, from its isthmus.toml.

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys or agreement cannot be used.
    """
    config = read_config(path, environ)
    hub = config.hub()
    means = _means(config, hub.key, environ, clock)
    ledger = Ledger(means.store, "hub", clock)
    with _refusing(Refusals(means.store, ledger, clock)):
        signed = read_agreement(config, hub.agreement)
        agreement = check_signatures(signed, now=clock())
        if means.identity.key.public.hex() != agreement.hub.key:
            raise Invalid("E-KEY-PINNED", "the agreement has another key for the hub", "put this hub's card into it")
    books = {
        name: read_codebook(config.path(entry.codebook))
        for name, entry in config.tables.dataset.items()
        if entry.codebook is not None
    }
    enter_once(means.store, ledger, taken(signed, "admitted"))
    revocations = Revocations(agreement, means.store, _beside(config, hub.agreement))
    return HubSetup(means, parties_of(agreement), AgreedHub(signed, books, revocations), hub.listen)


def site_setup(path: Path, environ: Mapping[str, str], clock: Clock, randomness: Callable[[int], bytes]) -> SiteSetup:
    """A site ready to dial, from its isthmus.toml. It accepts the agreement only through its own custodian's key.

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys or agreement cannot be used.
    """
    config = read_config(path, environ)
    site = config.site()
    if site.custodian is None:
        raise Invalid(
            "E-CONFIG", "the site does not state its custodian's key", "custodian = '<hex>' in [site]", "site.custodian"
        )
    means = _means(config, site.key, environ, clock)
    ledger = Ledger(means.store, f"site/{means.identity.name}", clock)
    refusals = Refusals(means.store, ledger, clock)
    with _refusing(refusals):
        signed = read_agreement(config, site.agreement)
        agreement, law = _accepted(config, means, signed, _key(site.custodian), clock())
    law.take(means.store, ledger, clock(), signed)
    means.store.set_fact(HELD, canonical(agreement).decode())
    review = site_review(config, agreement, site.name, means.store)
    desk = AgreedSite(agreement, site.name, config, environ, randomness, means.store, law, review)
    unagreed.say(site.name, agreement.datasets, desk.holdings, refusals, log_to_stderr(site.name))
    desk.rows.at_start(desk.holdings, Ledger(means.store, f"site/{means.identity.name}/private", clock))
    reviewer = SiteReviewer(review, desk.admitted) if review is not None else None
    return SiteSetup(means, hub_address(agreement, site.hub), desk, reviewer)


@contextmanager
def _refusing(refusals: Refusals) -> Iterator[None]:
    """A node that does not take its agreement enters that, once a day, and says which rule stands behind it."""
    try:
        yield
    except IsthmusError as error:
        refusals.enter("agreement", {"what": "agreement", **refusal_of(error)})
        raise cited(error) from error


def _accepted(
    config: Config, means: Means, signed: SignedAgreement, custodian: bytes, now: datetime
) -> tuple[Agreement, Law]:
    site = config.site()
    agreement = verify_agreement(signed, custodian, held_agreement(means.store), now)
    check_own_site(agreement, site.name, means.identity.key.public, custodian)
    with_own(agreement.disclosure, site.rules)  # out of range: said now, not when a study comes
    revocations = Revocations(agreement, means.store, _beside(config, site.agreement))
    return agreement, law_of(config, signed, revocations, Reach(means.store))


def held_agreement(store: Store) -> Agreement | None:
    """The highest version this site has accepted."""
    held = store.fact(HELD)
    return parse(Agreement, json.loads(held), "agreement") if held else None


@dataclass(frozen=True, slots=True)
class Researcher:
    """A researcher ready to ask: keys, the agreement, a connection."""

    identity: Identity
    agreement: Agreement
    client: HubClient

    def submit(self, study: Study, number: int, now: datetime, passport: str | None = None) -> str:
        """Sign a study and send it to the hub; gives the run.

        Args:
            study: what is asked.
            number: distinguishes runs of one study.
            now: when it is signed.
            passport: the researcher's GA4GH Passport, for the rules that ask for a visa.

        Raises:
            Refused, Invalid, Untrusted: as the hub's admission decides.
            Unavailable: E-UNREACHABLE.
        """
        request = unsigned_request(study, self.agreement, number, now)
        return self.client.submit(sign_request(replace(request, passport=passport), self.identity.key))


def request_for(study: Study, agreement: Agreement, number: int, now: datetime, key: SigningKey) -> dict[str, Any]:
    """A signed request to run `study` at every site that the agreement names for its dataset."""
    return sign_request(unsigned_request(study, agreement, number, now), key)


def unsigned_request(study: Study, agreement: Agreement, number: int, now: datetime) -> RunRequest:
    """A request before it is signed."""
    return RunRequest(
        isthmus="request/1",
        study=study,
        agreement=agreement_digest(agreement),
        roster=tuple(sorted(agreement.dataset(study.dataset).sites)),
        mode="federated",
        number=number,
        created=now.isoformat(),
    )


def connect(path: Path, environ: Mapping[str, str], clock: Clock, ask: Ask | None = None) -> Researcher:
    """A researcher's connection, from isthmus.toml; close `client` when done.

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys or agreement cannot be used.
    """
    config = read_config(path, environ)
    me = config.person()
    agreement = check_signatures(read_agreement(config, me.agreement), now=clock())
    identity = load_identity(config.keys(me.key), ask)
    return Researcher(identity, agreement, HubClient(identity, hub_address(agreement, me.hub), clock))


def _means(config: Config, key: str, environ: Mapping[str, str], clock: Clock) -> Means:
    return Means(load_identity(config.keys(key)), store_of(config, environ), config.base / "spool", clock)


def _beside(config: Config, place: str | None) -> Path | None:
    return beside(config.path(place)) if place else None


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Invalid(
            "E-CONFIG", "the custodian's key is not hex", "copy it from their card", "site.custodian"
        ) from error
