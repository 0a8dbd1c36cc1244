"""Cards, drafting, consistency, signatures and the chain of versions."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from governance_alliance import (
    FLOOR,
    NOW,
    OWN_CUSTODIAN,
    PARTIES,
    SITES,
    card_of,
    cards,
    certificate_of,
    draft,
    key_of,
    signed_by_all,
    terms,
)

from isthmus.crypto.envelope import sign_envelope
from isthmus.governance.agreement import (
    DatasetEntry,
    agreement_digest,
    check_in_force,
    legal_entities,
    shared_rules,
)
from isthmus.governance.card import read_card, sign_card
from isthmus.governance.consistency import check_agreement
from isthmus.governance.drafting import new_agreement, read_agreement, write_text
from isthmus.governance.signing import (
    PAYLOAD_TYPE,
    check_own_site,
    check_signatures,
    claims,
    read_signed,
    sign_agreement,
    signers,
    unsigned,
    verify_agreement,
)
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted
from isthmus.model.rules import Dominance


def code_of(action) -> str:
    with pytest.raises(IsthmusError) as caught:
        action()
    assert caught.value.hint or caught.value.where
    return caught.value.code


# ---- cards


def test_a_card_is_read_back():
    card = card_of("site", "leeds", "leeds-nhs")
    assert read_card(json.dumps(plain(card)).encode()) == card


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"party": "another"}, "E-SIGNATURE"),
        ({"key": "00" * 32}, "E-SIGNATURE"),
        ({"key": "AA" * 32}, "E-KEY"),
        ({"key": "00"}, "E-KEY"),
        ({"role": "king"}, "E-TYPE"),
        ({"email": "x"}, "E-UNKNOWN-KEY"),
    ],
)
def test_a_changed_card_is_not_read(change, code):
    body = plain(card_of("site", "leeds", "leeds-nhs")) | change
    with pytest.raises(IsthmusError) as caught:
        read_card(json.dumps(body).encode())
    assert caught.value.code == code


@pytest.mark.parametrize("raw", [b"not json", b"[" * 100_000, b" " * 70_000])
def test_what_is_no_card_is_not_read(raw):
    assert code_of(lambda: read_card(raw)) == "E-CARD"


def test_a_pin_of_another_certificate_is_not_read():
    card = replace(card_of("site", "leeds", "leeds-nhs"), certificate=certificate_of("boston"))
    resigned = sign_card(card, key_of("leeds"))
    assert code_of(lambda: read_card(json.dumps(plain(resigned)).encode())) == "E-PIN"


# ---- drafting and YAML


def test_an_agreement_from_cards_names_everyone():
    made = draft()
    assert {p.party: p.country for p in made.parties} == PARTIES
    assert {s.site: s.party for s in made.sites} == SITES
    assert made.site("leeds").facility == "leeds-dc1"
    assert next(p.name for p in made.parties if p.party == "leeds-nhs") == "Leeds Teaching Hospitals"
    assert made.hub.key == key_of("hub").public.hex()
    assert (made.version, made.previous) == (1, None)


def test_yaml_comes_back_the_same_norway_and_dates_included():
    made = draft()
    text = write_text(made)
    assert read_agreement(text) == made
    assert agreement_digest(read_agreement(text)) == agreement_digest(made)
    signed = signed_by_all(made)
    assert read_signed(write_text(signed)) == signed


def test_an_unknown_key_names_the_nearest():
    text = write_text(draft()).replace("\nexpires:", "\nexpire:")
    with pytest.raises(Invalid) as caught:
        read_agreement(text)
    assert caught.value.code == "E-UNKNOWN-KEY"
    assert "expires" in caught.value.hint


def test_a_disclosure_rule_left_out_is_an_error():
    text = "\n".join(line for line in write_text(draft()).splitlines() if "maximum_leverage" not in line)
    assert code_of(lambda: read_agreement(text)) == "E-MISSING-KEY"


def test_exactly_one_hub():
    assert code_of(lambda: new_agreement(terms(), [c for c in cards() if c.role != "hub"])) == "E-AGREEMENT"


# ---- consistency


ENTRY = draft().datasets[0]


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"expires": "31 October"}, "E-AGREEMENT", "expires"),
        ({"starts": "2026-02-30"}, "E-AGREEMENT", "starts"),
        ({"expires": "2026-01-01"}, "E-AGREEMENT", "expires"),
        ({"version": 0}, "E-AGREEMENT", "version"),
        ({"version": 2}, "E-AGREEMENT", "previous"),
        ({"version": 2, "previous": "abc"}, "E-AGREEMENT", "previous"),
        ({"analyses": ()}, "E-AGREEMENT", "analyses"),
        ({"analyses": ("glm", "glm")}, "E-AGREEMENT", "analyses"),
        ({"datasets": (replace(ENTRY, sites=("leeds", "rome")),)}, "E-AGREEMENT", "datasets.trial"),
        ({"datasets": (replace(ENTRY, sites=("leeds", "leeds")),)}, "E-AGREEMENT", "datasets.trial"),
        ({"datasets": (replace(ENTRY, codebook="none"),)}, "E-AGREEMENT", "datasets.trial"),
        ({"datasets": (replace(ENTRY, rules=replace(FLOOR, minimum_count=10)),)}, "E-RULES-FLOOR", ""),
        ({"disclosure": replace(FLOOR, minimum_count=4)}, "E-RULES-FLOOR", ""),
        ({"disclosure": replace(FLOOR, minimum_sites=2)}, "E-RULES-FLOOR", ""),
        ({"disclosure": replace(FLOOR, digits=None)}, "E-RULES", "digits"),
    ],
)
def test_an_agreement_that_makes_no_sense_is_refused(changes, code, where):
    with pytest.raises(IsthmusError) as caught:
        check_agreement(replace(draft(), **changes))
    assert (caught.value.code, caught.value.where) == (code, where)


def test_a_party_without_a_custodian_cannot_be_named():
    made = draft()
    people = tuple(p for p in made.people if p.party != "oslo-health")
    assert code_of(lambda: check_agreement(replace(made, people=people))) == "E-AGREEMENT"


def test_a_party_that_is_not_listed_cannot_run_a_site():
    made = draft()
    parties = tuple(p for p in made.parties if p.party != "oslo-health")
    assert code_of(lambda: check_agreement(replace(made, parties=parties))) == "E-AGREEMENT"


def test_one_key_stands_for_one_name():
    made = draft()
    sites = (made.sites[0], replace(made.sites[1], key=made.sites[0].key), made.sites[2])
    assert code_of(lambda: check_agreement(replace(made, sites=sites))) == "E-AGREEMENT"


def test_a_pin_is_its_certificates():
    made = draft()
    sites = (replace(made.sites[0], tls=made.sites[1].tls), *made.sites[1:])
    assert code_of(lambda: check_agreement(replace(made, sites=sites))) == "E-PIN"


def test_two_parties_state_so_and_everyone_signs_it():
    two = draft(two_party=True, disclosure=replace(FLOOR, minimum_sites=2))
    assert verify_agreement(signed_by_all(two), OWN_CUSTODIAN).two_party


def test_the_dataset_may_be_stricter_and_is_named():
    strict = replace(ENTRY, rules=replace(FLOOR, minimum_count=20))
    effective = shared_rules(draft(datasets=(strict,)), "trial")
    assert effective.rules.minimum_count == 20
    assert (effective.whose["minimum_count"], effective.whose["round_to"]) == ("dataset", "agreement")


def test_a_site_may_be_stricter_in_public_and_is_named():
    strict = replace(FLOOR, minimum_count=20, minimum_sites=3, dominance=Dominance(n=2, k=0.8, p=0.1))
    made = draft(site_rules={"oslo": strict}, datasets=(replace(ENTRY, rules=replace(FLOOR, round_to=10)),))
    effective = shared_rules(made, "trial")
    assert (effective.rules.minimum_count, effective.rules.round_to, effective.rules.dominance.k) == (20, 10, 0.8)
    whose = [effective.whose[rule] for rule in ("minimum_count", "round_to", "digits", "dominance")]
    assert whose == ["site oslo", "dataset", "agreement", "agreement and site oslo"]
    assert verify_agreement(signed_by_all(made), OWN_CUSTODIAN).site("oslo").rules == strict


def test_a_sites_rules_do_not_hold_for_data_it_has_not():
    other = replace(ENTRY, sites=("leeds", "boston"))
    made = draft(site_rules={"oslo": replace(FLOOR, minimum_count=20)}, datasets=(other,))
    assert shared_rules(made, "trial").rules.minimum_count == 11


def test_a_site_may_not_be_weaker_and_must_exist():
    assert code_of(lambda: draft(site_rules={"oslo": replace(FLOOR, minimum_count=10)})) == "E-RULES-FLOOR"
    assert code_of(lambda: draft(site_rules={"rome": FLOOR})) == "E-AGREEMENT"


def test_two_sites_of_one_party_are_one_legal_entity():
    second = card_of("site", "leeds2", "leeds-nhs")
    made = new_agreement(terms(), [*cards(), second])
    assert legal_entities(made, ["leeds", "leeds2", "boston"]) == {"leeds-nhs", "boston-hospital"}


def test_in_force_on_its_first_and_last_day_only():
    made = draft()
    for day in ("2026-11-01T00:00:00", "2027-10-31T23:59:59"):
        check_in_force(made, NOW.fromisoformat(day + "+00:00"))
    assert code_of(lambda: check_in_force(made, NOW.fromisoformat("2026-10-31T23:59:59+00:00"))) == "E-NOT-YET"
    assert code_of(lambda: check_in_force(made, NOW.fromisoformat("2027-11-01T00:00:00+00:00"))) == "E-EXPIRED"


# ---- signatures


def test_a_site_trusts_what_its_own_custodian_and_every_party_signed():
    made = draft()
    assert verify_agreement(signed_by_all(made), OWN_CUSTODIAN) == made


def test_those_who_signed_are_named():
    everyone = signed_by_all(draft())
    keepers = {p.person for p in draft().people if "custodian" in p.roles}
    assert signers(everyone) == keepers
    assert len(signers(replace(everyone, signatures=everyone.signatures[1:]))) == len(keepers) - 1


@pytest.mark.parametrize("party", PARTIES)
def test_every_party_signs(party):
    signed = unsigned(draft())
    for other in set(PARTIES) - {party}:
        signed = sign_agreement(signed, key_of(f"custodian of {other}"), NOW)
    with pytest.raises(Untrusted) as caught:
        verify_agreement(signed, OWN_CUSTODIAN)
    assert caught.value.code == "E-AGREEMENT-UNSIGNED"
    assert party in caught.value.message


def test_signing_twice_changes_nothing():
    signed = signed_by_all(draft())
    assert sign_agreement(signed, key_of("custodian of leeds-nhs"), NOW + timedelta(days=1)) == signed


@pytest.mark.parametrize("name", ["dr ada", "leeds", "a stranger"])
def test_only_a_custodian_signs(name):
    assert code_of(lambda: sign_agreement(unsigned(draft()), key_of(name), NOW)) == "E-SIGNER"


def test_a_stranger_as_own_custodian_trusts_nothing():
    assert code_of(lambda: verify_agreement(signed_by_all(draft()), key_of("mallory").public)) == "E-CUSTODIAN"


@pytest.mark.parametrize("changes", [{"expires": "2028-01-01"}, {"disclosure": replace(FLOOR, minimum_count=5)}])
def test_signatures_hold_for_one_text_only(changes):
    signed = signed_by_all(draft())
    forged = replace(signed, agreement=replace(signed.agreement, **changes))
    assert code_of(lambda: verify_agreement(forged, OWN_CUSTODIAN)) == "E-SIGNATURE"


def said_again(name: str, **changed: str) -> str:
    """What is told of an agreement on which this custodian's statement says something else, with a signature that holds."""
    signed = signed_by_all(draft())
    at = next(i for i, c in enumerate(claims(signed)) if c.person == name)
    said = json.loads(base64.b64decode(signed.signatures[at]["payload"]))
    said["predicate"] |= changed
    other = sign_envelope(PAYLOAD_TYPE, canonical(said), [(key_of(name).public.hex(), key_of(name))])
    made = replace(signed, signatures=(*signed.signatures[:at], other, *signed.signatures[at + 1 :]))
    with pytest.raises(IsthmusError) as caught:
        check_signatures(made, now=NOW)
    return f"{caught.value.code} {caught.value.message}"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"meaning": "has read this"}, "E-SIGNATURE the signature of {who} for {party} means 'has read this', not"),
        ({"party": "boston-hospital"}, "E-SIGNATURE the signature of {who} for {party} states another version, party"),
        ({"time": "banana"}, "E-SIGNATURE the signature of {who} for {party} states no time"),
        ({"time": "2026-11-23T12:00:00"}, "E-SIGNATURE the signature of {who} for {party} states no time"),
        ({"time": "2019-01-01T00:00:00+00:00"}, "E-CLOCK the signature of {who} says 2019-01-01"),
        ({"time": "2099-01-01T00:00:00+00:00"}, "E-CLOCK the signature of {who} says 2099-01-01"),
        ({"time": "2026-11-23T12:06:00+00:00"}, "E-CLOCK the signature of {who} says 2026-11-23T12:06:00+00:00, which"),
    ],
)
def test_a_signature_that_does_not_count_is_said_to_be_whose_and_why(changed, told):
    who = "custodian of oslo-health"
    assert said_again(who, **changed).startswith(told.format(who=who, party="oslo-health"))


def test_a_changed_text_and_a_forged_signature_are_told_apart():
    signed = signed_by_all(draft())
    (first, *rest) = signed.signatures
    raw = bytearray(base64.b64decode(first["signatures"][0]["sig"]))
    raw[3] ^= 1
    broken = {**first["signatures"][0], "sig": base64.b64encode(bytes(raw)).decode()}
    for made, told in (
        (replace(signed, agreement=replace(signed.agreement, title="Another")), "over another text"),
        (replace(signed, signatures=({**first, "signatures": [broken]}, *rest)), "does not hold"),
    ):
        with pytest.raises(Untrusted) as caught:
            check_signatures(made)
        assert caught.value.code == "E-SIGNATURE"
        assert told in caught.value.message
        assert claims(signed)[0].person in caught.value.message


def test_one_custodians_signature_is_not_anothers():
    signed = signed_by_all(draft())
    first, second = signed.signatures[0], signed.signatures[1]
    relabelled = {**first, "signatures": [{**first["signatures"][0], "keyid": second["signatures"][0]["keyid"]}]}
    forged = replace(signed, signatures=(first, relabelled, *signed.signatures[2:]))
    assert code_of(lambda: check_signatures(forged)) == "E-SIGNATURE"


@pytest.mark.parametrize("envelope", [{}, {"signatures": []}, {"signatures": 3}, {"signatures": [{"keyid": "x"}]}])
def test_garbage_for_an_envelope_is_a_coded_error(envelope):
    signed = signed_by_all(draft())
    garbage = replace(signed, signatures=(*signed.signatures, envelope))
    assert code_of(lambda: check_signatures(garbage)) in {"E-ENVELOPE", "E-SIGNER"}


def test_an_envelope_over_something_else_is_no_approval():
    made = draft()
    key = key_of("custodian of leeds-nhs")
    for payload in (b"hello", canonical({"predicate": {"time": "now"}}), canonical({"predicate": {"time": 3}})):
        envelope = sign_envelope(PAYLOAD_TYPE, payload, [(key.public.hex(), key)])
        with pytest.raises(IsthmusError) as caught:
            check_signatures(replace(unsigned(made), signatures=(envelope,)))
        assert caught.value.code in {"E-ENVELOPE", "E-SIGNATURE"}


def test_the_agreement_means_this_site():
    made = draft()
    check_own_site(made, "leeds", key_of("leeds").public, OWN_CUSTODIAN)
    assert code_of(lambda: check_own_site(made, "rome", key_of("leeds").public, OWN_CUSTODIAN)) == "E-ROSTER"
    assert code_of(lambda: check_own_site(made, "leeds", key_of("boston").public, OWN_CUSTODIAN)) == "E-KEY-PINNED"
    assert code_of(lambda: check_own_site(made, "boston", key_of("boston").public, OWN_CUSTODIAN)) == "E-KEY-PINNED"


# ---- versions


def next_version(before, **changed):
    return new_agreement(terms(**changed), cards(), before)


def test_the_next_version_follows_the_held_one():
    one = draft()
    two = next_version(one, expires="2028-10-31")
    assert (two.version, two.previous) == (2, agreement_digest(one))
    assert verify_agreement(signed_by_all(two), OWN_CUSTODIAN, held=one) == two
    assert verify_agreement(signed_by_all(two), OWN_CUSTODIAN, held=two) == two


def test_an_older_version_a_gap_another_line_or_another_text_is_not_accepted():
    one = draft()
    two = next_version(one, expires="2028-10-31")
    three = next_version(two, expires="2029-10-31")
    other_two = next_version(one, expires="2028-12-31")
    for offered, held in (
        (one, two),
        (three, one),
        (two, None),
        (other_two, two),
        (three, other_two),
        (replace(one, id="urn:another"), one),
    ):
        offer = signed_by_all(offered)
        assert code_of(lambda offer=offer, held=held: verify_agreement(offer, OWN_CUSTODIAN, held)) == (
            "E-AGREEMENT-VERSION"
        )


def test_a_party_is_not_dropped_without_its_own_signature():
    one = draft()
    without_oslo = [c for c in cards() if c.party != "oslo-health"]
    entry = DatasetEntry(dataset="trial", codebook=ENTRY.codebook, sites=("leeds", "boston"))
    two = new_agreement(terms(datasets=(entry,)), without_oslo, one)
    signed = unsigned(two)
    for party in set(PARTIES) - {"oslo-health"}:
        signed = sign_agreement(signed, key_of(f"custodian of {party}"), NOW)
    with pytest.raises(Untrusted) as caught:
        verify_agreement(signed, OWN_CUSTODIAN, held=one)
    assert caught.value.code == "E-AGREEMENT-UNSIGNED"
    assert "oslo-health" in caught.value.message
    leaving = sign_agreement(signed, key_of("custodian of oslo-health"), NOW, before=one)
    assert verify_agreement(leaving, OWN_CUSTODIAN, held=one) == two


def test_a_version_that_comes_with_the_one_before_is_taken_by_who_holds_none():
    one = draft()
    rest = [c for c in cards() if c.party != "oslo-health"]
    entry = DatasetEntry(dataset="trial", codebook=ENTRY.codebook, sites=("leeds", "boston"))
    two = new_agreement(terms(datasets=(entry,)), rest, one)
    signed = unsigned(two, one)
    for party in set(PARTIES) - {"oslo-health"}:
        signed = sign_agreement(signed, key_of(f"custodian of {party}"), NOW)
    assert code_of(lambda: check_signatures(signed)) == "E-AGREEMENT-UNSIGNED"  # the party that leaves
    leaving = sign_agreement(signed, key_of("custodian of oslo-health"), NOW)
    assert read_signed(write_text(leaving)) == leaving
    assert check_signatures(leaving) == two  # at the hub and in a verifier
    assert verify_agreement(leaving, OWN_CUSTODIAN) == two  # at a site that joins now
    assert verify_agreement(leaving, OWN_CUSTODIAN, held=one) == two
    bare = replace(leaving, before=None)
    assert code_of(lambda: verify_agreement(bare, OWN_CUSTODIAN)) == "E-AGREEMENT-VERSION"


def test_another_version_before_than_it_follows_is_not_taken():
    one, other = draft(), draft(expires="2027-11-30")
    two = next_version(one)
    forged = replace(signed_by_all(two), before=other)
    assert code_of(lambda: check_signatures(forged)) == "E-AGREEMENT-VERSION"
    assert code_of(lambda: verify_agreement(forged, OWN_CUSTODIAN)) == "E-AGREEMENT-VERSION"


def test_refusals_of_the_agreement_are_refusals():
    with pytest.raises(Refused):
        draft().dataset("unknown")
