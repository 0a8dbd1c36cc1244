"""Why figures of a result are null, and what clustered errors stand on: `warnings`, so that nothing is missing without a word.

A figure may be null because nobody has the event, a group is empty or nothing varies. Whoever reads the counts beside it
can see that; here it is said. Where counts were suppressed the cause may be a count that is not shown, which is said too, and
not which of the two it is. What a kind's documentation says is null (`vcov` that was not asked for, a median that was not
reached) needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TERMS = {  # kind -> what an estimate that is null lacks
    "rate": "in one of its groups nobody has the event, or there is no person-time",
    "effect": "the curve of an arm ends before that time",
    "accuracy": "there is nobody whom it is a share of, or nobody in a cell of it",
}
CELLS = {  # figure of a cell -> what people call it, and why it may be null
    "rate": ("rate", "there is no person-time"),
    "standardised": ("standardised rate", "there is no person-time in a stratum of the standard population"),
    "row_percent": ("percentages", "nobody is in it"),
    "column_percent": ("percentages", "nobody is in it"),
    "percent": ("percentages", "nobody is in it"),
    "mean": ("mean", "nobody is in it"),
    "mean_rank": ("mean rank", "nobody is in it"),
    "value": ("quantiles", "nobody is in it"),
}
WITHIN = "clusters are counted within sites: the same identifier at two sites is two clusters"
CURVES = ("survival", "incidence")
SLACK = 1e-9  # of a mean of 0 and 1, by rounding
LABELS = ("variable", "level", "prob", "test", "outcome")  # columns of cells that name no group


def words(body: Mapping[str, Any], *, suppressed: bool = False) -> list[str]:
    """What to say of the figures of a result that are null; `suppressed`: counts were blanked before they were worked out.

    Args:
        body: the result of one analysis, as its kind reports it.
        suppressed: whether the gate blanked counts of it.
    """
    said = [*_terms(body), *_cells(body), *_curves(body), *_tests(body), *_figures(body)]
    hidden = ", or a count behind it is not shown" if suppressed else ""
    return [f"{what}: {why}{hidden}" for what, why in dict.fromkeys(said)]


def of_clusters(body: Mapping[str, Any], *, several: bool) -> list[str]:
    """What to say of errors that are summed over clusters.

    The scores of all clusters add to 0, so their squares have a rank of one less than there are clusters: with no more of
    these than coefficients the covariance is singular. Judged by the number that is shown.

    Args:
        body: the result of one analysis, as its kind reports it.
        several: whether clusters are named by an identifier at two sites or more.
    """
    clusters = body.get("clusters", body.get("fit", {}).get("clusters"))
    if clusters is None:
        return []
    size = sum(row.get("std_error") is not None for row in body.get("terms", ()))
    few = f"errors of {size} coefficients from {clusters} clusters: with fewer than {size + 1} their covariance is singular"
    return [
        *([WITHIN] if several else []),
        *([f"{few}, and an error may be far too small"] if clusters <= size else []),
    ]


def _terms(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rows = body.get("terms", ())
    lost = [str(row["term"]) for row in rows if row.get("estimate") is None]
    if lost and body["kind"] in TERMS:
        yield f"no estimate of {', '.join(lost)}", TERMS[str(body["kind"])]
    still = [str(r["term"]) for r in rows if r.get("std_error") == 0.0 and r.get("p_value", 0.0) is None]
    if still:
        yield f"no test of {', '.join(still)}", "the standard error is 0, since nothing varies about it"


def _cells(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One line for each figure, with every group that has none."""
    for figure, (called, why) in CELLS.items():
        rows = [row for row in body.get("cells", ()) if row.get(figure, 0) is None]
        if rows:
            groups = dict.fromkeys(_group(row, figure) for row in rows)
            yield f"no {called} of {'; '.join(groups)}", why
    pairs = [row for row in body.get("cells", ()) if "second" in row and row.get("statistic", 0) is None]
    if pairs:
        named = "; ".join(f"{row['first']} and {row['second']}" for row in pairs)
        yield f"no statistic of {named}", "they are the same up to their units"


def _group(row: Mapping[str, Any], figure: str) -> str:
    """The levels that make the cell; of a percentage of a row or column, that one's."""
    levels = [(k, v) for k, v in row.items() if isinstance(v, str) and k not in LABELS]
    if figure == "row_percent":
        levels = levels[:1]
    if figure == "column_percent":
        levels = levels[1:2]
    told = ", ".join(f"{key} {value}" for key, value in levels)
    return told or str(row.get("variable", "all rows"))


def _curves(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Groups without a curve, and from when on there is none."""
    for curve in body.get("curves", ()):
        group = ", ".join(f"{key} {value}" for key, value in curve.get("group", {}).items()) or "all rows"
        steps = next((curve[name] for name in CURVES if name in curve), ())
        late = [f"{row['time']:g}" for name in CURVES for row in curve.get(f"{name}_at", ()) if row[name] is None]
        if not curve.get("time"):
            yield f"no curve of {group}", "nobody is in it"
        elif late:
            yield f"no figures of {group} at {', '.join(late)}", "the curve ends before"
        elif None in steps:
            yield f"no curve of {group} at {curve['time'][list(steps).index(None)]:g} and later", "nobody is at risk"


def _tests(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    fit = body.get("fit", {})
    if "p_value" in fit and fit["p_value"] is None:
        yield "no test", "fewer than two groups have people, or nothing varies"
    own = fit.get("tests")
    named: Mapping[str, Any] = own if isinstance(own, Mapping) else body.get("tests") or {}
    lost = [name for name, test in named.items() if isinstance(test, Mapping) and test.get("p_value", 0) is None]
    if lost:
        causes = "nobody has the event" if body["kind"] == "cumulative_incidence" else "nothing varies"
        yield f"no test of {', '.join(lost)}", f"fewer than two groups have people, or {causes}"
    smd = fit.get("smd")
    apart = [name for name, value in smd.items() if value is None] if isinstance(smd, Mapping) else []
    if apart:
        yield f"no standardised difference of {', '.join(apart)}", "a group has nobody, or nothing varies"


def _figures(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    fit = body.get("fit", {})
    if fit.get("dispersion") == 0.0 and fit.get("loglik", 0) is None:
        yield "no log-likelihood and AIC", "the outcome is fitted exactly"
    if fit.get("e_value", 0) is None and shares(body.get("terms", ())):
        yield "no risk ratio and no E-value", "the outcome is not 0 or 1, or in an arm nobody has it"
    calibration = fit.get("calibration")
    if isinstance(calibration, Mapping) and calibration.get("p_value", 0) is None:
        yield "no calibrated test", "its standard error is 0"
    subgroups = body.get("subgroups_fit")
    if isinstance(subgroups, Mapping) and subgroups.get("q_p_value", 0) is None:
        yield "no heterogeneity within subgroups", "each has one study that can be pooled"


def shares(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the two means of an effect look like shares."""
    means = [row["estimate"] for row in rows if row["term"] in {"mean[0]", "mean[1]"}]
    return len(means) == 2 and all(value is not None and -SLACK <= value <= 1.0 + SLACK for value in means)
