"""What can be said of a study before any row is touched."""

from __future__ import annotations

from pathlib import Path

from isthmus.model import formula
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.study import Study
from isthmus.sdk.rehearse import open_codebook
from isthmus.statistics.catalogue import CATALOGUE, Analysis, analyses
from isthmus.statistics.contract import Needs


def check(study: Study, codebook: Codebook | str | Path | None) -> tuple[str, ...]:
    """One line per analysis that holds, then the codebook.

    Raises:
        Invalid: the first thing wrong.
    """
    asked = [(a, CATALOGUE[a.kind].needs(a.question)) for a in analyses(study)]
    lines = [f"{a.name}: {a.kind.replace('_', ' ')} of {_listed(needs)}" for a, needs in asked]
    _primary(study)
    book = open_codebook(codebook)
    if book is None:
        return (*lines, "variables and expressions: not checked (no codebook given)")
    return (*lines, _against(study, book, asked))


def variables(needs: Needs) -> tuple[str, ...]:
    """Every variable that an analysis reads, each once."""
    inside = formula.variables(needs.formula) if needs.formula else ()
    return tuple(dict.fromkeys((*needs.numbers, *needs.categories, *inside, *needs.times, *needs.keys)))


def _listed(needs: Needs) -> str:
    return ", ".join(variables(needs)) or "rows"


def _primary(study: Study) -> None:
    for name in study.primary or ():
        if name not in study.analyses:
            raise Invalid("E-PRIMARY", f"{name!r} is not an analysis of this study", "name one of them", "primary")


def _against(study: Study, book: Codebook, asked: list[tuple[Analysis, Needs]]) -> str:
    from isthmus.data.dictionary import dictionary

    known = dictionary(study, book, ("GB",))
    for analysis, needs in asked:
        for name in variables(needs):
            if name not in known.variables:
                hint = "known variables: " + ", ".join(sorted(known.variables))
                raise Invalid("E-COLUMN", f"{name!r} is not in the codebook", hint, analysis.name)
        if needs.formula is not None:
            formula.design(needs.formula, known, dict(analysis.reference or {}), {})
    return f"variables and expressions: agree with codebook {book.name!r}"
