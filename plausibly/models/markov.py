"""Markov chain of order k over the variables, with its own table at each: p(x) = prod_i p(x_i | x_{i-k}, ..., x_{i-1}).

Each table of counts N is smoothed towards that of the next lower order, which knows one variable less, the farthest:

    p_j(x | c_j) = (N(c_j, x) + s_j p_{j-1}(x | c_{j-1})) / (N(c_j) + s_j),   c_j the j nearest earlier variables

down to the smoothed marginal p_0 (Jelinek & Mercer 1980; MacKay & Peto 1995). The strengths s_j of each variable are chosen
on validation, the lowest order first, so that a higher order does little harm where rows are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

import torch
from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tables import ConditionalTables, smooth_counts
from plausibly.families.tabular import TabularModel
from plausibly.system.arguments import is_whole_number

MAX_CELLS = 1 << 24  # cells of all tables together


class Markov(TabularModel):
    """A table of each variable given the few just before it (Jelinek & Mercer 1980).

    Args:
        k: variables before it that each depends on, 1 to 16 (default 1).

    >>> from plausibly.events.schema import binary
    >>> model = Markov(binary(4), k=2)  # even before it learns
    >>> p = model.log_prob(model.schema.all_events()).exp()
    >>> round(p[0].item(), 4), round(p.sum().item(), 4)
    (0.0625, 1.0)
    """

    formula = "2n - 1"

    def __init__(self, schema: Schema, k: int = 1) -> None:
        super().__init__(schema)
        if not is_whole_number(k) or not 1 <= k <= 16:
            raise ValueError(
                f"markov: k = {k}; the number of earlier variables looked at is 1 to 16"
            )
        self.k = k
        self.order = tuple(range(schema.size))
        self.rows = context_counts(schema, k)
        cells = sum(rows * codes for rows, codes in zip(self.rows, schema.codes, strict=True))
        if cells > MAX_CELLS:
            raise ValueError(
                f"markov: tables of order k = {k} need more than {MAX_CELLS:,} cells; a smaller k would do"
            )
        self.tables = ConditionalTables(self.rows, schema.codes, self.barred)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        pairs = zip(context_counts(schema, 1), schema.codes, strict=True)
        cells = sum(rows * codes for rows, codes in pairs)
        return None if cells <= MAX_CELLS else f"markov: {cells:,} cells in its tables"

    def row(self, x: Tensor, i: int) -> Tensor:
        """The configuration of the k variables before i as one number, the nearest counting least, (batch,)."""
        row = torch.zeros_like(x[:, 0])
        for j in range(max(i - self.k, 0), i):
            row = row * self.schema.codes[j] + x[:, j]
        return row

    def learn(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        batches, tables = list(validation), self._marginals(sums)
        for order in range(1, self.k + 1):

            def fill(
                strengths: Sequence[float], order: int = order, lower: Sequence[Tensor] = tables
            ) -> None:
                self._store(self._refine_tables(sums, lower, order, strengths))

            tables = self._refine_tables(sums, tables, order, self.strengths(fill, batches))
        self._store(tables)

    def fill(self, sums: Tensor, strengths: Sequence[float]) -> None:
        """Each variable's tables of all orders smoothed by its one strength."""
        tables = self._marginals(sums)
        for order in range(1, self.k + 1):
            tables = self._refine_tables(sums, tables, order, strengths)
        self._store(tables)

    def _marginals(self, sums: Tensor) -> list[Tensor]:
        """p_0 of each variable, (1, codes)."""
        counts = dict(self.tables.split(sums))
        return [smooth_counts(counts[i].sum(0, keepdim=True), 0.0) for i in self.order]

    def _refine_tables(
        self, sums: Tensor, tables: Sequence[Tensor], order: int, strengths: Sequence[float]
    ) -> list[Tensor]:
        """The tables of `order` from those of the order below, each (configurations, codes)."""
        counts, rows = dict(self.tables.split(sums)), context_counts(self.schema, order)
        return [refine_table(counts[i], tables[i], rows[i], strengths[i]) for i in self.order]

    def _store(self, tables: Sequence[Tensor]) -> None:
        for i, table in enumerate(tables):
            self.tables.set_table(i, table.repeat(self.rows[i] // len(table), 1))

    def _messages(self, weights: Tensor, over: Semiring) -> tuple[list[Tensor], list[Tensor]]:
        """The weights before each table, its own and all later ones, and log p(evidence from i on | the k before).

        Both over the configurations of the k variables before i: (batch, configurations, codes) and (batch, configurations).
        """
        own = self.per_variable(weights)
        tables = self.scores(over)
        later = torch.zeros_like(own[-1])
        weighted, messages = [], []
        for i in reversed(range(self.schema.size)):
            # `later` is over the configurations of (up to) the k variables up to i; rows that differ only in one
            # more variable before those share it
            ahead = later.unflatten(1, (-1, self.schema.codes[i])) + own[i][:, None]
            if ahead.shape[1] == 1:
                later = over.product(ahead[:, 0], tables[i])
            else:
                later = over.total(tables[i] + self._repeat(ahead, i), 2)
            weighted.append(ahead)
            messages.append(later)
        return weighted[::-1], messages[::-1]

    def _repeat(self, ahead: Tensor, i: int) -> Tensor:
        """The table of `_messages` for each configuration of the k variables before i."""
        return ahead.repeat(1, self.rows[i] // ahead.shape[1], 1)

    def log_mass(self, weights: Tensor, over: Semiring = SUM) -> Tensor:
        return self._messages(weights, over)[1][0][:, 0]

    def marginals(self, weights: Tensor) -> list[Tensor]:
        weighted, _ = self._messages(weights, SUM)
        found = []
        before = weights.new_zeros(
            len(weights), 1
        )  # of the configurations of the k variables before
        for i, (table, own) in enumerate(
            zip(self.scores(SUM), self.per_variable(weights), strict=True)
        ):
            upto = before[:, :, None] + table
            found.append((upto + self._repeat(weighted[i], i)).logsumexp(1))
            before = (upto + own[:, None]).flatten(1)
            if i >= self.k:
                before = before.unflatten(1, (self.schema.codes[i - self.k], -1)).logsumexp(1)
        return found

    def decide(self, weights: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        weighted, _ = self._messages(weights, over)
        x = torch.zeros(len(weights), self.schema.size, dtype=torch.long, device=weights.device)
        every = torch.arange(len(weights), device=weights.device)
        for i, table in enumerate(self.scores(over)):
            row = self.row(x, i)
            x[:, i] = choose(table[row] + weighted[i][every, row % weighted[i].shape[1]])
        return x


def context_counts(schema: Schema, k: int) -> list[int]:
    """Number of configurations of the k variables before each."""
    return [prod(schema.codes[max(i - k, 0) : i]) for i in range(schema.size)]


def refine_table(counts: Tensor, lower: Tensor, rows: int, strength: float) -> Tensor:
    """The table of `rows` rows smoothed towards the `lower` one of fewer, from the counts of as many rows or more.

    The nearest variable counts least in the number of a row, so that rows which share their nearest variables are equal
    modulo `rows`. Where there is no farther variable the table stays.
    """
    if rows == len(lower):
        return lower
    own = counts.view(-1, rows, counts.shape[1]).sum(0)
    return smooth_counts(own, strength, lower.repeat(rows // len(lower), 1))
