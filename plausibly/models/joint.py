"""The full joint table: one probability for every event. Exact about everything, where it fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate
from math import prod
from operator import mul

import torch
from torch import Tensor

from plausibly.capabilities import Unrolled, device_of
from plausibly.events.schema import Schema
from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tables import ConditionalTables, smooth_counts
from plausibly.families.tabular import TabularModel, code_of_unseen, sample_codes
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import product_of_variables

MAX_EVENTS = 1 << 20  # events
NUMBERS_PER_BATCH = 1 << 22  # numbers held at a time while evidence is weighed


class Joint(TabularModel):
    """A probability for every event, smoothed towards independence (Jelinek & Mercer 1980).

    That is (N_x + s p_independent(x)) / (N + s), with s chosen on validation.

    >>> from plausibly.events.schema import binary
    >>> model = Joint(binary(3))  # even before it learns
    >>> p = model.log_prob(model.schema.all_events()).exp()
    >>> round(p[0].item(), 4), round(p.sum().item(), 4)
    (0.125, 1.0)
    """

    formula = "2^n - 1"

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        if reason := self.accepts(schema):
            raise ValueError(reason)
        self.order = tuple(range(schema.size))
        none = torch.zeros(1, dtype=torch.bool, device="cpu")
        marks = reduce(lambda events, own: (events[:, None] | own).flatten(), self.barred, none)
        self.tables = ConditionalTables([1], [prod(schema.codes)], [marks])

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        if schema.log_events < 21:
            events = prod(schema.codes)
            return (
                None
                if events <= MAX_EVENTS
                else f"joint: {events - 1:,} parameters, more than {MAX_EVENTS - 1:,}"
            )
        if set(schema.codes) == {2}:
            return f"joint: 2^{schema.size} - 1 parameters"
        return f"joint: about 10^{schema.log_events / 2.302585093:.0f} parameters"

    @classmethod
    def count(cls, schema: Schema) -> int:
        return prod(schema.codes) - 1

    def _index(self, x: Tensor) -> Tensor:
        """The event's place in lexical order, (batch,)."""
        index = torch.zeros_like(x[:, 0])
        for i, codes in enumerate(self.schema.codes):
            index = index * codes + x[:, i]
        return index

    def row(self, x: Tensor, i: int) -> Tensor:
        return torch.zeros_like(x[:, i])  # one table of one row

    def statistics(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        index = self._index(self.binning.codes(x.flatten(1)))
        return torch.bincount(index, weight, minlength=prod(self.schema.codes)).double()

    def fill(self, sums: Tensor, strengths: Sequence[float]) -> None:
        self.tables.set_table(0, smooth_counts(sums[None], strengths[0], self._independent(sums)))

    def _independent(self, sums: Tensor) -> Tensor:
        """The product of the smoothed marginals, over all events in lexical order."""
        table, product = (
            sums.view(self.schema.codes),
            torch.ones(1, dtype=sums.dtype, device=sums.device),
        )
        for i in range(self.schema.size):
            others = [j for j in range(self.schema.size) if j != i]
            marginal = smooth_counts(table.sum(others)[None] if others else table[None], 0.0)[0]
            product = (product[:, None] * marginal).flatten()
        return product

    def each_log_prob(self, x: Tensor) -> Tensor:
        codes, inside = (
            self.binning.digitise(x.flatten(1))
            if self.binning.any
            else (x.flatten(1).long(), torch.zeros(1))
        )
        return (self.tables.log_probs()[0][0][self._index(codes)] + inside.sum(-1))[:, None]

    def predict(self, x: Tensor) -> Outcome:
        codes, conditionals = self.binning.codes(x.flatten(1)), []
        place = torch.zeros_like(codes[:, 0])
        for i, table in enumerate(self._conditionals()):
            conditionals.append(table[place])
            place = place * self.schema.codes[i] + codes[:, i]
        return self.to_events(self.emit(product_of_variables(conditionals), x))

    def unroll(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        place = torch.zeros(n, dtype=torch.long, device=x.device)
        for i, table in enumerate(self._conditionals()):
            outcome = Categorical(
                self.emit_one(table[place], x, i), code_of_unseen(self.schema.kinds[i])
            )
            x[:, i] = yield i, self.alone(outcome, i)
            place = place * self.schema.codes[i] + self.binning.digitise(x[:, i], (i,))[0]
        return x.reshape(n, *self.schema.shape)

    def _conditionals(self) -> list[Tensor]:
        """log p(x_i | x_1 ... x_{i-1}) for every prefix, each (prefixes, codes)."""
        prefixes = self._prefixes()
        each = zip(prefixes[:-1], prefixes[1:], self.schema.codes, strict=True)
        return [own.view(-1, k) - before[:, None] for before, own, k in each]

    def _prefixes(self) -> list[Tensor]:
        """log p(x_1 ... x_i) of every prefix, for i = 0 to n."""
        levels = [self.tables.log_probs()[0][0]]
        for k in reversed(self.schema.codes):
            levels.append(levels[-1].view(-1, k).logsumexp(1))
        return levels[::-1]

    def _split(self, weights: Tensor) -> list[Tensor]:
        return list(weights.split(max(NUMBERS_PER_BATCH // prod(self.schema.codes), 1)))

    def log_mass(self, weights: Tensor, over: Semiring = SUM) -> Tensor:
        return torch.cat(
            [over.total(self._add_weights(rows, over), 1) for rows in self._split(weights)]
        )

    def marginals(self, weights: Tensor) -> list[Tensor]:
        parts = [
            sum_others(self._add_weights(rows, SUM), self.schema.codes)
            for rows in self._split(weights)
        ]
        return [torch.cat(own) for own in zip(*parts, strict=True)]

    def _add_weights(self, weights: Tensor, over: Semiring) -> Tensor:
        """log p(x) + the log weight of every event, (batch, events)."""
        own = self.per_variable(weights)
        total = own[0]
        for each in own[1:]:
            total = (total[:, :, None] + each[:, None]).flatten(1)
        return total + self.scores(over)[0]

    def decide(self, weights: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        return self._at(
            torch.cat([choose(self._add_weights(rows, over)) for rows in self._split(weights)])
        )

    def _at(self, places: Tensor) -> Tensor:
        """The events at these places in lexical order, (batch, variables)."""
        strides = list(accumulate((1, *self.schema.codes[:0:-1]), mul))[::-1]
        pairs = zip(strides, self.schema.codes, strict=True)
        return torch.stack([places // s % k for s, k in pairs], 1)

    def codes(self, n: int, generator: torch.Generator) -> Tensor:
        table = self.tables.each()[0]
        rows = torch.zeros(n, dtype=torch.long, device=table.device)
        return self._at(sample_codes(table, rows, generator))


def sum_others(logs: Tensor, codes: Sequence[int]) -> list[Tensor]:
    """The log sum over all others' codes for each variable, (batch, codes), from that of all events in lexical order.

    Half of the variables is summed out at a time.
    """
    if len(codes) == 1:
        return [logs]
    half = len(codes) // 2
    table = logs.view(len(logs), prod(codes[:half]), prod(codes[half:]))
    return sum_others(table.logsumexp(2), codes[:half]) + sum_others(
        table.logsumexp(1), codes[half:]
    )
