"""Every variable on its own, p(x) = prod_i p(x_i): the baseline that any other model must beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tables import ConditionalTables, smooth_counts
from plausibly.families.tabular import TabularModel, emission_logs


class Independent(TabularModel):
    """Every variable on its own: the product of the marginals, smoothed (Perks 1947).

    >>> from plausibly.events.schema import binary
    >>> model = Independent(binary(2))
    >>> half = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    >>> model.learn(model.statistics(half), [])
    >>> round(model.log_prob(torch.tensor([[0.0, 1.0]])).exp().item(), 4)
    0.25
    """

    formula = "n"

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.order = tuple(range(schema.size))
        self.tables = ConditionalTables([1] * schema.size, schema.codes, self.barred)

    def row(self, x: Tensor, i: int) -> Tensor:
        return torch.zeros_like(x[:, i])

    def learn(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        """Sets the tables from the summed statistics. Tables of one row have nothing to be smoothed towards."""
        self.fill(sums, [1.0] * self.schema.size)

    def take(self, sums: Tensor) -> None:
        """The likeliest tables for sums that are all positive."""
        for i, counts in self.tables.split(sums):
            self.tables.set_table(i, counts / counts.sum())

    def prior(self, sums: Tensor) -> Tensor:
        """The sums of one row that is drawn from the smoothed marginals."""
        return torch.cat([smooth_counts(counts, 0.0)[0] for _, counts in self.tables.split(sums)])

    def hot(self, x: Tensor) -> Tensor:
        """A 1 at each variable's code, (batch, sum of codes), in the order of the statistics."""
        places = torch.tensor(self.starts, device=x.device) + self.binning.codes(x.flatten(1))
        return torch.zeros(len(x), sum(self.schema.codes), device=x.device).scatter_(1, places, 1.0)

    @property
    def starts(self) -> list[int]:
        """Where each variable's codes start in the statistics."""
        starts, free = [0] * self.schema.size, 0
        for k, members, *_ in self.tables.groups:
            for i in members:
                starts[i], free = free, free + k
        return starts

    def emit_one(self, logs: Tensor, x: Tensor, i: int) -> Tensor:
        """The same of one variable, of which earlier cells say nothing, seen before or not."""
        return emission_logs(logs, self.schema.kinds[i])

    def flat(self) -> Tensor:
        """log p of every code of every variable, in the order of the statistics."""
        tables, kinds = self.tables.log_probs(), self.schema.kinds
        members = [members for _, members, *_ in self.tables.groups]
        pairs = (
            (own[place], i)
            for own, group in zip(tables, members, strict=True)
            for place, i in enumerate(group)
        )
        return torch.cat([emission_logs(logs, kinds[i]) for logs, i in pairs])

    def _add_weights(self, weights: Tensor, over: Semiring) -> list[Tensor]:
        pairs = zip(self.scores(over), self.per_variable(weights), strict=True)
        return [table + own for table, own in pairs]

    def log_mass(self, weights: Tensor, over: Semiring = SUM) -> Tensor:
        return torch.stack([over.total(logs, 1) for logs in self._add_weights(weights, over)]).sum(
            0
        )

    def marginals(self, weights: Tensor) -> list[Tensor]:
        own = self._add_weights(weights, SUM)
        totals = [logs.logsumexp(1, keepdim=True) for logs in own]
        whole = sum(totals)
        return [logs + (whole - total) for logs, total in zip(own, totals, strict=True)]

    def decide(self, weights: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([choose(logs) for logs in self._add_weights(weights, over)], 1)
