"""A container: how rows come and go as a whole, in memory and in files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from plausibly.data.events import Document
from plausibly.data.files.outputs import Output
from plausibly.data.formats.block import Block
from plausibly.errors import UserError
from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema


class Container(ABC):
    """Opens rows for blocks, and closes what these put back; events are of `shape`.

    labelled: whether a label stands before each row, and takes_label: whether one may. picture: which variables make up an
    image, and its schema; None where rows are no images.
    """

    word: ClassVar[str]
    labelled: ClassVar[bool] = False
    takes_label: ClassVar[bool] = False
    shape: tuple[int, ...]
    picture: tuple[slice, Schema] | None = None

    @abstractmethod
    def blocks(self) -> Sequence[Block]:
        """The blocks of its variables. UserError where there are none, ValueError where one's kind is of other rows."""

    def with_kinds(self, kinds: Sequence[Kind]) -> Container:
        """The same rows, whose variables are of these kinds: those that it has, but for what they know."""
        return self

    @abstractmethod
    def open(self, rows: Any, asked: bool) -> Any:
        """Rows as blocks read them, with a length; what is `asked` may lack columns. UserError where these are others."""

    @abstractmethod
    def ask(self, given: Mapping[str, Any]) -> Any:
        """The same of one row in which only these values of variables are known. Values may be texts."""

    @abstractmethod
    def blank(self, rows: int, path: Path | None) -> Any:
        """Room for so many rows, for blocks to put theirs; with a `path` as a file of that suffix holds them."""

    @abstractmethod
    def close(self, opened: Any) -> Any:
        """The rows that blocks have put: equal values, dtypes and order."""

    @abstractmethod
    def present(self, rows: Any) -> Collection[str]:
        """Names of variables that these rows have, if only as holes."""

    def reshape(self, rows: Any) -> Any:
        """The rows of an array that may be flat, in their shape."""
        return rows

    def image_form(self) -> tuple[tuple[int, int], bool, int]:
        """The height and width of images, whether they are coloured, and the bits of deep gray. UserError for others."""
        raise UserError(f"a folder of images has other rows than the {self.word} of the model")

    @abstractmethod
    def output(self, path: Path, across: int | None = None) -> Output:
        """An output that writes rows to such a file a piece at a time; of images, `across` to a line of a grid.

        UserError lists the suffixes that can be written.
        """

    @abstractmethod
    def notes(self, rows: Any) -> list[str]:
        """Notes worth knowing on how training rows are read."""

    def arrange(self, entries: list[Document]) -> list[Document]:
        """The column report in the order of the rows, of the entries in that of blocks."""
        return entries

    @abstractmethod
    def to_json(self) -> Document:
        """Everything needed to build the format again, but for `word`."""
