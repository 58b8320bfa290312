"""The uncertainty of a number: its standard error and 95 % interval, from how far single rows, or groups of rows, move it.

A sample's units are its rows, or groups of rows that came together. Unit u moves the number by m_u: what its rows influence
it by, in sum, over the number of rows; all m_u of a sample add up to 0. Over independent samples of U units each,

    standard error       sqrt(sum over samples of U / (U - 1) sum_u m_u^2)
    degrees of freedom   2 U / (kurtosis of m - 1), at most U - 1; those of several samples after Satterthwaite (1946)
    interval             of ends number - error t, where t + g t^2 / 3 + g^2 t^3 / 27 + g / 6 are the 2.5 and 97.5 % points
                         of Student's t and g = sum m^3 / (sum m^2)^(3/2): skewness taken out (Hall 1992, JRSS B 54)
    of a share p         Clopper and Pearson's for p (1 - p) / error^2 rows (Korn & Graubard 1998): conservative

Below `LEAST` units there is no interval: of skewed rows it would hold too little. `python -m benchmarks.intervals` tells
how often each interval that is printed holds what it should.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, isfinite, log10, nan, sqrt

import numpy as np

from plausibly.printing import format_measure

MIN_UNITS = 50  # rows, or groups of rows
NO_DRAWS = np.empty(0)
TOO_FEW = f"no 95 % interval of fewer than {MIN_UNITS} rows or groups: of skewed ones it would hold too little"
Interval = tuple[float, float]


def influence_by_unit(influence: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """The move of the mean of what rows influence by each row, or each of the groups (rows,) of rows, (units,)."""
    with np.errstate(invalid="ignore"):  # of a row at minus infinity there is no standard error
        each = (influence - influence.mean()) / len(influence)
    return each if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], each)


@dataclass(frozen=True)
class UnitInfluences:
    """The moves of a number by the units of each of several independent samples; `draws` are units too, few as they may be.

    `paired` is the standard deviation of what no unit alone moves, but pairs of them do.
    """

    samples: tuple[np.ndarray, ...]
    draws: np.ndarray = field(default_factory=lambda: NO_DRAWS)
    paired: float = 0.0

    @property
    def _every(self) -> list[np.ndarray]:
        return [*self.samples, self.draws] if len(self.draws) > 1 else [*self.samples]

    @property
    def units(self) -> int:
        """The number of units of the smallest sample."""
        return min(map(len, self.samples))

    @property
    def error(self) -> float:
        """The standard error; NaN of a single unit."""
        return (
            sqrt(sum(map(influence_variance, self._every)) + self.paired**2)
            if self.units > 1
            else nan
        )

    @property
    def skewness(self) -> float:
        squares = sum(float((each**2).sum()) for each in self._every)
        cubes = sum(float((each**3).sum()) for each in self._every)
        return cubes / squares**1.5

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error."""
        parts = [(influence_variance(each), degrees_of_freedom(each)) for each in self._every]
        return float(sum(own for own, _ in parts) ** 2 / sum(own**2 / free for own, free in parts))

    @property
    def point(self) -> float:
        """Student's t exceeds it once in 40 times."""
        from scipy.special import stdtrit  # slow to import

        return float(stdtrit(self.freedom, 0.975))

    def interval(
        self, value: float, least: float = -np.inf, most: float = np.inf
    ) -> Interval | None:
        """The interval of 95 %; `least` and `most` are what the number can be."""
        if self.units < MIN_UNITS or not isfinite(self.error):
            return None
        if not self.error:
            return value, value
        low, high = (
            value - self.error * unskew_t(z, self.skewness) for z in (self.point, -self.point)
        )
        return float(max(low, least)), float(min(high, most))

    def even_interval(self, value: float) -> Interval | None:
        """The interval of 95 %, as far on either side: for numbers whose skewness is not that of single units' moves."""
        reach = self.error * self.point if self.error else 0.0
        is_known = self.units >= MIN_UNITS and isfinite(self.error)
        return (value - reach, value + reach) if is_known else None

    def interval_of_share(self, value: float, rows: int) -> Interval | None:
        """An interval of at least 95 % for the share of so many rows."""
        if self.units < MIN_UNITS or not isfinite(self.error):
            return None
        if not self.error or value in (0, 1):
            (low, high), reach = (
                binomial_interval(value, self.units),
                self.point * self.error if self.error else 0.0,
            )
            return max(0.0, min(low, value - reach)), min(1.0, max(high, value + reach))
        counted = value * (1 - value) / self.error**2 * (1.959964 / self.point) ** 2
        return binomial_interval(value, max(1.0, min(counted, rows)))


def influence_variance(each: np.ndarray) -> float:
    """The variance of the number, by the moves of a sample's units."""
    return float((each**2).sum() * len(each) / (len(each) - 1))


def degrees_of_freedom(each: np.ndarray) -> float:
    """Degrees of freedom of a sample's variance: the fewer units count, the fewer."""
    squares, fourths = float((each**2).sum()), float((each**4).sum())
    kurtosis = len(each) * fourths / squares**2 if squares else 1.0
    return min(2 * len(each) / max(kurtosis - 1, 1e-9), len(each) - 1)


def unskew_t(z: float, g: float) -> float:
    """The t of which t + g t^2 / 3 + g^2 t^3 / 27 + g / 6 is z."""
    return 3 * (float(np.cbrt(1 + g * (z - g / 6))) - 1) / g if abs(g) > 1e-6 else z


def binomial_interval(share: float, rows: float, level: float = 0.95) -> Interval:
    """Clopper and Pearson's interval (1934) for a share of independent rows, their number whole or not."""
    from scipy.special import betaincinv

    own, rest, beyond = share * rows, (1 - share) * rows, (1 - level) / 2
    low = betaincinv(own, rest + 1, beyond) if own > 1e-9 else 0.0
    return float(low), float(betaincinv(own + 1, rest, 1 - beyond) if rest > 1e-9 else 1.0)


def jackknife(without: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """The moves of units, from the number without each row, (rows,): it moves it by (rows - 1) / rows of the difference."""
    each = (without.mean() - without) * (len(without) - 1) / len(without)
    return each if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], each)


@dataclass(frozen=True)
class Mean:
    """The mean of rows' numbers, (rows,), with its standard error and interval over them, or over groups of them."""

    each: np.ndarray
    groups: np.ndarray | None = None

    @property
    def value(self) -> float:
        return float(self.each.mean())

    @property
    def moves(self) -> UnitInfluences:
        return UnitInfluences((influence_by_unit(self.each, self.groups),))

    @property
    def error(self) -> float:
        return self.moves.error

    @property
    def interval(self) -> Interval | None:
        return self.moves.interval(self.value)

    @property
    def interval_of_share(self) -> Interval | None:
        return self.moves.interval_of_share(self.value, len(self.each))


def with_error(value: float, error: float | None, form: str = ".4f") -> str:
    """A number with its standard error, where there is one."""
    return f"{value:{form}}" + (
        f" ± {error:{form.lstrip('+')}}" if error is not None and isfinite(error) else ""
    )


def round_to_error(value: float, error: float | None) -> str:
    """A number and its standard error, both to the place of the error's second digit: `58,700 ± 2,800`, `12.000 ± 0.071`."""
    if not error or not isfinite(error):
        return format_measure(value) + (" ± 0" if error == 0 else "")
    places = 1 - floor(log10(error))
    form = f"{',' if abs(value) >= 10_000 else ''}.{max(places, 0)}f"
    return f"{round(value, places):{form}} ± {round(error, places):{form}}"


def rows_text(rows: int, groups: np.ndarray | None) -> str:
    """The rows and groups that a standard error is over, in words."""
    return f"{rows:,} rows" + (
        f" in {len(np.unique(groups)):,} groups" if groups is not None else ""
    )


def finite_or_none(number: float | None) -> float | None:
    """The number as JSON holds it: null for NaN."""
    return number if number is not None and isfinite(number) else None
