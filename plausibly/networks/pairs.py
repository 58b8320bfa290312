"""Encoder and decoder in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from plausibly.events.schema import Schema
from plausibly.networks.convolution import ContractingNetwork, ExpandingNetwork
from plausibly.networks.perceptron import Perceptron
from plausibly.system.arguments import check_range
from plausibly.system.parts import Part


class Slices(Protocol):
    """Flat numbers, of which each variable has some."""

    width: int

    def slice(self, i: int) -> slice: ...


class ConditionedModel(Protocol):
    """A model of variables, given others."""

    schema: Schema
    context: tuple[int, ...]


def rest_of(model: ConditionedModel) -> list[int]:
    """The variables that are no context."""
    return [i for i in range(model.schema.size) if i not in model.context]


class NetworkPair(ConditionedModel, Protocol):
    """A model with networks between events and latents: `inputs` is what an encoder sees, `given`
    what a decoder is told of the context, `head` has slices alike for variables that are decoded
    alike."""

    latents: int

    @property
    def inputs(self) -> Slices: ...
    @property
    def given(self) -> Slices: ...
    @property
    def head(self) -> Slices: ...


class MLP(Part):
    """Residual perceptrons on both sides.

    Args:
        hidden: units of each hidden layer, 1 to 100,000 (default 256).
        layers: residual blocks, two layers each, 0 to 100, none being linear (default 1).
        dropout: share of hidden units left out at random in a training step, 0 to 0.99 (default
            0.1).
    """

    name = "mlp"

    def __init__(self, *, hidden: int = 256, layers: int = 1, dropout: float = 0.1) -> None:
        check_range("network.hidden", hidden, 1, 100_000)
        check_range("network.layers", layers, 0, 100)
        check_range("network.dropout", dropout, 0, 0.99)
        self.hidden, self.layers, self.dropout = hidden, layers, dropout

    def encoder(self, model: NetworkPair, outputs: int) -> nn.Module:
        return Perceptron(model.inputs.width, outputs, self.hidden, self.layers, self.dropout)

    def decoder(self, model: NetworkPair, outputs: int) -> nn.Module:
        return Perceptron(
            model.latents + model.given.width, outputs, self.hidden, self.layers, self.dropout
        )


class Convolutional(Part):
    """Residual convolutions on both sides, for events (channels, height, width) of one kind.

    Args:
        channels: channels of the maps at half the image's size, with twice as many at a quarter, 1
            to 10,000 (default 16).
        layers: residual blocks at each of these sizes, 0 to 100 (default 1).
        dropout: share of hidden units left out at random in a training step, 0 to 0.99 (default 0).
        image: channels, height and width of the variables that are no context, where events are
            flat as those of images with a label are (default the shape of events).
    """

    name = "convolutional"

    def __init__(
        self,
        *,
        channels: int = 16,
        layers: int = 1,
        dropout: float = 0.0,
        image: Sequence[int] = (),
    ) -> None:
        check_range("network.channels", channels, 1, 10_000)
        check_range("network.layers", layers, 0, 100)
        check_range("network.dropout", dropout, 0, 0.99)
        self.channels, self.layers, self.dropout, self.image = (
            channels,
            layers,
            dropout,
            list(image),
        )

    def shape(self, model: NetworkPair) -> tuple[int, int, int]:
        """ValueError where the variables that are no context are no image of one kind."""
        shape = tuple(self.image) or model.schema.shape
        rest = rest_of(model)
        if len(shape) != 3 or shape[0] * shape[1] * shape[2] != len(rest):
            raise ValueError(
                f"network.image = {list(shape)}; {len(rest)} variables are modelled, as what image?"
            )
        widths = {(s.stop - s.start) for s in map(model.head.slice, rest)}
        if len(widths) > 1 or len({(s.stop - s.start) for s in map(model.inputs.slice, rest)}) > 1:
            raise ValueError("network = convolutional: the pixels are not of one kind")
        return shape[0], shape[1], shape[2]

    def encoder(self, model: NetworkPair, outputs: int) -> nn.Module:
        return ImageEncoder(self, model, outputs)

    def decoder(self, model: NetworkPair, outputs: int) -> nn.Module:
        return ImageDecoder(self, model, outputs)


class ImageEncoder(nn.Module):
    """From numbers of all variables, (batch, width), through maps of the pixels', to flat ones."""

    pixels: Tensor
    others: Tensor

    def __init__(self, part: Convolutional, model: NetworkPair, outputs: int) -> None:
        super().__init__()
        self.shape, rest = part.shape(model), rest_of(model)
        slices = [model.inputs.slice(i) for i in rest]
        places = torch.tensor([list(range(s.start, s.stop)) for s in slices], device="cpu")
        others = sorted({*range(model.inputs.width)} - {*places.flatten().tolist()})
        self.register_buffer("pixels", places.flatten(), persistent=False)
        self.register_buffer(
            "others", torch.tensor(others, dtype=torch.long, device="cpu"), persistent=False
        )
        self.each = places.shape[1]
        sides, maps = (self.shape[1], self.shape[2]), self.shape[0] * self.each
        self.network = ContractingNetwork(
            maps, sides, len(others), outputs, part.channels, part.layers, part.dropout
        )

    def forward(self, numbers: Tensor) -> Tensor:
        image = numbers[:, self.pixels].view(len(numbers), *self.shape, self.each)
        return self.network(image.movedim(-1, 2).flatten(1, 2), numbers[:, self.others])


class ImageDecoder(nn.Module):
    """From latents and the context's numbers to the parameters of the pixels, pixel by pixel, (batch, outputs)."""

    def __init__(self, part: Convolutional, model: NetworkPair, outputs: int) -> None:
        super().__init__()
        self.shape = part.shape(model)
        self.each = outputs // (self.shape[0] * self.shape[1] * self.shape[2])
        sides, inputs = (self.shape[1], self.shape[2]), model.latents + model.given.width
        maps = self.shape[0] * self.each
        self.network = ExpandingNetwork(
            inputs, sides, maps, part.channels, part.layers, part.dropout
        )

    def forward(self, z: Tensor) -> Tensor:
        maps = self.network(z).unflatten(1, (self.shape[0], self.each))
        return maps.movedim(2, -1).flatten(1)


NETWORKS: tuple[type[MLP] | type[Convolutional], ...] = (MLP, Convolutional)


def default_network(schema: Schema) -> str:
    """The network by default: convolutional for images of 16 pixels or more a side and one kind."""
    large = len(schema.shape) == 3 and min(schema.shape[1:]) >= 16 and len(set(schema.codes)) == 1
    return Convolutional.name if large and not schema.continuous else MLP.name
