"""How far up a score brings rows that cannot be: ten planted among 1,000 to 5,000 fresh rows of a scripted table.

The planted rows are drawn by the table's seed, in turn of each of these kinds, all made of fresh rows:

    swapped      each cell is one of two rows', whichever a coin says
    combination  two cells that are common each alone, and that 20,000 rows never hold together
    unit         one number is a hundred or a hundred thousand times as large
    negated      a number has a minus sign, in a column that is never below zero
    misplaced    two numbers stand in each other's column, where one is beyond all that was ever there
    shifted      all numbers of the row have moved one column on
    mirrored     each number is as far from the other end of its column
    sentinel     a third of the numbers hold one and the same value: 999, -1 or 0

Nothing in the package knows of these kinds. Told by kind, and of all together: the share of planted rows within the first 2 %
of all, oddest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, cycle

import numpy as np
import pandas as pd

import plausibly
from benchmarks.scripted import draw_table
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table

FRESH_ROWS = (1_000, 5_000)
KNOWN_ROWS = 20_000  # of the table's law, which tell what never occurs
PLANTED = 10
MODEL = "chow_liu"  # the quickest that knows of other columns: what a busy machine has time for does not count
FIRST = 0.02  # the share of all rows that somebody looks at
BINS = 8  # of a column of numbers, for what is common
PAIRS = 200  # of columns that are looked through for what never occurs together

Noise = np.random.Generator


class Law:
    """What many rows of a table's law are like, by which the planted rows are made."""

    def __init__(self, known: pd.DataFrame) -> None:
        self.known = known
        self.numbers = [name for name in known.select_dtypes("number") if known[name].nunique() > 2]
        self.sorted = {name: np.sort(known[name].dropna().to_numpy()) for name in self.numbers}
        self.codes = {name: self.code(name) for name in known}

    def code(self, name: str) -> np.ndarray:
        """A number for each cell of a column: its level, or its bin; -1 of holes."""
        column = self.known[name]
        if name in self.numbers:
            column = pd.qcut(column, BINS, labels=False, duplicates="drop")
        return np.asarray(pd.factorize(column)[0])

    def never_together(self, noise: Noise) -> dict[str, object]:
        """A cell of each of two columns that chance would have brought together most often, and that never were."""
        pairs, found = list(combinations(self.known.columns, 2)), {}
        for place in noise.permutation(len(pairs))[:PAIRS]:
            first, second = (self.codes[name] for name in pairs[place])
            there = (first >= 0) & (second >= 0)
            seen = np.zeros((first.max() + 1, second.max() + 1))
            np.add.at(seen, (first[there], second[there]), 1)
            alone = np.outer(seen.sum(1), seen.sum(0)) / max(there.sum(), 1)
            missing = np.where(seen == 0, alone, 0)
            found[missing.max()] = pairs[place], np.unravel_index(missing.argmax(), missing.shape)
        names, codes = found[max(found)]
        return {
            name: self.known[name][self.codes[name] == code].iloc[0]
            for name, code in zip(names, codes, strict=True)
        }

    def is_beyond(self, name: str, value: float) -> bool:
        """True where a column never holds so small or so large a number."""
        return not self.sorted[name][0] <= value <= self.sorted[name][-1]


Plant = Callable[[pd.Series, pd.Series, Law, Noise], pd.Series]  # of a row and another of the same


def plant_swapped(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    return row.where(noise.random(len(row)) < 0.5, other)


def plant_combination(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    for name, cell in law.never_together(noise).items():
        row[name] = cell
    return row


def filled_numbers(row: pd.Series, law: Law) -> list[str]:
    return [name for name in law.numbers if not pd.isna(row[name]) and row[name] != 0]


def plant_unit(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    name = str(noise.choice(filled_numbers(row, law)))
    row[name] = row[name] * float(noise.choice([1e2, 1e5]))
    return row


def plant_negated(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    fit = [name for name in filled_numbers(row, law) if law.sorted[name][0] >= 0]
    name = str(noise.choice(fit or filled_numbers(row, law)))
    row[name] = -row[name]
    return row


def plant_misplaced(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    pairs = list(combinations(filled_numbers(row, law), 2))
    fit = [(a, b) for a, b in pairs if law.is_beyond(a, row[b]) or law.is_beyond(b, row[a])]
    a, b = (fit or pairs)[noise.integers(len(fit or pairs))]
    row[a], row[b] = row[b], row[a]
    return row


def plant_shifted(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    row[law.numbers] = np.roll(row[law.numbers].to_numpy(), 1)
    return row


def plant_mirrored(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    for name in filled_numbers(row, law):
        known = law.sorted[name]
        row[name] = known[-1 - min(np.searchsorted(known, row[name]), len(known) - 1)]
    return row


def plant_sentinel(row: pd.Series, other: pd.Series, law: Law, noise: Noise) -> pd.Series:
    some = noise.permutation(law.numbers)[: max(2, len(law.numbers) // 3)]
    row[list(some)] = float(noise.choice([999, -1, 0]))
    return row


KINDS: dict[str, Plant] = {
    "swapped": plant_swapped,
    "combination": plant_combination,
    "unit": plant_unit,
    "negated": plant_negated,
    "misplaced": plant_misplaced,
    "shifted": plant_shifted,
    "mirrored": plant_mirrored,
    "sentinel": plant_sentinel,
}


def draw_planted(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Fresh rows of a scripted table with planted ones among them, and the kind of each row, empty of fresh ones."""
    noise = np.random.default_rng([seed, 4])
    rows = draw_table(seed, int(noise.integers(FRESH_ROWS[0], FRESH_ROWS[1] + 1)), 2)
    law = Law(draw_table(seed, KNOWN_ROWS, 3))
    spots = noise.permutation(len(rows))[: 2 * PLANTED]
    names, kinds = list(KINDS), np.full(len(rows), "", dtype=object)
    turns = cycle(noise.permutation(names))
    planted = rows.astype(object)
    for spot, mate, kind in zip(spots[:PLANTED], spots[PLANTED:], turns, strict=False):
        row, other = rows.iloc[spot].copy(), rows.iloc[mate]
        planted.iloc[spot] = KINDS[kind](row, other, law, noise)
        kinds[spot] = kind
    return planted.astype(rows.dtypes.map(widest).to_dict()), kinds


def widest(dtype: np.dtype) -> object:
    """The type that holds what may have been planted in a column."""
    return float if dtype.kind in "iuf" else dtype


def share_found(oddness: np.ndarray, kinds: np.ndarray, kind: str | None = None) -> float:
    """The share of planted rows, of a kind or of all, among the first 2 % of all rows, the oddest first."""
    first = np.argsort(-oddness, kind="stable")[: round(FIRST * len(oddness))]
    planted = np.flatnonzero(kinds != "" if kind is None else kinds == kind)
    return float(np.isin(planted, first).mean())


def measure_planted(table: Table, work: Work) -> Iterator[Line]:
    """The share of each kind by log p and by the statistic that p-values are of."""
    assert table.seed is not None
    path, _ = work.fit(table, table.splits[0].train, MODEL, ("--model", MODEL))
    run = plausibly.open(path)
    rows, kinds = draw_planted(table.seed)
    rows.to_csv(file := path.with_name("planted.csv"), index=False)
    scores = run.score(str(file))
    nats = scores["nats"].to_numpy()
    oddness = scores["excess"].to_numpy() if "excess" in scores else -nats
    found = {"log p": -nats, "statistic": oddness}
    for kind in [None, *dict.fromkeys(kinds[kinds != ""])]:
        shares = {name: share_found(oddness, kinds, kind) for name, oddness in found.items()}
        of = int((kinds != "").sum() if kind is None else (kinds == kind).sum())
        yield {"kind": kind or "all", "planted": of, "rows": len(rows)} | shares
