"""Clustered errors sum each cluster's scores: with one person in a cluster, or in one that outweighs the rest, they are that person's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from disclosure_lab import FLOOR, IDENTITY
from hole_lab import answered, ask, refused

from attack import Attack
from isthmus.disclosure.site import weigh
from isthmus.evidence import weights_of
from isthmus.model.codebook import Codebook
from isthmus.model.formula import design, parse
from isthmus.statistics import glm_cluster
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_kernel import Rows, cluster_scores
from isthmus.statistics.glm_model import Model

ATTACK = Attack(
    "A clustered error in which one person is a cluster",
    "minimum_count on clusters; effective clusters of each column's scores",
)
QUESTION: dict[str, Any] = {"formula": "CHOL ~ AGE", "family": "gaussian", "release": ["vcov"]}
ROWS, VICTIM = 400, 7


def clinic(seed: int, clusters: int) -> dict[str, np.ndarray]:
    """One site with rows dealt to clusters."""
    draw = np.random.default_rng(seed)
    return {
        "AGE": np.round(draw.uniform(20, 90, ROWS), 1),
        "CHOL": np.round(draw.normal(200, 40, ROWS)),
        "WARD": np.arange(ROWS) % clusters,
    }


def clinics() -> list[dict[str, np.ndarray]]:
    """At the first the victim has a ward of their own, and everybody else is in another."""
    found = [clinic(seed, 40) for seed in (1, 2, 3)]
    found[0]["WARD"] = (np.arange(ROWS) == VICTIM).astype(int)
    return found


def scores(site: dict[str, np.ndarray], estimates: np.ndarray) -> np.ndarray:
    """(2, rows) of a party that has the rows."""
    columns = np.array([np.ones(ROWS), site["AGE"]])
    return columns * (site["CHOL"] - estimates @ columns)


def test_bare_the_other_parties_subtract_theirs_and_solve(leak) -> None:
    sites = clinics()
    plain, clustered = ask("glm", QUESTION, sites), ask("glm", {**QUESTION, "cluster": "WARD"}, sites)
    estimates = np.array([term["estimate"] for term in plain["terms"]])
    information = np.linalg.inv(np.array(plain["vcov"]) / plain["fit"]["dispersion"])
    left = information @ np.array(clustered["vcov"]) @ information
    rest = np.zeros(2)  # what the victim's site adds up to: all scores add up to 0
    for known in sites[1:]:
        u = scores(known, estimates)
        rest -= u.sum(axis=1)
        for ward in range(40):
            one = u[:, known["WARD"] == ward].sum(axis=1)
            left = left - np.outer(one, one)
    # left is u u' + (rest - u)(rest - u)', so each entry of u solves a quadratic
    gap = np.sqrt(2 * np.diag(left) - rest**2)
    found = [(rest + np.array([a, b]) * gap) / 2 for a in (1, -1) for b in (1, -1)]
    people = [(u[1] / u[0], u[0] + estimates @ [1.0, u[1] / u[0]]) for u in found]
    own = sites[0]["AGE"][VICTIM], sites[0]["CHOL"][VICTIM]
    assert any(person == pytest.approx(own, rel=1e-6) for person in people)
    leak(f"one person's age and cholesterol, {own[0]:.0f} and {own[1]:.0f}, exactly")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("glm", {**QUESTION, "release": [], "cluster": "WARD"}, clinics())
    stop("refused: few clusters, or one that outweighs the others; forty wards are answered")


def test_nor_beside_an_intercept_of_each_site() -> None:
    question = {"formula": "CHOL ~ AGE + site", "family": "gaussian", "cluster": "WARD"}
    assert "n" in ask("glm", question, clinics())  # bare: of the victim's site two clusters, opposite in score
    assert refused("glm", question, clinics())
    assert answered("glm", question, [clinic(seed, 40) for seed in (1, 2, 3)])


def test_ordinary_clusters_are_answered() -> None:
    sites = [clinic(seed, 40) for seed in (1, 2, 3)]
    assert answered("glm", {**QUESTION, "release": [], "cluster": "WARD"}, sites)


@pytest.mark.parametrize("kind", ["multinomial", "ordinal"])
def test_nor_is_one_person_a_cluster_of_an_outcome_with_levels(kind: str) -> None:
    question = {"formula": "GRADE ~ AGE", "cluster": "WARD"}
    graded = [clinics(), [clinic(seed, 60) for seed in (1, 2, 3)]]
    for site in (site for sites in graded for site in sites):
        site["GRADE"] = np.array(["low", "middle", "high"])[np.digitize(site["CHOL"], [185, 215])].astype(object)
    assert "n" in ask(kind, question, graded[0])  # bare: U U' of one person, as above
    assert refused(kind, question, graded[0])
    assert answered(kind, question, graded[1])


def balanced(residuals: np.ndarray, cluster: np.ndarray) -> tuple[Model, Rows]:
    """Rows whose scores at coefficients 0 are their outcomes."""
    made = design(parse("y ~ 1"), Codebook(name="lab", variables={}), {}, {})
    model = Model(
        FAMILIES["gaussian", "identity"], "y", made, Codebook(name="lab", variables={}), None, False, None, "k"
    )
    return model, Rows(np.ones((1, residuals.size)), residuals, None, None, cluster.astype(np.int32))


def test_a_cluster_that_outweighs_the_others_is_refused() -> None:
    """Forty clusters of two whose residuals cancel, and one person: the number of clusters does not protect them."""
    pairs = np.repeat(np.random.default_rng(5).normal(0, 10, 40), 2) * np.tile([1.0, -0.98], 40)
    model, rows = balanced(np.append(pairs, 12.0), np.append(np.repeat(np.arange(40), 2), 40))
    params = {**IDENTITY, "step": "meat", "coefficients": np.zeros(1), "centre": np.zeros(1), "scale": np.ones(1)}
    values, guard = glm_cluster.meat(model, rows, params)
    assert values["meat"][0, 0] == pytest.approx(144.0, rel=0.02)  # bare: the person's residual, squared
    assert not weigh(guard, FLOOR).holds
    each = np.abs(cluster_scores(model.family, rows, params)[0])
    assert weigh(weights_of(np.ones_like(each), 1), FLOOR).holds  # the number of clusters alone would let it pass
