"""Which visas of a passport count: for whom it is, who signed it, when, and on what conditions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from governance_alliance import NOW
from identity_tokens import BROKER, GRANTS, HOUR, Pinned, key_of, passport, seconds, token, visa

from isthmus.governance.identities import Login, person_of
from isthmus.governance.passport import MOST, Passport, Visa, _match, read_passport
from isthmus.model.errors import Refused, Untrusted

AGREEMENT = Pinned().agreement()
GRANT = Visa(
    type="ControlledAccessGrants",
    value="https://grants.example.org/datasets/trial",
    source="https://hospital.example.org",
    by="dac",
    asserted="2026-10-24",
    expires="2027-02-21",
    issuer=GRANTS,
)
FACULTY = {"type": "AffiliationAndRole", "value": "faculty@leeds.example.org", "by": "so"}


def read(made: str, **changed: Any) -> Passport:
    given = {"agreement": AGREEMENT, "person": "dr ada", "signed": NOW, "now": NOW, **changed}
    return read_passport(made, given["agreement"], given["person"], given["signed"], given["now"])


def left_out(made: str) -> str:
    """Why the one visa of a passport does not count."""
    found = read(made)
    assert found.visas == ()
    (reason,) = found.left_out
    return reason


def refused(made: str, **changed: Any) -> str:
    with pytest.raises(Untrusted) as caught:
        read(made, **changed)
    assert caught.value.code == "E-PASSPORT"
    return caught.value.message


def test_a_grant_of_a_pinned_issuer_is_a_fact() -> None:
    found = read(passport(visa()))
    assert found == Passport((GRANT,), ())
    assert found.facts() == [
        {
            "type": "ControlledAccessGrants",
            "value": "https://grants.example.org/datasets/trial",
            "source": "https://hospital.example.org",
            "by": "dac",
            "asserted": "2026-10-24",
            "expires": "2027-02-21",
            "issuer": GRANTS,
        }
    ]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: passport(visa(), exp=seconds(NOW, -61)), "expired"),
        (lambda: passport(visa(), exp=None), "`exp`"),
        (lambda: passport(visa(), sub="grace-1"), "no login of theirs"),
        (lambda: passport(visa(), iss=GRANTS), "key set does not have"),
        (lambda: passport(visa(), issuer="https://evil.example.org"), "issuer is not among"),
        (lambda: passport(visa(), aud="another"), "audience"),
        (lambda: passport(visa(), ga4gh_passport_v1="x"), "no list"),
        (lambda: passport(*["x"] * (MOST + 1)), "no list"),
        (lambda: passport(visa(), ga4gh_passport_v1=[1]), "no list"),
        (lambda: visa(), "type"),
        (lambda: passport(visa()).rpartition(".")[0] + ".", "signature"),
        (lambda: "not a token", "compact form"),
    ],
)
def test_a_passport_that_does_not_hold_is_refused(made: Any, said: str) -> None:
    assert said in refused(made())


def test_a_passport_of_someone_else_is_refused() -> None:
    """The same passport, from another researcher: a stolen one is worth nothing."""
    assert "no login of theirs" in refused(passport(visa()), person="custodian of leeds-nhs")


def test_the_passport_holds_when_signed_its_visas_now() -> None:
    later = NOW + timedelta(days=3)
    assert read(passport(visa()), now=later).visas == (GRANT,)
    assert "expired" in refused(passport(visa()), signed=later, now=later)
    long_after = NOW + timedelta(days=91)
    assert read(passport(visa()), now=long_after).visas == ()


def test_an_audience_that_the_agreement_states_is_accepted() -> None:
    stated = Pinned(audience="isthmus").agreement()
    assert read(passport(visa(), aud=["isthmus", "other"]), agreement=stated).visas == (GRANT,)
    assert "audience" in refused(passport(visa(), aud=["other"]), agreement=stated)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: visa(exp=seconds(NOW, -61)), "expired"),
        (lambda: visa(iat=seconds(NOW, HOUR)), "not valid yet"),
        (lambda: visa(issuer="https://evil.example.org"), "issuer is not among"),
        (lambda: visa(subject="grace-1"), "someone else's"),
        (lambda: visa(sub=None), "`sub`"),
        (lambda: visa(aud="x"), "access token"),
        (lambda: visa(scope="openid email"), "access token"),
        (lambda: visa(ga4gh_visa_v1=None), "no visa"),
        (lambda: visa(body={"type": "Nonsense"}), "type is not one"),
        (lambda: visa(body={"asserted": seconds(NOW, HOUR)}), "asserted in the future"),
        (lambda: visa(body={"asserted": None}), "`asserted`"),
        (lambda: visa(body={"value": None}), "`value`"),
        (lambda: visa(body={"source": "https://" + "x" * 255}), "`source`"),
        (lambda: visa(body={"conditions": [[{"type": "ResearcherStatus", "value": "const:x"}]]}), "conditions"),
        (lambda: visa(body={"conditions": "anything"}), "conditions"),
        (lambda: visa(body={"conditions": [[]]}), "conditions"),
        (lambda: visa().rpartition(".")[0] + ".AAAA", "signature"),
        (lambda: token({"iss": GRANTS}, key_of("evil"), kid=GRANTS), "signature"),
        (lambda: passport(visa()), "type is not vnd.ga4gh.visa+jwt"),
    ],
)
def test_a_visa_that_does_not_count_is_left_out_with_its_reason(made: Any, said: str) -> None:
    assert said in left_out(passport(made()))


def test_a_key_that_a_visa_points_at_is_never_used() -> None:
    """The twin: the forged visa carries its own key, and a library that took it would accept it."""
    forged = key_of("forger")
    claims = {"iss": GRANTS, "sub": "ada-1", "iat": seconds(NOW), "exp": seconds(NOW, HOUR)}
    body = {"type": "ControlledAccessGrants", "value": "v", "source": "https://s", "asserted": seconds(NOW)}
    made = token({**claims, "ga4gh_visa_v1": body}, forged, kid=GRANTS, jwk=forged.as_dict(private=False))
    from joserfc import jws

    content = jws.extract_compact(made.encode(), registry=jws.JWSRegistry(strict_check_header=False))
    brought = jws.validate_compact(content, forged, registry=jws.JWSRegistry(strict_check_header=False))
    assert brought
    assert "signature" in left_out(passport(made))


def test_by_is_unknown_where_it_is_not_said() -> None:
    assert [v.by for v in read(passport(visa(body={"by": None}), visa(body={"by": ["dac"]}))).visas] == ["unknown"] * 2


def test_conditions_are_met_by_other_visas() -> None:
    wants = [
        [{"type": "ResearcherStatus", "by": "const:so"}],
        [{"type": "AffiliationAndRole", "value": "pattern:faculty@*", "by": "const:so"}],
    ]
    conditional = visa(body={"conditions": wants})
    assert [v.type for v in read(passport(conditional, visa(body=FACULTY))).visas] == [GRANT.type, "AffiliationAndRole"]
    other = read(passport(conditional, visa(body={**FACULTY, "by": "self"})))
    assert [v.type for v in other.visas] == ["AffiliationAndRole"]
    both = [[*wants[0], *wants[1]]]  # all clauses of one alternative
    assert [v.type for v in read(passport(visa(body={"conditions": both}), visa(body=FACULTY))).visas] == [
        "AffiliationAndRole"
    ]


def test_conditions_do_not_lean_on_conditions_nor_on_other_people() -> None:
    wants = [[{"type": "AffiliationAndRole", "by": "const:so"}]]
    circle = visa(body={**FACULTY, "conditions": wants})
    assert read(passport(visa(body={"conditions": wants}), circle)).visas == ()
    assert read(passport(visa(body={"conditions": wants}), visa(subject="grace-1", body=FACULTY))).visas == ()


TRUSTED = replace(
    AGREEMENT,
    duties=replace(
        AGREEMENT.duties, passport_issuers=tuple(replace(i, links=True) for i in AGREEMENT.duties.passport_issuers)
    ),
)
LINK = {"type": "LinkedIdentities", "value": "ada-elsewhere,https%3A%2F%2Fgrants.example.org%2F", "by": "system"}


def test_linked_identities_make_a_visa_ones_own() -> None:
    theirs, linked = visa(subject="ada-elsewhere"), visa(body=LINK)
    assert read(passport(theirs, linked), agreement=TRUSTED).visas[0] == GRANT
    assert len(read(passport(theirs), agreement=TRUSTED).visas) == 0


@pytest.mark.parametrize("by", ["self", "peer", "somebody", None])
def test_nobody_links_by_their_own_word(by: str | None) -> None:
    made = passport(visa(subject="ada-elsewhere"), visa(body={**LINK, "by": by}))
    assert GRANT not in read(made, agreement=TRUSTED).visas


def test_an_issuer_links_only_where_the_agreement_trusts_it_for_that() -> None:
    assert GRANT not in read(passport(visa(subject="ada-elsewhere"), visa(body=LINK))).visas


def test_no_link_reaches_another_person_of_the_agreement() -> None:
    other = next(p for p in TRUSTED.people if p.person != "dr ada")
    elsewhere = (Login(issuer=GRANTS, subject="ada-elsewhere"),)
    people = tuple(replace(p, logins=elsewhere) if p is other else p for p in TRUSTED.people)
    made = passport(visa(subject="ada-elsewhere"), visa(body=LINK))
    assert GRANT not in read(made, agreement=replace(TRUSTED, people=people)).visas


def test_nobody_links_themselves_to_someone_else() -> None:
    by_another = visa(
        subject="mallory", body={"type": "LinkedIdentities", "value": "ada-1,https%3A%2F%2Fbroker.example.org"}
    )
    mallory = passport(visa(subject="mallory"), by_another)
    assert read(mallory, agreement=TRUSTED).visas == ()


@pytest.mark.parametrize(
    ("wanted", "value", "fits"),
    [
        ("const:a*", "a*", True),
        ("const:a*", "ab", False),
        ("pattern:a*", "abc", True),
        ("pattern:a?c", "abc", True),
        ("pattern:a?c", "ac", False),
        ("pattern:*", "", True),
        ("pattern:*b*b*", "abab", True),
        ("pattern:a*b*c", "abc", True),
        ("pattern:ab*bc", "abc", False),
        ("pattern:abc", "abcd", False),
        ("pattern:A", "a", False),
        ("pattern:.*", "x", False),
        ("split_pattern:123,https:%2F%2Fexample?.org", "001,x;123,https:%2F%2Fexample2.org;4,y", True),
        ("split_pattern:2", "1;22", False),
        ("regex:.*", "x", False),
        ("a", "a", False),
    ],
)
def test_matching_is_that_of_the_specification(wanted: str, value: str, fits: bool) -> None:
    assert _match(wanted, value) is fits


def test_matching_many_stars_takes_no_time() -> None:
    assert not _match("pattern:" + "*a" * 200 + "b", "a" * 5_000)


def test_a_login_is_one_person() -> None:
    assert person_of(AGREEMENT, Login(issuer=BROKER, subject="ada-1")).person == "dr ada"
    for issuer, subject in ((BROKER, "ADA-1"), (BROKER + "/", "ada-1"), (BROKER, "")):
        with pytest.raises(Refused, match="E-LOGIN"):
            person_of(AGREEMENT, Login(issuer=issuer, subject=subject))
