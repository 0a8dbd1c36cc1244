"""A person at a terminal signs in: browser to the provider, back to this machine, and who that is in the agreement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from isthmus.governance.agreement import Agreement, Person
from isthmus.governance.identities import person_of
from isthmus.interop.loopback import Loopback
from isthmus.interop.oidc import Provider, Registration, begin, finish


def sign_in(
    agreement: Agreement,
    provider: Provider,
    client: Registration,
    send: Callable[[str], None],
    clock: Callable[[], datetime],
    randomness: Callable[[int], bytes],
) -> Person:
    """Who signed in.

    Args:
        agreement: knows people by issuer and subject.
        provider: the pinned one.
        client: its redirect is replaced by one on this machine at a free port.
        send: shows or opens the address to go to.
        clock: the time.
        randomness: for state, nonce and verifier.

    Raises:
        Refused: E-LOGIN, E-OIDC. Untrusted: E-OIDC, E-TOKEN, E-TOKEN-KEY. Unavailable: E-LOGIN-TIME, E-UNREACHABLE.
    """
    with Loopback() as back:
        mine = Registration(client.issuer, client.client, back.redirect, client.secret)
        attempt, url = begin(provider, mine, randomness, clock())
        send(url)
        answer = back.wait(attempt.state, clock)
    return person_of(agreement, finish(provider, mine, attempt, answer, clock()))
