"""How many different questions a second a run answers: one at a time, random columns given, nothing kept between them.

python -m benchmarks.questions RUN TABLE.csv.gz [--count 500] [--seed 0]
Each question gives a random row's cells in a random subset of columns and asks for one of the others. One core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import plausibly
from plausibly.runs.run import Run


def questions(
    run: Run, rows: pd.DataFrame, count: int, seed: int
) -> list[tuple[str, dict[str, Any]]]:
    draw, found = np.random.default_rng(seed), []
    for _ in range(count):
        names = draw.permutation(run.names)
        row = rows.iloc[int(draw.integers(len(rows)))]
        known = names[1 : 1 + int(draw.integers(len(names)))]
        found.append(
            (str(names[0]), {str(name): row[name] for name in known if pd.notna(row[name])})
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    run, rows = plausibly.open(given.run), pd.read_csv(given.table)
    asked = questions(run, rows, given.count + 5, given.seed)
    for target, known in asked[:5]:
        run.query(target, given=known)
    taken = []
    for target, known in asked[5:]:
        started = time.perf_counter()
        run.query(target, given=known)
        taken.append(time.perf_counter() - started)
    median, most = np.median(taken), np.quantile(taken, 0.99)
    speed = f"{len(taken)} questions, {len(taken) / sum(taken):.0f} a second"
    print(
        f"{run.record.model}: {speed}; median {1e3 * median:.1f} ms, 99 % within {1e3 * most:.1f} ms"
    )


if __name__ == "__main__":
    main()
