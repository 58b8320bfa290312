"""The file of what was measured: a JSON object a line, so that a long job is gone on with; and tables made of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True)
class Lines:
    """The lines of a file, which several processes may add to."""

    path: Path

    def read(self) -> list[Line]:
        if not self.path.exists():
            return []
        return [
            json.loads(line) for line in self.path.read_text().splitlines() if line.endswith("}")
        ]

    def has(self, table: str, part: str) -> bool:
        return any((line["table"], line["part"]) == (table, part) for line in self.read())

    def add(self, table: str, part: str, found: list[Line]) -> None:
        """All lines of a part at once, apart from what was cut off before, if there is such."""
        each = [json.dumps({"table": table, "part": part, **line}) for line in found]
        with self.path.open("a") as file:
            file.write("\n" + "\n".join(each) + "\n")
            file.flush()
            os.fsync(file.fileno())


def show(cell: Any) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def markdown(lines: list[Line]) -> str:
    """A table of a part's lines, with a column for each name in any of them."""
    names = list(dict.fromkeys(name for line in lines for name in line if name != "part"))
    rows = [[show(line.get(name)) for name in names] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in [names, ["---"] * len(names), *rows])
