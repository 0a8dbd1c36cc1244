"""The ballot that finds fine cells around a quantile: its words must not tell one person's value, nor its cells few people."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest
from disclosure_lab import FLOOR

from attack import Attack
from isthmus.disclosure.gate import clear, release, release_ballot
from isthmus.disclosure.site import admits, consider
from isthmus.evidence import Evidence
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused, Untrusted
from isthmus.model.rules import OPEN
from isthmus.statistics import halving
from isthmus.statistics.contract import Grid, Inputs, Round, Setting
from isthmus.statistics.quantiles import STATISTIC, Quantiles
from isthmus.summary import Field, Layout, Summary

ATTACK = Attack(
    "Reading the smallest value off the search for a quantile",
    "single cuts count an empty side as too few; each cell of a finer grid is gated again",
)

VARIABLE = Variable(type="number", range=(0.0, 100.0))
(TREE,) = halving.trees(np.array([0.0, 100.0]), np.array([1]), VARIABLE, 8)
CUTS = TREE.cuts[0]
CLEARED = clear(digest("q"), consider(Evidence(rows=400), FLOOR), "quantiles")


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(50.0, 12.0, 400)


def leaves(rows: np.ndarray) -> np.ndarray:
    return halving.leaves((np.sort(rows),), np.array([0.0, 100.0]), TREE)


def words(rows: np.ndarray) -> np.ndarray:
    """Which words a site with these rows agrees to."""
    blocks = halving.choices(leaves(rows), TREE)
    return np.concatenate([admits(block, FLOOR) for block in blocks])


def naive(rows: np.ndarray) -> np.ndarray:
    """A word a cut: may both sides be shown, zero rows being allowed?"""
    below = np.searchsorted(np.sort(rows), CUTS)
    return admits(np.column_stack([below, rows.size - below]), FLOOR)


@pytest.mark.parametrize("smallest", [2.0, 7.0, 12.0])
def test_bare_a_word_for_each_cut_tells_the_smallest_value(smallest: float, leak) -> None:
    rows = np.concatenate([[smallest], np.maximum(values(1), 20.0)])
    first_no = CUTS[int(np.flatnonzero(~naive(rows))[0])]
    assert abs(first_no - smallest) < 100.0 / 2**8
    if smallest == 7.0:
        leak("the smallest value of all sites to a 256th of the range")


@pytest.mark.parametrize("smallest", [2.0, 7.0, 12.0])
def test_single_cuts_do_not_depend_on_the_smallest_value(smallest: float, stop) -> None:
    rest = np.maximum(values(1), 20.0)
    found = [words(np.concatenate([[x], rest]))[len(CUTS) :] for x in (smallest, 18.0)]
    assert found[0].any()
    assert np.array_equal(found[0], found[1])
    stop(
        "single cuts are voted alike wherever the smallest value lies; every cell that passes holds 0 or 11 and more at each site"
    )


def test_cells_that_pass_hold_enough_people_at_every_site() -> None:
    for seed in range(20):
        sites = [values(3 * seed + k) ** (1 + seed % 3) / 100.0 ** (seed % 3) for k in range(3)]
        passed = np.all([words(rows) for rows in sites], axis=0)
        edges = halving.refined(np.zeros(0), (TREE,), passed)
        assert edges.size
        for rows in sites:
            counts = np.bincount(np.searchsorted(edges, rows, side="right"))
            assert np.all((counts == 0) | (counts >= 11))  # also the cell of the smallest value


def lab(rows: np.ndarray):
    book = Codebook(name="lab", variables={"x": VARIABLE})
    setting = Setting(sites=3, dictionary=book, levels={}, conf_level=0.95, grid=Grid((), recorded=False))
    question = Quantiles(variable="x")
    prepared = STATISTIC.prepare(question, setting, Inputs(rows=rows.size, numbers={"x": rows}, codes={}))
    return question, setting, prepared


def test_a_grid_that_did_not_pass_is_refused_when_its_counts_are_asked_for() -> None:
    """A hub that opens a false ballot gets no counts: each site checks the cells again."""
    question, setting, prepared = lab(values(1))
    layout = Layout(fields=(Field(name="cells", shape=(1, 102), kind="histogram"),))
    asked = Round(layout, {"step": "cells", "edges": np.arange(0.0, 101.0)})
    answer = STATISTIC.summarise(question, setting, prepared, asked)
    counts = next(iter(answer.cells.values()))
    assert 0 < counts[counts > 0].min() < 11  # what would leak
    assert release(answer.summary, None, clear(digest("q"), consider(Evidence(rows=400), OPEN)), OPEN, answer.cells)
    with pytest.raises(Refused):
        release(answer.summary, None, CLEARED, FLOOR, answer.cells)


def test_a_ballot_beside_counts_is_held_to_the_same_rules() -> None:
    """Counts and the next ballot in one round: a hub that opened the ballot before falsely gets neither."""
    question, setting, prepared = lab(values(1))
    grid = np.arange(0.0, 101.0)
    told = {"step": "search", "edges": grid, "cells": np.array([50.0])}
    (made,) = halving.trees(grid, np.array([50]), VARIABLE, 10)
    fields = (
        Field(name="cells", shape=(1, 102), kind="histogram"),
        Field(name="cuts", shape=(made.words,), kind="vote"),
    )
    answer = STATISTIC.summarise(question, setting, prepared, Round(Layout(fields=fields), told))
    told_all = clear(digest("q"), consider(Evidence(rows=400), OPEN))
    assert release_ballot(answer.summary, answer.choices, told_all, OPEN, secrets.token_bytes, answer.cells)
    with pytest.raises(Refused):
        release_ballot(answer.summary, answer.choices, CLEARED, FLOOR, secrets.token_bytes, answer.cells)


def test_a_ballot_needs_a_clearance_and_hides_which_words_were_drawn() -> None:
    blocks = halving.choices(leaves(values(1)), TREE)
    layout = Layout(fields=(Field(name="cuts", shape=(TREE.words,), kind="vote"),))
    blank = Summary(layout, {"cuts": np.zeros(TREE.words, dtype=np.uint64)})
    with pytest.raises(Untrusted):
        release_ballot(blank, blocks, CLEARED, replace(FLOOR, minimum_count_site=1), secrets.token_bytes)
    drawn = [release_ballot(blank, blocks, CLEARED, FLOOR, secrets.token_bytes).summary.values["cuts"] for _ in "ab"]
    assert np.array_equal(drawn[0] == 0, drawn[1] == 0)
    refused = drawn[0] != 0
    assert refused.any()
    assert not np.any(drawn[0][refused] == drawn[1][refused])
