"""Conditional tables of many variables together, and how counts become them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from plausibly.networks.heads import free_log_softmax
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import product_of_groups

LOG_NEVER = -1e30  # log p of what cannot be: unlike minus infinity it has a derivative


class ConditionalTables(nn.Module):
    """A table p(code | configuration) for each of several variables, as free logits, and the counts behind them.

    `configurations` and `codes` give the rows and columns of each variable's table. Tables with equal numbers of codes
    are stored together: `logits` holds sum_i configurations_i (codes_i - 1) numbers. `barred`, a bool (codes,) for each, says
    which codes have no probability.
    """

    def __init__(
        self, configurations: Sequence[int], codes: Sequence[int], barred: Sequence[Tensor]
    ) -> None:
        super().__init__()
        self.codes = list(codes)
        self.groups: list[tuple[int, list[int], list[int], int, int]] = []
        # variable -> group, first row and number of rows
        self.rows: dict[int, tuple[int, int, int]] = {}
        free = 0
        for k in sorted(set(codes)):
            members = [i for i, c in enumerate(codes) if c == k]
            starts = list(accumulate([configurations[i] for i in members], initial=0))
            for i, start in zip(members, starts, strict=False):
                self.rows[i] = len(self.groups), start, configurations[i]
            self.groups.append((k, members, starts[:-1], starts[-1], free))
            free += starts[-1] * (k - 1)
        self.logits = nn.Parameter(torch.zeros(free))
        self._bar(configurations, barred)

    def _bar(self, configurations: Sequence[int], barred: Sequence[Tensor]) -> None:
        """Keeps which codes each row of a group never has, (rows, codes), where there are any."""
        for g, (_, members, *_) in enumerate(self.groups):
            marks = torch.cat([barred[i].expand(configurations[i], -1) for i in members])
            self.register_buffer(f"barred_{g}", marks if marks.any() else None, persistent=False)

    def log_probs(self) -> list[Tensor]:
        """The normalised tables, (rows, codes), of each group."""
        whole = [
            free_log_softmax(self.logits[s : s + r * (k - 1)].view(r, k - 1))
            for k, _, _, r, s in self.groups
        ]
        marks = [getattr(self, f"barred_{g}") for g in range(len(whole))]
        pairs = zip(whole, marks, strict=True)
        return [
            logs if no is None else logs.masked_fill(no, LOG_NEVER).log_softmax(1)
            for logs, no in pairs
        ]

    def each(self) -> list[Tensor]:
        """log p(code | configuration) of each variable, (configurations, codes), float64."""
        tables = [table.double() for table in self.log_probs()]
        return [tables[g][s : s + n] for g, s, n in (self.rows[i] for i in range(len(self.codes)))]

    def forward(self, configuration: Tensor) -> Outcome:
        """The outcome of each variable in its configuration, (batch, variables)."""
        parts = []
        for (_, members, starts, _, _), table in zip(self.groups, self.log_probs(), strict=True):
            index = torch.tensor(members, device=configuration.device)
            row = configuration[:, index] + torch.tensor(starts, device=configuration.device)
            parts.append((index, table[row]))
        return product_of_groups(parts)

    def score(self, configuration: Tensor, code: Tensor) -> Tensor:
        """log p of each variable's code in its configuration, (batch, variables)."""
        parts = []
        for (k, members, starts, _, _), table in zip(self.groups, self.log_probs(), strict=True):
            index = torch.tensor(members, device=code.device)
            cell = (configuration[:, index] + torch.tensor(starts, device=code.device)) * k + code[
                :, index
            ]
            parts.append(table.flatten()[cell])
        variables = torch.tensor(
            [i for _, members, *_ in self.groups for i in members], device=code.device
        )
        return torch.cat(parts, 1)[:, variables.argsort()]

    def count(self, configuration: Tensor, code: Tensor, weight: Tensor | None = None) -> Tensor:
        """The count of each cell, flat, groups one after the other, rows by codes within; float64.

        With `weight`, (batch,), an event counts as so many.
        """
        counts = []
        for k, members, starts, rows, _ in self.groups:
            index = torch.tensor(members, device=code.device)
            cell = (configuration[:, index] + torch.tensor(starts, device=code.device)) * k + code[
                :, index
            ]
            each = None if weight is None else weight.double()[:, None].expand(cell.shape).flatten()
            counts.append(torch.bincount(cell.flatten(), each, minlength=rows * k))
        return torch.cat(counts).double()

    def split(self, flat: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(variable, its counts (configurations, codes)) from flat counts."""
        start = 0
        for k, members, starts, rows, _ in self.groups:
            cells = flat[start : start + rows * k].view(rows, k)
            start += rows * k
            for i, first in zip(members, starts, strict=True):
                yield i, cells[first : first + self.rows[i][2]]

    @torch.no_grad()
    def set_table(self, i: int, probabilities: Tensor) -> None:
        """Sets the table of variable `i` to positive probabilities, (configurations, codes)."""
        g, first, rows = self.rows[i]
        k, _, _, all_rows, start = self.groups[g]
        logs = probabilities.log()
        view = self.logits.data[start : start + all_rows * (k - 1)].view(all_rows, k - 1)
        view[first : first + rows] = (logs[:, 1:] - logs[:, :1]).to(view.dtype)


def smooth_counts(counts: Tensor, strength: float, prior: Tensor | None = None) -> Tensor:
    """(N_ck + s m_k) / (N_c + s), rows c, with m the prior, or else the distribution over all rows.

    That one has 1 / K added to each of its K counts (Perks 1947), so that nothing is impossible.
    """
    if prior is None:
        totals = counts.sum(0) + 1 / counts.shape[1]
        prior = totals / totals.sum()
        if len(counts) == 1:
            return prior[None]
    return (counts + strength * prior) / (counts.sum(1, keepdim=True) + strength)
