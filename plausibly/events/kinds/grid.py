"""Numbers recorded at a resolution, in intervals that are cut for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from plausibly.events.kinds.discrete import Discrete
from plausibly.events.kinds.kind import OTHER, check_edges

if TYPE_CHECKING:
    from plausibly.events.kinds.discrete import AnyCoder

# intervals, the first place in each, and how many places it has
Span = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Grid(Discrete):
    """A number recorded at a resolution, as a whole number of steps (any int64 within +-2^53).

    Each of `atoms` (sorted) has a code of its own. The other whole numbers fall into the intervals that
    `edges` (sorted) cut the line into: uniform within an inner interval, and in the two outermost, which
    are open, geometric away from the edge with the means `tails` (in steps). The intervals `unseen`, by their places on
    the line, hold no training row: their numbers have the open code, in which each of them, and all else, is as likely.
    """

    atoms: tuple[int, ...] = ()
    edges: tuple[int, ...] = (0,)
    tails: tuple[float, float] = (1.0, 1.0)
    unseen: tuple[int, ...] = ()

    word = "grid"

    def __post_init__(self) -> None:
        check_edges(self.edges, self.tails)
        outside = (
            self.atoms and not self.edges[0] <= self.atoms[0] <= self.atoms[-1] < self.edges[-1]
        )
        if outside or list(self.atoms) != sorted(set(self.atoms)):
            raise ValueError("atoms are sorted, different, and lie between the outermost edges")
        if self.unseen and not (self.open and set(self.unseen) <= set(range(len(self.edges) + 1))):
            raise ValueError(
                "intervals that hold no training row are some of those between the edges, and need an open code"
            )
        super().__post_init__()

    @cached_property
    def _atoms(self) -> np.ndarray:
        return np.asarray(self.atoms, dtype=np.int64)

    @cached_property
    def _gaps(self) -> np.ndarray:
        """The edges among those whole numbers that are no atoms, counted without the atoms."""
        edges = np.asarray(self.edges, dtype=np.int64)
        return edges - np.searchsorted(self._atoms, edges)

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
        places = np.concatenate([centres[room], self._atoms.astype(np.float64)])
        ranks = np.empty(len(places), dtype=np.int64)
        ranks[np.argsort(places, kind="stable")] = np.arange(len(places))
        intervals = np.full(len(room), -1, dtype=np.int64)
        intervals[room] = ranks[: room.sum()]
        return intervals, ranks[room.sum() :]

    @cached_property
    def regular(self) -> int:
        return len(self.atoms) + 2 + int((np.diff(self._gaps) > 0).sum()) - len(self.unseen)

    def without_rows(self, codes: np.ndarray) -> tuple[int, ...]:
        """The intervals, by their places on the line, that none of the codes is of."""
        intervals, _ = self._cells
        return tuple(np.flatnonzero((intervals >= 0) & ~np.isin(intervals, codes)).tolist())

    def log_within(self, values: np.ndarray) -> np.ndarray:
        nats = super().log_within(values)
        if not self.unseen:
            return nats
        return nats - np.log(len(self.unseen) + 1) * (self.standardise(values) == self.other_code)

    def _locate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three arrays: which values are atoms; each one's index among atoms; its place among the others."""
        index = np.searchsorted(self._atoms, values)
        if len(self._atoms):
            is_atom = self._atoms[np.minimum(index, len(self._atoms) - 1)] == values
        else:
            is_atom = np.zeros(values.shape, dtype=bool)
        return is_atom, index, values - index

    def _code(self, values: np.ndarray) -> np.ndarray:
        is_atom, index, place = self._locate(values)
        intervals, atoms = self._cells
        codes = intervals[np.searchsorted(self._gaps, place, side="right")]
        codes[codes < 0] = self.regular
        codes[is_atom] = atoms[index[is_atom]]
        return codes

    def _log_within(self, values: np.ndarray) -> np.ndarray:
        is_atom, _, place = self._locate(values)
        interval = np.searchsorted(self._gaps, place, side="right")
        nats: np.ndarray = -np.log(self._widths[interval].astype(np.float64))
        for end, mean, first, way in self._ends:
            outer = interval == end
            distance = way * (place[outer] - first)
            nats[outer] = -distance * np.log1p(1 / mean) - np.log1p(mean)
        nats[is_atom] = 0.0
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
            self._atoms - np.arange(len(self._atoms)), place, side="right"
        )
        values[interval < 0] = self._atoms[
            np.argsort(atoms)[np.searchsorted(np.sort(atoms), codes[interval < 0])]
        ]
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
        place, inner = low.copy(), (interval > 0) & (interval < len(self._gaps))
        place[inner] += coder.below(width[inner], None if known is None else (known - low)[inner])
        for end, mean, first, way in self._ends:
            outer = interval == end
            steps = None if known is None else way * (known[outer] - first)
            place[outer] = first + way * coder.geometric(mean, int(outer.sum()), steps)
        return self._values_at(codes, interval, place)

    def code_means(self) -> np.ndarray:
        """An interval's mean is that of all its whole numbers but the atoms."""
        edges, atoms = np.asarray(self.edges, dtype=np.float64), self._atoms.astype(np.float64)
        sums = np.concatenate([[0.0], np.cumsum(atoms)])[np.searchsorted(self._atoms, self.edges)]
        inner = (edges[1:] + edges[:-1] - 1) / 2 * np.diff(edges) - np.diff(sums)
        ends = edges[0] - 1 - self.tails[0], edges[-1] + self.tails[1]
        return self._by_code(inner / self._widths[1:-1], ends, atoms)

    def probability_below(self, value: float) -> np.ndarray:
        value = np.floor(value)
        place = value - np.searchsorted(self._atoms, value, side="right")
        inner = ((place + 1 - self._gaps[:-1]) / self._widths[1:-1]).clip(0, 1)
        low, high = self._rates
        under = np.exp(-low * max(self._gaps[0] - 1 - place, 0))
        over = -np.expm1(-high * max(place + 1 - self._gaps[-1], 0))
        return self._by_code(inner, (under, over), self._atoms <= value)

    def outer_quantiles(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        down, up = self._rates
        least = self.edges[0] - 1 + np.log(low) / down
        most = self.edges[-1] - 1 - np.log(high) / up
        return np.ceil(least - 1e-9), np.ceil(most - 1e-9)

    def code_entropies(self) -> np.ndarray:
        low, high = (np.log1p(mean) + mean * np.log1p(1 / mean) for mean in self.tails)
        return self._by_code(np.log(self._widths[1:-1]), (low, high), 0.0)

    def log_peaks(self) -> np.ndarray:
        low, high = (-np.log1p(mean) for mean in self.tails)
        return self._by_code(-np.log(self._widths[1:-1]), (low, high), 0.0)

    def knots(self) -> np.ndarray:
        edges = np.asarray(self.edges, dtype=np.float64)
        atoms = self._atoms.astype(np.float64)
        return np.unique(np.concatenate([edges, edges - 1, atoms, atoms - 1]))

    @property
    def open_ends(self) -> tuple[bool, bool]:
        return 0 not in self.unseen, len(self.edges) not in self.unseen

    @property
    def _rates(self) -> tuple[float, float]:
        """Minus the log of how much less probable each step outwards is, in the outermost intervals."""
        low, high = (np.log1p(1 / mean) for mean in self.tails)
        return low, high

    def _by_code(
        self, inner: np.ndarray, ends: tuple[float, float], atoms: np.ndarray | float
    ) -> np.ndarray:
        """Numbers of the inner intervals, of the two outermost and of the atoms, by their codes."""
        intervals, atom_codes = self._cells
        found = np.zeros(self.codes)
        found[atom_codes] = atoms
        own = np.concatenate([ends[:1], inner, ends[1:]])
        found[intervals[intervals >= 0]] = own[intervals >= 0]
        return found
