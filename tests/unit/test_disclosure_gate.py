"""Only the gate makes a release; refusals say one thing; the vote."""

import ast
import copy
import dataclasses
import secrets
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.disclosure import gate
from isthmus.disclosure.budget import Account, MemoryPurse
from isthmus.disclosure.gate import (
    Clearance,
    Release,
    Till,
    clear,
    refusal,
    refuse_round,
    release,
    release_ballot,
    release_vote,
)
from isthmus.disclosure.site import SITE_RULES, Considered, consider
from isthmus.evidence import Evidence, Weights
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.privacy import Allowance, FieldNoise, Noise, Privacy
from isthmus.model.rules import OPEN
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.summary import AGREE, Blind, Field, Layout, Summary, closed

RULES = replace(OPEN, minimum_count=11, maximum_weight_share=0.1)
QUESTION = digest("a question")
LAYOUT = Layout(fields=(Field(name="total", shape=(2,), kind="sum"),))
SUMMARY = Summary(LAYOUT, {"total": np.asarray([1.0, 2.0])})
EVEN = Weights(total=20.0, squares=20.0, largest=1.0, parameters=1)
STEEP = Weights(total=1.0, squares=1.0, largest=1.0, parameters=1)


def cleared() -> Clearance:
    return clear(QUESTION, consider(Evidence(rows=20), RULES), "glm")


def test_the_gate_makes_a_release():
    for weights in (EVEN, None):
        made = release(SUMMARY, weights, cleared(), RULES).summary
        assert made.layout == closed(LAYOUT)
        assert made["total"] is SUMMARY.values["total"]
        assert made["agree"] == [0.0]


def test_a_broken_rule_gives_no_clearance():
    with pytest.raises(Refused) as caught:
        clear(QUESTION, consider(Evidence(rows=10), RULES), "glm")
    assert caught.value.to_dict() == refusal("glm").to_dict()


def test_every_round_is_weighed():
    with pytest.raises(Refused) as caught:
        release(SUMMARY, STEEP, cleared(), RULES)
    assert caught.value.to_dict() == refusal("glm").to_dict()


def test_a_clearance_holds_for_its_own_rules_only():
    with pytest.raises(Untrusted) as caught:
        release(SUMMARY, EVEN, cleared(), OPEN)
    assert caught.value.code == "E-GATE"


def test_rules_that_were_not_considered_give_no_clearance():
    whole = consider(Evidence(rows=20), RULES)
    for forged in (
        Considered(rules=RULES, verdicts=()),
        Considered(rules=RULES, verdicts=whole.verdicts[1:]),
        whole.verdicts,
    ):
        with pytest.raises(Untrusted):
            clear(QUESTION, forged)


def test_a_sum_that_is_not_finite_stays():
    bad = Summary(LAYOUT, {"total": np.asarray([1.0, np.nan])})
    with pytest.raises(Invalid) as caught:
        release(bad, EVEN, cleared(), RULES)
    assert caught.value.code == "E-RANGE"


def test_nobody_else_makes_a_release_or_a_clearance():
    real = release(SUMMARY, EVEN, cleared(), RULES)
    for forge in (
        lambda: Release(SUMMARY, object()),
        lambda: Release(SUMMARY),
        lambda: Clearance(QUESTION, "glm", RULES, None),
        lambda: dataclasses.replace(real, summary=SUMMARY),
        lambda: dataclasses.replace(cleared(), rules=OPEN),
    ):
        with pytest.raises((Untrusted, TypeError, ValueError)):
            forge()
    with pytest.raises(dataclasses.FrozenInstanceError):
        real.summary = SUMMARY
    assert "token" not in {f.name for f in dataclasses.fields(real)}


def test_a_copy_is_the_same_release_and_nothing_else():
    real = refuse_round(closed(LAYOUT), secrets.token_bytes)
    assert copy.copy(real) == real


# ---- the syntax tree of the whole package: nothing else in it makes one


MADE_ONLY_IN = {"Release": "disclosure/gate.py", "Clearance": "disclosure/gate.py", "Considered": "disclosure/site.py"}
SOURCE = Path(isthmus.__file__).parent


def forgeries(tree: ast.AST, module: str) -> list[str]:
    """Calls of the guarded constructors, renamed imports of them, and ways around a constructor."""
    return [found for node in ast.walk(tree) for found in (*called(node, module), *renamed(node))]


def called(node: ast.AST, module: str) -> list[str]:
    if not isinstance(node, ast.Call):
        return []
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name == "__new__" and any(isinstance(a, ast.Name) and a.id in MADE_ONLY_IN for a in node.args):
        return ["__new__"]
    return [f"{name}("] if name in MADE_ONLY_IN and module != MADE_ONLY_IN[name] else []


def renamed(node: ast.AST) -> list[str]:
    match node:
        case ast.ImportFrom() | ast.Import():
            known = [a for a in node.names if a.name.split(".")[-1] in {*MADE_ONLY_IN, "_TOKEN"}]
            return [f"import {a.name} as {a.asname}" for a in known if a.asname or a.name == "_TOKEN"]
        case ast.Attribute(attr="_TOKEN"):
            return ["._TOKEN"]
        case ast.Assign(value=ast.Name(id=name)) if name in MADE_ONLY_IN:
            return [f"= {name}"]
        case ast.ClassDef():
            return [f"class of {b.id}" for b in node.bases if isinstance(b, ast.Name) and b.id in MADE_ONLY_IN]
        case _:
            return []


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_no_module_forges_a_release(path):
    module = path.relative_to(SOURCE).as_posix()
    assert forgeries(ast.parse(path.read_text(encoding="utf-8")), module) == []


@pytest.mark.parametrize(
    "code",
    [
        "Release(summary, token)",
        "gate.Clearance(question, kind, rules, token)",
        "from isthmus.disclosure.gate import Release as R",
        "from isthmus.disclosure.gate import _TOKEN",
        "gate._TOKEN",
        "make = Release",
        "object.__new__(Release)",
        "class Mine(Release): pass",
        "Considered(rules=rules, verdicts=())",
    ],
)
def test_the_reader_of_syntax_trees_sees_forgeries(code):
    assert forgeries(ast.parse(code), "federation/work.py")


# ---- refusals


def test_a_refusal_names_the_rules_that_could_apply_and_what_to_change():
    for kind in ("glm", "cox", "kaplan_meier", "table_one", "a kind of tomorrow"):
        said = refusal(kind)
        assert said.code == "E-DISCLOSURE"
        assert "minimum_count" in said.message
        assert said.hint
    assert all(rule in refusal("glm").message for rule in (*SITE_RULES, "maximum_weight_share"))


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_kind_teaches_in_words_of_its_own(kind):
    """A new kind says which rules could refuse it and what to change: an entry in `_COULD` and one in `_HINTS`."""
    assert gate._COULD[kind]
    assert set(gate._COULD[kind]) <= {*SITE_RULES, "maximum_weight_share"}
    said = refusal(kind)
    assert said.hint == gate._HINTS[kind] != refusal("a kind of tomorrow").hint
    assert "the history of questions" in said.message


def test_no_text_is_left_of_a_kind_that_is_gone():
    assert set(gate._COULD) | set(gate._HINTS) <= set(CATALOGUE)


# ---- a refusal in mid-run


def test_a_refused_round_is_fresh_noise_in_the_layout_of_the_round():
    drawn = iter((b"a" * 32, b"b" * 32))
    one, other = (refuse_round(closed(LAYOUT), lambda size: next(drawn)).summary for _ in range(2))
    assert one == Blind(closed(LAYOUT), b"a" * 32)
    assert other.seed != one.seed


@pytest.mark.parametrize("layout", [LAYOUT, Layout(fields=(AGREE, *LAYOUT.fields)), Layout(fields=())])
def test_noise_never_takes_the_place_of_a_round_that_cannot_say_so(layout):
    with pytest.raises(Invalid) as caught:
        refuse_round(layout, secrets.token_bytes)
    assert caught.value.code == "E-LAYOUT"


def test_no_field_takes_the_name_of_the_closing_word():
    with pytest.raises(Invalid):
        closed(closed(LAYOUT))


# ---- the vote


VOTE = Layout(fields=(Field(name="vote", shape=(4,), kind="vote"),))


def test_agreeing_is_zero_and_refusing_is_random():
    words = release_vote(VOTE, [True, False, True, False], secrets.token_bytes).summary.values["vote"]
    assert words.dtype == np.uint64
    assert words[0] == words[2] == 0
    assert 0 not in words[[1, 3]]
    assert words[1] != words[3]


def test_refusal_words_come_from_the_randomness_given_and_it_is_drawn_alike():
    drawn = []

    def source(size: int) -> bytes:
        drawn.append(size)
        return bytes(range(size))

    refused = release_vote(VOTE, [False] * 4, source).summary.values["vote"]
    release_vote(VOTE, [True] * 4, source)
    assert drawn == [32, 32]
    assert refused[0] == int.from_bytes(bytes(range(8)), "little")


def test_the_sum_of_refusals_tells_no_number_of_refusers():
    # One refuser or three: the sum in Z_2^64 is uniform either way; its top bit is fair.
    for refusers in (1, 3):
        tops = []
        for _ in range(400):
            total = np.zeros(4, dtype=np.uint64)
            for _ in range(refusers):
                total += release_vote(VOTE, [False] * 4, secrets.token_bytes).summary.values["vote"]
            tops += list(total >> np.uint64(63))
        assert 0.4 < np.mean(tops) < 0.6  # 1600 fair bits leave this range with probability 1e-15


def test_a_vote_has_one_word_per_answer():
    with pytest.raises(Invalid):
        release_vote(VOTE, [True], secrets.token_bytes)
    with pytest.raises(Invalid):
        release_vote(LAYOUT, [True, True], secrets.token_bytes)


def test_words_of_several_fields_follow_the_layout():
    two = Layout(fields=tuple(Field(name=name, shape=(size,), kind="vote") for name, size in (("a", 1), ("b", 3))))
    words = release_vote(two, [False, True, False, True], secrets.token_bytes).summary.values
    assert words["a"][0] != 0
    assert [word != 0 for word in words["b"]] == [False, True, False]
    mixed = Layout(fields=(*two.fields, Field(name="c", shape=(1,), kind="count")))
    for layout, answers in ((two, [True] * 3), (mixed, [True] * 5), (Layout(fields=()), [])):
        with pytest.raises(Invalid):
            release_vote(layout, answers, secrets.token_bytes)


def test_the_gate_shows_only_what_is_needed():
    assert {
        name
        for name in vars(gate)
        if name[0].islower() and getattr(vars(gate)[name], "__module__", "") == gate.__name__
    } == {
        "abstain",
        "clear",
        "release",
        "release_vote",
        "refuse_round",
        "refusal",
        "could_apply",
        "release_ballot",
    }


COUNTS = Layout(fields=(Field(name="n", shape=(3,), kind="count"),))
COUNTED = Summary(COUNTS, {"n": np.asarray([12, 30, 41])})
ALLOWED = Allowance(rho=(1, 10), honest=2)
NOISE = Noise(fields={"n": FieldNoise(variance=16, sensitivity2=1, bits=0)}, honest=2, rho=(1, 10))


def noisy(made: Noise = NOISE) -> Till:
    budget = Privacy(rho=1.0, delta=1e-6, per_person=1.0, per_project=1.0, colluders=1)
    return Till(made, MemoryPurse(budget, Account(person="p", project="")), "key", secrets.token_bytes)


def private() -> Clearance:
    return clear(QUESTION, consider(Evidence(rows=20), RULES), "count", ALLOWED)


def test_a_release_with_a_budget_has_noise_and_is_paid_for_once():
    wide = FieldNoise(variance=1 << 20, sensitivity2=1, bits=0)  # three draws of 0 have a chance of 1e-10
    till = noisy(replace(NOISE, fields={"n": wide}))
    first, again = (release(COUNTED, None, private(), RULES, till=till).summary["n"] for _ in range(2))
    assert first.tolist() == again.tolist() != COUNTED["n"].tolist()
    assert till.purse.left() == Fraction(9, 10)


def test_noise_is_added_where_the_clearance_asks_for_it_and_only_there():
    for clearance, till in ((private(), None), (cleared(), noisy())):
        with pytest.raises(Untrusted) as caught:
            release(COUNTED, None, clearance, RULES, till=till)
        assert caught.value.code == "E-GATE"
    with pytest.raises(Untrusted):
        release_ballot(COUNTED, (), private(), RULES, secrets.token_bytes)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"fields": {}}, "count"),
        ({"fields": {**NOISE.fields, "m": NOISE.fields["n"]}}, "count"),
        ({"fields": {"n": replace(NOISE.fields["n"], variance=15)}}, "count"),
        ({"fields": {"n": replace(NOISE.fields["n"], sensitivity2=100)}}, "count"),  # it costs more than it says
        ({"honest": 3}, "count"),
        ({"rho": (1, 9)}, "count"),
        ({}, "sum"),
    ],
)
def test_noise_that_is_not_what_the_agreement_asks_for_is_refused_and_costs_nothing(change, kind):
    till = noisy(replace(NOISE, **change))
    layout = Layout(fields=(replace(COUNTS.fields[0], kind=kind),))
    with pytest.raises(Untrusted) as caught:
        release(
            Summary(layout, {"n": np.asarray([12, 30, 41], dtype=layout.fields[0].dtype)}),
            None,
            private(),
            RULES,
            till=till,
        )
    assert caught.value.code == "E-GATE"
    assert till.purse.left() == 1
