"""What every party derives from a signed request and the signed agreement: the charter and the plan of a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from isthmus.crypto.shares import threshold_for
from isthmus.data.dictionary import dictionary
from isthmus.federation.places import Place
from isthmus.federation.plan import Plan, make_plan, study_reads
from isthmus.federation.protocol.charter import Charter, Member
from isthmus.governance.admission import RunRequest, barred, open_request
from isthmus.governance.agreement import Agreement, agreement_digest, shared_rules
from isthmus.governance.route import Leg, way_out
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook
from isthmus.model.errors import IsthmusError, Refused
from isthmus.model.study import Study, study_digest

VOTE_AFTER = 1.0  # seconds: every site answers the vote at this time, however long its rows took to look at


def charter_of(request: RunRequest, agreement: Agreement) -> Charter:
    """The charter that every party derives for itself from a request and the agreement."""
    members = tuple(
        Member(site=s.site, party=s.party, country=s.country, key=s.key)
        for s in (agreement.site(name) for name in request.roster)
    )
    return Charter(
        protocol="secagg/1",
        mode=request.mode,
        run=digest(request),
        number=request.number,
        study=study_digest(request.study),
        agreement=agreement_digest(agreement),
        roster=members,
        threshold=threshold_for(len(members)),
        minimum_sites=least_sites(agreement, request.study.dataset),
        hub_key=agreement.hub.key,
        vote_after=VOTE_AFTER,
    )


def least_sites(agreement: Agreement, dataset: str) -> int:
    """Legal entities in every sum: by the rules, and at least the survivors that noise is sized for."""
    privacy = agreement.dataset(dataset).privacy
    sized = 0 if privacy is None or privacy.minimum_survivors is None else privacy.minimum_survivors
    return max(shared_rules(agreement, dataset).rules.minimum_sites, sized)


def plan_of(charter: Charter, request: RunRequest, agreement: Agreement, book: Codebook) -> Plan:
    """The plan that every party derives for itself."""
    countries = tuple(dict.fromkeys(member.country for member in charter.roster))
    entry = agreement.dataset(request.study.dataset)
    effective = shared_rules(agreement, request.study.dataset)
    known = dictionary(request.study, book, countries)
    places = {member.site: Place(member.party, member.country) for member in charter.roster}
    return make_plan(
        charter.run,
        request.study,
        known,
        effective.rules,
        effective.whose,
        len(places),
        entry.privacy,
        places,
        agreement.releases,
        outside(request.study, agreement, book),
    )


def outside(study: Study, agreement: Agreement, book: Codebook) -> dict[str, Refused]:
    """Analyses that the agreement does not allow, on the agreed codebook; as `admission.barred`."""
    return barred(study, agreement, book, lambda asked: study_reads(asked, book))


def way_of(request: Mapping[str, Any], agreement: Agreement, site: str) -> tuple[str, Leg | None]:
    """The study of a request, and the way that a site's answer to it takes; neither where it is nobody's of the agreement."""
    try:
        study = open_request(request, agreement).study
    except IsthmusError:
        return "", None
    return study_digest(study), way_out(agreement, site, study.dataset)


def dataset_of(request: Mapping[str, Any]) -> str:
    """The dataset a request speaks of, before it is verified; only to choose what to check it against."""
    return str(_study(request).get("dataset", ""))


def asked_of(request: Mapping[str, Any]) -> dict[str, str]:
    """Every `question` of a request that the hub has admitted, and their `kind`s, in words of the border register."""
    analyses = _study(request).get("analyses", {})
    kinds = dict.fromkeys(kind for asked in analyses.values() for kind in asked)
    return {"question": ", ".join(analyses), "kind": ", ".join(kinds)}


def _study(request: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        study = json.loads(base64.b64decode(str(request.get("payload", ""))))["study"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return study if isinstance(study, dict) else {}
