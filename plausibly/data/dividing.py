"""The parts of a source: which of its rows are for training, validation, the test and calibration, as was asked for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from plausibly.data import splits
from plausibly.data.events import Events
from plausibly.data.sources.rows import Places, Rows
from plausibly.errors import UserError, did_you_mean


def divide(
    rows: Rows,
    given: Collection[str],
    split: str | None,
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """The places of the rows of each part that did not come on its own. UserError where these cannot be divided."""
    rows.check(kinds, drop)
    if split:
        return _split_by(rows, split, seed, kinds)._asdict()
    if both := [name for name in given if name in rows.own]:
        raise UserError(
            f"the source has its own {both[0]} rows; name its training rows alone: {rows.text}:train"
        )
    apart = {*given, *rows.own}
    if not apart:
        return splits.split_at_random(rows.count, seed)._asdict()
    if len(apart) > 1:
        return {"train": np.arange(rows.count)}
    stay = splits.split_rest(rows.count, seed)
    other = "valid" if "test" in apart else "test"
    return {"train": stay.train, other: stay.test, "calibration": stay.calibration}


def _split_by(rows: Rows, split: str, seed: int, kinds: dict[str, str]) -> splits.Split:
    word, _, name = split.partition("=")
    if word not in ("time", "group"):
        raise UserError(f"a split is `time=COLUMN` or `group=COLUMN`, not {split!r}")
    if name not in rows.names:
        raise UserError(f"there is no column {name!r} to split by{did_you_mean(name, rows.names)}")
    series = rows.series(name)
    if word == "time":
        return splits.split_by_time(splits.time_ranks(series, name, kinds.get(name, "")))
    return splits.split_by_group(splits.group_numbers(series), seed)


def note_groups(events: dict[str, Events], rows: Rows, split: str | None, places: Places) -> None:
    """Each part's events know from now on which rows came together, where a split keeps groups whole."""
    if name := splits.group_column(split):
        groups = splits.group_numbers(rows.series(name))
        for part, kept in rows.kept(places).items():
            events[part].groups = groups[kept]
