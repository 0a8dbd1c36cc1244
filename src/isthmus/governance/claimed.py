"""The time that a signature claims. The ledger entry's is what counts; a claim that cannot be true is refused all the same."""

from __future__ import annotations

from datetime import datetime, timedelta

from isthmus.governance.agreement import Person
from isthmus.governance.card import dates_of
from isthmus.model.errors import Untrusted

SKEW = timedelta(minutes=5)  # clocks of two parties may differ by this much


def time_of(text: str) -> datetime | None:
    """A time in ISO 8601 with an offset from UTC; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def check_claimed(
    claimed: datetime, signer: Person, since: datetime | None = None, now: datetime | None = None
) -> None:
    """Refuse a time at which this signer cannot have signed this.

    Args:
        claimed: as the signature says.
        signer: whose certificate came with the key; nothing is signed before it was made, or after it ended.
        since: when what is signed came to be.
        now: when it is received; None where an old signature is verified.

    Raises:
        Untrusted: E-CLOCK. Invalid: E-CERTIFICATE.
    """
    starts, ends = dates_of(signer.certificate)
    if not starts - SKEW <= claimed <= ends + SKEW:
        raise _clock(signer, claimed, "outside the dates of the signer's certificate", "renew the card, or")
    if since is not None and claimed < since - SKEW:
        raise _clock(signer, claimed, "before what it is over was made", "on what is there now,")
    if now is not None and claimed > now + SKEW:
        raise _clock(signer, claimed, "in the future", "set this machine's clock, or")


def check_current(signer: Person, at: datetime) -> None:
    """Refuse what comes after its signer's certificate has ended: whoever finds the key later can claim any time.

    Args:
        signer: whose certificate came with the key.
        at: when it is received; of an old signature, when it was.

    Raises:
        Untrusted: E-CLOCK. Invalid: E-CERTIFICATE.
    """
    _, ends = dates_of(signer.certificate)
    if at > ends + SKEW:
        said = f"the certificate of {signer.person} had ended when their signature came"
        raise Untrusted("E-CLOCK", said, "renew the card, and sign under a version of the agreement that has it")


def _clock(signer: Person, claimed: datetime, problem: str, remedy: str) -> Untrusted:
    said = f"the signature of {signer.person} says {claimed.isoformat(timespec='seconds')}, which is {problem}"
    return Untrusted("E-CLOCK", said, f"{remedy} sign again with a clock that is right")
