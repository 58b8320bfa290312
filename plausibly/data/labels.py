"""Labels of a frame's columns: their names, which are texts, and labels as JSON.

Texts, numbers, truths, times, durations, dates, periods and tuples of these come back equal.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from plausibly.errors import UserError

MEND_HINT = "name the columns by texts: frame.columns = [...]"


def names_of(frame: Any) -> list[str]:
    """The columns' names. UserError for a column without one, or with a label that cannot be kept."""
    import pandas as pd

    for place, label in enumerate(frame.columns):
        if pd.api.types.is_scalar(label) and pd.isna(label):
            raise UserError(f"column {place + 1} has no name ({label}); {MEND_HINT}")
    return [label_text(label) for label in frame.columns]


def label_text(label: Any) -> str:
    """The text of a label, the same for equal labels of numpy, Python and pandas."""
    return label if type(label) is str else str(label_from_json(label_to_json(label)))


def label_to_json(label: Any) -> Any:
    """A label as JSON. UserError where it is of a type that would not come back."""
    import pandas as pd

    if isinstance(label, np.generic):
        label = label.item() if label.dtype.kind not in "mM" else pd.Series([label])[0]
    if isinstance(label, tuple):
        return [label_to_json(part) for part in label]
    if isinstance(label, pd.Period | datetime.date | datetime.timedelta):
        return _time_to_json(label)
    if label is not None and not isinstance(label, str | int | float):
        raise UserError(
            f"the column label {label!r} is of type {type(label).__name__}, which cannot be kept; {MEND_HINT}"
        )
    return label


def _time_to_json(label: Any) -> dict[str, Any]:
    import pandas as pd

    if isinstance(label, pd.Period):
        return {"period": str(label), "every": label.freqstr}
    if isinstance(label, datetime.timedelta):
        return {"lasts": pd.Timedelta(label).isoformat()}
    if not isinstance(label, datetime.datetime):
        return {"date": label.isoformat()}
    time = pd.Timestamp(label)
    return {"time": time.isoformat(), "zone": None if time.tzinfo is None else str(time.tzinfo)}


def label_from_json(document: Any) -> Any:
    """The label again."""
    if isinstance(document, list):
        return tuple(label_from_json(part) for part in document)
    return _time_from_json(document) if isinstance(document, dict) else document


def _time_from_json(document: dict[str, Any]) -> Any:
    import pandas as pd

    if "time" in document:
        time = pd.Timestamp(document["time"])
        return time if document["zone"] is None else time.tz_convert(document["zone"])
    if "period" in document:
        return pd.Period(document["period"], document["every"])
    if "lasts" in document:
        return pd.Timedelta(document["lasts"])
    return datetime.date.fromisoformat(document["date"])
