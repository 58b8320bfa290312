"""The time that `Fitted.score` takes for one row of 20 columns from an array, and the model's share of it.

`python -m benchmarks.fitted [MODEL]` prints medians of 200 calls in milliseconds: of the frame, of its columns alone, of the
events of the row, and of one pass of the model. Processor time, so that a busy machine does not count.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from plausibly.data.loading import load
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS
from plausibly.tasks.score import score

CALLS, ROWS, COLUMNS = 200, 2_000, 20


def median_milliseconds(call: Callable[[], object]) -> float:
    """The median processor time of 200 calls."""
    taken = []
    for _ in range(CALLS):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return float(np.median(taken)) * 1e3


def main(model: str = "chow_liu") -> None:
    rows = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).cumsum(1)
    fitted = fit_in_memory(MODELS[model], load(rows), make_settings({}, 0, None, 30, "cpu"))
    row = rows[:1]
    codes = fitted.events(row).codes
    whole = median_milliseconds(lambda: fitted.score(row))
    print(f"{model}, {len(row)} row of {COLUMNS} columns")
    parts = {
        "score": whole,
        "score, no frame": median_milliseconds(lambda: fitted.score_columns(row)),
        "events": median_milliseconds(lambda: fitted.events(row)),
        "one pass of the model": median_milliseconds(lambda: score(fitted.model, codes)),
    }
    for name, each in parts.items():
        print(f"{name:>22} {each:7.2f} ms {100 * each / whole:4.0f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
