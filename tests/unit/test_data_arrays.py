"""Arrays, idx files and folders of images: the same numbers come back, in the same type and shape."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as extra
from PIL import Image
from tiers import REAL_SETS

from plausibly.data import Format, load, load_rows, splits
from plausibly.data.formats.builders import format_from_json
from plausibly.data.questions import question
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Level, Real

few = settings(max_examples=60, deadline=None)
shapes = st.one_of(
    st.just((9,)),
    st.tuples(st.just(9), st.integers(1, 5)),
    st.tuples(st.just(9), st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.just(9), st.sampled_from([1, 3]), st.integers(4, 5), st.integers(1, 5)),
    st.tuples(st.just(9), st.integers(4, 5), st.integers(4, 5), st.sampled_from([1, 3])),
)
small = shapes.flatmap(
    lambda shape: st.one_of(
        extra.arrays("uint8", shape),
        extra.arrays("int64", shape, elements=st.integers(0, 1)),
        extra.arrays("bool", shape),
        extra.arrays("float32", shape, elements=st.integers(0, 9).map(float)),
    )
)
matrices = st.one_of(
    extra.arrays("float64", (9, 3), elements=st.floats(allow_infinity=False)),
    extra.arrays("float32", (9, 2), elements=st.floats(-9, 9, width=32)),
    extra.arrays("int64", (9, 2), elements=st.integers(-(10**6), 10**6)),
)


def format_of(rows: np.ndarray) -> Format:
    from plausibly.data.formats.array_learning import learn_array_format

    return format_from_json(learn_array_format(rows, {}, ()).to_json())


@few
@given(st.one_of(small, matrices))
@example(np.array([[1.1e300, 0.5]] + [[0.5, 0.5]] * 8))
def test_rows_come_back_equal(rows: np.ndarray) -> None:
    try:
        format = format_of(rows)
    except UserError as error:
        assert "nothing to model" in str(error)
        return
    events = format.events(rows)
    again = format.rows(events)
    assert again.dtype == rows.dtype
    np.testing.assert_array_equal(again, rows)
    assert torch.isfinite(events.log_within).all()
    assert events.codes.shape == (len(rows), *format.schema.shape)


@few
@given(small, st.integers(0, 9))
def test_drawn_arrays_have_the_codes_they_were_drawn_for(rows: np.ndarray, seed: int) -> None:
    format, generator = format_of(rows), np.random.default_rng(seed)
    codes = torch.from_numpy(
        generator.integers(0, format.schema.codes[0], (20, *format.schema.shape))
    )
    drawn = format.draw(codes, generator)
    again = format.events(format.rows(drawn))
    assert torch.equal(again.codes, drawn.codes) and torch.equal(drawn.codes.long(), codes)
    assert torch.equal(again.log_within, drawn.log_within)


def test_wide_images_share_codes() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    data = load(rows)
    assert data.schema.kinds[0] == Level(64, 4) and data.schema.shape == (1, 28, 28)
    assert data.train.log_within.tolist() == pytest.approx([-784 * np.log(4)] * 30)
    assert np.array_equal(data.format.rows(data.format.events(rows)), rows)
    assert load(rows[:, :8, :8]).schema.kinds[0] == Level(256)
    assert data.format.names[28 + 3] == "pixel 1,3"


def test_questions_keep_what_is_known() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    format = load(rows).format
    hidden = np.random.default_rng(1).random(rows.shape) < 0.3
    for asked in (np.ma.MaskedArray(rows, hidden), np.where(hidden, np.nan, rows)):
        questions = format.questions(asked)
        assert torch.equal(questions.observed, torch.from_numpy(~np.moveaxis(hidden, 3, 1)))
        codes = torch.full((40, 3, 6, 5), 7)
        filled = format.fill(questions, codes, np.random.default_rng(0))
        again = format.rows(filled)
        assert (again[~hidden] == rows[~hidden]).all() and again.dtype == rows.dtype
        assert (filled.codes[~questions.observed] == 7).all() and filled.observed is None


def test_a_matrix_with_holes_is_filled() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 3))
    format = load(rows).format
    asked = np.where(np.random.default_rng(1).random(rows.shape) < 0.2, np.nan, rows)
    filled = format.fill(format.questions(asked), torch.zeros(300, 3), np.random.default_rng(0))
    again = format.rows(filled)
    assert not np.isnan(again).any() and (again[~np.isnan(asked)] == rows[~np.isnan(asked)]).all()


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv"])
def test_written_arrays_read_back(tmp_path: Path, suffix: str) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    format = load(rows).format
    format.output(tmp_path / f"out.{suffix}").write_all(rows, tmp_path / f"out.{suffix}")
    assert np.array_equal(load_rows(str(tmp_path / f"out.{suffix}"), format), rows)
    with pytest.raises(UserError, match="npz"):
        format.output(tmp_path / "out.png").write_all(rows, tmp_path / "out.png")


def test_splits_of_a_file_and_packed_bits(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (60, 7), dtype=np.uint8)
    np.savez(
        tmp_path / "a.npz",
        train=np.packbits(bits[:40].ravel()),
        train_shape=np.array([40, 7]),
        valid=bits[40:50],
        test=bits[50:],
        y_train=np.arange(40),
        meta=np.array("{}"),
    )
    data = load(str(tmp_path / "a.npz"))
    assert data.schema.kinds == (Category(2),) * 7
    for split, rows in (("train", bits[:40]), ("valid", bits[40:50]), ("test", bits[50:])):
        assert np.array_equal(data.format.rows(getattr(data, split)), rows)
        assert np.array_equal(load_rows(f"{tmp_path}/a.npz:{split}", data.format), rows)
    assert len(load(f"{tmp_path}/a.npz:train").train) == 30


def test_names_with_x_and_a_lone_test_split(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (60, 7), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=bits[:50], x_test=bits[50:], y_train=np.arange(50))
    data = load(str(tmp_path / "a.npz"))
    assert data.rows == {"train": 43, "valid": 5, "test": 10, "calibration": 2}
    np.savez(tmp_path / "b.npz", first=bits, second=bits)
    with pytest.raises(UserError, match=r"b.npz:first"):
        load(str(tmp_path / "b.npz"))
    assert len(load(f"{tmp_path}/b.npz:second").train) == 45


@pytest.mark.parametrize(
    "name", ["t10k-images-idx3-ubyte", "images.idx", "t10k-images-idx3-ubyte.gz"]
)
def test_idx_files(tmp_path: Path, name: str) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)
    data = b"\0\0\x08\x03" + struct.pack(">3I", *rows.shape) + rows.tobytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    format = load(str(tmp_path / name)).format
    assert np.array_equal(load_rows(str(tmp_path / name), format), rows)
    (tmp_path / name).write_bytes(data[:-1])
    with pytest.raises(UserError):
        load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.array([[0.5, np.inf], [1.5, 2.5], [2.0, 3.5]] * 9), "row 1, column '1'.*infinite"),
        (np.random.default_rng(0).integers(0, 256, (9, 4, 4)) / 255, "x \\* 255"),
        (np.zeros((9, 3)), "nothing to model"),
        (np.zeros((9, 3), dtype=np.uint8), "nothing to model"),
        (np.zeros((0, 3)), "no rows"),
        (np.eye(2), "2 rows"),
        (np.array([["a"]] * 9), "cannot be modelled"),
        (np.random.default_rng(0).integers(0, 9, (9, 2, 2, 2, 2)), "neither a matrix"),
    ],
)
def test_arrays_that_cannot_be_modelled(rows: np.ndarray, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(rows)


def test_entries_and_shapes_that_training_did_not_know() -> None:
    format = load(np.random.default_rng(0).integers(0, 2, (40, 5, 4))).format
    rows = np.zeros((3, 5, 4), dtype=np.int64)
    rows[1, 2, 3] = 7
    with pytest.raises(UserError, match=r"row 2, pixel 2,3: 7 is not a whole number from 0 to 1"):
        format.events(rows)
    with pytest.raises(UserError, match="shape"):
        format.events(rows[:, :4])
    with pytest.raises(UserError, match="nan"):
        format.events(np.full((1, 5, 4), np.nan))


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder,)


def test_no_pickles(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", train=trap)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UserError, match=name):
            load(str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


def test_tensors_are_arrays() -> None:
    rows = torch.randint(0, 2, (40, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    data = load(rows)
    assert data.schema.shape == (1, 4, 4) and data.schema.kinds[0] == Category(2)
    assert np.array_equal(data.format.rows(data.format.events(rows)), rows.numpy())


def save(path: Path, *shape: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)


def test_a_folder_of_images(tmp_path: Path) -> None:
    for place in range(10):
        save(tmp_path / f"class {place % 2}" / f"{place}.png", 12, 10, seed=place)
    save(tmp_path / "other.png", 20, 20)
    data = load(str(tmp_path))
    assert data.schema.shape == (1, 12, 10)
    assert any("2 sizes" in note for note in data.notes) and any(
        "1 of 11 images was resized" in n for n in data.notes
    )
    first = np.asarray(Image.open(tmp_path / "class 0" / "0.png"))
    rows = load_rows(str(tmp_path), data.format)
    assert rows.shape == (11, 12, 10) and np.array_equal(rows[0], first)
    save(tmp_path / "colour.jpg", 12, 10, 3)
    assert load(str(tmp_path)).schema.shape == (3, 12, 10)
    assert load(str(tmp_path), size=6).schema.shape == (3, 6, 6)
    assert load_rows(str(tmp_path), data.format).shape == (12, 12, 10)


def test_large_images_are_made_small(tmp_path: Path) -> None:
    for place in range(4):
        save(tmp_path / f"{place}.png", 50, 100, 3)
    data = load(str(tmp_path))
    assert data.schema.shape == (3, 16, 32) and sum(data.schema.codes) <= 65_536


def test_broken_images_are_named(tmp_path: Path) -> None:
    save(tmp_path / "good.png", 9, 9)
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"bad.jpg.*remove it"):
        load(str(tmp_path))
    (tmp_path / "bad.jpg").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"bad.jpg.*remove it"):
        load(str(tmp_path))


def test_a_grid_of_images(tmp_path: Path) -> None:
    data = load("digits")
    data.format.output(tmp_path / "grid.png").write_all(
        data.format.rows(data.test[:5]), tmp_path / "grid.png"
    )
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    assert sheet.shape == (2 * 9 + 1, 3 * 9 + 1)
    assert np.array_equal(
        sheet[1:9, 1:9], (data.format.rows(data.test[:1])[0] * (255 / 16)).round()
    )


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "shape", "rows"),
    [
        ("debd_nltcs", (16,), (16181, 2157, 3236)),
        ("frey_faces", (1, 28, 20), (1475, 196, 196)),
        ("uci_wine_red", (12,), (1202, 159, 159)),
    ],
)
def test_real_arrays(name: str, shape: tuple, rows: tuple) -> None:
    data = load(str(REAL_SETS / f"{name}.npz"))
    assert (
        data.schema.shape == shape and tuple(map(len, (data.train, data.valid, data.test))) == rows
    )
    assert torch.equal(data.format.events(data.format.rows(data.test)).codes, data.test.codes)


def hidden(rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng(2).random(rows.shape) < 0.2


def reals() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(600, 2))


def counts() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (600, 2))


def objects(rows: np.ndarray, hole: object) -> np.ndarray:
    found = rows.astype(object)
    found[hidden(rows)] = hole
    return found


TYPES = (
    "f2",
    "f4",
    ">f4",
    "f8",
    ">f8",
    "i1",
    "i2",
    ">i2",
    "i4",
    ">i4",
    "i8",
    ">i8",
    "u1",
    ">u2",
    "u4",
    "u8",
    "?",
)
MASKED = {
    "floats": (
        reals(),
        lambda rows: np.ma.MaskedArray(np.where(hidden(rows), -9999, rows), hidden(rows)),
    ),
    "big-endian": (reals(), lambda rows: np.ma.MaskedArray(rows.astype(">f8"), hidden(rows))),
    "half": (reals().astype("f2"), lambda rows: np.ma.MaskedArray(rows, hidden(rows))),
    "a list": (reals(), lambda rows: list(np.ma.MaskedArray(rows, hidden(rows)))),
    "counts": (counts(), lambda rows: np.ma.MaskedArray(rows, hidden(rows))),
    "bytes": (counts().astype("u1"), lambda rows: np.ma.MaskedArray(rows, hidden(rows))),
    "truths": (counts() > 3, lambda rows: np.ma.MaskedArray(rows, hidden(rows))),
    "None": (reals(), lambda rows: objects(rows, None)),
    "NA": (counts(), lambda rows: objects(rows, pd.NA)),
    "NaT": (reals(), lambda rows: objects(rows, pd.NaT)),
    "NaN": (counts(), lambda rows: objects(rows, np.nan)),
    "masked objects": (counts(), lambda rows: np.ma.MaskedArray(objects(rows, None), hidden(rows))),
    "a list with None": (reals(), lambda rows: objects(rows, None).tolist()),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_is_masked_or_missing_is_a_hole(name: str) -> None:
    rows, make = MASKED[name]
    data = load(make(rows))
    again = data.format.rows(data.format.events(make(rows)))
    assert (np.isnan(again) == hidden(rows)).all()
    assert (again[~hidden(rows)] == rows[~hidden(rows)]).all()
    kinds = data.schema.kinds
    assert all(kind.missing for kind in kinds)
    assert all(
        abs(kind.location) < 0.3 and abs(kind.scale - 1) < 0.3
        for kind in kinds
        if isinstance(kind, Real)
    )
    asked = data.format.questions(make(rows))
    assert torch.equal(asked.observed, torch.from_numpy(~hidden(rows)))
    assert any("holes" in note for note in data.notes)


def test_masked_entries_that_cannot_be_holes() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (40, 3))
    with pytest.raises(
        UserError, match=r"row 2, 1: a hole \(nan or masked\), where there was none in training"
    ):
        load(bits).format.events(np.ma.MaskedArray(bits, np.arange(120).reshape(40, 3) == 4))
    with pytest.raises(UserError, match="beyond 2\\^53 would be rounded"):
        load(np.ma.MaskedArray(counts() + 2**60, hidden(counts())))
    images = np.ma.MaskedArray(np.random.default_rng(0).integers(0, 256, (40, 4, 4)), False)
    assert load(images).schema.shape == (1, 4, 4)
    images[:, 2, 1] = np.ma.masked
    with pytest.raises(
        UserError, match=r"some are holes \(nan or masked\), which only a matrix may have"
    ):
        load(images)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("beyond", [False, True])
def test_every_type_of_numbers_comes_back(dtype: str, beyond: bool) -> None:
    rows = np.random.default_rng(0).integers(0, 9, (60, 3)).astype(dtype)
    if beyond:  # of images and bits
        rows = (
            rows * rows.dtype.type(0.37)
            if rows.dtype.kind == "f"
            else rows + rows.dtype.type(119 if dtype != "u1" else 247)
        )
    for own in (rows, np.asfortranarray(rows), rows[::-1], np.repeat(rows, 2, 0)[::2]):
        format = format_of(own)
        again = format.rows(format.events(own))
        assert again.dtype == rows.dtype and np.array_equal(again, own)
        drawn = format.rows(format.draw(format.events(own[:9]).codes, np.random.default_rng(0)))
        assert drawn.dtype == rows.dtype


@pytest.mark.parametrize("value", [3.5, 300.0, -1.0, 1e9])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i8", "?"])
@pytest.mark.parametrize("low", [0, -4])
def test_questions_change_no_entry(dtype: str, low: int, value: float) -> None:
    """Entries that training's type cannot hold were cut to it."""
    if low and dtype in ("u1", "?"):
        low = 250 if dtype == "u1" else 0
    rows = (
        np.random.default_rng(0)
        .integers(low, low + (2 if dtype == "?" else 9), (60, 3))
        .clip(max=255)
        .astype(dtype)
    )
    format = format_of(rows)
    asked = rows[:5].astype(np.float64)
    asked[1, 1], asked[2, 2] = np.nan, value
    try:
        filled = format.rows(
            format.fill(format.questions(asked), torch.zeros(5, 3), np.random.default_rng(0))
        )
    except UserError as error:
        assert f"row 3, 2: {value} is not a whole number" in str(error)
    else:
        seen = ~np.isnan(asked)
        assert (filled[seen] == asked[seen]).all()


@pytest.mark.parametrize(
    "rows",
    [counts(), counts() - 4, counts() > 4, counts().astype("u1")],
    ids=lambda rows: str(rows.dtype),
)
def test_conditions_change_no_entry(rows: np.ndarray) -> None:
    format = format_of(rows)
    assert (
        question(format, {"1": 1}).codes[0, 1]
        == format.events(np.ones((1, 2), dtype=rows.dtype)).codes[0, 1]
    )
    with pytest.raises(UserError, match=r"3.5 is not a whole number|3.5 was never seen"):
        question(format, {"1": 3.5})


@pytest.mark.parametrize("first", [2**60, -(2**62), 2**63])
def test_large_whole_numbers_are_not_rounded(first: int) -> None:
    rows = np.random.default_rng(0).integers(0, 9, (60, 2)).astype("u8" if first == 2**63 else "i8")
    rows += rows.dtype.type(first)
    format = format_of(rows)
    assert np.array_equal(format.rows(format.events(rows)), rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (reals() + 1j, "complex128"),
        (reals().astype(np.longdouble), "would be rounded"),
        (counts().astype(str), "cannot be modelled; .* come as a DataFrame"),
        (counts().astype("M8[D]"), "datetime64.* come as a DataFrame"),
        (objects(counts(), "a"), "objects with str cells"),
        (np.full((60, 2), None), "objects with no cells"),
        (counts().astype(object) + 2**70, "too large"),
        ([[1, 2], [3]] * 20, "no array can be made of this list"),
        (scipy.sparse.csr_array(counts()), r"give rows.toarray\(\)"),
        (torch.tensor(counts()).to_sparse(), "no array can be made of this Tensor"),
        (np.array(3.0), "a single number"),
        (reals()[:, 0], r"rows.reshape\(len\(rows\), -1\) makes a matrix"),
        (np.random.default_rng(0).integers(-5, 5, (60, 4, 4)), r"rows.reshape\(len\(rows\), -1\)"),
        (
            np.random.default_rng(0).integers(0, 5000, (60, 4, 4)),
            r"rows.reshape\(len\(rows\), -1\)",
        ),
        (None, "cannot be modelled"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_what_is_no_array_of_numbers_is_said_in_one_line(rows: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        load(rows)
    assert "\n" not in str(told.value)


def test_tensors_of_every_type() -> None:
    rows = torch.tensor(counts())
    for own in (
        rows.bool(),
        rows.half(),
        rows.bfloat16(),
        rows.int(),
        rows.double().requires_grad_(),
    ):
        assert np.array_equal(
            load(own).format.rows(load(own).train), own.detach().double().numpy()[_train(600)]
        )


def _train(rows: int) -> np.ndarray:
    return splits.split_at_random(rows, 0).train


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((5, 4, 3), "height, width and channels"),
        ((5, 4, 1), "height, width and channels"),
        ((5, 6, 4), "height, width and channels"),
        ((3, 5, 4), "channels, height and width"),
        ((3, 3, 3), "channels, height and width"),
    ],
)
def test_which_side_is_of_channels_is_said(shape: tuple, read: str) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    data = load(rows)
    assert f"rows of shape {shape} are read as {read}" in data.notes
    assert np.array_equal(data.format.rows(data.format.events(rows)), rows)
    assert data.schema.shape[0] == (shape[2] if read.endswith("channels") else shape[0])


def test_what_is_set_aside_of_an_array_is_said() -> None:
    assert (
        "column '2' is set aside: constant (only one value)"
        in load(np.c_[reals(), np.ones(600)]).notes
    )


def test_a_number_that_training_did_not_show_tells_how_to_leave_room() -> None:
    rows = np.r_[np.random.default_rng(0).integers(0, 4, (60, 2)), [[9, 1]]]
    with pytest.raises(
        UserError, match=r"9 is not a whole number from 0 to 3; --kind '\*=integer' models any"
    ):
        load(rows[:60]).format.events(rows)
    format = load(rows[:60], kinds={"*": "integer"}).format
    assert np.array_equal(format.rows(format.events(rows)), rows)


@pytest.mark.parametrize(
    "name", ["years", "yes", "y_years", "yield", "rows", "labelled", "testimony"]
)
def test_only_usual_names_are_those_of_labels(tmp_path: Path, name: str) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (60, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", **{name: bits})
    assert len(load(str(tmp_path / "a.npz")).train) == 45
    np.savez(tmp_path / "a.npz", x=bits, **{name: bits})
    with pytest.raises(UserError, match=f"holds the arrays x, {name}; name one"):
        load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("data", "target"), ("X", "Y"), ("images", "labels"), ("features", "label"), ("x_train", "y_train"),
     ("train_images", "train_labels"), ("xtrain", "ytrain"), ("train", "y_train"), ("train", "labels_train")],
    ids=str,
)  # fmt: skip
def test_labels_by_their_usual_names(tmp_path: Path, names: tuple) -> None:
    bits, labels = (
        np.random.default_rng(0).integers(0, 2, (60, 3), dtype=np.uint8),
        np.arange(60) % 3,
    )
    others = {
        name.replace("train", "test"): rows
        for name, rows in zip(names, (bits[:9], labels[:9]), strict=True)
    }
    np.savez(tmp_path / "a.npz", **others | dict(zip(names, (bits, labels), strict=True)))
    data = load(str(tmp_path / "a.npz"))
    assert data.rows["test"] == (9 if "train" in names[0] else 6)
    assert any(names[1] in note and "not modelled; --context label" in note for note in data.notes)
    np.savez(tmp_path / "a.npz", **others | {names[0]: bits, names[1]: labels.astype(np.float64)})
    beside = load(str(tmp_path / "a.npz"), labelled=True)
    assert beside.format.names[0] == "label" and beside.format.container.labels == (0, 1, 2)
    assert not any("not modelled" in note for note in beside.notes)


def test_what_a_file_holds_besides_is_said(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (60, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "a.npz", train=bits, test=bits[:9], weights=np.ones(60), meta=np.array("{}")
    )
    assert any(
        note.startswith("left out of the file: weights, meta;")
        for note in load(str(tmp_path / "a.npz")).notes
    )
    np.savez(tmp_path / "a.npz", y=bits)
    with pytest.raises(UserError, match="holds no arrays of rows, but y; name one"):
        load(str(tmp_path / "a.npz"))
    assert len(load(f"{tmp_path}/a.npz:y").train) == 45


@pytest.mark.parametrize(
    ("dtype", "values"), [("u1", (1, 300)), ("?", (0, 1, 2)), ("i1", (-1, 200)), ("f2", (0, 4097))]
)
def test_labels_that_the_type_of_the_rows_cannot_hold(
    tmp_path: Path, dtype: str, values: tuple
) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (60, 3)).astype(dtype)
    labels = np.array(values)[np.arange(60) % len(values)]
    np.savez(tmp_path / "a.npz", x=rows, y=labels)
    data = load(str(tmp_path / "a.npz"), labelled=True)
    assert data.format.container.labels == values
    whole = load_rows(str(tmp_path / "a.npz"), data.format)
    again = data.format.rows(data.format.events(whole))
    assert np.array_equal(again[:, 0], labels) and np.array_equal(again[:, 1:], rows)
    drawn = data.format.rows(data.format.draw(data.train.codes, np.random.default_rng(0)))
    assert drawn.dtype == again.dtype and np.array_equal(
        drawn[:, 0], data.format.rows(data.train)[:, 0]
    )


def test_single_precision_reals_are_no_grid():
    values = np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32)
    assert load(values).format.describe()[0].get("resolution") is None
    cents = (np.arange(300).reshape(-1, 1) / 100).astype(np.float32)
    assert load(cents).format.describe()[0]["resolution"] == "0.01"
