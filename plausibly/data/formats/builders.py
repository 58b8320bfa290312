"""Formats by the containers of their rows, each from what its JSON keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from plausibly.data.columns.column import Column, lists_to_tuples
from plausibly.data.events import Document
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.images import DEEP_GRAY_BITS
from plausibly.data.formats.array_blocks import LabelBlock, RealBlock, WholeBlock
from plausibly.data.formats.array_container import ArrayContainer, LabelledContainer, RealContainer
from plausibly.data.formats.block import Block
from plausibly.data.formats.column_blocks import AsideBlock, ColumnBlock
from plausibly.data.formats.container import Container
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import ColumnMatrix, FrameContainer
from plausibly.data.labels import label_from_json
from plausibly.errors import UserError
from plausibly.events.kinds import Category, Kind, Level, Real
from plausibly.events.schema import Schema

MAX_COLUMNS = 100_000
MALFORMED_ERRORS = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)


def table_format(container: FrameContainer) -> Format:
    """The format of a table. UserError where it has no variables."""
    return Format(_column_blocks(container), container, container)


def matrix_format(container: ColumnMatrix) -> Format:
    """The format of a matrix whose columns are modelled as a table's."""
    return Format(_column_blocks(container), container)


def _column_blocks(container: FrameContainer) -> list[Block]:
    if not container.modelled:
        found = ", ".join(f"{c.name!r} is {c.role}" for c in container.aside[:5])
        raise UserError(f"nothing to model: {found or 'there are no columns'}")
    blocks = [ColumnBlock(column, place) for place, column in enumerate(container.modelled)]
    return [*blocks, *map(AsideBlock, container.aside)]


def array_format(schema: Schema, layout: str, dtype: str, depth: int = DEEP_GRAY_BITS) -> Format:
    """The format of arrays of whole numbers, each of which its kind foresees."""
    container = ArrayContainer(schema, layout, dtype, depth)
    return Format(_whole_blocks(container, 0), container)


def labelled_format(labels: tuple[int, ...], inner: Container) -> Format:
    """The format of such arrays with one of the labels before each row."""
    assert isinstance(inner, ArrayContainer)
    blocks = [LabelBlock(labels), *_whole_blocks(inner, 1)]
    return Format(blocks, LabelledContainer(labels, inner))


def real_format(kinds: tuple[Real, ...], dtype: str) -> Format:
    """The format of matrices of real numbers."""
    if not all(kind.continuous for kind in kinds):
        raise ValueError("arrays of real numbers are of the kind Real")
    container = RealContainer(Schema((len(kinds),), kinds), dtype)
    return Format([RealBlock(kinds, container.names, dtype)], container)


def _whole_blocks(container: ArrayContainer, first: int) -> list[Block]:
    """A block of all variables of each kind, the first of which stands at that place."""
    places: dict[Kind, list[int]] = {}
    for place, kind in enumerate(container.schema.kinds):
        if not isinstance(kind, Category | Level) or kind.open or kind.missing:
            raise ValueError("arrays hold numbers of the kinds Category and Level")
        places.setdefault(kind, []).append(place)
    found = list[Block]()
    for kind, own in places.items():
        whole = len(places) == 1
        at = slice(first, first + len(own)) if whole else np.array(own) + first
        names = tuple(container.names[place] for place in own)
        found.append(WholeBlock(kind, at, names, container.layout == "flat"))
    return found


def _read_table(columns: list[Any], labels: list[Any], dialect: Any, dropped: list[str]) -> Format:
    kept = None if dialect is None else Dialect(**lists_to_tuples(dialect))
    return table_format(FrameContainer(*_read_columns(columns, labels), kept, dropped))


def _read_matrix(table: Document, dtype: str) -> Format:
    return matrix_format(ColumnMatrix(*_read_columns(table["columns"], table["labels"]), dtype))


def _read_columns(columns: list[Any], labels: list[Any]) -> tuple[list[Column], Iterable[Any]]:
    if len(columns) > MAX_COLUMNS or len(labels) != len(columns):
        raise ValueError("too many columns, or labels that do not fit them")
    return [Column.from_json(document) for document in columns], map(label_from_json, labels)


def _read_array(schema: Document, **fields: Any) -> Format:
    return array_format(Schema.from_json(schema), **fields)


def _read_reals(schema: Document, dtype: str) -> Format:
    return real_format(Schema.from_json(schema).kinds, dtype)  # type: ignore[arg-type]


def _read_labelled(labels: list[int], inner: Document) -> Format:
    schema = Schema.from_json(inner["schema"])
    return labelled_format(tuple(labels), ArrayContainer(**inner | {"schema": schema}))


READERS: dict[str, Callable[..., Format]] = {
    FrameContainer.word: _read_table,
    ColumnMatrix.word: _read_matrix,
    ArrayContainer.word: _read_array,
    RealContainer.word: _read_reals,
    LabelledContainer.word: _read_labelled,
}


def format_from_json(document: Document) -> Format:
    """The format that wrote `document`. UserError where it is malformed."""
    try:
        fields = {key: value for key, value in document.items() if key != "format"}
        return READERS[document["format"]](**fields)
    except UserError:
        raise
    except MALFORMED_ERRORS as error:
        raise UserError(
            f"this does not describe a data format: {type(error).__name__}: {error}"
        ) from error
