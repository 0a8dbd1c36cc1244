"""What comes back: a mapping of analyses, each with frames, text, a figure, its disclosure report and its proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from isthmus.model.canonical import Json
from isthmus.model.errors import Invalid, Refused
from isthmus.sdk import figures, frames, tables, text
from isthmus.sdk.privacy import with_epsilon

if TYPE_CHECKING:
    import pyarrow as pa

REFUSED = "refused"


class AnalysisResult:
    """The result of one question. A refused or failed analysis shows its coded reason and raises it when used."""

    def __init__(self, name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        self.name = name
        self._body = body
        self._context = context

    @property
    def kind(self) -> str:
        """The question kind, as in the study."""
        return str(self._body["kind"])

    @property
    def status(self) -> str:
        """`released`, `refused` by a rule, or `failed` to compute."""
        return str(self._body.get("status", "released"))

    @property
    def error(self) -> Mapping[str, str] | None:
        """`{code, message, hint}` when there is no result (a model's own `error` names its kind of standard error)."""
        return tables.failure(self._body)

    @property
    def n(self) -> int:
        """Rows that entered, rounded as the rules say."""
        return int(self._usable()["n"])

    @property
    def groups(self) -> dict[str, AnalysisResult]:
        """Country -> its own result, where the study asks for `groups` and every country may have one."""
        own = tables.countries(self._body)
        return {name: AnalysisResult(f"{self.name} [{name}]", part, self._context) for name, part in own.items()}

    @property
    def sites(self) -> dict[str, AnalysisResult]:
        """Site -> its own result or refusal, where the analysis asks for results of single sites and they may be given."""
        own: Mapping[str, Mapping[str, Any]] = self._body.get("sites", {})
        return {name: AnalysisResult(f"{self.name} [{name}]", part, self._context) for name, part in own.items()}

    @property
    def disclosure(self) -> list[dict[str, Any]]:
        """Each rule, whether it passed, and whose it is."""
        return list(self._body.get("disclosure", []))

    @property
    def provenance(self) -> dict[str, Any]:
        """Study, run, sites and proof that this result belongs to."""
        return dict(self._context)

    def tidy(self, *, exponentiate: bool = False) -> pa.Table:
        """One row per term, step or cell; model columns are broom's `term, estimate, std_error, ...`.

        Args:
            exponentiate: odds, rate or hazard ratios instead of coefficients (estimate and limits).
        """
        return frames.tidy(self._usable(), exponentiate=exponentiate)

    def glance(self) -> pa.Table:
        """One row: n, and the figures of the whole fit."""
        return frames.glance(self._usable())

    def to_pandas(self) -> Any:
        """`tidy()` as a pandas data frame; needs pandas."""
        return self.tidy().to_pandas()

    def to_dict(self) -> dict[str, Json]:
        """The JSON of this analysis."""
        return deepcopy(dict(self._body))

    @property
    def at_risk(self) -> pa.Table:
        """Numbers at risk, events and censored by group and time (curves only)."""
        return frames.at_risk(self._usable())

    def summary(self) -> str:
        """The result as text, as R or tableone print it."""
        return "\n\n".join(text.plain(table) for table in tables.of(self.name, self._body))

    def plot(self) -> str:
        """An SVG figure: curves for survival, a forest plot for a model.

        Raises:
            Invalid: E-PLOT, when the kind has no figure.
        """
        return figures.draw(self.name, self._usable(), self._context)

    def _usable(self) -> Mapping[str, Any]:
        error = self.error
        if error is None:
            return self._body
        kind = Refused if self.status == REFUSED else Invalid
        raise kind(error["code"], error["message"], error.get("hint", ""), self.name)

    def _repr_html_(self) -> str:
        return "".join(text.html(table) for table in tables.of(self.name, self._body))

    def __repr__(self) -> str:
        error = self.error
        state = f"{error['code']} {self.status}" if error else f"n = {tables.significant(self._body.get('n'))}"
        return f"<{self.name}: {self.kind}, {state}>"


class Result(Mapping[str, AnalysisResult]):
    """The result of a study: analysis name -> `AnalysisResult`, and the proof of how it was made."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body = with_epsilon(body)
        context = {key: value for key, value in body.items() if key not in {"analyses", "comparison"}}
        self._analyses = {name: AnalysisResult(name, part, context) for name, part in body["analyses"].items()}

    def __getitem__(self, name: str) -> AnalysisResult:
        if name not in self._analyses:
            raise KeyError(f"no analysis {name!r}; there are: {', '.join(self._analyses)}")
        return self._analyses[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._analyses)

    def __len__(self) -> int:
        return len(self._analyses)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the analyses without a result, those of single sites as `name [site]`."""
        every = (one for whole in self._analyses.values() for one in (whole, *whole.sites.values()))
        return tuple(one.name for one in every if one.error is not None)

    @property
    def disclosure(self) -> dict[str, list[dict[str, Any]]]:
        """Each analysis's rules and how they came out."""
        return {name: analysis.disclosure for name, analysis in self._analyses.items()}

    @property
    def provenance(self) -> dict[str, Any]:
        """Study digest, run, mode, sites, traffic and proof."""
        return {key: value for key, value in self._body.items() if key not in {"analyses", "comparison"}}

    def to_dict(self) -> dict[str, Json]:
        """The result JSON (`schema` isthmus/result/1)."""
        return deepcopy(dict(self._body))

    def summary(self) -> str:
        """Every analysis as text."""
        lines = (str(self._body.get("title", "")), text.origin(self._body), text.withheld(self._body))
        head = "\n".join(line for at, line in enumerate(lines) if line or at == 0)
        return "\n\n".join([head, *(analysis.summary() for analysis in self._analyses.values())])

    def _repr_html_(self) -> str:
        inner = "".join(analysis._repr_html_() for analysis in self._analyses.values())
        return f"<section>{text.heading(self._body)}{inner}</section>"

    def __repr__(self) -> str:
        return f"<Result {self._body.get('title', '')!r}: {', '.join(map(repr, self._analyses.values()))}>"
