"""Kinds from documents of JSON."""

from __future__ import annotations

from typing import Any

from plausibly.events.kinds.category import Category
from plausibly.events.kinds.grid import Grid
from plausibly.events.kinds.kind import Kind
from plausibly.events.kinds.level import Level
from plausibly.events.kinds.real import Real

KINDS: dict[str, type[Kind]] = {
    kind.__name__.lower(): kind for kind in (Category, Level, Grid, Real)
}


def kind_from_json(document: dict[str, Any]) -> Kind:
    """The kind that gives this document. Raises ValueError for an unknown kind, TypeError for unknown fields."""
    name = document.get("kind")
    if name not in KINDS:
        raise ValueError(f"unknown kind {name!r}; known: {', '.join(KINDS)}")
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in document.items() if k != "kind"
    }
    return KINDS[name](**fields)
