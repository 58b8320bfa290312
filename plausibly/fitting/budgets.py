"""The budget of a whole command, and how several fits share it."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf

from plausibly.capabilities import Trainable
from plausibly.data.dataset import Dataset
from plausibly.fitting.settings import Settings, make_plan
from plausibly.fitting.untrained import build_untrained, learns_by_steps
from plausibly.training.estimates import pass_seconds, step_seconds
from plausibly.training.loop import Training

TEST_SHARE = 0.2  # of the budget, for the choice, the test and the page
MAX_SHARE = 0.75  # of what is left of it, that one fit may need while others wait
MIN_STEPS = 300  # steps before which a network is of no use
MAX_UNASKED_SECONDS = 600.0  # of a fit that nobody named, where there is no budget


class BudgetClock:
    """The seconds of `budget` that are left for training since the clock showed `began`; no end of them without one."""

    def __init__(self, budget: float | None, began: float) -> None:
        self.budget, self.began = budget, began

    @property
    def left(self) -> float:
        if self.budget is None:
            return inf
        return (1 - TEST_SHARE) * self.budget - (time.monotonic() - self.began)

    def allows(self, seconds: float, waiting: int) -> bool:
        """True where a fit may need so many seconds while so many others wait."""
        if self.budget is None:
            return seconds <= MAX_UNASKED_SECONDS
        return seconds <= (MAX_SHARE if waiting else 1) * self.left

    def share(self, seconds: float, waiting: int) -> float | None:
        """The budget of a fit that needs so many seconds while so many others wait: that, or as much as each of them."""
        return None if self.budget is None else max(seconds, self.left / (1 + waiting))


def needed_seconds(kind: type[Trainable], dataset: Dataset, chosen: Settings) -> float:
    """The seconds that a fit takes, or, of a network within a budget, until it is of use: tried on a copy."""
    model = build_untrained(kind, dataset, chosen.arguments, chosen.seed).to(chosen.device)
    train, valid = dataset.train.codes, dataset.valid.codes
    if not learns_by_steps(model):
        passes, each = pass_seconds(model, train)
        return passes * each
    plan = make_plan(replace(chosen, budget=None), model, dataset)
    steps = plan.steps if chosen.budget is None else MIN_STEPS
    return steps * step_seconds(Training(model, train, valid, plan))
