"""Write docs/reference/questions/ : a page for each question kind. `python tools/question_reference.py`; a test compares.

A page is the kind's docstring, the first of its examples in tests/law/examples.py as a study would have it, the keys of
that example's result, and what R calls it (below).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference" / "questions"
sys.path.insert(0, str(ROOT / "tests" / "law"))

from examples import QUESTIONS, example  # noqa: E402

from isthmus import strict  # noqa: E402
from isthmus.statistics.catalogue import CATALOGUE  # noqa: E402
from isthmus.testing import run_flow  # noqa: E402

R: Mapping[str, str] = {
    "count": "table(d$arm, d$stage)",
    "rate": "n <- aggregate(cbind(event, time) ~ arm, d, sum)\n"
    "poisson.test(n$event[1], n$time[1])  # the rate of one arm\n"
    "summary(glm(event ~ arm + offset(log(time)), poisson, n))  # rate ratios",
    "crosstab": "table(d$arm, d$stage)",
    "table_one": 'tableone::CreateTableOne(c("age", "stage", "pressure"), strata = "arm", data = d)  # print(smd = TRUE)',
    "histogram": "tapply(d$age, d$arm, function(x) hist(x, breaks = seq(0, 90, 10), right = FALSE, plot = FALSE)$counts)",
    "quantiles": "tapply(d$age, d$stage, quantile, probs = c(0.25, 0.5, 0.75), type = 7)",
    "correlation": "cor.test(~ age + pressure, d)  # each pair",
    "spearman": 'cor.test(~ age + pressure, d, method = "spearman", exact = FALSE)  # each pair',
    "kruskal_wallis": "kruskal.test(age ~ stage, d)",
    "roc": "r <- pROC::roc(died ~ age, d, direction = '<')  # '>' for direction: lower\npROC::ci.auc(r)\npROC::auc(r, partial.auc = c(1, 0.8))",
    "accuracy": "t <- table(d$age >= 65, d$died)\n"
    "prop.test(t[2, 2], sum(t[, 2]), correct = FALSE)  # Wilson; binom.test for Clopper-Pearson",
    "calibration": "glm(died ~ qlogis(risk), binomial, d)             # slope\n"
    "glm(died ~ offset(qlogis(risk)), binomial, d)     # in the large",
    "decision_curve": "dcurves::dca(died ~ risk, d, thresholds = c(0.4, 0.5))",
    "glm": 'm <- glm(died ~ age + arm + stage, binomial, d)\nlmtest::coeftest(m, sandwich::vcovHC(m, type = "HC0"))\n'
    "MASS::glm.nb(falls ~ age + arm + offset(exposure), d)  # family: negative_binomial\n"
    "x <- model.matrix(~ age + arm + stage, d)[, -1]\n"
    "coef(glmnet::glmnet(x, d$died, 'binomial', alpha = 0, lambda = 0.05, thresh = 1e-20))  # ridge: 0.05",
    "multinomial": "summary(nnet::multinom(stage ~ age + arm, d, Hess = TRUE))",
    "ordinal": "m <- MASS::polr(ordered(stage) ~ age + arm, d, Hess = TRUE)\n"
    "summary(m)\n"
    "sandwich::sandwich(m)  # robust: HC0; sandwich::vcovCL(m, d$practice, type = 'HC0', cadjust = FALSE) for cluster",
    "mixed": "lme4::lmer(score ~ age + arm + (1 | practice), d)  # glmer for other families",
    "gee": "s <- d[order(d$practice), ]  # geeglm takes neighbouring rows for a cluster\n"
    'summary(geepack::geeglm(died ~ age + arm, binomial, s, id = practice, corstr = "exchangeable"))',
    "conditional_logistic": "library(survival)\nclogit(died ~ age + arm + strata(practice), d, method = 'exact')",
    "kaplan_meier": "f <- survival::survfit(survival::Surv(time, event) ~ arm, d, conf.type = 'log-log')\n"
    "summary(f, times = c(30, 60))",
    "log_rank": "survival::survdiff(survival::Surv(time, event) ~ stage, d, rho = 0)",
    "rmst": "survRM2::rmst2(d$time, d$event, as.numeric(d$arm == 'treated'), tau = 60)",
    "cumulative_incidence": "cmprsk::cuminc(d$time, d$cause, d$arm, cencode = '0')",
    "cox": "survival::coxph(survival::Surv(time, event) ~ age + arm + stage, d, ties = 'efron')",
    "fine_gray": "x <- model.matrix(~ age + arm, d)[, -1]\n"
    "summary(cmprsk::crr(d$time, d$cause, x, failcode = 1, cencode = 0))\n"
    "# Surv(entry, time, cause)\n"
    "library(survival)\n"
    "d$id <- seq_len(nrow(d))\n"
    "s <- finegray(Surv(entry, time, factor(cause)) ~ age + arm + id, d, id = d$id, etype = '1')\n"
    "coxph(Surv(fgstart, fgstop, fgstatus) ~ age + arm, s, weights = fgwt, cluster = id, ties = 'breslow')",
    "parametric_survival": "library(survival)\n"
    "summary(survreg(Surv(time, event) ~ age + arm, d, dist = 'weibull'))  # weights, robust, cluster\n"
    "# distribution: piecewise_exponential, cuts: [20, 45, 90]\n"
    "s <- survSplit(Surv(entry, time, event) ~ ., d, cut = c(20, 45, 90), episode = 'k')\n"
    "summary(glm(event ~ 0 + factor(k) + age + arm + offset(log(time - entry)), poisson, s))",
    "effect": "w <- WeightIt::weightit(treat ~ age + stage, d, method = 'glm', estimand = 'ATE')\n"
    "WeightIt::glm_weightit(died ~ treat, d, weightit = w)  # errors that know the weights are estimated\n"
    "WeightIt::trim(w, at = 0.99, lower = TRUE)  # truncate, at percentiles of type 3",
    "meta": "n <- table(d$stage, d$treat, d$died)\n"
    "metafor::rma.mh(n[, 2, 2], n[, 2, 1], n[, 1, 2], n[, 1, 1], measure = 'OR')\n"
    "m <- lapply(split(d, d$region), function(s) MASS::polr(factor(stage) ~ age + arm, s, Hess = TRUE))  # of: ordinal\n"
    "error <- sapply(m, function(f) sqrt(vcov(f)['armtreated', 'armtreated']))\n"
    "metafor::rma(sapply(m, function(f) coef(f)['armtreated']), sei = error)  # mods = ~ nation compares",
    "validate_model": "rms::val.prob(d$risk, d$died)",
    "propensity": "m <- glm(treat ~ age + stage, binomial, d)\n"
    "w <- ifelse(d$treat == 1, 1 / fitted(m), 1 / (1 - fitted(m)))  # of ATE\n"
    "tapply(w, d$treat, function(w) sum(w)^2 / sum(w^2))  # effective people",
    "penalised": "x <- model.matrix(~ age + arm + stage + pressure, d)[, -1]\n"
    "coef(glmnet::glmnet(x, d$died, family = 'binomial'))\n"
    "y <- survival::Surv(d$time, d$event)  # family: cox; glmnet::stratifySurv(y, d$region) for strata\n"
    "coef(glmnet::glmnet(x, y, family = 'cox'))",
}

NULL = "null here"

PAGE = """# {kind}

Written by `tools/question_reference.py` from `{module}` and its example in `tests/law/examples.py`. Arguments, one by one: [questions.md](../questions.md#{kind}).

{text}

## In a study

```yaml
{study}
```

## What comes back

From this example. Counts and rates may be null where a rule suppressed them; `disclosure` and `excluded` come beside every result.

| key | holds |
|---|---|
{keys}

## In R

```r
{r}
```
"""

INDEX = """# Question kinds, a page each

Written by `tools/question_reference.py`: what each kind computes, an example, what comes back, what R calls it. Arguments of all kinds, and keys that any analysis takes: [questions.md](../questions.md).

{lines}
"""


def pages() -> dict[str, str]:
    """File name -> text.

    Raises:
        SystemExit: a kind without an example, or whose equivalent in R is not stated above.
    """
    lacking = [kind for kind in CATALOGUE if kind not in QUESTIONS or kind not in R]
    if lacking:
        raise SystemExit(f"{', '.join(lacking)}: an example in tests/law/examples.py and a line of R in {__file__}")
    made = {f"{kind}.md": page(kind) for kind in CATALOGUE}
    lines = [f"- [{kind}]({kind}.md): {_first(CATALOGUE[kind].question)}" for kind in CATALOGUE]
    return made | {"README.md": INDEX.format(lines="\n".join(lines))}


def page(kind: str) -> str:
    """The page of one kind."""
    statistic, stated = CATALOGUE[kind], QUESTIONS[kind][0]
    question = strict.parse(statistic.question, stated)
    given = example(statistic, question)
    report = run_flow(statistic, question, given.setting, [given.inputs]).report
    return PAGE.format(
        kind=kind,
        module=statistic.question.__module__,
        text=_docstring(statistic.question),
        study="\n".join(["analyses:", "  example:", *_yaml({kind: stated}, 4)]),
        keys="\n".join(f"| `{name}` | {what} |" for name, what in _held(report).items()),
        r=R[kind],
    )


def _docstring(question: type[Any]) -> str:
    return str(sys.modules[question.__module__].__doc__).strip()


def _first(question: type[Any]) -> str:
    """The first sentence of the kind's docstring, less the words that say which kind it is."""
    paragraph = " ".join(_docstring(question).split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z)`])\. ", paragraph)[0].rstrip(".")
    return re.sub(r" \(kinds? `[^)]*\)", "", sentence) + "."


def _yaml(value: Mapping[str, Any], indent: int) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item and indent < 6:
            yield f"{' ' * indent}{_scalar(key)}:"
            yield from _yaml(item, indent + 2)
        else:
            yield f"{' ' * indent}{_scalar(key)}: {_flow(item)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*", value) and value not in {"y", "n", "yes", "no"}
    return str(value) if plain else json.dumps(value)


def _held(report: Any) -> dict[str, str]:
    """Key -> what it holds; of rows that differ, those that have it."""
    found: dict[str, str] = {}
    for name, what in _keys(report):
        if found.get(name, NULL) == NULL:
            found[name] = what
    return found


def _keys(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _keys(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], (Mapping, list)):
        for item in value:
            yield from _keys(item, f"{path}[]")
    else:
        yield path, _kind(value)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "list of " + (_kind(value[0]) + "s" if value else "nothing here")
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): NULL}
    return "empty here" if isinstance(value, Mapping) else names[type(value)]


def main() -> None:
    """Write every page, and remove those of kinds that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
