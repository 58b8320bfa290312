"""Kinds of variables, a file each."""

from plausibly.events.kinds.category import Category
from plausibly.events.kinds.grid import Grid
from plausibly.events.kinds.kind import MAX_CODES, MISSING, OTHER, Kind, lists_to_tuples
from plausibly.events.kinds.level import Level
from plausibly.events.kinds.real import (
    HOLE,
    MAX_SCALES,
    REAL_MISSING,
    REAL_OTHER,
    UNFORESEEN,
    Real,
    real_kinds,
)

__all__ = [
    "HOLE",
    "MAX_CODES",
    "MAX_SCALES",
    "MISSING",
    "OTHER",
    "REAL_MISSING",
    "REAL_OTHER",
    "UNFORESEEN",
    "Category",
    "Grid",
    "Kind",
    "Level",
    "Real",
    "lists_to_tuples",
    "real_kinds",
]
