"""The smaller tables beside an analysis: contrasts, tests of several terms, proportional hazards, figures without an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isthmus.sdk import frames
from isthmus.sdk.tables import Table, effect, p_value, percent, significant

_SHOWN = {  # key of `fit` -> as people call it
    "auc": "AUC",
    "brier": "Brier score",
    "observed_expected": "observed / expected",
    "concordance": "concordance",
    "e_value": "E-value",
    "e_value_limit": "E-value of the nearer limit",
    "sigma2": "residual variance",
    "icc": "ICC",
    "groups": "groups",
    "theta": "theta",
    "alpha": "correlation",
}
_WITH_FIGURES = ("validate_model", "calibration", "cox", "effect", "mixed", "gee", "glm")


def parts(name: str, body: Mapping[str, Any]) -> list[Table]:
    """Those that the analysis has."""
    builders: tuple[tuple[str, Callable[[str, Mapping[str, Any]], Table]], ...] = (
        ("contrasts", _contrasts),
        ("tests", _tests),
        ("zph", _zph),
        ("net_benefit", _net_benefit),
    )
    compared = [_expected(name, body)] if body["kind"] == "log_rank" and body["fit"].get("groups") else []
    return [*compared, *(build(name, body) for key, build in builders if body.get(key))]


def figures(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Figures of `fit` that stand alone, as one note."""
    if body["kind"] not in _WITH_FIGURES:
        return ()
    fit = body.get("fit", {})
    known = [f"{word} = {significant(fit[key])}" for key, word in _SHOWN.items() if fit.get(key) is not None]
    if "auc" in fit:
        known[0] += f" ({significant(fit['conf_low'])} to {significant(fit['conf_high'])})"
    known += [f"variance of {term} = {significant(value)}" for term, value in fit.get("variances", {}).items()]
    known += ["the slope is tested against 1"] if body["kind"] in ("calibration", "validate_model") else []
    correlations = _correlations(fit) if body["kind"] == "mixed" else []
    return tuple("; ".join(each) for each in (known, correlations, _ratios(body)) if each)


def _correlations(fit: Mapping[str, Any]) -> list[str]:
    """Of random effects; none where a variance is 0."""
    told = []
    variances = fit.get("variances", {})
    for pair, covariance in fit.get("covariances", {}).items():
        first = next(name for name in variances if pair.startswith(f"{name}:") and pair[len(name) + 1 :] in variances)
        size = float(variances[first]) * float(variances[pair[len(first) + 1 :]])
        told += [f"correlation of {pair} = {significant(float(covariance) / size**0.5)}"] if size > 0.0 else []
    return told


def _ratios(body: Mapping[str, Any]) -> list[str]:
    """Ratios that an effect gives as logarithms."""
    terms = body.get("terms", ()) if body["kind"] == "effect" else ()
    told = []
    for term in terms:
        if str(term["term"]).startswith("log "):
            limits = " to ".join(effect(term.get(key), "ratio") for key in ("conf_low", "conf_high"))
            told.append(f"{str(term['term'])[4:]} = {effect(term['estimate'], 'ratio')} ({limits})")
    return told


def lost(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Rows that were left out because a variable has no value, by variable; `not told` where rules hide the number."""
    found = {name: rows for name, rows in (body.get("excluded") or {}).items() if rows != 0}
    told = [f"{name} {'not told' if rows is None else significant(rows)}" for name, rows in found.items()]
    return (f"rows without a value, left out: {', '.join(told)}",) if told else ()


def standing(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Primary or exploratory, and how many outcomes were tried."""
    tried = [f"one of {body['outcomes']} outcomes tried"] if body.get("outcomes") else []
    told = [*([str(body["standing"])] if body.get("standing") else []), *tried]
    return ("; ".join(told),) if told else ()


def _expected(name: str, body: Mapping[str, Any]) -> Table:
    """Events of each group beside those expected, as R's `survdiff` prints them."""
    rows = frames.group_rows(body["fit"])
    headings = tuple(key.replace("_", " ").capitalize() for key in rows[0])
    made = tuple(tuple(significant(value) for value in row.values()) for row in rows)
    return Table(title=f"{name}: events by group", headings=headings, rows=made)


def _contrasts(name: str, body: Mapping[str, Any]) -> Table:
    ratio = frames.ratio(body)
    rows = []
    for row in body["contrasts"]:
        limits = " to ".join(effect(row.get(key), ratio) for key in ("conf_low", "conf_high"))
        first = (effect(row["estimate"], ratio),) if ratio else ()
        numbers = (significant(row["estimate"]), significant(row["std_error"]), p_value(row.get("p_value")))
        rows.append((str(row["term"]), *first, limits, *numbers))
    headings = ("Contrast", *((ratio,) if ratio else ()), f"{percent(body)} CI", "Estimate", "SE", "p")
    return Table(title=f"{name}: contrasts", headings=headings, rows=tuple(rows))


def _tests(name: str, body: Mapping[str, Any]) -> Table:
    rows = [{"term": key, **row} for key, row in body["tests"].items()]
    return _chi_squares(f"{name}: tests", rows)


def _zph(name: str, body: Mapping[str, Any]) -> Table:
    return _chi_squares(f"{name}: proportional hazards", body["zph"])


def _chi_squares(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Statistic, on a grid its bound, degrees of freedom (of F two) and p."""
    two, grid = (any(row.get(key) is not None for row in rows) for key in ("df_residual", "bound"))
    keys = ("statistic", *(("bound",) if grid else ()), "df", *(("df_residual",) if two else ()))
    made = tuple(
        (str(row["term"]), *(significant(row.get(key)) for key in keys), p_value(row.get("p_value"))) for row in rows
    )
    numbers = ("F" if two else "Chi-square", *(("Bound",) if grid else ()), "df", *(("Residual df",) if two else ()))
    return Table(title=title, headings=("Test", *numbers, "p"), rows=made)


def _net_benefit(name: str, body: Mapping[str, Any]) -> Table:
    keys = ("threshold", "net_benefit", "treat_all")
    rows = tuple(tuple(significant(row.get(key)) for key in keys) for row in body["net_benefit"])
    return Table(title=f"{name}: net benefit", headings=("Threshold", "Model", "Treat all"), rows=rows)
