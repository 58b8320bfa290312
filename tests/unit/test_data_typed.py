"""Typed cells become the values that their texts say, to the bit, and are refused in the same words."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from plausibly.data.columns import typed_cells
from plausibly.data.formats.table_learning import learn_columns
from plausibly.errors import UserError

CHANCE = np.random.default_rng(0)
ROWS = 300
WHOLE = CHANCE.integers(-40, 900, ROWS)
REALS = CHANCE.normal(size=ROWS) * 30
TAUGHT = {
    "reals": REALS,
    "small": REALS.astype("f4"),
    "tiny": np.abs(REALS) * 1e-9,
    "cents": np.round(REALS, 2),
    "few cents": np.round(REALS, 2).astype("f4"),
    "quarters": WHOLE + 0.25,
    "fine": np.round(REALS * 1e-4, 6),
    "mixed decimals": np.where(WHOLE % 2, np.round(REALS, 1), np.round(REALS, 3)),
    "whole": WHOLE,
    "bytes": (WHOLE % 200).astype("u1"),
    "whole floats": WHOLE * 1.0,
    "hundreds": WHOLE * 100.0,
    "holes": np.where(WHOLE % 7, REALS, np.nan),
    "nullable": pd.array(np.where(WHOLE % 7, WHOLE, None), dtype="Int64"),
    "arrow": pd.array(REALS, dtype=pd.ArrowDtype(pa.float64())),
    "times": pd.Timestamp("2020-02-28") + pd.to_timedelta(WHOLE * 3, "h"),
    "seconds": (pd.Timestamp("1990-01-01") + pd.to_timedelta(WHOLE * 91, "s")).as_unit("s"),
    "days": pd.Timestamp("2020-02-28") + pd.to_timedelta(WHOLE, "D"),
    "text days": [f"{day % 28 + 1:02}/03/{1990 + day % 30}" for day in WHOLE.tolist()],
    "commas": [f"{number:.2f}".replace(".", ",") for number in REALS.tolist()],
    "exponents": [f"{number:.3e}" for number in REALS.tolist()],
}
WITH_TEXTS = {"fine", "holes", "nullable", "text days", "commas", "exponents"}
NUMBERS = [0.0, -0.0, 1, 3.5, 0.1, 1e-5, 5e-324, 1e7, 4.1135252e7, 1e15, 2.0**53, 1e16, 1e22, 1e300]
CLOSE = [8e13 + np.arange(9) / 64, [np.nextafter(12.34, 13)]]  # to numbers of two decimals
ODD = np.array([*NUMBERS, *(-np.array(NUMBERS)), 123.456, 12.34, 0.07, 0.5, 99_999.5, np.nan])
DAYS = ["1677-10-01", "1969-12-31T23:59:59", "2020-02-29", "2021-01-01T05:00", "2021-01-01T00:00:00.5", "NaT"]  # fmt: skip
GIVEN = {
    "float64": np.concatenate([ODD, *CLOSE, REALS, np.round(REALS, 2), WHOLE, WHOLE / 8]),
    "float32": np.concatenate([ODD.clip(-1e30, 1e30), REALS, np.round(REALS, 2), WHOLE]).astype(
        "f4"
    ),
    "float16": np.concatenate([[0.1, 4692, 1e-4, np.nan], REALS]).astype("f2"),
    "int64": np.concatenate([WHOLE, [2**53 - 1, 2**53 + 1, 10**15, -(10**17), 2**62]]),
    "uint64": np.array([0, 7, 2**53 + 1, 2**64 - 1], dtype="u8"),
    "whole": np.arange(-5, 5, dtype="i1"),
    "near": REALS,
    "Int64": pd.array([1, None, 2**60, 30], dtype="Int64"),
    "Float32": pd.array([0.1, None, 3.0], dtype="Float32"),
    "double": pd.array([0.1, None, 3.0, 1e9], dtype=pd.ArrowDtype(pa.float64())),
    "days": np.array(DAYS, dtype="M8[s]"),
    "times": np.array(DAYS, dtype="M8[ns]"),
    "far": np.array(["-0050-01-01", "12020-01-01", "2020-01-01"], dtype="M8[s]"),
    "bool": np.array([True, False]),
    "objects": np.array([1.5, None, "x", 3], dtype=object)[:2],
    "infinite": np.array([1.0, np.inf, 2.0]),
}


def columns_of(cells, kinds):
    frame = pd.DataFrame({"x": cells, "other": REALS})
    dialect = object() if isinstance(cells, list) else None
    return learn_columns(frame, ["x", "other"], dialect, kinds, ROWS)[0]


def outcome(read, *arguments):
    """What a reader gives, as values that can be compared."""
    with np.errstate(all="ignore"):
        try:
            cells, known = read(*arguments)
        except UserError as error:
            return str(error)
    texts = None if cells.texts is None else cells.texts.tolist()
    seen = None if known is None else known.tolist()
    return str(cells.values.dtype), cells.values.tobytes(), texts, seen


@pytest.mark.parametrize("taught", TAUGHT)
def test_typed_cells_are_read_as_their_texts(taught):
    columns = [columns_of(TAUGHT[taught], {})]
    if columns[0].numeric:
        columns += [columns_of(TAUGHT[taught], {"x": word}) for word in ("real", "number")]
    for column in columns:
        for series in map(pd.Series, GIVEN.values()):
            for asked in (False, True):
                given = (column, series, asked)
                texts = outcome(typed_cells._read_texts, *given)
                assert outcome(typed_cells.read_cells, *given) == texts, (column, series.dtype)


def test_numbers_and_times_of_training_need_no_texts(monkeypatch):
    monkeypatch.setattr(typed_cells, "_read_texts", None)
    for name in {*TAUGHT} - WITH_TEXTS:
        column = columns_of(TAUGHT[name], {})
        assert typed_cells.read_cells(column, pd.Series(TAUGHT[name]), False)[0].texts is None


def test_the_row_of_a_refusal_is_counted_among_all():
    column = columns_of(TAUGHT["reals"], {})
    with pytest.raises(UserError, match="row 4, column 'x': the number is infinite"):
        typed_cells.read_cells(column, pd.Series([1.0, np.nan, 3.0, np.inf]), True)
