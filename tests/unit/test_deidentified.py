"""Rows that show what their codebook does not: a site looks at them, and its own custodian alone is told."""

from typing import Any

import pyarrow as pa
import pytest
from governance_worked import UK, US, worked_agreement, worked_terms

from isthmus.data.seen import seen
from isthmus.data.source import open_source
from isthmus.federation import deidentified
from isthmus.federation.deidentified import Rows, check_rows, most_people
from isthmus.governance.facts import Known, agreement_facts
from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import verdicts
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused, Unavailable

BOOK = Codebook(
    name="statins",
    person="pid",
    variables={
        "age": Variable(type="integer", unit="a", range=(18, 90), missing=(999,)),
        "ward_type": Variable(type="category"),
        "statin": Variable(type="boolean"),
        "gone": Variable(type="number"),
    },
)
ROWS: dict[str, Any] = {
    "pid": [1, 2, 3, 4],
    "age": [40, 90, 999, None],
    "ward_type": ["medical", "surgical", None, "medical"],
    "statin": [True, False, None, True],
}


def table(**changed: Any) -> Any:
    return open_source(pa.table({**ROWS, **changed}))


def agreement(**held: Any) -> Any:
    return worked_agreement(datasets=[worked_terms()["datasets"][0] | {"custody": [UK, US | held]}])


def looked(rows: Any, site: str = "center", book: Codebook = BOOK, **held: Any) -> None:
    check_rows(agreement(**held), site, "statins", rows, book)


def test_rows_as_a_codebook_have_their_values_and_no_codes_that_mean_missing():
    found = seen(table(), BOOK).variables
    assert found["age"].range == (40.0, 90.0)
    assert found["ward_type"].levels == ("medical", "surgical")
    assert found["statin"] == BOOK.variables["statin"]
    assert "gone" not in found
    assert "pid" not in found
    assert "age" not in seen(table(age=[999, None, 999, None]), BOOK).variables


def test_a_column_that_cannot_be_read_as_declared_is_left_to_the_study_that_reads_it():
    odd = table(ward_type=pa.array([b"a", b"b", b"c", b"d"]))
    assert "ward_type" not in seen(odd, BOOK).variables


def test_rows_without_identifiers_are_served():
    looked(table())


@pytest.mark.parametrize(
    ("changed", "says", "rule", "citation"),
    [
        ({"age": [40, 91, 999, None]}, "(C) age", "US-HIP-03", "45 CFR 164.514(b)(2)(i)(B)-(C)"),
        ({"ward_type": ["a", "seen 2024-03-09", "b", "c"]}, "(C) ward_type", "US-HIP-02", "(A)-(R)"),
        ({"ward_type": ["a", "943 476 5919", "b", "c"]}, "(H) ward_type", "US-HIP-02", "(A)-(R)"),
        ({"ward_type": ["02139", "10001", "60614", None]}, "(B) ward_type", "US-HIP-03", "(B)-(C)"),
    ],
)
def test_rows_that_show_an_identifier_are_refused_with_column_rule_and_citation(changed, says, rule, citation):
    with pytest.raises(Refused) as caught:
        looked(table(**changed))
    assert caught.value.code == "E-IDENTIFIERS"
    assert says in caught.value.message
    assert caught.value.where == rule
    assert citation in caught.value.hint
    for value in ("91", "2024", "943", "02139"):
        assert value not in str(caught.value)


def test_what_the_codebook_shows_itself_is_for_the_rules():
    """US-HIP-02 stops the study then, and says so."""
    wide = Codebook(name="statins", variables={"age": Variable(type="integer", unit="a", range=(0, 120))})
    looked(table(age=[40, 91, 99, 20]), book=wide)


@pytest.mark.parametrize(
    "held",
    [
        {"identifiability": "hipaa_expert"},
        {"identifiability": "pseudonymised", "hipaa_path": "waiver"},
        {"identifiability": "hipaa_lds", "hipaa_path": "lds_dua"},
    ],
)
def test_only_who_says_that_they_are_gone_is_held_to_it(held):
    looked(table(age=[40, 91, 999, None]), **held)
    with pytest.raises(Refused):
        looked(table(age=[40, 91, 999, None]), identifiability="anonymous_ico")


LIMITED = {"identifiability": "hipaa_lds", "hipaa_path": "lds_dua"}
ANONYMOUS = {"identifiability": "anonymous_ico", "hipaa_path": "not_phi"}


@pytest.mark.parametrize(
    ("value", "limited", "anonymous"),
    [
        ("943 476 5919", "US-HIP-07", "UK-LAW-15"),
        ("ann@example.org", "US-HIP-07", "UK-LAW-15"),
        ("LS2 9JT", "US-HIP-07", "UK-LAW-15"),
        ("5f0c9a52-3a1f-4c55-9c39-0d3b1f6ae001", None, "UK-LAW-15"),  # a code that is nobody's number elsewhere
        ("seen 2024-03-09", None, None),
    ],
)
def test_limited_and_anonymous_data_are_held_to_what_they_are_called(value, limited, anonymous):
    """A limited data set keeps dates and codes (164.514(e)(2)); anonymous data no number of anybody's."""
    rows = table(ward_type=["a", value, "b", "c"])
    for held, rule in ((LIMITED, limited), (ANONYMOUS, anonymous)):
        if rule is None:
            looked(rows, **held)
            continue
        with pytest.raises(Refused) as caught:
            looked(rows, **held)
        assert (caught.value.code, caught.value.where) == ("E-IDENTIFIERS", rule)
        assert value not in str(caught.value)
    looked(rows, identifiability="pseudonymised", hipaa_path="waiver")  # the twin: nothing is claimed


def test_a_column_of_nhs_numbers_is_not_anonymous_by_its_codebook_either():
    book = Codebook(name="statins", variables={"nhs_number": Variable(type="category"), "age": BOOK.variables["age"]})

    def found(identifiability: str) -> dict[str, str]:
        made = worked_agreement(
            datasets=[worked_terms()["datasets"][0] | {"custody": [UK | {"identifiability": identifiability}, US]}]
        )
        known = Known(signers=frozenset({"alice", "carol"}), codebooks={"statins": book})
        rules = [r for r in own_pack().rules if r.id in {"UK-LAW-15", "US-HIP-07"}]
        return {
            v.rule.id: v.outcome for v in verdicts(own_pack(), rules, {"a": agreement_facts(made, own_pack(), known)})
        }

    assert found("anonymous_ico") == {"UK-LAW-15": "fail", "US-HIP-07": "n/a"}
    assert found("hipaa_lds") == {"UK-LAW-15": "n/a", "US-HIP-07": "fail"}
    assert found("pseudonymised") == {"UK-LAW-15": "n/a", "US-HIP-07": "n/a"}


def test_a_site_is_held_to_what_its_own_party_says():
    looked(table(age=[40, 91, 999, None]), site="trust")  # pseudonymised, by the UK party


def test_each_snapshot_is_looked_at_once_and_a_study_is_met_with_silence(monkeypatch):
    rows = Rows(agreement(), "center")
    good, bad = table(), table(age=[40, 97, 999, None])
    rows.before_use("statins", good, BOOK, "pid")
    assert rows.clean == {"statins": good.fingerprint()}
    with pytest.raises(Unavailable) as caught:
        rows.before_use("statins", bad, BOOK, "pid")
    assert caught.value.code == "E-IDENTIFIERS"
    assert rows.clean == {"statins": good.fingerprint()}
    monkeypatch.setattr(deidentified, "check_rows", lambda *_: None)  # the twin reads the age of 97
    rows.before_use("statins", bad, BOOK, "pid")


@pytest.mark.parametrize(
    ("stated", "person", "refused"), [(3, "pid", False), (2, "pid", True), (4, None, False), (3, None, True)]
)
def test_rows_are_about_no_more_people_of_the_united_states_than_is_stated(stated, person, refused, monkeypatch):
    """The twin of each refusal states one more, or does not count; the row without a person is one, and no number is told."""
    source = table(pid=[1, 1, 2, None])
    rows = Rows(agreement(people_us=stated), "center")
    if not refused:
        rows.before_use("statins", source, BOOK, person)
        return
    with pytest.raises(Unavailable) as caught:
        rows.before_use("statins", source, BOOK, person)
    assert (caught.value.code, caught.value.where) == ("E-PEOPLE", "US-DSP-04")
    assert "28 CFR 202.205" in caught.value.hint
    assert not [c for c in caught.value.message if c.isdigit()]
    monkeypatch.setattr(deidentified, "check_people", lambda *_: None)
    rows.before_use("statins", source, BOOK, person)


def test_rows_of_people_of_several_countries_are_not_counted():
    mixed = agreement(people_us=1, subjects=["GB", "US"])
    assert most_people(mixed, "center", "statins") is None
    assert most_people(agreement(people_us=7), "center", "statins") == 7
    assert most_people(agreement(), "trust", "statins") is None
