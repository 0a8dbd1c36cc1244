"""The agreement of an alliance: who, whose keys, which data, what may be asked, and the disclosure floor.

Facts only. It is written as YAML, and its content address is the SHA-256 of its canonical JSON (RFC 8785). How one
is made is in `drafting.py`, whether it is sound in `consistency.py`, signatures and the chain of versions in
`signing.py`, what it lets in in `admission.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, TypeVar, get_args

from isthmus.disclosure.rules import Effective, strictest
from isthmus.governance.duties import Custody, Duties, PartyStatus, Standing
from isthmus.governance.identities import Login
from isthmus.model.canonical import digest
from isthmus.model.errors import Refused
from isthmus.model.names import Digest
from isthmus.model.privacy import Privacy
from isthmus.model.record import record
from isthmus.model.rules import Rules

T = TypeVar("T")

PersonRole = Literal["custodian", "researcher", "output_checker", "manager", "engineer", "auditor"]
PEOPLE: tuple[PersonRole, ...] = get_args(PersonRole)


@record
class Party:
    """A legal entity: its short name, full name and country (ISO 3166-1 alpha-2); `status` is what the law asks of it."""

    party: str
    name: str
    country: str
    status: PartyStatus | None = None


@record
class Person:
    """Someone who acts for a party.

    Custodians sign agreements and approve studies, researchers sign studies, output checkers decide on results; managers
    and engineers see how runs stand, auditors read everything and decide on nothing.

    `logins`: who they are at OpenID providers and passport issuers.
    """

    person: str
    party: str
    roles: tuple[PersonRole, ...]
    key: str
    certificate: str
    tls: str
    standing: Standing | None = None
    logins: tuple[Login, ...] | None = None


@record
class SiteEntry:
    """A node beside data: its party, country and facility, Ed25519 key, transport certificate and pin.

    `rules` are stricter than the floor, and public: every party of a run in which the site takes part applies them.
    """

    site: str
    party: str
    country: str
    facility: str
    key: str
    certificate: str
    tls: str
    rules: Rules | None = None


@record
class HubEntry:
    """The hub: relays and adds up, in a facility that the parties name, for sums are opened there."""

    hub: str
    party: str
    country: str
    facility: str
    key: str
    certificate: str
    tls: str


@record
class Questions:
    """How many different questions each site answers or refuses: in `total`, and for `each` researcher if stated."""

    total: int
    each: int | None = None


@record
class DatasetEntry:
    """A dataset: its codebook's digest, the sites that hold it, and rules stricter than the floor, if any.

    `variables` narrows what a study may read; left out, every variable of the codebook (the person id never).
    `questions` is a hard cap; left out, there is none. With `privacy` every answer has noise, within that budget;
    left out, answers are exact. `custody` is what each controller states of the data it holds.
    """

    dataset: str
    codebook: str
    sites: tuple[str, ...]
    variables: tuple[str, ...] | None = None
    rules: Rules | None = None
    questions: Questions | None = None
    privacy: Privacy | None = None
    custody: tuple[Custody, ...] | None = None


@record
class Review:
    """Which decisions people take, besides the rules.

    Attributes:
        study: `custodians`: a custodian of each party whose site takes part approves each study, or a standing rule of
            theirs does; `none`: the rules alone decide.
        egress: how many output checkers accept each result before it is released.
        one_per_country: the two checkers stand in different countries.
    """

    study: Literal["none", "custodians"]
    egress: Literal[0, 2]
    one_per_country: bool


@record
class Agreement:
    """One version of an agreement. Dates are days in UTC, `starts` and `expires` included.

    Attributes:
        analyses: question kinds that may be asked.
        releases: outputs beyond the estimates that may be released; `site_results`: numbers of single sites.
        disclosure: the floor; datasets and sites may only be stricter.
        two_party: every custodian accepts that two sites see each other's part of a sum.
        previous: digest of the version before; none in version 1.
        duties: what the rules of law read besides.
        review: which decisions people take; left out, none.
    """

    isthmus: Literal["agreement/1"]
    id: str
    version: int
    title: str
    starts: str
    expires: str
    parties: tuple[Party, ...]
    people: tuple[Person, ...]
    sites: tuple[SiteEntry, ...]
    hub: HubEntry
    datasets: tuple[DatasetEntry, ...]
    analyses: tuple[str, ...]
    releases: tuple[Literal["vcov", "baseline", "site_results"], ...]
    disclosure: Rules
    two_party: bool
    previous: str | None = None
    duties: Duties | None = None
    review: Review | None = None

    def __hash__(self) -> int:
        """Looked up by content; the digest is made once for each."""
        return hash((self.id, self.version))

    @property
    def rule_pack(self) -> Digest | None:
        """Digest of the pack that all parties follow; None where none is named, and no study runs."""
        return self.duties.rule_pack if self.duties else None

    def site(self, name: str) -> SiteEntry:
        """By name, or Refused E-ROSTER."""
        return _named({s.site: s for s in self.sites}, "site", name, "E-ROSTER")

    def dataset(self, name: str) -> DatasetEntry:
        """By name, or Refused E-DATASET."""
        return _named({d.dataset: d for d in self.datasets}, "dataset", name, "E-DATASET")

    def judged(self) -> dict[str, str]:
        """Rule -> who decided on it, when and why."""
        stated = (self.duties.judgements if self.duties else None) or ()
        return {j.rule: f"{j.person}, {j.date}: {j.reason}" for j in stated}

    def keyed(self) -> tuple[SiteEntry | HubEntry | Person, ...]:
        """Every entry that has a key: sites, the hub, people."""
        return (*self.nodes(), *self.people)

    def nodes(self) -> tuple[SiteEntry | HubEntry, ...]:
        """Everything that runs somewhere: the sites and the hub."""
        return (*self.sites, self.hub)

    def custodians(self, party: str) -> tuple[Person, ...]:
        """The people who sign agreements for a party."""
        return tuple(p for p in self.people if p.party == party and "custodian" in p.roles)


@lru_cache(maxsize=16)
def agreement_digest(agreement: Agreement) -> Digest:
    """Content address."""
    return digest(agreement)


def check_in_force(agreement: Agreement, now: datetime) -> None:
    """Refuse before the first and after the last day, in UTC.

    Raises:
        Refused: E-NOT-YET, E-EXPIRED.
    """
    starts = datetime.combine(date.fromisoformat(agreement.starts), time(), UTC)
    ends = datetime.combine(date.fromisoformat(agreement.expires), time(), UTC) + timedelta(days=1)
    if now < starts:
        raise Refused("E-NOT-YET", f"the agreement starts on {agreement.starts}", "wait, or check this machine's clock")
    if now >= ends:
        raise Refused(
            "E-EXPIRED",
            f"the agreement expired on {agreement.expires}",
            "sign a new version, or check this machine's clock",
        )


def shared_rules(agreement: Agreement, dataset: str) -> Effective:
    """The rules every party of a run applies: the strictest of the agreement's floor, the dataset's and its sites'.

    Raises:
        Refused: E-DATASET.
    """
    entry = agreement.dataset(dataset)
    stated = {"agreement": agreement.disclosure, "dataset": entry.rules}
    stated |= {f"site {name}": agreement.site(name).rules for name in sorted(entry.sites)}
    return strictest({whose: rules for whose, rules in stated.items() if rules is not None})


def legal_entities(agreement: Agreement, sites: Iterable[str]) -> frozenset[str]:
    """The parties behind sites: two sites of one party count once.

    Raises:
        Refused: E-ROSTER, a site that is not in the agreement.
    """
    return frozenset(agreement.site(name).party for name in sites)


def _named(entries: Mapping[str, T], what: str, name: str, code: str) -> T:
    if name not in entries:
        hint = "the agreement names: " + ", ".join(entries)
        raise Refused(code, f"{what} {name[:70]!r} is not in the agreement", hint)
    return entries[name]
