"""The boards of the README: every model with its defaults on real data, as Markdown.

python -m benchmarks.boards --data FOLDER [--out FOLDER] [--only digits-binary,nltcs,adult]
FOLDER holds debd_nltcs.npz, tables/adult_train.csv.gz and tables/adult_test.csv.gz.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import plausibly
from plausibly.fitting.settings import Listener
from plausibly.runs.board import Board


def markdown(board: Board) -> str:
    headings, rows = board.cells()
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * 2 + "---:|" * (len(headings) - 2)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/boards"))
    parser.add_argument("--only", default="digits-binary,nltcs,adult")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sources = {
        "digits-binary": ("digits-binary", {}),
        "nltcs": (str(given.data / "debd_nltcs.npz"), {}),
        "adult": (
            str(given.data / "tables" / "adult_train.csv.gz"),
            {"test": str(given.data / "tables" / "adult_test.csv.gz")},
        ),
    }
    listener = Listener(log=lambda line: print(line, file=sys.stderr))
    for name in given.only.split(","):
        source, options = sources[name]
        board = plausibly.compare(source, out=given.out / name, listener=listener, **options)
        print(f"\n{board.caption()}\n\n{markdown(board)}", flush=True)


if __name__ == "__main__":
    main()
