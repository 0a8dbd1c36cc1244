"""Recursive-descent parser of the formula grammar (see `formula.py`). It reads text; it runs nothing."""

from __future__ import annotations

import keyword
import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from isthmus.model.formula_tokens import ALLOWED, Token, fail, tokens
from isthmus.model.terms import Arithmetic, Factor, Formula, Operand, Surv

MAX_DEPTH = 20  # nested parentheses: far below Python's recursion limit
MAX_TERMS = 200
MAX_EXPONENT = 5  # of I(x^p): higher powers single out the largest value

RESERVED = frozenset(keyword.kwlist) | frozenset(
    ["TRUE", "FALSE", "NULL", "NA", "NaN", "Inf", "function", "repeat", "next", "break", "exec", "eval", "print"]
)
REFUSED = {
    "scale": "it looks at each site's rows; subtract and divide by agreed numbers: I((AGE - 50)/10)",
    "center": "it looks at each site's rows; subtract an agreed number: I(AGE - 50)",
    "poly": "it looks at each site's rows; write AGE + I(AGE^2)",
    "cr": "it looks at each site's rows; write ns(AGE, knots = c(60, 75), Boundary.knots = c(18, 100))",
    "factor": "write C(x); levels come from the codebook",
}
PLAIN = frozenset({"log", "exp", "sqrt", "C"})
SPLINES = frozenset({"bs", "ns"})
ALONE = frozenset({"offset", "strata", "cluster"})
SITE = Factor(name="site")


@lru_cache(maxsize=256)  # every round of a model asks for its formula again
def parse(text: str) -> Formula:
    """Read a formula.

    Raises:
        Invalid: E-FORMULA with the place, for anything outside the grammar.
    """
    return _Parser(text, tokens(text)).formula()


@dataclass(slots=True)
class _Parser:
    """Terms are bit sets over `factors`, in order of first appearance: that order is R's."""

    text: str
    tokens: list[Token]
    at: int = 0
    depth: int = 0
    intercept: bool = True
    factors: dict[Factor, int] = field(default_factory=dict)
    alone: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in sorted(ALONE)})

    def formula(self) -> Formula:
        response, surv = self._left()
        self._expect("~")
        terms, site = self._without_site(sorted(self._sum(), key=int.bit_count))
        if self._now().kind != "end":
            fail(self._now().place, f"{self._now().text!r} was not expected here")
        left = {response} if surv is None else {surv.time, surv.event, surv.entry}
        chosen = tuple(tuple(f for f, bit in self.factors.items() if term >> bit & 1) for term in terms)
        for name in (name for term in chosen for factor in term for name in factor.reads):
            if name in left:
                fail(1, f"{name!r} is on both sides", "the outcome cannot explain itself")
        return Formula(
            text=self.text,
            response=response,
            surv=surv,
            terms=chosen,
            intercept=self.intercept,
            offset=tuple(self.alone["offset"]),
            strata=tuple(dict.fromkeys(self.alone["strata"])),
            cluster=next(iter(self.alone["cluster"]), None),
            site=site,
        )

    def _without_site(self, terms: list[int]) -> tuple[list[int], bool]:
        """Terms but `site`, and whether it is one: alone, for what goes with it would be a number of each site."""
        bit = 1 << self.factors[SITE] if SITE in self.factors else 0
        if any(term & bit and term != bit for term in terms):
            hint = "ask for `groups: {by: country}`, or pool models of the sites by `meta`"
            fail(1, "an interaction with `site` is a result of each site", hint)
        return [term for term in terms if term != bit], bit in terms

    # Tokens

    def _now(self) -> Token:
        return self.tokens[self.at]

    def _next(self) -> Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def _take(self, *marks: str) -> str | None:
        token = self._now()
        return self._next().text if token.kind == "mark" and token.text in marks else None

    def _expect(self, mark: str) -> None:
        token = self._now()
        if self._take(mark) is None:
            found = repr(token.text) if token.text else "the end"
            fail(token.place, f"{mark!r} is missing before {found}")

    def _calls(self) -> bool:
        following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        return self._now().kind == "name" and following.kind == "mark" and following.text == "("

    def _name(self) -> str:
        token = self._next()
        if token.kind != "name":
            fail(token.place, f"a variable name was expected, not {token.text!r}" if token.text else "it ends too soon")
        if "__" in token.text or token.text in RESERVED:
            fail(token.place, f"{token.text!r} is not a variable name", "map the column to another name")
        return token.text

    def _variable(self) -> str:
        token = self._now()
        name = self._name()
        if self._take("("):
            fail(token.place, f"{name!r} is a call where a variable name was expected", "derive the value in `derive`")
        return name

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            fail(self._now().place, f"more than {MAX_DEPTH} nested parentheses")

    # Left side

    def _left(self) -> tuple[str | None, Surv | None]:
        if self._now().text == "~":
            return None, None
        if not (self._calls() and self._now().text == "Surv"):
            return self._variable(), None
        place = self._next().place
        names = self._names()
        if len(names) not in {2, 3} or len(set(names)) != len(names):
            fail(place, "Surv takes two or three different variables", "Surv(time, event) or Surv(entry, time, event)")
        entry = names[0] if len(names) == 3 else None
        return None, Surv(time=names[-2], event=names[-1], entry=entry)

    def _names(self) -> list[str]:
        self._expect("(")
        names = [self._variable()]
        while self._take(","):
            names.append(self._variable())
        self._expect(")")
        return names

    # Right side: sum < product < interaction < power, as R binds them

    def _sum(self) -> list[int]:
        sign = self._take("+", "-") or "+"
        terms: list[int] = []
        while True:
            added = self._addend(sign)
            terms = _union(terms, added) if sign == "+" else [t for t in terms if t not in added]
            self._check_size(len(terms))
            following = self._take("+", "-")
            if following is None:
                return terms
            sign = following

    def _addend(self, sign: str) -> list[int]:
        token = self._now()
        if token.kind == "number":
            self._constant(sign)
            return []
        if self._calls() and token.text in ALONE:
            self._stand_alone(sign)
            return []
        return self._product()

    def _constant(self, sign: str) -> None:
        token = self._next()
        if token.text not in {"0", "1"} or self.depth:
            fail(token.place, f"the number {token.text} has no place here", "0 and 1 alone drop or keep the intercept")
        self.intercept = (token.text == "1") == (sign == "+")
        self._check_end_of_addend(token.text)

    def _stand_alone(self, sign: str) -> None:
        token = self._next()
        if sign == "-" or self.depth:
            fail(token.place, f"{token.text} can only be added, outside parentheses")
        names = self._offset() if token.text == "offset" else self._names()
        if token.text != "strata" and len(names) > 1:
            fail(token.place, f"{token.text} takes one variable")
        if token.text == "cluster" and self.alone["cluster"]:
            fail(token.place, "one cluster variable only")
        if token.text != "strata" and "site" in names:
            fail(token.place, f"`site` is no {token.text}", "`+ site`, or strata(site)")
        self.alone[token.text] += names
        self._check_end_of_addend(token.text)

    def _offset(self) -> list[str]:
        """One variable, or its logarithm."""
        following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if following.text != "log":
            return self._names()
        self._expect("(")
        self._next()
        names = self._names()
        self._expect(")")
        if "site" in names or len(names) > 1:
            fail(following.place, "offset(log()) takes one variable")
        return [f"log({names[0]})"]

    def _check_end_of_addend(self, what: str) -> None:
        token = self._now()
        if token.kind != "end" and token.text not in {"+", "-"}:
            fail(token.place, f"{what} stands alone: + or - follows, not {token.text!r}")

    def _product(self) -> list[int]:
        terms = self._interaction()
        while self._take("*"):
            right = self._interaction()
            terms = _union(_union(terms, right), self._cross(terms, right))
        return terms

    def _interaction(self) -> list[int]:
        terms = self._power()
        while self._take(":"):
            right = self._power()
            terms = self._cross(terms, right)
        return terms

    def _power(self) -> list[int]:
        base = terms = self._primary()
        if self._take("^") is None:
            return base
        token = self._next()
        if token.kind != "number" or not token.text.isdigit() or not 1 <= float(token.text) <= 10:
            fail(token.place, "the exponent is a whole number from 1 to 10", "for a squared value write I(AGE^2)")
        for _ in range(int(token.text) - 1):
            terms = self._cross(terms, base)
        return terms

    def _primary(self) -> list[int]:
        token = self._now()
        if self._take("("):
            self._deeper()
            terms = self._sum()
            self.depth -= 1
            self._expect(")")
            return terms
        if token.kind == "number":
            fail(token.place, f"the number {token.text} has no place here", "0 and 1 alone drop or keep the intercept")
        factor = self._call() if self._calls() else Factor(name=self._name())
        if "site" in factor.reads and factor != SITE:
            fail(token.place, "`site` has levels and no numbers", "write `+ site`, or strata(site)")
        return [1 << self.factors.setdefault(factor, len(self.factors))]

    def _cross(self, left: list[int], right: list[int]) -> list[int]:
        terms = list(dict.fromkeys(a | b for a in left for b in right))
        self._check_size(len(terms))
        return terms

    def _check_size(self, size: int) -> None:
        if size > MAX_TERMS:
            fail(self._now().place, f"a formula has at most {MAX_TERMS} terms")

    # Functions

    def _call(self) -> Factor:
        token = self._now()
        function = self._name()
        if function in PLAIN:
            names = self._names()
            if len(names) > 1:
                fail(token.place, f"{function} takes one variable")
            return Factor(name=names[0], function=function)
        if function == "I":
            return self._arithmetic_factor(token)
        if function in SPLINES:
            return self._spline(token)
        if function in ALONE or function == "Surv":
            fail(token.place, f"{function} cannot be used inside another term")
        fail(token.place, f"{function!r} is not a function of the grammar", REFUSED.get(function, ALLOWED))

    def _spline(self, token: Token) -> Factor:
        self._expect("(")
        name = self._variable()
        given: dict[str, tuple[float, ...]] = {}
        while self._take(","):
            key = self._now()
            if self._name() in given or key.text not in {"knots", "Boundary.knots", "degree"}:
                fail(key.place, f"{key.text!r} is not an argument here", _spline_hint(token.text))
            self._expect("=")
            given[key.text] = self._numbers()
        self._expect(")")
        return _checked_spline(token, name, given)

    def _numbers(self) -> tuple[float, ...]:
        if not (self._calls() and self._now().text == "c"):
            return (self._literal(),)
        self._next()
        self._expect("(")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> float:
        negative = self._take("-") is not None
        token = self._next()
        if token.kind != "number" or not math.isfinite(float(token.text)):
            fail(token.place, "a number was expected", "arguments are literal numbers")
        return -float(token.text) if negative else float(token.text)

    # Arithmetic inside I(...)

    def _arithmetic_factor(self, token: Token) -> Factor:
        self._expect("(")
        tree = self._arithmetic()
        self._expect(")")
        node = tree if isinstance(tree, Arithmetic) else Arithmetic(operator="*", left=1.0, right=tree)
        reads = Factor(name="", function="I", arithmetic=node).reads
        if not isinstance(tree, Arithmetic) or not reads:
            fail(token.place, "I() holds arithmetic on at least one variable", "I(AGE^2), I((AGE - 50)/10)")
        return Factor(name=reads[0], function="I", arithmetic=node)

    def _arithmetic(self) -> Operand:
        self._deeper()
        node = self._scaled()
        while operator := self._take("+", "-"):
            node = Arithmetic(operator=operator, left=node, right=self._scaled())
        self.depth -= 1
        return node

    def _scaled(self) -> Operand:
        node = self._raised()
        while operator := self._take("*", "/"):
            node = Arithmetic(operator=operator, left=node, right=self._raised())
        return node

    def _raised(self) -> Operand:
        negative = self._now().text == "-"
        node = self._operand()
        if self._take("^") is None:
            return node
        place = self._now().place
        exponent = self._literal()
        if abs(exponent) > MAX_EXPONENT:
            fail(place, f"exponents lie between -{MAX_EXPONENT} and {MAX_EXPONENT}")
        if isinstance(node, float):
            sign = -1.0 if negative else 1.0  # R's -2^2 is -(2^2)
            return sign * _raised_number(place, sign * node, exponent)
        return Arithmetic(operator="^", left=node, right=exponent)

    def _operand(self) -> Operand:
        if self._take("("):
            node = self._arithmetic()
            self._expect(")")
            return node
        if self._now().kind == "number" or self._now().text == "-":
            return self._literal()
        return self._variable()


def _raised_number(place: int, base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (ValueError, OverflowError):
        fail(place, "no number has that power", "write the number itself")


def _union(left: list[int], right: list[int]) -> list[int]:
    return list(dict.fromkeys([*left, *right]))


def _spline_hint(function: str) -> str:
    return f"{function}(AGE, knots = c(60, 75), Boundary.knots = c(18, 100)): agreed numbers, the same at every site"


def _checked_spline(token: Token, name: str, given: dict[str, tuple[float, ...]]) -> Factor:
    knots, boundary, degree = given.get("knots"), given.get("Boundary.knots"), given.get("degree", (3.0,))
    hint = _spline_hint(token.text)
    if not knots or boundary is None or len(boundary) != 2:
        fail(token.place, f"{token.text} needs knots and two boundary knots", hint)
    edges = [boundary[0], *knots, boundary[1]]
    if any(low >= high for low, high in pairwise(edges)):
        fail(token.place, "knots increase and lie inside the boundary knots", hint)
    if token.text == "ns" and "degree" in given:
        fail(token.place, "ns is cubic: it takes no degree", hint)
    if len(degree) != 1 or degree[0] not in {1.0, 2.0, 3.0, 4.0, 5.0}:
        fail(token.place, "the degree is a whole number from 1 to 5", hint)
    arguments = degree if token.text == "bs" else ()
    return Factor(name=name, function=token.text, arguments=arguments, knots=knots, boundary=(boundary[0], boundary[1]))
