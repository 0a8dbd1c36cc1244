"""Nearly as many parameters as rows: the coefficients are the outcomes in another form."""

import numpy as np
import pytest
from disclosure_lab import Lab, failing

from attack import Attack
from isthmus.model.errors import Refused

ATTACK = Attack("Saturated regression", "minimum_dof, parameters_per_row, maximum_leverage", number=5)


ROWS, COLUMNS = 40, 38  # and an intercept


def data(rows: int) -> list[dict[str, np.ndarray]]:
    """One site whose covariates the attacker knows, and a secret outcome."""
    rng = np.random.default_rng(7)
    made = {f"x{j}": rng.normal(size=rows) for j in range(COLUMNS)}
    return [{**made, "secret": rng.normal(100.0, 15.0, rows)}]


FORMULA = "secret ~ " + " + ".join(f"x{j}" for j in range(COLUMNS))


def test_bare_the_fitted_values_are_nearly_the_outcomes(leak):
    (site,) = data(ROWS)
    lab = Lab(FORMULA, "gaussian", [site])
    estimates = lab.bare().values["estimates"]
    fitted = estimates @ np.array([np.ones(ROWS), *(site[f"x{j}"] for j in range(COLUMNS))])
    assert np.corrcoef(fitted, site["secret"])[0, 1] ** 2 > 0.95
    leak(f"fitted values give outcomes with R2 = {np.corrcoef(fitted, site['secret'])[0, 1] ** 2:.3f}")


def test_through_the_site_it_is_refused(stop):
    lab = Lab(FORMULA, "gaussian", data(ROWS))
    assert {"minimum_dof", "parameters_per_row", "maximum_leverage"} <= failing(lab.considered(0))
    with pytest.raises(Refused):
        lab.gated(0)
    stop("refused at the site")


def test_with_enough_rows_it_passes():
    Lab(FORMULA, "gaussian", data(400)).gated(0)
