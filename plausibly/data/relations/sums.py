"""Sums and differences: a column that adds up others, some of them several times, and a constant.

Pairs are tried one by one. For longer ones each column is regressed on all others that do not follow already, on rows
without holes and again without those that are far off; coefficients that are nearly one of a few factors are taken for
that, the others for 0, and rows tell whether it is so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import quote_name
from plausibly.data.relations.table import AmountTable

TRIAL_ROWS = 32  # rows that nearly all pairs fail on
TRIAL_SHARE = 0.7  # of these in which a sum has to hold
REGRESSION_ROWS = 1_000
REGRESSION_ROUNDS = 4
MAX_REGRESSED = 80  # columns
MAX_PAIRED = 120
MAX_HOLED = 0.3  # share of holes in a column that is regressed
SIZES = (1, 2, 3, 4, 7, 10, 12, 24, 60, 100, 1000, 1440, 3600, 86400)
FACTORS = np.unique(
    [sign * size**power for sign in (-1, 1) for size in SIZES for power in (1.0, -1.0)]
)
CLOSE_FACTOR = 0.02  # of a coefficient, relative
MIN_PART = 1e-4  # of a column's spread that a term makes up


@dataclass(frozen=True)
class LinearSum:
    """The column at `place` is the sum of others, each times its factor, and of a constant."""

    place: int
    factors: Mapping[int, float]
    constant: float = 0.0

    def turn(self, place: int) -> LinearSum:
        """The same, said of one of its terms."""
        own = self.factors[place]
        others = {p: -f / own for p, f in self.factors.items() if p != place}
        return LinearSum(place, others | {self.place: 1 / own}, -self.constant / own)

    def say_whole(self, table: AmountTable) -> LinearSum:
        """The same said of the column that all others add up to, where there is one."""
        for place in self.factors:
            turned = self.turn(place)
            if table.lattice[place] and min(turned.factors.values()) > 0:
                return turned if min(self.factors.values()) < 0 else self
        return self

    def write(self, names: Sequence[str]) -> str:
        """The sum as a formula."""
        terms = [_write_term(names[p], f) for p, f in sorted(self.factors.items(), key=_by_sign)]
        if self.constant:
            terms.append(f"{'-' if self.constant < 0 else '+'} {abs(self.constant):.12g}")
        return " ".join(terms).removeprefix("+ ")


def _by_sign(item: tuple[int, float]) -> tuple[bool, int]:
    return item[1] < 0, item[0]


def _write_term(name: str, factor: float) -> str:
    size, sign, name = abs(factor), "-" if factor < 0 else "+", quote_name(name)
    if size == 1:
        return f"{sign} {name}"
    if size < 1 and round(1 / size, 6) == round(1 / size):
        return f"{sign} {name} / {round(1 / size)}"
    return f"{sign} {size:.12g} * {name}"


def find_sums(table: AmountTable) -> list[tuple[LinearSum, Equation]]:
    """The sums among columns, each said of the one with most values of those that it can be said of."""
    found: list[tuple[LinearSum, Equation]] = []
    follows = set[int]()
    for each in chain(pair_sums(table), regressed_sums(table, follows)):
        candidate = each.say_whole(table)
        places = {candidate.place, *candidate.factors}
        if any(places == {s.place, *s.factors} for s, _ in found) or candidate.place in follows:
            continue
        equation = table.equation(candidate.place, candidate.write(table.names))
        if equation is not None:
            found.append((candidate, equation))
            follows.add(candidate.place)
    return found


def pair_sums(table: AmountTable) -> Iterator[LinearSum]:
    """Columns that are equal to another, or the sum of two others, in most of a few rows that say much."""
    amounts = table.amounts[table.sought]
    rich = np.argsort(-((amounts != 0) & ~np.isnan(amounts)).sum(1), kind="stable")
    few = amounts[np.sort(rich[: 8 * TRIAL_ROWS])[::8]] if len(rich) >= 8 * TRIAL_ROWS else amounts
    order = np.argsort(-table.levels, kind="stable")[:MAX_PAIRED]
    kept = [int(p) for p in order if table.levels[p] > 1]
    for place in kept:
        if not table.lattice[place]:
            continue
        whole, others = few[:, place, None], [p for p in kept if p != place]
        own = few[:, others]
        alone = np.nanmean(np.where(np.isnan(whole + own), np.nan, close(own, whole)), 0)
        yield from (
            LinearSum(place, {others[at]: 1.0}) for at in np.flatnonzero(alone > TRIAL_SHARE)
        )
        for at, a in enumerate(others):
            rest = own[:, at + 1 :]
            both = own[:, at, None] + rest
            share = _share_close(both, whole)
            for b in np.flatnonzero(share > TRIAL_SHARE):
                yield LinearSum(place, {a: 1.0, others[at + 1 + b]: 1.0})


def _share_close(sums: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The share of rows in which each column of sums is the whole, 0 where fewer than half can be asked."""
    asked = ~np.isnan(sums + whole)
    held = close(sums, whole) & asked
    return np.where(asked.sum(0) * 2 >= len(whole), held.sum(0) / np.maximum(asked.sum(0), 1), 0)


def close(sums: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Where a sum is the whole, but for rounding."""
    return np.asarray(np.abs(sums - whole) <= 1e-9 * (np.abs(sums) + np.abs(whole)) + 1e-12)


def regressed_sums(table: AmountTable, follows: set[int]) -> Iterator[LinearSum]:
    """Columns as sums of any others, of which those that follow by now are left out."""
    amounts = table.amounts[table.sought]
    full = np.flatnonzero((np.isnan(amounts).mean(0) <= MAX_HOLED) & (table.levels > 1))
    order = full[np.argsort(-table.levels[full], kind="stable")][:MAX_REGRESSED]
    rows = amounts[:, order]
    rows = rows[~np.isnan(rows).any(1)][:REGRESSION_ROWS]
    for at, place in enumerate(order.tolist()):
        others = [o for o, p in enumerate(order.tolist()) if p != place and p not in follows]
        if place in follows or len(others) < 2 or len(rows) < 4 * len(others) + 20:
            continue
        factors, constant = regress_sum(rows[:, others], rows[:, at])
        if len(factors) > 2 or constant:
            yield LinearSum(place, {int(order[others[o]]): f for o, f in factors.items()}, constant)


def regress_sum(others: np.ndarray, whole: np.ndarray) -> tuple[dict[int, float], float]:
    """The factors of those columns that a column is the sum of, as far as a regression tells, and the constant."""
    middle, size = np.median(others, 0), others.std(0) + 1e-300
    spread = whole.std()
    scaled = np.concatenate([(others - middle) / size, np.ones((len(others), 1))], 1)
    kept = np.ones(len(whole), dtype=bool)
    for _ in range(REGRESSION_ROUNDS):
        solution = np.linalg.lstsq(scaled[kept], whole[kept], rcond=1e-10)[0]
        off = np.abs(whole - scaled @ solution)
        kept = off <= max(3 * float(np.median(off)), 1e-9 * spread)
    if not spread or np.median(off) > 0.05 * spread:
        return {}, 0.0
    factors = dict[int, float]()
    for place, factor in enumerate((solution[:-1] / size).tolist()):
        if abs(solution[place]) <= MIN_PART * spread:
            continue
        nearest = float(FACTORS[np.abs(FACTORS - factor).argmin()])
        if abs(nearest - factor) <= CLOSE_FACTOR * abs(nearest):
            factors[place] = nearest
        elif abs(solution[place]) > 0.02 * spread:
            return {}, 0.0
    rest = whole - sum((others[:, p] * f for p, f in factors.items()), np.zeros(len(whole)))
    constant = float(np.median(rest))
    return factors, 0.0 if abs(constant) < 1e-9 * (np.abs(whole).max() + 1) else round(constant, 9)
