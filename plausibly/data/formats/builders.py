"""Formats from what their JSON keeps: the arguments of a container, each under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plausibly.data.columns.column import Column
from plausibly.data.events import Document
from plausibly.data.files.dialects import Dialect
from plausibly.data.formats.array_container import ArrayContainer, LabelledContainer, RealContainer
from plausibly.data.formats.container import Container
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import ColumnMatrix, FrameContainer
from plausibly.data.labels import label_from_json
from plausibly.data.relations.following import Follower
from plausibly.errors import UserError
from plausibly.events.kinds import lists_to_tuples
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


def _read_columns(documents: list[Document]) -> list[Column]:
    if len(documents) > MAX_COLUMNS:
        raise ValueError("too many columns")
    return [Column.from_json(document) for document in documents]


def _read_arguments(document: Document) -> dict[str, Any]:
    return {
        name: READERS[name](kept) if name in READERS and kept is not None else kept
        for name, kept in document.items()
    }


READERS: dict[str, Callable[[Any], Any]] = {
    "columns": _read_columns,
    "followers": lambda documents: [Follower.from_json(document) for document in documents],
    "labels": lambda labels: tuple(map(label_from_json, labels)),
    "dialect": lambda document: Dialect(**lists_to_tuples(document)),
    "schema": Schema.from_json,
    "table": lambda document: FrameContainer(**_read_arguments(document)),
    "inner": lambda document: ArrayContainer(**_read_arguments(document)),
}
CONTAINERS: dict[str, Callable[..., Container]] = {
    each.word: each
    for each in (FrameContainer, ColumnMatrix, ArrayContainer, RealContainer, LabelledContainer)
}


def format_from_json(document: Document) -> Format:
    """The format that wrote `document`. UserError where it is malformed."""
    try:
        arguments = _read_arguments(document)
        return Format(CONTAINERS[arguments.pop("format")](**arguments))
    except UserError:
        raise
    except MALFORMED_ERRORS as error:
        raise UserError(
            f"this does not describe a data format: {type(error).__name__}: {error}"
        ) from error
