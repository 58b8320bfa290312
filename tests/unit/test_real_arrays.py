"""A matrix of real numbers is measured at once, to the bit as each kind measures its own column."""

import warnings

import numpy as np
import pytest
import torch

from plausibly.data.columns.numbers import decimal_step, learn_real
from plausibly.data.formats.array_container import RealContainer
from plausibly.data.formats.builders import format_from_json
from plausibly.data.formats.format import Format
from plausibly.errors import UserError
from plausibly.events import real_matrix
from plausibly.events.kinds import Real
from plausibly.events.schema import Schema

COLUMNS = {
    "normal": lambda random, n: random.normal(size=n),
    "integers": lambda random, n: random.integers(-9, 9, n).astype(float),
    "cents": lambda random, n: random.integers(0, 9999, n) / 100,
    "constant": lambda random, n: np.full(n, 7.25),
    "mostly one": lambda random, n: np.where(random.random(n) < 0.9, 3.0, random.normal(size=n)),
    "big": lambda random, n: random.normal(size=n) * 1e300,
    "small": lambda random, n: random.normal(size=n) * 1e-300,
    "far": lambda random, n: 1e9 + random.normal(size=n) * 1e-3,
    "heavy": lambda random, n: random.standard_cauchy(n),
    "zeros": lambda random, n: np.where(random.random(n) < 0.5, -0.0, 0.0) + 0 * random.random(n),
    "unit": lambda random, n: random.choice([-1.0, 1.0], n),
}
FORMS = [
    {},
    {"missing": True},
    {"open": True},
    {"open": True, "missing": True},
    {"open": True, "unforeseen": 0.01},
]


def real_format(kinds, dtype):
    return Format(RealContainer(Schema((len(kinds),), kinds), dtype))


def format_and_rows(dtype="f8", n=64, seed=0):
    """A column of each sort for each form of kind, and rows that every kind has room for, with all that is special."""
    random = np.random.default_rng(seed)
    kinds, columns = [], []
    for make in COLUMNS.values():
        for form in FORMS:
            values = make(random, n)
            learned = learn_real(values, False, closed=True, step=decimal_step(values))
            kind = Real(
                **{name: getattr(learned, name) for name in ("location", "scale", "edges", "tails")}
                | form
            )
            if kind.missing or kind.open:
                values[random.random(n) < 0.1] = np.nan
            if kind.open:
                values[:4] = np.inf, -np.inf, kind.location + 2e6 * kind.scale, 1.7e308
            kinds.append(kind)
            columns.append(values)
    kinds.append(Real())  # whose log density is -0.0
    columns.append(random.normal(size=n))
    return real_format(tuple(kinds), np.dtype(dtype).str), np.stack(columns, 1)


def one_by_one(format, array, seen):
    """Events, nats of rows and of cells, each kind on its own column as `Kind` has them."""
    events, sums, cells = (
        np.zeros(array.shape, np.float32),
        np.zeros(len(array)),
        np.zeros(array.shape),
    )
    for place, kind in enumerate(format.schema.kinds):
        own = seen[:, place]
        values = array[own, place].astype(np.float64)
        events[own, place] = kind.standardise(values)
        cells[own, place] = kind.log_within(values)
        sums[own] += kind.log_within(values)
    return events, sums, cells


def bits(numbers):
    return np.ascontiguousarray(numbers).view(f"u{numbers.itemsize}")


def hold_to_the_bit(format, events, array, seen):
    wanted = one_by_one(format, array, seen)
    found = events.codes.numpy(), events.log_within.numpy(), format.log_within(events).numpy()
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype and (bits(ours) == bits(theirs)).all()


@pytest.fixture(params=[1 << 16, 1], ids=["one block", "a block a row"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(real_matrix, "CELLS_TOGETHER", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("rows", [0, 1, 64])
def test_events_of_a_matrix_are_those_of_each_kind(rows):
    format, array = format_and_rows()
    array = array[:rows]
    hold_to_the_bit(format, format.events(array), array, np.ones(array.shape, bool))


@pytest.mark.usefixtures("_blocks")
def test_questions_leave_the_holes_of_all_kinds_open():
    format, array = format_and_rows()
    array[5:60:7, ::3] = np.nan
    events = format.questions(array)
    assert (events.observed.numpy() == ~np.isnan(array)).all()
    hold_to_the_bit(format, events, array, events.observed.numpy())
    assert (events.codes[~events.observed] == 0).all()


def test_narrow_numbers_are_measured_as_wide_ones():
    kinds = tuple(Real(0.1 * i, 1 + 0.37 * i, missing=True) for i in range(30))
    array = np.random.default_rng(1).normal(size=(9, 30)).astype("f4")
    array[2, 3] = np.nan
    format = real_format(kinds, "<f4")
    hold_to_the_bit(format, format.events(array), array, np.ones(array.shape, bool))


def test_the_sum_of_a_row_does_not_depend_on_the_rows_beside_it():
    format, array = format_and_rows()
    whole = format.events(array)
    for row in range(len(array)):
        assert torch.equal(
            format.events(array[row : row + 1]).log_within, whole.log_within[row : row + 1]
        )


@pytest.mark.parametrize(
    ("value", "form", "said"),
    [
        (np.nan, {}, "a hole, where there was none in training"),
        (np.inf, {}, "the number is infinite"),
        (-np.inf, {"missing": True}, "the number is infinite"),
        (1e7, {}, "10000000.0 is a million standard deviations away"),
        (-1e7, {"missing": True}, "-10000000.0 is a million standard deviations away"),
    ],
)
@pytest.mark.usefixtures("_blocks")
def test_the_first_strange_entry_of_the_first_such_column_is_named(value, form, said):
    format = real_format((Real(open=True), Real(**form), Real(**form)), "<f8")
    array = np.zeros((6, 3))
    array[0, 0] = np.nan  # for which its kind has room
    array[4:, 1] = array[1:, 2] = value
    with pytest.raises(UserError) as caught:
        format.events(array)
    assert str(caught.value) == f"row 5, column '1': {said}"
    if np.isnan(value):
        assert not format.questions(array).observed[1, 2]
    else:
        with pytest.raises(UserError, match=r"^row 5, column '1': "):
            format.questions(array)


def test_the_farthest_number_that_is_foreseen():
    format = real_format((Real(0.0, 0.3), Real(5.0, 2.0)), "<f8")
    near = np.array([[0.3e6, 5.0 - 2e6]])
    assert format.events(near).codes.tolist() == [[np.float32(0.3e6 / 0.3), -1e6]]
    with pytest.raises(UserError, match="row 1, column '1'"):
        format.events(np.nextafter(near, [[0, -np.inf]]))


def test_a_format_that_was_read_again_measures_alike():
    format, array = format_and_rows()
    again = format_from_json(format.to_json())
    assert torch.equal(again.events(array).codes, format.events(array).codes)
    assert torch.equal(again.events(array).log_within, format.events(array).log_within)


def test_nothing_is_left_open_of_standard_numbers():
    array = np.zeros((2, 3))
    format = real_format((Real(),) * 3, "<f8")
    hold_to_the_bit(format, format.events(array), array, np.ones(array.shape, bool))


def test_odd_numbers_are_measured_without_a_warning():
    """Of float32: those whose decimals exceed its range, and the NaN that signals."""
    chance = np.random.default_rng(0)
    signal = np.array([0x7F800001], dtype=np.uint32).view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decimal_step(np.append(chance.normal(size=99), 1e33).astype(np.float32)) == 0.0
        assert real_matrix.RealMatrix([Real(0.0, 1.0)]).measure(signal[:, None]).events.shape == (
            1,
            1,
        )
