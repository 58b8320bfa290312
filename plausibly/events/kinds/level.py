"""Small whole numbers, such as the brightness of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from plausibly.events.kinds.discrete import Discrete

if TYPE_CHECKING:
    from plausibly.events.kinds.discrete import AnyCoder


@dataclass(frozen=True)
class Level(Discrete):
    """An ordered small whole number from 0, such as a pixel's brightness.

    Code k stands for the `width` values from k * width on, all equally likely inside it.
    """

    levels: int = 256
    width: int = 1

    word = "level"

    @property
    def regular(self) -> int:
        return self.levels

    def _code(self, values: np.ndarray) -> np.ndarray:
        outside = (values < 0) | (values >= self.levels * self.width)
        if outside.any():
            raise ValueError(
                f"{values[outside][0]} is not within 0 to {self.levels * self.width - 1}"
            )
        return values // self.width

    def _log_within(self, values: np.ndarray) -> np.ndarray:
        return np.full(values.shape, -np.log(self.width))

    def _through(self, coder: AnyCoder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        inside = None if values is None else values % self.width
        return codes * self.width + coder.below(np.full(codes.shape, self.width), inside)

    def code_means(self) -> np.ndarray:
        return self._pad(np.arange(self.levels) * self.width + (self.width - 1) / 2)

    def probability_below(self, value: float) -> np.ndarray:
        start = np.arange(self.levels) * self.width
        return self._pad(((np.floor(value) + 1 - start) / self.width).clip(0, 1))

    def code_entropies(self) -> np.ndarray:
        return self._pad(np.full(self.levels, np.log(self.width)))

    def log_peaks(self) -> np.ndarray:
        return self._pad(np.full(self.levels, -np.log(self.width)))

    def knots(self) -> np.ndarray:
        starts = np.arange(self.levels + 1) * self.width
        return np.union1d(starts - 1.0, starts[:-1])
