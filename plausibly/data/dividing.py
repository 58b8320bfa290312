"""The parts of a source: which of its rows are for training, validation, the test and calibration, as was asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from plausibly.data import splits
from plausibly.data.sources import Source
from plausibly.errors import UserError, did_you_mean


def divide(
    table: Source, given: dict[str, Any], split: str | None, seed: int, kinds: dict[str, str]
) -> dict[str, np.ndarray]:
    """The places of the rows of each part."""
    if split:
        return _split_by(table, split, seed, kinds)._asdict()
    return divide_randomly(table.rows, given, seed)


def divide_randomly(rows: int, given: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """The places of the rows of each part that did not come on its own."""
    if not given:
        return splits.split_at_random(rows, seed)._asdict()
    if len(given) > 1:
        return {"train": np.arange(rows)}
    stay = splits.split_rest(rows, seed)
    return {
        "train": stay.train,
        "valid" if "test" in given else "test": stay.test,
        "calibration": stay.calibration,
    }


def _split_by(table: Source, split: str, seed: int, kinds: dict[str, str]) -> splits.Split:
    word, _, name = split.partition("=")
    if word not in ("time", "group"):
        raise UserError(f"a split is `time=COLUMN` or `group=COLUMN`, not {split!r}")
    if name not in table.names:
        raise UserError(f"there is no column {name!r} to split by{did_you_mean(name, table.names)}")
    series = table.series(name)
    if word == "time":
        return splits.split_by_time(splits.time_ranks(series, name, kinds.get(name, "")))
    return splits.split_by_group(splits.group_numbers(series), seed)
