"""Formulas over columns: `tenure * monthly + 5`, `(x + y) / 2`, `time // 100`, `month(date)`.

Numbers, names of columns, + - * / // % and the functions below, with the precedence that they have in Python. A name
that is no identifier stands in quotes of either sort. Everything is float64, in an order that the text fixes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from plausibly.errors import UserError, did_you_mean

TOKEN = re.compile(
    r"""(?P<quoted>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<word>[^\W\d]\w*)|\d[\d.]*(?:[eE][+-]?\d+)?|."""
)
RELATION_MARKS = ("=", "~", "<=", "from")
MAX_FORMULA = 2_000  # characters


def clock_minutes(times: np.ndarray) -> np.ndarray:
    """The minutes since midnight of times written as whole numbers, 1459 for 14:59."""
    return times - 40 * np.floor(times / 100)


def clock_time(minutes: np.ndarray) -> np.ndarray:
    """The time of day of minutes since midnight as such a whole number."""
    return minutes + 40 * np.floor(minutes / 60)


def calendar_part(unit: str, days: np.ndarray) -> np.ndarray:
    """The year, month or day of the month of days since 1970, NaN for NaN."""
    known = np.isfinite(days) & (np.abs(days) < 1e8)
    whole = np.floor(np.where(known, days, 0)).astype(np.int64).astype("datetime64[D]")
    months = whole.astype("datetime64[M]")
    found = {
        "year": months.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": months.astype(np.int64) % 12 + 1,
        "day": (whole - months.astype("datetime64[D]")).astype(np.int64) + 1,
    }
    return np.where(known, found[unit], np.nan)


def hour_of(days: np.ndarray) -> np.ndarray:
    """The hour of the day of days since 1970 with fractions."""
    return np.floor((days - np.floor(days)) * 24 + 1e-6)


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "clock": clock_minutes,
    "hhmm": clock_time,
    "year": lambda days: calendar_part("year", days),
    "month": lambda days: calendar_part("month", days),
    "day": lambda days: calendar_part("day", days),
    "weekday": lambda days: np.mod(np.floor(days) + 3, 7),
    "hour": hour_of,
    "round": np.rint,
}
OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}


@dataclass(frozen=True)
class Formula:
    """A formula, as it is written, over these columns in the order in which it names them."""

    text: str
    columns: tuple[str, ...]

    @cached_property
    def _tree(self) -> ast.expr:
        return _parse(self.text, self.columns)

    @property
    def sort(self) -> str:
        """A word for what it does: sum, product, clock, part, or formula for all else."""
        nodes = [*ast.walk(self._tree)]
        calls = {
            node.func.id
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        marks = {type(node.op) for node in nodes if isinstance(node, ast.BinOp)}
        if calls & {"clock", "hhmm"} or (ast.Mod in marks and ast.Sub in marks):
            return "clock"
        if calls or marks & {ast.Mod, ast.FloorDiv}:
            return "part"
        times = [
            n for n in nodes if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult | ast.Div)
        ]
        scaled = all(
            isinstance(n.left, ast.Constant) or isinstance(n.right, ast.Constant) for n in times
        )
        return "sum" if scaled else "product"

    def evaluate(self, amounts: Mapping[str, np.ndarray]) -> np.ndarray:
        """The formula of each row, float64; NaN or infinite where a column has no number, or there is none."""
        with np.errstate(all="ignore"):
            found = self._value(self._tree, amounts)
        return np.asarray(found, dtype=np.float64)

    def _value(self, node: ast.expr, amounts: Mapping[str, np.ndarray]) -> Any:
        match node:
            case ast.Constant(value=float() | int() as number):
                return np.float64(number)
            case ast.Name(id=place):
                return amounts[self.columns[int(place[1:])]]
            case ast.UnaryOp(operand=inner):
                return -self._value(inner, amounts)
            case ast.BinOp(left=left, op=operation, right=right):
                sides = self._value(left, amounts), self._value(right, amounts)
                return OPERATIONS[type(operation)](*sides)
            case ast.Call(func=ast.Name(id=name), args=[inner]):
                return FUNCTIONS[name](self._value(inner, amounts))
        raise ValueError(f"{ast.dump(node)} is no formula")


def quote_name(name: str) -> str:
    """A column's name as a formula has it."""
    plain = name.isidentifier() and name not in FUNCTIONS and name != "from"
    return name if plain else repr(name)


def read_formula(text: str, names: Sequence[str]) -> Formula:
    """A formula over some of these columns. UserError for what is none."""
    if len(text) > MAX_FORMULA:
        raise UserError(f"a formula has at most {MAX_FORMULA:,} characters")
    found = dict.fromkeys(_names_in(text))
    for name in found:
        if name not in names:
            raise UserError(f"there is no column {name!r} for {text!r}{did_you_mean(name, names)}")
    if not found:
        raise UserError(f"{text!r} names no column")
    formula = Formula(text, tuple(found))
    try:
        formula.evaluate({name: np.zeros(1) for name in found})
    except (ValueError, SyntaxError, KeyError, RecursionError) as error:
        raise UserError(
            f"{text!r} is no formula of columns, numbers, + - * / // % and {', '.join(FUNCTIONS)}"
        ) from error
    return formula


def split_relation(text: str) -> tuple[str, str, str]:
    """The left side, the mark and the right side of `a = b`, `a ~ b`, `a <= b` or `a from b`. UserError without a mark."""
    for match in TOKEN.finditer(text):
        mark = "<=" if text.startswith("<=", match.start()) else match[0]
        if mark in RELATION_MARKS:
            return text[: match.start()].strip(), mark, text[match.start() + len(mark) :].strip()
    raise UserError(
        f"{text!r} is no relation, such as 'total = tenure * monthly' or 'country from city'"
    )


def read_name(text: str) -> str:
    """The column that a text of one name, in quotes or not, names; the text itself where it is none."""
    tokens = _split_tokens(text.strip())
    return tokens[0][0] or text if len(tokens) == 1 else text


def _names_in(text: str) -> list[str]:
    """The columns that a formula names, as often as it does."""
    return [name for name, _ in _split_tokens(text) if name is not None]


def _split_tokens(text: str) -> list[tuple[str | None, str]]:
    """The text in pieces, each with the name of the column where it is one."""
    return [(_name_of(match, text), match[0]) for match in TOKEN.finditer(text)]


def _name_of(match: re.Match[str], text: str) -> str | None:
    if match["quoted"]:
        return str(ast.literal_eval(match[0]))
    called = text[match.end() :].lstrip().startswith("(") and match[0] in FUNCTIONS
    return match[0] if match["word"] and not called else None


def _parse(text: str, columns: Sequence[str]) -> ast.expr:
    """The tree of a formula, in which `_3` stands for column 3."""
    pieces = [
        piece if name is None else f"_{columns.index(name)}" for name, piece in _split_tokens(text)
    ]
    return ast.parse("".join(pieces).strip(), mode="eval").body
