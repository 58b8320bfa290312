"""The distance of events decoded from their latents from those that were encoded, in the units of their variables.

A cell is either named, a category or (on either side) a hole or what was not foreseen, and then right or wrong; or it is a
number, and then so far off. It says nothing of how probable rows are: copying perfectly takes no distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct, structs

from plausibly.capabilities import Trainable
from plausibly.evaluation import intervals
from plausibly.events.kinds import Level
from plausibly.system.randomness import LikeliestGenerator
from plausibly.tasks.reconstruct import reconstruct

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

WRONG_SHARE = "share of cells wrong"
LEVELS_UNIT = "levels"
CELLS_PER_BATCH = 1 << 22  # looked at in one go


class ReconstructionError(Struct, frozen=True, forbid_unknown_fields=True):
    """The mean error of rows: of each row, the mean over its cells of one unit. Smaller is better."""

    value: float
    standard_error: float | None  # over rows, or groups of them; None for a single one
    rows: int
    interval: intervals.Interval | None = None  # of 95 %, over the same
    groups: int | None = None

    def to_json(self) -> dict[str, Any]:
        return structs.asdict(self)

    def __str__(self) -> str:
        return f"{self.rows:,} rows" + (f" in {self.groups:,} groups" if self.groups else "")


def reconstruction_errors(
    model: Trainable, format: Format, events: Events
) -> dict[str, ReconstructionError]:
    """The error by unit: share of named cells that are wrong; of numbers the mean absolute difference. Empty without encoder.

    Levels count together, every other number by itself in its column's own units. A context is given, and left out.
    """
    if reconstruct.word(type(model)) is None:
        return {}
    at_once = max(1, CELLS_PER_BATCH // format.schema.size)
    parts = [
        row_errors(model, format, events[start : start + at_once])
        for start in range(0, len(events), at_once)
    ]
    joined = {unit: np.concatenate([part[unit] for part in parts]) for unit in parts[0]}
    return {
        unit: mean_error(each, events.groups)
        for unit, each in joined.items()
        if not np.isnan(each).all()
    }


def row_errors(model: Trainable, format: Format, events: Events) -> dict[str, np.ndarray]:
    """The mean error of each row by unit, (rows,); NaN where a row has no such cell."""
    made = format.draw(reconstruct(model, events.codes), LikeliestGenerator())
    rest = [i for i in range(format.schema.size) if i not in model.context]
    wrong = (
        format.schema.event_codes(events.codes) != format.schema.event_codes(made.codes)
    ).numpy()[:, rest]
    apart = np.abs(format.numbers(events) - format.numbers(made))[:, rest]
    every = error_units(format)
    own = np.array([every[i] for i in rest])
    measured = (own != WRONG_SHARE) & ~np.isnan(apart)
    found = {WRONG_SHARE: row_means(wrong, ~measured)}
    for unit in dict.fromkeys(own[own != WRONG_SHARE].tolist()):
        columns = own == unit
        found[unit] = row_means(apart[:, columns], measured[:, columns])
    return found


def error_units(format: Format) -> list[str]:
    """The unit in which the error of each variable is measured."""
    dated = {
        each["name"]: each["resolution"] for each in format.describe() if each["kind"] == "date"
    }
    found = []
    for name, kind in zip(format.names, format.schema.kinds, strict=True):
        if not kind.ordered or kind.regular < 3:
            found.append(WRONG_SHARE)
        elif isinstance(kind, Level):
            found.append(LEVELS_UNIT)
        else:
            found.append(f"{dated[name]}s of {name}" if name in dated else f"units of {name}")
    return found


def row_means(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The mean of each row's counted cells, (rows,); NaN where there are none."""
    sums, counts = np.where(counted, values, 0).sum(1), counted.sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def mean_error(each: np.ndarray, groups: np.ndarray | None = None) -> ReconstructionError:
    """The mean over the rows that have one."""
    there = ~np.isnan(each)
    own = None if groups is None else groups[there]
    found, number = intervals.Mean(each[there], own), None if own is None else len(np.unique(own))
    return ReconstructionError(
        found.value, intervals.finite_or_none(found.error), int(there.sum()), found.interval, number
    )


def format_errors(errors: Mapping[str, ReconstructionError], most: int = 3) -> str:
    """The errors in one line, `most` of them."""
    said = [format_error(unit, error) for unit, error in list(errors.items())[:most]]
    return ", ".join(said) + (f" and {len(errors) - most:,} more" if len(errors) > most else "")


def format_error(unit: str, error: ReconstructionError) -> str:
    """One of them with its standard error: `3.10 ± 0.20% of cells wrong`, `2.41 ± 0.10 levels`."""
    if unit == WRONG_SHARE:
        spread = None if error.standard_error is None else 100 * error.standard_error
        return f"{intervals.with_error(100 * error.value, spread, '.2f')}% of cells wrong"
    return f"{intervals.round_to_error(error.value, error.standard_error)} {unit}"
