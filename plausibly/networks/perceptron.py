"""Residual multilayer perceptrons."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from plausibly.networks.heads import initial_uniform
from plausibly.networks.noise import Dropout


class Linear(nn.Linear):
    """A linear layer that draws its weights from a generator that is lent to it; its biases start at 0."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain

    def initialise(self, generator: torch.Generator) -> None:
        initialise_linear(self, self.gain, generator)


@torch.no_grad()
def initialise_linear(
    layer: nn.Linear | nn.Conv2d, gain: float, generator: torch.Generator
) -> None:
    """Draws a layer's first weights, for as many inputs as each output sums up; biases start at 0."""
    weight: Tensor = layer.get_parameter(
        "parametrizations.weight.original" if is_parametrized(layer) else "weight"
    )
    weight.copy_(gain * initial_uniform(tuple(weight.shape), weight[0].numel(), generator))
    assert layer.bias is not None
    layer.bias.zero_()


class ResidualBlock(nn.Module):
    """x + second(relu(first(relu(x))))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = Linear(width, width)
        self.second = Linear(width, width, 0.3)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.dropout(F.relu(self.first(F.relu(x)))))


class Perceptron(nn.Module):
    """A linear map in and one out, with `layers` residual blocks of `hidden` units between; linear where these are 0."""

    def __init__(self, inputs: int, outputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.linear = layers == 0
        self.enter = nn.Identity() if self.linear else Linear(inputs, hidden)
        self.blocks = nn.ModuleList(ResidualBlock(hidden, dropout) for _ in range(layers))
        self.dropout = Dropout(dropout)
        self.leave = Linear(inputs if self.linear else hidden, outputs, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        if self.linear:
            return self.leave(x)
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = block(hidden)
        return self.leave(self.dropout(F.relu(hidden)))
