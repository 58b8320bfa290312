"""The format of a table, learned from training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from torch import Tensor

from plausibly.data.columns import guessing
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import count_texts
from plausibly.data.columns.guesses import KEY_REASON
from plausibly.data.columns.identifiers import is_smooth
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import Storage, storage_of
from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.files.dialects import Dialect
from plausibly.data.formats.column_blocks import column_cells
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import FrameContainer, list_names, refuse_repeated
from plausibly.data.labels import label_text, names_of
from plausibly.data.relations.finding import (
    NO_ROLES,
    Roles,
    find_relations,
    learn_followers,
    read_relation,
)
from plausibly.data.relations.relation import Relation
from plausibly.errors import UserError, count_phrase, did_you_mean
from plausibly.events.kinds import Category, Grid, Kind

COLUMNS_PER_REPORT = 500  # after which progress is told
MAX_FOLLOWED_ROWS = 100_000  # training rows in which relations are looked for
FOUND = "found"  # in a list of relations: those that are found
TEXT = Storage("str", "text")


def learn_table_format(
    frame: Any,
    dialect: Dialect | None,
    kinds: dict[str, str],
    drop: Iterable[str],
    rows: int = 0,
    on_progress: RowProgress = ignore_progress,
) -> Format:
    """The format of a table, from its training rows, or from some of so many `rows`; 0 stands for those of an array."""
    dropped = [*drop, *(name for name, word in kinds.items() if word == "drop")]
    left_out = {*dropped}
    labels = [label for label in frame.columns if label_text(label) not in left_out]
    columns = learn_columns(frame, labels, dialect, kinds, rows, on_progress)
    return Format(FrameContainer(columns, labels, dialect, dropped))


def learn_columns(
    frame: Any,
    labels: list[Any],
    dialect: Dialect | None,
    kinds: dict[str, str],
    rows: int,
    on_progress: RowProgress = ignore_progress,
) -> list[Column]:
    """The columns of these labels, from training rows, as above. UserError where none is worth modelling."""
    cells = dict(zip(names_of(frame), (series for _, series in frame.items()), strict=True))
    columns: list[Column] = []
    for place, name in enumerate(map(label_text, labels)):
        if place and not place % COLUMNS_PER_REPORT:
            on_progress(place * len(frame), len(labels) * len(frame))
        columns.append(_learn_column(cells[name], name, dialect, kinds, rows))
    columns = [
        _reconsider_key(column, columns, frame, label)
        for column, label in zip(columns, labels, strict=True)
    ]
    _refuse_all_aside(columns, len(frame))
    return columns


@dataclass(frozen=True)
class RelationWishes:
    """The relations that columns shall follow by: those that are `said`, and, with `sought`, those that are found.

    Of these none has the target as a parent, and none leads out of the context. With `blind` none is looked for at all.
    """

    sought: bool = True
    said: tuple[str, ...] = ()
    blind: bool = False
    roles: Roles = NO_ROLES

    @classmethod
    def of(cls, relations: bool | Sequence[str] | None, roles: Roles) -> Self:
        """As `load` is asked: all that are found, none, or a list, in which FOUND stands for those that are found."""
        if relations is None or isinstance(relations, bool):
            return cls(bool(relations), (), relations is False, roles)
        said = tuple(text for text in relations if text != FOUND)
        return cls(FOUND in relations, said, False, roles)


def follow_relations(
    format: Format, rows: Any, wishes: RelationWishes
) -> tuple[Format, list[Relation]]:
    """The format whose columns follow from others, by training rows; and all relations that are known of them."""
    if len(format.names) < 2 or wishes.blind:
        return format, []
    table = format.table
    assert table is not None
    if len(rows) > MAX_FOLLOWED_ROWS:
        rows = rows.iloc[np.linspace(0, len(rows) - 1, MAX_FOLLOWED_ROWS).astype(np.int64)]
    pairs = column_cells(format.blocks, format.events(rows).values)
    said = [read_relation(text, pairs) for text in wishes.said]
    found, followed = find_relations(pairs, wishes.roles, [each for each in said if each.follows])
    if not wishes.sought:
        followed = [each for each in followed if each in said]
    texts = {each.text for each in said}
    known = [*said, *(each for each in found if each.text not in texts)]
    if not followed:
        return format, known
    return Format(table.with_followers(learn_followers(followed, pairs))), known


def reserve_unseen(format: Format, train: Tensor) -> Format:
    """The format with the probability of a cell never seen, of each column in which none of these codes is one.

    It is the smoothed share of cells that are new, (n1 + 1/2) / (n + 1), with n1 levels seen once.
    """
    codes = format.schema.event_codes(train).numpy().T
    return format.with_kinds(list(map(_reserve_share, format.schema.kinds, codes)))


def _reserve_share(kind: Kind, codes: np.ndarray) -> Kind:
    if not kind.open or (codes == kind.other_code).any():
        return kind
    once = 0
    if isinstance(kind, Category):
        counts = np.bincount(codes, minlength=kind.codes)[: kind.levels]
        once = int((counts == 1).sum()) + kind.rare.count(1)
    elif isinstance(kind, Grid) and kind.unseen:
        once = int((np.bincount(codes) == 1).sum())
    return kind.reserve(share_of_new(once, len(codes)))


def share_of_new(once: int, rows: int) -> float:
    """The smoothed share of cells that show what no row showed, where so many values were seen once (Good & Turing)."""
    return (once + 0.5) / (rows + 1)


def _refuse_all_aside(columns: Sequence[Column], rows: int) -> None:
    """UserError where no column is worth modelling."""
    if columns and all(isinstance(column, AsideColumn) for column in columns):
        found = ", ".join(
            f"{c.name!r} is {c.role}" for c in columns[:5] if isinstance(c, AsideColumn)
        )
        seen = count_phrase(rows, "training row")
        raise UserError(
            f"nothing to model in {seen}: {found}; `--kind NAME=category` would model one all the same"
        )


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
    sight = count_texts(frame[label], column.name, column.storage, narrow=True)
    return replace(guessing.guess_column(sight, "integer"), why=why)


def _learn_column(
    series: Any, name: str, dialect: Dialect | None, kinds: dict[str, str], rows: int
) -> Column:
    """The column of a name, as it is guessed unless `kinds` says otherwise."""
    stored = storage_of(series, name) if dialect is None else TEXT
    sight = count_texts(series, name, stored, narrow=rows > 0)
    column = guessing.guess_column(sight, kinds.get(name, kinds.get("*")))
    if isinstance(column, AsideColumn) and column.role == "constant" and rows:
        return replace(column, unforeseen=share_of_new(0, rows))
    if stored != TEXT:
        return column
    return replace(column, storage=Storage(guessing.reader_dtype(column, sight), "text"))


def check_options(names: list[str], rows: int, kinds: dict[str, str], drop: Iterable[str]) -> None:
    """UserError for a table, an override or a column to drop that cannot be."""
    if not rows:
        raise UserError("the table has no rows")
    refuse_repeated(names, "the table")
    known = {"*", *names}
    unknown = [name for name in (*kinds, *drop) if name not in known]
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
