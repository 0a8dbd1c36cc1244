"""Numbers of single sites: the agreement allows them or there are none, whoever lays out the plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from governance_alliance import CODEBOOK, NOW, draft, key_of

import isthmus
from isthmus import strict
from isthmus.federation.outputs import Own, Terms, outputs
from isthmus.federation.request import charter_of, plan_of
from isthmus.federation.script import Ended, Script
from isthmus.governance.admission import RunRequest, admit_at_hub, sign_request
from isthmus.governance.agreement import agreement_digest
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN
from isthmus.model.study import Purpose, Study
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Estimate
from isthmus.summary import Summary

PURPOSE = Purpose(duo="DUO:0000007", text="a trial")
SITES = ("boston", "leeds", "oslo")
ASKED = {
    "meta": {"by": "site", "of": {"glm": {"formula": "died ~ age", "family": "binomial"}}, "term": "age"},
    "mixed": {"formula": "age ~ sex", "group": "site", "release": ["site_results"]},
    "validate_model": {
        "outcome": "died",
        "formula": "age",
        "coefficients": {"age": 0.1},
        "release": ["site_results"],
    },
}


def planned(kind: str, releases: tuple[str, ...], more: dict[str, Any] | None = None):
    agreement = draft(releases=releases, analyses=("meta", "glm", "mixed", "validate_model"))
    study = Study(
        isthmus="study/1",
        title="t",
        dataset="trial",
        purpose=PURPOSE,
        analyses={"m": {kind: ASKED[kind]}, **(more or {})},
    )
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
    plan = planned(kind, ("site_results",))
    if kind == "validate_model":
        assert [(own.name, own.site, own.of) for own in plan.sites] == [(f"m at {site}", site, "m") for site in SITES]
    else:
        assert plan.question("m").base.levels["site"] == SITES


def validated(lost: str | None = None, barred: str | None = None) -> Script:
    """A script whose vote is in: no site bars anything but `barred` its own answer and that of all."""
    plan = planned("validate_model", ("site_results",))
    script = Script(plan)
    vote = script.vote_step()
    words = np.array([barred is not None and q.name in {"m", f"m at {barred}"} for q, _ in plan.words], dtype=np.int64)
    survivors = tuple(site for site in SITES if site != lost)
    script.learn(vote, Summary(vote.layout, {f.name: words.astype(f.dtype) for f in vote.layout.fields}), survivors)
    return script


def test_a_site_that_refuses_takes_the_whole_with_it_and_no_other() -> None:
    names = [question.name for question in validated(barred="oslo").order()]
    assert names == ["population", "m at boston", "m at leeds"]


def test_a_lost_site_has_no_answer() -> None:
    names = [question.name for question in validated(lost="oslo").order()]
    assert names == ["population", "m", "m at boston", "m at leeds"]


def test_beside_an_answer_of_all_each_site_is_cut_as_the_whole_is() -> None:
    script = validated()
    script.agreed["m"] = 1
    assert script.rung(script.plan.question("m at leeds")) == 1
    del script.agreed["m"]
    assert script.rung(script.plan.question("m at leeds")) == 0


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


def test_a_release_that_is_not_allowed_refuses_its_analysis_alone() -> None:
    plan = planned("mixed", (), {"n": {"glm": {"formula": "died ~ age", "family": "binomial"}}})
    assert [question.name for question in plan.questions] == ["population", "n"]
    assert {name: why.code for name, why in plan.refused.items()} == {"m": "E-RELEASE"}
    plan = planned("meta", (), {"n": {"glm": {"formula": "died ~ age", "family": "binomial"}}})
    assert {name: why.code for name, why in plan.refused.items()} == {"m": "E-SITE-RESULTS"}


def test_each_sites_answer_is_an_output_of_its_own_for_people_and_law() -> None:
    """The egress gate looks at what one site answers as at any other output; a refused one shows nothing."""
    agreement = draft(releases=("site_results",), analyses=("meta", "glm", "mixed", "validate_model"))
    script = validated(barred="oslo")
    script.outcomes["m at leeds"] = Ended(Estimate("validate_model", "grid", 900, rounds=7, parameters=2))
    refused, shown = {"kind": "validate_model", "status": "refused"}, {"kind": "validate_model", "disclosure": []}
    answers = {"boston": refused, "leeds": shown, "oslo": refused}
    terms = Terms(
        agreement,
        script.plan.rules,
        {},
        {"validate_model": "ROC"},
        (),
        "dr ada",
        lambda _: Own(pieces=True, remembered=True),
    )
    found = outputs(script, {"sites": list(SITES), "analyses": {"m": {**refused, "sites": answers}}}, terms)
    assert list(found) == ["m at leeds"]
    assert found["m at leeds"]["sites"] == 1
    assert found["m at leeds"]["released"] == ["site_results"]
