"""Kinds as documents of JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from plausibly.events.grid import Grid
from plausibly.events.kinds import Category, Kind, Level, Real

KINDS: dict[str, type[Kind]] = {
    kind.__name__.lower(): kind for kind in (Category, Level, Grid, Real)
}


def kind_to_json(kind: Kind) -> dict[str, Any]:
    return {"kind": type(kind).__name__.lower(), **asdict(kind)}


def kind_from_json(document: dict[str, Any]) -> Kind:
    """Raises ValueError for an unknown kind, TypeError for unknown fields."""
    name = document.get("kind")
    if name not in KINDS:
        raise ValueError(f"unknown kind {name!r}; known: {', '.join(KINDS)}")
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in document.items() if k != "kind"
    }
    return KINDS[name](**fields)
