"""Fits a model of labelled images by a recipe, and tells how close its samples are to the test images.

python -m benchmarks.images RECIPE --data FOLDER [--rows 10000] [--out RUN]
Features are those of a classifier that learns the training images' labels; real images are the reference. A run that is
there already, at OUT, is only measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.recipe import fitted
from plausibly.console import RowMeter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    run = fitted(given.recipe, given.data, given.out or Path("runs") / given.recipe.stem)
    found = run.samples(rows=given.rows, extractor="classifier", label="label", heard=RowMeter("folds of the judge"))
    headings, rows = found.table()
    table = Table(*headings, title=found.title())
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table, *found.notes(), sep="\n")
    print(f"{given.recipe.stem}: {run.record.get('steps')} steps in {run.record['seconds']:.0f} s")


if __name__ == "__main__":
    main()
