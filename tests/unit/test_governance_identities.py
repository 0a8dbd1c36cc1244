"""Logins, passport issuers and roles as an agreement states them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from governance_alliance import cards, draft, terms
from identity_tokens import ADA, BROKER, GRANTS, Pinned, jwks, key_of

from isthmus.governance.agreement import PEOPLE, Agreement
from isthmus.governance.consistency import check_agreement
from isthmus.governance.difference import differences
from isthmus.governance.drafting import new_agreement, read_agreement, write_text
from isthmus.governance.identities import Login
from isthmus.governance.roles import MAY, Action, may, permit
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, Refused
from isthmus.strict import parse


def changed(people: dict[str, Any], issuers: list[dict[str, Any]] | None = None) -> Agreement:
    facts = plain(draft())
    for person in facts["people"]:
        if person["person"] in people:
            person["logins"] = people[person["person"]]
    if issuers is not None:
        facts["duties"] = {"passport_issuers": issuers}
    return parse(Agreement, facts, "agreement")


def test_logins_and_issuers_come_back_from_yaml() -> None:
    agreement = Pinned().agreement()
    assert read_agreement(write_text(agreement)) == agreement


def test_terms_state_logins_of_people_who_have_a_card() -> None:
    ada = Login(**ADA)
    made = new_agreement(terms(logins={"dr ada": (ada,)}), cards())
    assert [p.logins for p in made.people if p.person == "dr ada"] == [(ada,)]
    with pytest.raises(Invalid, match="no card"):
        new_agreement(terms(logins={"nobody": (ada,)}), cards())


@pytest.mark.parametrize(
    ("people", "issuers", "said"),
    [
        ({"dr ada": [ADA], "custodian of leeds-nhs": [ADA]}, None, "two people"),
        ({"dr ada": [ADA, ADA]}, None, "two people"),
        ({"dr ada": [{"issuer": BROKER, "subject": ""}]}, None, "subject"),
        ({"dr ada": [{"issuer": "http://broker.example.org", "subject": "a"}]}, None, "https"),
        ({"dr ada": [{"issuer": "https://broker.example.org?x=1", "subject": "a"}]}, None, "https"),
        ({"dr ada": [{"issuer": "https://user@broker.example.org", "subject": "a"}]}, None, "https"),
        ({"dr ada": [{"issuer": "https://[", "subject": "a"}]}, None, "https"),
        ({}, [{"issuer": "ftp://x", "keys": jwks(key_of(BROKER))}], "https"),
        ({}, [{"issuer": GRANTS, "keys": jwks(key_of(BROKER))}] * 2, "twice"),
    ],
)
def test_what_contradicts_itself_is_refused(people: Any, issuers: Any, said: str) -> None:
    with pytest.raises(Invalid, match="E-AGREEMENT") as caught:
        check_agreement(changed(people, issuers))
    assert said in caught.value.message


def test_an_issuer_states_keys_that_can_be_read() -> None:
    with pytest.raises(Invalid, match="E-JWKS") as caught:
        check_agreement(changed({}, [{"issuer": GRANTS, "keys": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}]))
    assert caught.value.where == "duties.passport_issuers.keys"


def test_every_role_of_an_agreement_has_its_line() -> None:
    assert set(MAY) == set(PEOPLE)
    assert {action for actions in MAY.values() for action in actions} == set(get_args(Action))


def test_an_auditor_only_looks() -> None:
    assert all(action.startswith("see_") for action in MAY["auditor"])
    assert may({"auditor"}, "see_ledger")


def test_roles_add_up() -> None:
    assert may({"researcher", "output_checker"}, "ask")
    assert may({"researcher", "output_checker"}, "review")
    assert not any(may({"administrator"}, action) for action in get_args(Action))
    permit({"researcher"}, "ask")
    with pytest.raises(Refused, match="E-ROLE") as caught:
        permit({"researcher"}, "approve")
    assert "custodian" in caught.value.hint


def test_changes_of_logins_and_issuers_are_said_in_words() -> None:
    before = changed({"dr ada": [ADA]}, [{"issuer": GRANTS, "keys": jwks(key_of(GRANTS))}])
    after = changed(
        {"dr ada": [ADA, {**ADA, "subject": "ada-2"}]},
        [{"issuer": GRANTS, "keys": jwks(key_of("new"))}, {"issuer": BROKER, "keys": jwks(key_of(BROKER))}],
    )
    assert differences(before, after) == [
        f"person dr ada: logins: {BROKER} as ada-2 added",
        f"passport issuer {GRANTS}: keys: replaced by another",
        f"passport issuers: {BROKER} added (weaker)",
    ]


def test_people_of_one_party_are_told_apart() -> None:
    """Named by their party, the last of it hid the others."""
    before, after = changed({}), changed({"custodian of leeds-nhs": [ADA]})
    assert differences(before, after) == ["person custodian of leeds-nhs: logins: stated now"]
