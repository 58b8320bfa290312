"""The distance of samples of a table from real rows, column by column and pair by pair.

    KS  =  max_v |F(v) - G(v)|            numbers and dates; a hole lies beyond all of them      (Kolmogorov, Smirnov)
    TV  =  1/2 sum_v |p(v) - q(v)|        categories; a hole is a level                          (total variation)

Of a pair of columns, TV of both values together, numbers in bins: the share of rows that would have to move (for pairs of
categories as in Zhang et al. 2024, arXiv:2310.09656). Differences of correlations, which are usual for numbers, or of
Cramer's V are blind to whatever keeps the strength of a dependence and changes its form.

Two sets of draws from one law are apart too, the more so the fewer rows and the more values there are. So each distance
stands beside that of as many training rows from the same held-out rows; their ratio is 1 where samples are as good as real.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from plausibly.evaluation.intervals import (
    UnitInfluences,
    finite_or_none,
    influence_by_unit,
    with_error,
)
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import HELD_OUT_AND_DRAWS

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format
    from plausibly.events.kinds import Kind

# as values, beyond all others
HOLE = np.inf
UNFORESEEN = np.finfo(np.float64).max
# levels that have a bin of their own in pairs, at most; bins of the other numbers
MAX_LEVEL_BINS = 15
NUMBER_BINS = 8
MAX_COLUMNS = 100  # that pairs are made of; of more, the first
MAX_SHOWN = 30
MAX_SHOWN_PAIRS = 10
Table = tuple[list[str], list[list[str]], str]  # headings, rows, title


def cell_values(format: Format, events: Events) -> np.ndarray:
    """Every cell as one number, (n, variables) float64, equal where the values are."""
    found, codes = np.array(format.numbers(events)), format.schema.event_codes(events.codes).numpy()
    for i, kind in enumerate(format.schema.kinds):
        unknown = np.isnan(found[:, i])
        found[unknown, i] = np.where(
            codes[unknown, i] == (kind.missing_code if kind.missing else -1), HOLE, UNFORESEEN
        )
    return found


def factorise_cells(format: Format, *sorts: Sequence[Events]) -> list[np.ndarray]:
    """Rows of several sorts, (n, columns) each: whole numbers that are equal where the cells are as the rows write them."""
    import pandas as pd

    frames = [format.rows(events) for sort in sorts for events in sort]
    chosen = [place for place, label in enumerate(frames[0]) if str(label) in format.names]
    cells = [
        np.concatenate([frame.iloc[:, i].to_numpy(dtype=object) for frame in frames])
        for i in chosen
    ]
    codes = np.stack([pd.factorize(column)[0] for column in cells], 1)
    return np.split(codes, np.cumsum([sum(map(len, sort)) for sort in sorts])[:-1])


@dataclass(frozen=True)
class MarginalDistance:
    """A distance of values (n,) and (m,), and how each of the first pulls at it, (n,), but for a constant."""

    value: float
    pull: np.ndarray


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> MarginalDistance:
    """The largest difference of the shares of values that are at most some value."""
    every = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(side), every, side="right") / len(side) for side in (a, b)]
    gaps = shares[0] - shares[1]
    most = int(abs(gaps).argmax())
    return MarginalDistance(float(abs(gaps[most])), np.sign(gaps[most]) * (a <= every[most]))


def total_variation(a: np.ndarray, b: np.ndarray) -> MarginalDistance:
    """Half the sum of the differences of the shares of each value."""
    place = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    first, second = (
        np.bincount(side, minlength=place.max() + 1) / len(side)
        for side in (place[: len(a)], place[len(a) :])
    )
    return MarginalDistance(
        float(abs(first - second).sum() / 2), np.sign(first - second)[place[: len(a)]] / 2
    )


@dataclass(frozen=True)
class Bins:
    """Values that have a bin of their own, (k,) sorted, and cuts, sorted, between which all others fall."""

    own: np.ndarray
    cuts: np.ndarray

    @property
    def count(self) -> int:
        return len(self.own) + len(self.cuts) + 1

    def places(self, column: np.ndarray) -> np.ndarray:
        index = np.searchsorted(self.own, column).clip(max=len(self.own) - 1)
        others = len(self.own) + np.searchsorted(self.cuts, column, side="right")
        return np.where(self.own[index] == column, index, others)


def bins_of(kind: Kind, column: np.ndarray) -> Bins:
    """As rows' values suggest: a bin for each frequent level, or number, for holes, and equal shares of the other numbers."""
    distinct, counts = np.unique(column, return_counts=True)
    if not kind.ordered:
        return Bins(
            np.sort(distinct[np.argsort(-counts, kind="stable")[:MAX_LEVEL_BINS]]), np.empty(0)
        )
    frequent = distinct[(counts >= len(column) / NUMBER_BINS) & (distinct < UNFORESEEN)]
    own = np.append(frequent, [UNFORESEEN, HOLE])
    rest = column[~np.isin(column, own)]
    shares = np.linspace(0, 1, NUMBER_BINS + 1)[1:-1]
    return Bins(
        own, np.unique(np.quantile(rest, shares, method="higher")) if len(rest) else np.empty(0)
    )


@dataclass(frozen=True)
class PairBins:
    """The bins of columns side by side, so that one table holds all pairs of columns."""

    bins: Sequence[Bins]

    @property
    def starts(self) -> np.ndarray:
        """Where the bins of each column begin, and after the last one."""
        return np.cumsum([0, *(each.count for each in self.bins)])

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """The number of the rows, (n, columns or more), that fall into both of two bins, (bins, bins) of all columns."""
        from scipy.sparse import csr_array

        columns, starts = len(self.bins), self.starts
        places = np.stack(
            [each.places(rows[:, i]) + starts[i] for i, each in enumerate(self.bins)], 1
        )
        ends = np.arange(len(rows) + 1) * columns
        marks = csr_array(
            (np.ones(places.size), places.ravel(), ends), shape=(len(rows), starts[-1])
        )
        return np.asarray((marks.T @ marks).todense())

    def differences(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Differences of the shares of rows of both sorts that fall into both of two bins, (bins, bins)."""
        return self.counts(a) / len(a) - self.counts(b) / len(b)

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """TV of every pair of columns between rows of both sorts, (columns, columns); of a column with itself its own."""
        return block_sums(abs(self.differences(a, b)), self.starts) / 2

    def pulls(self, a: np.ndarray, draws: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The pulls of rows at the TV of each pair of columns, (n,) but for a constant: means over the other sort's draws."""
        table = np.mean([np.sign(self.differences(a, b)) for b in draws], 0) / 2
        places = [
            each.places(a[:, i]) + start
            for i, (each, start) in enumerate(zip(self.bins, self.starts, strict=False))
        ]
        return (table[one, other] for one, other in combinations(places, 2))

    def associations(self, rows: np.ndarray) -> np.ndarray:
        """Cramer's V of every pair of columns, (columns, columns): 0 for independent ones, 1 where one tells the other."""
        counts, starts, columns = self.counts(rows), self.starts, len(self.bins)
        found = np.eye(columns)
        for i, j in combinations(range(columns), 2):
            found[i, j] = found[j, i] = cramers_v(
                counts[starts[i] : starts[i + 1], starts[j] : starts[j + 1]]
            )
        return found


def cramers_v(counts: np.ndarray) -> float:
    """Cramér's V of a table of counts, less the bias of few rows (Bergsma 2013, J. Korean Stat. Soc. 42); 0 if constant."""
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    n, (rows, columns) = counts.sum(), counts.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / n
    free = (rows - 1) * (columns - 1) / (n - 1)
    least = min(side - (side - 1) ** 2 / (n - 1) for side in (rows, columns)) - 1
    square = ((counts - expected) ** 2 / expected).sum() / n - free
    return float(np.sqrt(min(max(square, 0.0) / least, 1.0))) if least > 0 else 0.0


def block_sums(table: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The sums of the parts of a table that belong to two columns each."""
    return np.asarray(np.add.reduceat(np.add.reduceat(table, starts[:-1], 0), starts[:-1], 1))


def pair_bins(kinds: Sequence[Kind], rows: np.ndarray) -> PairBins:
    """Bins of the first columns, as the rows' values suggest, (n, columns)."""
    return PairBins([bins_of(kind, rows[:, i]) for i, kind in enumerate(kinds[:MAX_COLUMNS])])


@dataclass(frozen=True)
class Distance:
    """The distance of a column, or of a pair, between held-out rows and each draw of samples, and of training rows, if any.

    `moved`: how far held-out rows, and draws, move the mean over draws of samples.
    """

    names: tuple[str, ...]
    by: str
    draws: np.ndarray
    real_draws: np.ndarray | None
    moved: UnitInfluences

    @property
    def value(self) -> float:
        return float(self.draws.mean())

    @property
    def real(self) -> float | None:
        return None if self.real_draws is None else float(self.real_draws.mean())

    @property
    def ratio(self) -> float | None:
        """The ratio to the distance of as many real rows: 1 is perfect."""
        if self.real is None:
            return None
        return self.value / self.real if self.real else np.inf if self.value else 1.0

    def to_json(self) -> dict[str, Any]:
        found = {"name": self.names[0]} if len(self.names) == 1 else {"names": list(self.names)}
        numbers = {
            "value": self.value,
            "standard_error": finite_or_none(self.moved.error),
            "real_rows": self.real,
        }
        return found | {"distance": self.by} | numbers | {"ratio": self.ratio}

    def cells(self) -> list[str]:
        """As people read them."""
        numbers = [
            with_error(self.value, self.moved.error),
            "" if self.real is None else f"{self.real:.4f}",
        ]
        return [
            " × ".join(self.names),
            self.by,
            *numbers,
            "" if self.ratio is None else f"{self.ratio:.2f}",
        ]


@dataclass(frozen=True)
class Distances:
    """The distances of all columns, and of all pairs of them, between `rows` held-out rows and draws of as many samples."""

    rows: int
    columns: list[Distance]
    pairs: list[Distance]

    def numbers(self) -> dict[str, Number]:
        """Means, and the largest ratios, by their keys."""
        found = dict[str, Number]()
        for name, each in (("column", self.columns), ("pair", self.pairs)):
            found |= {f"{name}_distance": self._mean(each)} if each else {}
            is_held = bool(each) and each[0].ratio is not None  # against real rows
            found |= {f"largest_{name}_ratio": self._largest(each)} if is_held else {}
        return found

    def _mean(self, found: list[Distance]) -> Number:
        draws = np.mean([each.draws for each in found], 0)
        moved = UnitInfluences(
            (np.mean([each.moved.samples[0] for each in found], 0),), influence_by_unit(draws)
        )
        real = [each.real for each in found if each.real is not None]
        reference, value = float(np.mean(real)) if real else None, float(draws.mean())
        by = f"{' and '.join(dict.fromkeys(each.by for each in found))}, mean of {len(found):,}"
        better = "lower is better; " + (
            "real rows' is perfect" if real else "chance alone is not 0"
        )
        told: dict[str, Any] = {"reference": reference, "interval": moved.interval(value, 0.0, 1.0)}
        told["over"] = HELD_OUT_AND_DRAWS
        error = finite_or_none(moved.error)
        return Number(value, error, self.rows, by, better, reference or 0.0, **told)

    def _largest(self, found: list[Distance]) -> Number:
        worst = max(found, key=lambda each: each.ratio or 0.0)
        better, by = "lower is better; 1 is perfect, by chance above", " × ".join(worst.names)
        return Number(worst.ratio or 0.0, None, self.rows, by, better, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Every column, and the pairs that are farthest from what real rows are."""
        columns = [each.to_json() for each in self.columns]
        pairs = [each.to_json() for each in worst_distances(self.pairs, MAX_SHOWN)]
        return {"columns": columns, "pairs": pairs}

    def tables(self) -> list[Table]:
        """The columns' and the pairs' table."""
        headings = ["distance", "samples", "real rows", "ratio"]
        draws = len(self.columns[0].draws)
        title = f"{self.rows:,} held-out rows and as many samples, mean of {draws} draws; lower is better, ratio 1 perfect"
        columns = (
            self.columns
            if len(self.columns) <= MAX_SHOWN
            else worst_distances(self.columns, MAX_SHOWN)
        )
        pairs = worst_distances(self.pairs, MAX_SHOWN_PAIRS)
        found = [(["column", *headings], [each.cells() for each in columns], title)]
        if not pairs:
            return found
        further = f"pairs of columns, {len(pairs)} of {len(self.pairs):,}: first those that exceed real rows most"
        return [*found, (["pair", *headings], [each.cells() for each in pairs], further)]


def worst_distances(found: list[Distance], most: int) -> list[Distance]:
    """Those that exceed the distance of real rows by most, in that order."""
    return sorted(found, key=lambda each: (each.real or 0.0) - each.value)[:most]


def table_distances(
    names: Sequence[str],
    kinds: Sequence[Kind],
    real: np.ndarray,
    made: Sequence[np.ndarray],
    train: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
) -> Distances:
    """Between values of held-out rows, (n, columns), and draws of as many samples, and of training rows, if there are any.

    `groups` are of the held-out rows.
    """
    columns = [
        column_distance(
            name, kind, real[:, i], [d[:, i] for d in made], [d[:, i] for d in train], groups
        )
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    bins = pair_bins(kinds, np.concatenate(train or [real]))
    return Distances(len(real), columns, pair_distances(names, bins, real, made, train, groups))


def column_distance(
    name: str,
    kind: Kind,
    real: np.ndarray,
    made: Sequence[np.ndarray],
    train: Sequence[np.ndarray],
    groups: np.ndarray | None,
) -> Distance:
    """The distance of one column, of whose values these are, (n,)."""
    by, apart = ("KS", kolmogorov_smirnov) if kind.ordered else ("TV", total_variation)
    found = [apart(real, values) for values in made]
    own = np.array([each.value for each in found])
    theirs = np.array([apart(real, values).value for values in train]) if train else None
    moved = UnitInfluences(
        (influence_by_unit(np.mean([each.pull for each in found], 0), groups),),
        influence_by_unit(own),
    )
    return Distance((name,), by, own, theirs, moved)


def pair_distances(
    names: Sequence[str],
    bins: PairBins,
    real: np.ndarray,
    made: Sequence[np.ndarray],
    train: Sequence[np.ndarray],
    groups: np.ndarray | None,
) -> list[Distance]:
    """The distances of all pairs of columns that have bins, of whose values these are, (n, columns)."""
    ours = np.array([bins.distances(real, rows) for rows in made])
    theirs = np.array([bins.distances(real, rows) for rows in train])
    found = []
    pairs = combinations(range(len(bins.bins)), 2)
    for (i, j), pull in zip(pairs, bins.pulls(real, made), strict=True):
        own, other = ours[:, i, j], theirs[:, i, j] if train else None
        moved = UnitInfluences((influence_by_unit(pull, groups),), influence_by_unit(own))
        found.append(Distance((names[i], names[j]), "TV in bins", own, other, moved))
    return found
