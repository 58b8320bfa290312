"""What autoregressive networks share: inputs in, an outcome for each variable out, in one order that a context begins.

    p(x) = prod_{c in context} p(x_c)  prod_{i after} p(x_i | context, earlier)

The variables of a context come first and on their own: what the network learns is the rest given them. p(context) stays
the product of their marginals, so that p(x) is a joint distribution like any other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Trainable
from plausibly.heads import Head
from plausibly.inputs import Inputs
from plausibly.objectives import Likelihood
from plausibly.schema import Schema

LARGEST = 100_000_000  # parameters


class NetworkModel(AutoregressiveModel):
    """`ranks` (variables,) says how early a variable is: the context is 0, and an outcome sees lower ranks than its own."""

    family = "explicit"
    objective = Likelihood()
    ranks: Tensor

    def __init__(self, schema: Schema, context: Sequence[int], components: int, shape: str, shuffle: int = 0) -> None:
        super().__init__()
        self.schema, self.context = schema, tuple(context)
        self.components, self.shape, self.shuffle = components, shape, shuffle
        self.rest = shuffled(apart(schema, self.context), shuffle)
        self.order = (*self.context, *self.rest)
        self.inputs = Inputs(schema, self.order[:-1])  # nothing sees the last variable
        self.head = Head(schema, components, shape)
        ranks = torch.zeros(schema.size, dtype=torch.long, device="cpu")
        ranks[list(self.rest)] = torch.arange(len(self.rest), device="cpu") + bool(self.context)
        self.register_buffer("ranks", ranks, persistent=False)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        return too_large(cls, schema)

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        each = self.predict(x).log_prob(x.flatten(1))
        return each[:, list(self.rest)].sum(1) if self.context else each.sum(1)

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        self.offset().copy_(self.head.marginals(x))

    @abstractmethod
    def offset(self) -> Tensor:
        """The parameters of all outcomes where the network adds nothing, (head width,), which learning moves."""


def apart(schema: Schema, context: tuple[int, ...]) -> tuple[int, ...]:
    """The variables that are no context. ValueError where that is none, or the context names what is no variable."""
    known = range(schema.size)
    if len({*context}) < len(context) or not {*context} < {*known}:
        raise ValueError(f"context = {list(context)}; it names some of the variables 0 to {schema.size - 1}, not all")
    return tuple(i for i in known if i not in context)


def shuffled(variables: Iterable[int], shuffle: int) -> tuple[int, ...]:
    """The variables as they are, or in the order that a `shuffle` above 0 draws as a seed."""
    given = tuple(variables)
    within("shuffle", shuffle, 0, 2**31)
    if not shuffle:
        return given
    return tuple(
        given[i]
        for i in torch.randperm(len(given), generator=torch.Generator("cpu").manual_seed(shuffle), device="cpu")
    )


def too_large(kind: type[Trainable], schema: Schema) -> str | None:
    """Why a model of so many parameters is refused, or None."""
    parameters = kind.count(schema)
    return (
        f"{kind.__name__.lower()}: {parameters:,} parameters, more than {LARGEST:,}" if parameters > LARGEST else None
    )


def attentive(name: str, width: int, layers: int, heads: int, dropout: float) -> None:
    """ValueError for a size of a transformer that is out of range."""
    within(f"{name}: width", width, 1, 10_000)
    within(f"{name}: layers", layers, 1, 100)
    within(f"{name}: heads", heads, 1, width)
    within(f"{name}: dropout", dropout, 0, 0.99)
    if width % heads:
        raise ValueError(f"{name}: width = {width}; it must be a multiple of heads = {heads}")


def within(name: str, value: float, least: float, most: float) -> None:
    """ValueError for an argument out of range."""
    if not least <= value <= most:
        raise ValueError(f"{name} = {value}; it can be {least:,} to {most:,}")
