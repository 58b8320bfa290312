"""A source of rows, and all that is asked of it. Only `open_source` asks what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from plausibly.data.events import Events
from plausibly.data.files.arrays import as_array
from plausibly.data.files.arrow_tables import index_to_columns, level_names
from plausibly.data.files.tables import TABLE_SUFFIXES, file_fingerprint
from plausibly.data.formats.array_container import prepend_labels
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import FrameContainer
from plausibly.data.sources.rows import Rows, naming
from plausibly.errors import UserError


class Source(ABC):
    """A place that rows come from: its `name`, and the `text` that shows it and finds it again.

    title: what messages about rows begin with, nothing in memory. has_columns: whether these have names. settled: the
    options of `load` that would change nothing.
    """

    has_columns: ClassVar[bool] = False
    settled: tuple[str, ...] = ("size",)

    def __init__(self, text: str, name: str, title: str = "") -> None:
        self.text, self.name, self.title = text, name, title

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the contents, or the name of what is built in."""

    def digest(self, rows: Rows) -> str:
        """SHA-256 of the contents, of which these are the rows."""
        return self.fingerprint()

    def open(self, size: Any, labelled: bool, options: dict[str, Any]) -> Rows:
        """The rows to learn from, as `load` is asked. UserError for options that say nothing about this source."""
        self._refuse_options({"size": size, **options})
        return self.read_rows(size, labelled)

    @abstractmethod
    def read_rows(self, size: Any, labelled: bool) -> Rows:
        """The same; `size` is of images, and with `labelled` the labels beside rows are part of them."""

    def frame(self) -> Any:
        """All rows as a table. UserError where there are no columns."""
        raise UserError(
            f"{self.text} is no table (.{', .'.join(TABLE_SUFFIXES)}), but a table is what is needed here"
        )

    @abstractmethod
    def array(self) -> Any:
        """All rows as an array."""

    def labels(self) -> dict[str, np.ndarray]:
        """The labels beside the rows by part, those of a source without parts as `all`."""
        return {}

    def rows(self, format: Format) -> Any:
        """All rows, as a format takes them."""
        if format.table:
            return self.frame()
        rows = format.container.reshape(self.array())
        labels = self.labels() if format.container.labelled else {}
        return prepend_labels(labels["all"], rows) if "all" in labels else rows

    def held_out(self, format: Format) -> Any:
        """The same, of a part that came with another source. UserError where it is of another sort."""
        return self.rows(format)

    def pieces(self, format: Format, rows: int) -> Iterator[Any]:
        """The same, so many rows at a time."""
        whole = self.rows(format)
        return (whole[start : start + rows] for start in range(0, len(whole), rows))

    def estimate_rows(self, format: Format) -> int:
        """About how many rows there are; 0 where only reading all of them would tell."""
        return 0

    def events(self, format: Format) -> Events:
        """The events of a part that came with another source, whose format this is."""
        rows = self.held_out(format)
        with naming(self.title):
            return format.events(rows)

    @property
    def file(self) -> Path | None:
        """The one file that holds the rows, and no others."""
        return None

    def table_notes(self) -> list[str]:
        """Notes on how a file with a table is read, and on what of it is no part of the table."""
        return []

    def plain(self, format: Format) -> Source:
        """The same rows; those in memory as a format's own frame or array. UserError for what is neither."""
        return self

    def _refuse_options(self, options: dict[str, Any]) -> None:
        for name in self.settled:
            if (value := options[name]) is not None and value != {} and value != ():
                raise UserError(f"{self.called} takes no {name}: it is as it is")
        if options["split"] and not self.has_columns:
            raise UserError(f"`--split {options['split']}` needs a table with named columns")
        if options["split"] and not options["valid"] is options["test"] is None:
            raise UserError("give either `--split` or files for validation and test, not both")

    @property
    def called(self) -> str:
        """The name that messages give it."""
        return repr(self.text)


class FileSource(Source):
    """A file or a folder; `part` names one array of several."""

    def __init__(self, text: str, path: Path, part: str = "") -> None:
        super().__init__(text, Path(text).name.partition(".")[0], text)
        self.path, self.part = path, part

    @property
    def file(self) -> Path | None:
        return self.path if self.path.is_file() and not self.part else None

    def fingerprint(self) -> str:
        return file_fingerprint(self.path)


class MemorySource(Source):
    """Rows in memory."""

    def __init__(self, held: Any) -> None:
        super().__init__(f"<{type(held).__name__} in memory>", type(held).__name__.lower())
        self.held = held

    def array(self) -> Any:
        return self.held

    def estimate_rows(self, format: Format) -> int:
        return len(self.held)

    def plain(self, format: Format) -> Source:
        return type(self)(
            _plain_frame(self.held, format.table) if format.table else as_array(self.held)
        )


def _plain_frame(held: Any, table: FrameContainer) -> Any:
    """Rows as a frame, whose index becomes columns where these are all known."""
    import pandas as pd

    frame = held if isinstance(held, pd.DataFrame) else pd.DataFrame(held)
    levels, columns = {*level_names(frame.index)}, {column.name for column in table.columns}
    if levels <= columns - {*map(str, frame.columns)}:
        return index_to_columns(frame, columns)
    return frame
