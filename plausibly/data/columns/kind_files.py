"""A file of kinds: a line `COLUMN = "kind"` for each column, in TOML, written with what was guessed and then edited."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from plausibly.data.columns.guessing import KIND_WORDS, is_word
from plausibly.data.events import Document
from plausibly.errors import UserError, did_you_mean
from plausibly.printing import visible
from plausibly.system.files import delivering_file

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
HEAD_TEXT = """\
# What each column of {name} was guessed to be. Edit what is wrong, and give this file to a command with --kinds.
# Kinds: {words}; date:FORM names a form, such as "date:%d/%m/%Y".
"""


def read_kinds(path: Path | str) -> dict[str, str]:
    """The kinds in such a file, by column. UserError names the line, or the column, that is wrong."""
    found = _parse_file(path)
    for name, word in found.items():
        if not isinstance(word, str) or not is_word(word):
            hint = did_you_mean(str(word), KIND_WORDS)
            raise UserError(
                f"{path}: column {name!r} cannot be {word!r}{hint}; the words are {', '.join(KIND_WORDS)}"
            )
    return found


def _parse_file(path: Path | str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        hint = f"`plausibly data DATA --write-kinds {path}` makes it"
        raise UserError(f"cannot read {path}: {error.strerror or error}; {hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f'{path}: {error}; its lines are of the form COLUMN = "kind", each column once'
        ) from error


def write_kinds(columns: list[Document], name: str, path: Path) -> None:
    """Writes what the column report says of each column; `name` is that of the data. UserError where there is such a file."""
    if path.exists():
        raise UserError(f"{path} already exists, and may have been edited; give another name")
    head = HEAD_TEXT.format(name=visible(name), words=", ".join(KIND_WORDS))
    text = head + "".join(map(_line, columns))
    with delivering_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _line(column: Document) -> str:
    key, word = str(column["name"]), column["kind"]
    if not BARE_KEY.fullmatch(key):
        key = json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")
    word = f"date:{column['form']}" if word == "date" else word
    said = "".join(letter if letter.isprintable() else " " for letter in column["guess"])
    return f"{key} = {json.dumps(word)}  # {said}\n"
