"""Attack: somebody finds a custodian's key after its certificate ended, and approves a study with a signature that claims an earlier day.

The claimed time is the signer's to choose. A person with such a key cannot connect, but a malicious hub hands approvals on.

Defence: what is received after the signer's certificate ended counts for nothing, whatever day it claims; what came before stays.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW
from reviewed_alliance import AGREEMENT, KEEPER, case, envelope, request

from attack import Attack, Say
from isthmus.federation.tls import make_certificate
from isthmus.governance import approval
from isthmus.governance.approval import Decided, check_approval, read_approval
from isthmus.model.errors import Untrusted

ATTACK = Attack("A custodian's key after its end", "the signer's certificate at the time of reception")

LATER = NOW + timedelta(days=8)


def backdated() -> Decided:
    """An approval that claims to be of the day of the request; its signer's certificate ended a week after that."""
    _, made = make_certificate(KEEPER, NOW - timedelta(days=300), timedelta(days=307))
    found = read_approval(envelope(KEEPER, case(request())), AGREEMENT)
    return replace(found, person=replace(found.person, certificate=made.decode()))


def test_it_works_where_the_claimed_day_alone_counts(leak: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "check_current", lambda _signer, _at: None)
    check_approval(backdated(), case(request()), LATER)
    leak("a study is approved by a key that nobody holds any more")


def test_what_comes_after_the_end_counts_for_nothing(stop: Say) -> None:
    with pytest.raises(Untrusted, match="had ended"):
        check_approval(backdated(), case(request()), LATER)
    check_approval(backdated(), case(request()), NOW + timedelta(days=6))  # received in time
    stop("E-CLOCK; what was received before it ended stays")
