"""Rows as numbers of which distances and kernels are taken: an extractor, which has a name, turns events into features.

    columns               every variable: numbers standardised, categories as indicators
    random-convolutions   of images: what fixed random filters see, the same for everyone

A distance in features says nothing without the extractor's name: the Frechet distance of one extractor has another
scale than that of another, and only that of the Inception network is the "FID" of papers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plausibly.errors import UserError
from plausibly.evaluation.numbers import Number
from plausibly.events.kinds import Kind, Level
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

MAX_DEVIATIONS = (
    10.0  # standard deviations: a number farther out counts as that far, so that one row is not all
)
# a category of more codes has a random direction, in so many numbers, for each
MAX_INDICATORS = 64
DIRECTIONS = 32
MIN_IMAGE_SIDE = 8  # pixels: images with a shorter side are read as rows
FILTERS = (16, 16)
ROWS_PER_BATCH = 500


class Extractor(ABC):
    """Turns events into features."""

    name: str
    checksum: str | None = None  # SHA-256 of its weights, where it has learned or was given any

    @abstractmethod
    def __call__(self, events: Events) -> np.ndarray:
        """Features, (n, features) float64."""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "checksum": self.checksum}

    def more(
        self,
        real: np.ndarray,
        made: np.ndarray,
        training: np.ndarray | None,
        groups: np.ndarray | None = None,
    ) -> dict[str, Number]:
        """Numbers that this extractor alone can give, from features, (n, features) each; `groups` are of the real rows."""
        return {}


class ColumnFeatures(Extractor):
    """Every variable by itself; centred and scaled by the rows that it learns from, a table of numbers for each variable.

    A category's indicators are 0 and 1, so that two codes are sqrt(2) apart; a number has a standard deviation of 1, and
    equal levels, such as pixels, share one; a hole and what was not foreseen stand at the mean with an indicator.
    """

    name = "columns"

    def __init__(
        self, format: Format, events: Events, variables: Sequence[int] | None = None
    ) -> None:
        self.format = format
        self.variables = range(format.schema.size) if variables is None else variables
        kinds, numbers = format.schema.kinds, nan_if_infinite(format.numbers(events))
        self.means, spreads = column_moments(numbers)
        self.spreads = share_spreads(kinds, spreads)

    def __call__(self, events: Events) -> np.ndarray:
        if not len(self.variables):
            return np.empty((len(events), 0))
        codes, numbers = (
            self.format.schema.event_codes(events.codes).numpy(),
            nan_if_infinite(self.format.numbers(events)),
        )
        every = self.format.schema.kinds
        return np.concatenate(
            [self._variable(every[i], i, codes[:, i], numbers[:, i]) for i in self.variables], 1
        )

    def _variable(self, kind: Kind, i: int, codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        if not kind.ordered:
            return indicators(codes, kind.codes)
        known = ((numbers - self.means[i]) / self.spreads[i]).clip(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        parts = [np.nan_to_num(known)]
        if kind.open or kind.missing:
            parts.append(sqrt(2) * np.isnan(known))
        return np.stack(parts, 1)


def nan_if_infinite(numbers: np.ndarray) -> np.ndarray:
    """With NaN for what is infinite."""
    return np.where(np.isfinite(numbers), numbers, np.nan)


def column_moments(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column's numbers, (columns,) each; 0 and 1 where there are none, or no spread."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(0), 1)
    means = np.where(known, numbers, 0).sum(0) / count
    spreads = np.sqrt(np.where(known, (numbers - means) ** 2, 0).sum(0) / count)
    return means, np.where(spreads > 0, spreads, 1.0)


def share_spreads(kinds: Sequence[Kind], spreads: np.ndarray) -> np.ndarray:
    """The spreads with that of equal levels, such as pixels, averaged (root mean square)."""
    spreads = spreads.copy()
    for kind in {kind for kind in kinds if isinstance(kind, Level)}:
        own = [i for i, each in enumerate(kinds) if each == kind]
        spreads[own] = sqrt(np.mean(spreads[own] ** 2))
    return spreads


def indicators(codes: np.ndarray, count: int) -> np.ndarray:
    """(n, features) of codes (n,): two codes are sqrt(2) apart, or nearly so in random directions where there are many."""
    if count == 2:
        return sqrt(2) * codes[:, None].astype(np.float64)
    if count <= MAX_INDICATORS:
        return np.eye(count)[codes]
    table = np.random.default_rng((count, 7)).normal(size=(count, DIRECTIONS))
    return np.asarray((table / np.linalg.norm(table, axis=1, keepdims=True))[codes])


def find_image(format: Format) -> tuple[list[int], Schema] | None:
    """Which variables are pixels, and the image's schema; None where rows are no images, or ones of a few pixels."""
    picture = format.container.picture
    if picture is None or min(picture[1].shape[1:]) < MIN_IMAGE_SIDE:
        return None
    return list(range(format.schema.size))[picture[0]], picture[1]


def image_pixels(events: Events, places: Sequence[int], schema: Schema) -> Tensor:
    """Images on [0, 1], (n, *schema.shape) float32."""
    top = torch.tensor([max(kind.regular - 1, 1) for kind in schema.kinds])
    codes = events.codes.flatten(1)[:, list(places)].float()
    return (codes / top).reshape(len(events), *schema.shape)


class RandomConvolutions(Extractor):
    """Two layers of fixed random filters over an image, averaged over its quarters: 64 features, centred and scaled as one.

    Random filters see edges, blur and contrast (Naeem et al. 2020, arXiv:2002.09797, on random embeddings), and no meaning.
    """

    name = "random-convolutions"

    def __init__(self, format: Format, events: Events) -> None:
        found = find_image(format)
        if found is None:
            raise UserError(
                f"{self.name} is for images of at least {MIN_IMAGE_SIDE} x {MIN_IMAGE_SIDE} pixels; columns takes any rows"
            )
        self.places, self.schema = found
        chance, sides = torch.Generator().manual_seed(2_002_09797), (self.schema.shape[0], *FILTERS)
        shapes = [(after, before, 3, 3) for before, after in zip(sides, FILTERS, strict=False)]
        self.filters = [
            torch.randn(shape, generator=chance) * sqrt(2 / (9 * shape[1])) for shape in shapes
        ]
        raw = self._raw(events)
        self.means = raw.mean(0)
        self.spread = float(np.sqrt(((raw - self.means) ** 2).mean())) or 1.0

    def __call__(self, events: Events) -> np.ndarray:
        return (self._raw(events) - self.means) / self.spread

    @torch.no_grad()
    def _raw(self, events: Events) -> np.ndarray:
        images = image_pixels(events, self.places, self.schema)
        found = [self._maps(few).double().numpy() for few in images.split(ROWS_PER_BATCH)]
        return np.concatenate(found)

    def _maps(self, x: Tensor) -> Tensor:
        first, second = self.filters
        x = F.avg_pool2d(F.relu(F.conv2d(x - 0.5, first, padding=1)), 2)
        return F.adaptive_avg_pool2d(F.relu(F.conv2d(x, second, padding=1)), 2).flatten(1)


EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    kind.name: kind for kind in (ColumnFeatures, RandomConvolutions)
}


def find_extractor(name: str | None) -> Callable[[Format, Events], Extractor]:
    """The extractor of that name, or the default: of images the fixed filters. UserError lists those that there are."""
    if name is None:
        return default_extractor
    if name not in EXTRACTORS:
        raise UserError(
            f"there is no extractor {name!r}; there are {', '.join(EXTRACTORS)}, classifier and FILE.onnx"
        )
    return EXTRACTORS[name]


def default_extractor(format: Format, events: Events) -> Extractor:
    if find_image(format) is None:
        return ColumnFeatures(format, events)
    return RandomConvolutions(format, events)
