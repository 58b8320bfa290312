"""PixelCNN: an image pixel by pixel, by causal convolutions (van den Oord et al. 2016, arXiv:1606.05328).

    p(x) = prod_t p(token_t | tokens before it),   p(token) = prod_j p(x_j | those before it in the token)

A token is a pixel with all of its channels, or a patch of pixels where it has at most 256 codes: then one look of the network
tells of several pixels, and each of these still has its exact conditional. Tokens come row by row, after a symmetry of the
image. Drawing keeps rows of what each layer saw, and costs about one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from plausibly.capabilities import AutoregressiveModel, Unrolled, device_of
from plausibly.events.kinds import Category, Kind
from plausibly.events.schema import Schema
from plausibly.families.images import arrange_pixels, image_refusal, locate_image, require_image
from plausibly.families.network import too_large
from plausibly.networks.causal_convolution import CausalStack
from plausibly.networks.heads import free_logits, symmetric_log_softmax, symmetric_logits
from plausibly.networks.inputs import Inputs
from plausibly.networks.tokens import JointLaw, MixtureLaw
from plausibly.objectives import MaximumLikelihood
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import Product
from plausibly.system.arguments import check_range

MAX_TOKEN_CODES = 256  # of several variables
LOGISTICS = 10
MAX_PATCH = 8  # pixels a side


class PixelCNN(AutoregressiveModel):
    """Causal depthwise convolutions over pixels (van den Oord et al. 2016, arXiv:1606.05328).

    Events are images, or flat squares behind a label: that comes first with its marginal, and is the only context.

    Args:
        channels: numbers that stand for a token, 1 to 10,000 (default 64).
        layers: layers that look around, 1 to 100 (default 6).
        kernel: side of what such a layer looks at, odd, 1 to 99 (default 5).
        patch: pixels a side of a token, 0 to 8; 0 stands for 2 where such tokens have at most 256
            codes and fill the image, else for 1 (default 0).
        logistics: logistics that mix the law of a level, 0 to 1,000; 0 stands for a probability of
            each code, or for 10 where pixels of several channels have more than 256 (default 0).
        symmetry: order of the pixels, 0 to 7: 0 for row by row from the top left, plus 1 for rows
            from the right, plus 2 for from the bottom, plus 4 for column by column (default 0).
        dropout: share of the numbers left out at random in a training step, 0 to 0.99 (default 0).
        context: places from 0 of the variables that the others are modelled given, some but not all
            (default none).

    >>> from plausibly.events.kinds import Category, Kind
    >>> from plausibly.events.schema import Schema
    >>> model = PixelCNN(Schema((1, 2, 2), (Category(levels=2),) * 4), channels=4, layers=1)
    >>> model.initialise(torch.Generator().manual_seed(0))
    >>> log_p = model.eval().log_prob(model.schema.all_events())
    >>> round(log_p.exp().sum().item(), 4)
    1.0
    """

    family = "explicit"
    formula = "C (n / 4 + 3 sqrt(n) / 2 + 32) + L (4 C^2 + 18 C) + 30, C = 64, L = 6"
    objective = MaximumLikelihood()
    plan: ClassVar = {"batch": 32, "rate": 3e-3}
    by_default = False
    cells: Tensor

    def __init__(
        self,
        schema: Schema,
        channels: int = 64,
        layers: int = 6,
        kernel: int = 5,
        patch: int = 0,
        logistics: int = 0,
        symmetry: int = 0,
        dropout: float = 0.0,
        context: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_range("pixelcnn: channels", channels, 1, 10_000)
        check_range("pixelcnn: layers", layers, 1, 100)
        check_range("pixelcnn: kernel", kernel, 1, 99)
        check_range("pixelcnn: patch", patch, 0, MAX_PATCH)
        check_range("pixelcnn: logistics", logistics, 0, 1000)
        check_range("pixelcnn: symmetry", symmetry, 0, 7)
        check_range("pixelcnn: dropout", dropout, 0, 0.99)
        if kernel % 2 == 0:
            raise ValueError(f"pixelcnn: kernel = {kernel}; it is odd")
        self.schema, self.context = schema, tuple(context)
        self.channels, self.layers, self.kernel = channels, layers, kernel
        self.patch, self.logistics = patch, logistics
        self.symmetry, self.dropout = symmetry, dropout
        image = require_image(schema, self.context)
        cells = arrange_pixels(image, symmetry, side_of_tokens(schema, patch, logistics))
        self.register_buffer("cells", cells, persistent=False)
        self.lead = tuple(range(image.first))  # the label, where there is one
        self.order = (*self.lead, *cells.flatten().tolist())
        kind, parts = schema.kinds[-1], cells.shape[-1]
        joint = not logistics and has_joint_law(kind, parts)
        self.law = (
            JointLaw(kind.codes, parts)
            if joint
            else MixtureLaw(kind.regular, kind.codes - kind.regular, parts, logistics or LOGISTICS)
        )
        token = Category(levels=kind.codes**parts) if joint and parts > 1 else kind
        seen = 1 if joint else parts
        self.inputs = Inputs(Schema((seen,), (token,) * seen))
        self.given = Inputs(schema, self.lead)
        self.network = CausalStack(
            (cells.shape[0], cells.shape[1]),
            self.inputs.width,
            self.given.width,
            self.law.width,
            channels,
            layers,
            kernel,
            dropout,
        )
        self.shift = nn.Parameter(torch.zeros(self.law.width))
        free = sum(codes - 1 for codes in schema.codes[: image.first])
        self.label = nn.Parameter(torch.zeros(free))

    @classmethod
    def accepts(cls, schema: Schema) -> str | None:
        if reason := image_refusal(schema):
            return f"pixelcnn: {reason}"
        if not sides_of_tokens(schema):
            return f"pixelcnn: categories of several channels with more than {MAX_TOKEN_CODES} codes a pixel"
        return too_large(cls, schema)

    @classmethod
    def count(cls, schema: Schema) -> int:
        return super().count(schema) if sides_of_tokens(schema) else 0

    @classmethod
    def tiny(cls, schema: Schema) -> Self:
        return cls(schema, channels=8, layers=2, kernel=3)

    @torch.no_grad()
    def initialise_from(self, x: Tensor) -> None:
        self.shift.copy_(self.law.marginals(x[:, self.cells]))
        for i in self.lead:
            counts = torch.bincount(x[:, i].long(), minlength=self.schema.codes[i])
            self.label.copy_(symmetric_logits(free_logits(counts)))

    def parameters_of_tokens(self, x: Tensor) -> Tensor:
        """The parameters of the law of each token, (batch, height, width, parameters), of flat events."""
        numbers = self.numbers_of_tokens(x[:, self.cells])
        found: Tensor = self.network(numbers, self.numbers_of_label(x)) + self.shift
        return found

    def numbers_of_tokens(self, codes: Tensor) -> Tensor:
        """Numbers that the network sees of tokens, (..., numbers), from their codes, (..., parts)."""
        seen = self.law.see(codes)
        numbers: Tensor = self.inputs(seen.flatten(0, -2))
        return numbers.to(self.shift.dtype).unflatten(0, seen.shape[:-1])

    def numbers_of_label(self, x: Tensor) -> Tensor:
        """Numbers that the network sees of the label, (batch, numbers), from flat events."""
        numbers: Tensor = self.given(x).to(self.shift.dtype)
        return numbers

    def outcome_of_label(self, n: int) -> Categorical:
        return Categorical(symmetric_log_softmax(self.label).expand(n, -1))

    def predict(self, x: Tensor) -> Outcome:
        flat = x.flatten(1)
        cells = self.cells.flatten(0, 1)
        law = self.law.unroll(self.parameters_of_tokens(flat).flatten(1, 2))
        groups, outcome = [], next(law)
        for part in range(cells.shape[1]):
            groups.append((cells[:, part], outcome))
            if part + 1 < cells.shape[1]:
                outcome = law.send(flat[:, cells[:, part]])
        if self.lead:
            label = torch.tensor(self.lead, device=x.device)
            groups.append((label, Categorical(self.outcome_of_label(len(x)).log_probs[:, None])))
        return Product(groups)

    def log_given(self, x: Tensor, generator: torch.Generator) -> Tensor:
        flat = x.flatten(1)
        each = self.law.log_prob(self.parameters_of_tokens(flat), flat[:, self.cells])
        found = each.flatten(1).sum(1)
        if not self.lead or self.context:
            return found
        return found + self.outcome_of_label(len(x)).log_prob(flat[:, 0])

    @torch.no_grad()
    def unroll(self, n: int) -> Unrolled:
        x = torch.zeros(n, self.schema.size, device=device_of(self))
        for i in self.lead:
            x[:, i] = yield i, self.outcome_of_label(n)
        tokens = self.network.unroll(n, self.numbers_of_label(x))
        cells = self.cells.flatten(0, 1)
        parameters = next(tokens)
        for place, own in enumerate(cells):
            law = self.law.unroll(parameters + self.shift)
            outcome = next(law)
            for part, i in enumerate(own.tolist()):
                x[:, i] = yield i, outcome
                if part + 1 < len(own):
                    outcome = law.send(x[:, i])
            if place + 1 < len(cells):
                parameters = tokens.send(self.numbers_of_tokens(x[:, own]))
        return x.reshape(n, *self.schema.shape)


def has_joint_law(kind: Kind, parts: int) -> bool:
    """True where each code of a token of so many parts can have a probability of its own."""
    return parts == 1 or kind.codes**parts <= MAX_TOKEN_CODES


def sides_of_tokens(schema: Schema, logistics: int = 0) -> list[int]:
    """The pixels a side that tokens can have, which fill the image. None where there is no image, or no law of pixels."""
    image = locate_image(schema)
    if image is None:
        return []
    kind = schema.kinds[-1]
    sides = [
        side
        for side in range(1, MAX_PATCH + 1)
        if image.height % side == image.width % side == 0
        and has_joint_law(kind, side * side * image.channels)
    ]
    return [1] if kind.ordered and (logistics or not sides) else sides


def side_of_tokens(schema: Schema, patch: int, logistics: int) -> int:
    """The pixels a side of a token, as asked for or by default. ValueError for what cannot be."""
    if logistics and not schema.kinds[-1].ordered:
        raise ValueError(f"pixelcnn: logistics = {logistics}; these pixels are no levels")
    sides = sides_of_tokens(schema, logistics)
    if not patch:
        return 2 if 2 in sides else 1
    if patch not in sides:
        known = " or ".join(map(str, sides))
        raise ValueError(f"pixelcnn: patch = {patch}; for these images it can be {known}")
    return patch
