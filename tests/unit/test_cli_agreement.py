"""`isthmus agreement`: templates, check with the law's matrix, differences, fingerprints."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from governance_alliance import NOW, key_of
from governance_worked import DUTIES, worked_agreement, worked_cards, worked_terms
from typer.testing import CliRunner

from isthmus.cli import app
from isthmus.data.dictionary import read_codebook
from isthmus.data.yaml_text import load_yaml
from isthmus.federation.identity import Owner, make_identity
from isthmus.federation.revocations import beside
from isthmus.governance.drafting import write_text
from isthmus.governance.guide import questions
from isthmus.governance.revocation import revoke
from isthmus.governance.rulepack import own_pack, pack_digest, packed
from isthmus.governance.signing import sign_agreement, unsigned
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import IsthmusError
from isthmus.sdk.artefacts.satre import coverage
from isthmus.sdk.artefacts.words import day, plainly
from stated_rules import STRICT


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def run(*words) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main([str(word) for word in words])
    return int(stop.value.code or 0)


def signed_file(path: Path, **changed) -> Path:
    signed = unsigned(worked_agreement(**changed))
    for name in ("alice", "carol"):
        signed = sign_agreement(signed, key_of(name), NOW)
    path.write_text(write_text(signed))
    return path


def test_check_shows_the_matrix_and_what_is_missing(tmp_path, capsys):
    file = signed_file(tmp_path / "a.yaml", duties=DUTIES | {"flows": DUTIES["flows"][:1]})
    assert run("agreement", "check", file) == 0
    said = capsys.readouterr().out
    for word in ("statins-over-75", "6(1)(e)", "XB-10", "UK GDPR Art 5(1)(f)", "Not legal advice", "minimum_count"):
        assert word in said
    assert run("agreement", "check", file, "--json") == 0
    law = json.loads(capsys.readouterr().out)["law"]
    assert {c["destination"]: c["final"] for c in law["matrix"]} == {"GB": "stops", "US": "passes"}
    assert [r["rule"] for r in law["open"]] == ["XB-10"]


def test_an_agreement_that_no_site_takes_is_said_to_be_one(tmp_path, capsys):
    flows = [DUTIES["flows"][0] | {"personal": True}, DUTIES["flows"][1]]
    file = signed_file(tmp_path / "a.yaml", duties=DUTIES | {"flows": flows})
    assert run("agreement", "check", file) == 5
    assert "No site takes it: rule XB-01" in capsys.readouterr().out
    assert run("agreement", "check", file, "--json") == 5


def test_an_agreement_under_which_no_study_runs_is_said_to_be_one(tmp_path, capsys):
    people = worked_terms()["people"]
    people["erin"]["training_expires"] = "2020-01-01"
    file = signed_file(tmp_path / "a.yaml", people=people)
    assert run("agreement", "check", file) == 5
    said = capsys.readouterr().out
    assert "GOV-03 (erin)" in said
    assert "no study runs: GOV-03" in said
    assert run("agreement", "check", file, "--json") == 5


def test_check_shows_a_draft_what_it_lacks_before_anybody_signs(tmp_path, capsys):
    file = tmp_path / "a.yaml"
    file.write_text(write_text(unsigned(worked_agreement(duties=DUTIES | {"flows": DUTIES["flows"][:1]}))))
    assert run("agreement", "check", file) == 8
    said = capsys.readouterr()
    assert "XB-10" in said.out
    assert "ok" not in said.out.splitlines()[-1]
    assert "E-AGREEMENT-UNSIGNED" in said.err


def test_an_agreement_that_is_over_is_said_to_be_taken_by_no_site(tmp_path, capsys):
    past = signed_file(tmp_path / "past.yaml", starts="2026-10-01", expires="2026-11-24")
    assert run("agreement", "check", past) == 5
    assert "No site takes it: the agreement expired" in capsys.readouterr().out
    file = signed_file(tmp_path / "a.yaml")
    beside(file).write_text(json.dumps(revoke(worked_agreement(), key_of("alice"), "it ended", NOW)))
    assert run("agreement", "check", file) == 5
    assert "revoked the agreement (alice): it ended" in capsys.readouterr().out


def test_a_second_revocation_leaves_the_first_and_says_what_to_do(tmp_path, capsys):
    file = signed_file(tmp_path / "a.yaml")
    beside(file).write_text("the first")
    owner = Owner(role="custodian", name="alice", party="uk", country="GB")
    make_identity(tmp_path / "keys", owner, NOW)
    terms = worked_agreement()
    card = (tmp_path / "keys" / "card.json").read_text()
    people = [replace(p, key=json.loads(card)["key"]) if p.person == "alice" else p for p in terms.people]
    file.write_text(write_text(unsigned(replace(terms, people=tuple(people)))))
    assert run("agreement", "revoke", file, "--key", tmp_path / "keys", "--reason", "it ended for us") == 2
    said = capsys.readouterr().err
    assert "E-EXISTS" in said
    assert "move it away and revoke again" in said
    assert beside(file).read_text() == "the first"


def test_a_signature_that_does_not_count_is_refused_with_its_rule(tmp_path, capsys):
    file = signed_file(tmp_path / "a.yaml")
    file.write_text(file.read_text().replace("title: ", "title: The ", 1))
    assert run("agreement", "check", file) == 8
    said = " ".join(capsys.readouterr().err.split())
    assert "is over another text" in said
    assert "alice" in said
    assert "rule GOV-01: 21 CFR 11.70" in said
    file.write_text(write_text(unsigned(worked_agreement())))
    assert run("agreement", "check", file) == 8
    assert "rule GOV-01: 21 CFR 11.70" in " ".join(capsys.readouterr().err.split())


def test_a_new_agreement_pins_its_rule_pack_and_check_says_where_none_is_pinned(tmp_path, capsys):
    own = pack_digest(own_pack())
    made = worked_agreement()
    assert made.duties.rule_pack == own
    other = "sha256:" + "b" * 64
    assert worked_agreement(duties=DUTIES | {"rule_pack": other}).duties.rule_pack == other
    for pin, told, code in ((None, "pins no rule pack", 5), (own, "", 0), (other, "pins the rule", 0)):
        signed = unsigned(replace(made, duties=replace(made.duties, rule_pack=pin)))
        for name in ("alice", "carol"):
            signed = sign_agreement(signed, key_of(name), NOW)
        (tmp_path / "a.yaml").write_text(write_text(signed))
        assert run("agreement", "check", tmp_path / "a.yaml") == code
        said = " ".join(capsys.readouterr().out.split())
        assert (told in said) if told else ("look: the agreement pins" not in said)
        assert ("no study runs: GOV-09" in said) is (pin is None)


@pytest.mark.parametrize("template", ["uk-us-academic", "uk-us-company", "one-country"])
def test_a_template_is_written_once(tmp_path, capsys, template):
    file = tmp_path / "terms.yaml"
    assert run("agreement", "new", file, "--template", template) == 0
    assert "TO-BE-STATED" in file.read_text()
    assert run("agreement", "new", file, "--template", template) == 2
    assert "E-EXISTS" in capsys.readouterr().err


ANSWERS = {
    "id": "urn:alliance:statins",
    "title": "Statins over 75",
    "starts": "2026-12-01",
    "expires": "2027-11-30",
    "dataset": "statins",
    "purpose": "outcomes",
    "text": "Do statins help people over 75?",
    "duo": "DUO:0000007",
    "minimum_count": "12",
}


@pytest.mark.parametrize("template", ["uk-us-academic", "uk-us-company", "one-country"])
def test_a_guide_asks_for_the_essentials_and_leaves_claims_to_their_owners(tmp_path, template):
    book, file = tmp_path / "codebook.yaml", tmp_path / "terms.yaml"
    book.write_text("name: statins\nvariables: {age: {type: number}}\n")
    text = packed(f"{template}.yaml", "templates")
    told = {**ANSWERS, "codebook": str(book)}
    said = [told.get(asked.name, f"our-{asked.default}") for asked in questions(text)]
    said.insert(2, "soon")  # not a day: asked again
    done = CliRunner().invoke(
        app.app, ["agreement", "new", str(file), "--template", template, "--guided"], "\n".join(said)
    )
    assert done.exit_code == 0, done.output
    made = file.read_text()
    assert made.count("#?") == text.count("#?")
    terms = load_yaml(made, frozenset())
    assert {key: terms[key] for key in ("id", "title", "starts", "expires")} == {
        key: ANSWERS[key] for key in ("id", "title", "starts", "expires")
    }
    (dataset,) = terms["datasets"]
    assert (dataset["dataset"], dataset["codebook"]) == ("statins", digest(read_codebook(book)))
    assert all(name.startswith("our-") for name in (*dataset["sites"], *terms["parties"], *terms["people"]))
    assert {c["controller"] for c in dataset["custody"]} <= set(terms["parties"])
    assert terms["disclosure"]["minimum_count_site"] == terms["disclosure"]["minimum_count"] == 12
    (purpose,) = terms["duties"]["purposes"]
    assert (purpose["purpose"], purpose["text"], purpose["duo"]) == ("outcomes", ANSWERS["text"], "DUO:0000007")
    assert {f["facility"] for f in terms["duties"]["facilities"]} == set(terms["facilities"].values())
    assert {name for f in terms["duties"]["flows"] for name in f["datasets"]} == {"statins"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "isthmus agreement new agreement.yaml --terms"),
        ("a: 1\n", "`isthmus agreement new` makes one"),
        ("- 1\n", "`isthmus agreement new` makes one"),
    ],
)
def test_what_is_no_agreement_is_said_to_be_none(tmp_path, capsys, text, said):
    """Terms (as the template has them), another mapping, a list."""
    file = tmp_path / "terms.yaml"
    assert run("agreement", "new", file, "--template", "uk-us-academic") == 0
    if text is not None:
        file.write_text(text)
    for command in ("check", "show"):
        capsys.readouterr()
        assert run("agreement", command, file) == 2
        told = capsys.readouterr().err
        assert "E-AGREEMENT  not an agreement" in told
        assert said in told


@pytest.mark.parametrize("template", ["uk-us-academic", "uk-us-company", "one-country"])
def test_every_claim_of_law_in_a_template_is_marked(template):
    """What a template says of law, parties, people and flows; not its names, disclosure floor and question kinds."""
    text = packed(f"{template}.yaml", "templates")
    law = {"custody", "parties", "people", "duties"}
    unmarked, within = [], ""
    for line in text.splitlines():
        key = line.strip().removeprefix("- ").partition(":")[0]
        within = key if not line.startswith(" ") or key == "custody" else within
        bare = line.partition("#")[0].rstrip()
        if within in law and ": " in bare and not line.rstrip().endswith("#?"):
            unmarked.append(key)
    names = {"controller", "purpose", "text", "duo", "flow", "senders", "receivers", "datasets", "what", "facility"}
    assert set(unmarked) <= names
    assert re.search(r"(?m)^review: \{study: custodians, egress: 2", text)


def drafted(tmp_path, terms: str) -> int:
    (tmp_path / "terms.yaml").write_text(terms)
    cards = [word for card in worked_cards() for word in ("--card", _card(tmp_path, card))]
    return run("agreement", "new", tmp_path / "a.yaml", "--terms", tmp_path / "terms.yaml", *cards)


def _card(folder: Path, card) -> Path:
    path = folder / f"{card.name}.json"
    path.write_text(json.dumps(plain(card)))
    return path


@pytest.mark.parametrize("mark", ["  #?", "\n#? hipaa: none", "\n# note\n    #? dspt: {}"])
def test_nothing_is_made_checked_or_signed_of_claims_that_nobody_confirmed(tmp_path, capsys, mark):
    whole = yaml.safe_dump(json.loads(json.dumps(worked_terms())))
    assert drafted(tmp_path, whole.rstrip() + mark + "\n") == 2
    assert "E-UNSTATED" in capsys.readouterr().err
    assert drafted(tmp_path, whole) == 0
    file = tmp_path / "a.yaml"
    text = file.read_text()
    file.write_text(text.rstrip() + mark + "\n")
    for words in (("check", file), ("sign", file, "--key", tmp_path)):
        capsys.readouterr()
        assert run("agreement", *words) == 2
        said = capsys.readouterr().err
        assert "E-UNSTATED" in said
        assert f"a.yaml:{len(text.splitlines())}"[:8] in said
    file.write_text(text)
    capsys.readouterr()
    run("agreement", "check", file)
    assert "E-UNSTATED" not in capsys.readouterr().err


def test_a_placeholder_is_not_agreed_on(tmp_path, capsys):
    assert drafted(tmp_path, json.dumps(worked_terms(title="TO-BE-STATED"))) == 2
    assert "E-UNSTATED  a line is still to be stated" in capsys.readouterr().err


def test_an_agreement_needs_terms_and_cards(tmp_path, capsys):
    assert run("agreement", "new", tmp_path / "a.yaml") == 2
    assert "E-USAGE" in capsys.readouterr().err


def test_diff_speaks_plainly(tmp_path, capsys):
    old, new = signed_file(tmp_path / "1.yaml"), signed_file(tmp_path / "2.yaml", analyses=["glm"])
    assert run("agreement", "diff", old, new) == 0
    assert capsys.readouterr().out.strip() == "analyses: crosstab removed (stricter)"
    assert run("agreement", "diff", old, old) == 0
    assert "no difference" in capsys.readouterr().out
    assert run("agreement", "diff", old, new, "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"] == ["analyses: crosstab removed (stricter)"]


def test_show_lists_purposes_and_flows(tmp_path, capsys):
    assert run("agreement", "show", signed_file(tmp_path / "a.yaml")) == 0
    said = capsys.readouterr().out
    for word in ("statins-over-75", "sums-to-hub", "encrypted shares", "Signed by every party"):
        assert word in said


def test_a_new_version_names_the_one_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    roles = [("site", n, n) for n in ("north", "south", "west")]
    roles += [("hub", "hub", "north"), ("researcher", "ada", "north")]
    roles += [("custodian", f"keeper-{n}", n) for n in ("north", "south", "west")]
    for role, name, party in roles:
        open_keys = ["--no-passphrase"] if role in {"researcher", "custodian"} else []
        words = ["--party", party, "--country", "GB", "--hub", "localhost:1", "--quiet", *open_keys]
        assert run("init", role, name, *words) == 0
        (tmp_path / "isthmus.toml").unlink(missing_ok=True)
    cards = [word for _, name, _ in roles for word in ("--card", f"keys/{name}/card.json")]
    dataset = {"dataset": "trial", "codebook": digest("a codebook"), "sites": ["north", "south", "west"]}
    terms = {
        "id": "urn:alliance:three",
        "title": "Three",
        "starts": "2026-11-01",
        "expires": "2027-11-01",
        "datasets": [dataset],
        "analyses": ["count"],
        "releases": [],
        "disclosure": STRICT,
        "two_party": False,
        "facilities": {},
        "names": {},
    }
    (tmp_path / "terms.json").write_text(json.dumps(terms))
    assert run("agreement", "new", "one.json", "--terms", "terms.json", *cards) == 0
    assert run("agreement", "new", "two.json", "--terms", "terms.json", *cards, "--previous", "one.json") == 0
    assert run("agreement", "sign", "two.json", "--key", "keys/keeper-west", "--previous", "one.json") == 0
    one, two = (load_yaml(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert (two["agreement"]["version"], len(two["signatures"])) == (2, 1)
    assert two["agreement"]["previous"] == digest(one["agreement"])
    capsys.readouterr()
    assert run("agreement", "sign", "two.json", "--key", "keys/keeper-south", "--previous", "one.json") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Three (urn:alliance:three, version 2), 2026-11-01 to 2027-11-01" in said
    assert digest(two["agreement"]) in said
    assert "approves this agreement and is bound by it" in said
    edited = Path("two.json").read_text().replace("title: Three", "title: Free").replace('"Three"', '"Free"')
    Path("two.json").write_text(edited)
    assert run("agreement", "sign", "two.json", "--key", "keys/keeper-north", "--previous", "one.json") == 8
    err = capsys.readouterr().err
    assert "E-SIGNATURE" in err
    assert "keeper-west" in err
    assert Path("two.json").read_text() == edited


def test_a_codebook_is_checked_and_rows_beside_it(tmp_path, capsys):
    book, rows = tmp_path / "book.yaml", tmp_path / "rows.csv"
    book.write_text(
        "name: b\nvariables:\n  age: {type: integer, range: [0, 90]}\n  dob: {type: date}\n  note: {type: category, levels: [none]}\n"
    )
    rows.write_text("age,dob,note\n97,1950-01-01,jo@example.org\n40,1960-01-01,none\n")
    assert run("codebook", "check", book) == 0
    assert "dob: an identifier of 45 CFR 164.514(b)(2)(i)(C), by its name" in capsys.readouterr().out
    assert run("codebook", "check", book, "--data", rows, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["identifiers"] == {"C": ["dob"]}
    assert said["identifiers_in_rows"] == {"C": ["age", "dob"], "F": ["note"]}
    assert run("codebook", "check", book, "--data", rows) == 0
    out = capsys.readouterr().out
    assert "look: note: an identifier of 45 CFR 164.514(b)(2)(i)(F), by its rows" in out
    assert "97" not in out
    assert "jo@" not in out


def leaves(value, name=""):
    """Every value that an agreement states, but certificates, pins and keys, which nobody reads."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in {
                "isthmus",
                "certificate",
                "tls",
                "key",
                "keys",
                "rule_pack",
                "disclosure",
                "rules",
                "review",
            }:
                yield from leaves(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    elif isinstance(value, str):
        yield name, value


def test_show_reads_the_whole_agreement_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    file = signed_file(tmp_path / "a.yaml")
    assert run("agreement", "show", file) == 0
    said = capsys.readouterr().out
    stated = dict.fromkeys(leaves(plain(worked_agreement())))
    assert {name.rpartition(".")[2] for name, _ in stated} >= {"identifiability", "categories", "controller", "sha256"}
    unsaid = [(name, text) for name, text in stated if not any(w in said for w in (text, plainly(text), day(text)))]
    assert unsaid == []


# What each item that names `agreement show` or `check` claims, as it stands in the output on the worked case.
CLAIMED = {
    "3.1.03": ("identifiability", "pseudonymised", "categories", "health"),
    "3.1.08": ("Dataset statins", "codebook", "sha256:", "held by"),
    "3.1.17": ("categories",),
    "3.2.03": ("variables that studies may read",),
    "3.4.01": ("Dataset statins", "held by", "controller"),
    "5.6.02": ("Dataset statins", "codebook"),
    "1.4.01": ("article 6", "ethics: committee", "Approvals"),
    "2.1.01": ("controls: clipboard block",),
    "2.5.01": ("Legal basis", "6(1)(e)"),
    "3.1.18": ("minimum_count",),
    "3.3.04": ("Disclosure rules in force",),
    "3.3.07": ("Disclosure rules in force",),
    "5.1.07": ("Rule pack of every site: sha256:",),
    "5.3.02": ("passes", "Missing or not kept"),
    "5.6.01": ("Disclosure rules in force",),
}


def test_each_item_s_command_prints_what_the_item_claims(tmp_path, capsys):
    file, printed = signed_file(tmp_path / "a.yaml"), {}
    for command in ("show", "check"):
        assert run("agreement", command, file) == 0
        printed[f"isthmus agreement {command}"] = capsys.readouterr().out
    data = coverage()
    named = {entry["item"]: entry["command"] for entry in data["covered"] if entry["command"] in printed}
    named |= {entry["item"]: "isthmus agreement show" for entry in data["stated"] if entry["item"] == "2.1.01"}
    assert set(named) == set(CLAIMED)
    missing = {item: word for item, words in CLAIMED.items() for word in words if word not in printed[named[item]]}
    assert missing == {}


def test_show_says_that_nothing_is_in_force_where_a_signature_is_refused_or_a_party_revoked(tmp_path, capsys):
    """Its twin, signed in time, is in force."""
    good, ahead = signed_file(tmp_path / "good.yaml"), tmp_path / "ahead.yaml"
    late = unsigned(worked_agreement())
    for name in ("alice", "carol"):
        late = sign_agreement(late, key_of(name), NOW.replace(year=NOW.year + 1))
    ahead.write_text(write_text(late))
    assert run("agreement", "show", good) == 0
    assert "Signed by every party." in capsys.readouterr().out
    assert run("agreement", "show", ahead) == 0
    said = capsys.readouterr().out
    assert "Not in force: " in said
    assert "Signed by every party." not in said
    beside(good).write_text(json.dumps(revoke(worked_agreement(), key_of("alice"), "it ended", NOW)))
    assert run("agreement", "show", good) == 0
    said = capsys.readouterr().out
    assert "Not in force. Revoked by uk (alice): it ended" in said
    assert "Signed by every party." not in said


@pytest.mark.parametrize("reason", [".", "none", "--", "x"])
def test_a_revocation_says_why_in_words(reason: str) -> None:
    with pytest.raises(IsthmusError, match="E-REASON"):
        revoke(worked_agreement(), key_of("alice"), reason, NOW)
