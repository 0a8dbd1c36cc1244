"""What a hub and a site let in: every refusal is coded, says what to do, and has its own test."""

from dataclasses import replace
from datetime import timedelta

import pytest
from governance_alliance import CODEBOOK, FLOOR, NOW, card_of, cards, draft, key_of, terms

from isthmus.crypto.envelope import sign_envelope
from isthmus.governance.admission import (
    PAYLOAD_TYPE,
    Door,
    RunRequest,
    admit,
    admit_at_hub,
    barred,
    sign_request,
    without,
)
from isthmus.governance.agreement import agreement_digest
from isthmus.governance.drafting import new_agreement
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import IsthmusError, Refused
from isthmus.model.study import Purpose, Study

AGREEMENT = draft()
STUDY = Study(
    isthmus="study/1",
    title="Does age matter?",
    dataset="trial",
    purpose=Purpose(duo="DUO:0000007", text="a trial"),
    derive={"old": "age > 80"},
    analyses={"death": {"glm": {"formula": "died ~ age + sex + old", "family": "binomial"}}},
)
READS = frozenset({"died", "age", "sex", "old"})


def request(**changed: object) -> RunRequest:
    made = RunRequest(
        isthmus="request/1",
        study=STUDY,
        agreement=agreement_digest(AGREEMENT),
        roster=("boston", "leeds", "oslo"),
        mode="federated",
        number=1,
        created="2026-11-23T11:59:00+00:00",
    )
    return replace(made, **changed)


def door(**changed: object) -> Door:
    made = Door(
        agreement=AGREEMENT,
        site="leeds",
        mode="federated",
        rules=FLOOR,
        codebook=CODEBOOK,
        reads=lambda study: READS,
    )
    return replace(made, **changed)


def envelope(asked: RunRequest, signer: str = "dr ada"):
    return sign_request(asked, key_of(signer))


def code_of(sent, at: Door | None = None, now=NOW) -> str:
    with pytest.raises(IsthmusError) as caught:
        admit(sent, at or door(), now)
    assert caught.value.hint or caught.value.where or caught.value.code in {"E-ENVELOPE", "E-SIGNATURE"}
    return caught.value.code


def test_a_sound_request_comes_in_at_hub_and_site():
    assert admit(envelope(request()), door(), NOW) == request()
    assert admit_at_hub(envelope(request()), AGREEMENT, "federated", NOW) == request()


# ---- who


def test_unsigned():
    sent = envelope(request())
    assert code_of({**sent, "signatures": []}) == "E-UNSIGNED"
    assert code_of({}) == "E-UNSIGNED"


@pytest.mark.parametrize("signer", ["a stranger", "custodian of leeds-nhs", "boston", "hub"])
def test_signed_by_nobody_who_may_ask(signer):
    assert code_of(envelope(request(), signer)) == "E-SIGNER"


def test_a_signature_that_does_not_hold():
    good, other = envelope(request()), envelope(request(number=2))
    assert code_of({**good, "payload": other["payload"]}) == "E-SIGNATURE"
    assert code_of({**good, "payloadType": "application/vnd.in-toto+json"}) == "E-SIGNATURE"


@pytest.mark.parametrize("signatures", [3, "text", [3], [{}], [{"keyid": 3, "sig": ""}]])
def test_garbage_for_signatures(signatures):
    assert code_of({**envelope(request()), "signatures": signatures}) in {"E-SIGNER", "E-ENVELOPE"}


# ---- what is in the envelope


def sealed(payload: bytes):
    key = key_of("dr ada")
    return sign_envelope(PAYLOAD_TYPE, payload, [(key.public.hex(), key)])


def test_garbage_for_a_request():
    assert code_of(sealed(b"\xff not json")) == "E-REQUEST"
    assert code_of(sealed(b"[1, 2]")) == "E-TYPE"
    assert code_of(sealed(canonical(plain(request()) | {"urgent": True}))) == "E-UNKNOWN-KEY"


def test_a_request_has_one_form():
    assert code_of(sealed(canonical(request()) + b" ")) == "E-REQUEST"


@pytest.mark.parametrize("created", ["yesterday", "2026-11-23T11:59:00"])
def test_created_is_a_time_with_an_offset(created):
    assert code_of(envelope(request(created=created))) == "E-REQUEST"


# ---- when


def test_a_rehearsal_is_not_served():
    assert code_of(envelope(request(mode="rehearsal"))) == "E-MODE"
    assert code_of(envelope(request()), door(mode="rehearsal")) == "E-MODE"


def test_made_under_another_version():
    older = replace(AGREEMENT, title="another text")
    assert code_of(envelope(request(agreement=agreement_digest(older)))) == "E-AGREEMENT-VERSION"


def test_expired_and_not_yet_valid():
    assert code_of(envelope(request()), now=NOW + timedelta(days=400)) == "E-EXPIRED"
    assert code_of(envelope(request()), now=NOW - timedelta(days=40)) == "E-NOT-YET"


def test_a_clock_that_is_wrong():
    assert code_of(envelope(request()), now=NOW - timedelta(hours=1)) == "E-CLOCK"
    late = NOW - timedelta(minutes=4)
    assert admit(envelope(request()), door(), late) == request()


# ---- what is asked


def studying(**changed: object) -> RunRequest:
    return request(study=replace(STUDY, **changed))


def test_a_kind_that_is_not_allowed():
    assert code_of(envelope(studying(analyses={"a": {"cox": {"formula": "Surv(t, died) ~ age"}}}))) == "E-KIND"
    both = {"a": {"glm": {"formula": "died ~ age"}, "boosting": {}}}
    assert code_of(envelope(studying(analyses=both))) == "E-KIND"


MIXED = {
    "death": STUDY.analyses["death"],
    "curve": {"cox": {"formula": "Surv(t, died) ~ age"}},
    "errors": {"glm": {"formula": "died ~ age", "family": "binomial", "release": ["vcov"]}},
    "place": {"glm": {"formula": "died ~ hiv", "family": "binomial"}},
}


def test_what_is_not_allowed_is_refused_alone():
    def reads(study):
        return READS | ({"hiv"} if "place" in study.analyses else set())

    asked = studying(analyses=MIXED)
    assert admit(envelope(asked), door(reads=reads), NOW) == asked
    found = barred(asked.study, AGREEMENT, CODEBOOK, reads)
    assert {name: why.code for name, why in found.items()} == {
        "curve": "E-KIND",
        "errors": "E-RELEASE",
        "place": "E-VARIABLE",
    }
    assert list(without(asked.study, found).analyses) == ["death"]


def test_where_nothing_is_allowed_the_request_is_refused():
    assert code_of(envelope(studying(analyses={name: MIXED[name] for name in ("errors", "curve")}))) == "E-KIND"


def test_a_person_identifier_anywhere_refuses_all():
    asked = studying(analyses=MIXED)
    assert (
        code_of(envelope(asked), door(reads=lambda study: {"pid"} if "place" in study.analyses else {"age"}))
        == "E-PERSON"
    )


def test_a_model_inside_a_meta_analysis_is_a_kind_too():
    pooled = {"meta": {"by": "sex", "of": {"glm": {"formula": "died ~ age"}}, "term": "age"}}
    for kinds in (("meta",), ("meta", "glm")):
        allowing = draft(analyses=kinds)
        asked = replace(studying(analyses={"a": pooled}), agreement=agreement_digest(allowing))
        if "glm" in kinds:
            assert admit_at_hub(envelope(asked), allowing, "federated", NOW) == asked
        else:
            assert code_of(envelope(asked), door(agreement=allowing)) == "E-KIND"


@pytest.mark.parametrize("release", [["vcov"], "vcov", [["vcov"]]])
def test_a_release_that_is_not_allowed(release):
    asked = {"a": {"glm": {"formula": "died ~ age", "release": release}}}
    assert code_of(envelope(studying(analyses=asked))) == "E-RELEASE"


def test_a_release_that_is_allowed():
    allowing = draft(releases=("vcov",))
    asked = studying(analyses={"a": {"glm": {"formula": "died ~ age", "release": ["vcov"]}}})
    asked = replace(asked, agreement=agreement_digest(allowing))
    assert admit(envelope(asked), door(agreement=allowing), NOW) == asked


def test_a_variable_outside_the_codebook():
    assert code_of(envelope(request()), door(reads=lambda study: READS | {"hiv"})) == "E-VARIABLE"


def test_a_variable_outside_the_agreement():
    entry = replace(AGREEMENT.datasets[0], variables=("age", "sex", "died"))
    narrow = draft(datasets=(entry,))
    asked = envelope(request(agreement=agreement_digest(narrow)))
    assert admit(asked, door(agreement=narrow), NOW).study == STUDY
    assert code_of(asked, door(agreement=narrow, reads=lambda study: READS | {"postcode"})) == "E-VARIABLE"


def test_site_and_country_are_known_everywhere():
    assert admit(envelope(request()), door(reads=lambda study: READS | {"site", "country"}), NOW) == request()


def test_the_person_identifier_is_never_read_under_any_name():
    assert code_of(envelope(request()), door(reads=lambda study: {"pid"})) == "E-PERSON"
    shadowing = studying(derive={"pid": "age"})
    assert code_of(envelope(shadowing), door(reads=lambda study: {"pid"})) == "E-PERSON"


def test_an_unknown_dataset():
    assert code_of(envelope(studying(dataset="another"))) == "E-DATASET"


def test_a_dataset_that_this_site_does_not_offer():
    assert code_of(envelope(request()), door(codebook=None)) == "E-DATASET"


def test_a_codebook_that_was_not_agreed():
    changed = replace(CODEBOOK, person=None)
    assert code_of(envelope(request()), door(codebook=changed)) == "E-CODEBOOK"


# ---- with whom, under which rules


@pytest.mark.parametrize(
    "roster",
    [
        (),
        ("boston", "leeds"),
        ("boston", "leeds", "oslo", "rome"),
        ("leeds", "boston", "oslo"),  # another order would be another run
        ("boston", "boston", "leeds", "oslo"),
    ],
)
def test_a_roster_that_is_not_the_agreements(roster):
    assert code_of(envelope(request(roster=roster))) == "E-ROSTER"


def test_a_site_that_is_not_asked():
    assert code_of(envelope(request()), door(site="rome")) == "E-ROSTER"


def test_too_few_legal_entities():
    entry = replace(AGREEMENT.datasets[0], sites=("leeds", "leeds2", "boston"))
    few = new_agreement(terms(datasets=(entry,)), [*cards(), card_of("site", "leeds2", "leeds-nhs")])
    asked = request(agreement=agreement_digest(few), roster=("boston", "leeds", "leeds2"))
    assert code_of(envelope(asked), door(agreement=few)) == "E-MIN-SITES"


def test_a_site_under_weaker_rules_than_agreed():
    weaker = replace(FLOOR, minimum_count=6)
    assert code_of(envelope(request()), door(rules=weaker)) == "E-RULES-FLOOR"
    assert admit(envelope(request()), door(rules=replace(FLOOR, minimum_count=30)), NOW) == request()


def test_every_refusal_is_before_any_row():
    # `reads` is the only thing admission calls, and only after everything public held.
    def never(study):
        raise AssertionError

    with pytest.raises(Refused):
        admit(envelope(request(mode="rehearsal")), door(reads=never), NOW)
