"""Kinds whose events are their codes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from plausibly.events.kinds.kind import MISSING, OTHER, Kind

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


class Discrete(Kind):
    """A kind whose events are its codes."""

    def standardise(self, values: np.ndarray) -> np.ndarray:
        hole, other = values == MISSING, values == OTHER
        self._refuse(hole, other)
        foreseen = ~(hole | other)
        codes = np.full(values.shape, self.regular, dtype=np.int64)
        codes[hole] = self.codes - 1 if self.missing else self.regular
        codes[foreseen] = self._code(values[foreseen])
        return codes

    def event_codes(self, events: np.ndarray) -> np.ndarray:
        return events.astype(np.int64)

    def log_within(self, values: np.ndarray) -> np.ndarray:
        foreseen = (values != MISSING) & (values != OTHER)
        nats = np.zeros(values.shape)
        nats[foreseen] = self._log_within(values[foreseen])
        return nats

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        codes = events.astype(np.int64)
        values = np.full(codes.shape, OTHER, dtype=np.int64)
        if self.missing:
            values[codes == self.missing_code] = MISSING
        foreseen = codes < self.regular
        values[foreseen] = self._draw(codes[foreseen], generator)
        return values

    def through(self, coder: Coder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        codes = events.astype(np.int64)
        found = np.full(codes.shape, OTHER, dtype=np.int64)
        if self.missing:
            found[codes == self.missing_code] = MISSING
        foreseen = codes < self.regular
        found[foreseen] = self._through(
            coder, codes[foreseen], None if values is None else values[foreseen]
        )
        return found

    @abstractmethod
    def _code(self, values: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _log_within(self, values: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _draw(self, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray: ...

    @abstractmethod
    def _through(
        self, coder: Coder, codes: np.ndarray, values: np.ndarray | None
    ) -> np.ndarray: ...
