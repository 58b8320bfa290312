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
from copy import copy
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

MAX_CODES = 1024
MAX_TAIL = 2.0**63  # steps or scales, beyond which numpy takes no whole number
MISSING = np.iinfo(np.int64).min  # the value of a hole, in whole-number kinds
OTHER = MISSING + 1  # the value of what the kind does not foresee


@dataclass(frozen=True)
class Kind(ABC):
    """A kind of variable: its possible values and their codes. `codes` counts the open and the missing code too.

    `unforeseen` is the probability of the open code where no training row has it; with 0 models learn of it as of others.
    """

    open: bool = field(default=False, kw_only=True)
    missing: bool = field(default=False, kw_only=True)
    unforeseen: float = field(default=0.0, kw_only=True)

    ordered: ClassVar[bool] = True  # its values are numbers, or levels in order
    continuous: ClassVar[bool] = False  # its values have a density, and its events are no codes
    word: ClassVar[str]  # in documents
    classes: ClassVar[dict[str, type[Kind]]] = {}
    hole_value: ClassVar[float] = MISSING
    other_value: ClassVar[float] = OTHER  # of what is not foreseen

    def __init_subclass__(cls) -> None:
        if "word" in cls.__dict__:
            Kind.classes[cls.word] = cls

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

    @property
    def floor(self) -> float:
        """The standard deviation, in events, that no density is narrower than; 0 where there is no density."""
        return 0.0

    @property
    def log_unit(self) -> float:
        """log of how many of a value's units an event's has; 0 for events that are codes."""
        return 0.0

    @property
    def specials(self) -> list[float]:
        """The events that stand for no foreseen value: of what is not foreseen, and of a hole."""
        return [float(code) for code in range(self.regular, self.codes)]

    @property
    def seen(self) -> tuple[float, float] | None:
        """The least and the largest number that rows had; None where the kind does not know, or has none."""
        return None

    def log_seen(self, holes: bool) -> np.ndarray:
        """The log of each code's share of values within what was seen, (codes,); 0 for a hole where `holes` are let in."""
        shares = np.full(self.codes, -np.inf)
        shares[: self.regular] = 0.0
        if holes and self.missing:
            shares[-1] = 0.0
        return shares

    @property
    def event_ends(self) -> tuple[float, float]:
        """The least and the largest event of the numbers that were seen, of a kind with densities."""
        return -np.inf, np.inf

    def is_hole(self, values: np.ndarray) -> np.ndarray:
        """Which values are holes, bool."""
        return np.asarray(values == MISSING)

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

    # Facts of the values inside each code, (codes,), 0 for codes that stand for none: by them a model's probabilities
    # of codes become exact statements about values. A real variable's codes are its bins; values have its own unit.

    def code_means(self) -> np.ndarray:
        """The mean of the values in each code."""
        raise TypeError(f"values of kind {type(self).__name__} have no mean")

    def probability_below(self, value: float) -> np.ndarray:
        """The probability in each code of a value at most `value`."""
        raise TypeError(f"values of kind {type(self).__name__} have no order")

    def code_entropies(self) -> np.ndarray:
        """The entropy in nats of the value in each code; of a real one the differential entropy."""
        return np.zeros(self.codes)

    def log_peaks(self) -> np.ndarray:
        """log p(its most probable value | code)."""
        return np.zeros(self.codes)

    def knots(self) -> np.ndarray:
        """Values between which the probability below is a straight line in each code but open ends; sorted."""
        raise TypeError(f"values of kind {type(self).__name__} have no order")

    @property
    def open_ends(self) -> tuple[bool, bool]:
        """For the lowest and for the highest code, True where it is of all values beyond a last edge."""
        return False, False

    def outer_quantiles(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of which so much of the lowest code is at most they, and so much of the highest above: shares in (0, 1].

        Of whole numbers the smallest that is as far up.
        """
        raise TypeError(f"values of kind {type(self).__name__} have no open ends")

    def reserve(self, share: float) -> Self:
        """The kind with such a probability of its open code; what is worked out of all else stays."""
        return self._with("unforeseen", share)

    def with_seen(self, seen: tuple[float, float] | None) -> Self:
        """The kind of numbers of which the least and the largest were seen so; others know no such thing."""
        return self

    def _with(self, name: str, value: Any) -> Self:
        changed = copy(self)
        object.__setattr__(changed, name, value)
        return changed

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.word, **asdict(self)}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Kind:
        """Raises ValueError for an unknown kind, TypeError for unknown fields."""
        fields = lists_to_tuples(document)
        word = fields.pop("kind", None)
        if word not in Kind.classes:
            raise ValueError(f"unknown kind {word!r}; known: {', '.join(Kind.classes)}")
        return Kind.classes[word](**fields)

    def _pad(self, own: np.ndarray) -> np.ndarray:
        """Numbers of the regular codes, and 0 for the others."""
        return np.concatenate([own, np.zeros(self.codes - len(own))])

    def _refuse(self, hole: np.ndarray, other: np.ndarray) -> None:
        if not self.open and (other.any() or (hole.any() and not self.missing)):
            raise ValueError(
                "a hole, where there was none before" if hole.any() else "a value not foreseen"
            )


def lists_to_tuples(value: Any) -> Any:
    """A document with tuples, as fields of dataclasses are, in place of lists."""
    if isinstance(value, dict):
        return {key: lists_to_tuples(own) for key, own in value.items()}
    return tuple(map(lists_to_tuples, value)) if isinstance(value, list) else value


def check_seen(seen: tuple[float, float] | None) -> None:
    """ValueError unless these are the ends of what was seen."""
    if seen is not None and not (len(seen) == 2 and -np.inf < seen[0] <= seen[1] < np.inf):
        raise ValueError("what was seen lies between two numbers")


def log_shares_within(depths: tuple[float, float], rates: tuple[float, float]) -> np.ndarray:
    """The log of how much of either tail is less deep, (2,), each of which falls by its rate; -inf where nothing is."""
    with np.errstate(divide="ignore"):
        return np.log(-np.expm1(-np.asarray(rates) * np.maximum(depths, 0)))


def check_edges(edges: tuple[float, ...], tails: tuple[float, float]) -> None:
    """ValueError unless the edges cut the line and both tails have a mean."""
    if (
        not edges
        or any(low >= high for low, high in pairwise(edges))
        or not all(map(isfinite, edges))
    ):
        raise ValueError("edges are finite numbers, at least one, each above the one before")
    if len(tails) != 2 or not all(0 < mean < MAX_TAIL for mean in tails):
        raise ValueError("tails are two means above 0 and below 2^63")
