"""From estimates to the result people see: the output gate, then the report. Every party computes the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from isthmus.disclosure.gate import refusal
from isthmus.disclosure.output import check_fit, gate_counts, round_numbers
from isthmus.disclosure.report import blocked, findings_json, passed_at_every_site
from isthmus.evidence import Counts
from isthmus.federation.plan import COUNTRY, POPULATION, Plan, subtotals
from isthmus.federation.question import Question
from isthmus.federation.row_loss import Known, warning
from isthmus.federation.script import Ended, Errored, Script, require_ended
from isthmus.ledger.checkpoint import verify_checkpoint
from isthmus.ledger.verify import Verified
from isthmus.model.errors import DEFECTS, IsthmusError, Refused, coded
from isthmus.model.study import Study, study_digest
from isthmus.statistics import precision
from isthmus.statistics.catalogue import analyses
from isthmus.statistics.contract import Estimate
from isthmus.statistics.unsaid import of_clusters, words

SIZE = "n of the analysis"


def released(script: Script, survivors: tuple[str, ...]) -> dict[str, Any]:
    """The result body that sites sign: analyses gated and reported, refused ones with their coded reason.

    Raises:
        Untrusted: E-STEP, when a flow has not ended.
    """
    plan = script.plan
    require_ended(script)
    excluded, standing = _excluded(script), _standing(plan.study)
    found = {name: _unasked(plan, name) for name in plan.refused} | {
        q.name: _with_countries(q, script, _analysis(q, script, excluded)) | _of_sites(q, script, survivors)
        for q in plan.questions[1:]
    }
    return {
        "schema": "isthmus/result/1",
        "study": study_digest(plan.study),
        "title": plan.study.title,
        "sites": list(survivors),
        "analyses": {name: found[name] | stands for name, stands in standing.items()},
        **_subtotals(script),
    }


def _unasked(plan: Plan, name: str) -> dict[str, Any]:
    """Of an analysis that may not be asked: why, by public facts."""
    kind = next(a.kind for a in analyses(plan.study) if a.name == name)
    return {"kind": kind, "status": "refused", "error": plan.refused[name].to_dict()}


def _standing(study: Study) -> dict[str, dict[str, Any]]:
    """By analysis: primary or exploratory, where the study names its primary ones; how many outcomes, where several were tried."""
    found: dict[str, dict[str, Any]] = {}
    for analysis in analyses(study):
        primary = analysis.name.partition("[")[0] in (study.primary or ())
        told = {} if study.primary is None else {"standing": "primary" if primary else "exploratory"}
        found[analysis.name] = told | ({"outcomes": analysis.outcomes} if analysis.outcomes > 1 else {})
    return found


def proof_of(run: str, signed: tuple[str, Mapping[str, str]], note: str, hub_key: bytes) -> dict[str, Any]:
    """The proof that goes with a result: what was signed by whom, and the ledger's checkpoint.

    Args:
        run: digest.
        signed: digest of the transcript, and site -> signature of transcript and result.
        note: the checkpoint that t sites cosigned.
        hub_key: the hub's.
    """
    head = verify_checkpoint(note, hub_key, {}).head
    transcript, signatures = signed
    ledger = {"ledger_size": head.size, "root": head.root.hex(), "signature": note}
    return {"run": run, "transcript": transcript, "site_signatures": dict(signatures), **ledger}


def proof_of_bundle(held: Verified) -> dict[str, Any]:
    """The proof of a result that came in a bundle."""
    bundle = held.bundle
    signed = (bundle["transcript_digest"], bundle["signatures"])
    return proof_of(held.run, signed, bundle["checkpoint"], bytes.fromhex(bundle["charter"]["hub_key"]))


def _subtotals(script: Script) -> dict[str, Any]:
    """Which countries have results of their own, or why none has."""
    told = subtotals(script.plan)
    if script.apart or not script.plan.groups:
        return told
    lost = Refused("E-COUNTRY", "a site was lost, and too few parties of a country are left", "run the study again")
    return {"groups": {"by": COUNTRY, "countries": [], "withheld": lost.to_dict()}}


def _with_countries(question: Question, script: Script, whole: dict[str, Any]) -> dict[str, Any]:
    """With the answer in each country (`countries` where `groups` is taken), and the precision that each gained."""
    own = [group for group in script.plan.groups if group.of == question.name and group.name in script.outcomes]
    shown = {str(group.country): _analysis(group, script, {}) for group in own}
    if not shown:
        return whole
    found = precision.gained(whole, shown) if question.statistic.kind != "meta" else []  # its terms are of levels
    beside = {("countries" if question.statistic.kind == "table_one" else "groups"): shown}
    return whole | beside | ({"precision": found} if found else {})


def _of_sites(question: Question, script: Script, survivors: tuple[str, ...]) -> dict[str, Any]:
    """The answer of each single site that is left, where these were asked for; of one that refused, its refusal."""
    own = {str(q.site): q for q in script.plan.sites if q.of == question.name and q.site in survivors}
    return {"sites": {site: _analysis(one, script, {}) for site, one in own.items()}} if own else {}


def _analysis(question: Question, script: Script, excluded: Mapping[str, Any]) -> dict[str, Any]:
    kind = question.statistic.kind
    try:
        match script.outcomes.get(question.name):
            case Ended(estimate):
                return _reported(question, script, estimate, excluded)
            case Errored(error):
                raise error
            case _:
                raise refusal(kind)
    except IsthmusError as error:
        if not isinstance(error, Refused):
            left_out = {"excluded": own} if (own := _of(question, script.plan, excluded)) else {}
            return {"kind": kind, "status": "failed", "error": error.to_dict(), **left_out}
        could = findings_json(blocked(kind, script.plan.rules), script.plan.whose)
        return {"kind": kind, "status": "refused", "error": error.to_dict(), "disclosure": could}


def _reported(question: Question, script: Script, estimate: Estimate, excluded: Mapping[str, Any]) -> dict[str, Any]:
    """As `_report`; a defect there is an error of this analysis.

    Raises:
        Refused: a rule forbids the result.
        Invalid: E-INTERNAL.
    """
    try:
        return _report(question, script, estimate, excluded)
    except DEFECTS as error:
        raise coded(error) from error


def _report(question: Question, script: Script, estimate: Estimate, excluded: Mapping[str, Any]) -> dict[str, Any]:
    plan = script.plan
    kind = question.statistic.kind
    fit = check_fit(estimate.n, estimate.parameters, plan.rules, kind)
    gated = gate_counts(
        {**estimate.counts, SIZE: Counts("size", np.asarray([estimate.n], dtype=np.int64))}, plan.rules, kind
    )
    shown = {name: counts for name, counts in gated.counts.items() if name != SIZE}
    setting = question.setting(script.rung(question))
    body = question.statistic.report(question.arguments, setting, replace(estimate, counts=shown))
    head = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": int(gated.counts[SIZE].values[0]),
        "rounds": estimate.rounds,
        "conf_level": question.base.conf_level,
        "excluded": _of(question, plan, excluded),
        "disclosure": findings_json((*passed_at_every_site(plan.rules), *fit, *gated.findings), plan.whose),
    }
    lost = _loss(question, script, int(gated.counts[SIZE].values[0]), excluded)
    blanked = any(f.rule == "minimum_count" and f.status != "Passed" for f in gated.findings)
    null = words(body, suppressed=blanked)
    grouped = of_clusters(body, several=setting.sites > 1 and bool(question.needs.keys))
    told = [*lost, *null, *grouped, *body.get("warnings", ())]
    warned = {"warnings": told} if told else {}
    return round_numbers(head | _privacy(question, estimate, plan) | body | warned, plan.rules.digits)


def _loss(question: Question, script: Script, n: int, excluded: Mapping[str, Any]) -> list[str]:
    """What the study's one row set costs a primary analysis (each, where none is named), where it is more than a little."""
    plan, whole = script.plan, script.outcomes.get(POPULATION)
    primary = plan.study.primary is None or question.name.partition("[")[0] in plan.study.primary
    others = [name for name in plan.variables if name not in question.reads]
    if plan.study.missing != "study" or question.whose or question.needs.gaps or not (primary and others):
        return []
    if not isinstance(whole, Ended) or "complete" not in whole.estimate.counts:
        return []
    counts = {name: whole.estimate.counts[name] for name in ("n", "complete")}
    rows, complete = (
        int(c.values[0]) for c in gate_counts(counts, plan.rules, question.statistic.kind).counts.values()
    )
    floor, half = plan.rules.minimum_count or 1, ((plan.rules.round_to or 1) // 2)
    known = Known(rows, complete, excluded, frozenset(q.lacks for q in plan.lacking), floor, float(half))
    said = warning(known, question.reads, others, n if question.where else None)
    return [said] if said else []


def _of(question: Question, plan: Plan, excluded: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `excluded` that a row must have to enter a question."""
    needed = () if question.needs.gaps else plan.variables if plan.study.missing == "study" else question.reads
    return {name: excluded[name] for name in needed if name in excluded}


def _privacy(question: Question, estimate: Estimate, plan: Plan) -> dict[str, Any]:
    """What the answer cost and the noise in it. Epsilon is worked out where it is shown (`sdk.privacy`)."""
    if plan.privacy is None or question.base.privacy is None:
        return {}
    rho = Fraction(*question.base.privacy.rho)
    told = {"rho": float(rho), "delta": plan.privacy.delta, "sigma": estimate.values["sigma"]}
    return {"privacy": {**told, "covers": "the released numbers, not the refusals"}}


def _excluded(script: Script) -> dict[str, int | None]:
    """Rows left out for each variable, gated as cells; None where the number is not told."""
    plan, outcomes = script.plan, script.outcomes
    whole = outcomes.get(POPULATION)
    if not isinstance(whole, Ended):
        return {}
    named = plan.question(POPULATION).arguments.variables
    missing: dict[str, int] = dict(zip(named, whole.estimate.values["missing"], strict=True))
    untold: dict[str, int | None] = {}
    for question in plan.lacking:
        match outcomes.get(question.name):
            case Ended(estimate):
                missing[question.lacks] = int(estimate.counts["cells"].values[1])
            case _:
                untold[question.lacks] = None
    counts = {name: Counts("cells", np.asarray([value], dtype=np.int64)) for name, value in missing.items() if value}
    try:
        gated = gate_counts(counts, plan.rules).counts
    except Refused:
        return {}
    return untold | {name: None if np.isnan(c.values[0]) else int(c.values[0]) for name, c in gated.items()}
