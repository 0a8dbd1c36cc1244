"""Why figures of a result are null, and what clustered errors stand on: `warnings`, so that nothing is missing without a word.

A figure may be null because nobody has the event, a group is empty or nothing varies. Whoever reads the counts beside it
can see that; here it is said. Where counts were suppressed the cause may be a count that is not shown, which is said too, and
not which of the two it is. What a kind's documentation says is null (`vcov` that was not asked for, a median that was not
reached) needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isthmus.statistics.inference import chi_square_p, two_sided

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
SQUARES = ("log_rank", "kruskal_wallis")  # whose `bound` is of a chi-square
SMALL = 0.05  # what readers take a p-value to be
FINER = "state a finer grid (of times `coarser: true` finds the finest that all sites allow), or ask of more people"
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
    return [*(f"{what}: {why}{hidden}" for what, why in dict.fromkeys(said)), *_loose(body)]


def _loose(body: Mapping[str, Any]) -> Iterator[str]:
    """Tests on a grid that leaves open what they say: no bound is known, or within it the p-value is small and is not."""
    for name, statistic, df, bound in _bounded(body):
        if bound is None:
            yield f"{name}: the steps of the grid are too wide to say how far the statistic lies from that of the rows' own values; {FINER}"
            continue
        ends = max(abs(statistic) - bound, 0.0), abs(statistic) + bound
        least, most = (chi_square_p(end, df) if df else two_sided(end) for end in reversed(ends))
        if least < SMALL < most:
            yield f"{name}: within the bound of its grid the p-value may be anything from {least:.2g} to {most:.2g}; {FINER}"


def _bounded(body: Mapping[str, Any]) -> Iterator[tuple[str, float, int, float | None]]:
    """(what, statistic, df, bound) of each test on a grid; df 0 of a z."""
    fit, tests = body.get("fit", {}), body.get("tests")
    if body.get("exactness") != "grid":
        return
    if body["kind"] in SQUARES and fit["statistic"] is not None:
        yield "the test", fit["statistic"], fit["df"], body["bound"]
    if fit.get("statistic") is not None and "statistic_bound" in fit:
        yield "the test of two markers", fit["statistic"], 0, fit["statistic_bound"]
    for name, test in tests.items() if isinstance(tests, Mapping) else ():
        if "bound" in test and test["df"]:
            yield f"Gray's test of {name}", test["statistic"], test["df"], test["bound"]


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
    yield from _pairs([row for row in body.get("cells", ()) if "second" in row])


def _pairs(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Correlations without interval or test."""
    for figure, called, why in (
        ("p_value", "test", "there are fewer than 3 rows"),
        ("conf_low", "interval", "there are fewer than 4 rows"),
        ("statistic", "statistic", "they are the same up to their units"),
    ):
        named = [f"{r['first']} and {r['second']}" for r in rows if r.get(figure, 0) is None]
        if named and not (figure == "statistic" and all(r["p_value"] is None for r in rows)):
            yield f"no {called} of {'; '.join(named)}", why


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
        if 1.0 in curve.get("incidence", ()):
            whole = curve["time"][list(steps).index(1.0)]
            yield f"no interval of {curve['cause']} in {group} at {whole:g} and later", "everybody has had the event"
        late = [f"{row['time']:g}" for name in CURVES for row in curve.get(f"{name}_at", ()) if row[name] is None]
        if not curve.get("time"):
            yield f"no curve of {group}", "nobody is in it"
        elif late:
            yield f"no figures of {group} at {', '.join(late)}", "the curve ends before"
        elif None in steps:
            yield f"no curve of {group} at {curve['time'][list(steps).index(None)]:g} and later", "nobody is at risk"


def _tests(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    fit = body.get("fit", {})
    if body["kind"] == "roc" and fit["std_error"] is None:
        yield "no error, interval and test of an area", "one of the classes has one person"
    elif body["kind"] == "roc" and fit.get("p_value", 0) is None:
        yield "no test", "both markers order the rows of either class alike"
    elif "p_value" in fit and fit["p_value"] is None:
        yield "no test", "fewer than two groups have people, or nothing varies"
    own = fit.get("tests")
    named: Mapping[str, Any] = own if isinstance(own, Mapping) else body.get("tests") or {}
    lost = [name for name, test in named.items() if isinstance(test, Mapping) and test.get("p_value", 0) is None]
    if lost:
        gray = body["kind"] == "cumulative_incidence"
        causes = "or nobody has the event" if gray else "one of them has one person, or nothing varies"
        yield f"no test of {', '.join(lost)}", f"fewer than two groups have people, {causes}"
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
