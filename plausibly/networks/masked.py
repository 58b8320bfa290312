"""Residual networks in which an output sees only the inputs of lower rank (Germain et al. 2015, arXiv:1502.03509)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.networks.heads import initial_uniform
from plausibly.networks.noise import Dropout


class MaskedLinear(nn.Module):
    """A linear layer whose output j sees input i where `strict`: degree_i < degree_j, else degree_i <= degree_j."""

    def __init__(
        self, inputs: int, outputs: int, strict: bool = False, gain: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.strict, self.gain = strict, gain
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self._kept: tuple[Remembered, Remembered, Tensor] | None = None  # degrees, and their mask

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight.copy_(
                self.gain
                * initial_uniform(tuple(self.weight.shape), self.weight.shape[1] // 2, generator)
            )
            if self.bias is not None:
                self.bias.zero_()

    def mask(self, before: Tensor, after: Tensor) -> Tensor:
        """Which weights count, (outputs, inputs), from the degrees on both sides."""
        return before[None] < after[:, None] if self.strict else before[None] <= after[:, None]

    def count(self, befores: Tensor, afters: Tensor) -> int:
        """Number of weights that some of the masks, (masks, degrees) on both sides, let through, and of biases."""
        biases = 0 if self.bias is None else len(self.bias)
        if len(befores) == 1:  # needs no mask written out
            below = torch.searchsorted(
                befores[0].sort().values, afters[0].contiguous(), right=not self.strict
            )
            return int(below.sum()) + biases
        masks = [self.mask(before, after) for before, after in zip(befores, afters, strict=True)]
        return int(torch.stack(masks).any(0).sum()) + biases

    def forward(self, x: Tensor, before: Tensor, after: Tensor) -> Tensor:
        return F.linear(x, self.masked_weight(before, after), self.bias)

    def masked_weight(self, before: Tensor, after: Tensor) -> Tensor:
        """The weights, 0 where they do not count."""
        mask = self._training_mask if self.training else self.mask
        return self.weight * mask(before, after)

    def _training_mask(self, before: Tensor, after: Tensor) -> Tensor:
        """The mask in numbers, which a step takes over from the last one where the degrees are the same."""
        kept, like = self._kept, self.weight
        if (
            kept
            and (kept[2].dtype, kept[2].device) == (like.dtype, like.device)
            and kept[0].is_same(before)
            and kept[1].is_same(after)
        ):
            return kept[2]
        mask = self.mask(before, after).to(like.dtype)
        self._kept = Remembered(before), Remembered(after), mask
        return mask


class Remembered:
    """Numbers as they were: those that stand in the same memory, unwritten since, are the same without a look."""

    def __init__(self, given: Tensor) -> None:
        self.given, self.version, self.copy = given, given._version, given.clone()

    def is_same(self, other: Tensor) -> bool:
        if other._version == self.version and share_memory(other, self.given):
            return True
        return torch.equal(self.copy, other)


def share_memory(one: Tensor, other: Tensor) -> bool:
    """True where two tensors are the same numbers of the same memory."""
    return one is other or (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
    )


class MaskedBlock(nn.Module):
    """x + masked(relu(masked(relu(x)))), all of one width and one set of degrees."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = MaskedLinear(width, width), MaskedLinear(width, width, gain=0.3)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, degrees: Tensor) -> Tensor:
        inner = self.first(F.relu(x), degrees, degrees)
        return x + self.second(self.dropout(F.relu(inner)), degrees, degrees)


class MaskedNetwork(nn.Module):
    """`blocks` residual blocks of `hidden` units between masked linear maps, and a masked linear map past them.

    `forward(x, inputs, degrees, outputs)` takes the ranks of the inputs and outputs, 0 to D - 1, and the degrees of
    the hidden units: one of degree d sees inputs of rank < d and is seen by outputs of rank >= d.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.enter = MaskedLinear(inputs, hidden, strict=True)
        self.blocks = nn.ModuleList(MaskedBlock(hidden, dropout) for _ in range(blocks))
        self.dropout = Dropout(dropout)
        self.leave = MaskedLinear(hidden, outputs, gain=0.1)
        self.past = MaskedLinear(inputs, outputs, strict=True, gain=0.1, bias=False)

    def count(self, inputs: Tensor, degrees: Tensor, outputs: Tensor) -> int:
        """Number of parameters that are not masked away for good; degrees are (masks, hidden)."""
        ins, outs = inputs.expand(len(degrees), -1), outputs.expand(len(degrees), -1)
        between = (
            self.enter.count(ins, degrees)
            + self.leave.count(degrees, outs)
            + self.past.count(ins, outs)
        )
        inner = [layer for layer in self.blocks.modules() if isinstance(layer, MaskedLinear)]
        return between + sum(layer.count(degrees, degrees) for layer in inner)

    def forward(self, x: Tensor, inputs: Tensor, degrees: Tensor, outputs: Tensor) -> Tensor:
        hidden = self.enter(x, inputs, degrees)
        for block in self.blocks:
            hidden = block(hidden, degrees)
        left = self.leave(self.dropout(F.relu(hidden)), degrees, outputs)
        return torch.addmm(left, x, self.past.masked_weight(inputs, outputs).T)

    @torch.no_grad()
    def growing(self, n: int, inputs: Tensor, degrees: Tensor) -> IncrementalMaskedNetwork:
        """The same for `n` rows whose inputs come to be known rank by rank; ranks and degrees as in `forward`."""
        return IncrementalMaskedNetwork(self, n, inputs, degrees)


class IncrementalMaskedNetwork:
    """Computes each hidden unit once, when the last input that it sees is known: all outputs cost about one pass."""

    def __init__(self, network: MaskedNetwork, n: int, inputs: Tensor, degrees: Tensor) -> None:
        hidden, known = degrees.argsort(stable=True), inputs.argsort(stable=True)
        self.degrees, self.ranks = degrees[hidden], inputs[known]
        self.enter = reorder_layer(network.enter, hidden, known)
        self.inner = [
            tuple(reorder_layer(each, hidden, hidden) for each in (block.first, block.second))
            for block in network.blocks
            if isinstance(block, MaskedBlock)
        ]
        self.leave = reorder_layer(network.leave, None, hidden)
        self.past = reorder_layer(network.past, None, known)
        self.numbers = network.enter.weight.new_zeros(n, len(inputs))
        widths = [len(degrees)] * (2 * len(self.inner) + 1)
        self.active = [self.numbers.new_zeros(n, width) for width in widths]  # behind each relu

    def know(self, rank: int, numbers: Tensor) -> None:
        """Takes in the inputs of a rank, (n, some), in the order in which they stand."""
        first, last = self._among(self.ranks, rank)
        self.numbers[:, first:last] = numbers
        self._compute(rank + 1)

    def _among(self, sorted_ranks: Tensor, rank: int) -> tuple[int, int]:
        ends = sorted_ranks.new_tensor([rank, rank + 1])
        first, last = torch.searchsorted(sorted_ranks, ends).tolist()
        return first, last

    def _compute(self, degree: int) -> None:
        """The units of a degree, which see inputs of lower ranks and units of up to that degree."""
        seen, (first, last) = self._among(self.ranks, degree)[0], self._among(self.degrees, degree)
        own = slice(first, last)
        hidden = self._apply_layer(self.enter, own, self.numbers, seen)
        self.active[0][:, own] = F.relu(hidden)
        for k, (one, two) in enumerate(self.inner):
            before, between, after = self.active[2 * k : 2 * k + 3]
            between[:, own] = F.relu(self._apply_layer(one, own, before, last))
            hidden = hidden + self._apply_layer(two, own, between, last)
            after[:, own] = F.relu(hidden)

    def _apply_layer(self, layer: LayerWeights, rows: slice, x: Tensor, columns: int) -> Tensor:
        """Some outputs of a layer, of the first columns of x."""
        weight, bias = layer
        own = None if bias is None else bias[rows]
        return F.linear(x[:, :columns], weight[rows, :columns], own)

    def parameters(self, rank: int, own: slice) -> Tensor:
        """The outputs in a slice, whose rank is given, once all inputs of lower ranks are known."""
        seen, units = self._among(self.ranks, rank)[0], self._among(self.degrees, rank)[1]
        left = self._apply_layer(self.leave, own, self.active[-1], units)
        return left + self._apply_layer(self.past, own, self.numbers, seen)


LayerWeights = tuple[Tensor, Tensor | None]


def reorder_layer(layer: MaskedLinear, outputs: Tensor | None, inputs: Tensor) -> LayerWeights:
    """The weights and biases of a layer in another order, copied only where that is another."""
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    if not torch.equal(inputs, torch.arange(len(inputs), device=inputs.device)):
        weight = weight[:, inputs]
    if outputs is not None and not torch.equal(
        outputs, torch.arange(len(outputs), device=outputs.device)
    ):
        weight, bias = weight[outputs], None if bias is None else bias[outputs]
    return weight, bias
