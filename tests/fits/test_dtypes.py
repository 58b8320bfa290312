"""DataFrames in and out: sampled and imputed frames have the dtypes of those learned from, answers have their index."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import plausibly
from plausibly.data.columns.storage import Storage
from plausibly.fitting.in_memory import fit_in_memory
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS

ROWS = 100
generator = np.random.default_rng(0)
WHOLE = generator.integers(0, 100, ROWS)
REAL = generator.normal(size=ROWS)
TRUTH = generator.random(ROWS) < 0.4
WORD = np.array(["a", "b", "c"], dtype=object)[generator.integers(0, 3, ROWS)]
TIMES = pd.Series(
    np.datetime64("2024-01-01T00:00:00")
    + generator.integers(0, 10**7, ROWS).astype("timedelta64[s]")
)
DAYS = pd.Series(
    np.datetime64("2024-01-01") + generator.integers(0, 300, ROWS).astype("timedelta64[D]")
)
SPANS = pd.Series(60 * WHOLE.astype("timedelta64[s]"))
SIZES = ("8", "16", "32", "64")
UNITS = ("s", "ms", "us", "ns")


def columns() -> dict[str, pd.Series]:
    """A column of every type that can be recorded, by the type's name."""
    found = {
        f"{word}{size}": pd.Series(WHOLE)
        for word in ("int", "uint", "Int", "UInt")
        for size in SIZES
    }
    found |= {
        f"{word}{size}[pyarrow]": pd.Series(WHOLE) for word in ("int", "uint") for size in SIZES
    }
    found |= {
        name: pd.Series(REAL) for name in ("float16", "float32", "float64", "Float32", "Float64")
    }
    found |= {name: pd.Series(REAL) for name in ("float[pyarrow]", "double[pyarrow]")}
    found |= {name: pd.Series(TRUTH) for name in ("bool", "boolean", "bool[pyarrow]")}
    found |= {
        name: pd.Series(WORD) for name in ("object", "str", "string[python]", "string[pyarrow]")
    }
    found |= {f"datetime64[{unit}]": TIMES for unit in UNITS} | {
        f"timedelta64[{unit}]": SPANS for unit in UNITS
    }
    found |= {f"timestamp[{unit}][pyarrow]": TIMES for unit in UNITS}
    found |= {f"duration[{unit}][pyarrow]": SPANS for unit in UNITS}
    found = {name: cells.astype(name) for name, cells in found.items()}
    found |= {f"days in {unit}": DAYS.astype(f"datetime64[{unit}]") for unit in UNITS}
    for zone in ("UTC", "Europe/Berlin", "+02:00"):
        zoned = TIMES.dt.tz_localize("UTC").dt.tz_convert(zone)
        found |= {f"{unit} {zone}": zoned.dt.as_unit(unit) for unit in ("s", "ns")}
    return found | categorical() | of_arrow() | of_objects()


def categorical() -> dict[str, pd.Series]:
    made = {
        "category": pd.Categorical(WORD),
        "ordered": pd.Categorical(WORD, ["c", "a", "b"], ordered=True),
        "unused": pd.Categorical(WORD, ["c", "a", "b", "z"]),
        "whole category": pd.Categorical(WHOLE % 4),
        "truth category": pd.Categorical(TRUTH),
        "date category": pd.Categorical(TIMES[:4].to_numpy()[WHOLE % 4]),
    }
    return {name: pd.Series(cells) for name, cells in made.items()}


def of_arrow() -> dict[str, pd.Series]:
    word = pd.Series(WORD, dtype=pd.ArrowDtype(pa.string()))
    zoned = TIMES.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    return {
        "arrow string": word,
        "arrow large string": word.astype(pd.ArrowDtype(pa.large_string())),
        "arrow dictionary": word.astype(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        "arrow zoned": zoned.astype(pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))),
        "arrow date": pd.Series(DAYS.dt.date.tolist(), dtype=pd.ArrowDtype(pa.date32())),
    }


def of_objects() -> dict[str, pd.Series]:
    lists = {
        "object integer": WHOLE.tolist(),
        "object truth": TRUTH.tolist(),
        "object float": REAL.tolist(),
        "object date": DAYS.dt.date.tolist(),
        "object decimal": [Decimal(int(x)) / 4 for x in WHOLE],
    }
    assert isinstance(lists["object date"][0], date)
    return {name: pd.Series(cells, dtype=object) for name, cells in lists.items()}


COLUMNS = columns()


def fitted(frame: pd.DataFrame) -> plausibly.Run:
    dataset = plausibly.load(frame)
    return fit_in_memory(MODELS["independent"], dataset, make_settings(None, 0, None, None, "cpu"))


def beside_words(cells: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"x": cells, "y": WORD}).set_axis(
        pd.Index(np.arange(ROWS) * 2 + 5, name="id"), axis=0
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_keeps_its_type(name):
    frame = beside_words(COLUMNS[name])
    run, asked = fitted(frame), frame.iloc[3:40]
    assert run.sample(300).dtypes.equals(
        frame.reset_index().dtypes
    )  # an index with a name is a column
    filled, scores = run.impute(asked), run.score(asked)
    assert filled.dtypes.equals(frame.dtypes) and filled.index.equals(asked.index)
    assert filled["x"].tolist() == asked["x"].tolist()
    assert (
        scores.index.equals(asked.index)
        and scores.index.name == "id"
        and np.isfinite(scores["nats"]).all()
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_with_holes_keeps_its_type(name):
    cells = COLUMNS[name].copy()
    if cells.dtype.kind in "iub" and isinstance(cells.dtype, np.dtype):
        pytest.skip("a type without holes")
    cells.iloc[::5] = None
    frame = beside_words(cells)
    run, known = fitted(frame), cells.notna().to_numpy()
    assert run.sample(300).dtypes.equals(
        frame.reset_index().dtypes
    )  # an index with a name is a column
    filled = run.impute(frame)
    assert filled.dtypes.equals(frame.dtypes) and not filled["x"].isna().any()
    assert filled["x"][known].tolist() == frame["x"][known].tolist()


@pytest.mark.parametrize("name", ["int64", "uint8", "bool"])
def test_holes_asked_of_a_type_without_any_are_filled_in_that_type(name):
    """pandas makes a column of whole numbers with holes one of floats."""
    frame = beside_words(COLUMNS[name])
    asked = frame.head(10).astype({"x": object if name == "bool" else float})
    asked.loc[asked.index[2:5], "x"] = None
    filled = fitted(frame).impute(asked)
    assert filled.dtypes.equals(frame.dtypes) and filled.index.equals(asked.index)
    assert filled["x"][5:].tolist() == frame["x"][5:10].tolist()


def test_drawn_numbers_fit_their_type():
    """The tail beyond the training rows reaches past what eight bits hold."""
    frame = pd.DataFrame(
        {"low": WHOLE.astype("uint8"), "high": (WHOLE + 27).astype("int8"), "wide": WHOLE}
    )
    drawn = fitted(frame).sample(20_000, beyond=True)
    assert drawn.dtypes.equals(frame.dtypes)
    assert drawn["wide"].min() < 0 and drawn["low"].min() == 0 and drawn["high"].max() == 127


def test_ids_set_aside_keep_their_type():
    big = pd.Series(np.arange(ROWS, dtype=np.uint64) * 10**17 // 7 + 2**60)
    frame = pd.DataFrame({"key": big, "named": [f"user {row}" for row in range(ROWS)], "y": WORD})
    drawn = fitted(frame).sample(5)
    assert drawn["key"].dtype == frame["key"].dtype and drawn["key"].is_unique
    assert drawn["named"].dtype == frame["named"].dtype


@pytest.mark.parametrize(
    ("dtype", "bounds"),
    [
        ("int8", (-128, 127)),
        ("UInt16", (0, 65535)),
        ("arrow:uint8", (0, 255)),
        ("uint64", (0, 2**63 - 1)),
        ("Sparse[int16, 0]", (-(2**15), 2**15 - 1)),
        ("object:integer", None),
    ],
)
def test_bounds_of_whole_numbers(dtype, bounds):
    assert Storage(dtype, "integer").limits(0) == bounds
    assert Storage(dtype, "text").limits(0) is None
