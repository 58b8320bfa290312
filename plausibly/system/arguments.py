"""Arguments in their range."""

from __future__ import annotations

from numbers import Integral, Real


def is_whole_number(value: object) -> bool:
    """True of a whole number, which a truth is not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """ValueError for an argument that is no number or out of range; between whole ends, for one that is not whole."""
    whole = isinstance(least, int) and isinstance(most, int)
    fits = (
        is_whole_number(value) if whole else isinstance(value, Real) and not isinstance(value, bool)
    )
    if not (fits and least <= value <= most):
        among = "a whole number from " if whole and not is_whole_number(value) else ""
        raise ValueError(f"{name} = {value}; it can be {among}{least:,} to {most:,}")
