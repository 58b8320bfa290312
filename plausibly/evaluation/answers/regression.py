"""The quality of the distributions that a model gives a number in each row, over the rows in which it is known.

log loss          mean of -log p(the value | it is no hole), nats; of a real column the log of a density per unit
randomised PIT    F(x-) + u (F(x) - F(x-)), u uniform: uniform where every p is right (Czado et al. 2009,
                  doi:10.1111/j.1541-0420.2009.01191.x); p-value by Kolmogorov-Smirnov
interval          from the 5 % to the 95 % quantile, without that of the two, where it is a single value, which is not needed
                  for 90 %: holds 90 % of values, or more where single values weigh much
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan, log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from plausibly.evaluation.answers.curves import CDF, outcome_cdf
from plausibly.evaluation.intervals import Mean, finite_or_none, rows_text, with_error
from plausibly.events.allowed import Allowed
from plausibly.events.kinds import Kind
from plausibly.families.proposals import EffectiveSampleSize, join_effective_sizes
from plausibly.outcomes.outcome import Single
from plausibly.printing import format_measure
from plausibly.tasks.query import QueryOutcome

if TYPE_CHECKING:
    import pandas as pd

    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

INTERVAL_SHARE = 0.9  # of values, by the interval
# shares below intervals; of equally short ones the first is taken
LOWER_SHARES = np.array([0.05, 0.04, 0.06, 0.03, 0.07, 0.02, 0.08, 0.01, 0.09, 0.002, 0.098])

MEASURES = (
    "mean_absolute_error",
    "root_mean_squared_error",
    "log_loss",
    "interval_90",
    "pit_p_value",
)


@dataclass(frozen=True)
class Regression:
    """Numbers of each row, (rows,) float64 in the column's unit: mean, median, 90 % interval, the number itself, NaN where
    not known, and for the known ones -log p in nats and the PIT."""

    column: str
    word: str
    mean: np.ndarray
    median: np.ndarray
    interval: np.ndarray  # (rows, 2)
    truth: np.ndarray
    nats: np.ndarray
    pit: np.ndarray
    effective: EffectiveSampleSize | None = None  # draws by weight behind the distributions
    groups: np.ndarray | None = None  # as of events
    model: str = ""  # the one that answers, of a run of two

    @property
    def is_known(self) -> np.ndarray:
        return ~np.isnan(self.truth)

    @property
    def rows(self) -> int:
        """Rows whose number is known."""
        return int(self.is_known.sum())

    def to_json(self) -> dict[str, Any]:
        """Errors and log loss: lower is better. Null without known numbers."""
        about = {"rows": self.rows, "word": self.word}
        about |= {"model": self.model} if self.model else {}
        if not self.rows:
            return about | self._draws() | dict.fromkeys(MEASURES)
        return (
            about
            | {"unit": "nats per row"}
            | self._errors()
            | self._log_loss()
            | {"interval_90": self._share_inside(), "pit_p_value": self.uniform()}
            | self._draws()
        )

    def _errors(self) -> dict[str, float]:
        known = self.is_known
        truth, mean, median = self.truth[known], self.mean[known], self.median[known]
        return {
            "mean_absolute_error": float(np.abs(median - truth).mean()),
            "root_mean_squared_error": float(((mean - truth) ** 2).mean() ** 0.5),
        }

    def _log_loss(self) -> dict[str, Any]:
        """Nulls where no density is known, but values with their weights."""
        loss = self._loss
        return {
            "log_loss": None if isnan(loss.value) else loss.value,
            "log_loss_error": finite_or_none(loss.error),
            "log_loss_interval": loss.interval,
        }

    def _share_inside(self) -> float:
        """The share of known numbers that their intervals hold."""
        truth = self.truth[self.is_known]
        low, high = self.interval[self.is_known].T
        return float(((low <= truth) & (truth <= high)).mean())

    def _draws(self) -> dict[str, Any]:
        return self.effective.to_json() if self.effective else {}

    @property
    def _groups(self) -> np.ndarray | None:
        return None if self.groups is None else self.groups[self.is_known]

    @property
    def _loss(self) -> Mean:
        return Mean(self.nats[self.is_known], self._groups)

    def uniform(self) -> float:
        """The p-value of the PIT's being uniform."""
        from scipy.stats import kstest  # slow to import

        return float(kstest(self.pit[self.is_known], "uniform").pvalue)

    def frame(self) -> pd.DataFrame:
        """A row for each row: mean, median, interval, and the number itself where known."""
        import pandas as pd

        ends = dict(zip((f"{INTERVAL_SHARE:.0%} from", "to"), self.interval.T, strict=True))
        return pd.DataFrame(
            {"mean": self.mean, "median": self.median, **ends, self.column: self.truth}
        )

    def line(self) -> str:
        """The same in words."""
        if not self.rows:
            return f"no row has a known number, so nothing is measured{self._notes()}"
        found = self.to_json()
        loss = "no log loss (weighted values have no density)"
        if found["log_loss"] is not None:
            told = with_error(found["log_loss"], found["log_loss_error"])
            loss = f"log loss {told} nats = {found['log_loss'] / log(2):.4f} bits (lower is better)"
        return (
            f"{rows_text(self.rows, self._groups)} with a known number: mean absolute error of the median "
            f"{format_measure(found['mean_absolute_error'])}, root mean squared error of the mean "
            f"{format_measure(found['root_mean_squared_error'])}, {loss}; "
            f"{found['interval_90']:.1%} inside the 90 % interval; PIT uniform with p = {found['pit_p_value']:.3g}"
            f"{self._notes()}"
        )

    def _notes(self) -> str:
        """Notes of draws, and of whose the answer is."""
        drawn = f"; an estimate: {self.effective.line()}" if self.effective else ""
        return drawn + (f"; by {self.model}" if self.model else "")


def evaluate_regression(
    format: Format, events: Events, place: int, answer: QueryOutcome, generator: np.random.Generator
) -> Regression:
    """The answers about variable `place` in each event; events observe it where it is known."""
    kind = format.schema.kinds[place]
    found = outcome_cdf(kind, answer.outcome)
    truth = known_numbers(format, events, place)
    variable = format.variable_in(events, place)
    start, end = (variable.in_units(np.full(len(events), at)) for at in (0.0, 1.0))
    low, high = (variable.in_units(each) for each in shortest_interval(kind, found))
    return Regression(
        format.names[place],
        answer.word,
        mean=variable.in_units(found.mean()),
        median=variable.in_units(found.quantiles(np.array([0.5]))[0]),
        interval=np.stack([low, high], 1),
        truth=truth,
        nats=log_losses(format, events, place, answer),
        pit=pit_values(kind, found.below, (truth - start) / (end - start), generator),
        effective=answer.effective,
        groups=events.groups,
    )


def join_regressions(parts: Sequence[Regression], order: np.ndarray) -> Regression:
    """Those of rows after rows as one, whose rows are then taken in `order`."""
    first, words = parts[0], {part.word for part in parts}
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("mean", "median", "interval", "truth", "nats", "pit")
    }
    grouped = [part.groups for part in parts if part.groups is not None]
    return replace(
        first,
        **arrays,
        word="estimate" if "estimate" in words else first.word,
        effective=join_effective_sizes([part.effective for part in parts]),
        groups=np.concatenate(grouped)[order] if grouped else None,
    )


def known_numbers(format: Format, events: Events, place: int) -> np.ndarray:
    """The number of variable `place` in each event, NaN where it is unobserved."""
    numbers = format.numbers(events)[:, place]
    if events.observed is None:
        return numbers
    return np.where(events.observed.flatten(1)[:, place].numpy(), numbers, np.nan)


def log_losses(format: Format, events: Events, place: int, answer: QueryOutcome) -> np.ndarray:
    """-log p of the number in each event, nats; NaN where the answer has no density."""
    x = events.codes.flatten(1)[:, place].float()
    nats = without_hole(format.schema.kinds[place], answer.outcome).log_prob(x).double().cpu()
    found = -(nats + format.log_within(events)[:, place]).numpy()
    return found if answer.dense else np.full_like(found, np.nan)


def without_hole(kind: Kind, outcome: Single) -> Single:
    """The outcome given that it is no hole."""
    known = torch.tensor([code != kind.missing_code for code in range(kind.codes)])
    return outcome.truncate(Allowed.of_codes(known))[0]


def shortest_interval(kind: Kind, found: CDF) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval in each row, (rows,), in the kind's unit: of a few with different shares below the shortest.

    Of whole numbers without one of its ends where that is needless.
    """
    first, last = found.quantiles(LOWER_SHARES), found.quantiles(LOWER_SHARES + INTERVAL_SHARE)
    best = (last - first).argmin(0)[None]
    low, high = np.take_along_axis(first, best, 0)[0], np.take_along_axis(last, best, 0)[0]
    if kind.continuous:
        return low, high
    before, first, last, end = (found.below(at) for at in (low - 1, low, high - 1, high))
    without_low, without_high = end - first >= INTERVAL_SHARE, last - before >= INTERVAL_SHARE
    heavier = first - before >= end - last
    return low + (without_low & (heavier | ~without_high)), high - (
        without_high & ~(heavier & without_low)
    )


def pit_values(
    kind: Kind,
    below: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """The randomised PIT of values in the kind's unit; NaN where there is none."""
    at = np.nan_to_num(values) if kind.continuous else np.round(np.nan_to_num(values))
    upper = below(at)
    lower = upper if kind.continuous else below(at - 1)
    return np.where(
        np.isnan(values), np.nan, lower + generator.random(len(values)) * (upper - lower)
    )
