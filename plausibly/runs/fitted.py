"""A fitted model that answers in rows, without a disk."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from plausibly.capabilities import Trainable, device_of
from plausibly.data.events import Events, RowProgress, ignore_progress, join_events
from plausibly.data.questions import Question, ask_column, free_variable, question
from plausibly.data.sources.opening import open_source, reading_source
from plausibly.errors import UserError
from plausibly.evaluation.answers.answers import Answer, make_answer
from plausibly.evaluation.answers.classification import Classification
from plausibly.evaluation.answers.prediction import (
    ask_rows,
    classify_rows,
    find_label_target,
    find_number_target,
    find_target,
    regress_rows,
    word_for_rows,
)
from plausibly.evaluation.answers.regression import Regression
from plausibly.evaluation.likelihood.anomalies import Calibration
from plausibly.evaluation.likelihood.excess import Usual
from plausibly.evaluation.likelihood.likelihood import sign_of
from plausibly.evaluation.likelihood.scores import (
    CountAsOdd,
    ScoreColumns,
    calibrate,
    conditional_columns,
    score_events,
)
from plausibly.families.proposals import EffectiveSampleSize, join_effective_sizes
from plausibly.runs.judged import Judged
from plausibly.runs.paired import name_rows, pose_question
from plausibly.system.randomness import LikeliestGenerator, Stream, generator_for
from plausibly.tasks.classify import classify
from plausibly.tasks.complete import complete
from plausibly.tasks.encode import encode
from plausibly.tasks.impute import impute
from plausibly.tasks.information import entropy, information
from plausibly.tasks.interpolate import interpolate
from plausibly.tasks.query import query
from plausibly.tasks.reconstruct import reconstruct
from plausibly.tasks.score import conditionals, score

if TYPE_CHECKING:
    import pandas as pd


class Fitted(Judged):
    """A fitted model with the format of its data, without a disk. Rows in, rows out; nats inside, bits where it says so.

    Rows are a file, a DataFrame, other rows with named columns, or an array, (rows, *row shape), as the training rows
    were; answers come in the same form. Errors that the caller can mend are UserError, a ValueError; what the model
    cannot answer is Unsupported, one of these. Where there are two models, each answer says whose it is: `model`, or of a
    frame `attrs["model"]`.
    """

    def sample(
        self,
        n: int,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        complete: bool = False,
        beyond: bool = False,
    ) -> Any:
        """`n` rows: a DataFrame for tables, else an array. `given` fixes columns to values, never by rejection.

        With `complete` no cell is a hole: rows are drawn given that. They are what rows with holes would be without them
        only where holes tell nothing of what they hide (missing at random), which data cannot show.
        Rows are drawn given that nothing occurs that no training row has: levels, holes, and numbers below the least or above
        the largest; `beyond` lets such numbers be drawn too, as p(x) has them.
        """
        return self.sample_with_ess(n, seed, given, complete, beyond)[0]

    def sample_with_ess(
        self,
        n: int,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        complete: bool = False,
        beyond: bool = False,
    ) -> tuple[Any, EffectiveSampleSize | None]:
        """The same; and, of draws by weight, how many tell something."""
        if n < 1:
            raise UserError(f"{n} rows cannot be drawn; at least 1 can")
        own = self.answerer(impute) if given or complete else self
        own = own.drawing_beyond() if beyond else own
        parts = [
            own.sample_shard(shard, rows, seed, given, complete)
            for shard, rows in enumerate(own.shards(n))
        ]
        drawn, told = zip(*parts, strict=True)
        return name_rows(own.format.rows(join_events(drawn)), own.by), join_effective_sizes(told)

    def query(
        self,
        target: str,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
        particles: int = 1000,
    ) -> Answer:
        """The distribution of column `target` given others, all else summed out; it says whether it is exact.

        `particles` counts for estimates only.
        """
        known = given or {}
        own, asked = pose_question(
            self,
            lambda model, each: query.word_for(model, each.evidence, each.target),
            lambda each: ask_column(each.format, target, known),
        )
        noise = generator_for(device_of(own.model), seed, Stream.QUERIES)
        variable = own.format.variable_in(asked.events, asked.target)
        found = query(own.model, asked.evidence, asked.target, noise, particles)
        named = {str(name): value for name, value in known.items()}
        return replace(make_answer(own.format, asked.target, named, found, variable), model=own.by)

    def entropy(self, given: Mapping[str, Any] | None = None) -> float:
        """H of all columns that are not given, together, in nats: -E log p(them | given). Differential where one is real."""
        own = self.answerer(entropy)
        asked = question(own.format, given or {})
        return float(entropy(own.model, asked.evidence()))

    def information(self, a: str, b: str, given: Mapping[str, Any] | None = None) -> float:
        """The mutual information of two columns in nats, given others."""
        given, own = given or {}, self.answerer(information)
        places = [free_variable(own.format, name, given) for name in (a, b)]
        if places[0] == places[1]:
            raise UserError(f"{a!r} tells all about itself; name two columns")
        asked = question(own.format, given)
        return float(information(own.model, asked.evidence(), *places))

    def impute(self, data: Any, seed: int = 0, beyond: bool = False) -> Any:
        """The rows with every hole filled by a draw from p(unobserved | observed); observed cells stay as they are.

        What is drawn lies within what was seen, as `sample` has it.
        """
        return self.fill(data, seed, beyond)[0]

    def fill(
        self, data: Any, seed: int = 0, beyond: bool = False
    ) -> tuple[Any, EffectiveSampleSize | None]:
        """The same; and, of draws by weight, how many tell something."""
        own = self.answerer(impute)
        own = own.drawing_beyond() if beyond else own
        filled, told = own.fill_events(data, seed)
        return name_rows(restore_index(own.format.rows(filled), data), own.by), told

    def complete(self, data: Any, holes: bool = False) -> Any:
        """The rows with all holes of a row filled by what is most probable together; observed cells stay as they are.

        A filled cell is never a value never seen, and a hole only with `holes`, of columns that are not real.
        """
        own = self.answerer(complete)
        rows = restore_index(own.format.rows(own.complete_events(data, holes)), data)
        return name_rows(rows, own.by)

    def encode(self, data: Any) -> np.ndarray:
        """The latents that stand for each row, (rows, latents) float32: their mean where there are several."""
        latents: Tensor = encode(self.model, self.events(data).codes)
        return latents.numpy()

    def reconstruct(self, data: Any) -> Any:
        """Each row from its latents alone: decoded, the most probable value of each cell."""
        codes = reconstruct(self.model, self.events(data).codes)
        return restore_index(self.format.rows(self.format.draw(codes, LikeliestGenerator())), data)

    def interpolate(self, a: Any, b: Any, steps: int = 8) -> Any:
        """`steps` rows from a row `a` to a row `b`, decoded along the straight line between their latents.

        The ends are the reconstructions of `a` and `b`. Several rows are taken in pairs: the steps of one pair after the
        other's.
        """
        first, last = self.events(a), self.events(b)
        if len(first) != len(last):
            raise UserError(
                f"{len(first)} rows and {len(last)} make no pairs; give as many of both"
            )
        if steps < 2:
            raise UserError(f"{steps} steps; both ends count, so at least 2 are needed")
        codes = interpolate(self.model, first.codes, last.codes, steps).flatten(0, 1)
        return self.format.rows(self.format.draw(codes, LikeliestGenerator()))

    def log_prob(self, data: Any) -> Tensor:
        """log p of each row in nats, (rows,) float64: a density where a column is real.

        Where `sign` is >= each number is a lower bound on log p, which a warning says once.
        """
        events = self.events(data)
        warn_of_bounds(self.model)
        nats: Tensor = score(self.model, events.codes)
        return nats + events.log_within

    @property
    def usual(self) -> Usual | None:
        """The costs of columns on validation rows, which make the excess of rows; None where it is not known."""
        return None

    @property
    def count_as_odd(self) -> CountAsOdd | None:
        """Counts the rows of a cross-calibration that are at least as odd as each event; None without one."""
        return None

    def calibration(self, rows: Any = None) -> Calibration | None:
        """The rows to rank scores against: `rows` of the caller's; None without."""
        if rows is None:
            return None
        title = open_source(rows).title
        named = f"rows of {title}" if title else "calibration rows given"
        return calibrate(self.model, self.format, self.events(rows), self.usual, named)

    def score(
        self, data: Any, calibrate: Any = None, fdr: float | None = None, each: bool = False
    ) -> pd.DataFrame:
        """A row for each row, in these columns:

        sign, nats, bits_per_variable: log p of the row (given its context, where the model has one), and -log2 p by the
        number of variables; where the sign is >= the nats are a lower bound on log p, and the bits an upper one.
        p_value: (1 + calibration rows at least as odd) / (n + 1), small where a row is odd: its excess is high, or its nats
        are low where there is no excess; the calibration rows are `calibrate`, else the run's own, else its test rows.
        more_likely: than 99.9 % of them (never below 1,000).
        anomaly: with `fdr`, whether the row is marked at that false discovery rate among all rows (Benjamini-Hochberg).
        excess: the nats that cells cost beyond what 99 % of validation rows pay for their column, added up.
        surprising: the variables with most surprisal -log2 p(x_i | earlier) above what they usually have.
        With `each` all of these, `bits(NAME)`, which add up to the row's bits, and `bits(NAME | rest)`, surprisal given
        all other variables, which do not. All are of values, not only of their codes.

        `attrs` of the frame says the sign, which and how many the calibration rows are, and holds notes and warnings.
        """
        columns, told = self.score_columns(data, calibrate, fdr, each)
        found = frame_scores(columns)
        found.attrs = told
        return restore_index(found, data)

    def score_columns(
        self, data: Any, calibrate: Any = None, fdr: float | None = None, each: bool = False
    ) -> tuple[ScoreColumns, dict[str, Any]]:
        """The columns of `score` by name, each (rows,) but for the sign, which is one, and the `attrs`: no frame is built."""
        events = self.events(data)
        calibration = self.calibration(calibrate)
        columns, told = score_events(
            self.model,
            self.format,
            events,
            calibration,
            self.usual,
            fdr,
            each,
            self.shard_rows,
            None if calibrate is not None else self.count_as_odd,
        )
        return columns, told | self.attribution

    def conditionals(self, data: Any) -> pd.DataFrame:
        """p(x_i | earlier) of each cell's value, and the same as surprisal in bits: columns `p(NAME)` and `bits(NAME)`.

        The bits of a row add up to those of its score; p is a density where a column is real.
        Only for models that factorise log p(x); the order is that of `run.model.order`.
        """
        import pandas as pd

        own = self.answerer(conditionals)
        rows = self.format.rows(data) if isinstance(data, Events) and own is not self else data
        columns = conditional_columns(own.model, own.format, own.events(rows))
        return name_rows(restore_index(pd.DataFrame(columns), data), own.by)

    def classify(
        self, data: Any, target: str | None = None, on_progress: RowProgress = ignore_progress
    ) -> Classification:
        """p(label | the rest of the row) for the labels of the `target` column, by Bayes' rule from the joint.

        `target` is by default that of the fit, else the run's lone context, or the lone variable that it models. The rows may
        hold the label or leave it out. What a cell holds that was never seen is no label. A hole is a value where training
        rows had such; what else is unknown is summed out, or drawn by weight where it has too many values: an estimate.
        """
        own, asked = pose_question(
            self,
            partial(word_for_rows, classify),
            lambda each: each.ask_rows(data, find_label_target(each.model, each.format, target)),
        )
        found = classify_rows(own.model, own.format, asked, on_progress)
        return replace(found, model=own.by)

    def regress(
        self,
        data: Any,
        target: str | None = None,
        seed: int = 0,
        particles: int = 1000,
        on_progress: RowProgress = ignore_progress,
    ) -> Regression:
        """The distribution of the number in the `target` column given the rest of each row: mean and quantiles.

        The rows may hold the number or leave it out. `particles` count for estimates, `seed` for these and for the PIT.
        """
        own, asked = pose_question(
            self,
            partial(word_for_rows, query),
            lambda each: each.ask_rows(data, find_number_target(each.model, each.format, target)),
        )
        found = regress_rows(own.model, own.format, asked, seed, particles, on_progress)
        return replace(found, model=own.by)

    def is_number(self, target: str | None = None) -> bool:
        """True where the column that `classify` or `regress` would tell holds numbers."""
        i = find_target(self.model, self.format, target)
        return self.model.schema.kinds[i].ordered

    def ask_rows(self, data: Any, target: int) -> Question:
        """The question about variable `target` given the rest of each row; holes are evidence where training had any."""
        with reading_source(data) as source:
            rows = source.rows(self.format)
            events = self.format.questions(rows)
        events.groups = self._groups(rows)
        return ask_rows(self.format, events, self.format.container.present(rows), target)

    def __repr__(self) -> str:
        return f"<Fitted {self.model_title}, {self.model.free_parameters:,} parameters>"


def frame_scores(columns: ScoreColumns) -> pd.DataFrame:
    """The columns of a score as a frame: the same as pandas makes of them, which takes longest to repeat a lone sign."""
    import pandas as pd

    rows, sign = len(np.asarray(columns["nats"])), columns["sign"]
    signs = [sign] * rows if isinstance(sign, str) else sign
    return pd.DataFrame(columns | {"sign": signs}, index=pd.RangeIndex(rows))


def warn_of_bounds(model: Trainable) -> None:
    """Warns, once, where the numbers of a model are lower bounds."""
    if sign_of(model) == ">=":
        warnings.warn(f"{type(model).__name__} {BOUNDS_WARNING}", BoundWarning, stacklevel=2)


class BoundWarning(UserWarning):
    """Numbers that look like log p are bounds on it, or made of such."""


BOUNDS_WARNING = "has no exact log p: each number is a lower bound (>=), and differences of rows are estimates (~)"


def restore_index(frame: Any, data: Any) -> Any:
    """The frame with the index of the frame it answers, whose levels are no columns besides."""
    if (
        hasattr(frame, "set_axis")
        and hasattr(data, "iloc")
        and hasattr(data, "columns")
        and len(frame) == len(data)
    ):
        levels = [
            name for name in data.index.names if name is not None and name not in data.columns
        ]
        return frame.drop(columns=levels, errors="ignore").set_axis(data.index, axis=0)
    return frame
