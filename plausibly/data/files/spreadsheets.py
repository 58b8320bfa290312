"""Text files that a spreadsheet will open: cells that it would run as formulas get an apostrophe.

Such files are for looking at: read again, they are not the same rows.
"""

from __future__ import annotations

import re

FORMULA_STARTS = {*"=+-@\t\r\n"}  # first characters
NUMBER = re.compile(r"[+-]?(\d++\.?\d*+|\.\d+)([eE][+-]?\d+)?%?|[+-](inf|nan)", re.IGNORECASE)


def escape_formulas(lines: str, delimiter: str) -> str:
    """The lines with an apostrophe before each cell that begins with = + - @, a tab or a line end, and is no number."""
    mark = re.escape(delimiter)
    cell = re.compile(rf'(\ufeff? ?)("(?:[^"]|"")*"|[^"{mark}\r\n][^{mark}\r\n]*)')
    return cell.sub(lambda found: found[1] + _escape_cell(found[2]), lines)


def _escape_cell(cell: str) -> str:
    quote = '"' if cell[0] == '"' else ""
    text = cell[1:-1] if quote else cell
    if text[:1] in FORMULA_STARTS and not NUMBER.fullmatch(text):
        return f"{quote}'{cell[len(quote) :]}"
    return cell
