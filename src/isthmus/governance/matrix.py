"""Dataset x purpose x destination: the legal basis, and the rules that do not pass there.

A cell judges the agreement's rules on the facts of one dataset, one purpose and the flows into one country, with the
rules on purpose and route that a study for it would meet. A study may meet more: its asker, columns and dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isthmus.governance.agreement import Agreement
from isthmus.governance.duties import AgreedPurpose
from isthmus.governance.facts import ANY, Known, agreement_facts, purpose_facts, route
from isthmus.governance.rulepack import Pack, Rule
from isthmus.governance.verdicts import Final, Verdict, verdicts, worst
from isthmus.model.record import record

OF_A_STUDY = ("DUO-01", "DUO-05", "XB-10")  # rules of the run gate that a purpose and a route decide
UNSTATED = "not stated"


@record
class Cell:
    """One dataset, purpose and destination country.

    Attributes:
        basis: what the controllers state, and the mechanisms of the flows into the country.
        final: the worst verdict.
        open: rules that fail or are unknown.
    """

    dataset: str
    purpose: str
    destination: str
    basis: str
    final: Final
    open: tuple[str, ...]


def matrix(agreement: Agreement, pack: Pack, known: Known) -> tuple[tuple[Cell, ...], tuple[Verdict, ...]]:
    """Every cell, and each verdict that is open in one of them, once."""
    facts = agreement_facts(agreement, pack, known)
    rules = tuple(r for r in pack.rules if r.gate == "agreement" or r.id in OF_A_STUDY)
    stated = (agreement.duties.purposes if agreement.duties else None) or (None,)
    cells: list[Cell] = []
    seen: dict[str, Verdict] = {}
    for entry in agreement.datasets:
        legs = route(agreement, entry.dataset)
        for purpose in stated:
            for country in _destinations(entry.dataset, legs, facts):
                inside = _restricted(facts, entry.dataset, country)
                asked = _asked(agreement, entry.dataset, purpose, [x for x in legs if x["to_country"] == country])
                found = _open(pack, rules, {"a": inside, "s": asked})
                seen |= {v.rule.id: v for v in found if v.rule.id not in seen}
                cells.append(
                    Cell(
                        dataset=entry.dataset,
                        purpose=purpose.purpose if purpose else UNSTATED,
                        destination=country,
                        basis="; ".join(_basis(inside)) or UNSTATED,
                        final=worst(found),
                        open=tuple(v.rule.id for v in found),
                    )
                )
    return tuple(cells), tuple(seen.values())


def _open(pack: Pack, rules: Iterable[Rule], facts: Mapping[str, Any]) -> list[Verdict]:
    return [v for v in verdicts(pack, rules, facts) if v.outcome in {"fail", "unknown"}]


def _destinations(dataset: str, legs: Iterable[Mapping[str, str]], facts: Mapping[str, Any]) -> list[str]:
    agreed = {f["to_country"] for f in facts.get("flows", ()) if dataset in f["datasets"]}
    return sorted(agreed | {leg["to_country"] for leg in legs})


def _restricted(facts: Mapping[str, Any], dataset: str, country: str) -> dict[str, Any]:
    inside = {**facts, "datasets": [d for d in facts["datasets"] if d["dataset"] == dataset]}
    if "flows" in facts:
        inside["flows"] = [f for f in facts["flows"] if dataset in f["datasets"] and f["to_country"] == country]
    return inside


def _asked(
    agreement: Agreement, dataset: str, purpose: AgreedPurpose | None, legs: list[dict[str, str]]
) -> dict[str, Any]:
    asked: dict[str, Any] = {"dataset": dataset, "route": legs}
    if purpose is not None:
        asked["purpose"] = purpose_facts(purpose.duo, purpose.disease or ANY, agreement.duties)
    return asked


def _basis(facts: Mapping[str, Any]) -> Iterator[str]:
    for held in facts["datasets"]:
        named = [held.get(k) for k in ("article_6", "article_9", "schedule_1", "confidence_basis", "hipaa_path")]
        said = ", ".join(name for name in named if name and name != "none")
        yield f"{held['controller']}: {said or UNSTATED}"
    for flow in facts.get("flows", ()):
        if flow["from_country"] != flow["to_country"]:
            yield f"{flow['sender']} to {flow['receiver']}: {flow['mechanism']}"
