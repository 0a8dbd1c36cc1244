"""The way a study's numbers take, leg by leg, and the flow of the agreement that permits each leg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.governance.facts import country_of, route
from isthmus.governance.reviewers import country_of_person
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Collection

    from isthmus.governance.agreement import Agreement

AT_HOME = "within one party and country"
RULE = "XB-10"  # of the rule pack: nothing moves between parties unless the agreement names that flow
_ENDS = ("sender", "from_country", "receiver", "to_country")


@record
class Leg:
    """One way between two parties or countries.

    Attributes:
        facilities: of the sender's sites where its numbers start from; of the receiver's where they end there.
        what: the sites' masked sums are `encrypted_shares`; pooled sums and results are `aggregates`.
        flow: of the agreement, by name; `None` where none permits the leg, and then no site admits the study.
        mechanism: by which the flow is lawful, as the agreement states it.
    """

    sender: str
    from_country: str
    receiver: str
    to_country: str
    what: str
    facilities: tuple[str, ...]
    flow: str | None
    mechanism: str | None


def legs(agreement: Agreement, dataset: str, askers: Collection[str] | None = None) -> tuple[Leg, ...]:
    """Every leg of the route of a study on a dataset; `askers` are researchers, all of them when not given."""
    found = []
    for way in route(agreement, dataset, askers):
        ends = ("sender", "from_country") if way["what"] == "encrypted_shares" else ("receiver", "to_country")
        place = tuple(way[end] for end in ends)
        sites = [agreement.site(name) for name in agreement.dataset(dataset).sites]
        there = {s.facility for s in sites if s.facility and (s.party, country_of(agreement, s.site)) == place}
        found.append(_leg(agreement, dataset, way, tuple(sorted(there))))
    return tuple(found)


def way_out(agreement: Agreement, site: str, dataset: str) -> Leg:
    """The leg from a site to the hub; where both are one party in one country no flow is needed."""
    entry, hub = agreement.site(site), agreement.hub
    ends = (entry.party, country_of(agreement, site), hub.party, hub.country)
    return _one(agreement, dataset, ends, "encrypted_shares", entry.facility)


def way_from_hub(agreement: Agreement, whom: str, dataset: str) -> Leg | None:
    """The leg from the hub to a site or a person; where both are one party in one country no flow is needed.

    None for someone whom the agreement does not name.
    """
    site = next((s for s in agreement.sites if s.site == whom), None)
    person = next((p for p in agreement.people if p.person == whom), None)
    if site is not None:
        there, facility = (site.party, country_of(agreement, whom)), site.facility
    elif person is not None:
        there, facility = (person.party, country_of_person(agreement, person)), None
    else:
        return None
    ends = (agreement.hub.party, agreement.hub.country, *there)
    return _one(agreement, dataset, ends, "aggregates", facility)


def _one(agreement: Agreement, dataset: str, ends: tuple[str, str, str, str], what: str, facility: str | None) -> Leg:
    way = dict(zip(_ENDS, ends, strict=True)) | {"what": what}
    places = (facility,) if facility else ()
    if ends[:2] == ends[2:]:
        return Leg(**way, facilities=places, flow=None, mechanism=AT_HOME)
    return _leg(agreement, dataset, way, places)


def _leg(agreement: Agreement, dataset: str, way: dict[str, str], places: tuple[str, ...]) -> Leg:
    flows = agreement.duties.flows or () if agreement.duties else ()
    for flow in flows:
        parties = way["sender"] in flow.senders and way["receiver"] in flow.receivers
        if parties and dataset in flow.datasets and flow.what == way["what"]:
            return Leg(**way, facilities=places, flow=flow.flow, mechanism=flow.mechanism)
    return Leg(**way, facilities=places, flow=None, mechanism=None)
