"""An indicator that only one patient has: the model is exact for that patient, so coefficients tell the outcome.

Also vantage6#2017: a numeric column of 0 and 1 with a single 1 does the same; here the guard stands at the site, in
the gate, so no way of calling the statistic goes past it.
"""

from dataclasses import replace

import numpy as np
import pytest
from disclosure_lab import FLOOR, Lab, failing, patients

from attack import Attack
from isthmus.disclosure.gate import refusal
from isthmus.model.errors import Refused
from isthmus.statistics.glm import STATISTIC as GLM

ATTACK = Attack("A dummy that isolates one patient", "minimum_count on supports; maximum_leverage", number=6)


def victim_in(site: dict[str, np.ndarray], mark: np.ndarray) -> dict[str, np.ndarray]:
    return {**site, "mark": mark}


def sites() -> list[dict[str, np.ndarray]]:
    made = [victim_in(patients(seed, 200), np.zeros(200)) for seed in (1, 2, 3)]
    made[0]["age"][0] = 103.0
    made[0]["mark"] = (made[0]["age"] > 100).astype(float)
    return made


def test_bare_the_coefficients_are_the_outcome(leak):
    data = sites()
    lab = Lab("cost ~ age + mark", "gaussian", data)
    intercept, slope, mark = lab.bare().values["estimates"]
    secret = data[0]["cost"][0]
    assert intercept + slope * 103.0 + mark == pytest.approx(secret, abs=1e-6)
    leak(f"the patient's cost, {secret:.4f}, to {abs(intercept + slope * 103.0 + mark - secret):.0e}")


def test_through_the_site_it_is_refused(stop):
    lab = Lab("cost ~ age + mark", "gaussian", sites())
    with pytest.raises(Refused) as caught:
        lab.gated(0)
    assert caught.value.to_dict() == refusal("glm").to_dict()
    assert {"minimum_count", "maximum_leverage"} <= failing(lab.considered(0))
    stop("refused at the site")


def test_bare_one_call_of_the_sites_part_tells_whether_the_patient_died():
    told = set()
    for died in (0.0, 1.0):
        data = sites()
        data[0]["died"][0] = died
        lab = Lab("died ~ age + mark", "binomial", data)
        first = next(GLM.flow(lab.question, lab.setting))
        told.add((died, lab.answer(0, first).summary["right"][2] > 0))
    assert told == {(0.0, False), (1.0, True)}


@pytest.mark.parametrize("zero_and_one", [(0.0, 1.0), (0.0, 1e-3), (7.0, 8.0)])
def test_a_number_column_with_a_single_one_is_refused_whatever_its_values(zero_and_one):
    low, high = zero_and_one
    data = [victim_in(patients(seed, 200), np.full(200, low)) for seed in (1, 2, 3)]
    data[0]["mark"][17] = high
    lab = Lab("died ~ age + mark", "binomial", data)
    assert "minimum_count" in failing(lab.considered(0))
    with pytest.raises(Refused):
        lab.gated(0)


def test_a_spike_hidden_in_noise_is_refused_by_its_leverage():
    data = [victim_in(patients(seed, 200), np.random.default_rng(seed).normal(0, 1e-6, 200)) for seed in (1, 2, 3)]
    data[0]["mark"][17] = 1.0
    lab = Lab("cost ~ age + mark", "gaussian", data)
    estimates = lab.bare().values["estimates"]
    fitted = estimates @ np.array([1.0, data[0]["age"][17], 1.0])
    assert fitted == pytest.approx(data[0]["cost"][17], abs=1e-3)  # bare: the outcome to three decimals
    assert "maximum_leverage" in failing(lab.considered(0))
    with pytest.raises(Refused):
        lab.gated(0)


def test_two_measurements_that_differ_in_one_patient_are_refused_by_leverage_alone():
    data = [{**site, "again": site["pressure"].copy()} for site in (patients(seed, 200) for seed in (1, 2, 3))]
    data[0]["again"][17] += 12.0
    lab = Lab("cost ~ pressure + again", "gaussian", data)
    fitted = lab.bare().values["estimates"] @ np.array([1.0, data[0]["pressure"][17], data[0]["again"][17]])
    assert fitted == pytest.approx(data[0]["cost"][17], abs=1e-6)
    lab.gated(
        0, rules=replace(FLOOR, maximum_leverage=1.0)
    )  # nothing else stops it: either column by itself is ordinary
    assert failing(lab.considered(0)) == {"maximum_leverage"}
    with pytest.raises(Refused):
        lab.gated(0)


def test_an_honest_model_passes():
    lab = Lab("died ~ age + treated", "binomial", [patients(seed, 300) for seed in (1, 2, 3)])
    for site in range(3):
        assert lab.gated(site).summary["n"] == 300
