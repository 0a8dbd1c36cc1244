"""Survivor sets: which ones a site signs, and what a quorum of signatures is. The site-side invariants 2 and 3.

    Unsigned -> Partial(U) -> Partial(U' within U) -> Final(U)        lists only shrink, final is a one-way door

Any two groups of t sites share an honest one (t > 2 n / 3, fewer than n / 3 corrupt), and an honest site signs one
final set for a context, reveals mask keys only of sites outside every set it signs later, and self seeds only inside
its final set. So no b_i is opened together with k_i*. The first final set that is opened binds the run: later no k_ij is
revealed, and there is no b_i (ADR 0042).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from isthmus.crypto.keys import verify
from isthmus.federation.protocol.context import Binding, survivors_statement
from isthmus.federation.protocol.records import Head, Quorum
from isthmus.federation.wire import unhex
from isthmus.model.errors import Untrusted


@dataclass(frozen=True, slots=True)
class Unsigned:
    """No survivor set of this round was signed."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A set was signed from which more sites may still be dropped; mask keys of the others may be revealed."""

    survivors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """The set whose self seeds may be opened. Nothing else is ever signed or revealed in this round."""

    survivors: tuple[str, ...]


Standing: TypeAlias = Unsigned | Partial | Final


@dataclass(frozen=True, slots=True)
class Place:
    """Where a survivor set is judged: the round's context and roster, the head its signatures cover, and whether an
    earlier round of the run was opened (then the roster is that round's survivor set, and binds)."""

    context: str
    roster: tuple[str, ...]
    head: Head
    bound: bool


def stage(standing: Partial | Final) -> str:
    """The word that is signed."""
    return "final" if isinstance(standing, Final) else "partial"


def statement(binding: Binding, place: Place, wanted: Partial | Final) -> bytes:
    """The bytes an M4 signature covers."""
    return survivors_statement(binding, (place.context, place.head), wanted.survivors, stage(wanted))


def check_step(binding: Binding, place: Place, standing: Standing, wanted: Partial | Final) -> None:
    """Return when a site that stands at `standing` may move to `wanted` (or is already there).

    Raises:
        Untrusted: E-SURVIVORS.
    """
    check_set(binding, place, wanted.survivors)
    match standing:
        case Final() if standing != wanted:  # invariant 2: final is a one-way door
            raise _refused("a final survivor set was already signed in this round")
        case Partial() if not set(wanted.survivors) <= set(standing.survivors):  # "pretend i dropped"
            raise _refused("a site that was dropped in this round cannot come back")
        case _:
            pass
    if place.bound and not (isinstance(wanted, Final) and wanted.survivors == place.roster):
        # invariant 2: otherwise this round's sum and an earlier one differ by the lost site's own part
        raise _refused("the survivors of the first opened round bind every later round")


def check_set(binding: Binding, place: Place, survivors: tuple[str, ...]) -> None:
    """Return when `survivors` is large enough and within the round's roster.

    Raises:
        Untrusted: E-SURVIVORS, E-MIN-SITES.
    """
    chosen = set(survivors)
    if tuple(site for site in place.roster if site in chosen) != survivors:
        raise _refused("the survivors are not a part of this round's roster, in its order")
    check_size(binding, survivors)


def check_history(binding: Binding, survivors: tuple[str, ...], opened: Iterable[Mapping[str, str]]) -> None:
    """Return when no difference to an earlier opened set over the same rows is a sum of too few. Invariant 5.

    Args:
        binding: the charter.
        survivors: a final set about to be signed.
        opened: site -> legal entity of every set opened before.

    Raises:
        Untrusted: E-SURVIVORS.
    """
    minimum, chosen = binding.charter.minimum_sites, set(survivors)
    for before in opened:
        missing = {party for site, party in before.items() if site not in chosen}
        added = {binding.charter.member(site).party for site in survivors if site not in before}
        if 0 < len(missing) < minimum:
            raise Untrusted(
                "E-SURVIVORS", "a site that took part before is missing: the difference would show it", "wait for it"
            )
        if 0 < len(added) < minimum:
            raise Untrusted(
                "E-SURVIVORS",
                "a site takes part that was missing from an earlier run over the same data: the difference would show it",
                "run it with the same sites as before, or with new data",
            )


def check_size(binding: Binding, sites: tuple[str, ...]) -> None:
    """Return when `sites` reach the threshold, and `minimum_sites` legal entities. Invariant 3.

    Raises:
        Untrusted: E-MIN-SITES.
    """
    charter = binding.charter
    if len(sites) < charter.threshold or charter.entities(sites) < charter.minimum_sites:
        raise Untrusted(
            "E-MIN-SITES",
            f"fewer sites than the threshold ({charter.threshold}) or fewer legal entities than minimum_sites"
            f" ({charter.minimum_sites})",
            "wait for the missing sites",
        )


def check_quorum(
    binding: Binding, place: Place, wanted: Partial | Final, quorum: Quorum, own: tuple[str, bytes] | None = None
) -> None:
    """Return when t distinct survivors signed `wanted` in this place; only t signatures are looked at.

    Args:
        binding: the charter.
        place: the round.
        wanted: what must have been signed.
        quorum: the signatures.
        own: this site's name and its own signature on the same statement, compared instead of verified.

    Raises:
        Untrusted: E-QUORUM.
    """
    if quorum.context != place.context or quorum.survivors != wanted.survivors:
        raise _no_quorum("the signatures are for another round or survivor set")
    threshold = binding.charter.threshold
    if len(quorum.signatures) < threshold or not quorum.signatures.keys() <= set(wanted.survivors):
        raise _no_quorum("fewer signatures of survivors than the threshold")
    message = statement(binding, place, wanted)
    for site, signature in islice(_own_first(quorum.signatures, own), threshold):
        raw = unhex(signature)
        if own and site == own[0] and raw == own[1]:
            continue  # made here: Ed25519 signatures are deterministic
        try:
            verify(binding.key(site), raw, message)
        except Untrusted as error:
            raise _no_quorum("a signature on the survivor set does not hold") from error


def _own_first(signatures: Mapping[str, str], own: tuple[str, bytes] | None) -> list[tuple[str, str]]:
    return sorted(signatures.items(), key=lambda item: (own is None or item[0] != own[0], item[0]))


def _refused(why: str) -> Untrusted:
    return Untrusted("E-SURVIVORS", why, "every site refuses this; ask the hub's operator")


def _no_quorum(why: str) -> Untrusted:
    return Untrusted("E-QUORUM", why, "every site refuses this; ask the hub's operator")
