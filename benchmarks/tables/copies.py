"""Are samples nearer to the rows that the fit saw than fresh real rows are, and do they repeat them?

`nearer`: the share whose nearest row, of as many training rows as held-out ones, is a training row, ties by half. The
distance is Gower's, with numbers by their ranks among real rows (Podani 1999): the mean over columns of the difference of
ranks, of 0 or 1 between levels; a hole is a level, and 1 or more away from every number. Half of the held-out rows are
those that stand against training rows, at most 5,000; the others are asked like samples, and give `fresh`. Errors are those
among shuffled labels of the two sorts of rows: a row that is near to many counts once.
`copies`: the share equal to any training row, of all held-out rows for `fresh`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from benchmarks.tables.fits import Trial, Work
from benchmarks.tables.judge import encode
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table

MAX_ROWS = 5_000
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Share:
    """A share and its standard error."""

    value: float
    error: float


def measure_copies(table: Table, work: Work) -> Iterator[Line]:
    trials = work.trials(table)
    near = [nearer_shares(trial, work.seed) for trial in trials]
    copied = [copied_shares(trial) for trial in trials]
    nearer, usual, copies, repeats = (
        average([pair[k] for pair in each]) for each in (near, copied) for k in (0, 1)
    )
    yield {
        "nearer": nearer.value,
        "fresh": usual.value,
        "apart in errors": (nearer.value - usual.value)
        / max(np.hypot(nearer.error, usual.error), 1e-9),
        "copies": copies.value,
        "fresh copies": repeats.value,
        "copies apart in errors": (copies.value - repeats.value)
        / max(np.hypot(copies.error, repeats.error), 1e-9),
    }


def average(each: list[Share]) -> Share:
    errors = np.array([share.error for share in each])
    return Share(
        float(np.mean([s.value for s in each])), float(np.hypot.reduce(errors) / len(each))
    )


def nearer_shares(trial: Trial, seed: int) -> tuple[Share, Share]:
    """Of samples and of fresh rows, those nearer to a training row than to a held-out one."""
    rows = min(len(trial.held_out) // 2, len(trial.train), MAX_ROWS)
    held_out = trial.held_out.sample(2 * rows, random_state=seed)
    frames = [trial.train.sample(rows, random_state=seed), held_out.head(rows), held_out.tail(rows)]
    seen, unseen, fresh, made = place_rows([*frames, trial.samples.head(rows)])
    return nearer_share(made, seen, unseen), nearer_share(fresh, seen, unseen)


def place_rows(frames: list[pd.DataFrame]) -> list[np.ndarray]:
    """Rows whose distances are Gower's: ranks of numbers, (rows, columns, 2) with levels, and holes, behind them.

    Ranks are among the rows of all frames but the last, which are real.
    """
    parts, categories = encode(frames)
    real = np.concatenate(parts[:-1])
    numbers = [i for i in range(real.shape[1]) if i not in categories]
    return [np.stack([rank(part, real, numbers), levels(part, numbers)], 2) for part in parts]


def rank(part: np.ndarray, real: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Each number's place among the real ones, from 0 to 1; a half for holes, 0 for levels."""
    found = np.zeros_like(part)
    for i in numbers:
        known = np.sort(real[~np.isnan(real[:, i]), i])
        ends = [np.searchsorted(known, part[:, i], side) for side in ("left", "right")]
        found[:, i] = np.where(np.isnan(part[:, i]), 0.5, np.mean(ends, 0) / max(len(known), 1))
    return found


def levels(part: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Codes of levels, -1 for holes, and 0 for numbers."""
    found = np.nan_to_num(part, nan=-1)
    found[:, numbers] = np.where(np.isnan(part[:, numbers]), -1, 0)
    return found


def nearest(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the nearest of the others to each row, and how far it is."""
    index, far = np.empty(len(rows), int), np.empty(len(rows))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        apart = cdist(rows[some, :, 0], others[:, :, 0], "cityblock") / rows.shape[1]
        apart += cdist(rows[some, :, 1], others[:, :, 1], "hamming")
        index[some], far[some] = apart.argmin(1), apart.min(1)
    return index, far


def nearer_share(rows: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> Share:
    (first, to_seen), (second, to_unseen) = nearest(rows, seen), nearest(rows, unseen)
    tied = np.isclose(to_seen, to_unseen, rtol=0, atol=1e-12)
    closer = (to_seen < to_unseen) & ~tied
    nearest_of = np.bincount(np.where(closer, first, len(seen) + second)[~tied])
    error = np.sqrt((nearest_of**2.0).sum()) / (2 * len(rows))
    return Share(float((closer + 0.5 * tied).mean()), float(error))


def copied_shares(trial: Trial) -> tuple[Share, Share]:
    """Of samples and of held-out rows, those equal to a training row in every cell."""
    frames = [trial.train, trial.samples, trial.held_out]
    whole = pd.concat(frames, ignore_index=True)
    codes = np.stack([pd.factorize(whole[name])[0] for name in whole], 1)
    train, *parts = np.split(codes, np.cumsum([len(frame) for frame in frames])[:-1])
    known, shares = {row.tobytes() for row in train}, []
    for part in parts:
        share = float(np.mean([row.tobytes() in known for row in part]))
        shares.append(Share(share, (share * (1 - share) / len(part)) ** 0.5))
    return shares[0], shares[1]
