"""The type of a column, guessed once from its training rows; the column report says it, a name overrides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from plausibly.data.columns import guesses, numbers, types
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cell_types import in_ticks
from plausibly.data.columns.cells import is_hole
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import ColumnSample
from plausibly.data.columns.storage import Storage
from plausibly.errors import UserError, count_phrase
from plausibly.events.kinds import Category

SAID = "as you said"
TRUTH_PAIRS = [{f, t} for f, t in zip(types.FALSE_WORDS, types.TRUE_WORDS, strict=True)]


def is_word(word: str) -> bool:
    """True of a word by which a user can say what a column is."""
    return word in KIND_WORDS or word.startswith("date:")


def guess_column(sight: ColumnSample, override: str | None = None) -> Column:
    """The column's type. With an override it is that type; UserError where no cell fits."""
    if override is not None:
        return _apply_override(sight, override)
    for attempt in _attempts(sight.storage):
        if column := attempt(sight):
            return column
    if sight.storage.kind == "category":
        return guesses.make_category(sight, "by its type")
    why = guesses.explain_texts(sight) or _words(sight)
    return guesses.make_category(sight, why)


def _words(sight: ColumnSample) -> str:
    """That a column holds texts; and that a word which elsewhere stands for a hole is a value here, empty cells are holes."""
    found = [] if sight.storage.exact else sorted(filter(is_hole, sight.texts))
    if not found:
        return "text"
    said = "is a value" if len(found) == 1 else "are values"
    return f"text; {' and '.join(map(repr, found))} {said} like any other, and only an empty cell is a hole"


def _attempts(storage: Storage) -> list[Callable[[ColumnSample], Column | None]]:
    if storage.kind == "category":
        return [guess_constant, guess_boolean]
    if storage.is_timed:
        return [guess_constant, guesses.guess_date]
    keys = [guess_constant, guess_single_value, guess_boolean, guesses.guess_identifier]
    dates = [guesses.guess_date, guesses.guess_ambiguous]
    rest = [guesses.guess_code, guesses.guess_number, guesses.guess_label]
    return [*keys, *dates, *rest]


def _apply_override(sight: ColumnSample, word: str) -> Column:
    word, _, form = word.partition(":")
    if word in ("integer", "number", "real"):
        sight = _count_durations(sight, word)
    if column := guesses.guess_date_as(sight, form) if form else OVERRIDES[word](sight):
        return column
    shown = ", ".join(map(repr, sight.texts[:3]))
    count = count_phrase(len(sight.texts), "distinct value")
    raise UserError(f"column {sight.name!r} cannot be {word}: it holds {count}, such as {shown}")


def _count_durations(sight: ColumnSample, word: str) -> ColumnSample:
    """The cells that shall be numbers, durations among them as ticks. UserError where texts have signs of other things."""
    if sight.storage.kind == "duration":
        sight = replace(sight, texts=in_ticks(sight.texts, sight.storage.dtype))
    if reason := guesses.explain_signs(sight):
        raise UserError(f"column {sight.name!r} cannot be {word}: it {reason}")
    return sight


def guess_constant(sight: ColumnSample) -> Column | None:
    """One value, or only holes."""
    if len(sight.texts) > 1 or (sight.texts and sight.holes):
        return None
    why = "only one value" if sight.texts else "only holes"
    return AsideColumn(**sight.common(why), role="constant", text=next(iter(sight.texts), None))


def guess_single_value(sight: ColumnSample) -> Column | None:
    single = len(sight.texts) == 1
    return guesses.make_category(sight, "one value and holes") if single else None


def guess_boolean(sight: ColumnSample) -> Column | None:
    two = len(sight.texts) == 2
    return (
        _guess_any_boolean(sight) if two and {*map(str.lower, sight.texts)} in TRUTH_PAIRS else None
    )


def _guess_any_boolean(sight: ColumnSample) -> Column | None:
    if len(sight.texts) != 2:
        return None
    spellings = tuple(sorted(sight.texts, key=str.lower))
    why = f"only {spellings[0]} and {spellings[1]}"
    kind = Category(2, open=True, missing=sight.holes > 0)
    return types.BooleanColumn(**sight.common(why), kind=kind, spellings=spellings)


OVERRIDES: dict[str, Callable[[ColumnSample], Column | None]] = {
    "boolean": _guess_any_boolean,
    "category": lambda sight: guesses.make_category(sight, SAID),
    "integer": lambda sight: guesses.grid_column(sight.known, 0),
    "number": guesses.guess_number,
    "real": lambda sight: guesses.real_column(sight.known.pointed, SAID),
    "date": guesses.guess_any_date,
    "id": lambda sight: guesses.set_aside(sight, "id", SAID),
    "text": lambda sight: guesses.set_aside(sight, "text", SAID),
    "constant": guess_constant,
}
KIND_WORDS = (*OVERRIDES, "drop")


def reader_dtype(column: Column, sight: ColumnSample) -> str:
    """The dtype that a reader of text files would give the column."""
    whole = "Int64" if column.holes else "int64"
    if isinstance(column, types.RealColumn):
        return whole if column.style == "whole" else "float64"
    if isinstance(column, types.GridColumn):
        return whole if not column.decimals and _have_no_points(sight) else "float64"
    truths = {*map(str.lower, sight.texts)} == {"true", "false"}
    if isinstance(column, types.BooleanColumn) and truths:
        read = "boolean" if column.holes else "bool"
        return read if {*sight.texts} == {"True", "False"} else "str"
    labels = isinstance(column, types.CategoryColumn) or not sight.texts
    return "str" if labels or not _are_whole(sight) else whole


def _have_no_points(sight: ColumnSample) -> bool:
    """True where no number among texts is written with a point or an exponent."""
    marks = {".", "e", "E"} & sight.characters
    pairs = zip(sight.texts, sight.numbers, strict=True) if marks else ()
    return not any(number and marks & {*text} for text, number in pairs)


def _are_whole(sight: ColumnSample) -> bool:
    """True where all texts are whole numbers as Python writes them."""
    steps = [numbers.number_in_steps(number, 0) for number in sight.numbers]
    return [None if step is None else str(step) for step in steps] == sight.texts
