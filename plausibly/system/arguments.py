"""Arguments in their range."""

from __future__ import annotations


def check_range(name: str, value: float, least: float, most: float) -> None:
    """ValueError for an argument out of range."""
    if not least <= value <= most:
        raise ValueError(f"{name} = {value}; it can be {least:,} to {most:,}")
