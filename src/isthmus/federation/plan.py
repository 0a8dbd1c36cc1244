"""The plan of a run: every question with its settings, from public facts alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from isthmus.data.dictionary import base_codebook, derived_expressions, dictionary
from isthmus.data.dictionary import population as population_steps
from isthmus.data.expressions import parse_condition
from isthmus.data.inference import Reads, formula_reads
from isthmus.disclosure.rules import restricts
from isthmus.federation.places import Places, check_countries, check_site_results, check_subtotals, countries
from isthmus.federation.question import Question, reads
from isthmus.model import formula
from isthmus.model.codebook import Codebook
from isthmus.model.design import category_levels
from isthmus.model.errors import Invalid, Refused
from isthmus.model.privacy import Allowance, Privacy, exact
from isthmus.model.rules import Rules, applies
from isthmus.model.study import Study
from isthmus.statistics import imputation, imputation_question
from isthmus.statistics.catalogue import CATALOGUE, Analysis, analyses
from isthmus.statistics.contract import Grid, Needs, Setting
from isthmus.statistics.count import Count
from isthmus.statistics.population import PopulationQuestion, population

VOTE = "vote"
POPULATION = "population"
COUNTRY = "country"
SITE = "site"


@dataclass(frozen=True)
class Plan:
    """Everything public about a run; equal at every party.

    Attributes:
        groups: each analysis over the sites of each country, where subtotals are asked for and may be given.
        sites: each analysis that asks for answers of single sites, at each of them.
        lacking: for each derived variable that is read, how many rows lack it.
        withheld: why there are no `groups`, where they are asked for and may not be given.
        refused: analyses that are not asked at all, and why: known before any row is looked at.
        by_country: names of the questions that tell countries apart.
    """

    name: str
    study: Study
    dictionary: Codebook
    rules: Rules
    whose: Mapping[str, str]
    questions: tuple[Question, ...]
    privacy: Privacy | None = None
    places: Places = field(default_factory=dict)
    groups: tuple[Question, ...] = ()
    sites: tuple[Question, ...] = ()
    lacking: tuple[Question, ...] = ()
    withheld: Refused | None = None
    refused: Mapping[str, Refused] = field(default_factory=dict)
    by_country: frozenset[str] = frozenset()

    @cached_property
    def words(self) -> tuple[tuple[Question, int], ...]:
        """Words of the vote: each question and rung, finest rung first."""
        voted = (*self.questions, *self.sites, *self.lacking)
        return tuple((q, rung) for q in voted for rung in range(len(q.rungs)))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Every variable that some analysis reads, in order."""
        return tuple(dict.fromkeys(name for q in self.questions[1:] for name in q.reads))

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Filters of single analyses, each once, and where what is behind a derived variable is missing."""
        missing = (is_missing(name) for q in self.lacking for name in q.behind if name != COUNTRY)
        return tuple(dict.fromkeys((*(text for q in self.questions for text in q.where), *missing)))

    def question(self, name: str) -> Question:
        """By name."""
        return next(q for q in (*self.questions, *self.groups, *self.sites, *self.lacking) if q.name == name)


def study_needs(study: Study) -> tuple[tuple[Analysis, Needs], ...]:
    """What each analysis of a study reads, before any codebook is known (`dictionary.infer` asks)."""
    return tuple((a, CATALOGUE[a.kind].needs(a.question)) for a in analyses(study))


def inferred_reads(study: Study) -> Reads:
    """What the analyses read, and as what: for the dictionary of a rehearsal without a codebook."""
    asked = study_needs(study)
    every = [needs for _, needs in asked]
    inside = [name for needs in every if needs.formula for name in formula_reads(needs.formula)]
    return Reads(
        names=tuple(dict.fromkeys((*(name for needs in every for name in reads(needs)), *_held(study)))),
        categories=tuple(dict.fromkeys((*(name for needs in every for name in needs.categories), *inside))),
        times=tuple(dict.fromkeys(name for needs in every for name in needs.times)),
        keys=tuple(dict.fromkeys(name for needs in every for name in needs.keys)),
        conditions=tuple(dict.fromkeys(a.where for a, _ in asked if a.where)),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """Every name that is read, of the codebook and derived: by all analyses alike, and by each."""

    common: frozenset[str]
    each: Mapping[str, frozenset[str]]


def study_reads(study: Study, codebook: Codebook) -> frozenset[str]:
    """Every name a study reads, inside `where`, `derive`, `subgroups` and formulas too.

    Raises:
        Invalid: a formula or an expression that is outside its grammar or names no variable.
    """
    found = _reading(study, dictionary(study, codebook, ()))
    return found.common.union(*found.each.values())


def _reading(study: Study, whole: Codebook) -> Reading:
    """What a study reads; `whole`: the codebook with what is derived."""
    derived, base = derived_expressions(study, whole), base_codebook(study, whole)
    for text in (study.subgroups or {}).values():  # one that nothing asks for is held to the grammar too
        parse_condition(text, base, derived)

    def behind(names: Sequence[str], texts: Sequence[str] = ()) -> frozenset[str]:
        conditions = [parse_condition(text, base, derived) for text in texts]
        inside = [name for e in (*conditions, *(derived[n] for n in names if n in derived)) for name in e.names]
        return frozenset((*names, *inside))

    steps = frozenset(name for _, step in population_steps(study, whole) for name in step.names)
    return Reading(
        common=steps | behind(_held(study)),
        each={a.name: behind(reads(needs), _conditions(study, a)) for a, needs in study_needs(study)},
    )


def make_plan(  # noqa: PLR0913 - everything public about a run
    name: str,
    study: Study,
    dictionary: Codebook,
    rules: Rules,
    whose: Mapping[str, str],
    sites: int,
    privacy: Privacy | None = None,
    places: Places | None = None,
    releases: Collection[str] = (),
    barred: Mapping[str, Refused] | None = None,
) -> Plan:
    """Lay out a run. An analysis that may not be asked is refused, and the others are not.

    Args:
        name: of the run.
        study: what is asked.
        dictionary: of the study.
        rules: in force.
        whose: rule -> who stated it.
        sites: how many.
        privacy: the dataset's budget, if it has one.
        places: of the sites; without, nothing may tell countries apart.
        releases: outputs beyond the estimates that the agreement allows.
        barred: analyses (as the study names them) that the agreement does not allow, and why.

    Raises:
        Invalid: a question that the dictionary cannot answer (E-COLUMN, E-FORMULA, E-LEVELS, ...); E-PRIVACY, an
            analysis that states no rho where the dataset has a budget, or states one where it has none.
        Refused: where no analysis may be asked, why the first may not: as `barred`; E-PRIVACY-KIND, a kind that has no
            noisy variant, on a dataset with a budget; E-COUNTRY, a question that tells countries apart of which one has
            too few legal entities (of a population that does, all are refused); E-SITE-RESULTS, numbers of single sites
            where these may not be given.
    """
    _offered(study, privacy)
    known = places or {}
    reading = _reading(study, dictionary)
    if COUNTRY in reading.common:
        check_countries(known, rules)
    asked, refused = list[Question](), dict[str, Refused]()
    for a, needs in study_needs(study):
        try:
            _check_allowed(a, barred or {})
            if COUNTRY in reading.each[a.name]:
                check_countries(known, rules)
            if needs.by_site or needs.each_site:
                check_site_results(releases, rules)
            made = _by_site(_question(a, needs, study, dictionary, rules, sites), known)
            asked.append(_private(made, a, rules, privacy))
        except Refused as why:
            refused[a.name] = why
    if not asked:
        raise next(iter(refused.values()))
    setting = Setting(
        sites=sites, dictionary=dictionary, levels={}, conf_level=study.conf_level, open_rules=not restricts(rules)
    )
    everyone = _everyone(asked, study, setting, noisy=privacy is not None)
    withheld = _withheld(known, rules) if study.groups else None
    groups = _groups(asked, known) if study.groups and withheld is None else ()
    questions = (everyone, *asked)
    lacking = () if privacy is not None or study.impute else tuple(_lacking(asked, study, dictionary, setting))
    apart = [q.name for q in asked if COUNTRY in reading.each[q.name]]
    apart += [q.name for q in lacking if COUNTRY in q.behind]
    apart += [POPULATION] if COUNTRY in reading.common else []
    sites_own = tuple(at for q in asked if q.needs.each_site for at in _at_each(q, known))
    return Plan(
        name, study, dictionary, rules, whose, questions, privacy, known, groups, sites_own, lacking, withheld, refused,
        frozenset(apart),
    )  # fmt: skip


def _everyone(asked: Sequence[Question], study: Study, setting: Setting, *, noisy: bool) -> Question:
    """The population: its rows, and how many lack each variable of the codebook."""
    derived = study.derive or {}  # missing where its maker chose: `_lacking`
    names = tuple(dict.fromkeys(n for q in asked for n in q.reads if n not in derived))
    statistic = population.noisy if noisy and population.noisy is not None else population
    return Question(POPULATION, statistic, PopulationQuestion(variables=names), Needs(), setting, (None,))


def _lacking(asked: Sequence[Question], study: Study, whole: Codebook, setting: Setting) -> Iterator[Question]:
    """For each derived variable, how many rows lack it: a count that each site may refuse, since its maker chose which."""
    derived = derived_expressions(study, whole)
    for name in dict.fromkeys(n for q in asked for n in q.reads if n in derived):
        key = f"{name} is missing"
        base = replace(setting, levels={key: ("no", "yes")})
        statistic, needs, behind = CATALOGUE["count"], Needs(categories=(key,)), derived[name].names
        yield Question(key, statistic, Count(by=(key,)), needs, base, (None,), lacks=name, behind=behind)


def is_missing(name: str) -> str:
    """The condition that a column of the codebook has no value."""
    return f"{name} IS NULL"


def _check_allowed(analysis: Analysis, barred: Mapping[str, Refused]) -> None:
    stated = analysis.name.partition("[")[0]  # without the outcome that `for` gives it
    if stated in barred:
        raise barred[stated]


def _withheld(places: Places, rules: Rules) -> Refused | None:
    """Why there are no results of countries, if there are none."""
    try:
        check_subtotals(places, rules)
    except Refused as why:
        return why
    return None


def subtotals(plan: Plan) -> dict[str, Any]:
    """What a result says of results by country: for which there are some, or why there is none."""
    if plan.study.groups is None:
        return {}
    if plan.withheld is not None:
        return {"groups": {"by": COUNTRY, "countries": [], "withheld": plan.withheld.to_dict()}}
    return {"groups": {"by": COUNTRY, "countries": list(countries(plan.places))}}


def _groups(asked: Sequence[Question], places: Places) -> tuple[Question, ...]:
    """Each question over the sites of each country."""
    return tuple(
        replace(question, name=f"{question.name} in {country}", country=country, of=question.name)
        for question in asked
        for country in countries(places)
    )


def _at_each(question: Question, places: Places) -> Iterator[Question]:
    """The question at each site by itself."""
    for site in places:
        yield replace(question, name=f"{question.name} at {site}", site=site, of=question.name)


def _private(question: Question, analysis: Analysis, rules: Rules, privacy: Privacy | None) -> Question:
    """The question as it is answered on a dataset with a privacy budget, or as it stands without one."""
    if privacy is None:
        if analysis.privacy is not None:
            hint = "leave it out: its answers are exact, or ask a dataset that has one"
            raise Invalid("E-PRIVACY", "this dataset has no privacy budget", hint, analysis.name)
        return question
    if question.statistic.noisy is None:
        able = ", ".join(kind for kind, statistic in CATALOGUE.items() if statistic.noisy)
        message = f"{analysis.kind!r} has no variant that answers with noise"
        raise Refused("E-PRIVACY-KIND", message, f"on this dataset: {able}", analysis.name)
    if analysis.privacy is None or not analysis.privacy.rho > 0.0:
        message = "an analysis on this dataset states what it may spend"
        raise Invalid("E-PRIVACY", message, "privacy: {rho: 0.1}, above 0", analysis.name)
    rungs = tuple(rung for rung in question.rungs if rung is None or not rung.recorded)  # those would be rows
    if not rungs:
        raise Invalid(
            "E-PRIVACY", "this dataset needs a public grid", "state `grid`, or one in the codebook", analysis.name
        )
    rho = exact(analysis.privacy.rho)
    honest = max(1, (privacy.minimum_survivors or rules.minimum_sites) - privacy.colluders)
    allowance = Allowance(rho=(rho.numerator, rho.denominator), honest=honest)
    base = replace(question.base, privacy=allowance)
    return replace(question, statistic=question.statistic.noisy, base=base, rungs=rungs)


def _offered(study: Study, privacy: Privacy | None) -> None:
    paid = study.groups if privacy is not None or study.impute else None  # a cost, or imputations, of each country
    later = {"groups": paid, "cohort": study.population and study.population.cohort}
    for key, value in later.items():
        if value:
            raise Invalid("E-NOT-OFFERED", f"{key!r} is not offered by this version", "leave it out", key)


def _question(
    analysis: Analysis, needs: Needs, study: Study, dictionary: Codebook, rules: Rules, sites: int
) -> Question:
    statistic = CATALOGUE[analysis.kind]
    for name in (*reads(needs), *_held(study)):
        if name not in dictionary.variables:
            known = ", ".join(sorted(dictionary.variables))
            raise Invalid("E-COLUMN", f"{name!r} is not in the codebook", f"known variables: {known}", analysis.name)
    _check_numbers(needs, dictionary, analysis.name)
    reference = dict(analysis.reference or {})
    base = Setting(
        sites=sites,
        dictionary=dictionary,
        levels={name: category_levels(name, dictionary, reference.get(name)) for name in needs.categories},
        conf_level=analysis.conf_level or study.conf_level,
        design=formula.design(needs.formula, dictionary, reference, {}) if needs.formula else None,
        open_rules=not restricts(rules),
    )
    where = _conditions(study, analysis)
    rungs = _rungs(statistic.rungs(analysis.question, dictionary), rules)
    if study.impute is None:
        return Question(analysis.name, statistic, analysis.question, needs, base, rungs, where)
    made = imputation.over(imputation_question.Asked(statistic, analysis.question, needs, base), _wish(study))
    return Question(analysis.name, made.statistic, made.arguments, made.needs, made.setting, rungs, where)


def _by_site(question: Question, places: Places) -> Question:
    """The question with the sites as levels of `site`, where it asks for numbers of each."""
    if not question.needs.by_site:
        return question
    return replace(question, base=replace(question.base, levels={**question.base.levels, SITE: tuple(places)}))


def _wish(study: Study) -> imputation_question.Wish:
    """Of a study that imputes.

    Raises:
        Invalid: E-IMPUTE, no seed: every party draws from it.
    """
    if study.impute is None or study.seed is None:
        message = "multiple imputation needs a seed, from which every party draws the same parameters"
        raise Invalid("E-IMPUTE", message, "seed: 20260101", "impute")
    wish = study.impute
    effects = wish.site_effects or ()
    return imputation_question.Wish(
        m=wish.m, cycles=wish.cycles, seed=study.seed, with_=_held(study), site_effects=effects
    )


def _held(study: Study) -> tuple[str, ...]:
    """What the imputation models hold beyond what is analysed."""
    return () if study.impute is None else study.impute.with_ or ()


def _check_numbers(needs: Needs, dictionary: Codebook, where: str) -> None:
    """An outcome, time or event that the codebook declares as text cannot be a number."""
    stated = needs.formula.response if needs.formula else None
    response = () if stated is None or stated in needs.categories else (stated,)  # else an outcome with levels
    for name in (*response, *needs.numbers, *needs.times):
        if dictionary.variables[name].type == "category":
            raise Invalid(
                "E-OUTCOME", f"{name!r} is a category where a number is needed", "derive 0 and 1 from it", where
            )


def _rungs(ladder: tuple[Grid, ...], rules: Rules) -> tuple[Grid | None, ...]:
    """The rungs that are voted on; every recorded value as its own step is a rung that only a floor of 1 passes."""
    floor = applies(rules, "minimum_count")
    return tuple(rung for rung in ladder if not (rung.recorded and floor)) if ladder else (None,)


def _conditions(study: Study, analysis: Analysis) -> tuple[str, ...]:
    """Its own filters: `where`, and its subgroup's."""
    return tuple(e for e in (analysis.where, _subgroup(study, analysis)) if e)


def _subgroup(study: Study, analysis: Analysis) -> str | None:
    if analysis.subgroup is None:
        return None
    if analysis.subgroup not in (study.subgroups or {}):
        raise Invalid("E-SUBGROUP", f"no subgroup {analysis.subgroup!r}", "name it under subgroups", analysis.name)
    return (study.subgroups or {})[analysis.subgroup]
