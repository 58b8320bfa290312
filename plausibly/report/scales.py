"""An axis for each variable: where a row falls on it, as a bin, and what is written below the bins.

Categories have a bin a level, numbers about twenty round bins (1, 2, 5, 10, ... where they spread over decades), dates
sixteen equal ones. Holes and what was not foreseen have a bin of their own at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from plausibly.data.columns.date_forms import form_of
from plausibly.data.columns.types import DateColumn
from plausibly.data.events import Events
from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.formats.format import Format
from plausibly.events.kinds import Kind
from plausibly.report.drawing import shorten

MAX_LEVELS = 12
NUMBER_BINS = 20


@dataclass(frozen=True)
class PlottedRows:
    """Rows twice: as codes (n, variables), and as values by column, NaN where there is none or no number."""

    codes: np.ndarray
    values: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Scale:
    """`labels` are written at the places `ticks`, in bins; bin k reaches from k - 0.5 to k + 0.5."""

    variable: int
    name: str
    bins: int
    ticks: Sequence[float]
    labels: Sequence[str]
    code_bins: np.ndarray | None = None  # the bin of each code, or
    edges: np.ndarray | None = (
        None  # the edges of the values' bins; what is no number gets the bin after these
    )

    @property
    def has_order(self) -> bool:
        return self.edges is not None

    def places(self, sheet: PlottedRows) -> np.ndarray:
        """The bin of each row."""
        codes = sheet.codes[:, self.variable]
        if self.code_bins is not None:
            return np.asarray(self.code_bins[codes])
        assert self.edges is not None
        values, inner = sheet.values[self.name], len(self.edges) - 1
        bins = np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, inner - 1)
        return np.where(
            np.isnan(values), self.bins - 1, bins
        )  # without such a bin there is no such row

    def shares(self, sheet: PlottedRows) -> np.ndarray:
        """The share of rows in each bin."""
        return np.bincount(self.places(sheet), minlength=self.bins) / max(len(sheet), 1)


def make_plotted_rows(format: Format, events: Events) -> PlottedRows:
    """Events in both forms."""
    codes = format.schema.event_codes(events.codes).numpy()
    if format.table is None:
        rows = format.rows(events)
        flat = np.asarray(rows).reshape(len(rows), -1).astype(np.float64)
        values = {
            name: flat[:, int(name)]
            for name in format.names
            if name.isdecimal() and int(name) < flat.shape[1]
        }
        return PlottedRows(codes, values)
    words = {entry["name"]: entry["kind"] for entry in format.describe()}
    columns = zip(format.names, format.numbers(events).T, strict=True)
    numbers = {name: _finite(own, words[name]) for name, own in columns}
    return PlottedRows(codes, numbers | _seconds(format, events))


def draw_values(format: Format, codes: Tensor, seed: int = 0) -> Events:
    """Sampled codes with values drawn inside them."""
    return format.draw(codes, np.random.default_rng((seed, 1)))


def draw_sheet(format: Format, codes: Tensor, seed: int = 0) -> PlottedRows:
    """The same in both forms."""
    return make_plotted_rows(format, draw_values(format, codes, seed))


def _seconds(format: Format, events: Events) -> dict[str, np.ndarray]:
    """Dates and times, in seconds since 1970 or midnight."""
    if format.table is None:
        return {}
    pairs = column_cells(format.blocks, events.values)
    return {c.name: c.seconds(cells) for c, cells in pairs if isinstance(c, DateColumn)}


def _finite(values: np.ndarray, word: str) -> np.ndarray:
    amounts = word in ("integer", "number", "real")
    return np.where(np.isfinite(values) & amounts, values, np.nan)


def scales(format: Format, sheets: Sequence[PlottedRows], train: np.ndarray) -> list[Scale]:
    """A scale for each variable, wide enough for all the sheets; `train` are training codes, (n, variables)."""
    entries = {entry["name"]: entry for entry in format.describe()}
    found = []
    for i, (name, kind) in enumerate(zip(format.names, format.schema.kinds, strict=True)):
        entry, codes = (
            entries.get(name, {}),
            np.concatenate([train[:, i], *(sheet.codes[:, i] for sheet in sheets)]),
        )
        values = sheets[0].values.get(name, np.empty(0))
        finite = values[~np.isnan(values)]
        if not kind.ordered or not len(finite):
            found.append(_by_level(i, name, kind, entry.get("levels"), codes))
        else:
            found.append(_by_value(i, name, kind, entry.get("form", ""), finite, codes))
    return found


def _by_value(
    i: int, name: str, kind: Kind, form: str, finite: np.ndarray, codes: np.ndarray
) -> Scale:
    """Bins of numbers, or of dates and times of a form, and one more where some codes stand for neither."""
    edges = date_edges(finite) if form else number_edges(finite)
    whole = not form and bool((edges % 1 == 0.5).all())
    spelled = (
        (_clocks(edges) if form_of(form).clock else _days(edges))
        if form
        else [f"{edge + 0.5 * whole:,.6g}" for edge in edges]
    )
    inner, special = len(edges) - 1, bool((codes >= kind.regular).any())
    step = -(-inner // 6) if whole else -(-inner // 3)
    chosen = [k for k in range(0, inner + (not whole), step) if k < 0.8 * inner or not special]
    ticks, labels = [k - 0.5 * (not whole) for k in chosen], [spelled[k] for k in chosen]
    if special:
        ticks, labels = [*ticks, inner], [*labels, "missing" if kind.missing else "other"]
    return Scale(i, name, inner + special, ticks, labels, edges=edges)


def _by_level(i: int, name: str, kind: Kind, levels: list[str] | None, codes: np.ndarray) -> Scale:
    """A bin for each code that occurs; where there are many, for the most frequent, and one for all others."""
    regular = [shorten(level, 14) for level in levels or map(str, range(kind.regular))]
    names = [*regular, "rare"][: kind.regular] + ["other"] * kind.open + ["missing"] * kind.missing
    counts = np.bincount(codes, minlength=kind.codes)
    kept = np.flatnonzero(counts)
    if len(kept) > MAX_LEVELS:
        kept = np.sort(np.argsort(-counts, kind="stable")[: MAX_LEVELS - 1])
    bins = np.full(kind.codes, len(kept))
    bins[kept] = np.arange(len(kept))
    some = [names[k] for k in kept]
    if counts.sum() - counts[kept].sum():
        some.append("others")
    return Scale(i, name, len(some), list(range(len(some))), some, code_bins=bins)


def number_edges(values: np.ndarray) -> np.ndarray:
    """Edges of round bins: one for each whole number where there are few, decades where values spread over them."""
    low, high = float(values.min()), float(values.max())
    if (values % 1 == 0).all() and high - low < 1.5 * NUMBER_BINS and max(-low, high) < 2**50:
        return np.arange(low - 0.5, high + 1)
    positive = values[values > 0]
    if low >= 0 and _spans_decades(positive):
        return _decades(positive, low)
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(NUMBER_BINS, steps=[1, 2, 2.5, 5, 10])
    ticks = locator.tick_values(*np.quantile(values, [0.005, 0.995]))
    edges = np.unique(np.asarray(ticks, dtype=np.float64))
    return edges if len(edges) > 1 else np.array([low, np.nextafter(high, np.inf)])


def _spans_decades(positive: np.ndarray) -> bool:
    """True where the largest are many times what is usual."""
    if len(positive) <= 20:
        return False
    return bool(np.quantile(positive, 0.99) > 12 * max(np.median(positive), 1e-300))


def _decades(positive: np.ndarray, low: float) -> np.ndarray:
    bottom, top = np.quantile(positive, 0.02), positive.max()
    series = np.array([m * 10.0**k for k in range(-300, 300) for m in (1, 2, 5)])
    first = max(int(np.searchsorted(series, bottom, side="right")) - 1, 0)
    edges = series[first : int(np.searchsorted(series, top, side="right")) + 1][-NUMBER_BINS:]
    return np.concatenate([[low], edges]) if low < edges[0] else edges


def date_edges(seconds: np.ndarray) -> np.ndarray:
    return np.linspace(seconds.min(), seconds.max() + 1, 17)


def _clocks(edges: np.ndarray) -> list[str]:
    wide = edges[-1] - edges[0] > 900
    return form_of("%H:%M" if wide else "%H:%M:%S").write(edges // (60 if wide else 1))


def _days(edges: np.ndarray) -> list[str]:
    unit: Any = "M" if edges[-1] - edges[0] > 4e7 else "D" if edges[-1] - edges[0] > 4e5 else "m"
    return [str(day) for day in edges.astype("datetime64[s]").astype(f"datetime64[{unit}]")]
