"""ctgan's TVAE with its defaults, for which `pip install 'plausibly[bench]'` is needed.

Numbers with few values are told to it as categories. It takes no holes: a column of numbers is filled with its median and
gets a column of truths beside it. Numbers are rounded to as many digits as those of training have.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

FEW_VALUES = 20
MAX_DIGITS = 6
HOLE = "hole"


def draw_by_tvae(train: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """So many rows by a TVAE that learned from `train`. ImportError where ctgan is not installed."""
    try:
        from ctgan import TVAE
    except ImportError as error:
        raise ImportError("no ctgan: pip install 'plausibly[bench]', or leave out tvae") from error
    numbers = [name for name in train if is_number(train[name])]
    peer = TVAE(enable_gpu=False)
    peer.set_random_state(seed)
    filled = fill_holes(train, numbers)
    peer.fit(filled, [name for name in filled if name not in numbers])
    return restore(peer.sample(rows), train, numbers)


def is_number(column: pd.Series) -> bool:
    is_numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return is_numeric and column.nunique() > FEW_VALUES


def fill_holes(train: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """Numbers without holes, and which were holes; all else as texts."""
    filled = {}
    for name in train:
        column = train[name]
        if name not in numbers:
            filled[name] = column.astype(object).where(column.notna(), HOLE).astype(str)
            continue
        filled[name] = column.fillna(column.median()).astype(float)
        if column.isna().any():
            filled[f"{name} {HOLE}"] = column.isna().astype(str)
    return pd.DataFrame(filled)


def restore(made: pd.DataFrame, train: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """Columns as those of training: numbers rounded, holes and types put back."""
    cells = {}
    for name in train:
        if name in numbers:
            column = made[name].round(count_digits(train[name]))
            gone = made[f"{name} {HOLE}"] == "True" if f"{name} {HOLE}" in made else False
            cells[name] = column.mask(gone)
        else:
            levels = {str(level): level for level in train[name].dropna().unique()}
            cells[name] = made[name].map(levels)
    return pd.DataFrame(cells)


def count_digits(column: pd.Series) -> int:
    """Digits after the point, at most 6."""
    known = column.dropna().to_numpy(float)
    return next((d for d in range(MAX_DIGITS) if np.array_equal(known.round(d), known)), MAX_DIGITS)
