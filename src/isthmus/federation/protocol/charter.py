"""What a run is, as every party holds it before the first message; and what the protocol asks of a party's own copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from isthmus.crypto.shares import threshold_for
from isthmus.disclosure.gate import Release
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.summary import Layout, Summary

SECAGG = "secagg/1"
Mode = Literal["rehearsal", "federated"]


@record
class Member:
    """One site of the roster. `party` is its legal entity; `key` its pinned Ed25519 identity in hex."""

    site: str
    party: str
    country: str
    key: str


@record
class Charter:
    """One run, equal at every party, from the signed study request and the signed agreement; never from the hub.

    Attributes:
        run: digest that names the run.
        number: of this run of the study; a rerun has another.
        study: digest of the study.
        agreement: digest of the agreement and its rules (the policy id).
        roster: in an order all parties share; a site's place + 1 is its share index.
        threshold: t signatures or shares; at least floor(2 n / 3) + 1 (n for n <= 3).
        minimum_sites: legal entities below which no sum is opened.
        hub_key: the hub's Ed25519 identity in hex.
        vote_after: seconds after the vote was asked at which every site answers it.
    """

    protocol: Literal["secagg/1"]
    mode: Mode
    run: str
    number: int
    study: str
    agreement: str
    roster: tuple[Member, ...]
    threshold: int
    minimum_sites: int
    hub_key: str
    vote_after: float

    @property
    def digest(self) -> Digest:
        """Content address; in every round's context."""
        return digest(self)

    @property
    def sites(self) -> tuple[str, ...]:
        """Site names in roster order."""
        return tuple(member.site for member in self.roster)

    def member(self, site: str) -> Member:
        """A site of the roster.

        Raises:
            Untrusted: E-ROSTER, no such site.
        """
        for member in self.roster:
            if member.site == site:
                return member
        raise Untrusted("E-ROSTER", f"{site[:64]!r} is not in the agreed roster")

    def key(self, site: str) -> bytes:
        """A site's pinned public key. Untrusted (E-ROSTER) for a stranger."""
        return bytes.fromhex(self.member(site).key)

    def index(self, site: str) -> int:
        """A site's share index, from 1. Untrusted (E-ROSTER) for a stranger."""
        self.member(site)
        return self.sites.index(site) + 1

    def entities(self, sites: Iterable[str]) -> int:
        """Number of distinct legal entities behind `sites`: a party with three nodes counts once."""
        return len({self.member(site).party for site in sites})

    def ordered(self, sites: Iterable[str]) -> tuple[str, ...]:
        """`sites` in roster order, each once."""
        chosen = set(sites)
        return tuple(site for site in self.sites if site in chosen)


@record
class Step:
    """One round: its question (`vote`, `population` or an analysis), layout, and digest of the question's sums so far.

    `after`: a question whose end every site must know before it can derive this step, beside the vote's and its own.
    """

    question: str
    kind: str
    round: int
    layout: Layout
    transcript: str
    after: str = ""


class SiteWork(Protocol):
    """A site's own copy of the run. `step` is called once per round, before `answer`."""

    def step(self, question: str, round: int) -> Step:  # noqa: A002 - the protocol's word
        """The step as this site derives it. Untrusted (E-STEP) when it is not the next one."""

    def answer(self, step: Step) -> Release:
        """The gated part of a round, or a blind refusal of it; an error stops the run."""

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        """Advance this site's own flow by the sum over the survivors."""

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        """The released result, as this site computes it from the sums."""


class HubWork(Protocol):
    """The hub's copy of the run; `next` gives the same step until its sum is learned."""

    def next(self) -> Step | None:
        """The next round, or None when every flow has ended."""

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        """Advance the flow that asked."""

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        """The released result."""

    def transcript(self, cards: str) -> Any:
        """What the auditor's form of the bundle adds: the pooled sums; None where the hub keeps none."""


def check_charter(charter: Charter) -> None:
    """Return when the charter can be run.

    Raises:
        Invalid: E-CHARTER, names or keys not distinct, a threshold below the protocol's, a minimum below 2 or above the roster.
    """
    names, keys = {m.site for m in charter.roster}, {m.key for m in charter.roster}
    if len(names) != len(charter.roster) or len(keys | {charter.hub_key}) != len(charter.roster) + 1:
        raise Invalid("E-CHARTER", "every site and the hub have a name and a key of their own")
    if not threshold_for(len(charter.roster)) <= charter.threshold <= len(charter.roster):
        raise Invalid("E-CHARTER", "the threshold is at least floor(2 n / 3) + 1 and at most n")
    if not 2 <= charter.minimum_sites <= charter.entities(names):
        raise Invalid("E-CHARTER", "minimum_sites is at least 2 and at most the roster's legal entities")
