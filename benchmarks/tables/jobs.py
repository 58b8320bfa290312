"""What is measured of a table, part after part, each once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.tables.auc import measure_auc
from benchmarks.tables.columns import measure_columns
from benchmarks.tables.copies import measure_copies
from benchmarks.tables.families import measure_families
from benchmarks.tables.fits import Work
from benchmarks.tables.large import measure_large
from benchmarks.tables.lines import Line, Lines, show
from benchmarks.tables.peers import measure_one_tree, measure_trees, measure_tvae
from benchmarks.tables.pit import measure_pit
from benchmarks.tables.planted import measure_planted
from benchmarks.tables.prediction import measure_prediction
from benchmarks.tables.rules import measure_rules
from benchmarks.tables.sources import LARGE, SCRIPTED, Table, prepare_table


def is_scripted(name: str) -> bool:
    return name.startswith(SCRIPTED)


def is_judged(name: str) -> bool:
    return name != LARGE


@dataclass(frozen=True)
class Part:
    """A measurement, and of which tables it is made, by name."""

    measure: Callable[[Table, Work], Iterator[Line]]
    applies: Callable[[str], bool] = is_judged


PARTS = {
    "auc": Part(measure_auc),
    "one_tree": Part(measure_one_tree),
    "trees": Part(measure_trees),
    "tvae": Part(measure_tvae),
    "rules": Part(measure_rules, is_scripted),
    "copies": Part(measure_copies),
    "columns": Part(measure_columns),
    "prediction": Part(measure_prediction),
    "families": Part(measure_families),
    "pit": Part(measure_pit, {"adult_train"}.__contains__),
    "planted": Part(measure_planted, is_scripted),
    "large": Part(measure_large, {LARGE}.__contains__),
}


@dataclass(frozen=True)
class Job:
    """What is measured of one table."""

    table: str
    parts: list[str]
    data: Path
    work: Work

    @property
    def lines(self) -> Lines:
        return Lines(self.work.folder / "lines.jsonl")

    def run(self) -> list[str]:
        """Measures what is not there yet. A part that failed is told in a line, and the others are measured."""
        torch.set_num_threads(1)
        fit = [part for part in self.parts if PARTS[part].applies(self.table)]
        left = [part for part in fit if not self.lines.has(self.table, part)]
        if not left:
            return []
        table = prepare_table(self.table, self.data, self.work.folder / self.table, self.work.seed)
        return [told for part in left if (told := self.attempt(table, part))]

    def attempt(self, table: Table, part: str) -> str:
        """Measures a part and writes its lines; what went wrong."""
        try:
            found = list(PARTS[part].measure(table, self.work))
        except Exception as error:
            told = f"{self.table} {part}: {type(error).__name__}: {error}"
            print(told, file=sys.stderr, flush=True)
            return told
        self.lines.add(self.table, part, found)
        for line in found:
            cells = [f"{name} {show(cell)}" for name, cell in line.items() if cell is not None]
            print(f"{self.table} {part}: {', '.join(cells)}", flush=True)
        return ""
