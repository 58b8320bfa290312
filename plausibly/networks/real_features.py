"""The numbers that stand for real variables, on a CPU by a loop that numba compiles at first use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from plausibly.events.bins import pad_with_infinity
from plausibly.events.kinds import UNFORESEEN, Kind, real_kinds
from plausibly.system.loops import compile_loops

MOST = 5.0  # a number is seen within +- so many scales
loops = compile_loops()


class RealFeatures(nn.Module):
    """A real number within +-5, its rank in [-1, 1], and a flag for each special code."""

    edges: Tensor
    gaps: Tensor
    steps: Tensor
    flags: Tensor

    def __init__(self, kinds: Sequence[Kind]) -> None:
        super().__init__()
        edges = [kind.edges for kind in real_kinds(kinds)]
        steps = torch.tensor([[2 / max(len(own) - 1, 1) for own in edges]], device="cpu")
        flags = torch.tensor(kinds[0].specials, dtype=torch.float32, device="cpu")
        self.register_buffer("edges", pad_with_infinity(edges).T.contiguous(), False)
        self.register_buffer("gaps", place_gaps(edges, steps), False)
        self.register_buffer("steps", steps, False)
        self.register_buffer("flags", flags, False)
        self.width = 2 + len(flags)

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """(batch, n, width) from the events (batch, n) of the variables at `places`; of all without."""
        tables = [self.edges, self.gaps, self.steps]
        if places is not None:
            tables = [each.index_select(1, places) for each in tables]
        x = x.to(self.edges.dtype)
        compiled = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
        return (loop_features if compiled else plain_features)(x, self.flags, *tables)


def place_gaps(edges: Sequence[Sequence[float]], steps: Tensor) -> Tensor:
    """Where each gap begins, how wide it is and the rank there, (3, variables, gaps), from before the first edge on.

    A rank rises by `steps`, (1, variables), from edge to edge. The first gap has no width and the last no end.
    """
    ends = pad_with_infinity([(own[0], *own, float("inf")) for own in edges])
    widths = ends.diff(dim=1).clamp(min=1e-6)
    ranks = steps.T * (torch.arange(widths.shape[1], device="cpu") - 1).clamp(min=0) - 1
    return torch.stack([ends[:, :-1], widths, ranks])


def plain_features(x: Tensor, flags: Tensor, edges: Tensor, gaps: Tensor, steps: Tensor) -> Tensor:
    """The numbers, (batch, variables, 2 + flags): on any device."""
    own = x.T.contiguous()  # variable by variable, as the search for edges needs it
    special = (own >= UNFORESEEN) & (len(flags) > 0)
    number = own.masked_fill(special, 0.0).clamp(-MOST, MOST)
    above = torch.searchsorted(edges.T.contiguous(), number, right=True)
    start, width, rank = (each.gather(1, above) for each in gaps)
    rank = rank + steps.T * ((number - start) / width).clamp(0, 1)
    marks = [(own == flag).to(x.dtype) for flag in flags]
    return torch.stack([each.T for each in (number, rank.masked_fill(special, 0.0), *marks)], 2)


def loop_features(x: Tensor, flags: Tensor, edges: Tensor, gaps: Tensor, steps: Tensor) -> Tensor:
    """The same in one go, on a CPU."""
    found = x.new_zeros(*x.shape, 2 + len(flags))
    tables = (each.numpy() for each in (flags, edges, gaps, steps, found))
    _write_features(x.detach().contiguous().numpy(), *tables)
    return found


@loops
def _write_features(x, flags, edges, gaps, steps, found):  # type: ignore[no-untyped-def]
    zero, one, most = x.dtype.type(0), x.dtype.type(1), x.dtype.type(MOST)
    variables = x.shape[1]
    numbers, above = np.empty(variables, x.dtype), np.empty(variables, np.int32)
    for b in range(len(x)):
        for i in range(variables):
            number = x[b, i]
            numbers[i] = most if number > most else -most if number < -most else number
            above[i] = 0
        for k in range(
            len(edges)
        ):  # a search would not be faster: it guesses wrong, and one by one
            for i in range(variables):
                above[i] += np.int32(edges[k, i] <= numbers[i])
        for i in range(variables):
            for k in range(len(flags)):
                found[b, i, 2 + k] = x[b, i] == flags[k]
            if len(flags) and x[b, i] >= UNFORESEEN:
                continue
            share = (numbers[i] - gaps[0, i, above[i]]) / gaps[1, i, above[i]]
            found[b, i, 0] = numbers[i]
            found[b, i, 1] = gaps[2, i, above[i]] + steps[0, i] * min(max(share, zero), one)
