"""Facts of the values inside a code: their mean, how many lie below a place, their entropy, the most probable one.

A model knows codes; these facts of the kind turn its probabilities of codes into exact statements about values. All are
arrays over the codes, and 0 for codes that stand for no value. A real variable's are those of its bins, in its own unit.
"""

from __future__ import annotations

from functools import lru_cache, singledispatch

import numpy as np
import torch
from torch import Tensor

from plausibly.events.bins import bin_sizes
from plausibly.events.grid import Grid
from plausibly.events.kinds import Category, Kind, Level, Real
from plausibly.events.schema import Schema

Array = np.ndarray


@singledispatch
def code_means(kind: Kind) -> Array:
    """The mean of the values in each code."""
    raise TypeError(f"values of kind {type(kind).__name__} have no mean")


@singledispatch
def probability_below(kind: Kind, value: float) -> Array:
    """The probability in each code of a value at most `value`."""
    raise TypeError(f"values of kind {type(kind).__name__} have no order")


@singledispatch
def outer_quantiles(kind: Kind, low: Array, high: Array) -> tuple[Array, Array]:
    """Values of which so much of the lowest code is at most they, and so much of the highest above them: shares in (0, 1].

    Of whole numbers the smallest that is as far up.
    """
    raise TypeError(f"values of kind {type(kind).__name__} have no open ends")


@singledispatch
def code_entropies(kind: Kind) -> Array:
    """The entropy in nats of the value in each code; of a real one the differential entropy."""
    return np.zeros(kind.codes)


@singledispatch
def log_peaks(kind: Kind) -> Array:
    """log p(its most probable value | code)."""
    return np.zeros(kind.codes)


def pad_codes(kind: Kind, own: Array) -> Array:
    """Numbers of the regular codes, and 0 for the others."""
    return np.concatenate([own, np.zeros(kind.codes - len(own))])


@code_entropies.register
def _(kind: Category) -> Array:
    shares = np.asarray(kind.rare, dtype=np.float64) / max(sum(kind.rare), 1)
    own = [-(shares * np.log(shares)).sum()] if kind.rare else []
    return pad_codes(kind, np.array([0.0] * kind.levels + own))


@log_peaks.register
def _(kind: Category) -> Array:
    own = [np.log(max(kind.rare) / sum(kind.rare))] if kind.rare else []
    return pad_codes(kind, np.array([0.0] * kind.levels + own))


@code_means.register
def _(kind: Level) -> Array:
    return pad_codes(kind, np.arange(kind.levels) * kind.width + (kind.width - 1) / 2)


@probability_below.register
def _(kind: Level, value: float) -> Array:
    start = np.arange(kind.levels) * kind.width
    return pad_codes(kind, ((np.floor(value) + 1 - start) / kind.width).clip(0, 1))


@code_entropies.register
def _(kind: Level) -> Array:
    return pad_codes(kind, np.full(kind.levels, np.log(kind.width)))


@log_peaks.register
def _(kind: Level) -> Array:
    return pad_codes(kind, np.full(kind.levels, -np.log(kind.width)))


class GridIntervals:
    """A grid's codes: `atom` marks those of one value each, `value`; the others are intervals between edges."""

    def __init__(self, kind: Grid) -> None:
        self.kind, (intervals, atoms) = kind, kind._cells
        self.atom, self.value = np.zeros(kind.regular, dtype=bool), np.zeros(kind.regular)
        self.atom[atoms], self.value[atoms] = True, kind._atoms
        self.codes, self.gaps = (
            intervals[intervals >= 0],
            np.flatnonzero(intervals >= 0),
        )  # code, place on the line
        self.widths = np.concatenate([[1], np.diff(kind._gaps), [1]])[self.gaps].astype(np.float64)

    def scatter(self, own: Array, low: float, high: float, atoms: Array | float = 0.0) -> Array:
        """Numbers over the codes: `own` of the inner intervals, `low` and `high` of the outermost, `atoms` of the atoms."""
        found = np.where(self.atom, atoms, 0.0)
        inner = np.where(self.gaps == 0, low, own)
        found[self.codes] = np.where(self.gaps == len(self.kind.edges), high, inner)
        return pad_codes(self.kind, found)


@lru_cache(256)
def grid_intervals(kind: Grid) -> GridIntervals:
    return GridIntervals(kind)


@code_means.register
def _(kind: Grid) -> Array:
    """An interval's mean is that of all its whole numbers but the atoms."""
    cells, atoms = grid_intervals(kind), kind._atoms.astype(np.float64)
    edges, at = np.asarray(kind.edges, dtype=np.float64), np.searchsorted(kind._atoms, kind.edges)
    sums = np.concatenate([[0.0], np.cumsum(atoms)])[at]
    middles = (edges[1:] + edges[:-1] - 1) / 2 * np.diff(edges) - np.diff(sums)
    inner = np.concatenate([[0.0], middles, [0.0]])[cells.gaps] / cells.widths
    return cells.scatter(
        inner, edges[0] - 1 - kind.tails[0], edges[-1] + kind.tails[1], cells.value
    )


@probability_below.register
def _(kind: Grid, value: float) -> Array:
    cells, value = grid_intervals(kind), np.floor(value)
    place = value - np.searchsorted(kind._atoms, value, side="right")
    starts = np.concatenate([[0], kind._gaps])[cells.gaps]
    inner = ((place + 1 - starts) / cells.widths).clip(0, 1)
    low, high = (np.log1p(1 / mean) for mean in kind.tails)
    under = np.exp(-low * max(kind._gaps[0] - 1 - place, 0))
    over = -np.expm1(-high * max(place + 1 - kind._gaps[-1], 0))
    return cells.scatter(inner, under, over, (cells.value <= value).astype(np.float64))


@outer_quantiles.register
def _(kind: Grid, low: Array, high: Array) -> tuple[Array, Array]:
    down, up = (np.log1p(1 / mean) for mean in kind.tails)
    least, most = kind.edges[0] - 1 + np.log(low) / down, kind.edges[-1] - 1 - np.log(high) / up
    return np.ceil(least - 1e-9), np.ceil(most - 1e-9)


@code_entropies.register
def _(kind: Grid) -> Array:
    low, high = (np.log1p(mean) + mean * np.log1p(1 / mean) for mean in kind.tails)
    cells = grid_intervals(kind)
    return cells.scatter(np.log(cells.widths), low, high)


@log_peaks.register
def _(kind: Grid) -> Array:
    cells = grid_intervals(kind)
    return cells.scatter(-np.log(cells.widths), -np.log1p(kind.tails[0]), -np.log1p(kind.tails[1]))


@code_means.register
def _(kind: Real) -> Array:
    edges = np.asarray(kind.edges)
    own = np.concatenate(
        [[edges[0] - kind.tails[0]], (edges[1:] + edges[:-1]) / 2, [edges[-1] + kind.tails[1]]]
    )
    return pad_codes(kind, kind.location + kind.scale * own)


@probability_below.register
def _(kind: Real, value: float) -> Array:
    edges, event = np.asarray(kind.edges), (value - kind.location) / kind.scale
    inner = ((event - edges[:-1]) / np.diff(edges)).clip(0, 1)
    under = np.exp(-max(edges[0] - event, 0) / kind.tails[0])
    over = -np.expm1(-max(event - edges[-1], 0) / kind.tails[1])
    return pad_codes(kind, np.concatenate([[under], inner, [over]]))


@outer_quantiles.register
def _(kind: Real, low: Array, high: Array) -> tuple[Array, Array]:
    least, most = (
        kind.edges[0] + kind.tails[0] * np.log(low),
        kind.edges[-1] - kind.tails[1] * np.log(high),
    )
    return kind.location + kind.scale * least, kind.location + kind.scale * most


@code_entropies.register
def _(kind: Real) -> Array:
    own = bin_sizes(kind).log().numpy()[: kind.regular] + np.log(kind.scale)
    own[[0, -1]] += 1  # an exponential's is 1 + log mean
    return pad_codes(kind, own)


def likeliest_inside(schema: Schema, holes: bool) -> Tensor:
    """log p(its most probable value | code) of every code that a completed cell may take, else -inf: (sum of codes,).

    Open codes it may never take, holes only where asked for; those of real variables never, since a hole has a
    probability and a number a density, and the two cannot be weighed against each other.
    """
    own = torch.from_numpy(np.concatenate([log_peaks(kind) for kind in schema.kinds]))
    marks = zip(
        schema.kinds,
        *(schema.code_mask(h).split(list(schema.codes)) for h in (False, holes)),
        strict=True,
    )
    kept = torch.cat(
        [regular if isinstance(kind, Real) else allowed for kind, regular, allowed in marks]
    )
    return own.masked_fill(~kept, -torch.inf)
