"""Arrow tables as frames, with every value and type: what pandas would change stays in Arrow's own type.

An index is columns: one with a name, and one of texts or times. Whole numbers without a name only number the rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from plausibly.errors import UserError

METADATA = b"pandas"
HOLELESS_TYPE = re.compile(r"u?int\d+|bool")
INDEX_NOTE = "the index, whole numbers without a name, is left out"


def validate(cells: Any) -> Any:
    """The same table or batch. ArrowInvalid where its bytes are damaged, which Arrow itself would follow anywhere."""
    cells.validate(full=True)
    return cells


def refuse_types(schema: Any, name: object) -> None:
    """UserError where such a file has a column of a type that Arrow cannot pick rows of, or show to pandas."""
    import pyarrow as pa

    for kind in dict.fromkeys(schema.types):
        cells, no_places = pa.array([], kind), pa.array([], pa.int64())
        try:
            (cells if pa.types.is_string_view(kind) else cells.take(no_places)).to_pandas()
        except (pa.ArrowException, NotImplementedError, ValueError) as error:
            column = schema.names[schema.types.index(kind)]
            raise UserError(
                f"{name}: column {column!r} holds {kind} cells, which cannot be read; write it again without them, "
                "or as text or numbers"
            ) from error


def refuse_metadata(schema: Any, name: object) -> None:
    """UserError where what pandas wrote beside the columns of such a file cannot be read."""
    if METADATA not in (schema.metadata or {}):
        return
    try:
        frame_of(with_index(schema.empty_table()))
    except Exception as error:  # Arrow's reader of it, and pandas', raise errors of any type
        raise UserError(
            f"{name}: what pandas wrote beside its columns is damaged ({type(error).__name__}); write it again without: "
            "table.replace_schema_metadata()"
        ) from error


def frame_of(table: Any) -> Any:
    """The table, without an index. Whole numbers and truths take types that hold holes too, unless pandas wrote others."""
    import pandas as pd

    schema = table.schema
    own, without = _own_types(schema), _without_holes(schema)
    plain = [place for place in range(table.num_columns) if place not in own]
    frame = table.select(plain).to_pandas() if plain else pd.DataFrame(index=range(len(table)))
    for place, (label, column) in enumerate(zip(labels_of(schema), table.columns, strict=True)):
        if place in own:
            cells = pd.Series(pd.arrays.ArrowExtensionArray(column))
            frame.insert(place, label, cells, allow_duplicates=True)
        elif _widens(column.type) and (column.null_count or schema.names[place] not in without):
            cells = pd.Series(_nullable(column.type).__from_arrow__(column))
            frame.isetitem(place, cells.astype(_nullable(column.type)))
    return frame


def labels_of(schema: Any) -> list[Any]:
    """The labels of the columns in memory, which may be no texts."""
    return list(schema.empty_table().to_pandas().columns)


def _without_holes(schema: Any) -> set[str]:
    """The columns that pandas wrote from whole numbers or truths of numpy's, which hold no holes."""
    columns = _document(schema).get("columns", [])
    found = [each for each in columns if HOLELESS_TYPE.fullmatch(each["numpy_type"])]
    return {each.get("field_name") for each in found}


def _own_types(schema: Any) -> set[int]:
    """The places of columns that pandas would write again as another type."""
    import pyarrow as pa

    empty = schema.empty_table().to_pandas()
    names = [str(place) for place in range(empty.shape[1])]  # a name may come twice
    again = pa.Table.from_pandas(empty.set_axis(names, axis=1), preserve_index=False).schema
    plain = (pa.types.is_dictionary, pa.types.is_string_view)  # which Arrow itself hardly works on
    return {
        place
        for place, (kind, other) in enumerate(zip(schema.types, again.types, strict=True))
        if pa.types.is_null(kind)
        or (kind != other and not any(is_plain(kind) for is_plain in plain))
    }


def _widens(kind: Any) -> bool:
    """True where cells are whole numbers or truths, which most types of pandas hold without holes."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _nullable(kind: Any) -> Any:
    import pandas as pd

    name = str(kind)
    return pd.api.types.pandas_dtype(
        "boolean" if name == "bool" else name.replace("i", "I").replace("u", "U")
    )


def index_levels(schema: Any) -> dict[str, dict[str, Any]]:
    """The levels of an index that become columns, by name: each with its `field` in the file, or its `range`."""
    levels = _levels(schema)
    if len(levels) == 1 and _is_row_number(schema, levels[0]):
        return {}
    plain = ["index"] if len(levels) == 1 else [f"level_{place}" for place in range(len(levels))]
    pairs = zip(levels, plain, strict=True)
    return {other if level["name"] is None else str(level["name"]): level for level, other in pairs}


def index_notes(schema: Any) -> list[str]:
    """Notes on an index, which comes back as columns or not at all."""
    found = [level for level in _levels(schema) if "field" in level]
    names = list(index_levels(schema))
    return [INDEX_NOTE] if len(found) == 1 and not names else as_columns(names)


def as_columns(names: list[str]) -> list[str]:
    """A note on an index that is read as these columns."""
    return [f"the index is read as column {', '.join(map(repr, names))}"] if names else []


def _levels(schema: Any) -> list[dict[str, Any]]:
    """The levels of an index, by what pandas wrote of it."""
    found = _document(schema)
    names = {each.get("field_name"): each["name"] for each in found.get("columns", [])}
    levels = []
    for level in found.get("index_columns", []):
        if isinstance(level, dict):
            levels.append({"name": level["name"], "range": (level["start"], level["step"])})
        elif level in schema.names:
            levels.append({"name": names.get(level), "field": level})
    return levels


def _document(schema: Any) -> dict[str, Any]:
    """The document that pandas wrote beside a table."""
    found: dict[str, Any] = json.loads((schema.metadata or {}).get(METADATA, b"{}"))
    return found


def _is_row_number(schema: Any, level: dict[str, Any]) -> bool:
    import pyarrow as pa

    return level["name"] is None and (
        "range" in level or pa.types.is_integer(schema.field(level["field"]).type)
    )


def with_index(table: Any, first: int = 0) -> Any:
    """The table with its index as columns before the others; its rows begin with the `first` of the whole."""
    import pyarrow as pa

    levels, every = index_levels(table.schema), _levels(table.schema)
    if not every:
        return table
    columns = [_level(table, level, first) for level in levels.values()]
    fields = {level.get("field") for level in every}
    kept = table.select(
        [place for place, name in enumerate(table.schema.names) if name not in fields]
    )
    whole = pa.table([*columns, *kept.columns], names=[*levels, *kept.schema.names])
    document = json.dumps(_without_index(table.schema, levels, fields)).encode()
    return whole.replace_schema_metadata({**table.schema.metadata, METADATA: document})


def _without_index(
    schema: Any, levels: dict[str, dict[str, Any]], fields: set[str | None]
) -> dict[str, Any]:
    """The document that pandas wrote, of the same table with its index as columns."""
    document = _document(schema) | {"index_columns": []}
    others = [each for each in document["columns"] if each.get("field_name") not in fields]
    new = [_level_metadata(level, name, document) for name, level in levels.items()]
    document["columns"] = new + others
    if levels:
        document["column_indexes"] = []  # their names are texts, which other labels need not be
    return document


def _level_metadata(level: dict[str, Any], name: str, document: dict[str, Any]) -> dict[str, Any]:
    """The metadata that pandas would write of a level as a column of that name."""
    counted = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    own = (
        each for each in document["columns"] if each.get("field_name") == level.get("field", ...)
    )
    return {**next(own, counted), "name": name, "field_name": name}


def _level(table: Any, level: dict[str, Any], first: int) -> Any:
    import pyarrow as pa

    if "field" in level:
        return table[level["field"]]
    start, step = level["range"]
    return pa.array(
        range(start + first * step, start + (first + len(table)) * step, step), pa.int64()
    )


def index_to_columns(frame: Any, known: Collection[str] | None = None) -> Any:
    """A frame with its index as columns, or with those levels that are among the `known` ones, numbered from 0.

    UserError where a column has the name of a level.
    """
    import pandas as pd

    index, whole = frame.index, frame.reset_index(drop=True)
    names, columns = level_names(index), {*map(str, frame.columns)}
    for place in reversed(range(len(names))):
        if (
            names[place] not in known or names[place] in columns
            if known is not None
            else is_row_number(index)
        ):
            continue
        if names[place] in columns:
            raise UserError(f"the index and a column are both named {names[place]!r}; rename one")
        whole.insert(0, names[place], pd.Series(index.get_level_values(place)))
    return whole


def is_row_number(index: Any) -> bool:
    """True where an index is whole numbers without a name, which only number the rows."""
    import pandas as pd

    return list(index.names) == [None] and bool(pd.api.types.is_integer_dtype(index.dtype))


def level_names(index: Any) -> list[str]:
    """The names that columns made of an index have."""
    plain = (
        ["index"] if index.nlevels == 1 else [f"level_{place}" for place in range(index.nlevels)]
    )
    return [
        other if name is None else str(name) for name, other in zip(index.names, plain, strict=True)
    ]
