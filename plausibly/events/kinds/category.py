"""Unordered levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from plausibly.events.kinds.discrete import Discrete

if TYPE_CHECKING:
    from plausibly.events.kinds.discrete import AnyCoder


@dataclass(frozen=True)
class Category(Discrete):
    """One of `levels` unordered values, 0 to levels - 1; binary is Category(2).

    `rare` lists how often each further level (value levels, levels + 1, ...) was seen: these share one
    code and are told apart inside it by those counts.
    """

    levels: int = 2
    rare: tuple[int, ...] = ()

    word, ordered = "category", False

    @property
    def regular(self) -> int:
        return self.levels + bool(self.rare)

    def _code(self, values: np.ndarray) -> np.ndarray:
        outside = (values < 0) | (values >= self.levels + len(self.rare))
        if outside.any():
            raise ValueError(
                f"{values[outside][0]} is not one of the levels 0 to {self.levels - 1}"
            )
        return np.asarray(np.minimum(values, self.levels))

    @cached_property
    def _rare_probabilities(self) -> np.ndarray:
        counts = np.asarray(self.rare, dtype=np.float64)
        return np.asarray(counts / counts.sum())

    def _log_within(self, values: np.ndarray) -> np.ndarray:
        nats = np.zeros(values.shape)
        if self.rare:
            shared = values >= self.levels
            nats[shared] = np.log(self._rare_probabilities[values[shared] - self.levels])
        return nats

    def _through(self, coder: AnyCoder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        found, shared = codes.copy(), codes == self.levels
        if shared.any():
            picks = None if values is None else values[shared] - self.levels
            found[shared] = self.levels + coder.iid(
                self._rare_probabilities, int(shared.sum()), picks
            )
        return found

    def code_entropies(self) -> np.ndarray:
        shares = np.asarray(self.rare, dtype=np.float64) / max(sum(self.rare), 1)
        return self._pad_rare([-(shares * np.log(shares)).sum()])

    def log_peaks(self) -> np.ndarray:
        return self._pad_rare([np.log(max(self.rare) / sum(self.rare))] if self.rare else [])

    def _pad_rare(self, own: list[float]) -> np.ndarray:
        """0 for each code but that of the rare levels."""
        return self._pad(np.array([0.0] * self.levels + (own if self.rare else [])))
