"""A survival curve's steps are people: numbers at risk, one step per event, give each event time and the last patient."""

from dataclasses import replace

import numpy as np
import pytest
from disclosure_lab import FLOOR, failing

from attack import Attack
from isthmus.disclosure.output import gate_counts
from isthmus.disclosure.site import consider
from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.rules import OPEN
from isthmus.statistics.contract import Grid, Inputs, Setting
from isthmus.statistics.kaplan_meier import STATISTIC as KM
from isthmus.statistics.kaplan_meier import KaplanMeier

ATTACK = Attack(
    "Kaplan-Meier steps of one person", "minimum_count_site on steps; merged steps and a cut tail", number=9
)


# 200 patients: 60 events on distinct days, censored in the end
DAYS = np.arange(60) * 3 + 1
AT_RISK = 200 - np.arange(60)
EVENTS = np.ones(60, dtype=np.int64)
CURVE = np.array([AT_RISK, EVENTS, np.zeros(60, dtype=np.int64)])


def drops(survival: np.ndarray) -> np.ndarray:
    """What an attacker reads off a curve: events at each step, from the height of the drop and those at risk."""
    before = np.concatenate([[1.0], survival[:-1]])
    return np.rint((before - survival) / before * AT_RISK)


def test_bare_every_event_is_one_person_on_a_known_day(leak):
    survival = np.cumprod(1.0 - EVENTS / AT_RISK)
    assert (drops(survival) == 1).all()
    open_counts = gate_counts({"all": Counts("survival", CURVE)}, OPEN).counts["all"].values
    np.testing.assert_array_equal(open_counts, CURVE)
    leak(f"{EVENTS.size} of {EVENTS.size} event days, one person each")


def test_the_site_refuses_the_grid_of_recorded_days_and_takes_a_coarse_one():
    fine = Evidence(rows=200, cells={"events": EVENTS})
    assert failing(consider(fine, FLOOR)) == {"minimum_count_site"}
    coarse = Evidence(rows=200, cells={"events": EVENTS.reshape(4, 15).sum(axis=1)})
    assert consider(coarse, FLOOR).holds


def test_the_output_gate_shows_no_step_of_fewer_than_the_floor(stop):
    exact = replace(FLOOR, round_to=1)
    shown = gate_counts({"all": Counts("survival", CURVE)}, exact).counts["all"].values
    kept = shown[:, ~np.isnan(shown[0])]
    np.testing.assert_array_equal(kept[1], [11, 11, 11, 11, 11])
    rounded = gate_counts({"all": Counts("survival", CURVE)}, FLOOR).counts["all"].values
    assert (rounded[:, ~np.isnan(rounded[0])] % 5 == 0).all()
    stop("no step of fewer than 11; the recorded days are refused")


def test_the_last_patients_are_cut_off():
    few = np.array([[30, 15, 3, 1], [15, 12, 2, 1], [0, 0, 0, 0]])
    shown = gate_counts({"all": Counts("survival", few)}, replace(FLOOR, round_to=1)).counts["all"].values
    assert shown[0][~np.isnan(shown[0])].min() >= 11
    kept = shown[:, ~np.isnan(shown[0])]
    assert kept[1].tolist() == [15, 15]  # the last three left with the twelve before them: nobody remains apart


def test_an_earliest_event_of_one_is_not_its_own_step():
    first = np.array([[500, 499, 480], [1, 19, 30], [0, 0, 0]])
    shown = gate_counts({"all": Counts("survival", first)}, replace(FLOOR, round_to=1)).counts["all"].values
    assert np.isnan(shown[0, 0])
    assert shown[:, 1].tolist() == [500, 20, 0]


@pytest.mark.parametrize("group", [0, 4])
def test_a_curve_of_a_small_group_never_starts(group):
    counts = np.array([[group], [0], [0]])
    assert np.isnan(gate_counts({"all": Counts("survival", counts)}, FLOOR).counts["all"].values).all()


# ---- the same with the real statistic at a site


def curve_at_a_site(grid: Grid) -> tuple[Evidence, np.ndarray]:
    """Evidence and pooled counts of one site whose patients have events on distinct days."""
    days = np.concatenate([DAYS, np.full(140, 400)]).astype(np.float64)
    died = np.concatenate([np.ones(60), np.zeros(140)])
    book = Codebook(name="lab", variables={"days": Variable(type="number"), "died": Variable(type="integer")})
    question = KaplanMeier(time="days", event="died")
    setting = Setting(sites=1, dictionary=book, levels={}, conf_level=0.95, grid=grid)
    prepared = KM.prepare(question, setting, Inputs(rows=200, numbers={"days": days, "died": died}, codes={}))
    flow = KM.flow(question, setting)
    with pytest.raises(StopIteration) as ended:
        flow.send(KM.summarise(question, setting, prepared, next(flow)).summary)
    return KM.evidence(question, setting, prepared), ended.value.value.counts["curve:0"].values


def test_bare_the_recorded_days_show_one_person_each():
    _, curve = curve_at_a_site(Grid(tuple(map(float, [*DAYS, 400])), recorded=True))
    assert (curve[1][:-1] == 1).all()


def test_through_the_site_only_a_coarse_grid_passes():
    recorded, _ = curve_at_a_site(Grid(tuple(map(float, [*DAYS, 400])), recorded=True))
    assert failing(consider(recorded, FLOOR)) == {"minimum_count_site"}
    coarse, curve = curve_at_a_site(Grid((45.0, 90.0, 135.0, 180.0), recorded=False))
    assert consider(coarse, FLOOR).holds
    shown = gate_counts({"all": Counts("survival", curve)}, replace(FLOOR, round_to=1)).counts["all"].values
    np.testing.assert_array_equal(shown, curve)
