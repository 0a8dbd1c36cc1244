"""What a researcher asks: signed, immutable, content-addressed. Field names are the study file's keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from isthmus.model.canonical import digest
from isthmus.model.names import Digest
from isthmus.model.record import record


@record
class Purpose:
    """Why: GA4GH DUO term, disease, plain text, commercial or not; for who asks for a company that is not left out."""

    duo: str
    text: str
    disease: str | None = None
    commercial: bool | None = None


@record
class Step:
    """One step of the attrition: a label and a closed SQL expression."""

    label: str
    where: str


@record
class Population:
    """Whose rows: one filter, labelled steps, or a cohort definition."""

    where: str | None = None
    steps: tuple[Step, ...] | None = None
    cohort: str | None = None


@record
class Protocol:
    """Where the study's protocol is registered."""

    register: str
    id: str
    url: str | None = None


@record
class Time:
    """Origin, unit and end of follow-up."""

    origin: str | None = None
    unit: Literal["day", "week", "month", "year"] = "day"
    end: float | None = None


@record
class Impute:
    """Multiple imputation; the models of `site_effects` have an intercept of each site."""

    m: int
    cycles: int = 10
    with_: tuple[str, ...] | None = None
    site_effects: tuple[str, ...] | None = None


@record
class Groups:
    """Subtotals by country."""

    by: Literal["country"]


@record
class Study:
    """A declarative study. `analyses`: name -> {kind: arguments}; `derive`: name -> closed SQL expression.

    `project` is whose privacy budget it draws on; studies that name none share one.
    """

    isthmus: Literal["study/1"]
    title: str
    dataset: str
    purpose: Purpose
    analyses: Mapping[str, Mapping[str, Mapping[str, Any]]]
    question: str = ""
    population: Population | None = None
    derive: Mapping[str, str] | None = None
    missing: Literal["study", "analysis"] = "study"
    groups: Groups | None = None
    protocol: Protocol | None = None
    amends: str | None = None
    reason: str | None = None
    primary: tuple[str, ...] | None = None
    time: Time | None = None
    seed: int | None = None
    conf_level: float = 0.95
    impute: Impute | None = None
    subgroups: Mapping[str, str] | None = None
    project: str | None = None


def study_digest(study: Study) -> Digest:
    """The study's content address: SHA-256 of its canonical JSON."""
    return digest(study)
