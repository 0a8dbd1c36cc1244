"""The dictionary of a study: the codebook's variables, `country`, and what the study derives.

A codebook file (levels in the order wanted, the reference first; every word under `levels` is text):

    isthmus: codebook/1
    name: ist
    person: patient_id                  # never readable by a study
    variables:
      AGE:   {type: integer, label: Age, unit: a, range: [16, 120]}
      SEX:   {type: category, levels: [F, M]}
      RXASP: {type: category, label: Aspirin, levels: [N, Y]}
      RDELAY: {type: integer, unit: h, range: [0, 48], missing: [99]}      # codes that mean missing
      ECOG:  {type: integer, levels: [0, 1, 2, 3]}                         # a number that may be used as a category
      TD:    {type: integer, unit: d, grid: [[0, 7, 14, 28, 182], [0, 28, 182]]}   # public ladder of edges, finest first
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from isthmus import strict
from isthmus.data.expressions import Expression, parse_condition, parse_expression
from isthmus.data.query import RESERVED
from isthmus.data.yaml_text import read_yaml
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula_parser import RESERVED as KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from isthmus.model.study import Study

HEADER = "codebook/1"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,99}\Z", re.ASCII)
_CAPPED = re.compile(r'\s*LEAST\s*\(\s*"?([A-Za-z][\w.]*)"?\s*,\s*(\d+(?:\.\d+)?)\s*\)\s*\Z', re.ASCII | re.IGNORECASE)


def read_codebook(path: Path) -> Codebook:
    """Read and check a codebook file.

    Raises:
        Unavailable: E-FILE.
        Invalid: E-YAML, E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE, E-CODEBOOK, E-RESERVED-NAME.
    """
    return codebook_from(read_yaml(path))


def codebook_from(data: Any) -> Codebook:
    """A codebook from plain data, checked.

    Raises:
        Invalid: E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE, E-CODEBOOK, E-RESERVED-NAME.
    """
    if not isinstance(data, dict):
        raise Invalid("E-TYPE", "a codebook is a mapping", "name: ... and variables: ...", "codebook")
    if data.get("isthmus", HEADER) != HEADER:
        raise Invalid("E-CODEBOOK", "not a codebook of this version", f"isthmus: {HEADER}", "codebook.isthmus")
    if "inferred" in data:
        raise Invalid("E-UNKNOWN-KEY", "unknown key 'inferred'", "only a rehearsal infers", "codebook.inferred")
    codebook = strict.parse(Codebook, {k: v for k, v in data.items() if k != "isthmus"}, "codebook")
    check_codebook(codebook)
    return codebook


def check_codebook(codebook: Codebook) -> None:
    """Names, levels, ranges and grids make sense.

    Raises:
        Invalid: E-CODEBOOK, E-RESERVED-NAME.
    """
    for name, variable in codebook.variables.items():
        check_name(name)
        problem = _problem(variable)
        if problem:
            raise Invalid("E-CODEBOOK", f"variable {name!r}: {problem}", "", f"codebook.variables.{name}")
    if codebook.person in codebook.variables:
        message = "the person identifier cannot be a variable as well"
        raise Invalid("E-CODEBOOK", message, "studies never read it", "codebook.person")


def check_name(name: str) -> None:
    """A variable's name: letters, digits, `_` and `.`, beginning with a letter.

    Raises:
        Invalid: E-CODEBOOK, E-RESERVED-NAME (`site` and `country` mean something else).
    """
    if name in RESERVED:
        raise Invalid("E-RESERVED-NAME", f"a variable may not be called {name!r}", "map it to another name")
    if not _NAME.match(name) or "__" in name or name in KEYWORDS:
        hint = "a letter, then letters, digits, _ and ., and no word of a programming language"
        raise Invalid("E-CODEBOOK", f"{name[:100]!r} is not a variable name", hint)


def dictionary(study: Study, codebook: Codebook, countries: Sequence[str]) -> Codebook:
    """The codebook with `country` (levels in the order given) and the derived variables.

    An inferred codebook has them already and is returned as it is.

    Raises:
        Invalid: E-CODEBOOK (a derived name that is taken), and as `parse_expression`.
    """
    if codebook.inferred:
        return codebook
    for name in study.derive or {}:
        check_name(name)
        if name in codebook.variables or name == codebook.person:
            raise Invalid("E-CODEBOOK", f"derived variable {name!r} is already in the codebook", "choose another name")
    variables = dict(codebook.variables) | {"country": country_variable(countries)}
    known = replace(codebook, variables=variables)
    for name, expression in derived_expressions(study, known).items():
        variables[name] = _capped(expression, known)
    checked = replace(codebook, variables=variables)
    population(study, checked)
    return checked


def country_variable(countries: Iterable[str]) -> Variable:
    """`country`, a category of every study."""
    return Variable(type="category", label="Country", levels=tuple(dict.fromkeys(countries)))


def derived_expressions(study: Study, codebook: Codebook) -> dict[str, Expression]:
    """The study's derived variables, in order; each may read codebook variables and those before it.

    Raises:
        Invalid: as `parse_expression`, naming the derived variable.
    """
    base = replace(codebook, variables={k: v for k, v in codebook.variables.items() if k not in (study.derive or {})})
    found: dict[str, Expression] = {}
    for name, text in (study.derive or {}).items():
        try:
            found[name] = parse_expression(text, base, found)
        except Invalid as error:
            raise Invalid(error.code, error.message, error.hint, f"derive.{name}") from error
    return found


def population(study: Study, codebook: Codebook) -> tuple[tuple[str, Expression], ...]:
    """The steps (label, condition) that a row passes to be in the population.

    Raises:
        Invalid: as `parse_condition`; E-POPULATION (two ways of stating it, or a cohort).
    """
    stated = study.population
    if stated is None:
        return ()
    if stated.cohort is not None or (stated.where is not None and stated.steps is not None):
        raise Invalid("E-POPULATION", "state `where` or `steps`", "cohort definitions are not read", "population")
    steps = [(s.label, s.where) for s in stated.steps or ()]
    if stated.where is not None:
        steps = [("population", stated.where)]
    derived = derived_expressions(study, codebook)
    base = base_codebook(study, codebook)
    return tuple((label, _condition(text, base, derived)) for label, text in steps)


def base_codebook(study: Study, codebook: Codebook) -> Codebook:
    """The dictionary without derived variables: what expressions are checked against."""
    derived: Mapping[str, str] = study.derive or {}
    return replace(codebook, variables={k: v for k, v in codebook.variables.items() if k not in derived})


def _condition(text: str, codebook: Codebook, derived: Mapping[str, Expression]) -> Expression:
    try:
        return parse_condition(text, codebook, derived)
    except Invalid as error:
        raise Invalid(error.code, error.message, error.hint, "population") from error


def _capped(expression: Expression, codebook: Codebook) -> Variable:
    """A derived variable; `LEAST(TD, 182)` keeps the unit, range and grid of TD up to 182."""
    match = _CAPPED.match(expression.text)
    source = codebook.variables.get(match.group(1)) if match else None
    if match is None or source is None:
        return expression.variable
    cap = float(match.group(2))
    spread = None if source.range is None else (min(source.range[0], cap), min(source.range[1], cap))
    grid = None
    if source.grid is not None:
        grid = tuple((*(e for e in edges if e < cap), cap) if edges[-1] > cap else edges for edges in source.grid)
    return replace(expression.variable, unit=source.unit, range=spread, grid=grid)


def _problem(variable: Variable) -> str:
    checks = (_level_problem(variable), _range_problem(variable), _grid_problem(variable))
    return next((problem for problem in checks if problem), "")


def _level_problem(variable: Variable) -> str:
    levels = variable.levels
    if variable.type == "category" and not levels:
        return "a category states its levels"
    if levels is None:
        return ""
    if variable.type in {"boolean", "date"}:
        return f"a {variable.type} has no levels"
    if not levels or len(set(levels)) != len(levels) or "" in levels:
        return "levels are different words"
    if variable.type in {"number", "integer"} and not all(_reads_as_number(level) for level in levels):
        return "levels of a number are numbers"
    return ""


def _range_problem(variable: Variable) -> str:
    if variable.range is None:
        return ""
    if variable.type not in {"number", "integer"}:
        return "only a number has a range"
    return "" if variable.range[0] <= variable.range[1] else "the range is [low, high]"


def _grid_problem(variable: Variable) -> str:
    if variable.grid is None:
        return ""
    if variable.type not in {"number", "integer"}:
        return "only a number has a grid"
    increasing = all(len(e) > 1 and all(a < b for a, b in pairwise(e)) for e in variable.grid)
    return "" if variable.grid and increasing else "a grid is a list of increasing edge lists"


def _reads_as_number(level: str) -> bool:
    try:
        float(level)
    except ValueError:
        return False
    return True
