"""Attack: a site of the run says that it holds minus one entries of the hub's ledger, and waits until the deadline passes.

No proof leads from such a head, so the hub cannot say how its ledger grew: not to this site, and with M2 to no other one.
Without the defence the error comes out where the hub looks at its clock, in the middle of all its runs.

Defence: M1 holds exchange keys and ledger heads, or the hub refuses it alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attack import Attack, Say
from isthmus.federation.messages import Author
from isthmus.federation.protocol import hub
from isthmus.federation.protocol.hub import Gathering, HubRun, Pairing
from isthmus.model.errors import Invalid
from secagg_lab import Lab, lab

ATTACK = Attack("A head that cannot be", "the form of M1")


def played(made: Lab, run: HubRun, changed: dict[str, Any]) -> None:
    """Everybody sends keys, `a` with something else in them."""
    for name in made.names:
        keys = made.site(name).connected()[0]
        header = {**keys.header, **(changed if name == "a" else {})}
        run.receive(Author(made.mode, made.run, name, made.keys[name]).say("keys", header))


HEADS: dict[str, Any] = {
    "minus one entries": {"head": {"size": -1, "root": "0" * 64}},
    "no root": {"own": {"size": 3, "root": "x"}},
    "of a peer": {"peers": {"b": {"size": -1, "root": ""}}},
    "no key": {"x25519": "00"},
}


def test_it_works_on_a_hub_that_does_not_look(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "check_keys", lambda _keys: None)
    made = lab(tmp_path)
    run = made.hub()
    with pytest.raises(Invalid, match="E-PROOF"):  # told to the last site, which did nothing
        played(made, run, HEADS["minus one entries"])
    with pytest.raises(Invalid, match="E-PROOF"):
        run.expired()
    leak("the hub's look at its deadlines fails, whatever run it is at")


@pytest.mark.parametrize("case", HEADS)
def test_it_is_refused_alone_and_the_run_goes_on_without_the_site(stop: Say, tmp_path: Path, case: str) -> None:
    made = lab(tmp_path, sites=4)
    run = made.hub()
    with pytest.raises(Invalid) as caught:
        played(made, run, HEADS[case])
    assert caught.value.code in {"E-HEAD", "E-KEY"}
    assert isinstance(run.state, Gathering)
    for name in "bcd":
        run.receive(made.site(name).connected()[0])
    run.expired()
    assert isinstance(run.state, Pairing)
    assert set(run.state.cards) == set("bcd")
    stop("E-HEAD, E-KEY: the message is refused, and the run goes on with the others")
