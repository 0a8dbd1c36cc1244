"""Attack: a stranger speaks as a site, or as the hub; or a message of one run or mode is played into another.

Defence: the receiver knows every sender's key from the charter; mode, run, kind and sender are under the signature.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attack import Attack, Say
from isthmus.crypto.keys import SigningKey
from isthmus.federation.messages import HUB, Author, Message, header_digest, signed_bytes
from isthmus.federation.protocol import hub
from isthmus.model.errors import Untrusted
from secagg_lab import Drawn, lab

ATTACK = Attack("A stranger speaks", "pinned identities")


STRANGER = SigningKey.from_bytes(Drawn("stranger")(32))


def keys_of(made, name: str) -> Message:
    return made.site(name).connected()[0]


def test_it_works_on_a_hub_that_does_not_look(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "check_signature", lambda *_: None)
    made = lab(tmp_path)
    run = made.hub()
    theirs = keys_of(made, "a")
    run.receive(Author(made.mode, made.run, "a", STRANGER).say("keys", theirs.header))
    assert set(run.state.cards) == {"a"}  # the stranger's exchange keys would go to every site
    leak("a stranger's keys stand for a site's")


def test_a_stranger_is_nobody(stop: Say, tmp_path: Path) -> None:
    made = lab(tmp_path)
    run, theirs = made.hub(), keys_of(made, "a")
    for name, code in (("z", "E-ROSTER"), (HUB, "E-ROSTER"), ("a", "E-SIGNATURE")):
        with pytest.raises(Untrusted) as caught:
            run.receive(Author(made.mode, made.run, name, STRANGER).say("keys", theirs.header))
        assert caught.value.code == code
    assert run.state.cards == {}
    stop("E-ROSTER, E-SIGNATURE")


def test_a_site_hears_the_hub_alone(tmp_path: Path) -> None:
    made = lab(tmp_path)
    site = made.site("a")
    stop = {"context": "", "code": "E-X", "message": "stop"}
    cases = {
        "E-SIGNATURE": Author(made.mode, made.run, HUB, STRANGER).say("stop", stop),
        "E-SENDER": Author(made.mode, made.run, "b", made.keys["b"]).say("stop", stop),
        "E-RUN": Author(made.mode, "sha256:other", HUB, made.keys[HUB]).say("stop", stop),
        "E-MODE": Author("federated", made.run, HUB, made.keys[HUB]).say("stop", stop),
    }
    for code, message in cases.items():
        with pytest.raises(Untrusted) as caught:
            site.receive(message)
        assert caught.value.code == code
        assert site.refusal(caught.value) == ()


def test_a_rehearsal_message_at_a_federated_site(tmp_path: Path) -> None:
    """A rehearsal has laxer rules; what is said in one never counts in the other, also with the mode rewritten."""
    made = lab(tmp_path, mode="federated")
    site, run = made.site("a"), made.hub()
    stop = {"context": "", "code": "E-X", "message": "stop"}
    said = Author("rehearsal", made.run, HUB, made.keys[HUB]).say("stop", stop)
    for message, code in ((said, "E-MODE"), (replace(said, mode="federated"), "E-SIGNATURE")):
        with pytest.raises(Untrusted) as caught:
            site.receive(message)
        assert caught.value.code == code
    theirs = keys_of(made, "b")
    said = Author("rehearsal", made.run, "b", made.keys["b"]).say("keys", theirs.header)
    for message, code in ((said, "E-MODE"), (replace(said, mode="federated"), "E-SIGNATURE")):
        with pytest.raises(Untrusted) as caught:
            run.receive(message)
        assert caught.value.code == code


def test_it_would_work_if_the_signature_did_not_cover_run_and_mode(tmp_path: Path) -> None:
    made = lab(tmp_path)
    theirs = keys_of(made, "a")
    digests = (header_digest(theirs.header), "", "")
    bare = [signed_bytes("", "keys", "", "a", digests) for _ in ("this run", "another")]
    bound = [signed_bytes(mode, "keys", run, "a", digests) for mode, run in (("rehearsal", "1"), ("federated", "1"))]
    assert bare[0] == bare[1]
    assert bound[0] != bound[1]
