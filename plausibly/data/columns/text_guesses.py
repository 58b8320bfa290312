"""Columns of texts: keys, labels, free texts and categories."""

from __future__ import annotations

import re

from plausibly.data.columns import identifiers, numbers
from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.column import Column
from plausibly.data.columns.column_sample import FEW_LEVELS, ColumnSample
from plausibly.data.columns.remarks import explain_codes, explain_signs, explain_texts
from plausibly.data.columns.types import CategoryColumn
from plausibly.events.kinds import Category

ID_NAME = re.compile(
    r"(.*[_ .-])?(?i:id|rownames?|row|rownum|index|key|uuid|guid|no|nr|num|serial)|.*[a-z](Id|ID)|Unnamed: 0|"
)
KEY_REASON = "named like a key, each value once"
FREE_TEXT_REASON = (
    "free text, mostly different; columns made of it can be modelled, such as its length "
    "or whether it holds a word"
)
MAX_OWN_LEVELS = 256  # levels with a code of their own
MIN_LEVEL_ROWS = 5  # rows of such a level
NEARLY_DISTINCT_SHARE = 0.95  # distinct texts, of all rows
MIN_LABEL_ROWS = 20  # rows; in fewer, texts are different by chance
LONG_TEXT_CHARACTERS = 40


def guess_identifier(sight: ColumnSample) -> Column | None:
    """Keys: whole numbers, all distinct, of a column that is named so."""
    if not sight.distinct or sight.storage.kind == "float" or sight.rows < 2:
        return None
    if not ID_NAME.fullmatch(sight.name) or sight.matches(numbers.LEADING_ZERO).any():
        return None
    whole = all(numbers.number_in_steps(number, 0) is not None for number in sight.numbers)
    return set_aside(sight, "id", KEY_REASON) if whole else None


def set_aside(sight: ColumnSample, role: str, why: str) -> Column:
    texts = sight.texts if role == "id" else []
    making = identifiers.learn_ids(texts) if texts else identifiers.IdGenerator()
    return AsideColumn(**sight.common(why), role=role, **vars(making))


def guess_code(sight: ColumnSample) -> Column | None:
    """Labels that look like numbers."""
    if explain_codes(sight):
        return guess_label(sight) or make_category(sight, explain_texts(sight))
    return None


def guess_label(sight: ColumnSample) -> Column | None:
    """Texts that are nearly all different say nothing about each other, nor do long ones of which most are."""
    if sight.rows < MIN_LABEL_ROWS or len(sight.texts) < sight.rows / 2 or explain_signs(sight):
        return None
    length = sum(map(len, sight.texts)) / len(sight.texts)
    words = sum(" " in text for text in sight.texts) > len(sight.texts) / 2
    nearly = len(sight.texts) >= NEARLY_DISTINCT_SHARE * sight.rows
    if not nearly and not (words and length > LONG_TEXT_CHARACTERS):
        return None
    if length > LONG_TEXT_CHARACTERS or words:
        return set_aside(sight, "text", explain_texts(sight) or FREE_TEXT_REASON)
    return set_aside(sight, "id", explain_texts(sight) or "nearly every value occurs once")


def make_category(sight: ColumnSample, why: str) -> Column:
    """Levels by how often they occur; each frequent one has its own code."""
    order = sorted(range(len(sight.texts)), key=lambda i: (-sight.counts[i], sight.texts[i]))
    counts = [int(sight.counts[i]) for i in order]
    own = len(order)
    if own > FEW_LEVELS:
        own = max(1, min(MAX_OWN_LEVELS, sum(count >= MIN_LEVEL_ROWS for count in counts)))
    kind = Category(own, tuple(counts[own:]), open=True, missing=sight.holes > 0)
    return CategoryColumn(
        **sight.common(why), kind=kind, levels=tuple(sight.texts[i] for i in order)
    )
