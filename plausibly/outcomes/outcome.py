"""A distribution over variables, batched like the parameters that it was made from.

A variable's number is its code, or for a real one its event: standardised, or `UNFORESEEN` or
`HOLE`. The log p of a real number is the log of a density.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Num
from torch import Tensor

from plausibly.events.allowed import Allowed

Index = (
    Int[Tensor, "rows"] | Bool[Tensor, "batch"] | tuple[Int[Tensor, "cells"], Int[Tensor, "cells"]]
)


class Outcome(ABC):
    """A distribution over one variable, x of shape (batch,), or over several side by side, (batch, variables).

    Those side by side are independent of each other given what the outcome was predicted from.
    """

    @abstractmethod
    def log_prob(self, x: Num[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Nats of each variable, in the shape of `x`."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Float32[Tensor, "*batch"]:
        """One draw of each variable, float32."""

    @abstractmethod
    def mode(self) -> Float32[Tensor, "*batch"]:
        """The most probable number of each variable, float32."""

    @abstractmethod
    def one(self, i: int) -> Single:
        """The distribution of variable `i` alone."""


class Single(Outcome):
    """An outcome whose form is that of one variable."""

    @abstractmethod
    def truncate(self, allowed: Allowed) -> tuple[Single, Float[Tensor, "*batch"]]:
        """The distribution given that the cell holds what is `allowed` of this variable, and the log p of that.

        The code of a real number is its bin, then come the unforeseen and the hole.
        """

    @abstractmethod
    def rows(self, index: Index) -> Single:
        """The outcome of some rows of the batch; or of cells, by their rows and their variables."""

    @abstractmethod
    def beside(self, others: Sequence[Any]) -> Single:
        """Those rows and the others', which are outcomes of the same form."""


class Numeric(Single):
    """An outcome of a real variable."""

    @abstractmethod
    def number(self) -> Float[Tensor, "*#batch"]:
        """The probability of being a number at all, of each or one for all."""

    @abstractmethod
    def mean(self) -> Float64[Tensor, "*batch"]:
        """The mean of the number, given that it is one, float64."""

    @abstractmethod
    def below(self, x: Float[Tensor, "*batch"]) -> Float64[Tensor, "*batch"]:
        """The probability of a number at most `x`, given that it is one, float64."""

    @abstractmethod
    def cuts(self) -> Float[Tensor, "*#batch places"]:
        """Places, of each or the same for all, between which the density is smooth and beyond which hardly any is left."""
