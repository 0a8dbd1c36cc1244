"""Numbers of single sites: the agreement allows them or there are none, whoever lays out the plan."""

from __future__ import annotations

import pytest
from governance_alliance import CODEBOOK, NOW, draft, key_of

import isthmus
from isthmus import strict
from isthmus.federation.request import charter_of, plan_of
from isthmus.governance.admission import RunRequest, admit_at_hub, sign_request
from isthmus.governance.agreement import agreement_digest
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN
from isthmus.model.study import Purpose, Study
from isthmus.statistics.catalogue import CATALOGUE

PURPOSE = Purpose(duo="DUO:0000007", text="a trial")
SITES = ("boston", "leeds", "oslo")
ASKED = {
    "meta": {"by": "site", "of": {"glm": {"formula": "died ~ age", "family": "binomial"}}, "term": "age"},
    "mixed": {"formula": "age ~ sex", "group": "site", "release": ["site_results"]},
}


def planned(kind: str, releases: tuple[str, ...]):
    agreement = draft(releases=releases, analyses=("meta", "glm", "mixed"))
    study = Study(isthmus="study/1", title="t", dataset="trial", purpose=PURPOSE, analyses={"m": {kind: ASKED[kind]}})
    request = RunRequest(
        isthmus="request/1",
        study=study,
        agreement=agreement_digest(agreement),
        roster=SITES,
        mode="federated",
        number=1,
        created="2026-11-23T11:59:00+00:00",
    )
    admitted = admit_at_hub(sign_request(request, key_of("dr ada")), agreement, "federated", NOW)
    return plan_of(charter_of(admitted, agreement), admitted, agreement, CODEBOOK)


@pytest.mark.parametrize("kind", ASKED)
def test_refused_unless_the_agreement_says_so(kind: str) -> None:
    with pytest.raises(Refused) as caught:
        planned(kind, ())
    assert caught.value.code == ("E-SITE-RESULTS" if kind == "meta" else "E-RELEASE")
    assert planned(kind, ("site_results",)).question("m").base.levels["site"] == SITES


def test_of_other_groups_there_are_no_effects() -> None:
    mixed = CATALOGUE["mixed"]
    with pytest.raises(Invalid, match="group: site"):
        mixed.needs(strict.parse(mixed.question, {**ASKED["mixed"], "group": "ward"}))


def test_a_rehearsal_states_what_an_agreement_would_allow() -> None:
    with pytest.raises(Invalid) as caught:
        isthmus.rehearse(
            isthmus.Study(title="t", dataset="d", analyses={"n": {"count": {}}}), {}, rules=OPEN, releases=("vcov",)
        )
    assert caught.value.code == "E-RELEASE"
