"""Inputs turn events into numbers for a network, the twin of heads: chosen by the kinds of the data.

Buffers are made on the CPU whatever the default device, so that on the meta device only the parameters are without data.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema
from plausibly.networks.real_features import RealFeatures

MAX_ONE_HOT = 64  # up to so many codes a variable is fed one-hot, beyond by a learned embedding
EMBEDDING_WIDTH = 16


class Inputs(nn.Module):
    """From events, flat ones too, to flat numbers, (batch, width), each owned by one of the `variables` (default: all).

    A bit is one number; up to 64 codes are one-hot, more a learned embedding; ordered kinds add their rank. A real number
    gives itself, within +-5, and its rank among the training rows, and a flag for each special code.
    `owner` (width,) names the variable of each number.
    """

    owner: Int[Tensor, "width"]

    def __init__(self, schema: Schema, variables: Sequence[int] | None = None) -> None:
        super().__init__()
        self.groups: dict[int, tuple[int, int]] = {}  # variable -> its group and its place there
        self.starts: list[int] = []
        self.widths: list[int] = []
        self.parts = nn.ModuleList()
        owners: list[int] = []
        for members in group_by_layout(
            schema, range(schema.size) if variables is None else variables
        ):
            self.starts.append(len(owners))
            self._add([schema.kinds[i] for i in members], members)
            owners += [i for i in members for _ in range(self.widths[-1])]
        self.width = len(owners)
        owner = torch.tensor(owners, dtype=torch.long, device="cpu")
        self.register_buffer("owner", owner, persistent=False)

    def _add(self, kinds: Sequence[Kind], members: Sequence[int]) -> None:
        """A group of variables of one layout."""
        g = len(self.parts)
        part = RealFeatures(kinds) if kinds[0].continuous else CodeFeatures(kinds)
        places = torch.tensor(members, device="cpu")
        self.register_buffer(f"members_{g}", places, persistent=False)
        self.groups |= {i: (g, place) for place, i in enumerate(members)}
        self.parts.append(part)
        self.widths.append(part.width)

    def forward(self, x: Num[Tensor, "batch *shape"]) -> Float[Tensor, "batch width"]:
        flat, parts = x.flatten(1), list[Tensor]()
        for g, part in enumerate(self.parts):
            parts.append(part(flat.index_select(1, getattr(self, f"members_{g}"))).flatten(1))
        if len(parts) == 1 and parts[0].dtype == flat.dtype:
            return parts[0]
        return torch.cat([flat.new_zeros(len(flat), 0), *parts], 1)

    def one(self, x: Num[Tensor, "batch"], i: int) -> Float[Tensor, "batch own"]:
        """The numbers of variable `i`, (batch, its width), from its events, (batch,)."""
        g, place = self.groups[i]
        return self.parts[g](x[:, None], torch.tensor([place], device=x.device))[:, 0]

    def slice(self, i: int) -> slice:
        """Where the numbers of variable `i` stand."""
        g, place = self.groups[i]
        start = self.starts[g] + place * self.widths[g]
        return slice(start, start + self.widths[g])


def feature_layout(kind: Kind) -> object:
    """Equal for kinds whose numbers have one form."""
    if kind.continuous:
        return ("real", kind.open, kind.missing)
    return (kind.codes, kind.ordered, kind.regular)


def group_by_layout(schema: Schema, variables: Sequence[int]) -> list[list[int]]:
    """The variables, those together whose numbers have one form."""
    found: dict[object, list[int]] = {}
    for i in variables:
        found.setdefault(feature_layout(schema.kinds[i]), []).append(i)
    return list(found.values())


class CodeFeatures(nn.Module):
    """Numbers that stand for the codes of discrete variables of one layout."""

    table: Tensor

    def __init__(self, kinds: Sequence[Kind]) -> None:
        super().__init__()
        table = features_of_codes(kinds[0])
        self.register_buffer("table", table, persistent=False)
        embedded = EMBEDDING_WIDTH if table.shape[0] > MAX_ONE_HOT else 0
        self.embedding = (
            nn.Parameter(torch.zeros(len(kinds), table.shape[0], EMBEDDING_WIDTH))
            if embedded
            else None
        )
        self.width = table.shape[1] + embedded
        self.bits = kinds[0].codes == 2  # each stands for itself

    def initialise(self, generator: torch.Generator) -> None:
        if self.embedding is not None:
            with torch.no_grad():
                self.embedding.copy_(0.3 * torch.randn(self.embedding.shape, generator=generator))

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """(batch, n, width) from the events (batch, n) of the variables at `places`; of all without."""
        if self.bits:
            return x.to(self.table.dtype).unsqueeze(-1)
        codes = x.long()
        numbers: Tensor = self.table[codes]
        if self.embedding is None:
            return numbers
        if places is None:
            places = torch.arange(len(self.embedding), device=x.device)
        return torch.cat([numbers, self.embedding[places, codes]], -1)


def features_of_codes(kind: Kind) -> Tensor:
    """The fixed numbers that stand for each code, (codes, width)."""
    codes = torch.arange(kind.codes, device="cpu")
    if kind.codes == 2:
        return codes[:, None].float()
    columns = [F.one_hot(codes, kind.codes).float()] if kind.codes <= MAX_ONE_HOT else []
    if kind.ordered:
        rank = 2 * codes.float() / max(kind.regular - 1, 1) - 1
        columns.append(rank.where(codes < kind.regular, 0.0)[:, None])
    if kind.codes > MAX_ONE_HOT:
        columns.append((codes >= kind.regular).float()[:, None])
    return torch.cat(columns, 1)
