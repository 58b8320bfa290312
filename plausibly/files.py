"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plausibly.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; on leaving it becomes `path` in one step, on any error nothing is left behind.

    An OSError (full disk, no permission) becomes a UserError that names the path.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        mode = draft.stat().st_mode  # some writers make files that only their owner can read
        yield draft
        draft.chmod(mode)
        with open(draft, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; nothing was changed there") from error
    finally:
        if draft.exists():
            draft.unlink()


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a DataFrame as .csv, .tsv or .parquet (text also .gz). UserError for another suffix."""
    packing = "gzip" if path.suffix == ".gz" else None
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda draft: frame.to_csv(draft, index=False, compression=packing),
        ".tsv": lambda draft: frame.to_csv(draft, index=False, sep="\t", compression=packing),
        ".parquet": lambda draft: frame.to_parquet(draft, index=False),
    }
    suffix = Path(path.stem).suffix if packing else path.suffix
    if suffix not in writers:
        raise UserError(f"cannot write {path.name}: these rows go to {', '.join(writers)}")
    with replacing(path) as draft:
        writers[suffix](draft)
