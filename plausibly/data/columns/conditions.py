"""Values of conditions, as text or as any Python object that means one -> a cell as a column of a table has it.

A column of dates takes `2021-03-01`, a Timestamp, a date, a datetime64; one of durations `00:05:00`, `5min`, a timedelta. Of
time zones the column has the last word: a time without one is local there.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from re import ASCII, fullmatch
from typing import Any

import numpy as np
import torch

from plausibly.data.columns.cell_types import cell_text, dtype_named, dtype_zone
from plausibly.data.columns.date_forms import ISO_DATE, form_of, unit_form
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import BooleanColumn, DateColumn, truth_of
from plausibly.errors import UserError
from plausibly.events.kinds import OTHER


def single_condition(name: str, value: Any) -> Any:
    """The value that a condition names, out of its array where it is in one. UserError where it is none, or several."""
    import pandas as pd

    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0:
        value = np.asarray(value)[()]
    if not (pd.api.types.is_scalar(value) or isinstance(value, datetime.time)):
        raise UserError(f"{name}: a condition is one value, not a {type(value).__name__}")
    if value is None or (isinstance(value, str) and not value) or pd.isna(value):
        raise UserError(f"no value is given for {name!r}; leave it out where it is free")
    return value


def condition_cell(column: ModelledColumn, value: Any) -> Any:
    """A Series of one cell that holds the value, in the column's type where that has dates or durations."""
    import pandas as pd

    inner, kind = column.storage.inner, column.storage.kind
    if kind == "date" or "datetime" in inner:
        found = parse_moment(value)
    else:
        timed = kind == "duration" or "timedelta" in inner
        found = parse_duration(value) if timed else None
    if found is not None:
        return _cast_cell(column, value, found)
    texts = list(_spellings(column, value))
    known = np.flatnonzero(column.values_of(texts) != column.other)
    return pd.Series([texts[known[0] if len(known) else 0]], dtype=object)


def _cast_cell(column: ModelledColumn, value: Any, found: Any) -> Any:
    """The cell in the column's own type. UserError where that cannot hold it."""
    import pandas as pd

    dtype = dtype_named(column.storage.inner or column.storage.dtype)
    where = f"{column.name}={value}"
    try:
        if isinstance(found, pd.Timestamp):
            found = _in_zone(found, dtype_zone(dtype), where)
        held = pd.Series([found]).astype(dtype)
    except UserError:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"{where}: no cell of {column.name!r} holds it ({error})") from error
    if type(found)(held.iloc[0]) != found:
        raise UserError(
            f"{where}: the column's times are no finer than {type(found)(held.iloc[0])}"
        )
    return held


def _in_zone(found: Any, zone: Any, where: str) -> Any:
    """The time in the zone of a column. UserError where that has none."""
    if zone:
        return found.tz_localize(zone) if found.tzinfo is None else found.tz_convert(zone)
    if found.tzinfo is not None:
        raise UserError(f"{where}: the column's times have no time zone; leave {found.tzinfo} out")
    return found


def parse_moment(value: Any) -> Any:
    """The Timestamp that a value means, or None; a text means one where it is written as 2021-03-01, and perhaps a time."""
    import pandas as pd

    if not isinstance(value, str | datetime.date | np.datetime64):
        return None
    try:
        if isinstance(value, str):
            datetime.datetime.fromisoformat(value)  # refuses what pandas would guess
        return pd.Timestamp(value)
    except ValueError:
        return None


def parse_duration(value: Any) -> Any:
    """The Timedelta that a value means, or None; a text means one where it says its units, or is written as 00:05:00."""
    import pandas as pd

    if isinstance(value, str):
        value = f"{value}:00" if fullmatch(r"-?\d+:\d\d", value, ASCII) else value
        if fullmatch(r"[-+]?[\d.]+", value, ASCII):
            return None
    elif isinstance(value, datetime.time):
        value = value.replace(tzinfo=None).isoformat()
    elif not isinstance(value, datetime.timedelta | np.timedelta64):
        return None
    try:
        return pd.Timedelta(value)
    except ValueError:
        return None


def _spellings(column: ModelledColumn, value: Any) -> Iterator[str]:
    """The spellings that a column may have for a value, as it is written first."""
    text, at = cell_text(value), parse_moment(value)
    yield text
    if isinstance(column, BooleanColumn) and (truth := truth_of(text)) is not None:
        yield column.spellings[truth]
    if isinstance(column, DateColumn) and (said := _in_form(column.form, value, at)) is not None:
        yield said
    if at is not None:
        yield at.isoformat()
        if at == at.normalize():
            yield at.date().isoformat()


def _in_form(pattern: str, value: Any, at: Any) -> str | None:
    """The text of a date, a time or a duration in a form; None where that cannot write it."""
    form = form_of(pattern)
    if not form.seconds and isinstance(value, str) and fullmatch(r"\d{4}-\d\d", value, ASCII):
        at = parse_moment(f"{value}-01")
    found = parse_duration(value) if form.clock else at
    if found is None:
        return None
    if not form.clock and found.tzinfo is not None:
        there = found
        if form.zone:
            there = found.tz_convert(datetime.datetime.strptime(form.zone, "%z").tzinfo)
        found = there.tz_localize(None)
    long = unit_form(found.unit, "" if form.clock else f"{ISO_DATE}T")
    ticks = long.convert(found.asm8.reshape(1).view(np.int64), form)
    return None if ticks[0] == OTHER else form.write(ticks)[0]
