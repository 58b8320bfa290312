"""One number about samples: what it is of, who judged, what would be perfect, and how sure it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from plausibly.evaluation.intervals import Interval, round_to_error


@dataclass(frozen=True)
class Number:
    """Found on `rows` samples beside as many held-out rows.

    by: the judge or the extractor of features. standard_error: None where none is known. reference: the same of real rows
    in the samples' stead, which tells what draws from the truth would get. interval: of 95 %; None of too few rows, or where
    none would hold. over: what both count as drawn anew; all else is as it is.
    """

    value: float
    standard_error: float | None
    rows: int
    by: str
    better: str  # in which direction, and what is perfect, in words
    perfect: float
    p_value: float | None = None
    reference: float | None = None
    folds: int | None = None
    interval: Interval | None = None
    over: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}

    def cells(self) -> list[str]:
        """Value, interval, reference, what is better and who says so, as people read them."""
        low_high = (
            "" if self.interval is None else f"{self.interval[0]:.4g} to {self.interval[1]:.4g}"
        )
        chance = "" if self.p_value is None else f", p = {self.p_value:.3g}"
        return [
            str(self),
            low_high,
            "" if self.reference is None else f"{self.reference:.4g}",
            self.better + chance,
            self.by + (f", {self.folds} folds" if self.folds else ""),
        ]

    def __str__(self) -> str:
        return round_to_error(self.value, self.standard_error)
