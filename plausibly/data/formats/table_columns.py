"""Single columns of a table: their texts, shares and descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from plausibly.data.columns import guessing
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cell_texts import texts_of
from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.column import Column
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.storage import Storage, storage_of
from plausibly.data.events import Document
from plausibly.data.files.dialects import Dialect
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Grid


def list_roles(columns: Iterable[Column]) -> str:
    found = [
        f"{column.name!r} is {column.role}" for column in columns if isinstance(column, AsideColumn)
    ]
    return ", ".join(found[:5])


def storage(series: Any, name: str, dialect: Dialect | None) -> Storage:
    return storage_of(series, name) if dialect is None else Storage("str", "text")


def reserve_share(column: ModelledColumn, codes: np.ndarray) -> ModelledColumn:
    kind = column.kind
    if not kind.open or (codes == kind.other_code).any():
        return column
    once = 0
    if isinstance(kind, Category):
        once = int(
            (np.bincount(codes, minlength=kind.codes)[: kind.levels] == 1).sum()
        ) + kind.rare.count(1)
    elif isinstance(kind, Grid) and kind.unseen:
        once = int((np.bincount(codes) == 1).sum())
    return replace(column, kind=replace(kind, unforeseen=share_of_new(once, len(codes))))


def share_of_new(once: int, rows: int) -> float:
    """The smoothed share of cells that show what no row showed, where so many values were seen once (Good & Turing)."""
    return (once + 0.5) / (rows + 1)


def list_names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def refuse_names(missing: list[str], extra: list[str]) -> None:
    """UserError where a table lacks columns or has others besides."""
    if missing or extra:
        said = [f"lacks {list_names(missing)}"] if missing else []
        said += [f"has {list_names(extra)} besides"] if extra else []
        raise UserError(
            f"the columns differ from those in training: this table {' and '.join(said)}"
        )


def partial_codes(
    column: ModelledColumn, cells: ColumnValues, seen: np.ndarray | None
) -> np.ndarray:
    """Events of a column's cells; 0 where they are not `seen`."""
    if seen is None:
        return column.kind.standardise(cells.values)
    codes = np.zeros(len(seen))
    codes[seen] = column.kind.standardise(cells.values[seen])
    return codes


def merge_cells(known: ColumnValues, drawn: ColumnValues, seen: np.ndarray) -> ColumnValues:
    texts = None
    if known.texts is not None or drawn.texts is not None:
        blank = np.full(len(seen), None, dtype=object)
        texts = np.where(
            seen, *(blank if side.texts is None else side.texts for side in (known, drawn))
        )
    return ColumnValues(np.where(seen, known.values, drawn.values), texts)


def column_texts(column: Column | None, series: Any, name: str) -> np.ndarray:
    """A column's cells as texts for a file: those that are texts as they are, all others as the column spells them."""
    import pandas as pd

    index, texts = texts_of(series, name)
    hole = "" if column is None else column.hole
    spelled = column is None or pd.api.types.infer_dtype(series, skipna=True) == "string"
    cells = np.array(
        [*(texts if spelled or column is None else column.canonical(texts)), hole], dtype=object
    )
    return np.asarray(cells[index])


def describe_column(column: Column) -> Document:
    codes = column.kind.codes if isinstance(column, ModelledColumn) else None
    found = {
        "name": column.name,
        "kind": column.word,
        "codes": codes,
        "holes": column.holes,
    } | column.details()
    others = [
        word
        for word in guessing.KIND_WORDS
        if word not in (found["kind"], "boolean", "text", "constant")
    ]
    return found | {"guess": column.why, "override": f"--kind {column.name}={'|'.join(others)}"}
