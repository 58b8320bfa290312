"""The format of a table, learned from training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plausibly.data.columns import guessing
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.column import Column, change_column
from plausibly.data.columns.column_sample import count_texts
from plausibly.data.columns.identifiers import is_smooth
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import Storage
from plausibly.data.columns.text_guesses import KEY_REASON
from plausibly.data.files.dialects import Dialect
from plausibly.data.formats.table_columns import list_names, list_roles, share_of_new, storage
from plausibly.data.formats.tables import TableFormat
from plausibly.data.labels import label_text, names_of
from plausibly.errors import UserError, count_phrase, did_you_mean
from plausibly.events.kinds import Grid


def learn_table_format(
    frame: Any, dialect: Dialect | None, kinds: dict[str, str], drop: Iterable[str], rows: int = 0
) -> TableFormat:
    """The format of a table, from its training rows, or from some of so many `rows`; 0 stands for those of an array."""
    dropped = [*drop, *(name for name, word in kinds.items() if word == "drop")]
    labels = [label for label in frame.columns if label_text(label) not in dropped]
    columns = [_learn_column(frame[label], label, dialect, kinds, rows) for label in labels]
    columns = [
        _reconsider_key(column, columns, frame, label)
        for column, label in zip(columns, labels, strict=True)
    ]
    if rows:
        pairs = zip(columns, labels, strict=True)
        columns = [_narrow(column, frame[label]) for column, label in pairs]
    _refuse_all_aside(columns, len(frame))
    return TableFormat(columns, labels, dialect, dropped)


def _refuse_all_aside(columns: Sequence[Column], rows: int) -> None:
    """UserError where no column is worth modelling."""
    if columns and all(isinstance(column, AsideColumn) for column in columns):
        found = list_roles(columns)
        seen = count_phrase(rows, "training row")
        raise UserError(
            f"nothing to model in {seen}: {found}; `--kind NAME=category` would model one all the same"
        )


def _narrow(column: Column, series: Any) -> Column:
    """The column; where all its numbers are foreseen, those between which none lies have the open code."""
    if not isinstance(column, ModelledColumn) or not isinstance(column.kind, Grid):
        return column
    codes = column.kind.code(column.cells(series).values)
    if (codes == column.kind.other_code).any():
        return column
    return replace(column, kind=replace(column.kind, unseen=column.kind.without_rows(codes)))


def _reconsider_key(column: Column, columns: Sequence[Column], frame: Any, label: Any) -> Column:
    """The column; where it is a key that others follow from, and are not there in its order, its numbers instead."""
    if not isinstance(column, AsideColumn) or column.why != KEY_REASON:
        return column
    order = np.argsort(np.array([int(text) for text in column.texts(frame[label])], dtype=np.int64))
    named = dict(zip(names_of(frame), frame.columns, strict=True))
    others = [c for c in columns if isinstance(c, ModelledColumn) and c.measures]
    numbers = [c.numbers(c.cells(frame[named[c.name]]))[order] for c in others]
    steps = [np.diff(each) for each in numbers]
    if any((step > 0).all() or (step < 0).all() for step in steps) or not any(
        map(is_smooth, numbers)
    ):
        return column
    why = "whole numbers, of which others are a smooth function"
    return replace(
        guessing.guess_column(count_texts(frame[label], column.name, column.storage), "integer"),
        why=why,
    )


def _learn_column(
    series: Any, label: Any, dialect: Dialect | None, kinds: dict[str, str], rows: int
) -> Column:
    """The column of a label, as it is guessed unless `kinds` says otherwise."""
    name = label_text(label)
    sight = count_texts(series, name, storage(series, name, dialect))
    column = guessing.guess_column(sight, kinds.get(name, kinds.get("*")))
    if isinstance(column, AsideColumn) and column.role == "constant" and rows:
        return change_column(column, unforeseen=share_of_new(0, rows))
    if sight.storage == Storage("str", "text"):
        return change_column(column, storage=Storage(guessing.reader_dtype(column, sight), "text"))
    return column


def check_options(names: list[str], rows: int, kinds: dict[str, str], drop: Iterable[str]) -> None:
    """UserError for a table, an override or a column to drop that cannot be."""
    if not rows:
        raise UserError("the table has no rows")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise UserError(f"the table has more than one column named {repeated!r}; rename one")
    unknown = [name for name in (*kinds, *drop) if name != "*" and name not in names]
    if unknown:
        raise UserError(
            f"there is no column {unknown[0]!r}{did_you_mean(unknown[0], names)}; "
            f"the columns are {list_names(names)}"
        )
    _check_words(kinds)


def _check_words(kinds: dict[str, str]) -> None:
    """UserError for a word that names no kind of column."""
    for name, word in kinds.items():
        if not guessing.is_word(word):
            hint = did_you_mean(word, guessing.KIND_WORDS)
            raise UserError(
                f"column {name!r} cannot be {word!r}{hint}; the words are {', '.join(guessing.KIND_WORDS)}"
            )


def describe_table(format: TableFormat) -> list[str]:
    """Notes on columns: those set aside, what else was guessed of the others, and holes."""
    notes = [f"column {column.name!r} is set aside: {column.describe()}" for column in format.aside]
    notes += [f"column {c.name!r}: {c.why}" for c in format.modelled if "; " in c.why]
    holes = [column for column in format.modelled if column.holes]
    if holes:
        have = f"{count_phrase(len(holes), 'column')} ha{'s' if len(holes) == 1 else 've'}"
        notes.append(f"{have} holes, {holes[0].name!r} {holes[0].holes} in training")
    return notes + [f"column {name!r} is dropped" for name in format.dropped]
