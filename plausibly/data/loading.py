"""From a name, a path, a frame or an array to a dataset: what is it, how is it split, what is worth knowing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data import splits
from plausibly.data.dataset import Dataset, TrueDistribution
from plausibly.data.dividing import divide, divide_randomly
from plausibly.data.events import Events, RowProgress, ignore_progress
from plausibly.data.files import arrays as array_files
from plausibly.data.files import images
from plausibly.data.files import tables as reading
from plausibly.data.files.arrow_tables import (
    INDEX_NOTE,
    as_columns,
    index_to_columns,
    is_row_number,
    level_names,
)
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.pieces import table_file
from plausibly.data.files.regularity import describe_irregularities, describe_spellings
from plausibly.data.formats import array_learning, arrays, numeric_arrays, table_learning, tables
from plausibly.data.formats import labelled as labels_of_rows
from plausibly.data.formats.format import Format
from plausibly.data.frames import as_table
from plausibly.data.labels import label_text
from plausibly.data.origins import (
    existing_path,
    is_table,
    naming_source,
    source_digest,
    source_name,
    source_text,
)
from plausibly.data.relations import find_relations
from plausibly.data.repeats import describe_repeats
from plausibly.data.rows import load_rows, read_toy_part
from plausibly.data.sources import (
    FrameSource,
    Source,
    StreamSource,
    open_large,
    split_events,
    thin_places,
)
from plausibly.data.toys import bits
from plausibly.errors import UserError, count_phrase
from plausibly.system.files import suffix_of


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
    on_progress: RowProgress = ignore_progress,
) -> Dataset:
    """Data as a dataset of events with training, validation, test and calibration rows.

    source: a path (`file.npz:NAME` for one of its arrays), a built-in's name, a DataFrame or other rows with named columns
    (a Series, dictionaries, structures, tables of Arrow or Polars), an array or a tensor.
    kinds: {column: word} overrides. split: `time=COLUMN` or `group=COLUMN`. valid, test: further sources of
    the same sort. size: of the images of a folder, one side or (height, width). labelled: the labels
    that a built-in or an npz file has beside its rows become the first variable. on_progress: is told how many rows of how
    many are read, of a file that is read a piece at a time. UserError says what would work.
    """
    source = str(source) if isinstance(source, Path) else as_table(source)
    given = {"valid": as_table(valid), "test": as_table(test)}
    given = {name: part for name, part in given.items() if part is not None}
    kinds = {label_text(name): word for name, word in (kinds or {}).items()}
    drop = tuple(map(label_text, drop))
    if isinstance(source, str) and source in bits.BUILT_IN:
        options = {"kinds": kinds, "drop": drop, "split": split, "size": size, **given}
        _refuse_options(source, options)
        return _load_toy(source, labelled)
    if is_table(source):
        _refuse_options(source, {"size": size})
        return _table(source, given, seed, kinds, drop, split, on_progress)
    if split:
        raise UserError(f"`--split {split}` needs a table with named columns")
    return _array(source, given, seed, kinds, drop, size, labelled)


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
    joined = _prepend_labels(parts, labels)
    known = tuple(sorted({int(label) for label in joined["train"][train, 0]}))
    if not 1 < len(known) <= labels_of_rows.MAX_LABELS:
        most = labels_of_rows.MAX_LABELS
        raise UserError(
            f"training rows have {count_phrase(len(known), 'label')}; 2 to {most} can stand beside rows"
        )
    return labels_of_rows.LabelledFormat(known, format), joined


def _prepend_labels(
    parts: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Each part's rows with their labels before them. UserError for a part without labels."""
    for name in parts:
        if name not in labels:
            raise UserError(
                f"there are no labels for the {name} rows; an npz file has them, whole numbers, as y_{name}"
            )
    return {name: labels_of_rows.prepend_labels(labels[name], rows) for name, rows in parts.items()}


def _beside(source: Any) -> dict[str, np.ndarray]:
    """The labels beside a source's rows by part, those of its only part as `train`."""
    found = array_files.read_labels(source) if isinstance(source, str) else {}
    return {"train" if name == "all" else name: labels for name, labels in found.items()}


def _table(
    source: Any,
    given: dict[str, Any],
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
    split: str | None,
    on_progress: RowProgress,
) -> Dataset:
    if given and split:
        raise UserError("give either `--split` or files for validation and test, not both")
    table = _open_table(source)
    with naming_source(source):
        table_learning.check_options(table.names, table.rows, kinds, drop)
        places = divide(table, given, split, seed, kinds)
        shown = table.some(places["train"], seed)
        frame = table.frame(shown)
        many = len(places["train"])
        format = table_learning.learn_table_format(frame, table.dialect, kinds, drop, many)
        events = table.events(format, places, shown, on_progress)
        format = format.reserve_unseen(events["train"].codes)
        if split and (name := splits.group_column(split)):
            note_groups(events, splits.group_numbers(table.series(name)), places, shown)
    return _describe_table(source, given, table, format, events, frame)


def _describe_table(
    source: Any,
    given: dict[str, Any],
    table: Source,
    format: tables.TableFormat,
    events: dict[str, Events],
    frame: Any,
) -> Dataset:
    """The dataset of a table, with its parts that were given and all that is worth knowing of it."""
    events |= {name: _events_of(part, _frame(part)[0], format) for name, part in given.items()}
    whole = table.rows_in_memory(frame)
    digest = source_digest(source, whole, given)
    odd = (
        None
        if table.dialect is None
        else describe_irregularities(*table.start(), table.rows, format)
    )
    notes = table.notes() + _table_notes(format)
    notes += [] if odd is None else describe_spellings(whole, format) + odd
    dataset = _dataset(source_name(source), source_text(source), digest, format, events, notes)
    dataset.shown = events.get("shown", dataset.train)
    if odd is not None and not format.dropped:
        dataset.regular = not odd and reading.UTF16_NOTE not in notes
    _note_relations(dataset, format)
    return dataset


def _note_relations(dataset: Dataset, format: tables.TableFormat) -> None:
    """Keeps which columns follow from others, and says so before all else."""
    dataset.relations = find_relations(format, dataset.shown)
    notes = [f"{each}; --drop {each.column} leaves it out" for each in dataset.relations]
    dataset.notes[:0] = notes


def note_groups(
    events: dict[str, Events], groups: np.ndarray, places: dict[str, np.ndarray], shown: np.ndarray
) -> None:
    """Each part's events know from now on which rows came together."""
    for part, own in events.items():
        rows = shown if part == "shown" else places[part]
        own.groups = groups[rows if len(rows) == len(own) else thin_places(rows)]


def _open_table(source: Any) -> Source:
    """The table that a source holds: one that is large, in a file, is read a piece at a time."""
    if isinstance(source, str | Path) and (file := open_large(existing_path(str(source)))):
        return StreamSource(file)
    return FrameSource(source, *_frame(source), _reading_notes(source))


def _reading_notes(source: Any) -> list[str]:
    """Notes on an index, or on how a text file is read."""
    if not isinstance(source, str | Path):
        if not is_row_number(source.index):
            return as_columns(level_names(source.index))
        return [] if list(source.index) == list(range(len(source))) else [INDEX_NOTE]
    packed = suffix_of(source) not in reading.TEXT_SUFFIXES and str(source).endswith(".gz")
    return [] if packed else table_file(Path(source)).notes()


def _events_of(source: Any, rows: Any, format: Format) -> Events:
    with naming_source(source):
        return format.events(rows)


def _frame(source: Any) -> tuple[Any, Dialect | None]:
    if not isinstance(source, str | Path):
        if not is_table(source):
            raise UserError(
                f"a table cannot be split with {type(source).__name__}; give a table with the same columns"
            )
        return index_to_columns(source), None
    return reading.read_table(existing_path(str(source)))


def _array(
    source: Any,
    given: dict[str, Any],
    seed: int,
    kinds: dict[str, str],
    drop: tuple[str, ...],
    size: Any,
    labelled: bool,
) -> Dataset:
    rows, parts, notes, depth = _first_parts(source, given, size, labelled)
    with naming_source(source):
        places = divide_randomly(len(rows), {*parts, *given}, seed)
        train = rows[places["train"]]
        _refuse_nothing(train, notes)
        most = depth or images.DEEP_GRAY_BITS
        format: Format = array_learning.learn_array_format(train, kinds, drop, most)
        notes += _array_notes(format, rows, depth)
        if labelled:
            labels, parts = _beside(source), {"train": rows, **parts}
            format, parts = _with_labels(format, parts, labels, places["train"])
            rows = parts.pop("train")
        whole = format.events(rows)
    events = split_events(whole, places) | _held_out(source, parts, given, format)
    digest = source_digest(source, rows, given)
    return _dataset(source_name(source), source_text(source), digest, format, events, notes)


def _first_parts(
    source: Any, given: dict[str, Any], size: Any, labelled: bool
) -> tuple[np.ndarray, dict[str, np.ndarray], list[str], int]:
    """The rows of a source, or of its training part, and the others, with notes and depth as of `_parts`."""
    parts, notes, depth = _parts(source, size, labelled)
    _refuse_twice(source, parts, given)
    rows = parts.pop("all" if "all" in parts else "train")
    if not len(rows):
        raise UserError(f"{source_text(source)} has no rows")
    return rows, parts, notes, depth


def _array_notes(format: Format, rows: np.ndarray, depth: int) -> list[str]:
    notes = [] if depth else array_learning.describe_array(format, rows)
    if isinstance(format, numeric_arrays.NumericArrayFormat):
        notes += _table_notes(format.table)
    return notes


def _refuse_twice(source: Any, parts: Collection[str], given: Collection[str]) -> None:
    for name in given:
        if name in parts:
            raise UserError(
                f"the source has its own {name} rows; name its training rows alone: {source}:train"
            )


def _held_out(
    source: Any, parts: dict[str, np.ndarray], given: dict[str, Any], format: Format
) -> dict[str, Events]:
    """The events of a source's own held-out parts, and of those that came with it."""
    own = {name: f"{source}:{name}" if isinstance(source, str) else source for name in parts}
    held = {name: _events_of(own[name], part, format) for name, part in parts.items()}
    return held | {
        name: _events_of(part, load_rows(part, format), format) for name, part in given.items()
    }


def _refuse_nothing(rows: np.ndarray, notes: list[str]) -> None:
    if rows.size == 0 or rows.min() == rows.max():
        seen = count_phrase(len(rows), "training row")
        read = f" ({'; '.join(notes)})" if notes else ""
        raise UserError(f"nothing to model: every entry of the {seen} is the same{read}")


def _parts(source: Any, size: Any, labelled: bool) -> tuple[dict[str, np.ndarray], list[str], int]:
    """Arrays by split, `all` where the source has none; notes; and of a folder of images the bits of deep gray, else 0."""
    if not isinstance(source, str):
        _refuse_options("an array", {"size": size})
        return {"all": array_files.as_array(source)}, [], 0
    if source.partition(":")[0] in bits.BUILT_IN:
        return {"all": read_toy_part(*source.split(":", 1))}, [], 0
    path = Path(source)
    if path.is_dir():
        rows, notes, depth = images.read_folder(path, images.check_image_size(size))
        return {"all": rows}, notes, depth
    _refuse_options(source, {"size": size})
    if array_files.is_part(source):
        return {"all": array_files.read_one(source)}, [], 0
    return array_files.read_splits(path), array_files.omission_notes(path, labelled), 0


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
    truth: TrueDistribution | None = None,
) -> Dataset:
    notes = notes + describe_repeats(events)
    calibration = events.get("calibration", events["train"][:0])
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
