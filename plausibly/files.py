"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plausibly.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; on leaving it becomes `path` in one step, on any error nothing is left behind.

    An OSError (full disk, no permission) becomes a UserError that names the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield draft
        with open(draft, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; nothing was changed there") from error
    finally:
        draft.unlink(missing_ok=True)
