"""The base of autoregressive networks: inputs in, an outcome for each variable out, in one order
that a context begins.

    p(x) = prod_{c in context} p(x_c)  prod_{i after} p(x_i | context, earlier)

The variables of a context come first and on their own: what the network learns is the rest given them. p(context) stays
the product of their marginals, so that p(x) is a joint distribution like any other.

A cell never seen says nothing of those behind it: what it might be is summed out, by the network's own probabilities, where
that is one of few codes or one number. Otherwise the network has learned what to say without it (`objectives.hidden`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Trainable, Unrolled
from plausibly.events.kinds import HOLE, Kind, Real
from plausibly.events.schema import Schema
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.objectives import MaximumLikelihood
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import join_variables
from plausibly.outcomes.rows import average_rows, replace_rows
from plausibly.system.arguments import check_range

MAX_PARAMETERS = 100_000_000  # parameters
# values of cells never seen that are summed over; of one that is real
MAX_FILLS = 512
MAX_REAL_FILLS = 64
NODES = 48
EVENTS_PER_BATCH = 1 << 14  # events


class NetworkModel(AutoregressiveModel):
    """`ranks` (variables,) says how early a variable is: the context is 0, and an outcome sees lower ranks than its own."""

    family = "explicit"
    objective = MaximumLikelihood()
    ranks: Tensor

    def __init__(
        self,
        schema: Schema,
        context: Sequence[int],
        components: int,
        shape: str,
        shuffle: int = 0,
        target: int | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.context, self.target = schema, tuple(context), target
        self.components, self.shape, self.shuffle = components, shape, shuffle
        self.rest = arrange_variables(other_variables(schema, self.context), shuffle, target)
        self.order = (*self.context, *self.rest)
        self.inputs = Inputs(schema, self.order[:-1])  # nothing sees the last variable
        self.head = Head(schema, components, shape)
        ranks = torch.zeros(schema.size, dtype=torch.long, device="cpu")
        ranks[list(self.rest)] = torch.arange(len(self.rest), device="cpu") + bool(self.context)
        self.register_buffer("ranks", ranks, persistent=False)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        return too_large(cls, schema)

    @abstractmethod
    def outcomes(self, x: Tensor) -> Outcome:
        """The outcome of every variable given those earlier in `order`, as the network gives it."""

    @abstractmethod
    def steps(self, n: int) -> Unrolled:
        """The same one by one, as `unroll`."""

    def predict(self, x: Tensor) -> Outcome:
        outcome = self.outcomes(x)
        if not self.schema.has_unforeseen:
            return outcome
        lost = self.cells_to_sum(x)
        rows = lost.any(1).nonzero()[:, 0]
        if not len(rows):
            return outcome
        each = [outcome.one(i) for i in range(self.schema.size)]
        for index, variables in mark_patterns(lost[rows]):
            for some in rows[index].split(
                max(1, EVENTS_PER_BATCH // self.fills(variables.tolist()))
            ):
                own = self.sum_out(x[some], variables)
                each = [
                    replace_rows(single, some, part) for single, part in zip(each, own, strict=True)
                ]
        return join_variables(each)

    def unroll(self, n: int) -> Unrolled:
        steps = self.steps(n)
        if not self.schema.has_unforeseen:
            return (yield from steps)
        i, outcome = next(steps)
        x = torch.zeros(n, self.schema.size, device=self.ranks.device)
        try:
            while True:
                rows = self.cells_to_sum(x).any(1).nonzero()[:, 0]
                if len(rows):
                    outcome = replace_rows(outcome, rows, self.predict(x[rows]).one(i))
                x[:, i] = yield i, outcome
                i, outcome = steps.send(x[:, i])
        except StopIteration as done:
            events: Tensor = done.value
            return events

    def fills(self, variables: Iterable[int]) -> int:
        """The number of values of the variables together by which they are summed out."""
        kinds = [self.schema.kinds[i] for i in variables]
        each = (NODES + k.missing if k.continuous else k.codes - 1 for k in kinds)
        return prod(each)

    def cells_to_sum(self, x: Tensor) -> Tensor:
        """Which cells never seen are summed out, bool (batch, variables): in order, as many as have few values together."""
        unseen, most = (
            self.schema.is_unseen(x),
            MAX_REAL_FILLS if self.schema.continuous else MAX_FILLS,
        )
        if self.training or not unseen.any():
            return torch.zeros_like(unseen)
        chosen, values = torch.zeros_like(unseen), torch.ones(len(unseen), device=x.device)
        for i in self.order:
            more = values * self.fills([i])
            chosen[:, i] = unseen[:, i] & (more <= most)
            values = torch.where(chosen[:, i], more, values)
        return chosen

    def sum_out(self, x: Tensor, variables: Tensor) -> list[Single]:
        """The outcome of every variable given earlier ones but for these, which were never seen in any of the rows."""
        each = [marginalisation_nodes(self.schema.kinds[i]) for i in variables.tolist()]
        many, widths = (
            torch.cartesian_prod(*(side.to(x) for side in sides)).view(-1, len(each))
            for sides in zip(*each, strict=True)
        )
        filled = x.flatten(1).repeat_interleave(len(many), 0)
        filled[:, variables] = many.repeat(len(x), 1)
        outcome = self.outcomes(filled.view(-1, *self.schema.shape))
        order, logs = list(self.order), outcome.log_prob(filled)
        logs[:, variables] += widths.log().repeat(len(x), 1)
        logs = logs[:, order]
        weights = torch.empty_like(logs)
        weights[:, order] = logs.cumsum(1) - logs  # log p of all earlier cells
        weights = weights.unflatten(0, (len(x), -1)).log_softmax(1)
        return [average_rows(outcome.one(i), weights[:, :, i]) for i in range(self.schema.size)]

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        each = self.predict(x).log_prob(x.flatten(1))
        return each[:, list(self.rest)].sum(1) if self.context else each.sum(1)

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        self.offset().copy_(self.head.marginals(x))

    @abstractmethod
    def offset(self) -> Tensor:
        """The parameters of all outcomes where the network adds nothing, (head width,), which learning moves."""


def marginalisation_nodes(kind: Kind) -> tuple[Tensor, Tensor]:
    """Events by which a cell never seen is summed out, and the weight of each: all codes that were seen, or of a real one
    the middles of intervals that hold about as many training rows, and their widths."""
    if not isinstance(kind, Real):
        codes = [float(code) for code in range(kind.codes) if code != kind.other_code]
        return torch.tensor(codes, device="cpu"), torch.ones(len(codes), device="cpu")
    low, high = kind.edges[0] - 4 * kind.tails[0], kind.edges[-1] + 4 * kind.tails[1]
    known = np.array(
        [low, kind.edges[0] - kind.tails[0], *kind.edges, kind.edges[-1] + kind.tails[1], high]
    )
    ends = np.interp(np.linspace(0, len(known) - 1, NODES + 1), np.arange(len(known)), known)
    middles, widths = (ends[1:] + ends[:-1]) / 2, np.diff(ends)
    hole = [HOLE] * kind.missing
    return torch.tensor([*middles, *hole], device="cpu"), torch.tensor(
        [*widths, *(1.0 for _ in hole)], device="cpu"
    )


def mark_patterns(marks: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """(rows, variables) for each set of marked variables that occurs in bool (batch, variables)."""
    sets, owner = torch.unique(marks, dim=0, return_inverse=True)
    for k, own in enumerate(sets):
        yield (owner == k).nonzero()[:, 0], own.nonzero()[:, 0]


def other_variables(schema: Schema, context: tuple[int, ...]) -> tuple[int, ...]:
    """The variables that are no context. ValueError where that is none, or the context names what is no variable."""
    known = range(schema.size)
    if len({*context}) < len(context) or not {*context} < {*known}:
        raise ValueError(
            f"context = {list(context)}; it names some of the variables 0 to {schema.size - 1}, not all"
        )
    return tuple(i for i in known if i not in context)


def arrange_variables(
    variables: Iterable[int], shuffle: int, target: int | None = None
) -> tuple[int, ...]:
    """The variables as they are, or in the order that a `shuffle` above 0 draws as a seed; a target comes last."""
    every = tuple(variables)
    given = tuple(i for i in every if i != target)
    check_range("shuffle", shuffle, 0, 2**31)
    if target is not None and target not in every:
        raise ValueError(f"target = {target}; it is one of the variables that are modelled")
    last = () if target is None else (target,)
    if not shuffle:
        return (*given, *last)
    generator = torch.Generator("cpu").manual_seed(shuffle)
    drawn = torch.randperm(len(given), generator=generator, device="cpu")
    return (*(given[i] for i in drawn), *last)


def too_large(kind: type[Trainable], schema: Schema) -> str | None:
    """Why a model of so many parameters is refused, or None."""
    parameters = kind.count(schema)
    if parameters > MAX_PARAMETERS:
        return f"{kind.__name__.lower()}: {parameters:,} parameters, more than {MAX_PARAMETERS:,}"
    return None


def check_transformer(name: str, width: int, layers: int, heads: int, dropout: float) -> None:
    """ValueError for a size of a transformer that is out of range."""
    check_range(f"{name}: width", width, 1, 10_000)
    check_range(f"{name}: layers", layers, 1, 100)
    check_range(f"{name}: heads", heads, 1, width)
    check_range(f"{name}: dropout", dropout, 0, 0.99)
    if width % heads:
        raise ValueError(f"{name}: width = {width}; it must be a multiple of heads = {heads}")
