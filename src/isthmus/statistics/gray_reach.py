"""How far incidences and Gray's statistic on a grid can be from those of the recorded times.

Inside a step nobody knows the order of events and censoring. An event adds S(t-) / n(t) to its cause's incidence, which only
those censored before it raise. So the incidence gains most in a step when the other causes' events come first, then all
censoring, and least when the cause's own come first; a step begins highest when all censoring before came after the events,
lowest when it came before them. Gray's score weighs a group by R = w (1 - F), w = n / S, those at risk had nobody had an event:
R falls by exactly 1 with an event of the cause, stays with another, and falls with censoring. Score and variance follow from
the ends of w, F and S in each step, and the statistic from theirs as that of the log-rank test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.statistics import linear
from isthmus.statistics.gray import Contrast
from isthmus.statistics.log_rank_reach import Reach, farthest, gap_ends
from isthmus.summary import FloatArray

Ends = tuple[FloatArray, FloatArray]  # least and largest


@dataclass(frozen=True, slots=True)
class Steps:
    """Counts (groups, steps): at risk at the start, events of the cause and of others, censored."""

    risk: FloatArray
    events: FloatArray
    others: FloatArray
    censored: FloatArray

    @property
    def left(self) -> FloatArray:
        """At risk after the step."""
        return self.risk - self.events - self.others - self.censored


def incidence_reach(at: Steps) -> Ends:
    """Least and largest incidence (groups, steps) after each step."""
    rises = _rises(at)
    return np.add.accumulate(rises[0], axis=-1), np.minimum(np.add.accumulate(rises[1], axis=-1), 1.0)


def gray_bound(at: Steps, found: Contrast) -> float | None:
    """Largest distance of Gray's statistic of two groups or more with rows; None where the steps are too wide to say."""
    weight, free = _weights(at), _free(at)
    gaps = gap_ends(at.events[None], free, (_rest(free[0])[None], _rest(free[1])[None]), _ones(at))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        low, high = _variance(at, weight)
    if not bool(np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    gap = np.maximum(gaps[1] - found.score, found.score - gaps[0])
    far = np.maximum(high - found.variance, found.variance - low)
    spreads = np.array([np.maximum(np.diag(low), 0.0), np.diag(high)])
    return farthest(found.score, np.ones(len(gap)), found.variance, Reach(gap, far, gaps, spreads))


def _ones(at: Steps) -> Ends:
    ones = np.ones((1, at.risk.shape[1]))
    return ones, ones


def _alive(at: Steps) -> Ends:
    """Least and largest share (groups, steps) without any event at the start of a step, from its first on."""
    every = at.events + at.others
    low = _before(np.multiply.accumulate(1.0 - every / np.maximum(at.risk - at.censored, 1.0), axis=-1), 1.0)
    return np.maximum(low, 0.0), _before(np.multiply.accumulate(1.0 - every / np.maximum(at.risk, 1.0), axis=-1), 1.0)


def _before(after: FloatArray, start: float) -> FloatArray:
    return np.concatenate([np.full((*after.shape[:-1], 1), start), after[..., :-1]], axis=-1)


def _rises(at: Steps) -> Ends:
    """Least and largest rise of the incidence in each step."""
    low, high = (alive * at.events / np.maximum(at.risk, 1.0) for alive in _alive(at))
    last = at.risk - at.others
    return low, high * last / np.maximum(last - at.censored, 1.0)


def _weights(at: Steps) -> Ends:
    """Of w = n / S inside each step; 0 where the group may have ended."""
    low, high = _alive(at)
    most = np.divide(at.risk, low, out=np.zeros_like(low), where=low > 0.0)
    start = np.divide(at.risk, high, out=np.zeros_like(high), where=high > 0.0)
    return np.maximum(start * at.left / np.maximum(at.left + at.censored, 1.0), at.left), most


def _free(at: Steps) -> tuple[FloatArray, FloatArray]:
    """Largest and least R = w (1 - F), each (1, groups, steps)."""
    low, high = incidence_reach(at)
    least, most = _weights(at)
    return (most * (1.0 - _before(low, 0.0)))[None], np.maximum(least * (1.0 - high), at.left)[None]


def _rest(values: FloatArray) -> FloatArray:
    """Sum over all other groups; (1, groups, steps) or (groups, steps)."""
    flat = values.reshape(values.shape[-2:])
    total: FloatArray = flat.sum(axis=0, keepdims=True)
    return total - flat


def _variance(at: Steps, weight: Ends) -> Ends:
    """Ends (groups, groups) of the sum over events in group k of the products of what they do to the scores g and h.

    An event of the cause does w_k (1[g = k] - share_g + rho_gk (1 / w_k - m_k)), one of another cause - w_k m_k rho_gk, with
    m_k = (1 - pooled incidence) / at risk after it and rho_gk the later sum of what such an event is compared with.
    """
    groups, left = len(at.risk), at.left
    least, most = weight
    deaths = at.events.sum(axis=0)
    share = least / np.maximum(least + _rest(most), 1.0), np.minimum(most / np.maximum(most + _rest(least), 1.0), 1.0)
    stay = _pooled(at, weight, share[1])
    after = np.maximum(left, 1.0)
    thin = np.where(left > 0.0, stay[0] / np.maximum(at.risk, 1.0), 0.0), stay[1] / after
    turn = 1.0 / np.maximum(most, 1.0) - thin[1], 1.0 / np.maximum(least, after) - thin[0]
    later = _later(deaths, share, stay)
    own = np.eye(groups)[:, :, None]
    tied = np.maximum(
        1.0 - np.maximum(deaths - 1.0, 0.0) / np.maximum(least.sum(axis=0) * _alive_after(at) - 1.0, 1.0), 0.0
    )
    size = deaths * share[0] * tied, deaths * share[1]
    other = at.others * np.where(at.others > 1.0, left / np.maximum(left + at.others - 1.0, 1.0), left > 0.0), at.others
    direct = own - share[1][:, None, :], own - share[0][:, None, :]
    effects = _sum(direct, _times(later, _wide(turn))), _times(later, _wide(thin))
    return _sum(_products(effects[0], size), _products(effects[1], other))


def _alive_after(at: Steps) -> FloatArray:
    """Least share without any event while the step lasts."""
    every = at.events + at.others
    return np.maximum(np.multiply.accumulate(1.0 - every / np.maximum(at.risk - at.censored, 1.0), axis=-1), 0.0)


def _pooled(at: Steps, weight: Ends, share: FloatArray) -> Ends:
    """Ends (steps,) of 1 less the pooled incidence inside a step. It rises by 1 / (sum of w), a mean of the groups' own rises."""
    deaths = at.events.sum(axis=0)
    low = deaths / np.maximum(weight[1].sum(axis=0), 1.0)
    high = np.minimum(deaths / np.maximum(weight[0].sum(axis=0), 1.0), (share * _rises(at)[1]).sum(axis=0))
    return np.maximum(1.0 - np.add.accumulate(high), 0.0), 1.0 - _before(np.add.accumulate(low), 0.0)


def _later(deaths: FloatArray, share: Ends, stay: Ends) -> Ends:
    """Ends (groups, groups, steps) of the sum of share_k (1[g = k] - share_g) / stay over the events after one of the step."""
    own = [end * (1.0 - end) for end in share]
    peak = np.where((share[0] < 0.5) & (share[1] > 0.5), 0.25, np.maximum(*own))
    least, most = (-(end[:, None, :] * end[None, :, :]) for end in reversed(share))
    for g in range(len(least)):
        least[g, g], most[g, g] = np.minimum(*own)[g], peak[g]
    per = np.divide(deaths, stay[1]), np.divide(deaths, stay[0], out=np.zeros_like(deaths), where=deaths > 0.0)
    low, high = _times((least, most), per)
    return _tail(low) + np.minimum(low, 0.0), _tail(high) + np.maximum(high, 0.0)


def _tail(values: FloatArray) -> FloatArray:
    """Sum over all later steps."""
    whole = np.add.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([whole[..., 1:], np.zeros((*whole.shape[:-1], 1))], axis=-1)


def _wide(ends: Ends) -> Ends:
    return ends[0][None], ends[1][None]


def _sum(left: Ends, right: Ends) -> Ends:
    return left[0] + right[0], left[1] + right[1]


def _times(left: Ends, right: Ends) -> Ends:
    corners = [a * b for a in left for b in right]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _products(effect: Ends, size: Ends) -> Ends:
    """Sums (groups, groups) over groups k and steps of size_k x effect_gk x effect_hk."""
    groups = len(effect[0])
    found = np.zeros((2, groups, groups))
    for g in range(groups):
        for h in range(groups):
            low, high = _times((effect[0][g], effect[1][g]), (effect[0][h], effect[1][h]))
            if g == h:
                low = np.where((effect[0][g] < 0.0) & (effect[1][g] > 0.0), 0.0, low)
            ends = _times((low, high), size)
            found[:, g, h] = [float(linear.total(end.reshape(-1))) for end in ends]
    return found[0], found[1]
