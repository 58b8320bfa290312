"""The AUC of a judge that tells a table's samples from rows that neither training nor choice saw.

Each split's samples are judged against its held-out rows alone, by judges taught on others of them; the mean over splits.
`the other rows`: as many rows that the fit saw, in place of samples. `pooled`: one judge for the samples and held-out rows
of all splits; it sees rows of which other splits' samples may be copies, and copies bring it below .5.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.tables.fits import Trial, Work
from benchmarks.tables.judge import average, judge
from benchmarks.tables.lines import Line
from benchmarks.tables.sources import Table


def measure_auc(table: Table, work: Work) -> Iterator[Line]:
    """The default's AUC, what its fits took, and the AUC of real rows in place of samples."""
    trials = work.trials(table)
    default = f"default: {', '.join(sorted({trial.model for trial in trials}))}"
    yield auc_line(default, table, trials, [each.samples for each in trials]) | cost_cells(trials)
    others = [
        each.train.sample(min(len(each.train), len(each.held_out)), random_state=work.seed)
        for each in trials
    ]
    yield auc_line("the other rows", table, trials, others)


def auc_line(who: str, table: Table, trials: list[Trial], made: list[pd.DataFrame]) -> Line:
    """The mean AUC of samples of each trial, and of all of them together."""
    real = [trial.held_out for trial in trials]
    each = average([judge(ours, theirs) for ours, theirs in zip(real, made, strict=True)])
    pooled = judge(pd.concat(real), pd.concat(made)) if len(trials) > 1 else None
    return {
        "who": who,
        "AUC": each.value,
        "error": each.error,
        "from .5": each.distance,
        "pooled": pooled.value if pooled else None,
        "judged by": f"{sum(map(len, real)):,} rows, {table.rows}",
    }


def cost_cells(trials: list[Trial]) -> Line:
    """The longest of the commands, by the clock and by processors."""
    return {
        "seconds": max(trial.cost.seconds for trial in trials),
        "processor seconds": max(trial.cost.processor_seconds for trial in trials),
    }
