"""Samples, scores and filled rows in files of any size, in memory for a few shards.

`work` says who does the shards: `here`, or a `Cluster`. The files are the same, but for the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.files.outputs import score_output
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.scores import AS_ODD, ScoreRanking, full_conditionals_refusal
from plausibly.families.proposals import EffectiveSampleSize
from plausibly.jobs.shards import (
    ConditionalsJob,
    FillJob,
    RowsJob,
    SampleJob,
    ScoreJob,
    ShardJob,
    Shards,
    Work,
    carry_out,
    read_effective_size,
    work_here,
)
from plausibly.runs.run import Run
from plausibly.system.files import refuse_same
from plausibly.tasks.full_conditionals import full_conditionals
from plausibly.tasks.impute import impute
from plausibly.tasks.sample import sample
from plausibly.tasks.score import conditionals, score

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LEAST_PLAUSIBLE_ROWS = 10  # of the least plausible rows


def sample_to(
    run: Run,
    out: Path,
    n: int,
    seed: int = 0,
    given: Mapping[str, Any] | None = None,
    complete: bool = False,
    beyond: bool = False,
    work: Work = work_here,
    on_progress: RowProgress = ignore_progress,
    guard: bool = False,
) -> EffectiveSampleSize | None:
    """Writes `n` rows as `Run.sample` draws them; how many weighted draws tell something.

    Here and below a run's companion does what it does better.

    `guard` is for spreadsheets, here and below: see `data.spreadsheets`.
    """
    run = run.answerer(impute) if given or complete else run
    (impute if given or complete else sample).require(run.model)
    output = run.format.output(out)
    job = SampleJob(str(out), n, seed, dict(given or {}), complete, beyond)
    with carry_out(run, job, out, work, n, on_progress) as shards:
        output.write(shards, out, guard)
        return read_effective_size(shards)


def fill_to(
    run: Run,
    data: str,
    out: Path,
    seed: int = 0,
    beyond: bool = False,
    work: Work = work_here,
    on_progress: RowProgress = ignore_progress,
    guard: bool = False,
) -> tuple[int, EffectiveSampleSize | None]:
    """Writes the rows of `data` as `Run.impute` fills them; how many they are, and how many weighted draws tell something."""
    run = run.answerer(impute)
    impute.require(run.model)
    refuse_same(out, data)
    output, rows = run.format.output(out), open_source(data).estimate_rows(run.format)
    job = FillJob(data, str(out), seed, beyond)
    with carry_out(run, job, out, work, rows, on_progress) as shards:
        output.write(shards, out, guard)
        return shards.rows, read_effective_size(shards)


@dataclass
class ScoreSummary:
    """A summary of all scored rows together: their number, how many are marked as what, and the least plausible."""

    rows: int = 0
    marked: dict[str, int] = field(default_factory=dict)
    few: list[pd.DataFrame] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def look(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame, which is the next of all, with its rows numbered from 1 through all frames."""
        frame.insert(0, "row", range(self.rows + 1, self.rows + len(frame) + 1))
        self.rows += len(frame)
        for name in filter(frame.__contains__, ("anomaly", "more_likely")):
            self.marked[name] = self.marked.get(name, 0) + int(frame[name].sum())
        self.few = [_least_plausible([*self.few, frame])]
        return frame


def _least_plausible(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    if "excess" in frame:
        return frame.nlargest(LEAST_PLAUSIBLE_ROWS, "excess")
    if "nats" in frame:
        return frame.nsmallest(LEAST_PLAUSIBLE_ROWS, "nats")
    return frame.head(LEAST_PLAUSIBLE_ROWS)


def score_to(
    run: Run,
    data: str,
    out: Path | None,
    calibrate: Any = None,
    fdr: float | None = None,
    each: bool = False,
    work: Work = work_here,
    on_progress: RowProgress = ignore_progress,
    guard: bool = False,
) -> tuple[ScoreSummary, list[pd.DataFrame]]:
    """Writes the scores of `data` as `Run.score` gives them; without `out` they are returned."""
    score.require(run.model)
    rows = open_source(data).estimate_rows(run.format)
    refused = (
        full_conditionals_refusal(run.model, min(run.shard_rows, rows or run.shard_rows))
        if each
        else None
    )
    word = full_conditionals.word(type(run.model))
    ranking = ScoreRanking(run.calibration(calibrate), fdr, each, refused, word)
    job = ScoreJob(data, each, each and refused is None, calibrate is None)
    return _score_job(run, job, ranking, out, work, on_progress, rows, guard)


def conditionals_to(
    run: Run,
    data: str,
    out: Path | None,
    work: Work = work_here,
    on_progress: RowProgress = ignore_progress,
    guard: bool = False,
) -> tuple[ScoreSummary, list[pd.DataFrame]]:
    """Writes what `Run.conditionals` tells of the rows of `data`; without `out` it is returned."""
    run = run.answerer(conditionals)
    conditionals.require(run.model)
    total = open_source(data).estimate_rows(run.format)
    return _score_job(run, ConditionalsJob(data), None, out, work, on_progress, total, guard)


def _score_job(
    run: Run,
    job: RowsJob,
    ranking: ScoreRanking | None,
    out: Path | None,
    work: Work,
    on_progress: RowProgress,
    rows: int,
    guard: bool,
) -> tuple[ScoreSummary, list[pd.DataFrame]]:
    output, scored = None if out is None else score_output(out), ScoreSummary()
    if out is not None:
        refuse_same(out, job.data)
    with _results(run, job, out, work, rows, on_progress) as tables:
        if ranking is not None:
            ranking.find_threshold(map(_ranked_columns, tables))
        frames = map(scored.look, _rank_tables(tables, ranking))
        kept = [] if out is not None else list(frames)
        if output is not None and out is not None:
            output.write(map(output.piece, frames), out, guard)
    scored.told = ({} if ranking is None else ranking.describe()) | run.attribution
    return scored, kept


@contextmanager
def _results(
    run: Run, job: ShardJob, out: Path | None, work: Work, rows: int, on_progress: RowProgress
) -> Iterator[Shards | list[pa.Table]]:
    """The results of all shards; without a file they are in memory alone."""
    if out is not None:
        with carry_out(run, job, out, work, rows, on_progress) as shards:
            yield shards
        return
    if work is not work_here:
        raise UserError("--scheduler needs --out FILE: what is done is kept beside it until all is")
    tables = [table for _, table in work_here(run, job, enumerate(job.pieces(run)))]
    if not tables:
        raise UserError(f"there are no rows to {job.verb}")
    yield tables


def _ranked_columns(table: pa.Table) -> pd.DataFrame:
    """The columns that rows are ranked by, alone."""
    return table.select(
        [name for name in ("nats", "excess", AS_ODD) if name in table.column_names]
    ).to_pandas()


def _rank_tables(
    tables: Iterable[pa.Table], ranking: ScoreRanking | None
) -> Iterator[pd.DataFrame]:
    for table in tables:
        frame = table.to_pandas()
        yield frame if ranking is None else ranking.add_ranks(frame)
