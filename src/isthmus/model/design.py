"""Terms to columns: R's model matrix (order, treatment contrasts, marginality) with levels from the codebook."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.terms import Design, DesignColumn, Factor, Formula

MAX_COLUMNS = 2_000  # a model beyond this is a mistake: X'X alone would be 32 MB
BOOLEAN_LEVELS = ("false", "true")

Term = tuple[Factor, ...]
Part = tuple[Factor, str | None, int]


def design(
    formula: Formula,
    dictionary: Codebook,
    reference: Mapping[str, str],
    levels: Mapping[str, tuple[str, ...]],
) -> Design:
    """Expand terms to columns, with levels and references from the dictionary (`levels` and `reference` override).

    Numbers are numeric; categories, booleans (reference `false`) and `C(...)` are indicators of their levels but the
    first, or of all where R's rule asks for it. A `Surv` formula has no intercept column, yet is coded as if it
    had one (as R's coxph).

    Raises:
        Invalid: E-VARIABLE (not in the dictionary), E-LEVELS (levels not declared, or fewer than two), E-LEVEL (an
            unknown reference), E-FORMULA (a function of the wrong type of variable, too many columns, `site`).
    """
    if formula.site:
        raise Invalid("E-FORMULA", "`site` is not a term of this kind of question", "a glm has it; others have strata")
    ordered = _all_levels(formula.terms, dictionary, reference, levels)
    intercept = formula.intercept or formula.surv is not None
    full = _full_coding(formula.terms, intercept, lambda factor: _is_category(factor, dictionary))
    shown = intercept and formula.surv is None
    columns = [DesignColumn(name="(Intercept)", parts=(), indicator=True)] if shown else []
    for index, term in enumerate(formula.terms):
        choices = [_parts(f, ordered.get(f), (index, f) in full) for f in term]
        _check_size(len(columns), choices)
        # The first factor varies fastest: product() varies the last, hence the two reversals.
        columns += [_column(chosen[::-1]) for chosen in product(*reversed(choices))]
    _check_names(columns)
    contrasted = [f for i, term in enumerate(formula.terms) for f in term if f in ordered and (i, f) not in full]
    shown_references = tuple(dict.fromkeys((f.name, ordered[f][0]) for f in contrasted))
    return Design(columns=tuple(columns), intercept=shown, reference=shown_references)


def category_levels(name: str, dictionary: Codebook, reference: str | None = None) -> tuple[str, ...]:
    """Levels of a variable used as a category, the reference first.

    Raises:
        Invalid: E-VARIABLE, E-LEVELS, E-LEVEL.
    """
    variable = declared(name, dictionary)
    found = BOOLEAN_LEVELS if variable.type == "boolean" else variable.levels
    if not found:
        raise Invalid("E-LEVELS", f"the levels of {name!r} are not declared", "state `levels` in the codebook")
    return reference_first(name, found, reference)


def reference_first(name: str, levels: Sequence[str], reference: str | None) -> tuple[str, ...]:
    """`levels` with `reference` moved to the front; the others keep their order (R's relevel)."""
    if reference is None:
        return tuple(levels)
    if reference not in levels:
        hint = "declared levels: " + ", ".join(levels[:20])
        raise Invalid("E-LEVEL", f"{reference!r} is not a level of {name!r}", hint)
    return (reference, *(level for level in levels if level != reference))


def declared(name: str, dictionary: Codebook) -> Variable:
    """The variable called `name`.

    Raises:
        Invalid: E-VARIABLE.
    """
    if name not in dictionary.variables:
        near = difflib.get_close_matches(name, list(dictionary.variables), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "the codebook lists the variables of the dataset"
        raise Invalid("E-VARIABLE", f"{name!r} is not a variable of the codebook or of `derive`", hint)
    return dictionary.variables[name]


def _all_levels(
    terms: Iterable[Term],
    dictionary: Codebook,
    reference: Mapping[str, str],
    levels: Mapping[str, tuple[str, ...]],
) -> dict[Factor, tuple[str, ...]]:
    found: dict[Factor, tuple[str, ...]] = {}
    for factor in dict.fromkeys(f for term in terms for f in term):
        if not _is_category(factor, dictionary):
            continue
        stated = levels.get(factor.name)
        wanted = reference.get(factor.name)
        named = (
            category_levels(factor.name, dictionary, wanted)
            if stated is None
            else reference_first(factor.name, stated, wanted)
        )
        if len(named) < 2:
            raise Invalid("E-LEVELS", f"{factor.name!r} has one level only", "a category in a model needs two")
        found[factor] = named
    return found


def _is_category(factor: Factor, dictionary: Codebook) -> bool:
    kinds = {name: declared(name, dictionary).type for name in factor.reads}
    if "date" in kinds.values():
        raise Invalid("E-FORMULA", f"{factor.label!r} reads a date", "derive a number from it")
    kind = kinds[factor.name]
    if factor.function == "C" or (factor.function is None and kind in {"category", "boolean"}):
        return True
    for name, type_ in kinds.items():
        if type_ not in {"number", "integer"}:
            raise Invalid("E-FORMULA", f"{factor.label!r} needs numbers, and {name!r} is a {type_}")
    return False


def _full_coding(
    terms: Sequence[Term], intercept: bool, is_category: Callable[[Factor], bool]
) -> set[tuple[int, Factor]]:
    """(term, factor) pairs coded by every level instead of contrasts.

    Chambers & Hastie (1992), Statistical Models in S, page 38, as R's model.matrix does it: contrasts where the
    term without the factor is within an earlier term; without intercept the first category met is full.
    """
    full: set[tuple[int, Factor]] = set()
    for index, term in enumerate(terms):
        for factor in term:
            rest = set(term) - {factor}
            if is_category(factor) and rest and not any(rest <= set(earlier) for earlier in terms[:index]):
                full.add((index, factor))
    if not intercept:
        met = ((i, f) for i, term in enumerate(terms) for f in term if is_category(f))
        full |= set(list(met)[:1])
    return full


def _parts(factor: Factor, levels: tuple[str, ...] | None, full: bool) -> list[Part]:
    if levels is not None:
        return [(factor, level, 0) for level in (levels if full else levels[1:])]
    return [(factor, None, i + 1) for i in range(factor.basis)] if factor.basis else [(factor, None, 0)]


def _column(parts: tuple[Part, ...]) -> DesignColumn:
    name = ":".join(_part_name(*part) for part in parts)
    return DesignColumn(name=name, parts=parts, indicator=all(level is not None for _, level, _ in parts))


def _part_name(factor: Factor, level: str | None, basis: int) -> str:
    if level is not None:
        return f"{factor.label}[{level}]"
    return f"{factor.label}[{basis}]" if basis else factor.label


def _check_size(so_far: int, choices: list[list[Part]]) -> None:
    size = 1
    for choice in choices:
        size *= len(choice)
    if so_far + size > MAX_COLUMNS:
        raise Invalid("E-FORMULA", f"the formula makes more than {MAX_COLUMNS} columns", "use fewer interactions")


def _check_names(columns: list[DesignColumn]) -> None:
    names = [c.name for c in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Invalid("E-FORMULA", f"two terms are called {twice!r}", "one spline per variable")
