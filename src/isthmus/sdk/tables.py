"""Result JSON -> tables as plain data: one builder for text, HTML and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from isthmus.model.record import record
from isthmus.sdk import frames


@record
class Table:
    """Headings and rows of text; the first `labels` columns are names (left), the rest numbers (right)."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    notes: tuple[str, ...] = ()


TITLES = {
    "table_one": "Table 1",
    "glm": "Regression",
    "cox": "Cox proportional hazards",
    "parametric_survival": "Parametric survival",
    "conditional_logistic": "Conditional logistic regression",
    "rate": "Rates",
    "rmst": "Restricted mean survival time",
    "cumulative_incidence": "Cumulative incidence",
    "multinomial": "Multinomial logistic regression",
    "ordinal": "Proportional odds regression",
    "fine_gray": "Fine-Gray subdistribution hazards",
    "kaplan_meier": "Kaplan-Meier",
    "log_rank": "Log-rank test",
    "crosstab": "Cross-tabulation",
    "count": "Count",
    "histogram": "Histogram",
    "quantiles": "Quantiles",
    "roc": "ROC curve",
    "accuracy": "Diagnostic accuracy",
    "calibration": "Calibration",
    "decision_curve": "Decision curve",
    "correlation": "Pearson correlation",
    "spearman": "Spearman correlation",
    "kruskal_wallis": "Kruskal-Wallis test",
    "meta": "Meta-analysis",
    "validate_model": "Validation of a model",
    "effect": "Effect of treatment",
    "propensity": "Propensity of treatment",
}
_FAMILIES = {
    "binomial": "Logistic regression",
    "gaussian": "Linear regression",
    "poisson": "Poisson regression",
    "gamma": "Gamma regression",
    "inverse_gaussian": "Inverse Gaussian regression",
    "quasibinomial": "Quasi-binomial regression",
    "quasipoisson": "Quasi-Poisson regression",
    "negative_binomial": "Negative binomial regression",
}
_OWN_TITLE = {
    "mixed": "Mixed model",
    "gee": "Generalized estimating equations",
    "penalised": "Penalised regression",
}
# Figures of groups beside what compares them, and of cells beside models of all rows.
_COUNTED_TOO = {"rate": "by group", "rmst": "by group", "calibration": "observed shares by prediction"}
_BESIDE = {"crosstab": "test of association", "kruskal_wallis": "test"}  # the table of a fit beside cells
_MANY_STEPS = 12
_MANY_CELLS = 30
LIFE_TABLE = "Life table"
# The order of a cell's numbers, whatever order the result's JSON has; others come after.
_COUNTED = (
    *("threshold", "prob", "value", "from", "to", "count", "n", "events", "observed", "person_time", "percent"),
    *("net_benefit", "treat_all", "true_positive", "false_positive", "lambda", "mean_rank"),
    *("estimate", "rate", "rmst", "share", "std_error", "conf_low", "conf_high", "statistic", "df", "p_value"),
    *("standardised", "standardised_low", "standardised_high"),
)
_FIRST = ("statistic", "df", "p_value")
_FITTED = ("ridge", "loglik", "aic", "deviance")


def of(name: str, body: Mapping[str, Any]) -> list[Table]:
    """The tables that show one analysis."""
    own = {**countries(body), **body.get("sites", {})}
    parts = [table for where, part in own.items() for table in _whole(f"{name} [{where}]", part)]
    return [*_whole(name, body), *([_precision(name, body)] if body.get("precision") else []), *parts]


def _precision(name: str, body: Mapping[str, Any]) -> Table:
    """Each term's error beside that of the best country alone, in people; `isthmus results precision` has every country."""
    rows = []
    for term in body["precision"]:
        own = term["countries"][term["best"]]
        numbers = (term["std_error"], own["std_error"], own["n"], own["needed"], own["gained"])
        rows.append((str(term["term"]), str(term["best"]), *map(significant, numbers)))
    headings = ("Term", "Best alone", "SE of all", "Its SE", "Its n", "Needed alone", "Gained")
    return Table(title=f"{name}: precision gained", headings=headings, rows=tuple(rows), labels=2)


def countries(body: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Country -> the body of its own answer; empty where there is none. (`groups` of a table 1 are sizes of its groups.)"""
    found: Mapping[str, Mapping[str, Any]] = body.get("countries" if body["kind"] == "table_one" else "groups", {})
    return found


def _whole(name: str, body: Mapping[str, Any]) -> list[Table]:
    error = failure(body)
    if error:
        return [_refusal(name, body, error)]
    builders: tuple[tuple[str, Callable[[str, Mapping[str, Any]], list[Table]]], ...] = (
        ("terms", _terms),
        ("curves", _curves),
        ("cells", _cells),
    )
    first, *more = next((build(name, body) for key, build in builders if key in body), [_scalars(name, body)])
    from isthmus.sdk import table_parts

    lost = table_parts.lost(body)
    if body["kind"] == "meta":
        return [replace(first, notes=(*first.notes, *lost)), *more]
    warned = tuple(warning for warning in body.get("warnings", ()) if warning not in first.notes)
    told = (*first.notes, *lost, *warned, *table_parts.figures(body), *table_parts.standing(body))
    beside = _COUNTED_TOO.get(str(body["kind"]))
    few = beside and 0 < len(body.get("cells", ())) <= _MANY_CELLS  # a longer curve is for a plot
    counted = [replace(_cells(name, body)[0], title=f"{name}: {beside}")] if few else []
    return [replace(first, notes=told), *counted, *table_parts.parts(name, body), *more]


def failure(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The coded reason why an analysis has no result, if it has none."""
    error = body.get("error")
    return error if isinstance(error, Mapping) else None


def title(name: str, body: Mapping[str, Any]) -> str:
    """`name: what it is`, with the family of a regression."""
    kind = str(body["kind"])
    family = str(body.get("fit", {}).get("family", ""))
    return f"{name}: {_OWN_TITLE.get(kind) or _FAMILIES.get(family) or TITLES.get(kind, kind.replace('_', ' '))}"


def significant(value: Any, digits: int = 4) -> str:
    """A number at `digits` significant digits without an exponent where that is readable; `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, (bool, str)):
        return value if isinstance(value, str) else "yes" if value else "no"
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if abs(value) >= 10**digits and "e" in text else text


def p_value(value: float | None) -> str:
    """As journals print it."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def percent(body: Mapping[str, Any]) -> str:
    """The confidence level, for headings."""
    return f"{100 * float(body.get('conf_level', 0.95)):g}%"


def _terms(name: str, body: Mapping[str, Any]) -> list[Table]:
    if body["kind"] == "accuracy":
        return [_measures(name, body)]
    if body["kind"] == "meta":
        from isthmus.sdk.meta_text import pooled

        return pooled(name, body)
    ratio, letter = frames.ratio(body), str(body.get("test", "z"))
    shown = (ratio,) if ratio else ()
    headings = ("Term", *shown, f"{percent(body)} CI", "Estimate", "SE", letter, "p")
    return [
        Table(
            title=title(name, body),
            headings=headings,
            rows=tuple(_term(term, ratio, k >= frames.thresholds(body)) for k, term in enumerate(body["terms"])),
            notes=(*_fit_notes(body), *body.get("warnings", ())),
        ),
        *([_effects(name, body)] if body.get("effects") else []),
        *([_balance(name, body)] if "balance" in body.get("fit", {}) else []),
        *([_overlap(name, body)] if body["kind"] == "propensity" else []),
        *(_curves(f"{name}, weighted", {**body, "kind": "kaplan_meier"}) if "curves" in body else []),
    ]


def _balance(name: str, body: Mapping[str, Any]) -> Table:
    """Standardised mean differences of treated and control before and after weighting."""
    fit = body["fit"]
    rows = tuple((str(b["term"]), f"{b['before']:.3f}", f"{b['after']:.3f}") for b in fit["balance"])
    people = ", ".join(f"{arm} {significant(n)}" for arm, n in fit["ess"].items())
    return Table(
        title=f"{name}: balance, standardised mean differences",
        headings=("Term", "Before", "After"),
        rows=rows,
        notes=(f"effective people after weighting: {people}",),
    )


def _effects(name: str, body: Mapping[str, Any]) -> Table:
    """Of single sites in a mixed model."""
    keys = ("site", "term", "n", "estimate", "std_error")
    rows = tuple(tuple(significant(row.get(key)) for key in keys) for row in body["effects"])
    return Table(
        title=f"{name}: effects of sites", headings=("Site", "Term", "n", "Estimate", "SE"), rows=rows, labels=2
    )


def _overlap(name: str, body: Mapping[str, Any]) -> Table:
    """Scores by arm: a line for each bin, treated before control."""
    pairs = zip(body["cells"][::2], body["cells"][1::2], strict=True)
    rows = tuple(
        (
            f"{significant(one['from'])} to {significant(one['to'])}",
            significant(one["count"]),
            significant(other["count"]),
        )
        for one, other in pairs
    )
    return Table(title=f"{name}: overlap", headings=("Propensity", "Treated", "Control"), rows=rows)


def _measures(name: str, body: Mapping[str, Any]) -> Table:
    ends = (("conf_low", "conf_high"), ("exact_low", "exact_high"))
    rows = [
        (
            str(term["term"]).replace("_", " "),
            significant(term["estimate"]),
            *(_interval(term, pair) for pair in ends),
        )
        for term in body["terms"]
    ]
    headings = ("Measure", "Estimate", f"{percent(body)} CI", "Exact CI")
    return Table(title=title(name, body), headings=headings, rows=tuple(rows), notes=_size(body))


def _interval(row: Mapping[str, Any], ends: tuple[str, str]) -> str:
    """Both limits; `-` where there are none."""
    if all(row.get(key) is None for key in ends):
        return "-"
    return " to ".join(significant(row.get(key), 3) for key in ends)


def _term(term: Mapping[str, Any], ratio: str | None, effective: bool) -> tuple[str, ...]:
    limits = [effect(term.get(k), ratio) for k in ("conf_low", "conf_high")]
    about = (*((effect(term["estimate"], ratio),) if ratio else ()), " to ".join(limits))
    numbers = [significant(term.get(k)) for k in ("estimate", "std_error")]
    statistic = "-" if term.get("statistic") is None else f"{term['statistic']:.2f}"
    about = about if effective or not ratio else ("-",) * len(about)
    return (str(term["term"]), *about, *numbers, statistic, p_value(term.get("p_value")))


def effect(value: float | None, ratio: str | None) -> str:
    """A coefficient, or with `ratio` exp of it with two decimals (two digits below 0.1 and from a million on)."""
    if value is None or ratio is None:
        return significant(value, 3)
    shown = frames.exponential(value)
    return f"{shown:.2f}" if 0.1 <= shown < 1e6 else f"{shown:.2g}"


def _fit_notes(body: Mapping[str, Any]) -> tuple[str, ...]:
    fit = body.get("fit", {})
    first = [f"n = {significant(body.get('n'))}"]
    events = body.get("events", fit.get("events"))
    first += [] if events is None else [f"events = {significant(events)}"]
    first += [f"{k.replace('_', ' ')} = {significant(fit[k])}" for k in _FITTED if k in fit]
    rounds = body.get("rounds")
    about = [f"{body['exactness']}, {significant(rounds)} round{'' if rounds == 1 else 's'}"]
    if body.get("reference"):
        about.append("reference " + ", ".join(f"{k} = {v}" for k, v in body["reference"].items()))
    if isinstance(body.get("error"), str):
        about.append(f"errors: {body['error']}")
    return ("; ".join(first), "; ".join(about), *_imputed(body))


def _imputed(body: Mapping[str, Any]) -> tuple[str, ...]:
    """How many data sets stand behind a result, and what was missing."""
    told = body.get("imputation")
    if told is None:
        return ()
    missing = [f"{name} {significant(told['missing'].get(name))}" for name in told["models"]]
    return (f"{told['m']} data sets imputed; rows missing: " + (", ".join(missing) or "none"),)


def _curves(name: str, body: Mapping[str, Any]) -> list[Table]:
    overview = tuple(_overview(curve) for curve in body["curves"])
    first = Table(
        title=title(name, body),
        headings=("Group", "At start", "Events", "Last time", _followed(body), f"{percent(body)} CI", "Median"),
        rows=overview,
        notes=(f"n = {significant(body.get('n'))}; {body['exactness']}",),
    )
    longest = max((len(shown_steps(curve)) for curve in body["curves"]), default=0)
    return [first] if longest > _MANY_STEPS else [first, _life_table(body)]


def group(curve: Mapping[str, Any]) -> str:
    """A curve's group as people read it: its levels, `all` where there are none."""
    named = [f"{k} = {v}" if v in {"0", "1"} else str(v) for k, v in curve.get("group", {}).items()]
    return ", ".join([*named, *([str(curve["cause"])] if "cause" in curve else [])]) or "all"


def shown_steps(curve: Mapping[str, Any]) -> list[int]:
    """Indices of the steps that the output gate left; it merges steps of few people and cuts the tail."""
    return [i for i, value in enumerate(curve[followed(curve)]) if value is not None]


def followed(curve: Mapping[str, Any]) -> str:
    """What a curve shows: `survival`, or `incidence` of one of several causes."""
    return "incidence" if "incidence" in curve else "survival"


def _followed(body: Mapping[str, Any]) -> str:
    return next((followed(curve).capitalize() for curve in body["curves"]), "Survival")


def _overview(curve: Mapping[str, Any]) -> tuple[str, ...]:
    steps = shown_steps(curve)
    if not steps:
        return (group(curve), *"------")
    last = {k: curve[k][steps[-1]] for k in ("time", followed(curve), "conf_low", "conf_high")}
    events = sum(curve["events"][i] for i in steps)
    limits = f"{significant(last['conf_low'])} to {significant(last['conf_high'])}"
    numbers = (curve.get("n", curve["at_risk"][steps[0]]), events, last["time"], last[followed(curve)])
    return (group(curve), *(significant(v) for v in numbers), limits, _median(curve))


def _median(curve: Mapping[str, Any]) -> str:
    """The median; on a grid the times between which that of the recorded times lies."""
    ends = curve.get("median_within")
    if ends is None:
        return significant(curve.get("median"))
    return f"over {significant(ends[0])}" if ends[1] is None else f"{significant(ends[0])} to {significant(ends[1])}"


def _life_table(body: Mapping[str, Any]) -> Table:
    rows = [
        (group(curve), *(significant(curve[k][i]) for k in ("time", "at_risk", "events", "censored", followed(curve))))
        for curve in body["curves"]
        for i in shown_steps(curve)
    ]
    return Table(
        title=LIFE_TABLE,
        headings=("Group", "Until", "At risk", "Events", "Censored", _followed(body)),
        rows=tuple(rows),
    )


def _cells(name: str, body: Mapping[str, Any]) -> list[Table]:
    if body["kind"] == "table_one":
        from isthmus.sdk.table_one import baseline

        return [baseline(title(name, body), body)]
    if body["kind"] == "penalised":
        from isthmus.sdk.penalised_text import shown

        return [shown(name, body, _size(body))]
    words = list(dict.fromkeys(key for cell in body["cells"] for key, value in cell.items() if isinstance(value, str)))
    rest = {key for cell in body["cells"] for key in cell} - set(words)
    names = [*words, *(k for k in _COUNTED if k in rest), *sorted(rest - set(_COUNTED))]
    rows = tuple(tuple(_figure(key, cell.get(key)) for key in names) for cell in body["cells"])
    headings = tuple(name.replace("_", " ") for name in names)
    table = Table(title=title(name, body), headings=headings, rows=rows, labels=len(words), notes=_size(body))
    return (
        [table, replace(_scalars(name, body), title=f"{name}: {_BESIDE.get(body['kind'], 'fit')}")]
        if body.get("fit")
        else [table]
    )


def _scalars(name: str, body: Mapping[str, Any]) -> Table:
    found = body.get("fit", {})
    names = [*(k for k in _FIRST if k in found), *(k for k in found if k not in _FIRST)]
    fit = {k: found[k] for k in names if not isinstance(found[k], (list, dict))}
    rows = tuple((k.replace("_", " "), _figure(k, v)) for k, v in fit.items())
    return Table(title=title(name, body), headings=("", "Value"), rows=rows, notes=_size(body))


def _figure(key: str, value: Any) -> str:
    return p_value(value) if key == "p_value" else significant(value)


def _size(body: Mapping[str, Any]) -> tuple[str, ...]:
    bound = f", bound {significant(body['bound'])}" if body.get("bound") is not None else ""
    return (f"n = {significant(body.get('n'))}; {body.get('exactness', '')}{bound}",)


def _refusal(name: str, body: Mapping[str, Any], error: Mapping[str, str]) -> Table:
    from isthmus.sdk import table_parts

    rows = tuple((key, str(error[key])) for key in ("code", "message", "hint") if error.get(key))
    heading = f"{title(name, body)} - {body['status']}"
    return Table(title=heading, headings=("", ""), rows=rows, labels=2, notes=table_parts.lost(body))
