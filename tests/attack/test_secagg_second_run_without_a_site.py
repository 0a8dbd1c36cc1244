"""Attack: a study runs over all sites; then the hub runs it again under another number and says that d is lost. Both sums
are over the same rows, so run 1 minus run 2 is d's own part.

Defence: a site remembers, beyond the run, every survivor set it let be opened over its rows. Over the same rows it
signs another final set only if what is missing and what is new each hold none or `minimum_sites` legal entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from attack import Attack, Say
from isthmus.federation.history import SqlHistory
from isthmus.federation.memory import Network
from isthmus.federation.protocol.hub import Concluded, Failed
from isthmus.federation.protocol.local import History
from isthmus.federation.store import open_store
from secagg_lab import Lab, lab

ATTACK = Attack("A second run without one site", "opened survivor sets are remembered across runs")


Histories = Mapping[str, History]


def concluded(directory: Path, number: int, sites: int, without: str, histories: Histories) -> tuple[Lab, Network]:
    """One run of the same study over the same rows, in which the sites of `without` are lost before the first opening."""
    folder, name = directory / str(number), f"sha256:{number}"
    made = lab(folder, sites, run=name, questions={"count": 1}, vote=False, histories=dict(histories))
    network = made.network()
    network.down = set(without)
    network.run()
    for _ in range(3):
        if not isinstance(network.hub.state, Concluded | Failed):
            network.send(network.hub.expired())
            network.settle()
    return made, network


def remembering(directory: Path, names: str, agreement: str = "agreement", snapshot: str = "snapshot") -> Histories:
    """Every site's history in a store of its own."""
    made = {}
    for name in names:
        made[name] = SqlHistory(open_store(directory / f"{name}.db"), agreement, f"{snapshot} {name}", "study")
    return made


def code(network: Network) -> str:
    return network.hub.state.code if isinstance(network.hub.state, Failed) else type(network.hub.state).__name__


def test_it_works_on_sites_that_forget(leak: Say, tmp_path: Path) -> None:
    made, one = concluded(tmp_path, 1, 4, "", {})
    _, two = concluded(tmp_path, 2, 4, "d", {})
    sums = [network.hub._work.script.sums["count"][0]["x"] for network in (one, two)]
    assert sums[0] - sums[1] == pytest.approx(made.value("d") * np.arange(1, 6), rel=1e-13)
    leak("the missing site's sum, exactly")


def test_no_site_signs(stop: Say, tmp_path: Path) -> None:
    concluded(tmp_path, 1, 4, "", remembering(tmp_path, "abcd"))
    _, network = concluded(tmp_path, 2, 4, "d", remembering(tmp_path, "abcd"))  # the stores are opened anew
    assert code(network) == "E-SURVIVORS"
    assert {r.receiver for r in network.refusals} == set("abc")
    assert not network.hub._work.script.sums.get("count")
    stop("E-SURVIVORS")


def test_nor_where_the_lost_site_comes_back(tmp_path: Path) -> None:
    assert code(concluded(tmp_path, 1, 4, "d", remembering(tmp_path, "abcd"))[1]) == "Concluded"
    assert code(concluded(tmp_path, 2, 4, "", remembering(tmp_path, "abcd"))[1]) == "E-SURVIVORS"
    assert code(concluded(tmp_path, 3, 4, "d", remembering(tmp_path, "abcd"))[1]) == "Concluded"


def test_the_same_sites_run_again(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        assert code(concluded(tmp_path, number, 4, "", remembering(tmp_path, "abcd"))[1]) == "Concluded"


def test_enough_missing_sites_hide_each_other(tmp_path: Path) -> None:
    """Seven sites, threshold five, minimum two: the difference is a sum over two legal entities."""
    assert code(concluded(tmp_path, 1, 7, "", remembering(tmp_path, "abcdefg"))[1]) == "Concluded"
    assert code(concluded(tmp_path, 2, 7, "fg", remembering(tmp_path, "abcdefg"))[1]) == "Concluded"
    assert code(concluded(tmp_path, 3, 7, "g", remembering(tmp_path, "abcdefg"))[1]) == "E-SURVIVORS"


def test_other_rows_are_another_matter(tmp_path: Path) -> None:
    concluded(tmp_path, 1, 4, "", remembering(tmp_path, "abcd"))
    later = remembering(tmp_path, "abcd", snapshot="a month later")
    assert code(concluded(tmp_path, 2, 4, "d", later)[1]) == "Concluded"


def test_it_is_remembered_before_the_signature_leaves(tmp_path: Path) -> None:
    histories = remembering(tmp_path, "abcd")
    _, network = concluded(tmp_path, 1, 4, "", histories)
    assert code(network) == "Concluded"
    everyone = {name: f"party {name}" for name in "abcd"}
    assert all(list(history.sets()) == [everyone] for history in histories.values())
