"""A transformer over tokens in which each sees those before it (Vaswani et al. 2017, arXiv:1706.03762), pre-norm.

    x <- x + attention(norm(x)),   x <- x + W_2 gelu(W_1 norm(x)),   attention = softmax(q k' / sqrt(width / heads)) v

The first `together` tokens all see each other. With caches of keys and values a further token costs one look at those
before it, and nothing is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.networks.heads import initial_uniform
from plausibly.networks.noise import Dropout


class TokenLinear(nn.Module):
    """A linear map of zeros until it is initialised."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.gain = gain
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight.copy_(
                self.gain
                * initial_uniform(tuple(self.weight.shape), self.weight.shape[1], generator)
            )
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def cpu_index(indices: Sequence[Any]) -> Tensor:
    """Indices as a tensor on the CPU, even where the default device holds no data."""
    return torch.tensor(indices, dtype=torch.long, device="cpu")


def slice_places(parts: Sequence[slice]) -> Tensor:
    """The numbers in all slices, in their order."""
    return cpu_index([number for part in parts for number in range(part.start, part.stop)])


def slice_lengths(parts: Sequence[slice]) -> list[int]:
    return [part.stop - part.start for part in parts]


class PerToken(nn.Module):
    """A linear map of its own for each token, between its vector and its numbers, of which token t has `lengths[t]`.

    The numbers of all tokens stand one after the other. Tokens with equally many are computed together.
    """

    inward: Tensor
    outward: Tensor

    def __init__(self, lengths: Sequence[int], width: int, scale: float) -> None:
        super().__init__()
        self.scale, self.starts = scale, list(accumulate(lengths, initial=0))
        self.weight = nn.Parameter(torch.zeros(self.starts[-1], width))
        self.sizes, order = sorted(set(lengths)), list[int]()
        for g, size in enumerate(self.sizes):
            tokens = [t for t, length in enumerate(lengths) if length == size]
            slots = [list(range(self.starts[t], self.starts[t + 1])) for t in tokens]
            self.register_buffer(f"tokens_{g}", cpu_index(tokens), persistent=False)
            self.register_buffer(f"slots_{g}", cpu_index(slots), persistent=False)
            order += tokens
        outward = [slot for t in order for slot in range(self.starts[t], self.starts[t + 1])]
        self.register_buffer("inward", cpu_index(order).argsort(), persistent=False)
        self.register_buffer("outward", cpu_index(outward).argsort(), persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight.copy_(self.scale * torch.randn(self.weight.shape, generator=generator))

    def _groups(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Tokens (n,) and their slots (n, size) for each size."""
        for g in range(len(self.sizes)):
            yield getattr(self, f"tokens_{g}"), getattr(self, f"slots_{g}")

    def to_tokens(self, numbers: Tensor) -> Tensor:
        """From (batch, numbers) to (batch, tokens, width)."""
        parts = [numbers.new_zeros(len(numbers), 0, self.weight.shape[1])]
        for _, slots in self._groups():
            parts.append(torch.einsum("bns,nsw->bnw", numbers[:, slots], self.weight[slots]))
        return torch.cat(parts, 1)[:, self.inward]

    def gather(self, vectors: Tensor) -> Tensor:
        """From (batch, tokens, width) to (batch, numbers)."""
        parts = [vectors.flatten(1)[:, :0]]
        for tokens, slots in self._groups():
            parts.append(
                torch.einsum("bnw,nsw->bns", vectors[:, tokens], self.weight[slots]).flatten(1)
            )
        return torch.cat(parts, 1)[:, self.outward]

    def of(self, token: int) -> Tensor:
        """The map of one token, (its numbers, width)."""
        return self.weight[self.starts[token] : self.starts[token + 1]]


@dataclass
class AttentionCache:
    """Keys and values of the tokens so far, the first `filled` of (batch, heads, tokens, size)."""

    keys: Tensor
    values: Tensor
    filled: int = 0

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in those of further tokens; returns those of all."""
        last = self.filled + keys.shape[2]
        self.keys[:, :, self.filled : last], self.values[:, :, self.filled : last] = keys, values
        self.filled = last
        return self.keys[:, :, :last], self.values[:, :, :last]


class Attention(nn.Module):
    """Each token's mean of values, weighed by how its query fits the keys; several heads side by side."""

    def __init__(self, width: int, heads: int, gain: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = TokenLinear(width, 3 * width, bias=False)
        self.merge = TokenLinear(width, width, gain)

    def forward(self, x: Tensor, mask: Tensor | None, cache: AttentionCache | None) -> Tensor:
        """Tokens see those that the mask, (tokens, tokens), lets them, or those before; with a cache all that is there."""
        query, key, value = (
            self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        if cache is not None:
            key, value = cache.add(key, value)
        causal = mask is None and cache is None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        merged: Tensor = self.merge(mixed.transpose(1, 2).flatten(2))
        return merged


class TransformerBlock(nn.Module):
    """Attention, then a network of one hidden layer for each token, both added to what comes in."""

    def __init__(self, width: int, heads: int, dropout: float, gain: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, gain)
        self.enter, self.leave = TokenLinear(width, 4 * width), TokenLinear(4 * width, width, gain)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, cache: AttentionCache | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.before(x), mask, cache))
        added: Tensor = self.dropout(self.leave(F.gelu(self.enter(self.between(x)))))
        return x + added


class TransformerStack(nn.Module):
    """`layers` blocks over tokens, each of which has a learned place. The first `together` see each other."""

    mask: Tensor | None

    def __init__(
        self, tokens: int, width: int, layers: int, heads: int, dropout: float, together: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.places = nn.Parameter(torch.zeros(tokens, width))
        gain = (2 * layers) ** -0.5  # each of the 2 layers' sums adds its share of the variance
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, dropout, gain) for _ in range(layers)
        )
        self.dropout, self.norm = Dropout(dropout), nn.LayerNorm(width)
        sees = torch.ones(tokens, tokens, dtype=torch.bool, device="cpu").tril()
        sees[:together, :together] = True
        self.register_buffer("mask", sees if together > 1 else None, persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.places.copy_(0.5 * torch.randn(self.places.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) to the same."""
        x = self.dropout(x + self.places)
        for block in self.blocks:
            x = block(x, self.mask)
        normed: Tensor = self.norm(x)
        return normed

    def caches(self, n: int) -> list[AttentionCache]:
        """An empty cache for each block, for `n` rows."""
        tokens, width = self.places.shape
        room = (n, self.heads, tokens, width // self.heads)
        return [
            AttentionCache(self.places.new_zeros(room), self.places.new_zeros(room))
            for _ in self.blocks
        ]

    def extend(self, x: Tensor, caches: Sequence[AttentionCache]) -> Tensor:
        """The outputs of further tokens, (batch, new, width), which see each other and all that the caches hold."""
        first = caches[0].filled
        x = self.dropout(x + self.places[first : first + x.shape[1]])
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, None, cache)
        normed: Tensor = self.norm(x)
        return normed
