"""The best tree: each variable depends on one other, p(x) = prod_i p(x_i | x_parent(i)) (Chow & Liu 1968).

The tree of largest total mutual information maximises the likelihood among all trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from plausibly.events.schema import Schema
from plausibly.families.semirings import SUM, Semiring
from plausibly.families.tables import ConditionalTables, smooth_counts
from plausibly.families.tabular import TabularModel, pairwise_information

MAX_PAIR_COUNTS = 1 << 26  # pair counts held while learning


class ChowLiu(TabularModel):
    """The best tree of pairwise tables, each variable given one other (Chow & Liu 1968).

    >>> from plausibly.events.schema import binary
    >>> model = ChowLiu(binary(3))  # before it learns, a chain of even tables
    >>> model.log_prob(model.schema.all_events()).exp().sum()
    tensor(1., grad_fn=<SumBackward0>)
    >>> model.learn(model.statistics(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])), [])
    >>> model.parent_of
    (-1, 0, 0)
    """

    formula = "2n - 1"
    parents: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.register_buffer("parents", torch.arange(-1, schema.size - 1, device="cpu"))
        self._plant([i - 1 for i in range(schema.size)])

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        pairs = sum(schema.codes) ** 2
        if pairs <= MAX_PAIR_COUNTS:
            return None
        return (
            f"chow_liu: {pairs:,} counts of pairs to find the tree, more than {MAX_PAIR_COUNTS:,}"
        )

    def _plant(self, parents: list[int]) -> None:
        """Makes the tables for a tree; the root's parent is -1. ValueError where it is no tree."""
        children: dict[int, list[int]] = {}
        for i, parent in enumerate(parents):
            children.setdefault(parent, []).append(i)
        order = list(children.get(-1, []))
        for i in order:
            order += children.get(i, [])
        if len(order) != self.schema.size or len(children.get(-1, [])) != 1:
            raise ValueError("chow_liu: the saved parents are no tree")
        self.order, self.parent_of = tuple(order), tuple(parents)
        codes = self.schema.codes
        self.tables = ConditionalTables(
            [codes[p] if p >= 0 else 1 for p in parents], codes, self.barred
        )
        self.parents.copy_(torch.tensor(parents, device="cpu"))
        if self.parents.is_cuda:
            self.tables.to(self.parents.device)

    def restore(self, state: dict[str, Tensor]) -> None:
        self._plant(state["parents"].tolist())
        super().restore(state)

    def row(self, x: Tensor, i: int) -> Tensor:
        parent = self.parent_of[i]
        return x[:, parent] if parent >= 0 else torch.zeros_like(x[:, i])

    def statistics(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Counts of every pair of codes of all variables, (sum of codes, sum of codes)."""
        codes = torch.tensor(self.schema.codes, device=x.device)
        places = self.binning.codes(x.flatten(1)) + codes.cumsum(0) - codes
        hot = torch.zeros(len(x), int(codes.sum()), device=x.device).scatter_(1, places, 1.0)
        return (hot.T @ (hot if weight is None else hot * weight.float()[:, None])).double()

    def learn(self, sums: Tensor, validation: Iterable[Tensor]) -> None:
        cells = self._grow(sums)
        flat = torch.cat(
            [cells[i].flatten() for _, members, *_ in self.tables.groups for i in members]
        )
        self.fill(flat, self.strengths(partial(self.fill, flat), list(validation)))

    def _grow(self, sums: Tensor) -> list[Tensor]:
        """Plants the likeliest tree; the counts of each of its tables, (configurations, codes)."""
        self._plant(heaviest_tree(pairwise_information(sums, self.schema.codes)))
        ends = list(accumulate(self.schema.codes, initial=0))
        spans = [slice(start, end) for start, end in pairwise(ends)]
        own = sums.diag()
        return [
            own[spans[i]][None] if p < 0 else sums[spans[p], spans[i]]
            for i, p in enumerate(self.parent_of)
        ]

    def take(self, sums: Tensor) -> None:
        """The likeliest tree and tables for sums of which those of different variables are all positive."""
        for i, counts in enumerate(self._grow(sums)):
            self.tables.set_table(i, counts / counts.sum(1, keepdim=True))

    def prior(self, sums: Tensor) -> Tensor:
        """The sums of one row that is drawn from the smoothed marginals, each variable on its own."""
        blocks = sums.diag().split(list(self.schema.codes))
        marginals = [smooth_counts(counts[None], 0.0)[0] for counts in blocks]
        all_pairs = torch.cat(marginals)[:, None] * torch.cat(marginals)
        within = (
            torch.block_diag(
                *(torch.ones(len(own), len(own), device=sums.device) for own in marginals)
            )
            > 0
        )
        return torch.where(within, torch.cat(marginals).diag(), all_pairs)

    def _messages(self, weights: Tensor, over: Semiring) -> list[Tensor]:
        """Evidence of each variable together with that of all its descendants, added up, each (batch, codes)."""
        below, tables = self.per_variable(weights), self.scores(over)
        for i in reversed(self.order[1:]):
            parent = self.parent_of[i]
            below[parent] = below[parent] + over.product(below[i], tables[i])
        return below

    def log_mass(self, weights: Tensor, over: Semiring = SUM) -> Tensor:
        root = self.order[0]
        return over.product(self._messages(weights, over)[root], self.scores(over)[root])[:, 0]

    def marginals(self, weights: Tensor) -> list[Tensor]:
        below, tables = self._messages(weights, SUM), self.scores(SUM)
        whole, root = list(below), self.order[0]
        whole[root] = below[root] + tables[root]
        for i in self.order[1:]:
            elsewhere = whole[self.parent_of[i]] - SUM.product(below[i], tables[i])
            whole[i] = below[i] + SUM.product(elsewhere, tables[i].T)
        return whole

    def decide(self, weights: Tensor, over: Semiring, choose: Callable[[Tensor], Tensor]) -> Tensor:
        below, tables = self._messages(weights, over), self.scores(over)
        x = torch.zeros(len(weights), self.schema.size, dtype=torch.long, device=weights.device)
        for i in self.order:
            x[:, i] = choose(tables[i][self.row(x, i)] + below[i])
        return x


def heaviest_tree(weights: Tensor) -> list[int]:
    """Parents of the spanning tree of largest total weight, rooted at variable 0 (Prim 1957)."""
    n = len(weights)
    parents, best, nearest = [-1] * n, weights[0].clone(), torch.zeros(n, dtype=torch.long)
    outside = torch.ones(n, dtype=torch.bool, device=weights.device)
    outside[0] = False
    for _ in range(n - 1):
        i = int(best.masked_fill(~outside, -torch.inf).argmax())
        parents[i], outside[i] = int(nearest[i]), False
        closer = outside & (weights[i] > best)
        best, nearest = (
            torch.where(closer, weights[i], best),
            torch.where(closer.cpu(), torch.tensor(i), nearest),
        )
    return parents
