"""Noisy cells: what `count` and `crosstab` send. One row is in one cell, so it moves the cells by 1."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from isthmus.evidence import Counts
from isthmus.statistics.contract import Answer, Estimate, Flow, Round, Setting
from isthmus.statistics.noisy.grid import Bounded, counted, noise, sigmas, unquantised, whole
from isthmus.summary import Field, IntArray, Layout, Summary


def flow(kind: str, shape: tuple[int, ...], setting: Setting) -> Flow:
    """One round of cells; `n` is the sum of the noisy cells."""
    cells = int(np.prod(shape, dtype=np.intp))
    added = noise(setting, {"cells": Bounded(Fraction(1), Fraction(1))})
    layout = Layout(fields=(Field(name="cells", shape=(cells,), kind="histogram"),))
    pooled = yield Round(layout, {"step": "cells", "bits": added.fields["cells"].bits}, added)
    found = unquantised(pooled["cells"], added.fields["cells"])
    n = whole(np.asarray([found.sum()]))
    values = {"n": Counts("size", n), "cells": Counts("cells", whole(found).reshape(shape or (1,)))}
    sigma = {"sigma": sigmas(setting, added)}
    return Estimate(kind=kind, exactness="approximate", n=int(n[0]), rounds=1, counts=values, values=sigma)


def answer(cells: IntArray, asked: Round) -> Answer:
    """This site's cells in grid units."""
    if asked.noise is None:
        return Answer(Summary(asked.layout, {"cells": cells.reshape(-1)}))
    return Answer(Summary(asked.layout, {"cells": counted(cells.reshape(-1), asked.noise.fields["cells"])}))
