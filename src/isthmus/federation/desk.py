"""What a node asks before and about a run: is it admitted, what is its charter, who does its work.

Nodes carry messages and keep what must survive; a desk knows the agreement (or the rehearsal) and the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from isthmus.federation.protocol.charter import Charter, HubWork, SiteWork
from isthmus.federation.revocations import Revocations
from isthmus.governance.agreement import Agreement
from isthmus.governance.route import Leg
from isthmus.model.errors import Refused, Untrusted

Request = Mapping[str, Any]
Note = Callable[[str, str], None]
Operated = tuple[Mapping[str, Any], Refused | None]


@dataclass(frozen=True, slots=True)
class Seat:
    """A site's place in an admitted run.

    Attributes:
        snapshot: names the data it reads and is signed in M1.
        decision: what the ledger keeps of the verdicts that admitted it.
        still: raises RuleRefused where the same rules would stop it at another time.
        egress: the verdicts on the outputs of a result at a time, as the ledger keeps them; raises RuleRefused where one stops it.
        way: to the hub, and what permits it; a rehearsal has none.
        told: of the verdicts of `egress`, the decisions of every gate on this run, for the hub to enter.
    """

    charter: Charter
    work: SiteWork
    snapshot: str
    decision: Mapping[str, Any] = field(default_factory=dict)
    still: Callable[[datetime], object] = lambda _now: None
    egress: Callable[[Mapping[str, Any], datetime], Mapping[str, Any]] = lambda _result, _now: {}
    way: Leg | None = None
    told: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] = lambda _verdicts: ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What both kinds of desk know.

    Attributes:
        mode: `rehearsal` or `federated`; the two never mix.
        agreement: digest, equal at every party.
        in_force: raises Refused (E-NOT-YET, E-EXPIRED, E-REVOKED) when nothing may be done; asked at every message.
        revocations: of the agreement; a rehearsal has none.
        operate: the verdicts of the operations gate at a time, as the ledger keeps them, and what they refuse; a site's.
        review: the agreement whose people decide on studies or results; None where nobody is asked.
        way: from the hub with numbers of a dataset to a site or a person; a rehearsal has none.
        witnesses: site -> hex key of those that cosign the hub's ledger; a rehearsal has none.
        out: of a site: the study of a request, and the way that an answer to it takes; None in a rehearsal.
    """

    mode: str
    agreement: str
    in_force: Callable[[datetime], None]
    revocations: Revocations | None = None
    operate: Callable[[datetime], Operated] | None = None
    review: Agreement | None = None
    way: Callable[[str, str], Leg | None] = lambda _dataset, _whom: None
    witnesses: Mapping[str, str] = field(default_factory=dict)
    out: Callable[[Request], tuple[str, Leg | None] | None] = lambda _request: None

    def check_hello(self, hello: Mapping[str, Any]) -> None:
        """Whether who greets is of the same kind and holds the same agreement.

        Raises:
            Refused: E-MODE. Untrusted: E-AGREEMENT-VERSION.
        """
        if hello.get("mode") != self.mode:
            raise Refused("E-MODE", f"this hub serves a {self.mode}", "a rehearsal and a federated run never mix")
        if hello.get("agreement") != self.agreement:
            raise Untrusted("E-AGREEMENT-VERSION", "the site holds another agreement than the hub", "exchange it")


class SiteDesk(Protocol):
    """A site's desk."""

    @property
    def desk(self) -> Desk:
        """What is common."""
        ...

    def admit(self, request: Request, now: datetime, note: Note) -> Seat:
        """Check a signed request and take a seat. May open data; runs in the worker thread.

        Args:
            request: the researcher's envelope, as the hub passed it on.
            now: this site's clock.
            note: takes (question, code) of what this site refuses locally, for its own ledger.

        Raises:
            Refused, Untrusted, Invalid: this site does not take part.
            Unavailable: its data cannot be read now.
        """
        ...


class HubDesk(Protocol):
    """The hub's desk."""

    @property
    def desk(self) -> Desk:
        """What is common."""
        ...

    def admit(self, request: Request, now: datetime) -> tuple[Charter, HubWork]:
        """Check a signed request; give the run's charter and the hub's work.

        Raises:
            Refused, Untrusted, Invalid: the hub does not take it.
        """
        ...

    def envelopes(self) -> list[Any]:
        """The agreement's envelopes, for the bundle."""
        ...
