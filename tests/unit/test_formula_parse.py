"""The formula grammar: what it reads, and that it reads nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, parse, variables


def labels(text: str) -> list[str]:
    return [":".join(f.label for f in term) for term in parse(text).terms]


def test_terms_are_main_effects_as_written_then_interactions_by_degree() -> None:
    assert labels("y ~ a:b:c + b:a + c + a") == ["c", "a", "a:b", "a:b:c"]
    assert labels("y ~ b * a + c") == ["b", "a", "c", "b:a"]
    assert labels("y ~ (a + b + c)^2 - a:b") == ["a", "b", "c", "a:c", "b:c"]
    assert labels("y ~ (a + b) * c") == ["a", "b", "c", "a:c", "b:c"]


@pytest.mark.parametrize(
    ("text", "intercept"),
    [
        ("y ~ a", True),
        ("y ~ a - 1", False),
        ("y ~ 0 + a", False),
        ("y ~ -1 + a", False),
        ("y ~ a - 1 + 1", True),
        ("y ~ 1", True),
        ("y ~ 0", False),
    ],
)
def test_intercept(text: str, intercept: bool) -> None:
    assert parse(text).intercept is intercept


def test_left_sides() -> None:
    assert parse("died ~ a").response == "died"
    assert parse("~ a").response is None
    two, three = parse("Surv(days, died) ~ a").surv, parse("Surv(entry, days, died) ~ a").surv
    assert two is not None
    assert (two.entry, two.time, two.event) == (None, "days", "died")
    assert three is not None
    assert (three.entry, three.time, three.event) == ("entry", "days", "died")


def test_offset_strata_and_cluster_stand_alone() -> None:
    formula = parse("Surv(t, d) ~ a + offset(e) + strata(site, ward) + cluster(gp) + strata(sex)")
    assert formula.offset == ("e",)
    assert parse("y ~ a + offset( log( e ) )").offset == ("log(e)",)
    assert variables(parse("y ~ a + offset(log(e))")) == ("y", "a", "e")
    assert formula.strata == ("site", "ward", "sex")
    assert formula.cluster == "gp"
    assert variables(formula) == ("t", "d", "a", "e", "ward", "sex", "gp")


def test_variables_are_named_once_in_order_of_appearance() -> None:
    assert variables(parse("y ~ I((b - a) * b) + a:c + log(b)")) == ("y", "b", "a", "c")


def test_splines_keep_their_agreed_knots() -> None:
    factor = parse("y ~ bs(ph.ecog, knots = c(-1, 2.5), Boundary.knots = c(-3, 1e2), degree = 2)").terms[0][0]
    assert factor.name == "ph.ecog"
    assert (factor.knots, factor.boundary, factor.arguments) == ((-1.0, 2.5), (-3.0, 100.0), (2.0,))
    assert factor.basis == 4


@pytest.mark.parametrize(
    "written",
    [
        "I(x^2)",
        "I((x - 50)/10)",
        "I(x - (y - z))",
        "I((x^2)^3)",
        "I(-2 * x)",
        "I(x/(y * z))",
        "I((x * y)/z)",
        "I(x * 2.5)",
        "I(x^-1 + 0.5)",
    ],
)
def test_arithmetic_reads_back_as_itself(written: str) -> None:
    label = parse(f"w ~ {written}").terms[0][0].label
    assert parse(f"w ~ {label}").terms[0][0] == parse(f"w ~ {written}").terms[0][0]


@pytest.mark.parametrize(
    ("written", "number"), [("-2^2", -4), ("(-2)^3", -8), ("(-2)^2", 4), ("2^-1", 0.5), ("-3^1", -3)]
)
def test_a_power_binds_closer_than_a_sign_as_in_r(written: str, number: float) -> None:
    assert parse(f"y ~ I({written} * x)").terms == parse(f"y ~ I({number} * x)").terms


@pytest.mark.parametrize("written", ["0^-1", "(-2)^0.5", "1e300^2"])
def test_a_number_without_that_power_is_refused(written: str) -> None:
    with pytest.raises(Invalid, match="no number has that power"):
        parse(f"y ~ I({written} * x)")


def test_site_is_a_term_apart() -> None:
    formula = parse("y ~ a + site + b")
    assert formula.site
    assert [term[0].name for term in formula.terms] == ["a", "b"]
    assert variables(formula) == ("y", "a", "b")
    assert not parse("y ~ a + site - site").site


HOSTILE = [
    "y ~ I(open('/etc/passwd').read())", "y ~ __import__('os').system('id')", "y ~ os.system(x)", "y ~ x.__class__",
    "y ~ a__b", "y ~ {x}", "y ~ {x + 1}", "y ~ `x`", "y ~ x; y", "y ~ x @ z", "y ~ lambda x: x", "y ~ x if y else z",
    "y ~ import", "y ~ class", "y ~ None", "y ~ True", "y ~ TRUE", "y ~ NA", "y ~ function(x) x", "y ~ eval(x)", "y ~ exec(x)",
    "y ~ np.log(x)", "y ~ Q('x')", "y ~ x[0]", "y ~ x['a']", "y ~ 'x'", 'y ~ "x"', "y ~ x == 1", "y ~ x > 1", "y ~ x & z",
    "y ~ x | z", "y ~ !x", "y ~ x %in% z", "y ~ x / z", "y ~ x ** 2", "y ~ x // 2", "y ~ .", "y ~ . - x", "y ~ x $ z",
    "y ~ x:1", "y ~ 2", "y ~ x + 2", "y ~ x^0", "y ~ x^y", "y ~ x^2.5", "y ~ x^99", "y ~ x^-1", "y ~ (x", "y ~ x)", "y ~ ()", "y ~",
    "~", "", " ", "y", "y x", "y ~ x x", "y ~ x +", "y ~ x ~ z", "y ~ + + x", "y ~ x - - z", "y + z ~ x", "log(y) ~ x", "cbind(a, b) ~ x",
    "y ~ (x - 1)", "y ~ (0 + x)", "y ~ x * offset(z)", "y ~ (offset(z))", "y ~ x - offset(z)", "y ~ strata(z):x", "y ~ x:strata(z)",
    "y ~ offset(exp(z))", "y ~ offset(log(z, w))", "y ~ offset(log(site))", "y ~ offset(log(1))", "y ~ offset(log(z) + w)", "y ~ offset(1)", "y ~ offset()", "y ~ offset(a, b)", "y ~ cluster(a) + cluster(b)", "y ~ log(site)", "y ~ x:site", "y ~ x * site", "y ~ cluster(site)",
    "y ~ offset(site)", "y ~ C(site)", "y ~ y", "y ~ log(y)", "Surv(t, d) ~ t", "Surv(t) ~ x", "Surv(t, t) ~ x", "Surv(a, b, c, d) ~ x",
    "Surv(t, d == 1) ~ x", "y ~ Surv(t, d)", "y ~ poly(x, 2)", "y ~ scale(x)", "y ~ center(x)", "y ~ cr(x, df = 3)", "y ~ factor(x)",
    "y ~ bs(x)", "y ~ bs(x, df = 4)", "y ~ ns(x, df = 4)", "y ~ bs(x, knots = 3)", "y ~ ns(x, knots = 3)", "y ~ bs(x, Boundary.knots = c(0, 9))",
    "y ~ bs(x, knots = c(5, 3), Boundary.knots = c(0, 9))", "y ~ bs(x, knots = c(5, 12), Boundary.knots = c(0, 9))",
    "y ~ bs(x, knots = 3, Boundary.knots = c(9, 0))", "y ~ bs(x, knots = a, Boundary.knots = c(0, 9))", "y ~ bs(log(x), knots = 3, Boundary.knots = c(0, 9))",
    "y ~ ns(x, knots = 3, Boundary.knots = c(0, 9), degree = 2)", "y ~ bs(x, knots = 3, Boundary.knots = c(0, 9), degree = 9)",
    "y ~ bs(x, knots = 3, knots = 3, Boundary.knots = c(0, 9))", "y ~ bs(x, knots = 1e999, Boundary.knots = c(0, 9))", "y ~ bs(x, intercept = 1, knots = 3)",
    "y ~ I(x)", "y ~ I(2)", "y ~ I()", "y ~ I(2^2)", "y ~ I(2^x)", "y ~ I(x^9)", "y ~ I(x^^2)", "y ~ I(log(x))", "y ~ I(x, y)", "y ~ I(x > 2)", "y ~ I(-x)",
    "y ~ log(x, 2)", "y ~ log()", "y ~ log(log(x))", "y ~ C(x, Treatment('a'))", "y ~ C(x, levels=c(1,2))", "y ~ exp", "y ~ log(", "y ~ _x", "y ~ 1x",
    "y ~ \u0445", "y ~ x\u200b", "y ~ x\x00", "y ~ \uff41", "y ~ ²", "y ~ x\u2212z", "y ~ " + "(" * 500 + "x" + ")" * 500, "y ~ I(" + "(" * 500 + "x" + ")" * 500 + ")",
    "y ~ " + " + ".join(f"x{i}" for i in range(300)), "y ~ (" + "+".join(f"x{i}" for i in range(40)) + ")^10", "y ~ " + "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", [h for h in HOSTILE if h != "y ~ exp"], ids=range(len(HOSTILE) - 1))
def test_anything_outside_the_grammar_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.code == "E-FORMULA"
    assert "character" in caught.value.where
    assert caught.value.hint


def test_a_function_name_alone_is_a_variable() -> None:
    assert labels("y ~ exp + C") == ["exp", "C"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("y ~ scale(x)", "agreed numbers"),
        ("y ~ poly(x, 2)", "I(AGE^2)"),
        ("y ~ bs(x, df = 3)", "Boundary.knots"),
        ("y ~ factor(x)", "C(x)"),
    ],
)
def test_what_looks_at_rows_is_refused_with_advice(text: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert hint in caught.value.hint


def test_the_place_is_that_of_the_offending_character() -> None:
    with pytest.raises(Invalid) as caught:
        parse("y ~ a + {b}")
    assert caught.value.where == "character 9 of the formula"
    assert "'{'" in caught.value.message


PIECES = st.sampled_from(["y", "x", "a.b", "site", "~", "+", "-", "*", ":", "^", "(", ")", ",", "=", "0", "1", "2", "3.5", " ", "log(", "I(", "C(", "bs(", "ns(", "c(", "knots", "Boundary.knots", "Surv(", "offset(", "strata(", "/", "`", "{", "__", "é"])  # fmt: skip


@given(st.text(max_size=60) | st.lists(PIECES, max_size=30).map("".join))
def test_the_parser_raises_nothing_but_invalid(text: str) -> None:
    for candidate in (text, "y ~ " + text):
        try:
            assert isinstance(parse(candidate), Formula)
        except Invalid as error:
            assert error.code == "E-FORMULA"  # noqa: PT017 - reading is as good an outcome
