"""The same question 400 times, to average the noise away; and after a restart."""

from pathlib import Path

import numpy as np
import pytest
from privacy_lab import ADA, Site, bytes_of, run

from attack import Attack, Say
from isthmus.disclosure.noise import discrete_gaussian
from isthmus.federation.purse import SqlPurse
from isthmus.federation.store import open_store
from isthmus.model.errors import Refused
from isthmus.model.privacy import Privacy

ATTACK = Attack(
    "Averaging: the same question 400 times", "noised values are kept by question and rows; variants pay", number=18
)
PEOPLE, RHO = 100, 0.005  # sigma 10
BUDGET = Privacy(rho=0.02, delta=1e-6, per_person=0.02, per_project=0.02, colluders=1)


def test_bare_fresh_noise_averages_away(leak: Say) -> None:
    answers = PEOPLE + discrete_gaussian(100, 400, bytes_of(1))
    assert abs(answers.mean() - PEOPLE) < 1.6
    leak(f"{answers.mean():.2f} for a true 100, out of noise of sd 10")


def test_through_the_gate_the_noise_is_the_same_and_variants_pay(stop: Say, tmp_path: Path) -> None:
    ones = np.ones((PEOPLE, 1))
    found = set()
    for start in range(4):  # a restart each time
        store = open_store(tmp_path / "state.db")
        site = Site(SqlPurse(store, "a trial", BUDGET, ADA), bytes_of(start))
        found |= {float(site.answer(ones, RHO, "the question")[0]) for _ in range(100)}
        store.close()
    assert len(found) == 1
    store = open_store(tmp_path / "state.db")
    site = Site(SqlPurse(store, "a trial", BUDGET, ADA), bytes_of(9))
    variants = [float(site.answer(ones, RHO, f"variant {k}")[0]) for k in range(3)]
    assert len({*variants, *found}) == 4
    with pytest.raises(Refused, match="E-BUDGET"):
        site.answer(ones, RHO, "variant 4")
    store.close()
    stop("400 equal answers over four restarts, paid once; the fourth variant is refused")


def test_through_the_sites_the_same_question_has_one_answer(stop: Say) -> None:
    """Forty times in one study, under forty names."""
    tables = {site: np.ones((PEOPLE, 1), dtype=np.int64) for site in ("leeds", "oxford", "boston")}
    result = run(tables, 40 * RHO, {f"a{k}": {"count": {"privacy": {"rho": RHO}}} for k in range(40)})
    found = {cell["count"] for k in range(40) for cell in result[f"a{k}"].to_dict()["cells"]}
    assert len(found) == 1
    stop("forty equal answers from three sites")
