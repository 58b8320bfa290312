"""Networks for all orders at once: p(x_i | any others) from one set of weights (Uria et al. 2014, arXiv:1310.1757).

    loss(x)  =  D / (D - d)  sum over the unobserved i of  -log p(x_i | observed)

with d of the D variables observed, d uniform on 0 ... D - 1 and each set of d equally likely: its mean is the mean over all
orders of -log p(x) by the chain rule. The conditionals of several orders need not belong to one joint distribution.
log p(x) is that of one order, that of the schema; a pass for each variable finds it. Since rows are scored and drawn in it,
half of the events tell of it alone: of d variables observed, its first, and D times -log p of its next one, whose mean is
-log p(x) in that order (docs/decisions/0016-any-order.md). What `named` adds to the parameters counts there and nowhere
else. In half of the other events no hole is among the observed.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from plausibly.capabilities import AnyOrderModel, Unrolled, device_of
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE
from plausibly.events.schema import Schema
from plausibly.families.chains import unroll_in_order
from plausibly.families.network import too_large
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.objectives import Loss, Objective, Turn
from plausibly.outcomes.outcome import Outcome
from plausibly.system.randomness import by_row

NUMBERS_PER_BATCH = 1 << 17  # parameters of outcomes held at a time
ORDER_SHARE = 0.5  # share of events that tell of the schema's order alone
# passes to refine by, and rows that these must be enough for
RECALIBRATION_PASSES = 400_000
MIN_ROWS = 1_000
HOLE_FREE_SHARE = 0.5  # share of the others in which no hole is observed, as in questions


class Orderless(Objective):
    """The mean over all orders of -log p(x), and as much of that in the schema's, by one set for each event."""

    def turns(self, model: OrderlessModel) -> list[Turn]:
        return [
            Turn(
                "likelihood", model, lambda x, generator, done: Loss(orderless(model, x, generator))
            )
        ]

    def validation_loss(
        self, model: OrderlessModel, x: Tensor, generator: torch.Generator
    ) -> Tensor:
        return orderless(model, x, generator)


class OrderlessModel(AnyOrderModel):
    """Gives the parameters of all outcomes from the numbers of observed variables and flags of which these are."""

    family = "explicit"
    objective = Orderless()
    hole: Tensor
    ranks: Tensor

    def __init__(self, schema: Schema, components: int, shape: str) -> None:
        super().__init__()
        self.schema, self.components, self.shape = schema, components, shape
        self.order = tuple(range(schema.size))
        self.register_buffer("ranks", torch.arange(schema.size, device="cpu"), persistent=False)
        self.inputs, self.head = Inputs(schema), Head(schema, components, shape)
        holes = [
            HOLE if kind.continuous else kind.codes - 1 if kind.missing else -1
            for kind in schema.kinds
        ]
        self.named = nn.Parameter(torch.zeros(self.head.width))
        self.register_buffer(
            "hole", torch.tensor(holes, dtype=torch.float32, device="cpu"), persistent=False
        )

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        return too_large(cls, schema)

    @abstractmethod
    def outcomes(self, numbers: Tensor, flags: Tensor) -> Tensor:
        """Parameters, (batch, head width); numbers (batch, inputs) are 0 where the flag, (batch, variables), is 0 too."""

    @abstractmethod
    def offset(self) -> Tensor:
        """The parameters of all outcomes where the network adds nothing, (head width,), which learning moves."""

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        self.offset().copy_(self.head.marginals(x))

    @torch.no_grad()
    def recalibrate(self, x: Tensor) -> bool:
        """Refits what is added in the order alone, so that samples have each column's shares."""
        rows = min(len(x), RECALIBRATION_PASSES // self.schema.size)
        if rows < MIN_ROWS:
            return False
        some = x[:: -(-len(x) // rows)].to(device_of(self)).float()
        self.named.add_(self.head.shift(self._all_in_order(some), some.flatten(1)))
        return True

    def predict_given(self, evidence: Evidence) -> Outcome:
        outcome: Outcome = self.head(self.head_parameters(evidence))
        return outcome

    def predict(self, x: Tensor) -> Outcome:
        outcome: Outcome = self.head(self._all_in_order(x))
        return outcome

    def unroll(self, n: int) -> Unrolled:
        return unroll_in_order(self, self.order, n)

    def head_parameters(self, evidence: Evidence) -> Tensor:
        rows, numbers = evidence.flatten(), self.inputs(evidence.x)
        observed = rows.observed & ~self.schema.is_unseen(rows.x)  # a cell never seen says nothing
        flags = observed.to(numbers.dtype)
        own = self.named * self._next(observed)[:, self.head.owner]
        return self.outcomes(numbers * flags[:, self.inputs.owner], flags) + own

    def _next(self, observed: Tensor) -> Tensor:
        """Which variable follows in the order where the observed ones are the first of it, bool (batch, variables)."""
        count, ranks = observed.sum(1, keepdim=True), self.ranks
        return ((ranks < count) == observed).all(1, keepdim=True) & (ranks == count)

    def _all_in_order(self, x: Tensor) -> Tensor:
        """The same, a few rows at a time."""
        rows = max(1, NUMBERS_PER_BATCH // (self.schema.size * self.head.width))
        return torch.cat([self._in_order(part) for part in x.split(rows)])

    def _in_order(self, x: Tensor) -> Tensor:
        """Parameters (rows, head width) of every outcome given the variables before it."""
        variables = self.schema.size
        earlier = torch.ones(variables, variables, dtype=torch.bool, device=x.device).tril(-1)
        several = x.flatten(1).repeat_interleave(variables, 0)
        each = self.head_parameters(Evidence(several, earlier.repeat(len(x), 1)))
        return each.unflatten(0, (-1, variables))[
            :, self.head.owner, torch.arange(self.head.width, device=x.device)
        ]


def orderless(model: OrderlessModel, x: Tensor, generator: torch.Generator) -> Tensor:
    """The loss, (batch,), of one set of observed variables for each event."""
    flat = x.flatten(1)
    variables = flat.shape[1]
    number = (by_row(torch.rand, (len(x), 1), generator, x.device) * variables).floor()
    named = by_row(torch.rand, (len(x), 1), generator, x.device) < ORDER_SHARE
    ranks = by_row(torch.rand, tuple(flat.shape), generator, x.device).argsort(1).argsort(1)
    ranks = torch.where(named, model.ranks, ranks)
    hidden = by_row(torch.rand, (len(x), 1), generator, x.device) < HOLE_FREE_SHARE
    observed = (ranks < number) & (named | ~hidden | (flat != model.hole))
    asked = torch.where(named, ranks == number, ~observed)
    each = -model.predict_given(Evidence(x, observed.view(x.shape))).log_prob(flat)
    return each.where(asked, 0.0).sum(1) * variables / asked.sum(1)
