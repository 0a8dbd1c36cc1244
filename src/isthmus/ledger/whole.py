"""Whether exports are all that there is: each node of an alliance has its ledger, and no file lies in another's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.model.errors import Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from isthmus.ledger.exported import Exported

_SITE, _PRIVATE = "site/", "/private"


def nodes(exports: Iterable[Exported], sites: Iterable[str] = ()) -> tuple[str, ...]:
    """The logs of an alliance, the hub's first, as far as they are known.

    Args:
        exports: the hub's names every site as a witness.
        sites: of the agreement, where it is there.
    """
    named = {*sites, *(site for each in exports if each.origin == "hub" for site in each.cover.witnesses)}
    return ("hub", *(f"{_SITE}{site}" for site in sorted(named))) if named else ()


def missing(exports: Iterable[Exported], known: Iterable[str]) -> tuple[str, ...]:
    """Of these logs those that were not exported."""
    there = {each.origin for each in exports}
    return tuple(log for log in known if log not in there)


def check_places(files: Iterable[tuple[Path, str]], known: Iterable[str]) -> None:
    """Return when no file that is named for a node holds what another exported.

    Args:
        files: each with the log that it is of.
        known: logs of the alliance.

    Raises:
        Untrusted: E-LEDGER.
    """
    names = {log.removeprefix(_SITE) for log in known}
    for path, log in files:
        if path.stem in names and path.stem != log.removesuffix(_PRIVATE).removeprefix(_SITE):
            said = f"{path.name} is of {log}, and lies in the place of {path.stem}"
            raise Untrusted("E-LEDGER", said, f"ask {path.stem} for its own, or give the file its owner's name")
