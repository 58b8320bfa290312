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

import numpy as np

from plausibly.evaluation.judges import single_core
from plausibly.evaluation.numbers import Number

NEIGHBOURS = 5
NEAR, BOOTSTRAPS = 0.05, 200
PAIRS_AT_ONCE = 1 << 22


def distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Euclidean distances of some of the rows of `a`, and which these are, to all of `b`, until all have had their turn.

    One form for all, so that a distance is the same number whichever row is named first.
    """
    from scipy.spatial.distance import cdist

    at_once = max(1, PAIRS_AT_ONCE // max(len(b), 1))
    for start in range(0, len(a), at_once):
        some = slice(start, min(start + at_once, len(a)))
        yield some, cdist(a[some], b)


def radii(rows: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Distance of each row to its k-th nearest other row, (n,)."""
    found = np.empty(len(rows))
    for some, apart in distances(rows, rows):
        apart[np.arange(len(apart)), np.arange(some.start, some.stop)] = -1.0  # itself comes first, whatever equals it
        found[some] = np.partition(apart, k, axis=1)[:, k]
    return found


@dataclass(frozen=True)
class Placed:
    """The four numbers before they are averaged: bool (samples,), bool (real,), (samples,), bool (real,)."""

    precise: np.ndarray
    recalled: np.ndarray
    density: np.ndarray
    covered: np.ndarray


def placed(real: np.ndarray, made: np.ndarray, k: int = NEIGHBOURS) -> Placed:
    """Of features (n, d) and (m, d), both more than k."""
    own_real, own_made = radii(real, k), radii(made, k)
    inside, recalled, covered = np.zeros(len(made)), np.empty(len(real), dtype=bool), np.empty(len(real), dtype=bool)
    for some, apart in distances(real, made):
        within = apart <= own_real[some, None]
        inside += within.sum(0)
        covered[some] = within.any(1)
        recalled[some] = (apart <= own_made[None]).any(1)
    return Placed(inside > 0, recalled, inside / k, covered)


def expected_coverage(real: int, made: int, k: int = NEIGHBOURS) -> float:
    """The mean coverage of so many samples of the law of the real rows, without ties (Naeem et al. 2020, equation 9).

    None of them is among the k nearest of a row's real - 1 + made neighbours with this probability's complement.
    """
    others = np.arange(k)
    return float(1 - np.prod((real - 1 - others) / (real - 1 + made - others)))


def coverage_numbers(
    real: np.ndarray, made: np.ndarray, by: str, training: np.ndarray | None = None, k: int = NEIGHBOURS
) -> dict[str, Number]:
    """Precision, recall, density and coverage, with `training` rows' as the reference.

    Standard errors are over the rows that are averaged, given the balls of the others.
    """
    found, plain = placed(real, made, k), None if training is None else placed(real, training, k)
    perfect = {"density": 1.0, "coverage": expected_coverage(len(real), len(made), k)}
    fields = {"precision": "precise", "recall": "recalled", "density": "density", "coverage": "covered"}
    return {
        name: averaged(
            getattr(found, field),
            by,
            perfect.get(name, 1.0),
            np.inf if name == "density" else 1.0,
            None if plain is None else float(getattr(plain, field).mean()),
        )
        for name, field in fields.items()
    }


def averaged(each: np.ndarray, by: str, perfect: float, most: float, reference: float | None) -> Number:
    """The mean with its standard error; where there is a reference, that is perfect: equal rows raise all four."""
    error = float(each.std(ddof=1) / np.sqrt(len(each)))
    whose, perfect = (f"{perfect:.3g}", perfect) if reference is None else ("real rows'", reference)
    better = f"higher is better; {whose} is perfect"
    return Number(float(each.mean()), error, len(each), by, better, perfect, 0.0, most, reference=reference)


def nearest(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the index of the nearest of the others, and its distance, (n,) both."""
    index, distance = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    for some, apart in distances(rows, others):
        index[some] = apart.argmin(1)
        distance[some] = apart.min(1)
    return index, distance


def nearer_to_training(made: np.ndarray, train: np.ndarray, control: np.ndarray, by: str) -> Number:
    """Share of samples whose nearest row, of as many training as control rows, is a training row; ties count half.

    The standard error is that among shuffled labels of the training and control rows: sqrt(sum of c^2) / (2 samples),
    with c the samples that a row is the nearest of. A few rows that are near to all make it large.
    """
    (at_train, to_train), (at_control, to_control) = nearest(made, train), nearest(made, control)
    close, tied = to_train < to_control, to_train == to_control
    winners = np.where(close, at_train, len(train) + at_control)[~tied]
    counts = np.bincount(winners, minlength=1)
    error = float(np.sqrt((counts**2.0).sum()) / (2 * len(made)))
    share = float((close + 0.5 * tied).mean())
    return Number(share, error, len(made), by, "0.5 is perfect; above: copies", 0.5, 0.0, 1.0)


def copied(made: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> Number:
    """Share of samples that equal a training row, with that of held-out rows as the reference; (n, width) of one type."""
    known = {row.tobytes() for row in train}
    ours, theirs = (np.array([row.tobytes() in known for row in rows]) for rows in (made, held_out))
    error, reference = float(ours.std(ddof=1) / np.sqrt(len(made))), float(theirs.mean())
    better = "lower is better; real rows' is perfect"
    return Number(
        float(ours.mean()), error, len(made), "equal values", better, reference, 0.0, 1.0, reference=reference
    )


def closest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each row to the nearest of the others, (n,): of many, faster than `nearest`."""
    from sklearn.metrics import pairwise_distances_argmin

    with single_core():
        return np.asarray(np.linalg.norm(rows - others[pairwise_distances_argmin(rows, others)], axis=1))


def closest_records(made: np.ndarray, held_out: np.ndarray, train: np.ndarray, by: str) -> dict[str, Number]:
    """How far samples are from the nearest training row, the median, and how many are nearer than 5 % of held-out rows are.

    Of what is at just that distance the share counts by which held-out rows come to 5 %. Standard errors are a bootstrap's
    over samples, and over rows of both sorts.
    """
    ours, theirs = closest(made, train), closest(held_out, train)
    picks = np.random.default_rng(46).integers(0, len(ours), (BOOTSTRAPS, len(ours)))
    error, reference = float(np.median(ours[picks], 1).std(ddof=1)), float(np.median(theirs))
    better = "real rows' is perfect; below: near copies"
    typical = Number(float(np.median(ours)), error, len(ours), by, better, reference, 0.0, reference=reference)
    limit = np.quantile(theirs, NEAR, method="inverted_cdf")
    at = (NEAR - (theirs < limit).mean()) / (theirs == limit).mean()
    near, usual = ((each < limit) + at * (each == limit) for each in (ours, theirs))
    error = float(np.sqrt(near.var(ddof=1) / len(near) + usual.var(ddof=1) / len(usual)))
    better = f"{NEAR} is perfect; above: near copies"
    return {
        "closest_record": typical,
        "near_records": Number(float(near.mean()), error, len(near), by, better, NEAR, 0.0, 1.0, reference=NEAR),
    }
