"""A promise: a function that measures an examination, and what is said of the number that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plausibly.contract.examination import Examination
from plausibly.contract.result import NotMeasured, Result


class Finding(NamedTuple):
    """A measured number, and words that go on with what the promise says of it."""

    value: Tensor | float
    words: str


Measure = Callable[[Examination[Any]], Finding | Tensor | float]
Limit = float | Callable[[Examination[Any]], float]


@dataclass(frozen=True)
class Promise:
    """One line of the contract, which binds the models of a capability."""

    capability: type | UnionType
    says: str
    measure: Measure
    within: Limit
    around: float | None
    above: float | None

    @property
    def name(self) -> str:
        return self.measure.__name__

    def binds(self, model: object) -> bool:
        return isinstance(model, self.capability)

    @torch.no_grad()
    def __call__(self, exam: Examination[Any]) -> Result:
        """Measures the promise. Whatever a faulty model raises is raised."""
        limit = self.limit(exam)
        try:
            found = self.measure(exam)
        except NotMeasured as reason:
            return Result(self.name, None, float("nan"), limit, str(reason))
        number, words = found if isinstance(found, Finding) else Finding(found, "")
        value, says = float(number), f"{self.says} {words}".strip()
        return Result(self.name, self.allows(value, limit), value, limit, says)

    def limit(self, exam: Examination[Any]) -> float:
        if self.above is not None:
            return self.above
        return self.within(exam) if callable(self.within) else self.within

    def allows(self, value: float, limit: float) -> bool:
        """True where the number is on the right side of its limit; no NaN is."""
        if self.above is not None:
            return value > limit
        return value <= limit if self.around is None else abs(value - self.around) <= limit


def promise(
    capability: type | UnionType,
    says: str,
    *,
    within: Limit = 0.0,
    around: float | None = None,
    above: float | None = None,
) -> Callable[[Measure], Promise]:
    """Makes a function of an examination a promise of all models of a capability, by the name of the function.

    What it returns must be at most `within`; or that far from `around` at most; or above `above`. It runs without gradients,
    on a model in evaluation mode, and may raise NotMeasured.
    """

    def make(measure: Measure) -> Promise:
        return Promise(capability, says, measure, within, around, above)

    return make
