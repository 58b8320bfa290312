"""Fits as a user starts them: `plausibly fit FILE --budget B`, one thread, a process of its own; and their samples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

import plausibly
from benchmarks.tables.sources import Table, read_rows

SAMPLES_PER_ROW = 4
COMMAND = [sys.executable, "-m", "plausibly.cli"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Cost:
    """What a whole command took: seconds of the clock and of processors, and its peak memory in GiB."""

    seconds: float
    processor_seconds: float
    memory: float


@dataclass(frozen=True)
class Trial:
    """A fit's run, the model that it chose, and its cost; its training rows, the rows that judge it, and four times as
    many samples; of the columns that a model has, which ids and constants are not."""

    run: Path
    model: str
    cost: Cost
    train: pd.DataFrame
    held_out: pd.DataFrame
    made: pd.DataFrame

    @property
    def samples(self) -> pd.DataFrame:
        """As many as held-out rows."""
        return self.made.head(len(self.held_out))


@dataclass(frozen=True)
class Work:
    """Where fits are kept, what each may take, and the seed of all."""

    folder: Path
    budget: float
    seed: int

    def fit(
        self, table: Table, file: Path, about: str = "default", words: tuple[str, ...] = ()
    ) -> tuple[Path, Cost]:
        """The run of a file, fitted with further words, and what it took; the one that is there already, if it ended."""
        run = self.folder / table.name / f"{file.stem}-{about}"
        cost = run.with_suffix(".json")
        if not cost.exists():
            shutil.rmtree(run, ignore_errors=True)
            options = ["--budget", f"{self.budget:g}s", "--seed", str(self.seed), "--out", str(run)]
            taken = execute(["fit", str(file), *options, *words])
            cost.write_text(json.dumps(asdict(taken)))
        return run, Cost(**json.loads(cost.read_text()))

    def sample(self, run: Path, rows: int) -> pd.DataFrame:
        """So many samples of a run, written and read again as real rows are."""
        file = run.with_name(f"{run.name}-{rows}.csv")
        if not file.exists():
            draft = file.with_suffix(".draft.csv")
            words = ["-n", str(rows), "--out", str(draft), "--seed", str(self.seed + 1)]
            execute(["sample", str(run), *words])
            draft.rename(file)
        return read_rows(file)

    def trials(self, table: Table) -> list[Trial]:
        """A fit of the default to each split of a table, and its samples."""
        found = []
        for split in table.splits:
            path, cost = self.fit(table, split.train)
            run = plausibly.open(path)
            held_out = read_rows(split.held_out)
            made = self.sample(path, SAMPLES_PER_ROW * len(held_out))
            names = [name for name in run.names if name in held_out]
            frames = (frame[names] for frame in (read_rows(split.train), held_out, made))
            found.append(Trial(path, run.record.model, cost, *frames))
        return found


def execute(words: list[str]) -> Cost:
    """Runs a command with one thread. RuntimeError with what it said, where it failed."""
    started = time.monotonic()
    command = [*COMMAND, *words, "--threads", "1", "--quiet"]
    with subprocess.Popen(
        command,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"plausibly {' '.join(words)}: {told.strip()}")
    spent = used.ru_utime + used.ru_stime
    return Cost(time.monotonic() - started, spent, used.ru_maxrss / 2**20)
