"""`Study.preview()`: what would be read and what would leave, before any row is touched."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError
from isthmus.model.rules import Rules
from isthmus.model.study import Study
from isthmus.sdk.rehearse import open_codebook
from isthmus.sdk.rules import read_privacy, read_rules
from isthmus.sdk.tables import Table
from isthmus.sdk.unlock import passphrase

PHASES = {"missing": "missing values", "margins": "means", "chains": "each cycle", "analysis": "the analysis"}
THREE = {"a": "GB", "b": "GB", "c": "US"}  # sites of a preview that names none


def preview(
    study: Study,
    codebook: Codebook | str | Path | None,
    rules: Rules | Mapping[str, Any] | str | Path | None,
    config: str | Path | None,
) -> dict[str, Any]:
    """Under stated rules (three sites), or under the agreement of an isthmus.toml (its sites and rules).

    Raises:
        Invalid: E-PREVIEW, neither rules nor a configuration, or no codebook; the study does not fit the codebook.
    """
    from isthmus.disclosure.rules import strictest
    from isthmus.federation.preview import Party
    from isthmus.federation.preview import preview as seen

    book = open_codebook(codebook)
    if rules is not None:
        if book is None:
            raise Invalid("E-PREVIEW", "a preview needs the dataset's codebook", "give --codebook")
        stated = strictest({"rehearsal": read_rules(rules)})
        return {**seen(study, book, Party(stated, THREE, read_privacy(rules))), "admitted": None}
    return _agreed(study, book, config)


def _agreed(study: Study, book: Codebook | None, config: str | Path | None) -> dict[str, Any]:
    """Under the agreement; `admitted` is True, or the coded reason why the study is outside it."""
    from isthmus.federation.config import find_config
    from isthmus.federation.outlook import outlook
    from isthmus.federation.preview import Party
    from isthmus.federation.preview import preview as seen

    path = Path(config) if config is not None else find_config(Path.cwd(), os.environ)
    if path is None:
        raise Invalid("E-PREVIEW", "a preview needs rules, or an isthmus.toml with an agreement", "give --rules")
    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    told = outlook(path, os.environ, study, book, now, partial(passphrase, os.environ))
    facts = (told.effective, told.countries, told.privacy, told.entities, told.releases)
    barred = told.barred if told.refused is None else {}
    body = seen(study, told.codebook, Party(*facts, barred))
    refused: IsthmusError | None = told.refused
    outside = True if refused is None else refused.to_dict()
    return {**body, "admitted": outside, "route": plain(told.route)}


def tables(body: Mapping[str, Any]) -> list[Table]:
    """For people: what is read, what leaves in each round, which rules hold."""
    reads = tuple((n, a["kind"].replace("_", " "), ", ".join(a["reads"])) for n, a in body["analyses"].items())
    leaves = tuple(
        (
            name,
            _which(r),
            ", ".join(map(_field, r["fields"])),
            str(r["masked_bytes"]),
        )
        for name, analysis in body["analyses"].items()
        for r in _first(analysis["leaves"])
    )
    rules = tuple(
        (r["rule"], _value(r["value"]), str(r["whose"] or ""), "yes" if r["restricts"] else "no") for r in body["rules"]
    )
    notes = tuple(f"{n}: {a['if it is refused']}" for n, a in body["analyses"].items())
    refused = tuple((n, why["code"], why["message"], why["hint"]) for n, why in body.get("refused", {}).items())
    rounds = tuple(f"{n}: rounds over invented rows: {_rounds(a['leaves'])}" for n, a in body["analyses"].items())
    outside = Table(title="Refused", headings=("Analysis", "Code", "Why", "Change"), rows=refused, labels=4)
    return [
        *([outside] if refused else []),
        Table(title="Columns read at each site", headings=("Analysis", "Kind", "Columns"), rows=reads, labels=3),
        Table(
            title="What leaves each site, masked (the first two rounds of each)",
            headings=("Analysis", "Round", "Sums over its rows", "Bytes"),
            rows=leaves,
            labels=3,
            notes=rounds,
        ),
        *_route(body.get("route", ())),
        Table(title="Rules", headings=("Rule", "Value", "Whose", "Restricts"), rows=rules, labels=4),
        Table(title="If it is refused", headings=("Change",), rows=tuple((n,) for n in notes), labels=1),
    ]


def _route(legs: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Which countries and facilities the numbers cross, and the flow of the agreement that permits each leg."""
    rows = tuple(
        (
            f"{leg['sender']} {leg['from_country']}",
            f"{leg['receiver']} {leg['to_country']}",
            "masked sums" if leg["what"] == "encrypted_shares" else "pooled sums, results",
            ", ".join(leg["facilities"]) or "none stated",
            leg.get("flow") or "none: not permitted",
            leg.get("mechanism") or "none",
        )
        for leg in legs
    )
    headings = ("From", "To", "What", "Facilities", "Flow", "Mechanism")
    return [Table(title="The way of its numbers", headings=headings, rows=rows, labels=6)] if rows else []


def _first(leaves: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first two rounds; of an imputation the first of each phase."""
    if not leaves or "phase" not in leaves[0]:
        return list(leaves[:2])
    return list({one["phase"]: one for one in reversed(leaves)}.values())[::-1]


def _which(leaves: Mapping[str, Any]) -> str:
    if "phase" not in leaves:
        return str(leaves["round"])
    fits = f", {leaves['fits']} fits at once" if leaves["fits"] > 1 else ""
    return f"{leaves['round']} ({PHASES[leaves['phase']]}{fits})"


def _rounds(leaves: Sequence[Mapping[str, Any]]) -> str:
    whole = sum(one.get("repeated", 1) for one in leaves)
    return f"{whole}, if every covariate lacks values" if leaves and "phase" in leaves[0] else str(whole)


def _field(field: Mapping[str, Any]) -> str:
    size = "x".join(map(str, field["shape"]))
    if field["name"] == "agree":
        return "a closing word"
    return f"a ballot of {size} words" if field["kind"] == "vote" else f"{field['name']} {size}"


def _value(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
