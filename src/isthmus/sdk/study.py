"""The study people write: read from YAML, JSON or Python, checked before any data is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.model import study as model
from isthmus.model.canonical import Json, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.names import Digest
from isthmus.sdk.files import load_file
from isthmus.strict import parse

# In Python the purpose may be left out for a rehearsal on one's own files; such a study cannot be submitted.
UNSTATED = {"duo": "DUO:0000042", "text": "not stated"}


class Study:
    """A declarative study: what is asked, never how it is computed. The keys are those of a study file.

    `record` is the frozen record that every party reads.

    >>> study = Study(title="Ages", dataset="demo", analyses={"who": {"count": {}}})
    >>> study.title
    'Ages'
    """

    def __init__(
        self,
        *,
        title: str,
        dataset: str,
        analyses: Mapping[str, Any],
        purpose: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Make a study from Python.

        Raises:
            Invalid: an unknown key, a wrong type, or an analysis that is not exactly one question.
        """
        stated = {"isthmus": "study/1", "title": title, "dataset": dataset, "purpose": dict(purpose or UNSTATED)}
        self.record: model.Study = from_dict({**stated, "analyses": dict(analyses), **more})

    @classmethod
    def read(cls, path: str | Path) -> Study:
        """Read a study file (`.yaml`, `.yml` or `.json`).

        Raises:
            Invalid: the file is not a study; the error names the place and the nearest known key.
            Unavailable: the file cannot be read.
        """
        return cls.of(from_dict(load_file(path)))

    @classmethod
    def of(cls, record: model.Study) -> Study:
        """Wrap a study record."""
        made = cls.__new__(cls)
        made.record = record
        return made

    @property
    def title(self) -> str:
        """The study's title."""
        return self.record.title

    @property
    def digest(self) -> Digest:
        """The study's content address: what approvers sign."""
        return model.study_digest(self.record)

    @property
    def states_purpose(self) -> bool:
        """Whether someone said what the study is for."""
        return self.record.purpose.text != UNSTATED["text"]

    def to_dict(self) -> Json:
        """The study as plain data, as a study file holds it."""
        return plain(self.record)

    def check(self, codebook: Codebook | str | Path | None = None) -> tuple[str, ...]:
        """Check everything that can be checked without rows; with a codebook its variables and expressions too.

        Returns:
            What was checked, in words.

        Raises:
            Invalid: the first thing that is wrong, with its place.
        """
        from isthmus.sdk.check import check

        return check(self.record, codebook)

    def preview(
        self,
        codebook: Codebook | str | Path | None = None,
        *,
        rules: Any = None,
        config: str | Path | None = None,
    ) -> dict[str, Any]:
        """What the study would read and what would leave each site, before any row is touched.

        Args:
            codebook: the dataset's; from the configuration's dataset where not given.
            rules: disclosure rules as for a rehearsal; else those of the agreement of the nearest isthmus.toml.
            config: an isthmus.toml.

        Raises:
            Invalid: E-PREVIEW, nothing to preview against; the study does not fit the codebook.
        """
        from isthmus.sdk.preview import preview

        return preview(self.record, codebook, rules, config)

    def __repr__(self) -> str:
        names = ", ".join(self.record.analyses)
        return f"<Study {self.title!r} on {self.record.dataset!r}: {names}>"


def from_dict(data: Json) -> model.Study:
    """Plain data as a study, with each analysis exactly one question of a known kind.

    Raises:
        Invalid: E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE, E-KIND, E-FORMULA.
    """
    if not isinstance(data, Mapping):
        raise Invalid("E-TYPE", "a study is a mapping of keys", "start with `isthmus: study/1`")
    from isthmus.statistics.catalogue import CATALOGUE, analyses

    record = parse(model.Study, data)
    for analysis in analyses(record):
        try:
            CATALOGUE[analysis.kind].needs(analysis.question)  # parses formulas
        except Invalid as error:
            place = f"analyses.{analysis.name}" + (f", {error.where}" if error.where else "")
            raise Invalid(error.code, error.message, error.hint, place) from None
    return record
