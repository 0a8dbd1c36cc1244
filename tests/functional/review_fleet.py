"""An alliance whose people decide: processes over mTLS, custodians, output checkers, and what each of them does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from test_processes_agreed import SITES, Alliance, alliance, study
from wires import now

from isthmus.federation.agreed import Researcher, connect
from isthmus.federation.config import read_config
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.launch import Fleet
from isthmus.federation.named import read_agreement
from isthmus.federation.site_review import case_of
from isthmus.governance.agreement import Agreement, Review
from isthmus.governance.approval import make_approval, sign_approval
from isthmus.governance.duties import Standing
from isthmus.governance.rulepack import own_pack, pack_digest
from isthmus.governance.signing import check_signatures
from isthmus.governance.standing_rules import StandingTerms, make_rule, sign_rule
from isthmus.model.canonical import canonical
from isthmus.model.errors import Unavailable

BOTH = Review(study="custodians", egress=2, one_per_country=True)
STUDIES = Review(study="custodians", egress=0, one_per_country=False)
CHECKERS = {
    "cleo": ("output_checker", "leeds"),
    "carl": ("output_checker", "oxford"),
    "cora": ("output_checker", "boston"),
}
AUDITOR = {"ann": ("auditor", "hub")}


def reviewed(
    directory: Path, review: Review = BOTH, more: Mapping[str, tuple[str, str]] | None = None, **rest: Any
) -> Alliance:
    """The alliance of three sites with custodians, three output checkers (two in the UK) and an auditor."""
    everyone = {**CHECKERS, **AUDITOR, **(more or {})}
    until = str(now().date() + timedelta(days=30))
    countries = {**SITES, "hub": "GB"}
    people = {name: countries[party] for name, (_, party) in everyone.items()}
    people |= {f"keeper-{party}": country for party, country in countries.items()}

    def trained(stated: Mapping[str, Standing]) -> dict[str, Standing]:
        own = {n: Standing(country=c, training_expires=until, covered_person=False) for n, c in people.items()}
        return {**own, **stated}

    return alliance(directory, {"review": review, "people": trained}, more=everyone, **rest)


def agreement_of(made: Alliance) -> Agreement:
    config = read_config(made.config("hub"), {})
    return check_signatures(read_agreement(config, config.hub().agreement))


def person(made: Alliance, name: str) -> Researcher:
    """Anyone of the agreement at the hub; custodians are `keeper-<party>`."""
    party = name.removeprefix("keeper-")
    place = made.directory / party / "custodian.toml" if party != name else made.config(name)
    return connect(place, os.environ, now)


def start(fleet: Fleet, made: Alliance, *sites: str) -> None:
    start_hub(fleet, made)
    for site in sites or SITES:
        start_site(fleet, made, site)


def start_hub(fleet: Fleet, made: Alliance) -> None:
    fleet.start("hub", "isthmus.federation.hub_node:node", made.directory / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")


def start_site(fleet: Fleet, made: Alliance, site: str) -> None:
    start_node(fleet, made, site)
    fleet.await_event(site, "joined")


def start_node(fleet: Fleet, made: Alliance, site: str) -> None:
    fleet.start(site, "isthmus.federation.site_node:node", made.directory / site, {"config": str(made.config(site))})


def stop(fleet: Fleet, *names: str) -> None:
    for name in names or ("hub", *SITES):
        fleet.stop(name)


def ask(made: Alliance, number: int = 1, **changed: Any) -> str:
    ada = person(made, "ada")
    with ada.client:
        return ada.submit(study(**changed), number, now())


def signed(made: Alliance, who: str, run: str, decision: str, reason: str = "", kind: str = "study") -> dict[str, Any]:
    """A person's envelope, made as the command line makes it."""
    me = person(made, who)
    with me.client as client:
        shown = client.case(run)
    case = case_of(shown["request"], me.agreement, shown["result"])
    mine = next(p for p in me.agreement.people if p.person == who)
    return sign_approval(make_approval(case, kind, decision, mine, (now(), reason)), me.identity.key)  # type: ignore[arg-type]


def decide(
    made: Alliance, who: str, run: str, decision: str = "accept", reason: str = "", kind: str = "study"
) -> dict[str, Any]:
    me = person(made, who)
    with me.client as client:
        return dict(client.decide(signed(made, who, run, decision, reason, kind))["review"])


def status(made: Alliance, run: str) -> dict[str, Any]:
    """As ada sees it, over one connection for all looks; a hub that is just starting is asked again."""
    held = _WATCHERS.get(made.hub) or _WATCHERS.setdefault(made.hub, person(made, "ada").client)
    for _ in range(50):
        try:
            return held.status(run)
        except Unavailable:
            time.sleep(0.2)
    return held.status(run)


_WATCHERS: dict[str, HubClient] = {}


def standing_rule(made: Alliance, site: str, **changed: Any) -> None:
    """A rule of the site's custodian, in the site's configuration."""
    agreement, keeper = agreement_of(made), made.custodians[site]
    terms = {
        "kinds": ("glm", "count"),
        "purpose": "DUO:0000007",
        "people": ("ada",),
        "dataset": "trial",
        "variables": ("age", "arm", "died"),
        "monthly": 3,
        "expires": str(now().date() + timedelta(days=10)),
    }
    mine = next(p for p in agreement.people if p.person == keeper.name)
    rule = make_rule(StandingTerms(**{**terms, **changed}), agreement, pack_digest(own_pack()), mine, now())
    (made.directory / site / "rule.json").write_bytes(canonical(sign_rule(rule, keeper.key)))
    file = made.config(site)
    text = file.read_text()
    if "standing_rules" not in text:
        file.write_text(text.replace("[dataset.trial]", 'standing_rules = ["rule.json"]\n[dataset.trial]'))
