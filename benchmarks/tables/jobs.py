"""What is measured of a table, part after part, each once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.tables.auc import measure_auc
from benchmarks.tables.fits import Work
from benchmarks.tables.lines import Lines, show
from benchmarks.tables.sources import prepare_table

PARTS = {"auc": measure_auc}


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

    def run(self) -> None:
        torch.set_num_threads(1)
        left = [part for part in self.parts if not self.lines.has(self.table, part)]
        if not left:
            return
        table = prepare_table(self.table, self.data, self.work.folder / self.table, self.work.seed)
        for part in left:
            found = list(PARTS[part](table, self.work))
            self.lines.add(self.table, part, found)
            for line in found:
                cells = ", ".join(
                    f"{name} {show(cell)}" for name, cell in line.items() if cell is not None
                )
                print(f"{self.table} {part}: {cells}", flush=True)

    def run_in_turn(self) -> str:
        """The same, with a failure told in a line."""
        try:
            self.run()
        except Exception as error:
            return f"{self.table}: {type(error).__name__}: {error}"
        return ""
