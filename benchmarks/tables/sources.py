"""Tables, and how their rows part into what a fit may see and what it is judged by.

Under 25,000 rows a table is cut into five: five fits see four parts each and are judged by the fifth, so that every row is
judged once. Larger ones are cut into halves. adult_train is judged by adult_test. A scripted table has 5,000 to 20,000
rows, and is judged by as many fresh ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.scripted import draw_table, rules_of

FEW_ROWS = 25_000
FOLDS = 5
SCRIPTED = "scripted-"
LARGE = "large"  # no file: a million rows that are only fitted
SCRIPTED_ROWS = (5_000, 20_000)
MAX_CLASSES = 20  # of a scripted column that is predicted
TARGETS = {
    "adult_train": "income",
    "california_housing": "median_house_value",
    "r_credit_data": "Status",
    "r_lending_club": "Class",
    "titanic": "survived",
    "penguins": "species",
    "diamonds": "price",
    "pmlb_mushroom": "target",
    "adult_test": "income",
    "r_flights": "arr_delay",
}
TOLD = {"titanic": ["alive"]}  # columns that are the target by another name


@dataclass(frozen=True)
class Split:
    """CSV files of the rows that a fit may see, and of those that it is judged by."""

    train: Path
    held_out: Path


@dataclass(frozen=True)
class Table:
    """A table's name, its splits, and in words which rows judge."""

    name: str
    splits: list[Split]
    rows: str

    @property
    def seed(self) -> int | None:
        """What a scripted table is drawn by."""
        is_scripted = self.name.startswith(SCRIPTED)
        return int(self.name.removeprefix(SCRIPTED)) if is_scripted else None

    @property
    def targets(self) -> list[str]:
        """Columns that are predicted: of a scripted table the last of few levels, and the last of numbers."""
        if self.seed is None:
            return [TARGETS[self.name]] if self.name in TARGETS else []
        rows = read_rows(self.splits[0].train)
        classes = [name for name in rows if rows[name].nunique() <= MAX_CLASSES]
        numbers = [name for name in rows.select_dtypes("number") if name not in classes]
        return [*classes[-1:], *numbers[-1:]]


def read_rows(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, low_memory=False)


def read_cells(path: Path) -> pd.DataFrame:
    """A table as it is written: every cell a text, so that a part of it is written the same."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def prepare_table(name: str, data: Path, folder: Path, seed: int) -> Table:
    """The splits of a table of the folder `data`, or of a scripted one, written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == LARGE:
        return Table(name, [Split(folder / "orders.parquet", folder / "none")], "none")
    if name.startswith(SCRIPTED):
        rows, parts = "as many fresh rows", scripted_parts(int(name.removeprefix(SCRIPTED)))
    elif name == "adult_train":
        files = [data / f"{each}.csv.gz" for each in ("adult_train", "adult_test")]
        rows, parts = "adult_test", iter([tuple(map(read_cells, files))])
    else:
        cells = read_cells(data / f"{name}.csv.gz")
        folds = FOLDS if len(cells) < FEW_ROWS else 2
        rows = f"each of {FOLDS} parts" if folds == FOLDS else "the other half"
        parts = cut(cells, folds, seed)
    splits = []
    for k, frames in enumerate(parts):
        splits.append(Split(folder / f"train-{k}.csv", folder / f"held-out-{k}.csv"))
        for path, frame in zip((splits[-1].train, splits[-1].held_out), frames, strict=True):
            frame.to_csv(path, index=False)
    return Table(name, splits, rows)


def scripted_parts(seed: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    fewest, most = SCRIPTED_ROWS
    rows = int(np.random.default_rng([seed, 3]).integers(fewest, most + 1))
    yield draw_table(seed, rows, 0), draw_table(seed, rows, 1)


def cut(cells: pd.DataFrame, folds: int, seed: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """All rows but one part, and that part; of halves one is enough."""
    order = np.array_split(np.random.default_rng(seed).permutation(len(cells)), folds)
    for k in range(folds if folds > 2 else 1):
        rest = np.concatenate([part for i, part in enumerate(order) if i != k])
        yield cells.iloc[rest], cells.iloc[order[k]]


def find_tables(data: Path) -> list[str]:
    """The names of the tables at hand, in the order of TARGETS."""
    there = {path.name.removesuffix(".csv.gz") for path in data.glob("*.csv.gz")}
    return [name for name in TARGETS if name in there] + sorted(there - TARGETS.keys())


def kinds_of(table: Table) -> dict[str, str]:
    """The rule of each column of a scripted table."""
    assert table.seed is not None
    return rules_of(table.seed)
