"""Domain names, so that a site is never passed where a digest is meant."""

from __future__ import annotations

import re
from typing import NewType

from isthmus.model.errors import Invalid

SiteId = NewType("SiteId", str)
PartyId = NewType("PartyId", str)
AnalysisName = NewType("AnalysisName", str)
Digest = NewType("Digest", str)  # "sha256:" + 64 hex digits

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set: how a table of names is written."""
    return frozenset(text.split())


def site_id(text: str) -> SiteId:
    """A site's name: a letter, then letters, digits, `_`, `.`, `-`; at most 64.

    Raises:
        Invalid: E-NAME.
    """
    if not _NAME.match(text):
        raise Invalid(
            "E-NAME", f"{text[:70]!r} is not a site name", "a letter, then letters, digits, _ . -, at most 64"
        )
    return SiteId(text)
