"""Attack 20: the same question before and after one patient is added; the difference is the patient's.

Defence: a site answers from a frozen copy until at least `minimum_count` persons changed, and a question over rows that
differ from an earlier one's by fewer is refused whatever the snapshot. A changed value is a changed person.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from history_lab import ROWS, Forgetful, Recalling, ward
from test_differencing import PRESSURE, summed

from attack import Attack, Say

ATTACK = Attack(
    "Snapshot differencing: before and after one patient came",
    "history: the earlier snapshot is served until the floor of people changed",
    number=20,
)


NEWCOMER = {"id": "new", "AGE": 55.0, "SBP": 181.0, "DIED": 0, "ARM": "A"}


def admit(sites: Forgetful, patients: int) -> None:
    """Patients come to leeds."""
    new = [{**NEWCOMER, "id": f"new-{i}", "SBP": NEWCOMER["SBP"] - i} for i in range(patients)]
    table = ward(0)
    sites.tables["leeds"] = pa.concat_tables([table, pa.Table.from_pylist(new, schema=table.schema)])


def total(sites: Forgetful) -> float:
    return summed(sites.ask(m=PRESSURE))


def test_it_works_on_sites_that_forget(leak: Say) -> None:
    sites = Forgetful()
    before = total(sites)
    admit(sites, 1)
    assert total(sites) - before == pytest.approx(NEWCOMER["SBP"], rel=1e-9)
    leak(f"the newcomer's pressure, {NEWCOMER['SBP']:.0f}, exactly")


def test_through_the_site_the_answer_is_the_earlier_one(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    before = total(sites)
    for patients in (1, 10):
        admit(sites, patients)
        assert total(sites) == before
    stop("the same answer as before")


def test_enough_new_patients_make_a_new_snapshot(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    before = total(sites)
    admit(sites, 11)
    assert total(sites) - before == pytest.approx(sum(NEWCOMER["SBP"] - i for i in range(11)), rel=1e-9)
    admit(sites, 12)
    assert total(sites) - before == pytest.approx(sum(NEWCOMER["SBP"] - i for i in range(11)), rel=1e-9)


def test_a_changed_value_is_a_changed_person(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    before = total(sites)
    table, pressure = ward(0), np.asarray(ward(0)["SBP"]).copy()
    pressure[3] += 40.0
    sites.tables["leeds"] = table.set_column(2, "SBP", pa.array(pressure))
    assert total(sites) == before


def test_nor_a_subgroup_in_which_few_changed(tmp_path: Path) -> None:
    """Twelve patients come, eleven of them to another age group than the one asked about."""
    sites = Recalling(folder=tmp_path)
    assert not sites.ask("AGE >= 50", m=PRESSURE).refused("m")
    young = [{**NEWCOMER, "id": f"new-{i}", "AGE": 30.0} for i in range(11)]
    table = ward(0)
    sites.tables["leeds"] = pa.concat_tables([table, pa.Table.from_pylist([NEWCOMER, *young], schema=table.schema)])
    assert sites.ask("AGE >= 50", m=PRESSURE).refused("m")
    assert sites.ask("AGE < 50", m=PRESSURE).refused("m")  # beside the size of the dataset it says how many came
    assert not sites.ask("AGE < 40", m=PRESSURE).refused("m")
    assert table.num_rows == ROWS
