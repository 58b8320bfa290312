"""The log of a training: one line of JSON for each validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def read_log(log: Path, step: int) -> list[str]:
    """The sound lines of a log up to a step: those of a full disk or of a killed process may be torn."""
    if not log.is_file():
        return []
    lines = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            if json.loads(line)["step"] <= step:
                lines.append(line)
    return lines


def digest_lines(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
