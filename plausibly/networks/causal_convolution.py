"""A causal network over the tokens of a raster, (batch, height, width, channels): each sees those before it.

    x = D_first(E tokens) + place,   x <- x + W_2 silu(W_1 norm(D x) + given),   parameters = V norm(x)

D sums each channel over rows above and over what stands to the left (a depthwise convolution), and W work on one token each,
which costs a fraction of a whole convolution. D_first leaves out the token itself and sees all of its row and of the row
above, so that no token before it is in a blind spot (van den Oord et al. 2016, arXiv:1606.05328). One by one, rows of what
each layer saw are kept, and a further token costs one look at them.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.networks.heads import initial_uniform
from plausibly.networks.noise import Dropout
from plausibly.networks.transformer import TokenLinear


class RowCache:
    """The present row that a layer saw, and some above, (batch, above + 1, width + 2 reach, channels), 0 outside."""

    def __init__(self, rows: Tensor, reach: int) -> None:
        self.rows, self.reach = rows, reach

    def begin_row(self) -> None:
        """Moves all rows up: the present one is empty."""
        self.rows = F.pad(self.rows[:, 1:], (0, 0, 0, 0, 0, 1))

    def put(self, column: int, x: Tensor) -> None:
        self.rows[:, -1, self.reach + column] = x

    def around(self, column: int) -> Tensor:
        """All places within reach, row by row, (batch, places, channels)."""
        return self.rows[:, :, column : column + 2 * self.reach + 1].flatten(1, 2)


class CausalDepthwise(nn.Module):
    """Sums each channel over places as far away as `reach`, up to the token itself.

    The weights, (channels, places), are those of the rows above, then of the present one.
    """

    def __init__(self, channels: int, reach: int) -> None:
        super().__init__()
        self.reach, self.side = reach, 2 * reach + 1
        self.places = reach * self.side + reach + 1
        self.weight = nn.Parameter(torch.zeros(channels, self.places))

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            shape = tuple(self.weight.shape)
            self.weight.copy_(initial_uniform(shape, self.places, generator))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) to the same."""
        reach = self.reach  # of as many places behind the token
        kernel = F.pad(self.weight, (0, reach)).view(-1, 1, reach + 1, self.side)
        wide = F.pad(x, (0, 0, reach, reach, reach, 0)).permute(0, 3, 1, 2)
        return F.conv2d(wide, kernel, groups=len(kernel)).permute(0, 2, 3, 1)

    def look(self, cache: RowCache, column: int) -> Tensor:
        """The same at the next token, (batch, channels)."""
        seen = cache.around(column)[:, : self.places]
        return (seen * self.weight.T).sum(1)

    def cache(self, n: int, width: int) -> RowCache:
        """An empty cache for `n` rows of a batch."""
        room = (n, self.reach + 1, width + 2 * self.reach, len(self.weight))
        return RowCache(self.weight.new_zeros(room), self.reach)


class WholeRows(nn.Module):
    """Sums each channel over all of the row above and over what stands left in the present row, by how far away each is.

    The weights, (channels, places), are those of the row above from the far left on, then of the row itself; `table`,
    (2 width, width), tells which one leads from each place of the two rows to each of the present one.
    """

    table: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 3 * width - 2))
        columns = torch.arange(width, device="cpu")
        away = columns[:, None] - columns + width - 1
        own = torch.where(away < width - 1, away + 2 * width - 1, 3 * width - 2)  # the last is none
        self.register_buffer("table", torch.cat([away, own]), persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            shape = tuple(self.weight.shape)
            self.weight.copy_(initial_uniform(shape, shape[1], generator))

    def matrices(self) -> Tensor:
        """From the two rows to the present one, of each channel, (channels, 2 width, width)."""
        return F.pad(self.weight, (0, 1))[:, self.table]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels) to the same."""
        above = F.pad(x, (0, 0, 0, 0, 1, 0))[:, :-1]
        return torch.einsum("nrpc,cpq->nrqc", torch.cat([above, x], 2), self.matrices())


class CausalBlock(nn.Module):
    """A look around, then a network of one hidden layer for each token, added to what comes in."""

    def __init__(self, channels: int, reach: int, dropout: float, gain: float) -> None:
        super().__init__()
        self.around = CausalDepthwise(channels, reach)
        self.norm = nn.LayerNorm(channels)
        self.enter = TokenLinear(channels, 2 * channels)
        self.leave = TokenLinear(2 * channels, channels, gain)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return x + self.transform(self.around(x), given)

    def extend(self, x: Tensor, given: Tensor, cache: RowCache, column: int) -> Tensor:
        """The same for the next token, (batch, channels)."""
        cache.put(column, x)
        return x + self.transform(self.around.look(cache, column), given)

    def transform(self, seen: Tensor, given: Tensor) -> Tensor:
        hidden = self.dropout(F.silu(self.enter(self.norm(seen)) + given))
        added: Tensor = self.leave(hidden)
        return added


class CausalStack(nn.Module):
    """From the numbers of tokens, (batch, height, width, inputs), and of what is given, (batch, given), to parameters,
    (batch, height, width, outputs)."""

    def __init__(
        self,
        grid: tuple[int, int],
        inputs: int,
        given: int,
        outputs: int,
        channels: int,
        layers: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.grid, self.layers = grid, layers
        self.embed = TokenLinear(inputs, channels, 2.0)
        self.first = WholeRows(channels, grid[1])
        self.places = nn.Parameter(torch.zeros(*grid, channels))
        gain = max(layers, 1) ** -0.5
        self.blocks = nn.ModuleList(
            CausalBlock(channels, kernel // 2, dropout, gain) for _ in range(layers)
        )
        self.condition = TokenLinear(given, 2 * channels * layers) if given else None
        self.norm = nn.LayerNorm(channels)
        self.leave = TokenLinear(channels, outputs, 0.1)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.places.copy_(0.1 * torch.randn(self.places.shape, generator=generator))

    def forward(self, numbers: Tensor, given: Tensor) -> Tensor:
        x = self.first(self.embed(numbers)) + self.places
        for block, own in zip(self.blocks, self.conditions(given), strict=True):
            x = block(x, own[:, None, None])
        parameters: Tensor = self.leave(self.norm(x))
        return parameters

    def conditions(self, given: Tensor) -> list[Tensor]:
        """Numbers that each block adds for what is given, (batch, hidden)."""
        if self.condition is None:
            return [self.places.new_zeros(1, 1)] * self.layers
        return list(self.condition(given).chunk(self.layers, 1))

    def unroll(self, n: int, given: Tensor) -> Generator[Tensor, Tensor, None]:
        """Yields the parameters of each token in turn, (n, outputs), and is sent its numbers, (n, inputs)."""
        height, width = self.grid
        conditions, matrices = self.conditions(given), self.first.matrices().permute(2, 1, 0)
        blocks = [block for block in self.blocks if isinstance(block, CausalBlock)]
        caches = [block.around.cache(n, width) for block in blocks]
        top = RowCache(self.places.new_zeros(n, 2, width, self.places.shape[2]), 0)
        for row in range(height):
            for cache in (top, *caches):
                cache.begin_row()
            for column in range(width):
                seen = top.rows.flatten(1, 2) * matrices[column]
                x = seen.sum(1) + self.places[row, column]
                for block, own, cache in zip(blocks, conditions, caches, strict=True):
                    x = block.extend(x, own, cache, column)
                numbers = yield self.leave(self.norm(x))
                top.put(column, self.embed(numbers))
