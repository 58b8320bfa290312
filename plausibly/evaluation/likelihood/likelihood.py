"""Held-out log-likelihood, and what kind of number it is. The only place where that is decided.

`likelihood(model, events)` gives an `Exact`, an `AtLeast` or None by the model's type; whatever prints, ranks or compares
takes only these. Nats inside; bits when printing. Of a model with a context it is about the other variables: their own
log p, the context summed out, where that is one variable with codes, else their log p given the context.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, singledispatch
from math import log
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, BoundedModel, DensityModel, Trainable
from plausibly.data.events import ignore_progress
from plausibly.data.formats.format import Format, leave_out
from plausibly.evaluation.intervals import Interval, Mean, finite_or_none, rows_text
from plausibly.tasks.score import Log, conditionals, score, score_by_variable, score_row_by_row

if TYPE_CHECKING:
    from plausibly.data.events import Events, RowProgress

SIGNS = {
    "exact": "=",
    "bound": ">=",
    "estimate": "~",
    "approximate": "~",
}  # of how good a task's answer is


@dataclass(frozen=True)
class Likelihood:
    """The log p of each row in nats, (rows,) float64, of events with so many variables; `groups` as of events."""

    nats: Tensor
    variables: int
    groups: np.ndarray | None = None

    sign: ClassVar[str]

    @property
    def rows(self) -> int:
        return len(self.nats)

    @property
    def value(self) -> float:
        """Mean nats per row: higher is better."""
        return float(self.nats.mean())

    @property
    def _mean(self) -> Mean:
        return Mean(self.nats.numpy(), self.groups)

    @property
    def standard_error(self) -> float:
        """Over rows, or groups of rows, the model as it is; NaN of a single one."""
        return self._mean.error

    @property
    def interval(self) -> Interval | None:
        """The interval of 95 %, over the same; None of too few. For bounds it is of their mean, not of what they bound."""
        return self._mean.interval

    @property
    def over(self) -> str:
        """The units that the standard error is over: `2,000 rows in 31 groups`."""
        return rows_text(self.rows, self.groups)

    @property
    def group_count(self) -> int | None:
        return None if self.groups is None else len(np.unique(self.groups))

    @property
    def bits_per_variable(self) -> float:
        """Bits to write one variable: lower is better."""
        return -self.value / log(2) / self.variables

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "unit": "nats per row",
            "sign": self.sign,
            "standard_error": finite_or_none(self.standard_error),
            "interval": None if self.interval is None else list(self.interval),
            "rows": self.rows,
            "groups": self.group_count,
            "bits_per_variable": self.bits_per_variable,
        }


class ExactLikelihood(Likelihood):
    sign = "="


class LikelihoodLowerBound(Likelihood):
    sign = ">="


class LikelihoodUpperBound(Likelihood):
    sign = "<="


class LikelihoodEstimate(Likelihood):
    sign = "~"


def sign_of(model: object) -> str:
    """The relation of a model's numbers to log p: equal to it, or a lower bound."""
    return ExactLikelihood.sign if isinstance(model, DensityModel) else LikelihoodLowerBound.sign


@singledispatch
def likelihood(
    model: object, events: Events, on_progress: RowProgress = ignore_progress
) -> Likelihood | None:
    """The log p of held-out rows, or None where the model has none. `on_progress` is told rows done and rows in all."""
    return None


@likelihood.register(BoundedModel)
def _(
    model: BoundedModel, events: Events, on_progress: RowProgress = ignore_progress
) -> Likelihood:
    kind = ExactLikelihood if isinstance(model, DensityModel) else LikelihoodLowerBound
    rest = model.schema.size - len(model.context)
    if not model.context:
        return kind(row_nats(model.log_bound, model, events, on_progress), rest, events.groups)
    if is_conditional(model):
        return kind(conditional_nats(model, events, on_progress), rest, events.groups)
    return kind(
        row_nats(partial(sum_out_context, model), model, events, on_progress), rest, events.groups
    )


@torch.no_grad()
def row_nats(
    log: Log, model: BoundedModel, events: Events, on_progress: RowProgress = ignore_progress
) -> Tensor:
    """`log` of codes by the model plus log p(values | codes) by the schema, (rows,) float64, on the CPU."""
    nats = score_row_by_row(log, model, events.codes, lambda done: on_progress(done, len(events)))
    return nats + events.log_within


def sum_out_context(model: BoundedModel, x: Tensor, generator: torch.Generator) -> Tensor:
    """log p(rest) = log sum_y p(y) p(rest | y) over the codes y of the lone context, (batch,) float64; of a bound a bound."""
    (label,), total = model.context, []
    x = x.clone()
    for code in range(model.schema.codes[label]):
        x.flatten(1)[:, label] = code
        total.append(model.log_bound(x, generator).double())
    return torch.stack(total).logsumexp(0)


def is_conditional(model: Trainable) -> bool:
    """Numbers are given the context where it is not one variable whose codes could be summed over."""
    return len(model.context) > 1 or any(model.schema.kinds[i].continuous for i in model.context)


def conditional_nats(
    model: BoundedModel, events: Events, on_progress: RowProgress = ignore_progress
) -> Tensor:
    """log p(rest | context) plus log p(values | codes), (rows,) float64: what is left of log p(x) without its context."""
    if not isinstance(model, DensityModel):
        return row_nats(model.log_given, model, events, on_progress)
    return add_up_rest(model, conditionals(model, events.codes)) + events.log_within


def add_up_rest(model: Trainable, each: Tensor) -> Tensor:
    """The sum of what the variables that are no context have, (rows,), of (rows, variables)."""
    return each[:, [i for i in range(model.schema.size) if i not in model.context]].sum(1)


def plausibility(model: Trainable, format: Format, events: Events) -> Tensor:
    """The number that rows are ranked by: log p(x), or log p(rest | context), of values, (rows,) float64."""
    if model.context and isinstance(model, BoundedModel):
        return conditional_nats(model, leave_out(format, events, model.context))
    nats: Tensor = score(model, events.codes)
    return nats + events.log_within


def plausibility_by_variable(
    model: Trainable, format: Format, events: Events
) -> tuple[Tensor, Tensor | None]:
    """The same, and log p(x_i | earlier) of codes, (rows, variables), from one pass of the model where one gives both.

    None in its place where the model does not factorise log p(x).
    """
    if not isinstance(model, AutoregressiveModel):
        return plausibility(model, format, events), None
    if model.context:
        each: Tensor = conditionals(model, events.codes)
        within = leave_out(format, events, model.context).log_within
        return add_up_rest(model, each) + within, each
    nats, each = score_by_variable(model, events.codes)
    return nats + events.log_within, each


def likelihood_difference(a: Likelihood, b: Likelihood) -> Likelihood:
    """a - b row by row, a bound where one of the two is: exact minus a lower bound is at most what it says."""
    signs: dict[tuple[str, str], type[Likelihood]] = {("=", "="): ExactLikelihood}
    signs |= dict.fromkeys([(">=", "="), ("=", "<="), (">=", "<=")], LikelihoodLowerBound)
    signs |= dict.fromkeys([("<=", "="), ("=", ">="), ("<=", ">=")], LikelihoodUpperBound)
    groups = b.groups if a.groups is None else a.groups
    return signs.get((a.sign, b.sign), LikelihoodEstimate)(a.nats - b.nats, a.variables, groups)
