"""Kinds whose events are their codes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from plausibly.events.kinds.kind import MISSING, OTHER, Kind
from plausibly.system.randomness import LikeliestGenerator

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

    AnyCoder: TypeAlias = "Coder | RandomCoder"


@dataclass(frozen=True)
class RandomCoder:
    """Draws what a coder would read: so a kind says once how the values inside its codes are distributed."""

    generator: np.random.Generator

    def iid(
        self,
        probabilities: np.ndarray,
        rows: int,
        symbols: np.ndarray | None,
        sizes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Codes of which all rows have the same probabilities; each stands for so many values, all equally likely."""
        if sizes is not None and isinstance(self.generator, LikeliestGenerator):
            probabilities = probabilities / sizes
        return self.generator.choice(len(probabilities), size=rows, p=probabilities)

    def below(self, sizes: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Whole numbers from 0, all those below each row's size being equally likely."""
        return self.generator.integers(0, sizes)

    def geometric(self, mean: float, rows: int, symbols: np.ndarray | None) -> np.ndarray:
        """Whole numbers from 0 with that mean."""
        return np.minimum(self.generator.geometric(1 / (1 + mean), size=rows) - 1, 2**53)


class Discrete(Kind):
    """A kind whose events are its codes."""

    def standardise(self, values: np.ndarray) -> np.ndarray:
        foreseen = values > OTHER
        if foreseen.all():
            return self._code(values)
        hole, other = values == MISSING, values == OTHER
        self._refuse(hole, other)
        codes = np.full(values.shape, self.regular, dtype=np.int64)
        codes[hole] = self.codes - 1 if self.missing else self.regular
        codes[foreseen] = self._code(values[foreseen])
        return codes

    def event_codes(self, events: np.ndarray) -> np.ndarray:
        return events.astype(np.int64)

    def log_within(self, values: np.ndarray) -> np.ndarray:
        foreseen = values > OTHER
        if foreseen.all():
            return self._log_within(values)
        nats = np.zeros(values.shape)
        nats[foreseen] = self._log_within(values[foreseen])
        return nats

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return Discrete.through(self, RandomCoder(generator), events, None)

    def through(self, coder: AnyCoder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        codes = events.astype(np.int64)
        found = np.full(codes.shape, OTHER, dtype=np.int64)
        if self.missing:
            found[codes == self.missing_code] = MISSING
        foreseen = codes < self.regular
        own = None if values is None else values[foreseen]
        found[foreseen] = self._through(coder, codes[foreseen], own)
        return found

    @abstractmethod
    def _code(self, values: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _log_within(self, values: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _through(
        self, coder: AnyCoder, codes: np.ndarray, values: np.ndarray | None
    ) -> np.ndarray: ...
