"""The JSON Schema of a row of a run's data: its columns, levels and ranges."""

from __future__ import annotations

from typing import Any

from plausibly.data.formats.format import Format

MAX_LEVELS = 1000  # that a schema lists


def describe_row(format: Format) -> dict[str, Any]:
    """The JSON Schema of one row: an object of columns, or an array of numbers."""
    if format.table is None:
        return array_schema(format.container.shape)
    columns = {entry["name"]: column_schema(entry) for entry in format.describe()}
    modelled = [column.name for column in format.table.modelled]
    return {
        "type": "object",
        "properties": columns,
        "required": modelled,
        "additionalProperties": False,
    }


def array_schema(shape: tuple[int, ...]) -> dict[str, Any]:
    """Numbers in an array of this shape."""
    found: dict[str, Any] = {"type": "number"}
    for size in reversed(shape):
        found = {"type": "array", "items": found, "minItems": size, "maxItems": size}
    return found


def column_schema(entry: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a cell, from what `data` tells of its column. Null is a hole, or what is asked for."""
    about = ", ".join(
        f"{name}: {entry[name]}"
        for name in ("kind", "guess", "resolution", "unit")
        if entry.get(name)
    )
    found: dict[str, Any] = {"description": about}
    if "levels" in entry and 0 < len(entry["levels"]) <= MAX_LEVELS:
        found["examples"] = entry["levels"][:20]
    if "range" in entry:
        found["description"] = (
            f"{about}, training rows from {entry['range'][0]} to {entry['range'][1]}"
        )
    return found | {"type": ["string", "number", "boolean", "null"]}
