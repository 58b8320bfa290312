"""Markov chain of order k over the variables, with its own table at each: p(x) = prod_i p(x_i | x_{i-k}, ..., x_{i-1})."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor

from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tabular import Tables, TabularModel
from plausibly.schema import Schema

LARGEST = 1 << 24  # cells of all tables together


class Markov(TabularModel):
    formula = "2n - 1"

    def __init__(self, schema: Schema, k: int = 1) -> None:
        super().__init__(schema)
        if not 1 <= k <= 16:
            raise ValueError(f"markov: k = {k}; the number of earlier variables looked at is 1 to 16")
        self.k = k
        self.order = tuple(range(schema.size))
        self.rows = rows_of(schema, k)
        if sum(rows * codes for rows, codes in zip(self.rows, schema.codes, strict=True)) > LARGEST:
            raise ValueError(f"markov: tables of order k = {k} need more than {LARGEST:,} cells; a smaller k would do")
        self.tables = Tables(self.rows, schema.codes)

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        cells = sum(rows * codes for rows, codes in zip(rows_of(schema, 1), schema.codes, strict=True))
        return None if cells <= LARGEST else f"markov: {cells:,} cells in its tables"

    def row(self, x: Tensor, i: int) -> Tensor:
        """The configuration of the k variables before i as one number, the nearest counting least, (batch,)."""
        row = torch.zeros_like(x[:, 0])
        for j in range(max(i - self.k, 0), i):
            row = row * self.schema.codes[j] + x[:, j]
        return row

    def _messages(self, evidence: Tensor, over: Semiring) -> tuple[list[Tensor], list[Tensor]]:
        """Each table weighed by its own evidence and all later evidence, and log p(evidence from i on | the k before).

        Both over the configurations of the k variables before i: (batch, configurations, codes) and (batch, configurations).
        """
        own = self.per_variable(evidence)
        tables = self.scores(over)
        later = torch.zeros_like(own[-1])
        weighted, messages = [], []
        for i in reversed(range(self.schema.size)):
            codes = self.schema.codes[i]
            # `later` is over the configurations of (up to) the k variables up to i; rows that differ only in one
            # more variable before those share it
            ahead = later.reshape(len(evidence), -1, codes) + own[i][:, None]
            if ahead.shape[1] == 1:
                message = over.product(ahead[:, 0], tables[i])
            else:
                repeated = ahead.repeat(1, self.rows[i] // ahead.shape[1], 1)
                message = over.total(tables[i] + repeated, 2)
            weighted.append(ahead)
            messages.append(message)
            later = message
        return weighted[::-1], messages[::-1]

    def log_mass(self, evidence: Tensor, over: Semiring = SUM) -> Tensor:
        return self._messages(evidence, over)[1][0][:, 0]

    def decide(self, evidence: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        weighted, _ = self._messages(evidence, over)
        x = torch.zeros(len(evidence), self.schema.size, dtype=torch.long, device=evidence.device)
        every = torch.arange(len(evidence), device=evidence.device)
        for i, table in enumerate(self.scores(over)):
            row = self.row(x, i)
            x[:, i] = choose(table[row] + weighted[i][every, row % weighted[i].shape[1]])
        return x


def rows_of(schema: Schema, k: int) -> list[int]:
    """Number of configurations of the k variables before each."""
    return [prod(schema.codes[max(i - k, 0) : i]) for i in range(schema.size)]
