"""Bars in colour: a pattern in one of several pairs of colours, each channel of each pixel with noise of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
import torch
from torch import Tensor

from plausibly.events.kinds import Level
from plausibly.events.schema import Schema

CHANNELS = 3
EVENTS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class TintsTruth:
    """A `pattern`, (..., side, side) of 0 and 1, and one of the `palettes`, both at random; then noise.

    A palette is two colours, of the ground and of what is on it: `palettes`, (palettes, 2, channels), below `levels`. With
    probability `noise` a channel of a pixel has another level, each as likely. log p sums over patterns and palettes.
    """

    patterns: np.ndarray
    palettes: np.ndarray
    levels: int
    noise: float

    @cached_property
    def schema(self) -> Schema:
        shape = (CHANNELS, *self.patterns.shape[1:])
        return Schema(shape, (Level(levels=self.levels),) * int(np.prod(shape)))

    @cached_property
    def clean(self) -> np.ndarray:
        """Images before noise, all equally likely, (images, channels, side, side)."""
        coloured = self.palettes[:, self.patterns]  # palettes, patterns, side, side, channels
        return np.asarray(np.moveaxis(coloured, -1, 2).reshape(-1, *self.schema.shape))

    def log_prob(self, codes: Tensor) -> Tensor:
        flat, clean = codes.flatten(1).long(), torch.from_numpy(self.clean).flatten(1)
        ones = [
            torch.nn.functional.one_hot(x, self.levels).flatten(1).double() for x in (flat, clean)
        ]
        equal = ones[0] @ ones[1].T
        other = log(self.noise / (self.levels - 1))
        scores = equal * (log(1 - self.noise) - other) + flat.shape[1] * other
        return scores.logsumexp(1) - log(len(clean))

    @cached_property
    def entropy(self) -> float:
        """The mean of -log p, from a list of all events."""
        parts = self.schema.all_events().split(EVENTS_AT_ONCE)
        nats = torch.cat([self.log_prob(part) for part in parts])
        return float(-(nats.exp() * nats).sum())

    def sample(self, rows: int, generator: np.random.Generator) -> np.ndarray:
        clean = self.clean[generator.integers(len(self.clean), size=rows)]
        shift = generator.integers(1, self.levels, size=clean.shape)
        noisy = (clean + shift * (generator.random(clean.shape) < self.noise)) % self.levels
        return np.moveaxis(noisy, 1, -1).astype(np.uint8)
