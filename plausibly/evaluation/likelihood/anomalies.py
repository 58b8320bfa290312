"""Which rows are out of the ordinary, against n calibration rows that no fitting or choosing has seen.

    p = (1 + number of calibration rows at least as odd) / (n + 1)

is at most t with probability at most t for a fresh row of the same source, whatever the model (conformal p-values:
Vovk et al. 2005, Algorithmic Learning in a Random World). All rows of a file share the calibration rows; their p-values
are positively dependent, so that the procedure of Benjamini and Hochberg (1995) keeps its false discovery rate (Bates et
al. 2023, arXiv 2104.08279). A row is the odder, the higher its excess is (`likelihood.excess`), or, where log p is not
told column by column, the lower its log p. A row may also be suspiciously likely: images of other things, constants and
copies can be more likely than the data themselves (Nalisnick et al. 2019, arXiv 1810.09136).

Of a table too small to hold rows back, models of the same settings are fitted without each fold k of its n rows:

    p = (1 + sum over folds k of the number of rows of k that are, without k, at least as odd) / (n + 1)

(Vovk 2015, arXiv 1208.0806). P(p <= a) <= 2 a + sqrt(2 / n) whatever the models (Barber et al. 2021, arXiv 1905.02928),
about a where they hardly differ. That Benjamini-Hochberg keeps its level on these is known by simulation only
(`benchmarks.folds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Self

import numpy as np

from plausibly.errors import UserError

TOO_LIKELY = 1000  # a row more likely than all but one in so many calibration rows is said to be
WARNING_CHANCE = 0.01  # files of fresh rows that are warned of
TEST_ROWS = "test rows"  # what serves where a run has no calibration rows
ROUNDING = 1e-5  # float32 sums of equal rows differ by less, relative to 1 + |log p|; taking them for equal is cautious


@dataclass(frozen=True)
class Calibration:
    """log p of rows that scores are ranked against, in nats, (rows,), and in words which rows they are.

    `excess`, (rows,), is theirs in nats, where log p is told column by column.
    """

    nats: np.ndarray
    source: str
    excess: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return len(self.nats)

    @property
    def note(self) -> str:
        """The rows that p-values are against, in words."""
        why = "; this run has no calibration rows of its own" if self.source == TEST_ROWS else ""
        return f"p-values are of {self.statistic}, against {self.rows:,} {self.source}{why}"

    @property
    def statistic(self) -> str:
        """The name of the number that rows are ranked by."""
        return "log p" if self.excess is None else "excess"

    @cached_property
    def _ascending(self) -> np.ndarray:
        return np.sort(self.nats)

    @cached_property
    def _least_odd_first(self) -> np.ndarray:
        return np.sort(-self.nats if self.excess is None else self.excess)

    def p_values(self, nats: np.ndarray, excess: np.ndarray | None = None) -> np.ndarray:
        """(1 + calibration rows at least as odd) / (n + 1), (rows,), of log p and, where it counts, excess of rows."""
        return (1 + self.count_as_odd(nats, excess)) / (self.rows + 1)

    def count_as_odd(self, nats: np.ndarray, excess: np.ndarray | None = None) -> np.ndarray:
        """The number of calibration rows that are at least as odd as each row, (rows,)."""
        oddness = -nats if self.excess is None or excess is None else excess
        less = np.searchsorted(self._least_odd_first, oddness - _slack(oddness), side="left")
        return np.asarray(self.rows - less)

    def more_likely(self, nats: np.ndarray) -> np.ndarray:
        """Each row that is more likely than 99.9 % of the calibration rows, bool.

        A fresh row is so with a probability below 0.1 %; below 1,000 calibration rows none is.
        """
        as_likely = self.rows - np.searchsorted(self._ascending, nats - _slack(nats), side="left")
        return np.asarray((1 + as_likely) * TOO_LIKELY <= self.rows)

    def chance_of(self, found: int, rows: int) -> float:
        """Probability that at least `found` of `rows` fresh rows are `more_likely`.

        They are those above the k-th highest calibration row, k = n // 1000: among the `found` + k - 1 highest of all
        rows together at least `found` are fresh, and every order is equally probable.
        """
        from scipy.stats import hypergeom

        highest = found + self.rows // TOO_LIKELY - 1
        return float(hypergeom.sf(found - 1, self.rows + rows, rows, highest))

    def too_likely(self, marked: np.ndarray) -> list[str]:
        """A warning where more rows are `more_likely` than chance would have it."""
        found, rows = int(marked.sum()), len(marked)
        if not found or self.chance_of(found, rows) > WARNING_CHANCE:
            return []
        expected = rows * (self.rows // TOO_LIKELY) / (self.rows + 1)
        return [
            f"{found:,} of {rows:,} rows are more likely than 99.9 % of the {self.source}, where about {expected:.2g} "
            "would be by chance: copies or constants perhaps, or other data altogether"
        ]

    def too_few(self, rows: int, level: float) -> list[str]:
        """A warning where Benjamini-Hochberg at this level could not mark one row alone."""
        least = ceil(rows / (level * (self.rows + 1)) - 1e-9)
        if least <= 1:
            return []
        start = f"no p-value is below 1/{self.rows + 1:,} ({self.rows:,} {self.source}): at a false discovery rate of"
        can = (
            "no row can be"
            if least > rows
            else f"either none or at least {least:,} of {rows:,} rows are"
        )
        return [f"{start} {level:g} {can} marked"]


@dataclass(frozen=True)
class CrossCalibration(Calibration):
    """All rows of a table, each as the model finds it that was fitted without its fold; so many models there are."""

    folds: int = 0

    @classmethod
    def of_folds(cls, folds: Sequence[Calibration]) -> Self:
        """The rows of all folds, each of which has its own."""
        excess = [each.excess for each in folds if each.excess is not None]
        joined = np.concatenate(excess) if len(excess) == len(folds) else None
        nats = np.concatenate([each.nats for each in folds])
        return cls(nats, "rows, each left out by one of the models", joined, len(folds))

    @property
    def note(self) -> str:
        return (
            f"p-values are of {self.statistic}, by cross-fitting: against {self.rows:,} rows, each left out by one of "
            f"{self.folds} models; rows that the table has itself get higher ones"
        )

    def more_likely(self, nats: np.ndarray) -> np.ndarray:
        """False of each row: log p of a model of all rows does not compare with those of models of fewer."""
        return np.zeros(len(nats), dtype=bool)


def _slack(nats: np.ndarray) -> np.ndarray:
    return ROUNDING * (1 + np.abs(nats))


def check_level(level: float) -> float:
    """A false discovery rate. UserError where it is none."""
    if not 0 < level < 1:
        raise UserError(f"a false discovery rate of {level:g} is none; 0.05 is")
    return level


def discoveries(p_values: np.ndarray, level: float) -> np.ndarray:
    """Rows to mark so that of those marked at most the share `level` is expected to be ordinary, bool."""
    return np.asarray(p_values <= discovery_level(p_values, level))


def discovery_level(p_values: np.ndarray, level: float) -> float:
    """The largest p-value to mark, -1 where none is: p_(r) with the largest r whose p_(r) <= level r / m.

    (Benjamini and Hochberg 1995.)
    """
    ordered, m = np.sort(p_values), len(p_values)
    passing = np.flatnonzero(ordered * m <= level * np.arange(1, m + 1))
    return float(ordered[passing[-1]]) if len(passing) else -1.0
