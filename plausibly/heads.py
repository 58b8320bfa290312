"""Inputs turn events into numbers for a network; heads turn a network's numbers into outcomes.

Both are chosen by the kinds of the data, never by the architecture: a network sees flat numbers, each owned by a variable.
Buffers are made on the CPU whatever the default device, so that on the meta device only the parameters are without data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.kinds import Kind
from plausibly.outcomes import Finite, Outcome, grouped
from plausibly.schema import Schema

ONE_HOT = 64  # up to so many codes a variable is fed one-hot, beyond by a learned embedding
EMBEDDING = 16


def uniform(shape: tuple[int, ...], inputs: int, generator: torch.Generator) -> Tensor:
    """Weights for `inputs` numbers summed up, in the manner of He et al. (2015)."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * (3 / max(inputs, 1)) ** 0.5


class Head(nn.Module):
    """From flat parameters, (batch, width), to the outcome of all variables, (batch, variables).

    A variable with K codes owns K - 1 free logits; that of its first code is 0.
    `owner` (width,) names the variable of each parameter.
    """

    owner: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.codes = schema.codes
        self.starts = list(accumulate((codes - 1 for codes in self.codes), initial=0))
        self.width = self.starts[-1]
        owner = [i for i, codes in enumerate(self.codes) for _ in range(codes - 1)]
        self.register_buffer("owner", torch.tensor(owner, device="cpu"), persistent=False)
        for codes in sorted(set(self.codes)):
            members = torch.tensor([i for i, k in enumerate(self.codes) if k == codes], device="cpu")
            self.register_buffer(f"members_{codes}", members, persistent=False)
            starts = torch.tensor([self.starts[i] for i, k in enumerate(self.codes) if k == codes], device="cpu")
            slots = starts[:, None] + torch.arange(codes - 1, device="cpu")
            self.register_buffer(f"slots_{codes}", slots, persistent=False)

    def groups(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(codes K, variables (n,), their parameters' places (n, K - 1)) of each group of equal variables."""
        for codes in sorted(set(self.codes)):
            yield codes, getattr(self, f"members_{codes}"), getattr(self, f"slots_{codes}")

    def forward(self, parameters: Tensor) -> Outcome:
        if len(set(self.codes)) == 1:
            logits = parameters.unflatten(1, (len(self.codes), self.codes[0] - 1))
            return Finite(normalised(logits))
        return grouped([(index, normalised(parameters[:, slots])) for _, index, slots in self.groups()])

    def one(self, parameters: Tensor, i: int) -> Finite:
        """The outcome of variable `i` from its own parameters, (batch, K - 1)."""
        return Finite(normalised(parameters))

    def slice(self, i: int) -> slice:
        """Where the parameters of variable `i` stand."""
        return slice(self.starts[i], self.starts[i + 1])


def marginal_logits(codes: Tensor, schema: Schema) -> Tensor:
    """Free logits of each variable's smoothed marginal, (head width,), from codes (rows, variables)."""
    parts = []
    for i, k in enumerate(schema.codes):
        logs = (torch.bincount(codes[:, i].long(), minlength=k) + 1 / k).log()
        parts.append(logs[1:] - logs[0])
    return torch.cat(parts)


def normalised(free: Tensor) -> Tensor:
    """Log probabilities (..., K) from K - 1 free logits."""
    return F.pad(free, (1, 0)).log_softmax(-1)


class Inputs(nn.Module):
    """From events, (batch, *shape), to flat numbers, (batch, width), each owned by one of the `variables` (default: all).

    A bit is one number; up to 64 codes are one-hot, more a learned embedding; ordered kinds add their rank.
    `owner` (width,) names the variable of each number.
    """

    owner: Tensor

    def __init__(self, schema: Schema, variables: Sequence[int] | None = None) -> None:
        super().__init__()
        layouts: dict[tuple[int, bool, int], list[int]] = {}
        for i in range(schema.size) if variables is None else variables:
            kind = schema.kinds[i]
            layouts.setdefault((kind.codes, kind.ordered, kind.regular), []).append(i)
        self.group_of: dict[int, tuple[int, int]] = {}
        self.starts: list[int] = []
        self.widths: list[int] = []
        self.embeddings = nn.ParameterDict()
        owners: list[int] = []
        start = 0
        for g, members in enumerate(layouts.values()):
            table = features(schema.kinds[members[0]])
            embedded = EMBEDDING if table.shape[0] > ONE_HOT else 0
            if embedded:
                self.embeddings[str(g)] = nn.Parameter(torch.zeros(len(members), table.shape[0], EMBEDDING))
            self.register_buffer(f"table_{g}", table, persistent=False)
            self.register_buffer(f"members_{g}", torch.tensor(members, device="cpu"), persistent=False)
            self.group_of |= {i: (g, place) for place, i in enumerate(members)}
            self.starts.append(start)
            self.widths.append(table.shape[1] + embedded)
            start += len(members) * self.widths[-1]
            owners += [i for i in members for _ in range(self.widths[-1])]
        self.width = start
        self.register_buffer("owner", torch.tensor(owners, dtype=torch.long, device="cpu"), persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for embedding in self.embeddings.values():
                embedding.copy_(0.3 * torch.randn(embedding.shape, generator=generator))

    def _group(self, g: int, codes: Tensor, places: Tensor) -> Tensor:
        """Numbers (batch, n, width) of variables at `places` of group `g`, from their codes (batch, n)."""
        numbers = getattr(self, f"table_{g}")[codes]
        if str(g) in self.embeddings:
            numbers = torch.cat([numbers, self.embeddings[str(g)][places, codes]], -1)
        return numbers

    def forward(self, x: Tensor) -> Tensor:
        flat, parts = x.flatten(1).long(), [x.new_zeros(len(x), 0)]
        for g in range(len(self.starts)):
            members = getattr(self, f"members_{g}")
            places = torch.arange(len(members), device=flat.device)
            parts.append(self._group(g, flat[:, members], places).flatten(1))
        return torch.cat(parts, 1)

    def one(self, code: Tensor, i: int) -> Tensor:
        """The numbers of variable `i`, (batch, its width), from its codes, (batch,)."""
        g, place = self.group_of[i]
        return self._group(g, code.long()[:, None], torch.tensor([place], device=code.device))[:, 0]

    def slice(self, i: int) -> slice:
        """Where the numbers of variable `i` stand."""
        g, place = self.group_of[i]
        start = self.starts[g] + place * self.widths[g]
        return slice(start, start + self.widths[g])


def features(kind: Kind) -> Tensor:
    """The fixed numbers that stand for each code, (codes, width)."""
    codes = torch.arange(kind.codes, device="cpu")
    if kind.codes == 2:
        return codes[:, None].float()
    columns = [F.one_hot(codes, kind.codes).float()] if kind.codes <= ONE_HOT else []
    if kind.ordered:
        rank = 2 * codes.float() / max(kind.regular - 1, 1) - 1
        columns.append(rank.where(codes < kind.regular, 0.0)[:, None])
    if kind.codes > ONE_HOT:
        columns.append((codes >= kind.regular).float()[:, None])
    return torch.cat(columns, 1)
