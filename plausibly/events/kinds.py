"""Kinds of variables: how a recorded value becomes a small whole number, its code.

A value of a discrete kind is a code and what is left inside that code, so that

    log p(value) = log p(code) + log p(value | code)

where the second term belongs to the kind, is known exactly and is the same for every model. Two codes may
stand at the end of any kind: `open`, for everything that the kind does not foresee (a level never seen, a number
off the grid), and `missing`, for a hole. No recordable value has probability 0. An open code that no training row has
costs the same whatever else a row holds, and says nothing of it (docs/decisions/0021-cells-never-seen.md).

Models see one number a variable, the event: a discrete kind's code, or a `Real` value measured from its location in
units of its scale, with two numbers beyond all others for the unforeseen and for the hole.

Values are numpy arrays: int64 for `Category`, `Level` and `Grid`, float64 for `Real`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from plausibly.coding import reals

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

MAX_CODES = 1024


MISSING = np.iinfo(np.int64).min  # the value of a hole, in whole-number kinds


OTHER = MISSING + 1  # the value of what the kind does not foresee


REAL_MISSING, REAL_OTHER = np.nan, np.inf  # the same for real values


UNFORESEEN, HOLE = 2.0**100, 2.0**101  # the same for the events of real values, exact in float32


MAX_SCALES = 1e6  # a real value farther from its location than so many scales is not foreseen


@dataclass(frozen=True)
class Kind(ABC):
    """A kind of variable: its possible values and their codes. `codes` counts the open and the missing code too.

    `unforeseen` is the probability of the open code where no training row has it; with 0 models learn of it as of others.
    """

    open: bool = field(default=False, kw_only=True)
    missing: bool = field(default=False, kw_only=True)
    unforeseen: float = field(default=0.0, kw_only=True)

    ordered = False

    def __post_init__(self) -> None:
        if not 1 <= self.codes <= MAX_CODES:
            raise ValueError(
                f"a variable needs 1 to {MAX_CODES:,} codes, this one has {self.codes:,}"
            )
        if not 0 <= self.unforeseen < 1 or (self.unforeseen and not self.open):
            raise ValueError(
                "what is not foreseen has a probability of at least 0 and below 1, and an open code"
            )

    @property
    @abstractmethod
    def regular(self) -> int:
        """Number of codes that stand for foreseen values; they come first."""

    @property
    def codes(self) -> int:
        return self.regular + self.open + self.missing

    @property
    def missing_code(self) -> int | None:
        return self.codes - 1 if self.missing else None

    @property
    def other_code(self) -> int | None:
        return self.regular if self.open else None

    @property
    def never_seen(self) -> float | None:
        """The event of a cell never seen, where training rows have none such."""
        return float(self.regular) if self.unforeseen else None

    @property
    def event_of_hole(self) -> float:
        """The event of a hole: of a kind without holes that of what is not foreseen."""
        return float(self.codes - 1)

    @abstractmethod
    def standardise(self, values: np.ndarray) -> np.ndarray:
        """The numbers that models see of `values`, one each. Raises ValueError for a value that the kind has no room for."""

    @abstractmethod
    def event_codes(self, events: np.ndarray) -> np.ndarray:
        """The codes of events, int64."""

    @abstractmethod
    def log_within(self, values: np.ndarray) -> np.ndarray:
        """log p(value | its event) in nats, float64; 0 for holes and for what is not foreseen."""

    @abstractmethod
    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Values drawn from p(value | event), one for each event."""

    @abstractmethod
    def through(self, coder: Coder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        """Passes through a coder what the events leave open of `values`, one for each; the values."""

    def code(self, values: np.ndarray) -> np.ndarray:
        """The codes of `values`, int64 of the same shape. Raises ValueError for a value without one."""
        return self.event_codes(self.standardise(values))

    def _refuse(self, hole: np.ndarray, other: np.ndarray) -> None:
        if not self.open and (other.any() or (hole.any() and not self.missing)):
            raise ValueError(
                "a hole, where there was none before" if hole.any() else "a value not foreseen"
            )


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


@dataclass(frozen=True)
class Category(Discrete):
    """One of `levels` unordered values, 0 to levels - 1; binary is Category(2).

    `rare` lists how often each further level (value levels, levels + 1, ...) was seen: these share one
    code and are told apart inside it by those counts.
    """

    levels: int = 2
    rare: tuple[int, ...] = ()

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
        nats, shared = np.zeros(values.shape), values >= self.levels
        nats[shared] = (
            np.log(self._rare_probabilities[values[shared] - self.levels]) if shared.any() else 0
        )
        return nats

    def _draw(self, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        values, shared = codes.copy(), codes == self.levels
        if shared.any():
            picks = generator.choice(
                len(self.rare), size=int(shared.sum()), p=self._rare_probabilities
            )
            values[shared] = self.levels + picks
        return values

    def _through(self, coder: Coder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        found, shared = codes.copy(), codes == self.levels
        if shared.any():
            picks = None if values is None else values[shared] - self.levels
            found[shared] = self.levels + coder.iid(
                self._rare_probabilities, int(shared.sum()), picks
            )
        return found


@dataclass(frozen=True)
class Level(Discrete):
    """An ordered small whole number from 0, such as a pixel's brightness.

    Code k stands for the `width` values from k * width on, all equally likely inside it.
    """

    levels: int = 256
    width: int = 1

    ordered = True

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

    def _draw(self, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return codes * self.width + generator.integers(0, self.width, size=codes.shape)

    def _through(self, coder: Coder, codes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        inside = None if values is None else values % self.width
        return codes * self.width + coder.below(np.full(codes.shape, self.width), inside)


@dataclass(frozen=True)
class Real(Kind):
    """A continuous number; its event is (value - location) / scale. Its log p is the log of a density per unit.

    Models made of tables cut it at `edges` (sorted, in events): uniform within an inner interval, exponential with the
    means `tails` in the two outermost. `step` is the resolution that values were recorded at, 0 where there is none. `usual`
    is a value that most rows have: what is drawn within 0.005 standard deviations or 0.58 steps of it is that value.
    """

    location: float = 0.0
    scale: float = 1.0
    edges: tuple[float, ...] = (0.0,)
    tails: tuple[float, float] = (1.0, 1.0)
    step: float = 0.0
    usual: float | None = None

    ordered = True

    def __post_init__(self) -> None:
        check_edges(self.edges, self.tails)
        if not (np.isfinite(self.location) and 0 < self.scale < np.inf and 0 <= self.step < np.inf):
            raise ValueError("a real number has a finite location, a scale above 0 and a step")
        if self.usual is not None and not np.isfinite(self.usual):
            raise ValueError("what most rows have is a finite number")
        super().__post_init__()

    @property
    def floor(self) -> float:
        """The standard deviation, in events, that no density is narrower than.

        Rounding to a step has 0.29 steps; a narrower density would speak of digits that were not recorded.
        """
        return max(1e-3, 0.29 * self.step / self.scale)

    @property
    def regular(self) -> int:
        return len(self.edges) + 1

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """(value - location) / scale, float64; UNFORESEEN and HOLE for what is no number. ValueError without either."""
        hole, other = self._special(values)
        self._refuse(hole, other)
        events = self._z_scores(values)
        events[other] = UNFORESEEN
        events[hole] = HOLE if self.missing else UNFORESEEN
        return events

    @property
    def never_seen(self) -> float | None:
        return UNFORESEEN if self.unforeseen else None

    @property
    def event_of_hole(self) -> float:
        return HOLE if self.missing else UNFORESEEN

    def event_codes(self, events: np.ndarray) -> np.ndarray:
        codes = np.searchsorted(
            np.asarray(self.edges, np.float32), events.astype(np.float32), side="right"
        )
        codes[events >= UNFORESEEN] = self.regular
        codes[events >= HOLE] = self.codes - 1
        return codes

    def draw(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        values = self.location + self.scale * events.astype(np.float64).clip(
            -MAX_SCALES / 2, MAX_SCALES / 2
        )
        if self.usual is not None:
            near = max(0.005, 2 * self.floor) * self.scale
            values[np.abs(values - self.usual) <= near] = self.usual
        values[events >= UNFORESEEN] = REAL_OTHER
        if self.missing:
            values[events >= HOLE] = REAL_MISSING
        return values

    def log_within(self, values: np.ndarray) -> np.ndarray:
        hole, other = self._special(values)
        return np.where(hole | other, 0.0, -np.log(self.scale))

    def through(self, coder: Coder, events: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        found, special = np.full(events.shape, REAL_OTHER), events >= UNFORESEEN
        found[events >= HOLE] = REAL_MISSING
        own = None if values is None else values[~special]
        narrow = events[~special].astype(np.float32)
        found[~special] = reals.code_reals_within(coder, self._narrow, self.step, narrow, own)
        return found

    def _z_scores(self, values: np.ndarray) -> np.ndarray:
        return z_scores(values, self.location, self.scale)

    def _narrow(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self._z_scores(values).astype(np.float32)

    def _special(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return find_special(values, self._z_scores(values))


def z_scores(
    values: np.ndarray, location: float | np.ndarray, scale: float | np.ndarray
) -> np.ndarray:
    """(value - location) / scale, float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((values - location) / scale, dtype=np.float64)


def find_special(values: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which real values are holes, and which are not foreseen as their z-scores are too large."""
    hole = np.isnan(values)
    return hole, ~hole & ~(np.abs(scores) <= MAX_SCALES)


def check_edges(edges: tuple[float, ...], tails: tuple[float, float]) -> None:
    """ValueError unless the edges cut the line and both tails have a mean."""
    if (
        not edges
        or any(low >= high for low, high in pairwise(edges))
        or not all(np.isfinite(edges))
    ):
        raise ValueError("edges are finite numbers, at least one, each above the one before")
    if len(tails) != 2 or not all(0 < mean < np.inf for mean in tails):
        raise ValueError("tails are two means above 0")
