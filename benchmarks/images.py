"""Fits a model of labelled images by a recipe, and tells how close its samples are to the test images.

python -m benchmarks.images RECIPE --data FOLDER [--rows 10000] [--out RUN]
Features are those of a classifier that learns the training images' labels; real images are the reference. A run that is
there already, at OUT, is only measured.
"""

from __future__ import annotations

from benchmarks.recipe import asked, fitted
from plausibly.cli.console import print_table
from plausibly.cli.progress import RowMeter


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    run = fitted(given.recipe, given.data, given.out)
    found = run.samples(
        rows=given.rows,
        extractor="classifier",
        label="label",
        on_progress=RowMeter("folds of the judge"),
    )
    headings, rows = found.table()
    print(found.title())
    print_table(headings, rows)
    print(*found.notes(), sep="\n")
    print(f"{given.recipe.stem}: {run.record.steps} steps in {run.record.seconds:.0f} s")


if __name__ == "__main__":
    main()
