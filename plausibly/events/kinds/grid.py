"""Numbers recorded at a resolution, in intervals that are cut for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from plausibly.events.kinds.discrete import Discrete
from plausibly.events.kinds.kind import OTHER, check_edges, check_seen, log_shares_within

if TYPE_CHECKING:
    from plausibly.events.kinds.discrete import AnyCoder

# intervals, the first place in each, and how many places it has
Span = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Grid(Discrete):
    """A number recorded at a resolution, as a whole number of steps (any int64 within +-2^53).

    Each of `atoms` (sorted) has a code of its own. The other whole numbers fall into the intervals that
    `edges` (sorted) cut the line into. In an inner interval each of the `repeats` (sorted) has one of the `shares` of its
    probability, and what they leave is uniform over the rest; in the two outermost, which are open, numbers are geometric
    away from the edge with the means `tails` (in steps). The intervals `unseen`, by their places on the line, hold no
    training row: their numbers have the open code, in which each of them, and all else, is as likely. `seen` are the least
    and the largest number that rows had: what is drawn lies between.
    """

    atoms: tuple[int, ...] = ()
    edges: tuple[int, ...] = (0,)
    tails: tuple[float, float] = (1.0, 1.0)
    unseen: tuple[int, ...] = ()
    repeats: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    seen: tuple[int, int] | None = None

    word = "grid"

    def __post_init__(self) -> None:
        check_edges(self.edges, self.tails)
        check_seen(self.seen)
        for numbers in (self.atoms, self.repeats):
            outside = numbers and not self.edges[0] <= numbers[0] <= numbers[-1] < self.edges[-1]
            if outside or list(numbers) != sorted(set(numbers)):
                raise ValueError(
                    "atoms, and repeats, are sorted, different, and lie between the outermost edges"
                )
        self._check_shares()
        if self.unseen and not (self.open and set(self.unseen) <= set(range(len(self.edges) + 1))):
            raise ValueError(
                "intervals that hold no training row are some of those between the edges, and need an open code"
            )
        super().__post_init__()

    def _check_shares(self) -> None:
        if not self.repeats and not self.shares:
            return
        if len(self.shares) != len(self.repeats) or set(self.repeats) & set(self.atoms):
            raise ValueError("a repeat is no atom, and each has a share")
        crowded = (self._left < 1)[1:-1] & (np.diff(self._gaps) <= 0)
        if not all(share > 0 for share in self.shares) or (self._left <= 0).any() or crowded.any():
            raise ValueError("shares are above 0, and leave something to other numbers")

    @cached_property
    def _points(self) -> np.ndarray:
        """The atoms and the repeats."""
        return np.array(sorted({*self.atoms, *self.repeats}), dtype=np.int64)

    @cached_property
    def _repeat_intervals(self) -> np.ndarray:
        """The interval of each repeat, by its place on the line."""
        return np.searchsorted(self.edges, self.repeats, side="right").astype(np.int64)

    @cached_property
    def _left(self) -> np.ndarray:
        """The share of each interval that its repeats leave to the other numbers."""
        return 1 - np.bincount(self._repeat_intervals, self.shares, len(self.edges) + 1)

    @cached_property
    def _gaps(self) -> np.ndarray:
        """The edges among those whole numbers that are no points, counted without the points."""
        edges = np.asarray(self.edges, dtype=np.int64)
        return edges - np.searchsorted(self._points, edges)

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Code of each interval (-1 where it has no room), and code of each atom: by place on the line."""
        room = np.concatenate([[True], np.diff(self._gaps) > 0, [True]])
        room[list(self.unseen)] = False
        edges = np.asarray(self.edges, dtype=np.float64)
        centres = np.concatenate(
            [[edges[0] - 0.75], (edges[:-1] + edges[1:]) / 2, [edges[-1] + 0.25]]
        )
        # the open intervals lie outside all atoms, as the constructor's caller sees to
        places = np.concatenate([centres[room], np.asarray(self.atoms, np.float64)])
        ranks = np.empty(len(places), dtype=np.int64)
        ranks[np.argsort(places, kind="stable")] = np.arange(len(places))
        intervals = np.full(len(room), -1, dtype=np.int64)
        intervals[room] = ranks[: room.sum()]
        return intervals, ranks[room.sum() :]

    @cached_property
    def _point_codes(self) -> np.ndarray:
        """The code of each point."""
        intervals, atoms = self._cells
        return self._by_point(atoms, intervals[self._repeat_intervals])

    @cached_property
    def _point_shares(self) -> np.ndarray:
        """The probability of each point in its code."""
        return self._by_point(np.ones(len(self.atoms)), np.asarray(self.shares))

    def _by_point(self, atoms: np.ndarray, repeats: np.ndarray) -> np.ndarray:
        """Numbers of atoms and of repeats as those of points."""
        return np.concatenate([atoms, repeats])[np.argsort([*self.atoms, *self.repeats])]

    @cached_property
    def regular(self) -> int:
        return len(self.atoms) + 2 + int((np.diff(self._gaps) > 0).sum()) - len(self.unseen)

    def without_rows(self, codes: np.ndarray) -> tuple[int, ...]:
        """The intervals, by their places on the line, that none of the codes is of."""
        intervals, _ = self._cells
        unseen = np.ones(self.codes, dtype=bool)
        unseen[codes] = False
        return tuple(np.flatnonzero((intervals >= 0) & unseen[intervals]).tolist())

    def log_within(self, values: np.ndarray) -> np.ndarray:
        nats = super().log_within(values)
        return nats - self._log_others * (values == OTHER) if self.unseen else nats

    @cached_property
    def _log_others(self) -> float:
        """log of how many intervals share the open code with all else."""
        return float(np.log(len(self.unseen) + 1))

    def _locate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three arrays: which values are points; each one's index among points; its place among the others."""
        index = np.searchsorted(self._points, values)
        if len(self._points):
            is_point = self._points[np.minimum(index, len(self._points) - 1)] == values
        else:
            is_point = np.zeros(values.shape, dtype=bool)
        return is_point, index, values - index

    def _code(self, values: np.ndarray) -> np.ndarray:
        is_point, index, place = self._locate(values)
        if is_point.all():
            return np.asarray(self._point_codes[index])
        intervals, _ = self._cells
        codes = intervals[np.searchsorted(self._gaps, place, side="right")]
        codes[codes < 0] = self.regular
        codes[is_point] = self._point_codes[index[is_point]]
        return codes

    def _log_within(self, values: np.ndarray) -> np.ndarray:
        is_point, index, place = self._locate(values)
        if is_point.all():
            return np.asarray(np.log(self._point_shares[index]))
        interval = np.searchsorted(self._gaps, place, side="right")
        nats: np.ndarray = np.log(self._left[interval]) - np.log(self._widths[interval])
        for end, mean, first, way in self._ends:
            outer = interval == end
            distance = way * (place[outer] - first)
            nats[outer] = -distance * np.log1p(1 / mean) - np.log1p(mean)
        if self.unseen:
            nats -= self._log_others * (self._cells[0][interval] < 0)
        nats[is_point] = np.log(self._point_shares[index[is_point]])
        return nats

    def _intervals(self, codes: np.ndarray) -> Span:
        """Each code's interval, -1 for an atom's; the first place in it; and how many places it has, 1 in the outermost."""
        intervals, _ = self._cells
        place_of = np.full(self.regular, -1, dtype=np.int64)
        place_of[intervals[intervals >= 0]] = np.flatnonzero(intervals >= 0)
        return self._span(place_of[codes])

    def _span(self, interval: np.ndarray) -> Span:
        low = np.concatenate([[0], self._gaps])[interval]
        return interval, low, self._widths[interval]

    @cached_property
    def _widths(self) -> np.ndarray:
        """The places in each interval, 1 in the outermost."""
        return np.concatenate([[1], np.maximum(np.diff(self._gaps), 1), [1]])

    def _values_at(self, codes: np.ndarray, interval: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Values by their places on the line, or, of atoms, by their codes."""
        _, atoms = self._cells
        values: np.ndarray = place + np.searchsorted(
            self._points - np.arange(len(self._points)), place, side="right"
        )
        own = np.searchsorted(np.sort(atoms), codes[interval < 0])
        values[interval < 0] = np.asarray(self.atoms, np.int64)[np.argsort(atoms)[own]]
        return values

    @property
    def _ends(self) -> tuple[tuple[int, float, np.ndarray, int], ...]:
        """The outermost intervals: each with its mean, its first place, and the way on from there."""
        low = (0, self.tails[0], self._gaps[0] - 1, -1)
        high = (len(self._gaps), self.tails[1], self._gaps[-1], 1)
        return low, high

    def through(self, coder: AnyCoder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        found = super().through(coder, events, values)
        rows = np.flatnonzero(events == self.regular)
        if not self.unseen or not len(rows):
            return found
        which = coder.below(
            np.full(len(rows), len(self.unseen) + 1),
            None if values is None else self._which(values[rows]),
        )
        rows, which = rows[which < len(self.unseen)], which[which < len(self.unseen)]
        span = self._span(np.array(self.unseen)[which])
        found[rows] = self._code_places(coder, rows, span, None if values is None else values[rows])
        return found

    def _which(self, values: np.ndarray) -> np.ndarray:
        """Which of the unseen intervals each value lies in; their number for what is in none."""
        foreseen, which = values > OTHER, np.full(len(values), len(self.unseen))
        interval = np.searchsorted(self._gaps, self._locate(values[foreseen])[2], side="right")
        which[foreseen] = np.searchsorted(self.unseen, interval)
        return which

    def _through(self, coder: AnyCoder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        return self._code_places(coder, codes, self._intervals(codes), values)

    def _code_places(
        self, coder: AnyCoder, codes: np.ndarray, span: Span, values: np.ndarray | None
    ) -> np.ndarray:
        interval, low, width = span
        known = None if values is None else self._locate(values)[2]
        which = self._code_repeats(coder, interval, values)
        free = which < 0
        place, inner = low.copy(), free & (interval > 0) & (interval < len(self._gaps))
        place[inner] += coder.below(width[inner], None if known is None else (known - low)[inner])
        for end, mean, first, way in self._ends:
            outer = interval == end
            steps = None if known is None else way * (known[outer] - first)
            place[outer] = first + way * coder.geometric(mean, int(outer.sum()), steps)
        found = self._values_at(codes, interval, place)
        found[~free] = np.asarray(self.repeats, np.int64)[which[~free]]
        return found

    def _code_repeats(
        self, coder: AnyCoder, interval: np.ndarray, values: np.ndarray | None
    ) -> np.ndarray:
        """Which repeat each value is, -1 for none, by the interval of each."""
        which = np.full(len(interval), -1)
        for one in np.intersect1d(interval, self._repeat_intervals):
            first, last = np.searchsorted(self._repeat_intervals, [one, one + 1])
            rows = np.flatnonzero(interval == one)
            law = np.concatenate([self.shares[first:last], self._left[[one]]])
            symbols = None
            if values is not None:
                own = np.asarray(self.repeats[first:last])
                symbols = np.minimum(np.searchsorted(own, values[rows]), last - first - 1)
                symbols[own[symbols] != values[rows]] = last - first
            sizes = np.append(np.ones(last - first, np.int64), self._widths[one])
            found = coder.iid(law, len(rows), symbols, sizes)
            which[rows] = np.where(found < last - first, first + found, -1)
        return which

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        values = super().draw(events, generator)
        if self.seen is None:
            return values
        low, high = self.edges[0] - 1, self.edges[-1]
        under, over = (values > OTHER) & (values <= low), values >= high
        # a geometric number modulo a whole one is geometric below it
        below, above = (max(depth, 1) for depth in self._seen_depths(self.seen))
        values[under] = low - (low - values[under]) % below
        values[over] = high + (values[over] - high) % above
        return values

    def with_seen(self, seen: tuple[float, float] | None) -> Self:
        return self._with("seen", seen and (int(seen[0]), int(seen[1])))

    def log_seen(self, holes: bool) -> np.ndarray:
        shares = super().log_seen(holes)
        if self.seen is None:
            return shares
        low, high = log_shares_within(self._seen_depths(self.seen), self._rates)
        return shares + self._by_interval(np.zeros(len(self.edges) - 1), (low, high))

    def _seen_depths(self, seen: tuple[int, int]) -> tuple[int, int]:
        """The number of whole numbers from the edge of either outermost interval to the last that was seen."""
        return self.edges[0] - seen[0], seen[1] + 1 - self.edges[-1]

    def code_means(self) -> np.ndarray:
        edges, points = np.asarray(self.edges, np.float64), self._points.astype(np.float64)
        sums = np.concatenate([[0.0], np.cumsum(points)])[np.searchsorted(self._points, self.edges)]
        inner = (edges[1:] + edges[:-1] - 1) / 2 * np.diff(edges) - np.diff(sums)
        ends = edges[0] - 1 - self.tails[0], edges[-1] + self.tails[1]
        return self._by_code(inner / self._widths[1:-1], ends, points)

    def probability_below(self, value: float) -> np.ndarray:
        value = np.floor(value)
        place = value - np.searchsorted(self._points, value, side="right")
        inner = ((place + 1 - self._gaps[:-1]) / self._widths[1:-1]).clip(0, 1)
        low, high = self._rates
        under = np.exp(-low * max(self._gaps[0] - 1 - place, 0))
        over = -np.expm1(-high * max(place + 1 - self._gaps[-1], 0))
        return self._by_code(inner, (under, over), self._points <= value)

    def outer_quantiles(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        down, up = self._rates
        least = self.edges[0] - 1 + np.log(low) / down
        most = self.edges[-1] - 1 - np.log(high) / up
        return np.ceil(least - 1e-9), np.ceil(most - 1e-9)

    def code_entropies(self) -> np.ndarray:
        low, high = (np.log1p(mean) + mean * np.log1p(1 / mean) for mean in self.tails)
        inner = np.log(self._widths[1:-1]) - np.log(self._left[1:-1])
        return self._by_code(inner, (low, high), -np.log(self._point_shares))

    def log_peaks(self) -> np.ndarray:
        low, high = (-np.log1p(mean) for mean in self.tails)
        inner = np.log(self._left[1:-1]) - np.log(self._widths[1:-1])
        found = self._by_interval(inner, (low, high))
        np.maximum.at(found, self._point_codes, np.log(self._point_shares))
        return found

    def knots(self) -> np.ndarray:
        edges = np.asarray(self.edges, dtype=np.float64)
        points = self._points.astype(np.float64)
        return np.unique(np.concatenate([edges, edges - 1, points, points - 1]))

    @property
    def open_ends(self) -> tuple[bool, bool]:
        return 0 not in self.unseen, len(self.edges) not in self.unseen

    @property
    def _rates(self) -> tuple[float, float]:
        """Minus the log of how much less probable each step outwards is, in the outermost intervals."""
        low, high = (np.log1p(1 / mean) for mean in self.tails)
        return low, high

    def _by_code(
        self, inner: np.ndarray, ends: tuple[float, float], points: np.ndarray
    ) -> np.ndarray:
        """Means over each code, from numbers of what is no point in inner intervals, of the two outermost, and of points."""
        found = self._by_interval(inner * self._left[1:-1], ends)
        np.add.at(found, self._point_codes, self._point_shares * points)
        return found

    def _by_interval(self, inner: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
        """Numbers of intervals by their codes, and 0 for the others."""
        intervals, _ = self._cells
        found = np.zeros(self.codes)
        own = np.concatenate([ends[:1], inner, ends[1:]])
        found[intervals[intervals >= 0]] = own[intervals >= 0]
        return found
