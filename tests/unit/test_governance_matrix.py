"""What people see of the law: templates to complete, the matrix, and differences of two versions in words."""

import re
from dataclasses import replace

import pytest
from governance_alliance import CODEBOOK, card_of, draft
from governance_worked import DUTIES, UK, US, worked_agreement, worked_terms

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.difference import differences
from isthmus.governance.drafting import Terms, new_agreement
from isthmus.governance.facts import Known, agreement_facts
from isthmus.governance.matrix import matrix
from isthmus.governance.rulepack import own_pack, packed
from isthmus.governance.signing import fingerprint
from isthmus.governance.verdicts import decide
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid
from isthmus.strict import parse

PACK = own_pack()
TEMPLATES = ("uk-us-academic", "uk-us-company", "one-country")
DAYS = {"expires": "2027-06-30", "until": "2027-06-30", "evidence_until": "2038-01-01", "data_until": "2027-09-30"}


def filled(name: str, claims: bool) -> dict:
    """A template with its placeholders replaced; with its claims too where asked."""
    text = packed(f"{name}.yaml", "templates")
    head, body = text.split("\nid:", 1)
    assert head.startswith("# Terms")
    body = "id:" + body
    if claims:
        body = body.replace("#? ", "")
    body = re.sub(r'(\w+): "YYYY-MM-DD"', lambda m: f'{m[1]}: "{DAYS.get(m[1], "2026-06-01")}"', body)
    body = body.replace("codebook: sha256:TO-BE-STATED", f"codebook: {digest(CODEBOOK)}")
    return load_yaml(body.replace("sha256:TO-BE-STATED", "sha256:" + "a" * 64).replace("TO-BE-STATED", "trial"))


def agreement_of(terms: dict):
    stated = parse(Terms, terms, "terms")
    custody = {c.controller: c for c in stated.datasets[0].custody}
    controllers = dict(zip(stated.datasets[0].sites, custody, strict=True))
    country = {name: "US" if c.subjects == ("US",) else "GB" for name, c in custody.items()}
    hub = next(r for f in stated.duties.flows for r in f.receivers if f.flow == "sums-to-hub")
    cards = [card_of("site", site, party, country[party]) for site, party in controllers.items()]
    cards += [card_of("custodian", f"custodian-{party}", party, country.get(party, "GB")) for party in {*custody, hub}]
    cards += [card_of("hub", "hub", hub, "GB"), card_of("researcher", "ada", hub, "GB")]
    return new_agreement(stated, cards)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_as_it_is_written_does_not_pass_for_terms(name):
    with pytest.raises(Invalid):
        agreement_of(load_yaml(packed(f"{name}.yaml", "templates")))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_without_its_claims_is_unknown_and_with_them_holds(name):
    bare, whole = agreement_of(filled(name, claims=False)), agreement_of(filled(name, claims=True))
    found = {gate: decide(PACK, gate, {"a": agreement_facts(bare, PACK, Known())}) for gate in ("agreement",)}
    assert "unknown" in {v.outcome for v in found["agreement"].verdicts}
    cells, verdicts = matrix(whole, PACK, Known())
    assert not [(v.rule.id, v.outcome, v.missing) for v in verdicts]
    assert {c.final for c in cells} == {"passes"}
    assert {c.destination for c in cells} == ({"GB"} if name == "one-country" else {"GB", "US"})


def test_a_cell_names_basis_and_what_is_missing():
    cells, verdicts = matrix(worked_agreement(), PACK, Known())
    assert [(c.dataset, c.purpose, c.destination, c.final) for c in cells] == [
        ("statins", "statins-over-75", "GB", "passes"),
        ("statins", "statins-over-75", "US", "passes"),
    ]
    assert "uk: 6(1)(e), 9(2)(j), para 4, s251" in cells[1].basis
    assert "us: deidentified" in cells[1].basis or "us: not_confidential, deidentified" in cells[1].basis
    assert "uk to us: not_restricted" in cells[1].basis
    assert not verdicts


def test_a_fault_shows_only_where_it_is():
    flows = [DUTIES["flows"][0] | {"personal": True}, DUTIES["flows"][1]]  # out of the UK, to the US
    cells, verdicts = matrix(worked_agreement(duties=DUTIES | {"flows": flows}), PACK, Known())
    assert {c.destination: c.open for c in cells} == {"GB": (), "US": ("XB-01",)}
    assert [v.rule.id for v in verdicts] == ["XB-01"]


def test_an_agreement_without_duties_has_a_matrix_of_what_is_missing():
    cells, verdicts = matrix(draft(), PACK, Known())
    assert {c.purpose for c in cells} == {"not stated"}
    assert {c.final for c in cells} == {"stops"}
    assert {v.missing for v in verdicts} >= {"subjects", "flows"}


def test_differences_are_sentences():
    old = worked_agreement()
    entry = worked_terms()["datasets"][0]
    new = worked_agreement(
        datasets=[entry | {"variables": ["age", "sex", "statin"], "custody": [UK | {"article_6": "6(1)(f)"}, US]}],
        disclosure=worked_terms()["disclosure"] | {"minimum_count": 20, "digits": 6},
        analyses=["glm"],
        duties=DUTIES | {"flows": DUTIES["flows"][:1], "rule_pack": "sha256:" + "b" * 64},
    )
    assert differences(old, new) == [
        "dataset statins: variables: mi removed",
        "dataset statins: custody of uk: article 6: 6(1)(f), was 6(1)(e)",
        "analyses: crosstab removed",
        "disclosure: minimum count: 20, was 11 (stricter)",
        "disclosure: digits: 6, was 4 (weaker)",
        "flows: results-to-uk removed",
        f"rule pack: stated now: sha256:{'b' * 64}",
    ]
    assert differences(old, old) == []


def test_another_key_is_a_difference_without_its_digits():
    old = worked_agreement()
    new = replace(old, hub=replace(old.hub, key="0" * 64))
    assert differences(old, new) == ["hub: key: replaced by another"]


def test_a_fingerprint_is_short_and_of_the_key():
    key = draft().hub.key
    assert re.fullmatch("([0-9a-f]{4} ){4}[0-9a-f]{4}", fingerprint(key))
    assert fingerprint(key) != fingerprint("00" * 32)
