"""Do samples lie where real rows are, do they lie everywhere there, and are they copies?

In the space of features a row's ball reaches to its k-th nearest of the other rows of its sort, itself not counted:

    precision   share of samples inside a real row's ball                 (Kynkaanniemi et al. 2019, arXiv:1904.06991)
    recall      share of real rows inside a sample's ball
    density     real rows whose ball a sample lies in, by k, mean         (Naeem et al. 2020, arXiv:2002.09797)
    coverage    share of real rows whose ball holds a sample

Rows on the rim are inside, so that equal rows of few values are near each other. Memorisation asks whether samples are
nearer to training rows than to as many rows that nobody was trained on (the idea of Meehan et al. 2020, arXiv:2004.05675),
and how far the nearest of all training rows is (distance to closest record: Park et al. 2018, arXiv:1806.03384).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from plausibly.evaluation.intervals import (
    MIN_UNITS,
    Interval,
    Mean,
    UnitInfluences,
    binomial_interval,
    jackknife,
)
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.judges import single_core

NEIGHBOURS = 5
# what errors are over
BOTH_SORTS = "held-out rows and samples"
HELD_OUT_AND_DRAWS = "held-out rows and draws of samples"
NEAR_SHARE = 0.05
BOOTSTRAPS = 200
PAIRS_PER_BATCH = 1 << 22


def distance_blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Euclidean distances of some of the rows of `a`, and which these are, to all of `b`, until all have had their turn.

    One form for all, so that a distance is the same number whichever row is named first.
    """
    from scipy.spatial.distance import cdist

    at_once = max(1, PAIRS_PER_BATCH // max(len(b), 1))
    for start in range(0, len(a), at_once):
        some = slice(start, min(start + at_once, len(a)))
        yield some, cdist(a[some], b)


@dataclass(frozen=True)
class NeighbourBalls:
    """About each row: its radius, what that is without one of those nearest, (n,) both, and which these are, (n, k)."""

    radius: np.ndarray
    wider: np.ndarray
    nearest: np.ndarray

    @property
    def near(self) -> Any:
        """Sparse (n, n): 1 where the row of the column is one of those nearest to the row of the line."""
        from scipy.sparse import csr_array  # slow to import

        n, k = self.nearest.shape
        return csr_array((np.ones(n * k), self.nearest.ravel(), np.arange(n + 1) * k), shape=(n, n))


def neighbour_balls(rows: np.ndarray, k: int = NEIGHBOURS) -> NeighbourBalls:
    """The balls of rows, more than k + 1: a ball reaches to the k-th nearest other row."""
    radius, wider = np.empty((2, len(rows)))
    nearest = np.empty((len(rows), k), dtype=np.int64)
    for some, apart in distance_blocks(rows, rows):
        # itself comes first, whatever equals it
        apart[np.arange(len(apart)), np.arange(some.start, some.stop)] = -1.0
        order = np.argpartition(apart, (k, k + 1), axis=1)[:, : k + 2]
        radius[some], wider[some] = np.take_along_axis(apart, order, 1)[:, k : k + 2].T
        others = [line[line != own][:k] for own, line in enumerate(order, some.start)]
        nearest[some] = np.array(others)
    return NeighbourBalls(radius, wider, nearest)


@dataclass(frozen=True)
class LeaveOneOut:
    """A number, and the same without each of the real rows, (n,), and without each of the samples, (m,).

    `most` is what it can be: of a share 1.
    """

    value: float
    without_real: np.ndarray
    without_made: np.ndarray
    most: float = 1.0

    def number(
        self, by: str, perfect: float, reference: float | None, groups: np.ndarray | None
    ) -> Number:
        """With its standard error; where there is a reference, that is perfect: equal rows raise all four."""
        whose = f"{perfect:.3g}" if reference is None else "real rows'"
        moved = UnitInfluences((jackknife(self.without_real, groups), jackknife(self.without_made)))
        return Number(
            self.value,
            moved.error,
            len(self.without_made),
            by,
            f"higher is better; {whose} is perfect",
            perfect if reference is None else reference,
            reference=reference,
            interval=self._interval(moved),
            over=BOTH_SORTS,
        )

    def _interval(self, moved: UnitInfluences) -> Interval | None:
        if self.most == 1:
            return moved.interval_of_share(self.value, len(self.without_made))
        return moved.interval(self.value, 0.0, self.most)


def neighbour_numbers(
    real: np.ndarray, made: np.ndarray, k: int = NEIGHBOURS
) -> dict[str, LeaveOneOut]:
    """The four numbers of features (n, d) and (m, d), both more than k + 1."""
    ours, theirs = neighbour_balls(real, k), neighbour_balls(made, k)
    apart = np.concatenate([few for _, few in distance_blocks(real, made)])
    inside, total, held = count_balls(apart, ours)
    within, _, found = count_balls(apart.T, theirs)
    return {
        "precision": LeaveOneOut(float((inside > 0).mean()), held, leave_one_out(inside > 0)),
        "recall": LeaveOneOut(float((within > 0).mean()), leave_one_out(within > 0), found),
        "density": LeaveOneOut(
            float(inside.mean() / k), total / k, leave_one_out(inside / k), np.inf
        ),
        "coverage": ball_coverage(apart, ours),
    }


def count_balls(
    apart: np.ndarray, own: NeighbourBalls
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In how many balls each point is, (points,); and its mean, and the share of points in any, without each ball's row.

    `apart` holds the distances of the balls' rows to points, (balls, points); without a row others' balls grow.
    """
    within = apart <= own.radius[:, None]
    grown = ((apart <= own.wider[:, None]) & ~within).astype(np.float32)
    count, near = within.sum(0), own.near.T.astype(np.float32).tocsr()
    means, shares = np.empty(len(apart)), np.empty(len(apart))
    for start in range(0, len(apart), 256):
        some = slice(start, start + 256)
        left = count - within[some] + near[some] @ grown
        means[some], shares[some] = left.mean(1), (left > 0.5).mean(1)
    return count, means, shares


def leave_one_out(each: np.ndarray) -> np.ndarray:
    """The mean without each of the rows that are averaged."""
    return np.asarray((each.sum() - each) / (len(each) - 1))


def ball_coverage(apart: np.ndarray, own: NeighbourBalls) -> LeaveOneOut:
    """The share of real rows whose ball holds a sample, from their distances, (real, samples)."""
    within = apart <= own.radius[:, None]
    count = within.sum(1)
    held, gained = count > 0, (count == 0) & (apart <= own.wider[:, None]).any(1)
    lone = within[count == 1].sum(0)  # rows that only this sample covers
    without = (held.sum() - held + own.near.T @ gained.astype(np.float64)) / (len(held) - 1)
    return LeaveOneOut(float(held.mean()), without, (held.sum() - lone) / len(held))


def mean_coverage(real: int, made: int, k: int = NEIGHBOURS) -> float:
    """The mean coverage of so many samples of the law of the real rows, without ties (Naeem et al. 2020, equation 9).

    None of them is among the k nearest of a row's real - 1 + made neighbours with this probability's complement.
    """
    others = np.arange(k)
    return float(1 - np.prod((real - 1 - others) / (real - 1 + made - others)))


def coverage_numbers(
    real: np.ndarray,
    made: np.ndarray,
    by: str,
    training: np.ndarray | None = None,
    k: int = NEIGHBOURS,
    groups: np.ndarray | None = None,
) -> dict[str, Number]:
    """Precision, recall, density and coverage, with `training` rows' as the reference; `groups` of the real rows.

    Standard errors are a jackknife's over both sorts of rows, whose balls are drawn anew: rather large (Efron & Stein 1981).
    """
    found = neighbour_numbers(real, made, k)
    plain = None if training is None else neighbour_numbers(real, training, k)
    perfect = {"density": 1.0, "coverage": mean_coverage(len(real), len(made), k)}
    return {
        name: each.number(
            by, perfect.get(name, 1.0), None if plain is None else plain[name].value, groups
        )
        for name, each in found.items()
    }


def nearest_rows(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the index of the nearest of the others, and its distance, (n,) both."""
    index, distance = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    for some, apart in distance_blocks(rows, others):
        index[some] = apart.argmin(1)
        distance[some] = apart.min(1)
    return index, distance


def nearer_to_training(made: np.ndarray, train: np.ndarray, control: np.ndarray, by: str) -> Number:
    """Share of samples whose nearest row, of as many training as control rows, is a training row; ties count half.

    The standard error is that among shuffled labels of the training and control rows: sqrt(sum of c^2) / (2 samples),
    with c the samples that a row is the nearest of. A few rows that are near to all make it large.
    """
    at_train, to_train = nearest_rows(made, train)
    at_control, to_control = nearest_rows(made, control)
    close, tied = to_train < to_control, to_train == to_control
    winners = np.where(close, at_train, len(train) + at_control)[~tied]
    counts = np.bincount(winners)
    error = float(np.sqrt((counts**2.0).sum()) / (2 * len(made)))
    share = float((close + 0.5 * tied).mean())
    interval = normal_interval(share, error) if len(made) >= MIN_UNITS else None
    told: dict[str, Any] = {"interval": interval, "over": "samples and control rows"}
    better = "0.5 is perfect; above: copies"
    return Number(share, error, len(made), by, better, 0.5, **told)


def normal_interval(share: float, error: float) -> Interval:
    """An interval of 95 % for a share, by the normal law."""
    reach = 1.959964 * error
    return max(share - reach, 0.0), min(share + reach, 1.0)


def copy_share(made: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> Number:
    """Share of samples that equal a training row, with that of held-out rows as the reference; (n, width) of one type."""
    known = {row.tobytes() for row in train}
    ours, theirs = (
        np.array([row.tobytes() in known for row in rows], dtype=np.float64)
        for rows in (made, held_out)
    )
    found, reference = Mean(ours), float(theirs.mean())
    better = "lower is better; real rows' is perfect"
    told: dict[str, Any] = {
        "reference": reference,
        "interval": found.interval_of_share,
        "over": "samples",
    }
    return Number(found.value, found.error, len(made), "equal values", better, reference, **told)


def closest_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each row to the nearest of the others, (n,): of many, faster than `nearest`."""
    from sklearn.metrics import pairwise_distances_argmin

    with single_core():
        return np.asarray(
            np.linalg.norm(rows - others[pairwise_distances_argmin(rows, others)], axis=1)
        )


def closest_records(
    made: np.ndarray, held_out: np.ndarray, train: np.ndarray, by: str
) -> dict[str, Number]:
    """The median distance of samples to the nearest training row, and the share nearer than 5 % of held-out rows are.

    Of what is at just that distance the share counts by which held-out rows come to 5 %. Standard errors are a bootstrap's
    over samples, and over rows of both sorts. Intervals are of ranks: that of the median, and of the share at the ranks
    between which the 5 % quantile of held-out rows lies; they hold 95 % or more, whatever the distances are.
    """
    ours, theirs = closest_distances(made, train), closest_distances(held_out, train)
    typical, near = typical_distance(ours, theirs, by), near_share(ours, theirs, by)
    return {"closest_record": typical, "near_records": near}


def typical_distance(ours: np.ndarray, theirs: np.ndarray, by: str) -> Number:
    """The median of our distances, with that of theirs as the reference."""
    picks = np.random.default_rng(46).integers(0, len(ours), (BOOTSTRAPS, len(ours)))
    reference = float(np.median(theirs))
    return Number(
        float(np.median(ours)),
        float(np.median(ours[picks], 1).std(ddof=1)),
        len(ours),
        by,
        "real rows' is perfect; below: near copies",
        reference,
        reference=reference,
        interval=median_interval(ours),
        over="samples",
    )


def near_share(ours: np.ndarray, theirs: np.ndarray, by: str) -> Number:
    """The share of our distances below the 5 % quantile of theirs."""
    limit = np.quantile(theirs, NEAR_SHARE, method="inverted_cdf")
    at = (NEAR_SHARE - (theirs < limit).mean()) / (theirs == limit).mean()
    near, usual = ((each < limit) + at * (each == limit) for each in (ours, theirs))
    error = float(np.sqrt(near.var(ddof=1) / len(near) + usual.var(ddof=1) / len(usual)))
    told: dict[str, Any] = {"interval": near_interval(ours, theirs), "over": BOTH_SORTS}
    told["reference"] = NEAR_SHARE
    better = f"{NEAR_SHARE} is perfect; above: near copies"
    value = float(near.mean())
    return Number(value, error, len(near), by, better, NEAR_SHARE, **told)


def quantile_ranks(rows: int, share: float, level: float) -> tuple[int, int]:
    """The ranks, from 1, between which a quantile of so many draws lies but for (1 - level) / 2 on either side; 0 and
    rows + 1 where it may lie beyond all."""
    from scipy.stats import binom  # slow to import

    beyond = (1 - level) / 2
    return int(binom.ppf(beyond, rows, share)), int(binom.ppf(1 - beyond, rows, share)) + 1


def median_interval(each: np.ndarray) -> Interval | None:
    """An interval of 95 % or more for the median that numbers were drawn about."""
    if len(each) < MIN_UNITS:
        return None
    low, high = quantile_ranks(len(each), 0.5, 0.95)
    ordered = np.sort(each)
    return float(ordered[low - 1]), float(ordered[high - 1])


def near_interval(ours: np.ndarray, theirs: np.ndarray) -> Interval | None:
    """An interval of 95 % or more for the share of ours below the 5 % quantile of theirs: 97.5 % for each of the two."""
    if min(len(ours), len(theirs)) < MIN_UNITS:
        return None
    low, high = quantile_ranks(len(theirs), NEAR_SHARE, 0.975)
    ordered = np.concatenate([[-np.inf], np.sort(theirs), [np.inf]])
    fewest, most = (ours < ordered[low]).mean(), (ours <= ordered[high]).mean()
    return binomial_interval(float(fewest), len(ours), 0.975)[0], binomial_interval(
        float(most), len(ours), 0.975
    )[1]
