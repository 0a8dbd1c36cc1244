"""What an agreement says of a study before it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isthmus.data.dictionary import read_codebook
from isthmus.disclosure.rules import Effective
from isthmus.federation.agreed import request_for
from isthmus.federation.config import read_config
from isthmus.federation.identity import Ask, load_identity
from isthmus.federation.named import read_agreement
from isthmus.federation.request import outside
from isthmus.governance.admission import admit_at_hub
from isthmus.governance.agreement import shared_rules
from isthmus.governance.route import Leg, legs
from isthmus.governance.signing import check_signatures
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError, Refused
from isthmus.model.privacy import Privacy
from isthmus.model.study import Study


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an agreement says of a study before it is asked: rules, sites, budget, analyses that it
    does not allow, the way of its numbers, and why it would not be admitted."""

    codebook: Codebook
    effective: Effective
    countries: Mapping[str, str]
    entities: Mapping[str, str]
    privacy: Privacy | None
    releases: tuple[str, ...]
    barred: Mapping[str, Refused]
    route: tuple[Leg, ...]
    refused: IsthmusError | None


def outlook(
    path: Path,
    environ: Mapping[str, str],
    study: Study,
    book: Codebook | None,
    now: datetime,
    ask: Ask | None = None,
) -> Outlook:
    """From a researcher's isthmus.toml, without asking anybody else; `book` instead of its dataset's codebook.

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys, agreement or codebook cannot be used.
    """
    config = read_config(path, environ)
    me = config.person()
    agreement = check_signatures(read_agreement(config, me.agreement))
    entry, table = agreement.dataset(study.dataset), config.tables.dataset.get(study.dataset)
    if book is None and (table is None or table.codebook is None):
        hint = "give --codebook, or codebook = in its [dataset.*]"
        raise Invalid("E-PREVIEW", "a preview needs the dataset's codebook", hint)
    known = book if book is not None else read_codebook(config.path(str(table and table.codebook)))
    refused: IsthmusError | None = None
    try:
        if digest(known) != entry.codebook:
            raise Invalid("E-CODEBOOK", "this is not the agreed codebook of the dataset", "ask its custodian for it")
        request = request_for(study, agreement, 1, now, load_identity(config.keys(me.key), ask).key)
        admit_at_hub(request, agreement, "federated", now)
    except (Invalid, Refused) as error:
        refused = error
    countries = {name: agreement.site(name).country for name in sorted(entry.sites)}
    entities = {name: agreement.site(name).party for name in countries}
    return Outlook(
        codebook=known,
        effective=shared_rules(agreement, study.dataset),
        countries=countries,
        entities=entities,
        privacy=entry.privacy,
        releases=agreement.releases,
        barred=outside(study, agreement, known),
        route=legs(agreement, study.dataset),
        refused=refused,
    )
