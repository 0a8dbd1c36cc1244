"""Exponential families and their links: what one piece of rows contributes.

The score of a row is w s x with s = (y - mu) mu' / V(mu), its expected information w mu'**2 / V(mu) x x', w the prior
weight. With a canonical link these are y - mu and V(mu), which `_gaussian`, `_binomial` and `_poisson` do fast; then
expected and observed information agree and scoring converges quadratically. Other links go through `links.py` and also
give the `correction` that makes expected information observed.
Reference: McCullagh & Nelder (1989), chapter 2. Starting values are those of R's `family()$initialize`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from isthmus.statistics import links
from isthmus.statistics.links import Link
from isthmus.summary import FloatArray

# exp(23) = 1e10 expected events in one row: beyond any count, and rows times this squared stay inside Z_2^128
LARGEST_ETA = 23.0
TINY = 2.0**-1022  # its logarithm is finite
# Added to the deviance for each unit by which a row's predictor lies where it has no mean: such a step is halved
BARRIER = 1e9


@dataclass(frozen=True, slots=True)
class Work:
    """Reused arrays of one piece: filled with `residual` s and `weight`; `spare` is scratch, or the correction."""

    residual: FloatArray
    weight: FloatArray
    spare: FloatArray

    def head(self, rows: int) -> Work:
        """The first `rows` of each."""
        return Work(self.residual[:rows], self.weight[:rows], self.spare[:rows])


@dataclass(frozen=True, slots=True)
class Family:
    """One family with one link.

    Attributes:
        base: the family behind a quasi-family; else the name.
        estimated: the dispersion is estimated (t tests, one more parameter in `aic`).
        likelihood: it has one; a quasi-family has not.
        canonical: `evaluate` leaves no correction.
        bounded: some linear predictors have no mean, so scoring starts from the pooled mean.
        predictor: mean -> linear predictor, of one number.
        start: (y, prior or 1) -> (eta, (y - mu) / mu', weight) to begin scoring from.
        evaluate: (eta, y, prior, work) -> deviance; fills `work`, may overwrite eta.
        constant: (y, prior or 1) -> log-likelihood of the saturated model, as R's `aic` counts it.
        low, high: the linear predictors evaluated at; of a bounded link those with a mean.
    """

    name: str
    base: str
    link: str
    estimated: bool
    likelihood: bool
    canonical: bool
    bounded: bool
    predictor: Callable[[float], float]
    start: Callable[[FloatArray, FloatArray | float], tuple[FloatArray, FloatArray, FloatArray]]
    evaluate: Callable[[FloatArray, FloatArray, FloatArray | None, Work], float]
    constant: Callable[[FloatArray, FloatArray | float], float]
    low: float
    high: float

    @property
    def pearson(self) -> bool:
        """The dispersion is Pearson's statistic over n - p, and that is not the deviance."""
        return self.estimated and self.base != "gaussian"


@dataclass(frozen=True, slots=True)
class _Base:
    """A family without its link: V and V' of a `Mean`, unit deviances (rows,), starting means."""

    variance: Callable[[links.Mean], tuple[FloatArray, FloatArray]]
    deviance: Callable[[FloatArray, links.Mean], FloatArray]
    first: Callable[[FloatArray, FloatArray | float], FloatArray]


def _sum(values: FloatArray, prior: FloatArray | None) -> float:
    return float(values.sum() if prior is None else values @ prior)


def _gaussian(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    np.subtract(y, eta, out=work.residual)
    work.weight.fill(1.0)
    np.multiply(work.residual, work.residual, out=work.spare)
    return _sum(work.spare, prior)


def _nothing(y: FloatArray, prior: FloatArray | float) -> float:
    return 0.0


def _binomial(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    """2 sum w (log(1 + exp(-|eta|)) + max(eta, 0) - y eta), from one exponential."""
    power, root, spare = work.weight, work.residual, work.spare
    np.abs(eta, out=power)
    np.negative(power, out=power)
    np.exp(power, out=power)
    np.add(power, 1.0, out=spare)
    np.divide(1.0, spare, out=root)  # 1 / (1 + exp(-|eta|))
    np.multiply(power, root, out=power)
    np.multiply(power, root, out=power)  # V(mu)
    np.log(spare, out=spare)
    deviance = _sum(spare, prior)
    np.maximum(eta, 0.0, out=spare)
    deviance += _sum(spare, prior)
    np.multiply(y, eta, out=spare)
    deviance -= _sum(spare, prior)
    np.subtract(root, 0.5, out=root)
    np.copysign(root, eta, out=root)  # mu - 1/2
    np.subtract(y, root, out=root)
    np.subtract(root, 0.5, out=root)
    return 2.0 * deviance


def _poisson(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    """2 sum w (y (log y - eta) - (y - mu)); the difference of logs first, so that large counts keep their digits."""
    mean, spare = work.weight, work.spare
    np.minimum(eta, LARGEST_ETA, out=eta)
    np.exp(eta, out=mean)
    np.subtract(y, mean, out=work.residual)
    np.maximum(y, TINY, out=spare)  # times 0
    np.log(spare, out=spare)
    np.subtract(spare, eta, out=spare)
    np.multiply(spare, y, out=spare)
    np.subtract(spare, work.residual, out=spare)
    return 2.0 * _sum(spare, prior)


def _poisson_constant(y: FloatArray, prior: FloatArray | float) -> float:
    return float(np.sum(prior * (special.xlogy(y, y) - y - special.gammaln(y + 1.0))))


def _evaluate(base: _Base, link: Link, eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    """Any family with any link; `spare` ends as what makes expected information observed."""
    inside = np.clip(eta, link.low, link.high)
    at = link.mean(inside)
    variance, slope = base.variance(at)
    gap = y - at.mean
    share = at.first / variance
    np.multiply(gap, share, out=work.residual)
    np.multiply(at.first, share, out=work.weight)
    np.multiply(-gap, at.second / variance - share * share * slope, out=work.spare)
    deviance = _sum(base.deviance(y, at), prior)
    return deviance + (BARRIER * float(np.abs(eta - inside).sum()) if link.bounded else 0.0)


def _start(
    base: _Base, link: Link, y: FloatArray, prior: FloatArray | float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    eta = np.clip(link.eta(base.first(y, prior)), link.low, link.high)
    at = link.mean(eta)
    variance, _ = base.variance(at)
    return eta, (y - at.mean) / at.first, at.first * at.first / variance


def _squares(y: FloatArray, at: links.Mean) -> FloatArray:
    found: FloatArray = np.square(y - at.mean)
    return found


def _binomial_deviances(y: FloatArray, at: links.Mean) -> FloatArray:
    found: FloatArray = np.asarray(special.xlogy(y, at.mean) + special.xlogy(1.0 - y, at.rest), dtype=np.float64) * -2.0
    return found


_BASES: Mapping[str, _Base] = {
    "gaussian": _Base(lambda at: (np.ones_like(at.mean), np.zeros_like(at.mean)), _squares, lambda y, _: y),
    "binomial": _Base(
        lambda at: (at.mean * at.rest, at.rest - at.mean),
        _binomial_deviances,
        lambda y, w: (w * y + 0.5) / (w + 1.0),
    ),
    "poisson": _Base(
        lambda at: (at.mean, np.ones_like(at.mean)),
        lambda y, at: 2.0 * (special.xlogy(y, y / at.mean) - (y - at.mean)),
        lambda y, _: y + 0.1,
    ),
    "gamma": _Base(
        lambda at: (at.mean**2, 2.0 * at.mean),
        lambda y, at: 2.0 * ((y - at.mean) / at.mean - np.log(y / at.mean)),
        lambda y, _: y,
    ),
    "inverse_gaussian": _Base(
        lambda at: (at.mean**3, 3.0 * at.mean**2),
        lambda y, at: _squares(y, at) / (y * at.mean * at.mean),
        lambda y, _: y,
    ),
}
_FAST = {("gaussian", "identity"): _gaussian, ("binomial", "logit"): _binomial, ("poisson", "log"): _poisson}
_CONSTANTS = {"poisson": _poisson_constant}
_LINKS: Mapping[str, tuple[Link, ...]] = {  # the first is the one taken when none is stated, as in R
    "gaussian": (links.IDENTITY,),
    "binomial": (links.LOGIT, links.PROBIT, links.CLOGLOG, links.LOG_SHARE, links.SHARE),
    "poisson": (links.LOG, links.POSITIVE),
    "gamma": (links.INVERSE, links.LOG, links.POSITIVE),
    "inverse_gaussian": (links.INVERSE_SQUARE, links.LOG, links.INVERSE, links.POSITIVE),
}
_CANONICAL = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}
_CANONICAL |= {"inverse_gaussian": "1/mu^2"}
POSITIVE_OUTCOME = frozenset({"gamma", "inverse_gaussian"})


def link_names(family: str) -> tuple[str, ...]:
    """Links that a family may have, the usual one first."""
    return tuple(link.name for link in _LINKS[family.removeprefix("quasi")])


def _made(name: str, base: str, link: Link) -> Family:
    parts = _BASES[base]
    return Family(
        name=name,
        base=base,
        link=link.name,
        estimated=name != base or base in {"gaussian", *POSITIVE_OUTCOME},
        likelihood=name == base,
        canonical=link.name == _CANONICAL[base],
        bounded=link.bounded,
        predictor=lambda mean: float(link.eta(np.array([mean]))[0]),
        start=partial(_start, parts, link),
        evaluate=_FAST.get((base, link.name)) or partial(_evaluate, parts, link),
        constant=_CONSTANTS.get(base, _nothing),
        low=link.low,
        high=link.high,
    )


FAMILIES: Mapping[tuple[str, str], Family] = {
    (name, link.name): _made(name, name.removeprefix("quasi"), link)
    for name in (*_BASES, "quasibinomial", "quasipoisson")
    for link in _LINKS[name.removeprefix("quasi")]
}


def null_deviance(family: Family, total: float, responses: float, saturated: float) -> float:
    """Deviance of the common mean, from pooled sums; not for gaussian.

    `total` is the sum of prior weights w, `responses` of w y, `saturated` as `saturated_sum` gives it.
    """
    mean = responses / total
    match family.base:
        case "binomial":
            rest = total - responses
            return -2.0 * (responses * math.log(mean) + rest * math.log1p(-mean))
        case "poisson":
            return 2.0 * (saturated - (responses * math.log(mean) - responses))
        case "gamma":
            return 2.0 * (total * math.log(mean) - saturated)
        case _:
            return saturated - total / mean


def saturated_sum(family: Family, y: FloatArray, prior: FloatArray | float) -> float:
    """The sum that the null deviance needs: w (y log y - y), w log y or w / y by family, else 0."""
    match family.base:
        case "poisson":
            return float(np.sum(prior * (special.xlogy(y, y) - y)))
        case "gamma":
            return float(np.sum(prior * np.log(y)))
        case "inverse_gaussian":
            return float(np.sum(prior / y))
        case _:
            return 0.0
