"""Residual convolutional networks between maps, (batch, channels, height, width), and flat numbers.

Maps are halved twice on the way in and doubled twice on the way out, by moving blocks of 2 x 2 places into channels and
back (pixel shuffle: Shi et al. 2016, arXiv:1609.05158), so that work is done where there are few places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.networks.noise import Dropout
from plausibly.networks.perceptron import Linear, initialise_linear


class Convolution(nn.Conv2d):
    """A convolution that keeps the size."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2)
        self.gain = gain

    def initialise(self, generator: torch.Generator) -> None:
        initialise_linear(self, self.gain, generator)


class ConvolutionBlock(nn.Module):
    """x + second(silu(first(silu(x)))), the second over channels only."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = Convolution(channels, channels, 1, gain=0.1)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.dropout(F.silu(self.first(F.silu(x)))))


def quarter(side: int) -> int:
    """A fourth of an image's side, rounded up."""
    return (side + 3) // 4


def residual_blocks(channels: int, layers: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(*(ConvolutionBlock(channels, dropout) for _ in range(layers)))


class ContractingNetwork(nn.Module):
    """From an image's maps, (batch, inputs, *image), and further numbers, (batch, more), to flat `outputs`."""

    def __init__(
        self,
        inputs: int,
        image: tuple[int, int],
        more: int,
        outputs: int,
        channels: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.image, (height, width) = image, (quarter(image[0]), quarter(image[1]))
        self.first, self.second = (
            Convolution(4 * inputs, channels),
            Convolution(4 * channels, 2 * channels, 1),
        )
        self.fine, self.coarse = (
            residual_blocks(channels, layers, dropout),
            residual_blocks(2 * channels, layers, dropout),
        )
        self.leave = Linear(2 * channels * height * width + more, outputs, 0.5)

    def forward(self, maps: Tensor, more: Tensor) -> Tensor:
        bottom, right = (-side % 4 for side in self.image)
        x = self.fine(self.first(F.pixel_unshuffle(F.pad(maps, (0, right, 0, bottom)), 2)))
        x = self.coarse(self.second(F.pixel_unshuffle(F.silu(x), 2)))
        return self.leave(torch.cat([F.silu(x).flatten(1), more], 1))


class ExpandingNetwork(nn.Module):
    """From flat numbers, (batch, inputs), to an image's maps, (batch, outputs, *image)."""

    def __init__(
        self,
        inputs: int,
        image: tuple[int, int],
        outputs: int,
        channels: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.image, self.form = image, (2 * channels, quarter(image[0]), quarter(image[1]))
        self.enter = Linear(inputs, self.form[0] * self.form[1] * self.form[2])
        self.coarse, self.fine = (
            residual_blocks(2 * channels, layers, dropout),
            residual_blocks(channels, layers, dropout),
        )
        self.up, self.leave = (
            Convolution(2 * channels, 4 * channels, 1),
            Convolution(channels, 4 * outputs, gain=0.1),
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.coarse(self.enter(z).view(len(z), *self.form))
        x = self.fine(F.pixel_shuffle(self.up(F.silu(x)), 2))
        return F.pixel_shuffle(self.leave(F.silu(x)), 2)[..., : self.image[0], : self.image[1]]
