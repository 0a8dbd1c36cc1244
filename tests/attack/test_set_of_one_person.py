"""A self-controlled series in which one person alone has an interval with the event and others without.

Everybody else's set holds no event, or nothing but events, and drops out of the likelihood: 1,200 rows stand around one person's.
"""

from __future__ import annotations

import numpy as np
from hole_lab import answered, ask, refused

from attack import Attack
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

ATTACK = Attack(
    "A matched set of one person, among sets that say nothing",
    "minimum_count on sets with a case and a control, and on sets that differ",
)
QUESTION = {"formula": "FIT ~ CHOL", "sets": "PATIENT"}
TIMES = 4


def series(telling: int) -> list[dict[str, np.ndarray]]:
    """Three sites of 100 people with four intervals each; at the first, `telling` people have one interval with a fit."""
    tables = []
    for site in range(3):
        draw = np.random.default_rng(site)
        fit = np.zeros((100, TIMES))
        fit[: telling if site == 0 else 60, 1] = 1.0
        if site == 0:
            fit[telling : telling + 40] = 1.0
        chol = np.round(draw.normal(200, 30, (100, TIMES)))
        person = np.repeat(np.arange(100), TIMES) + 1000 * site
        tables.append({"PATIENT": person.astype(float), "FIT": fit.reshape(-1), "CHOL": chol.reshape(-1)})
    return tables


def test_bare_the_likelihood_is_that_one_persons(leak) -> None:
    tables = series(1)
    for table in tables[1:]:
        table["FIT"][:] = 0.0
    own = tables[0]["CHOL"][:TIMES].copy()
    own[1] = np.median(own)  # neither the largest nor the smallest: there is an estimate
    tables[0]["CHOL"][:TIMES] = own
    answer = ask("conditional_logistic", QUESTION, tables, plain(OPEN))
    b = answer["terms"][0]["estimate"]
    share = np.exp(b * (own - own[1]))
    assert answer["fit"]["sets"] == 1
    assert abs(answer["fit"]["loglik"] + np.log(share.sum())) < 1e-9
    leak("the likelihood of 1,200 rows is one patient's")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("conditional_logistic", QUESTION, series(1))
    assert refused("conditional_logistic", QUESTION, series(5))
    assert refused("conditional_logistic", QUESTION | {"method": "breslow"}, series(5))  # beside 40 sets of cases alone
    assert answered("conditional_logistic", QUESTION, series(60))
    stop("refused: 1 or 5 telling sets at a site, whatever the rows; 60 are answered")


def test_few_pairs_that_differ_are_refused_among_many_that_do_not() -> None:
    tables = series(60)
    for site, table in enumerate(tables):
        mark = np.zeros((100, TIMES))
        mark[: 3 if site == 0 else 40, ::2] = 1.0
        mark[50:] = 1.0  # the whole set: it says nothing of the column
        table["DRUG"] = mark.reshape(-1)
    assert refused("conditional_logistic", QUESTION | {"formula": "FIT ~ CHOL + DRUG"}, tables)
