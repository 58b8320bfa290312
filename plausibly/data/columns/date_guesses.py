"""Columns of dates, times and durations, guessed from their texts or their type."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from plausibly.data.columns import date_patterns, numbers
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import ColumnSample
from plausibly.data.columns.date_forms import form_of, plain_form, shortest_form
from plausibly.data.columns.date_patterns import common_form, date_ticks_in
from plausibly.data.columns.numbers import MIN_SHARE
from plausibly.data.columns.text_guesses import make_category, set_aside
from plausibly.data.columns.types import DateColumn
from plausibly.errors import UserError
from plausibly.events.kinds import OTHER

MONTH_NAME = re.compile(r"(?i)month|period|monat|mois|mes$|yyyymm|year_?mon|(^|_)ym($|_)")
COMPACT_MONTH = re.compile(r"(1[89]|2[01])\d\d(0[1-9]|1[0-2])", re.ASCII)
MANY_MONTHS = 25  # in order and without a gap are months by no chance
AMBIGUOUS_REASON = "day and month are ambiguous; write 2020-12-05"


def guess_date(sight: ColumnSample) -> Column | None:
    """Nearly all cells are dates or times of one form; words such as NULL may stand for holes."""
    if sight.storage.is_timed:
        return _date_by_type(sight)
    if _compact_months(sight):
        return _date_column(sight, "%Y%m", "months as %Y%m")
    forms, known = sight.date_forms, sight.known
    if len(forms) == 1:
        return _date_column(sight, forms[0], f"dates or times as {forms[0]}")
    if forms or not date_patterns.looks_dated(known.texts):
        return None
    form = common_form(known.texts, known.counts)
    why = f"dates or times of several forms; read and drawn as {form}"
    return _date_column(sight, form, why) if form else None


def _compact_months(sight: ColumnSample) -> bool:
    """True where all cells are months such as 202012, by name or because none lacks between the first and last."""
    texts = sight.known.texts
    if not texts or not all(map(COMPACT_MONTH.fullmatch, texts)):
        return False
    months = form_of("%Y%m").read(texts)
    span = int(months.max() - months.min()) + 1
    return bool(MONTH_NAME.search(sight.name)) or (span >= MANY_MONTHS and len(texts) == span)


def _date_by_type(sight: ColumnSample) -> Column | None:
    """A date, time or duration by its type, in the shortest form that says its cells whole."""
    storage = sight.storage
    long = plain_form(sight.texts)
    known = long.read(sight.texts)
    if not (known != OTHER).any():
        return None
    zone = "" if storage.zone is None else ", in UTC"
    zone = f", local times of {storage.zone}" if storage.local else zone
    form = shortest_form(known[known != OTHER], long)
    return _date_in_form(sight, form.pattern, f"{storage.kind}s by their type{zone}")


def _date_in_form(sight: ColumnSample, form: str, why: str) -> Column | None:
    """Typed times as dates of a form."""
    texts = plain_form(sight.texts).reformat(sight.texts, form_of(form))
    return _date_column(replace(sight, texts=texts), form, why)


def guess_any_date(sight: ColumnSample) -> Column | None:
    """As `date`; where day and month cannot be told apart, the month comes first."""
    if sight.storage.is_timed:
        return guess_date(sight)
    forms = sight.date_forms
    if len(forms) < 2:
        return guess_date(sight)
    form = next(form for form in forms if form[1:].lstrip("-").startswith("m"))
    return _date_column(sight, form, f"day and month are ambiguous; read as {form}")


def guess_date_as(sight: ColumnSample, form: str) -> Column | None:
    """Dates of the form that the user names."""
    try:
        form_of(form)
    except ValueError as error:
        raise UserError(f"column {sight.name!r}: {error}") from error
    return (_date_in_form if sight.storage.is_timed else _date_column)(sight, form, "as you said")


def guess_ambiguous(sight: ColumnSample) -> Column | None:
    """Dates whose day and month may be either."""
    forms = sight.date_forms
    if len(forms) < 2:
        return None
    return make_category(sight, f"{AMBIGUOUS_REASON}, or say --kind {sight.name}=date:{forms[0]}")


def _date_column(sight: ColumnSample, pattern: str, why: str) -> Column | None:
    sight, form = sight.known, form_of(pattern)
    ticks = date_ticks_in(sight.texts, form)
    known = ticks != OTHER
    values, counts = ticks[known], sight.counts[known]
    if not len(values) or counts.sum() < MIN_SHARE * sight.rows:
        return None
    unit, word = form.step(values)
    units = values // unit
    if np.abs(units).max() >= numbers.MAX_STEPS:
        return set_aside(
            sight, "text", f"times to {word} have too many steps; round them to model them"
        )
    every, start = numbers.number_lattice(units, counts)
    kind = numbers.learn_grid((units - start) // every, counts, sight.holes > 0)
    name = word if every == 1 else f"{every} {word}s"
    lattice: dict[str, Any] = {"step": every * unit, "start": start * unit, "unit": name}
    span = tuple(form.write(np.array([values.min(), values.max()])))
    return DateColumn(
        **sight.common(why), **sight.marks, **lattice, kind=kind, form=pattern, span=span
    )
