"""The closeness of samples to held-out rows: for every model that samples, with a likelihood or without.

No number here says all: a judge sees what it can see, precision does not ask for variety, recall not for quality, and
a copy of the training rows is perfect by all of them but those that look for copies. Each tells its judge or extractor,
what would be perfect, and how sure it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.repeats import comparable_rows
from plausibly.errors import UserError
from plausibly.evaluation.intervals import TOO_FEW
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import (
    closest_records,
    copy_share,
    coverage_numbers,
    nearer_to_training,
)
from plausibly.evaluation.samples.distances import frechet_number, kernel_number
from plausibly.evaluation.samples.features import ColumnFeatures, Extractor
from plausibly.evaluation.samples.judges import make_judge
from plausibly.evaluation.samples.relations import RelationShare, relation_shares
from plausibly.evaluation.samples.tables import (
    Distances,
    Table,
    cell_values,
    factorise_cells,
    table_distances,
)
from plausibly.evaluation.samples.two_samples import mmd_number, two_sample_auc
from plausibly.evaluation.samples.usefulness import MAX_LEVELS, PredictionContest, usefulness
from plausibly.printing import html_table

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format
    from plausibly.data.relations.relation import Relation

SAMPLE_ROWS = 2000
MIN_ROWS = 20
CONSERVATIVE_NOTE = (
    "intervals hold what the number is on average in 95 % of repeats or more; those of shares, precision, recall, density, "
    "coverage, AUC and distances near their least are conservative: they hold it in more than 98 %"
)
MAX_CELLS = 250_000  # numbers of the rows of one sort that the board's judge looks at, so that it takes seconds
MAX_COMPARED_ROWS = 5000  # training and control rows of each that samples are near to, at most
MAX_DRAWS = 10  # of samples and of training rows, over which distances of a table's columns are averaged, at most
# rows that trees learn from, at most; how often; seconds that drawing them takes
MAX_TAUGHT_ROWS = 50_000
DRAW_REPEATS = 3
MAX_DRAW_SECONDS = 100
NUMBER_NAMES = {
    "two_sample_auc": "two-sample AUC",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "class_shares": "class shares, apart",
    "nearer_to_training": "nearer to training",
    "copies": "copies of training",
    "mmd": "MMD^2",
    "kernel_distance": "kernel distance",
    "frechet_distance": "Frechet distance",
    "column_distance": "columns, apart",
    "largest_column_ratio": "columns, largest ratio",
    "pair_distance": "pairs of columns, apart",
    "largest_pair_ratio": "pairs, largest ratio",
    "closest_record": "to nearest training row",
    "near_records": "near a training row",
    "trained_on_samples": "trained on samples",
    "training_gap": "gap to trained on rows",
}


@dataclass(frozen=True)
class ReferenceRows:
    """The rows that samples are held against. The others are None and nothing where they are not at hand."""

    real: Events
    train: Events | None = None
    control: tuple[Events, ...] = ()  # all rows that nobody was trained on
    held_out: Events | None = None  # all rows that the real ones are some of
    relations: Sequence[Relation] = ()  # that hold in all training rows


@dataclass(frozen=True, repr=False)
class Samples:
    """The numbers by their keys, in the order in which they are read, and why others are missing."""

    rows: int
    seed: int
    extractor: Mapping[str, Any]
    numbers: dict[str, Number] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    distances: Distances | None = None  # of a table's columns and pairs of columns
    relations: Sequence[RelationShare] = ()
    groups: int | None = None  # of the held-out rows

    def __getitem__(self, name: str) -> Number:
        return self.numbers[name]

    def __repr__(self) -> str:
        told = ", ".join(f"{NUMBER_NAMES[name]} {number}" for name, number in self.numbers.items())
        return f"<{self.rows:,} samples beside as many held-out rows: {told}>"

    def _repr_html_(self) -> str:
        return f"{html_table(*self.table())}<p>{html.escape(self.title())}</p>"

    def to_json(self) -> dict[str, Any]:
        """Each value under its key; all about it under `numbers`."""
        return {
            **{name: number.value for name, number in self.numbers.items()},
            "rows": self.rows,
            "groups": self.groups,
            "seed": self.seed,
            "extractor": dict(self.extractor),
            "missing": self.missing,
            **({"relations": [e.to_json() for e in self.relations]} if self.relations else {}),
            **(self.distances.to_json() if self.distances else {}),
            "numbers": {name: number.to_json() for name, number in self.numbers.items()},
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        headings = ["number", "value", "95 % interval", "real rows", "what is better", "by"]
        rows = [[NUMBER_NAMES[name], *number.cells()] for name, number in self.numbers.items()]
        return headings, rows

    def tables(self) -> list[Table]:
        """Headings, rows and title of the numbers' table, and of those that follow it."""
        found = [
            (*self.table(), self.title()),
            *(self.distances.tables() if self.distances else []),
        ]
        if not self.relations:
            return found
        headings = ["column", "is a", "samples", "real rows"]
        title = "share of rows in which it is; of training rows all"
        return [*found, (headings, [each.cells() for each in self.relations], title)]

    def title(self) -> str:
        grouped = "" if self.groups is None else f" in {self.groups:,} groups"
        said = (
            f"{self.rows:,} samples beside {self.rows:,} held-out rows{grouped}, ± standard error"
        )
        return f"{said}; real rows: in the samples' stead"

    def notes(self) -> list[str]:
        said = [f"{NUMBER_NAMES[name]}: {reason}" for name, reason in self.missing.items()]
        said += self._error_notes()
        has_interval = any(number.interval for number in self.numbers.values())
        said.append(CONSERVATIVE_NOTE if has_interval else TOO_FEW)
        if (right := self.extractor.get("accuracy")) is not None:
            said.append(f"the {self.extractor['name']} is right about {right:.1%} of the test rows")
        return said

    def _error_notes(self) -> list[str]:
        over: dict[str, list[str]] = {}
        for name, number in self.numbers.items():
            over.setdefault(number.over, []).append(NUMBER_NAMES[name])
        named = ((what, ", ".join(names)) for what, names in over.items() if what)
        return [f"± and interval are over {what}: {names}" for what, names in named]


def pick_rows(events: Events, rows: int, *seeds: int) -> Events:
    """So many of the events, or all, in a random order that the seeds decide."""
    order = np.random.default_rng((*seeds, 42)).permutation(len(events))
    return events[torch.from_numpy(order[:rows])]


def check_rows(rows: int, at_hand: int) -> int:
    """The number of rows that are taken. UserError where these are too few to tell anything."""
    if rows < MIN_ROWS or at_hand < MIN_ROWS:
        raise UserError(f"{min(rows, at_hand)} rows; samples are held against at least {MIN_ROWS}")
    return min(rows, at_hand)


def measure_samples(
    format: Format,
    made: Events,
    rows: ReferenceRows,
    extractor: Extractor,
    seed: int = 0,
    on_progress: RowProgress = ignore_progress,
) -> Samples:
    """All numbers of as many samples as there are real rows; `on_progress` is told of the judge's folds, the longest part."""
    groups, by = rows.real.groups, extractor.name
    number = None if groups is None else len(np.unique(groups))
    found = Samples(len(made), seed, extractor.to_json(), groups=number)
    found.numbers["two_sample_auc"] = judge_auc(format, made, rows.real, seed, on_progress)
    real, features = extractor(rows.real), extractor(made)
    training = None if rows.train is None else extractor(pick_rows(rows.train, len(made), seed, 1))
    found.numbers.update(coverage_numbers(real, features, by, training, groups=groups))
    found.numbers.update(extractor.more(real, features, training, groups))
    measure_copies(found, format, made, rows)
    plain = ColumnFeatures(format, rows.real if rows.train is None else rows.train)
    found.numbers["mmd"] = mmd_number(plain(rows.real), plain(made), plain.name, seed, groups)
    found.numbers["kernel_distance"] = kernel_number(real, features, by, training, groups)
    store_number(found, "frechet_distance", frechet_number(real, features, by, training))
    return found


def store_number(found: Samples, name: str, number: Number | str) -> None:
    """A number, or why it is missing."""
    if isinstance(number, Number):
        found.numbers[name] = number
    else:
        found.missing[name] = number


def measure_copies(found: Samples, format: Format, made: Events, rows: ReferenceRows) -> None:
    """Measures the share of samples nearer to training rows than to others, and the share of copies."""
    if rows.train is None or not rows.control:
        why = "needs the training rows, which are not at hand"
        found.missing.update(nearer_to_training=why, copies=why)
        return
    plain, held_out = ColumnFeatures(format, rows.train), sum(map(len, rows.control))
    each = min(len(rows.train), held_out, MAX_COMPARED_ROWS)
    control = np.concatenate([plain(part) for part in rows.control])
    picked = np.random.default_rng((found.seed, 43)).permutation(held_out)[:each]
    train = plain(pick_rows(rows.train, each, found.seed, 2))
    found.numbers["nearer_to_training"] = nearer_to_training(
        plain(made), train, control[picked], plain.name
    )
    found.numbers["copies"] = copy_share(
        comparable_rows(made), comparable_rows(rows.real), comparable_rows(rows.train)
    )


def judge_auc(
    format: Format,
    made: Events,
    real: Events,
    seed: int = 0,
    on_progress: RowProgress = ignore_progress,
) -> Number:
    """The two-sample AUC alone, of as many samples as real rows."""
    made, real = format.plain_events(made), format.plain_events(real)
    return two_sample_auc(
        make_judge(format.plain, real, made),
        len(real),
        seed,
        on_progress=on_progress,
        groups=real.groups,
    )


def board_rows(format: Format, held_out: int, speed: float | None, patience: float = 30.0) -> int:
    """The number of rows that the board's judge looks at: fewer of wide rows, and of models that take long to draw them.

    `speed` in rows a second. 0 where they are too few to tell anything.
    """
    rows = min(SAMPLE_ROWS, max(200, MAX_CELLS // format.schema.size), held_out)
    rows = rows if speed is None else min(rows, int(patience * speed))
    return rows if rows >= MIN_ROWS else 0


def rows_to_learn(train: int, rows: int, speed: float | None) -> int:
    """The number of samples that trees learn from: as many as training rows; fewer of very many, and where drawing is slow.

    `speed` in rows a second.
    """
    most = MAX_TAUGHT_ROWS if speed is None else min(MAX_TAUGHT_ROWS, int(MAX_DRAW_SECONDS * speed))
    return min(train, max(rows, most))


def measure_table(
    found: Samples,
    format: Format,
    draws: Sequence[Events],
    rows: ReferenceRows,
    target: int | None,
    seed: int = 0,
) -> Samples:
    """The same with what is told of tables alone, by several draws of as many samples as are learned from."""
    apart = compare_columns(format, draws, rows, found.rows, seed)
    found.numbers.update(apart.numbers())
    if rows.train is None or rows.held_out is None:
        reason = "needs the training rows, which are not at hand"
        found.missing.update(closest_record=reason, near_records=reason, trained_on_samples=reason)
        return replace(found, distances=apart)
    ours, theirs, known = factorise_cells(format, draws, [rows.held_out], [rows.train])
    found.numbers["copies"] = copy_share(ours, theirs, known)
    found.numbers.update(compare_records(format, draws[0][: found.rows], rows, seed))
    for name, number in learn_from_draws(format, draws, rows, target, seed).items():
        store_number(found, name, number)
    sorts = draws, [rows.held_out]
    followed = relation_shares(format, rows.relations, sorts, (ours, theirs, known))
    return replace(found, distances=apart, relations=followed)


def compare_columns(
    format: Format, draws: Sequence[Events], rows: ReferenceRows, most: int, seed: int
) -> Distances:
    """The distances of columns, between `most` held-out rows or as few as there are of a sort, and draws of as many."""
    train = rows.train
    each = min([most, *map(len, draws), len(rows.real if train is None else train)])
    again = () if train is None else shuffles(train, seed)
    real = rows.real[:each]
    return table_distances(
        format.names,
        format.schema.kinds,
        cell_values(format, real),
        [cell_values(format, part) for part in portions(draws, each)],
        [cell_values(format, part) for part in portions(again, each)],
        real.groups,
    )


def shuffles(rows: Events, seed: int) -> Iterator[Events]:
    """All rows in one random order after another."""
    return (pick_rows(rows, len(rows), seed, 3, k) for k in range(MAX_DRAWS))


def compare_records(
    format: Format, made: Events, rows: ReferenceRows, seed: int
) -> Mapping[str, Number]:
    """The numbers of what is nearest among training rows."""
    assert rows.train is not None
    plain, train = (
        ColumnFeatures(format, rows.train),
        pick_rows(rows.train, MAX_TAUGHT_ROWS, seed, 4),
    )
    by = f"{plain.name}, {len(train):,} training rows"
    return closest_records(plain(made), plain(rows.real), plain(train), by)


def learn_from_draws(
    format: Format, draws: Sequence[Events], rows: ReferenceRows, target: int | None, seed: int
) -> Mapping[str, Number | str]:
    """Compares what trees learn from draws of samples with what they learn from as many training rows."""
    if target is None:
        return {"trained_on_samples": f"needs a column of numbers, or of 2 to {MAX_LEVELS} levels"}
    assert rows.train is not None and rows.held_out is not None
    contest = PredictionContest(format, target, pick_rows(rows.held_out, MAX_TAUGHT_ROWS, seed, 5))
    found = usefulness(contest, pick_rows(rows.train, len(draws[0]), seed, 6), draws, seed)
    return {"trained_on_samples": found} if isinstance(found, str) else found


def portions(sets: Iterable[Events], each: int) -> Iterator[Events]:
    """The first draws of so many rows that the sets can be cut into."""
    every = (rows[i : i + each] for rows in sets for i in range(0, len(rows) - each + 1, each))
    return islice(every, MAX_DRAWS)
