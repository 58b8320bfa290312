"""From a name, a path, a frame or an array to a dataset: what is it, how is it split, what is worth knowing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data import splits
from plausibly.data.dataset import Dataset, Truth
from plausibly.data.events import Events, RowProgress, silent
from plausibly.data.files import arrays as array_files
from plausibly.data.files import images
from plausibly.data.files import tables as reading
from plausibly.data.files.arrow_tables import (
    INDEX_NOTE,
    as_columns,
    frame_of,
    index_to_columns,
    is_row_number,
    level_names,
    with_index,
)
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.pieces import table_file
from plausibly.data.files.regularity import irregularities, spellings
from plausibly.data.formats import arrays, tables
from plausibly.data.formats import labelled as labels_of_rows
from plausibly.data.formats.format import Format
from plausibly.data.labels import label_text
from plausibly.data.relations import relations
from plausibly.data.sources import (
    FrameSource,
    Source,
    StreamSource,
    open_large,
    split_events,
    thin_places,
)
from plausibly.data.toys import bits
from plausibly.errors import UserError, count_phrase, did_you_mean
from plausibly.system.files import refuse_streams, suffix_of

ARRAY_SUFFIXES = ("npz", "npy", "idx", "ubyte")
SOURCES_HINT = "a .csv, .tsv, .parquet, .arrow, .npy, .npz or idx file (.gz too), a folder of images, or one of "


def load(
    source: Any,
    *,
    seed: int = 0,
    kinds: dict[str, str] | None = None,
    drop: Iterable[str] = (),
    split: str | None = None,
    valid: Any = None,
    test: Any = None,
    size: int | tuple[int, int] | None = None,
    labelled: bool = False,
    heard: RowProgress = silent,
) -> Dataset:
    """Data as a dataset of events with training, validation, test and calibration rows.

    source: a path (`file.npz:NAME` for one of its arrays), a built-in's name, a DataFrame or other rows with named columns
    (a Series, dictionaries, structures, tables of Arrow or Polars), an array or a tensor.
    kinds: {column: word} overrides. split: `time=COLUMN` or `group=COLUMN`. valid, test: further sources of
    the same sort. size: of the images of a folder, one side or (height, width). labelled: the labels
    that a built-in or an npz file has beside its rows become the first variable. heard: is told how many rows of how many
    are read, of a file that is read a piece at a time. UserError says what would work.
    """
    source = str(source) if isinstance(source, Path) else as_table(source)
    given = {
        name: as_table(part)
        for name, part in (("valid", valid), ("test", test))
        if part is not None
    }
    kinds, drop = (
        {label_text(name): word for name, word in (kinds or {}).items()},
        tuple(map(label_text, drop)),
    )
    if isinstance(source, str) and source in bits.BUILT_IN:
        _refuse_options(
            source, {"kinds": kinds, "drop": drop, "split": split, "size": size, **given}
        )
        return _load_toy(source, labelled)
    if is_table(source):
        _refuse_options(source, {"size": size})
        return _table(source, given, seed, kinds, drop, split, heard)
    if split:
        raise UserError(f"`--split {split}` needs a table with named columns")
    return _array(source, given, seed, kinds, drop, size, labelled)


def load_rows(source: Any, format: Format) -> Any:
    """Rows of a source, as `format` takes them: for commands that come after training."""
    if not isinstance(source, str | Path):
        return as_table(source)
    name, _, part = str(source).partition(":")
    if name not in bits.BUILT_IN:
        _existing(str(source))
    rows = _toy_rows(name, part) if name in bits.BUILT_IN else format.read(str(source))
    labels = _labels(str(source)) if isinstance(format, labels_of_rows.LabelledFormat) else None
    return rows if labels is None else labels_of_rows.prepend_labels(labels, rows)


def as_table(source: Any) -> Any:
    """Rows in memory that have named columns as a DataFrame in the machine's order of bytes; whatever else as it is.

    That is a Series, a dictionary of columns, a list of dictionaries, an array of structures, and a table of Arrow, Polars
    and all other libraries that hand over Arrow's columns.
    """
    import pandas as pd

    if isinstance(source, str | Path):
        return source
    if isinstance(source, pd.DataFrame):
        return _native(source)
    if isinstance(source, pd.Series):
        return source.to_frame()
    structured = (
        isinstance(source, np.ndarray)
        and source.dtype.names
        and not isinstance(source, np.ma.MaskedArray)
    )
    records = (
        isinstance(source, list | tuple)
        and len(source)
        and all(isinstance(row, Mapping) for row in source)
    )
    columns = isinstance(source, Mapping) and not hasattr(
        source, "toarray"
    )  # as a sparse array of scipy's
    try:
        if hasattr(source, "columns") and hasattr(source, "__arrow_c_stream__"):
            import pyarrow as pa

            return frame_of(with_index(pa.table(source)))
        return _native(pd.DataFrame(source)) if structured or records or columns else source
    except (ValueError, TypeError) as error:
        raise UserError(f"no table can be made of this {type(source).__name__}: {error}") from error


def _native(frame: Any) -> Any:
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype == np.longdouble and dtype != np.float64:
            raise UserError(
                f"column {name!r}: numbers of type {dtype} would be rounded; give it as float64"
            )
    other = [
        place
        for place, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, np.dtype) and not dtype.isnative
    ]
    if not other:
        return frame
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    for place in other:
        columns[place] = columns[place].astype(columns[place].dtype.newbyteorder("="))
    return type(frame)(dict(enumerate(columns)), index=frame.index).set_axis(frame.columns, axis=1)


def row_pieces(source: Any, format: Format, rows: int) -> Iterator[Any]:
    """The same rows, so many at a time; a table's file is never in memory as a whole."""
    if (
        isinstance(format, tables.TableFormat)
        and isinstance(source, str | Path)
        and is_table(str(source))
    ):
        return table_file(Path(source)).frames(rows)
    whole = load_rows(source, format)
    return (whole[start : start + rows] for start in range(0, len(whole), rows))


def source_fingerprint(source: str) -> str:
    """SHA-256 of a file, or of a folder's images; the name of what is built in."""
    if source.partition(":")[0] in bits.BUILT_IN:
        return source
    path = _existing(source)
    return reading.file_fingerprint(path, images.files_of(path)[0] if path.is_dir() else ())


def estimate_rows(source: str, format: Format) -> int:
    """About how many rows a source holds; 0 where only reading all of it would tell."""
    if isinstance(format, tables.TableFormat) and is_table(source):
        return table_file(Path(source)).about
    return 0


def _labels(source: str) -> np.ndarray | None:
    """The labels beside the rows of a source, or of its part; None where there are none."""
    name, _, part = source.partition(":")
    if name in bits.BUILT_IN:
        return bits.BUILT_IN[name]().parts(labels=True).get(part)
    return array_files.read_labels(source).get(
        source.rpartition(":")[2] if array_files.is_part(source) else "all"
    )


def is_table(source: Any) -> bool:
    """Whether a source holds named columns. UserError where there is no such source."""
    if isinstance(source, str):
        return (
            source.partition(":")[0] not in bits.BUILT_IN
            and suffix_of(_existing(source)) in reading.TABLE_SUFFIXES
        )
    return hasattr(source, "columns") and hasattr(source, "dtypes")


def _existing(source: str) -> Path:
    """The path of a source that can be read. UserError lists what would work."""
    path = Path(source.rpartition(":")[0] if array_files.is_part(source) else source)
    known = ", ".join(bits.BUILT_IN)
    if not path.exists():
        hint = did_you_mean(source, bits.BUILT_IN)
        raise UserError(f"there is no {source!r}{hint}; DATA is {SOURCES_HINT}{known}")
    refuse_streams(path)
    named = (*reading.TABLE_SUFFIXES, *ARRAY_SUFFIXES)
    if path.is_file() and suffix_of(path) not in named and "ubyte" not in path.name:
        raise UserError(
            f"{path.name} is of no form that can be read; DATA is {SOURCES_HINT}{known}"
        )
    return path


def _refuse_options(source: Any, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None and value != {} and value != ():
            shown = repr(source) if isinstance(source, str) else "a table"
            raise UserError(f"{shown} takes no {name}: it is as it is")


def _load_toy(name: str, labelled: bool) -> Dataset:
    toy = bits.BUILT_IN[name]()
    parts = toy.parts()
    format: Format = toy.format()
    if labelled:
        format, parts = _with_labels(toy.format(), parts, toy.parts(labels=True))
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts.values())).hexdigest()
    events = {key: format.events(part) for key, part in parts.items()}
    return _dataset(name, name, digest, format, events, [], toy.truth_for(format))


def _with_labels(
    format: Format,
    parts: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    train: Any = slice(None),
) -> tuple[Format, dict[str, np.ndarray]]:
    """The format and rows with their labels before them; the labels are those of the `train` part's rows at these places."""
    if not isinstance(format, arrays.ArrayFormat):
        raise UserError(
            "labels can stand beside bits, small whole numbers and images; give other rows as a table"
        )
    missing = [name for name in parts if name not in labels]
    if missing:
        raise UserError(
            f"there are no labels for the {missing[0]} rows; an npz file has them, whole numbers, as y_{missing[0]}"
        )
    joined = {
        name: labels_of_rows.prepend_labels(labels[name], rows) for name, rows in parts.items()
    }
    known = tuple(sorted({int(label) for label in joined["train"][train, 0]}))
    if not 1 < len(known) <= labels_of_rows.MAX_LABELS:
        most = labels_of_rows.MAX_LABELS
        raise UserError(
            f"training rows have {count_phrase(len(known), 'label')}; 2 to {most} can stand beside rows"
        )
    return labels_of_rows.LabelledFormat(known, format), joined


def _beside(source: Any) -> dict[str, np.ndarray]:
    """The labels beside a source's rows by part, those of its only part as `train`."""
    found = array_files.read_labels(source) if isinstance(source, str) else {}
    return {"train" if name == "all" else name: labels for name, labels in found.items()}


def _toy_rows(name: str, part: str) -> np.ndarray:
    parts = bits.BUILT_IN[name]().parts()
    if part and part not in parts:
        raise UserError(
            f"there is no split {part!r}{did_you_mean(part, parts)}; {name} has {', '.join(parts)}"
        )
    if not part:
        raise UserError(
            f"{name} has several splits; name one: {name}:train, {name}:valid or {name}:test"
        )
    return parts[part]


def _table(
    source: Any,
    given: dict[str, Any],
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
    split: str | None,
    heard: RowProgress,
) -> Dataset:
    if given and split:
        raise UserError("give either `--split` or files for validation and test, not both")
    table = _open_table(source)
    with naming(source):
        tables.check_options(table.names, table.rows, kinds, drop)
        places = (
            _split_by(table, split, seed, kinds)._asdict()
            if split
            else _places(table.rows, given, seed)
        )
        shown = table.some(places["train"], seed)
        frame = table.frame(shown)
        format = tables.learn_table_format(frame, table.dialect, kinds, drop, len(places["train"]))
        events = table.events(format, places, shown, heard)
        format = format.reserve_unseen(events["train"].codes)
        if split and (name := splits.group_column(split)):
            note_groups(events, splits.groups_of(table.series(name)), places, shown)
    events |= {name: _events_of(part, _frame(part)[0], format) for name, part in given.items()}
    whole = table.rows_in_memory(frame)
    digest = _digest(source, whole, given)
    odd = None if table.dialect is None else irregularities(*table.start(), table.rows, format)
    notes = (
        table.notes()
        + _table_notes(format)
        + ([] if odd is None else spellings(whole, format) + odd)
    )
    dataset = _dataset(_name(source), _source(source), digest, format, events, notes)
    dataset.shown = events.get("shown", dataset.train)
    dataset.regular = (
        None if odd is None or format.dropped else not odd and reading.UTF16_NOTE not in notes
    )
    dataset.relations = relations(format, dataset.shown)
    dataset.notes[:0] = [
        f"{relation}; --drop {relation.column} leaves it out" for relation in dataset.relations
    ]
    return dataset


def note_groups(
    events: dict[str, Events], groups: np.ndarray, places: dict[str, np.ndarray], shown: np.ndarray
) -> None:
    """Each part's events know from now on which rows came together."""
    for part, own in events.items():
        rows = shown if part == "shown" else places[part]
        own.groups = groups[rows if len(rows) == len(own) else thin_places(rows)]


def _open_table(source: Any) -> Source:
    """The table that a source holds: one that is large, in a file, is read a piece at a time."""
    if isinstance(source, str | Path) and (file := open_large(_existing(str(source)))):
        return StreamSource(file)
    return FrameSource(source, *_frame(source), _reading_notes(source))


def _reading_notes(source: Any) -> list[str]:
    """What is said of an index, or of how a text file is read."""
    if not isinstance(source, str | Path):
        if not is_row_number(source.index):
            return as_columns(level_names(source.index))
        return [INDEX_NOTE] * (list(source.index) != list(range(len(source))))
    packed = suffix_of(source) not in reading.TEXT_SUFFIXES and str(source).endswith(".gz")
    return [] if packed else table_file(Path(source)).notes()


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Puts the file's name before what is wrong with its rows, unless it is there."""
    try:
        yield
    except UserError as error:
        if not isinstance(source, str | Path) or str(source) in str(error):
            raise
        raise UserError(
            f"{source}{', ' if str(error).startswith('row ') else ': '}{error}"
        ) from error


def _events_of(source: Any, rows: Any, format: Format) -> Events:
    with naming(source):
        return format.events(rows)


def _frame(source: Any) -> tuple[Any, Dialect | None]:
    if not isinstance(source, str | Path):
        if not is_table(source):
            raise UserError(
                f"a table cannot be split with {type(source).__name__}; give a table with the same columns"
            )
        return index_to_columns(source), None
    return reading.read_table(_existing(str(source)))


def _places(rows: int, given: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """The places of the rows of each part that did not come on its own."""
    if not given:
        return splits.at_random(rows, seed)._asdict()
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
        return splits.by_time(splits.ranks_of(series, name, kinds.get(name, "")))
    return splits.by_group(splits.groups_of(series), seed)


def _array(
    source: Any,
    given: dict[str, Any],
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
    size: Any,
    labelled: bool,
) -> Dataset:
    parts, notes, depth = _parts(source, size, labelled)
    for name in given:
        if name in parts:
            raise UserError(
                f"the source has its own {name} rows; name its training rows alone: {source}:train"
            )
    rows = parts.pop("all" if "all" in parts else "train")
    if not len(rows):
        raise UserError(f"{_source(source)} has no rows")
    with naming(source):
        places = _places(len(rows), {*parts, *given}, seed)
        _refuse_nothing(rows[places["train"]], notes)
        format: Format = arrays.learn_array_format(
            rows[places["train"]], kinds, drop, depth or images.DEEP_GRAY_BITS
        )
        notes += [] if depth else arrays.describe_array(format, rows)
        notes += _table_notes(format.table) if isinstance(format, arrays.NumericArrayFormat) else []
        if labelled:
            format, parts = _with_labels(
                format, {"train": rows, **parts}, _beside(source), places["train"]
            )
            rows = parts.pop("train")
        whole = format.events(rows)
    own = {name: f"{source}:{name}" if isinstance(source, str) else source for name in parts}
    held = {name: _events_of(own[name], part, format) for name, part in parts.items()}
    held |= {
        name: _events_of(part, load_rows(part, format), format) for name, part in given.items()
    }
    events = split_events(whole, places) | held
    return _dataset(
        _name(source), _source(source), _digest(source, rows, given), format, events, notes
    )


def _refuse_nothing(rows: np.ndarray, notes: list[str]) -> None:
    if rows.size == 0 or rows.min() == rows.max():
        seen, read = (
            count_phrase(len(rows), "training row"),
            f" ({'; '.join(notes)})" if notes else "",
        )
        raise UserError(f"nothing to model: every entry of the {seen} is the same{read}")


def _parts(source: Any, size: Any, labelled: bool) -> tuple[dict[str, np.ndarray], list[str], int]:
    """Arrays by split, `all` where the source has none; notes; and of a folder of images the bits of deep gray, else 0."""
    if not isinstance(source, str):
        _refuse_options("an array", {"size": size})
        return {"all": array_files.as_array(source)}, [], 0
    if source.partition(":")[0] in bits.BUILT_IN:
        return {"all": _toy_rows(*source.split(":", 1))}, [], 0
    if Path(source).is_dir():
        rows, notes, depth = images.read_folder(Path(source), images.check_image_size(size))
        return {"all": rows}, notes, depth
    _refuse_options(source, {"size": size})
    if array_files.is_part(source):
        return {"all": array_files.read_one(source)}, [], 0
    return (
        array_files.read_splits(Path(source)),
        array_files.omission_notes(Path(source), labelled),
        0,
    )


def _name(source: Any) -> str:
    return (
        Path(source).name.partition(".")[0]
        if isinstance(source, str)
        else type(source).__name__.lower()
    )


def _source(source: Any) -> str:
    return source if isinstance(source, str) else f"<{type(source).__name__} in memory>"


def _digest(source: Any, rows: Any, given: dict[str, Any]) -> str:
    """SHA-256 of the source's contents, and of the files that came with it."""
    named = (
        source_fingerprint(str(part)) if isinstance(part, str | Path) else _one_digest(part, part)
        for part in given.values()
    )
    parts = [_one_digest(source, rows), *named]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _one_digest(source: Any, rows: Any) -> str:
    if isinstance(source, str | Path) and str(source).partition(":")[0] not in bits.BUILT_IN:
        return source_fingerprint(str(source))
    if hasattr(rows, "columns"):
        return reading.frame_fingerprint(rows)
    array = array_files.as_array(rows)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def _table_notes(format: tables.TableFormat) -> list[str]:
    notes = [f"column {column.name!r} is set aside: {column.describe()}" for column in format.aside]
    notes += [f"column {c.name!r}: {c.why}" for c in format.modelled if "; " in c.why]
    holes = [column for column in format.modelled if column.holes]
    if holes:
        have = f"{count_phrase(len(holes), 'column')} ha{'s' if len(holes) == 1 else 've'}"
        notes.append(f"{have} holes, {holes[0].name!r} {holes[0].holes} in training")
    return notes + [f"column {name!r} is dropped" for name in format.dropped]


def _dataset(
    name: str,
    source: str,
    digest: str,
    format: Format,
    events: dict[str, Events],
    notes: list[str],
    truth: Truth | None = None,
) -> Dataset:
    notes, calibration = notes + _repeats(events), events.get("calibration", events["train"][:0])
    return Dataset(
        name,
        source,
        digest,
        format,
        events["train"],
        events["valid"],
        events["test"],
        calibration,
        notes,
        truth,
    )


def _repeats(events: dict[str, Events]) -> list[str]:
    """How many held-out rows also occur in training; nothing where too many rows train for their values to be kept."""
    if "shown" in events:
        return []
    train = comparable_rows(events["train"])
    notes = []
    for name in ("valid", "test"):
        if count := splits.count_repeats(train, comparable_rows(events[name])):
            rows = count_phrase(len(events[name]), f"{name} row")
            notes.append(f"{count} of {rows} also occur{'s' * (count == 1)} in train")
    return notes


def comparable_rows(events: Events) -> np.ndarray:
    """Rows as plain numbers, (n, width): equal where the modelled values are."""
    if isinstance(events.values, tables.TableValues):
        return np.stack(
            [cells.values.view(np.int64) for cells in events.values.cells.values()], axis=1
        )
    values = events.codes.numpy() if events.values is None else events.values
    return np.ascontiguousarray(values.reshape(len(events), -1))
