"""Outcomes of real variables that are known by the bin that they fall into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from plausibly.events.allowed import Allowed
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import TAIL_SCALES
from plausibly.outcomes.outcome import Index, Numeric, Outcome, Single


class Histogram(Numeric):
    """Variables of which some are real and known by the bin they fall into: `inner` is the outcome of the codes.

    `binning` turns events of the `variables` into codes and back, and knows the density inside a bin. Numbers are drawn
    between `ends`, (variables, 2), where there are any.
    """

    def __init__(
        self,
        inner: Outcome,
        binning: AnyBinning,
        variables: Sequence[int] | None = None,
        ends: Tensor | None = None,
    ) -> None:
        self.inner, self.binning, self.variables, self.ends = inner, binning, variables, ends

    def log_prob(self, x: Tensor) -> Tensor:
        codes, inside = self.binning.digitise(x, self.variables)
        return self.inner.log_prob(codes) + inside

    def sample(self, generator: torch.Generator) -> Tensor:
        return self.draw_inside(self.inner.sample(generator), generator)

    def draw_inside(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Events drawn inside codes."""
        return self.binning.draw_inside(codes.long(), generator, self.variables, self.ends)

    def mode(self) -> Tensor:
        return self.binning.middle(self.inner.mode().long(), self.variables)

    def one(self, i: int) -> Single:
        inner, variable = self.inner.one(i), i if self.variables is None else self.variables[i]
        real = self.binning.is_real(variable)
        return Histogram(inner, self.binning, (variable,)) if real else inner

    def rows(self, index: Index) -> Histogram:
        assert isinstance(self.inner, Single)
        return Histogram(self.inner.rows(index), self.binning, self.variables, self.ends)

    def beside(self, others: Sequence[Any]) -> Histogram:
        assert isinstance(self.inner, Single)
        inner = self.inner.beside([one.inner for one in others])
        return Histogram(inner, self.binning, self.variables, self.ends)

    def cuts(self) -> Tensor:
        assert self.variables is not None
        return self.binning.cuts(self.variables[0], TAIL_SCALES)

    def number(self) -> Tensor:
        return self._bins().sum(-1)

    def _bins(self) -> Tensor:
        """The probability of each bin, (batch, bins), float64."""
        assert isinstance(self.inner, Categorical) and self.variables is not None
        return self.inner.log_probs[..., : self.binning.bins(self.variables[0])].double().exp()

    def mean(self) -> Tensor:
        assert self.variables is not None
        bins = self._bins()
        return bins @ self.binning.means(self.variables[0]).to(bins.device) / bins.sum(-1)

    def below(self, x: Tensor) -> Tensor:
        bins, codes = self._bins(), self.binning.digitise(x.float(), self.variables)[0]
        own, upto = (each.gather(-1, codes[:, None])[:, 0] for each in (bins, bins.cumsum(-1)))
        return (upto - own * (1 - self.binning.share(x, codes, self.variables))) / bins.sum(-1)

    def truncate(self, allowed: Allowed) -> tuple[Histogram, Tensor]:
        """Draws are within the ends; densities and shares of a number within its bin stay those of the whole bin."""
        assert isinstance(self.inner, Single)
        inner, mass = self.inner.truncate(allowed)
        return Histogram(inner, self.binning, self.variables, allowed.ends), mass


class AnyBinning(Protocol):
    """Between real events and the codes of their bins; `variables` says which the last dimension of `x` holds.

    Without a last dimension `x` holds one variable.
    """

    def is_real(self, i: int) -> bool: ...

    def digitise(self, x: Tensor, variables: Sequence[int] | None) -> tuple[Tensor, Tensor]:
        """Codes, int64, and the log density inside the code's bin, 0 where it is none."""

    def draw_inside(
        self,
        codes: Tensor,
        generator: torch.Generator,
        variables: Sequence[int] | None,
        ends: Tensor | None,
    ) -> Tensor:
        """Events drawn inside codes, numbers between `ends`, (variables, 2), where there are any."""

    def middle(self, codes: Tensor, variables: Sequence[int] | None) -> Tensor:
        """The middle of each bin, and the edge of one without an end: where its density is highest."""

    def cuts(self, i: int, away: Sequence[float]) -> Tensor:
        """The edges of a variable's bins, and places in its tails, so many means away."""

    def bins(self, i: int) -> int: ...

    def means(self, i: int) -> Tensor:
        """The mean of the events in each bin of a real variable, (bins,), float64."""

    def share(self, x: Tensor, codes: Tensor, variables: Sequence[int] | None) -> Tensor:
        """The share of a bin's probability at or below numbers, (batch,) of one variable, that lie in it; float64."""
