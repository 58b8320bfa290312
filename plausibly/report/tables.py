"""Parts of the page on tables beyond columns: pairs that samples get wrong, dependences, rows that surprise, explained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.evaluation.likelihood.by_column import by_column
from plausibly.evaluation.samples.tables import PairBins, cell_values, pair_bins
from plausibly.report.drawing import FAINT, INK, shade_cells, shorten, svg
from plausibly.report.figures import PAGE_INCHES
from plausibly.report.subjects import Subject

BINNING_ROWS = 10_000  # training rows that suggest bins
# test rows looked at; those shown, and columns of them
MAX_TEST_ROWS = 2000
MAX_ROWS = 8
MAX_COLUMNS = 9
# pairs; columns whose dependences are shown, and of which also as numbers
MAX_PAIRS = 4
MAX_HEAT_COLUMNS = 30
MAX_TEXT_COLUMNS = 15
DEPENDENCE_TITLE = (
    "Cramér's V: 0 for independent columns; the same on both sides of the diagonal is right"
)


def compare_pairs(
    dataset: Dataset, real: Events, made: Events, subject: Subject
) -> tuple[list[tuple[int, int, float]], list[tuple[str, Markup]]]:
    """The pairs of columns that differ most, and a picture of how columns depend on each other; nothing of a lone column."""
    format = dataset.format
    bins = pair_bins(dataset.schema.kinds, cell_values(format, dataset.shown[:BINNING_ROWS]))
    if len(bins.bins) < 2:
        return [], []
    theirs, ours = cell_values(format, real), cell_values(format, made)
    picture = dependences(bins, format.names, theirs, ours, subject)
    return pairs_apart(bins, theirs, ours), [("How columns depend on each other", picture)]


def pairs_apart(bins: PairBins, real: np.ndarray, made: np.ndarray) -> list[tuple[int, int, float]]:
    """The pairs of columns whose distance (TV in bins) exceeds most what shuffled sorts of rows have: (i, j, excess)."""
    n = min(len(real), len(made))
    both = np.random.default_rng(24).permutation(np.concatenate([real[:n], made[:n]]))
    excess = bins.distances(real[:n], made[:n]) - bins.distances(both[:n], both[n:])
    first, second = np.triu_indices(len(excess), 1)
    order = np.argsort(-excess[first, second], kind="stable")[:MAX_PAIRS]
    found = [(int(first[k]), int(second[k]), float(excess[first[k], second[k]])) for k in order]
    return [pair for pair in found if pair[2] > 0]


def dependences(
    bins: PairBins, names: Sequence[str], real: np.ndarray, made: np.ndarray, subject: Subject
) -> Markup:
    """Cramer's V of every pair of columns: of real rows below the diagonal, of samples above it."""
    ours, theirs = bins.associations(made), bins.associations(real)
    strongest = -np.max(theirs - np.eye(len(theirs)), 1)
    chosen = np.sort(np.argsort(strongest, kind="stable")[:MAX_HEAT_COLUMNS])
    both = (np.tril(theirs, -1) + np.triu(ours, 1))[np.ix_(chosen, chosen)]
    draw = partial(draw_dependences, both, [shorten(names[i], 18) for i in chosen], subject.colour)
    label = "dependence of each pair of columns, real rows and samples"
    return svg(PAGE_INCHES, 1.4 + min(0.28 * len(chosen), 6.0), label, draw)


def draw_dependences(both: np.ndarray, names: list[str], colour: str, figure: Figure) -> None:
    """Draws numbers from 0 to 1, (columns, columns), as shades, and where there are few columns as texts."""
    axes, places = figure.subplots(), np.arange(len(names))
    axes.imshow(shade_cells(both**2, colour, 1.0), interpolation="none", aspect="auto")
    axes.plot(places[[0, -1]] + [-0.5, 0.5], places[[0, -1]] + [-0.5, 0.5], color=FAINT, lw=0.8)
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_yticks(places, names, fontsize=7)
    axes.set_ylabel("real rows: below the diagonal")
    axes.set_title(DEPENDENCE_TITLE, loc="left")
    axes.set_title("samples: above", loc="right")
    axes.tick_params(length=0)
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5, "color": INK}
    for i, j in np.argwhere(both >= 0.05) if len(names) <= MAX_TEXT_COLUMNS else ():
        axes.text(j, i, f"{both[i, j]:.2f}".removeprefix("0"), **look)


@dataclass(frozen=True)
class SurprisingCell:
    """A value, its bits, and how strongly it stands out, 0 to 1."""

    text: str
    bits: str
    shade: float


@dataclass(frozen=True)
class SurprisingSection:
    """The least probable of some rows: headings with usual bits; for each row its bits and cells."""

    lead: str
    headings: list[tuple[str, str]]
    rows: list[tuple[str, list[SurprisingCell]]]


def surprising_section(shown: list[Subject], dataset: Dataset | None) -> SurprisingSection | None:
    """The most surprising test rows by the best model that factorises; None where there is none, or no table."""
    if dataset is None or dataset.format.table is None:
        return None
    events = dataset.test[:MAX_TEST_ROWS]
    for subject in shown:
        if found := by_column(subject.run.model, dataset.format, events):
            return explain_bits(
                subject.label, found.names, -found.nats / float(np.log(2)), dataset.format, events
            )
    return None


def explain_bits(
    label: str, names: Sequence[str], bits: Tensor, format: Format, events: Events
) -> SurprisingSection:
    """From the bits of every cell, (rows, columns): the columns that stand out most, others in one sum."""
    each, usual = bits.numpy(), bits.numpy().mean(0)
    rows = np.argsort(-each.sum(1), kind="stable")[:MAX_ROWS]
    excess = each[rows] - usual
    shown = MAX_COLUMNS if len(names) > MAX_COLUMNS + 1 else len(names)
    chosen = np.sort(np.argsort(-excess.max(0), kind="stable")[:shown])
    rest = [i for i in range(len(names)) if i not in chosen]
    headings = [(shorten(names[i], 20), f"{usual[i]:.1f}") for i in chosen]
    if rest:
        headings.append((f"{len(rest):,} others", f"{usual[rest].sum():.1f}"))
    written = read_cell_texts(format, events[rows.tolist()], {names[i] for i in chosen})
    cells = explain_cells([written[names[i]] for i in chosen], each[rows], excess, chosen, rest)
    lines = [(f"{each[row].sum():.1f}", line) for row, line in zip(rows, cells, strict=True)]
    lead = (
        f"By {label} the least plausible of {len(events):,} test rows, whose mean is {usual.sum():.1f} bits, with the bits "
        "of each cell once those before it in the model's order are known. Shaded is what has more bits than is usual in its "
        "column: that stands below the column's name."
    )
    return SurprisingSection(lead, headings, lines)


def explain_cells(
    written: list[list[str]],
    bits: np.ndarray,
    excess: np.ndarray,
    chosen: np.ndarray,
    rest: list[int],
) -> Iterator[list[SurprisingCell]]:
    """For each row the cells of the chosen columns, whose texts are `written`, and the sum of the rest."""
    top = max(float(excess.max()), 1e-9)
    for k, row in enumerate(bits):
        cells = [
            SurprisingCell(column[k], f"{row[i]:.1f}", max(excess[k, i], 0.0) / top)
            for i, column in zip(chosen, written, strict=True)
        ]
        yield cells + ([SurprisingCell("", f"{row[rest].sum():.1f}", 0.0)] if rest else [])


def read_cell_texts(format: Format, events: Events, names: Collection[str]) -> dict[str, list[str]]:
    """The cells of each of these columns as one reads them."""
    frame = format.rows(events, names=names)
    named = {str(label): frame[label] for label in frame.columns}
    return {
        name: [
            "missing" if hole else shorten(value, 18)
            for value, hole in zip(column, column.isna(), strict=True)
        ]
        for name, column in named.items()
    }
