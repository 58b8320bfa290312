"""Questions from named values: `city=Rome` as a row of which only that cell is observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from plausibly.data.columns.conditions import single_condition
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.data.labels import label_text
from plausibly.errors import UserError, did_you_mean
from plausibly.events.evidence import Evidence


class Question(NamedTuple):
    """Which distribution variable `target` has in each row given what is known of the others: `events`, as evidence."""

    evidence: Evidence
    target: int
    events: Events


def place_of_name(names: Sequence[str], name: Any) -> int:
    """Where the name, or the label that it is made of, stands among those of the variables. UserError lists these."""
    name = label_text(name)
    if name not in names:
        known = f"columns: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        raise UserError(f"there is no column {name!r}{did_you_mean(name, names)}; {known}")
    return names.index(name)


def variable_named(format: Format, name: Any) -> int:
    """The variable of that name. UserError names those that there are."""
    return place_of_name(format.names, name)


def question(format: Format, given: Mapping[Any, Any]) -> Events:
    """One row of which only the given cells are observed. UserError for a column or a value that is not known."""
    given = {
        format.names[variable_named(format, name)]: single_condition(label_text(name), value)
        for name, value in given.items()
    }
    events = format.parse_question(given)
    codes = format.schema.event_codes(events.codes)[0]
    for name, value in given.items():
        i = variable_named(format, name)
        if int(codes[i]) == format.schema.kinds[i].other_code:
            raise UserError(
                f"{value!r} was never seen in column {name!r}{column_hint(format, name, str(value))}"
            )
    return events


def free_variable(format: Format, name: Any, given: Iterable[Any]) -> int:
    """The variable of that name, of which one asks. UserError where it is given."""
    place = variable_named(format, name)
    if label_text(name) in map(label_text, given):
        raise UserError(f"{label_text(name)!r} is given; ask for a column that is not")
    return place


def ask_column(format: Format, target: Any, given: Mapping[Any, Any]) -> Question:
    """The question about a column in one row of which only the given cells are observed."""
    place, events = free_variable(format, target, given), question(format, given)
    return Question(events.evidence(), place, events)


def column_hint(format: Format, name: str, value: str) -> str:
    """The contents of a column, for a message."""
    column = next((c for c in format.describe() if c.get("name") == name), {})
    levels = [str(level) for level in column.get("levels") or []]
    if levels:
        return f"{did_you_mean(value, levels)}; it holds {', '.join(levels[:10])}"
    return f"; it holds {' to '.join(map(str, column['range']))}" if column.get("range") else ""
