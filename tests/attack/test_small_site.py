"""Another party subtracts its own part: what is left of a small site, or of a small group, is a few people."""

import numpy as np
import pytest
from disclosure_lab import FLOOR, Lab, failing, patients

from attack import Attack
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.model.errors import Refused

ATTACK = Attack("A site of one patient", "minimum_count, zero included")


def few(rows: int) -> dict[str, np.ndarray]:
    return {name: values[:rows] for name, values in patients(9, 50).items()}


def test_bare_a_site_of_one_patient_is_that_patient(leak):
    data = [few(1), patients(1, 300), patients(2, 300)]
    lab = Lab("cost ~ 1", "gaussian", data)
    n, mean = lab.bare().n, float(lab.bare().values["estimates"][0])
    others = float(data[1]["cost"].sum() + data[2]["cost"].sum())
    assert n * mean - others == pytest.approx(float(data[0]["cost"][0]), abs=1e-6)
    leak("the patient's cost to 1e-6")


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_through_the_site_it_is_refused(stop, rows):
    lab = Lab("cost ~ 1", "gaussian", [few(rows), patients(1, 300), patients(2, 300)])
    assert "minimum_count" in failing(lab.considered(0))
    with pytest.raises(Refused):
        lab.gated(0)
    stop("1, 3 and 10 rows are refused")


@pytest.mark.parametrize("members", [0, 1, 10])
def test_a_small_group_inside_a_large_site_is_refused(members):
    groups = {"arm": np.array([members, 300 - members])}
    assert failing(consider(Evidence(rows=300, groups=groups), FLOOR)) == {"minimum_count"}
