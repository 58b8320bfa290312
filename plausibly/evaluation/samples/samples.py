"""How close samples are to held-out rows: for every model that samples, with a likelihood or without.

No number here says all: a judge sees what it can see, precision does not ask for variety, recall not for quality, and
a copy of the training rows is perfect by all of them but those that look for copies. Each tells its judge or extractor,
what would be perfect, and how sure it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from plausibly.data.events import Heard, unheard
from plausibly.data.loading import comparable
from plausibly.errors import UserError
from plausibly.evaluation.intervals import TOO_FEW
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import closest_records, copied, coverage_numbers, nearer_to_training
from plausibly.evaluation.samples.distances import frechet_number, kernel_number
from plausibly.evaluation.samples.features import Columns, Extractor
from plausibly.evaluation.samples.judges import judge
from plausibly.evaluation.samples.relations import Kept, kept
from plausibly.evaluation.samples.tables import Distances, Table, distances, values, written
from plausibly.evaluation.samples.two_samples import discrepancy, two_sample_auc
from plausibly.evaluation.samples.usefulness import MOST_LEVELS, Contest, usefulness

if TYPE_CHECKING:
    from plausibly.data.dataset import Relation
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format
    from plausibly.data.formats.tables import TableFormat

ROWS, LEAST_ROWS = 2000, 20
CONSERVATIVE = (
    "intervals hold what the number is on average in 95 % of repeats or more; those of shares, precision, recall, density, "
    "coverage, AUC and distances near their least are conservative: they hold it in more than 98 %"
)
CELLS = 250_000  # numbers of the rows of one sort that the board's judge looks at, so that it takes seconds
COMPARED = 5000  # training and control rows of each that samples are near to, at most
DRAWS = 10  # of samples and of training rows, over which distances of a table's columns are averaged, at most
TAUGHT, REPEATS, PATIENCE = (
    50_000,
    3,
    100,
)  # rows that trees learn from, at most; how often; seconds that drawing them takes
NAMES = {
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
class Rows:
    """The rows that samples are held against. The others are None and nothing where they are not at hand."""

    real: Events
    train: Events | None = None
    control: tuple[Events, ...] = ()  # all rows that nobody was trained on
    held_out: Events | None = None  # all rows that the real ones are some of
    relations: Sequence[Relation] = ()  # that hold in all training rows


@dataclass(frozen=True)
class Samples:
    """The numbers by their keys, in the order in which they are read, and why others are missing."""

    rows: int
    seed: int
    extractor: Mapping[str, Any]
    numbers: dict[str, Number] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    distances: Distances | None = None  # of a table's columns and pairs of columns
    relations: Sequence[Kept] = ()
    groups: int | None = None  # of the held-out rows

    def __getitem__(self, name: str) -> Number:
        return self.numbers[name]

    def to_json(self) -> dict[str, Any]:
        """Each value under its key; all about it under `numbers`."""
        more: dict[str, Any] = {
            "rows": self.rows,
            "groups": self.groups,
            "seed": self.seed,
            "extractor": dict(self.extractor),
            "missing": self.missing,
        }
        values = {name: number.value for name, number in self.numbers.items()}
        apart = self.distances.to_json() if self.distances else {}
        more |= {"relations": [each.to_json() for each in self.relations]} if self.relations else {}
        return values | more | apart | {"numbers": {name: number.to_json() for name, number in self.numbers.items()}}

    def table(self) -> tuple[list[str], list[list[str]]]:
        headings = ["number", "value", "95 % interval", "real rows", "what is better", "by"]
        return headings, [[NAMES[name], *number.cells()] for name, number in self.numbers.items()]

    def tables(self) -> list[Table]:
        """Headings, rows and title of the numbers' table, and of those that follow it."""
        found = [(*self.table(), self.title()), *(self.distances.tables() if self.distances else [])]
        headings, title = (
            ["column", "is a", "samples", "real rows"],
            "share of rows in which it is; of training rows all",
        )
        return found + [(headings, [each.cells() for each in self.relations], title)] * bool(self.relations)

    def title(self) -> str:
        grouped = "" if self.groups is None else f" in {self.groups:,} groups"
        return (
            f"{self.rows:,} samples beside {self.rows:,} held-out rows{grouped}, ± standard error; real rows: in "
            "the samples' stead"
        )

    def notes(self) -> list[str]:
        said = [f"{NAMES[name]}: {reason}" for name, reason in self.missing.items()]
        over: dict[str, list[str]] = {}
        for name, number in self.numbers.items():
            over.setdefault(number.over, []).append(NAMES[name])
        said += [f"± and interval are over {what}: {', '.join(names)}" for what, names in over.items() if what]
        said.append(CONSERVATIVE if any(number.interval for number in self.numbers.values()) else TOO_FEW)
        if (right := self.extractor.get("accuracy")) is not None:
            said.append(f"the {self.extractor['name']} is right about {right:.1%} of the test rows")
        return said


def some(events: Events, rows: int, *seeds: int) -> Events:
    """So many of the events, or all, in a random order that the seeds decide."""
    order = np.random.default_rng((*seeds, 42)).permutation(len(events))
    return events[torch.from_numpy(order[:rows])]


def checked(rows: int, at_hand: int) -> int:
    """How many rows are taken. UserError where these are too few to tell anything."""
    if rows < LEAST_ROWS or at_hand < LEAST_ROWS:
        raise UserError(f"{min(rows, at_hand)} rows; samples are held against at least {LEAST_ROWS}")
    return min(rows, at_hand)


def measured(
    format: Format, made: Events, rows: Rows, extractor: Extractor, seed: int = 0, heard: Heard = unheard
) -> Samples:
    """All numbers of as many samples as there are real rows; of the judge's folds, which take longest, `heard` is told."""
    number = None if rows.real.groups is None else len(np.unique(rows.real.groups))
    found = Samples(len(made), seed, extractor.to_json(), groups=number)
    found.numbers["two_sample_auc"] = judged(format, made, rows.real, seed, heard)
    real, features = extractor(rows.real), extractor(made)
    training = None if rows.train is None else extractor(some(rows.train, len(made), seed, 1))
    groups = rows.real.groups
    found.numbers.update(coverage_numbers(real, features, extractor.name, training, groups=groups))
    found.numbers.update(extractor.more(real, features, training, groups))
    remember(found, format, made, rows)
    plain = Columns(format, rows.real if rows.train is None else rows.train)
    found.numbers["mmd"] = discrepancy(plain(rows.real), plain(made), plain.name, seed, groups)
    found.numbers["kernel_distance"] = kernel_number(real, features, extractor.name, training, groups)
    keep(found, "frechet_distance", frechet_number(real, features, extractor.name, training))
    return found


def keep(found: Samples, name: str, number: Number | str) -> None:
    """A number, or why it is missing."""
    if isinstance(number, Number):
        found.numbers[name] = number
    else:
        found.missing[name] = number


def remember(found: Samples, format: Format, made: Events, rows: Rows) -> None:
    """Whether samples are nearer to training rows than to others, and how many are copies."""
    if rows.train is None or not rows.control:
        why = "needs the training rows, which are not at hand"
        found.missing.update(nearer_to_training=why, copies=why)
        return
    plain, held_out = Columns(format, rows.train), sum(map(len, rows.control))
    each = min(len(rows.train), held_out, COMPARED)
    control = np.concatenate([plain(part) for part in rows.control])
    picked = np.random.default_rng((found.seed, 43)).permutation(held_out)[:each]
    train = plain(some(rows.train, each, found.seed, 2))
    found.numbers["nearer_to_training"] = nearer_to_training(plain(made), train, control[picked], plain.name)
    found.numbers["copies"] = copied(comparable(made), comparable(rows.real), comparable(rows.train))


def judged(format: Format, made: Events, real: Events, seed: int = 0, heard: Heard = unheard) -> Number:
    """The two-sample AUC alone, of as many samples as real rows."""
    return two_sample_auc(judge(format, real, made), len(real), seed, heard=heard, groups=real.groups)


def board_rows(format: Format, held_out: int, speed: float | None, patience: float = 30.0) -> int:
    """How many rows the board's judge looks at: fewer of wide rows, and of models that take long to draw them.

    `speed` in rows a second. 0 where they are too few to tell anything.
    """
    rows = min(ROWS, max(200, CELLS // format.schema.size), held_out)
    rows = rows if speed is None else min(rows, int(patience * speed))
    return rows if rows >= LEAST_ROWS else 0


def taught_rows(train: int, rows: int, speed: float | None) -> int:
    """How many samples of a table are as many as its training rows: fewer of very many, and of models that take long to draw.

    `speed` in rows a second.
    """
    most = TAUGHT if speed is None else min(TAUGHT, int(PATIENCE * speed))
    return min(train, max(rows, most))


def table_measured(
    found: Samples, format: TableFormat, draws: Sequence[Events], rows: Rows, target: int | None, seed: int = 0
) -> Samples:
    """The same with what is told of tables alone, by several draws of as many samples as are learned from."""
    each = min([found.rows, *map(len, draws), len(rows.real if rows.train is None else rows.train)])
    again = () if rows.train is None else (some(rows.train, len(rows.train), seed, 3, k) for k in range(DRAWS))
    apart = distances(
        format.names,
        format.schema.kinds,
        values(format, rows.real[:each]),
        [values(format, part) for part in portions(draws, each)],
        [values(format, part) for part in portions(again, each)],
        rows.real[:each].groups,
    )
    found.numbers.update(apart.numbers())
    if rows.train is None or rows.held_out is None:
        reason = "needs the training rows, which are not at hand"
        found.missing.update(closest_record=reason, near_records=reason, trained_on_samples=reason)
        return replace(found, distances=apart)
    ours, theirs, known = written(format, draws, [rows.held_out], [rows.train])
    found.numbers["copies"] = copied(ours, theirs, known)
    plain, train = Columns(format, rows.train), some(rows.train, TAUGHT, seed, 4)
    by = f"{plain.name}, {len(train):,} training rows"
    found.numbers.update(closest_records(plain(draws[0][: found.rows]), plain(rows.real), plain(train), by))
    for name, number in learned_from(format, draws, rows, target, seed).items():
        keep(found, name, number)
    followed = kept(format, rows.relations, (draws, [rows.held_out]), (ours, theirs, known))
    return replace(found, distances=apart, relations=followed)


def learned_from(
    format: TableFormat, draws: Sequence[Events], rows: Rows, target: int | None, seed: int
) -> Mapping[str, Number | str]:
    """What trees learn from draws of samples, beside what they learn from as many training rows."""
    if target is None:
        return {"trained_on_samples": f"needs a column of numbers, or of 2 to {MOST_LEVELS} levels"}
    assert rows.train is not None and rows.held_out is not None
    contest = Contest(format, target, some(rows.held_out, TAUGHT, seed, 5))
    found = usefulness(contest, some(rows.train, len(draws[0]), seed, 6), draws, seed)
    return {"trained_on_samples": found} if isinstance(found, str) else found


def portions(sets: Iterable[Events], each: int) -> Iterator[Events]:
    """The first draws of so many rows that the sets can be cut into."""
    every = (rows[i : i + each] for rows in sets for i in range(0, len(rows) - each + 1, each))
    return islice(every, DRAWS)
