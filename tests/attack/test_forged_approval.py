"""Attack: the hub makes a site answer a study that no custodian approved.

A site that starts what the hub sends starts anything. Here each site asks its own record: approvals that it verified by the
agreement's keys. The hub can neither make one, nor move one to another study, nor start the run without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW
from reviewed_alliance import (
    AGREEMENT,
    ASKER,
    KEEPER,
    PASSES,
    READS,
    STUDY,
    asked,
    case,
    envelope,
    lent,
    request,
    with_roles,
)

from attack import Attack, Say
from isthmus.federation.review_store import SqlReviews
from isthmus.federation.site_review import Admitted, Shown, SiteReview, SiteReviewer
from isthmus.federation.store import open_store
from isthmus.governance.approval import Case, read_approval
from isthmus.model.errors import Refused

ATTACK = Attack("A study runs that no custodian approved", "each site holds approvals against the agreement's keys")

REQUEST = request()
AMENDED = request(replace(STUDY, analyses={"death": {"glm": {"formula": "died ~ sex", "family": "binomial"}}}))
TRUE = envelope(KEEPER, case(REQUEST))

FORGED: Mapping[str, tuple[Callable[[Case], Any], str]] = {
    "the hub's signature": (lambda over: envelope(KEEPER, over, signer="hub"), "E-SIGNER"),
    "the hub's signature under the custodian's key": (
        lambda over: lent(envelope(KEEPER, over, signer="hub"), KEEPER),
        "E-SIGNATURE",
    ),
    "the researcher in the custodian's name": (lambda over: envelope(KEEPER, over, signer=ASKER), "E-APPROVAL"),
    "an output checker's": (lambda over: envelope("cleo", over), "E-ROLE"),
    "of the study before it was amended": (lambda _over: TRUE, "E-APPROVAL"),
    "not an envelope": (lambda _over: {"accept": True}, "E-ENVELOPE"),
    "text": (lambda _over: "accept", "E-ENVELOPE"),
}


@pytest.fixture
def site(tmp_path: Path) -> SiteReview:
    return SiteReview(AGREEMENT, "leeds", SqlReviews(open_store(tmp_path / "state.db")))


def admitted(made: Any) -> Admitted:
    return Admitted(made, ASKER, READS, PASSES)


def shown(site: SiteReview, made: Any, *approvals: Any) -> Any:
    reviewer = SiteReviewer(site, lambda _request, _now: admitted(made))
    return reviewer.consider(Shown(case(made).run, asked(made), approvals), NOW)


def starts(site: SiteReview, made: Any) -> bool:
    try:
        site.require(asked(made), admitted(made), NOW)
    except Refused as refused:
        return refused.code != "E-NOT-APPROVED"
    return True


def believing(envelope: Any) -> bool:
    """A site without the defence: whoever of the agreement signed something that says accept."""
    return read_approval(envelope, AGREEMENT).approval.decision == "accept"


def test_a_site_that_looks_at_the_signature_alone_takes_an_old_approval(leak: Say) -> None:
    assert believing(TRUE)  # over the study before it was amended
    leak("a study is changed after its approval and runs")


@pytest.mark.parametrize("what", sorted(FORGED))
def test_a_forged_approval_starts_nothing(site: SiteReview, what: str) -> None:
    make, code = FORGED[what]
    for first in (True, False):
        heard = shown(site, AMENDED, make(case(AMENDED)))
        assert heard.answer.verdict == "waiting"
        assert heard.forged == ((code,) if first else ())  # written down once, however often it is brought
    assert not starts(site, AMENDED)


def test_the_run_is_not_started_without_it_and_is_with_it(site: SiteReview, stop: Say) -> None:
    assert not starts(site, REQUEST)  # the hub sends the invitation and has shown nothing
    assert not starts(site, AMENDED)
    assert shown(site, REQUEST, TRUE).answer.verdict == "approved"
    assert starts(site, REQUEST)
    assert not starts(site, AMENDED)
    stop("seven forgeries and a bare invitation start nothing; the custodian's own signature does")


def test_a_hub_that_hides_a_return_gains_nothing(site: SiteReview) -> None:
    """The custodian returned it: there is no acceptance to show. Once the return arrives, nothing brings the study back."""
    assert shown(site, REQUEST).answer.verdict == "waiting"
    assert not starts(site, REQUEST)
    returned = envelope(KEEPER, case(REQUEST), "return")
    assert shown(site, REQUEST, returned).answer.verdict == "returned"
    assert shown(site, REQUEST, TRUE).answer.verdict == "returned"
    assert not starts(site, REQUEST)


def test_another_partys_custodian_approves_nothing_here(site: SiteReview) -> None:
    assert shown(site, REQUEST, envelope("custodian of oslo-health", case(REQUEST))).answer.verdict == "waiting"
    ended = envelope("custodian of oslo-health", case(REQUEST), "reject")
    assert shown(site, REQUEST, ended).answer.verdict == "rejected"


def test_nobody_approves_their_own_request(tmp_path: Path) -> None:
    both = with_roles(AGREEMENT, ASKER, "researcher", "custodian")
    site = SiteReview(both, "leeds", SqlReviews(open_store(tmp_path / "state.db")))
    own = envelope(ASKER, case(REQUEST))
    assert read_approval(own, both).approval.decision == "accept"  # the signature itself is sound
    assert shown(site, REQUEST, own).forged == ("E-SELF",)
    assert not starts(site, REQUEST)
    shown(site, REQUEST, TRUE)
    assert starts(site, REQUEST)
