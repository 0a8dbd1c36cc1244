"""The way a study's numbers take, leg by leg, and the flow of the agreement that permits each leg.

The countries of both follow from where nodes stand and where people work who may see results: looking from abroad counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isthmus.governance.claims import RECORDS, controllers, flow_facts
from isthmus.governance.reviewers import country_of_person
from isthmus.governance.roles import may
from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import verdicts
from isthmus.model.canonical import plain
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isthmus.governance.agreement import Agreement
    from isthmus.governance.duties import Flow

AT_HOME = "within one party and country"
RULE = "XB-10"  # of the rule pack: nothing moves between parties unless the agreement names that flow
_FLOWS = "a.flows.exists"  # in the condition of a rule that is about some flows
_ENDS = ("sender", "from_country", "receiver", "to_country")


@record
class Leg:
    """One way between two parties or countries.

    Attributes:
        facilities: of the sender's sites where its numbers start from; of the receiver's where they end there.
        what: the sites' masked sums are `encrypted_shares`; pooled sums and results are `aggregates`.
        flow: of the agreement, by name; `None` where none permits the leg, and then no site admits the study.
        mechanism: by which the flow is lawful, as the agreement states it.
        rules: of the pack, that are about this flow: by them it was decided that it may be.
    """

    sender: str
    from_country: str
    receiver: str
    to_country: str
    what: str
    facilities: tuple[str, ...]
    flow: str | None
    mechanism: str | None
    rules: tuple[str, ...]


def route(agreement: Agreement, dataset: str) -> list[dict[str, str]]:
    """Every way that numbers of a study on a dataset take between parties or countries.

    Each site's masked sums go to the hub; pooled sums go from the hub to every site, results to everybody who may see them.
    """
    hub = (agreement.hub.party, agreement.hub.country)
    sites = {(s.party, s.country) for s in map(agreement.site, agreement.dataset(dataset).sites)}
    legs = [(*site, *hub, "encrypted_shares") for site in sites]
    legs += [(*hub, *other, "aggregates") for other in sites | _seeing(agreement)]
    return [dict(zip((*_ENDS, "what"), leg, strict=True)) for leg in sorted(set(legs)) if leg[:2] != leg[2:4]]


def legs(agreement: Agreement, dataset: str) -> tuple[Leg, ...]:
    """Every leg of the route of a study on a dataset."""
    found = []
    for way in route(agreement, dataset):
        ends = ("sender", "from_country") if way["what"] == "encrypted_shares" else ("receiver", "to_country")
        place = tuple(way[end] for end in ends)
        sites = [agreement.site(name) for name in agreement.dataset(dataset).sites]
        there = {s.facility for s in sites if s.facility and (s.party, s.country) == place}
        found.append(_leg(agreement, dataset, way, tuple(sorted(there))))
    return tuple(found)


def way_out(agreement: Agreement, site: str, dataset: str) -> Leg:
    """The leg from a site to the hub; where both are one party in one country no flow is needed."""
    entry, hub = agreement.site(site), agreement.hub
    ends = (entry.party, entry.country, hub.party, hub.country)
    return _one(agreement, dataset, ends, "encrypted_shares", entry.facility)


def way_from_hub(agreement: Agreement, whom: str, dataset: str) -> Leg | None:
    """The leg from the hub to a site or a person; where both are one party in one country no flow is needed.

    None for someone whom the agreement does not name.
    """
    site = next((s for s in agreement.sites if s.site == whom), None)
    person = next((p for p in agreement.people if p.person == whom), None)
    if site is not None:
        there, facility = (site.party, site.country), site.facility
    elif person is not None:
        there, facility = (person.party, country_of_person(agreement, person)), None
    else:
        return None
    ends = (agreement.hub.party, agreement.hub.country, *there)
    return _one(agreement, dataset, ends, "aggregates", facility)


def flows(agreement: Agreement) -> Iterator[dict[str, Any]]:
    """The facts of each flow, from each place of a sender to each place of a receiver.

    `whose`: of each dataset, the controllers whose records the sender can hold: its own, and those that other flows bring it.
    """
    stated = agreement.duties.flows or () if agreement.duties else ()
    stands = {(s.party, s.country) for s in agreement.nodes()}
    sees, held = stands | _seeing(agreement), _records(agreement, stated)
    for flow in stated:
        shared = {k: v for k, v in plain(flow).items() if k not in {"senders", "receivers", "personal"}}
        shared |= flow_facts(agreement, flow)
        whose = {party: {name: sorted(held[party, name]) for name in flow.datasets} for party in flow.senders}
        ways = [(*a, *b) for a in _of(agreement, flow.senders, stands) for b in _of(agreement, flow.receivers, sees)]
        for way in ways:
            if way[:2] != way[2:]:
                yield shared | dict(zip(_ENDS, way, strict=True)) | {"whose": whose[way[0]]}


@lru_cache(maxsize=16)
def _flows(agreement: Agreement) -> tuple[dict[str, Any], ...]:
    """The same, made once: each leg, and each answer of a site, looks for its own."""
    return tuple(flows(agreement))


def _seeing(agreement: Agreement) -> set[tuple[str, str]]:
    """Party and country of everybody who may see results."""
    people = [p for p in agreement.people if may(p.roles, "see_results")]
    return {(p.party, country_of_person(agreement, p)) for p in people}


def _of(agreement: Agreement, named: tuple[str, ...], places: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The places of each party in turn; of one that has none, its own country."""
    homes = {p.party: p.country for p in agreement.parties}
    for party in named:
        yield from sorted(place for place in places if place[0] == party) or [(party, homes[party])]


def _records(agreement: Agreement, stated: tuple[Flow, ...]) -> Mapping[tuple[str, str], set[str]]:
    """Party and dataset -> controllers whose records it can hold; of a party with no source that is stated, all of them."""
    held, moves = {}, [f for f in stated if f.what in RECORDS]
    for entry in agreement.datasets:
        all_of_it = controllers(agreement, entry)
        given = {party for f in moves if entry.dataset in f.datasets for party in f.receivers}
        for party in (p.party for p in agreement.parties):
            own = {party} & all_of_it
            held[party, entry.dataset] = own if own or party in given else set(all_of_it)
    for _ in agreement.parties:  # no chain of parties is longer
        for flow in moves:
            for name in flow.datasets:
                brought = set().union(*(held[sender, name] for sender in flow.senders))
                for receiver in flow.receivers:
                    held[receiver, name] |= brought
    return held


def _one(agreement: Agreement, dataset: str, ends: tuple[str, str, str, str], what: str, facility: str | None) -> Leg:
    way = dict(zip(_ENDS, ends, strict=True)) | {"what": what}
    places = (facility,) if facility else ()
    if ends[:2] == ends[2:]:
        return Leg(**way, facilities=places, flow=None, mechanism=AT_HOME, rules=())
    return _leg(agreement, dataset, way, places)


def _leg(agreement: Agreement, dataset: str, way: dict[str, str], places: tuple[str, ...]) -> Leg:
    """With the flow that has these ends, countries too, as rule XB-10 finds it."""
    for flow in _flows(agreement):
        if dataset in flow["datasets"] and all(flow[name] == way[name] for name in (*_ENDS, "what")):
            return Leg(**way, facilities=places, flow=flow["flow"], mechanism=flow["mechanism"], rules=deciding(flow))
    return Leg(**way, facilities=places, flow=None, mechanism=None, rules=())


def deciding(flow: Mapping[str, Any]) -> tuple[str, ...]:
    """The rules of this build's pack that are about a flow with these facts, as each says itself."""
    pack = own_pack()
    about = [rule for rule in pack.rules if _FLOWS in rule.applies]
    found = verdicts(pack, about, {"a": {"flows": [flow], "datasets": []}})
    return tuple(sorted({RULE, *(verdict.rule.id for verdict in found if verdict.outcome != "n/a")}))
