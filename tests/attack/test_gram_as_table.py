"""X'X of indicators is every two-way table: a pair that one patient has shows in it, though both indicators are common."""

import numpy as np
import pytest
from disclosure_lab import Lab, failing, patients

from attack import Attack
from isthmus.model.errors import Refused

ATTACK = Attack("X'X as a table", "minimum_count on pairs of indicators", number=7)


ROWS = 300


def data(together: int) -> list[dict[str, np.ndarray]]:
    made = [patients(seed, ROWS) for seed in (1, 2, 3)]
    for site in made:
        site["diabetes"] = np.repeat([1.0, 0.0], [100, 200])
        site["smoker"] = np.concatenate([np.zeros(100), np.repeat([1.0, 0.0], [80, 120])])
        site["smoker"][:together] = 1.0
    return made


def test_bare_the_matrix_counts_the_pair(leak):
    lab = Lab("cost ~ diabetes + smoker - 1", "gaussian", data(1))
    from isthmus.statistics.contract import Round
    from isthmus.statistics.glm import _model
    from isthmus.statistics.glm_model import newton_layout

    place = {"step": "newton", "response_scale": 1.0, "centre": np.zeros(2), "scale": np.ones(2)}
    asked = Round(newton_layout(_model(lab.question, lab.setting), False), {**place, "coefficients": np.zeros(2)})
    gram = lab.answer(0, asked).summary["gram"]
    np.testing.assert_allclose(gram, [[100, 1], [1, 81]])
    leak(f"a joint cell of {gram[0, 1]:.0f}")


def test_through_the_site_it_is_refused(stop):
    lab = Lab("cost ~ diabetes + smoker", "gaussian", data(1))
    assert failing(lab.considered(0)) == {"minimum_count"}
    with pytest.raises(Refused):
        lab.gated(0)
    stop("refused at the site")


@pytest.mark.parametrize("together", [0, 11])
def test_none_or_many_pass(together):
    Lab("cost ~ diabetes + smoker", "gaussian", data(together)).gated(0)
