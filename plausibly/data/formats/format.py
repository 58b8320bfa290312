"""What every source of data offers to the rest of the package: events out of rows, and the same rows again.

An event is a row as models see it: one code a variable, or a real number standardised. What it leaves out, `log_within`
weighs and `values` keeps, so that `rows(events(rows))` gives equal values, dtypes and order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from plausibly.errors import UserError
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder
    from plausibly.data.files.outputs import Output
    from plausibly.data.relations import Relation

Document = dict[str, Any]
Heard = Callable[[int, int], None]  # is told how many rows are done, and of how many
T = TypeVar("T")


@dataclass
class Events:
    """Rows as models see them.

    codes: (n, *schema.shape), uint8 or int16, or float32 where a variable is real. log_within: (n,) float64, the sum over
    variables of log p(value | code) in nats. values: what the format needs to give the rows back. observed: bool like
    codes, only from `Format.questions`; None says that every cell is known. groups: (n,) whole numbers, which rows came
    together where data were split by groups: rows of a group are not independent.
    """

    codes: Tensor
    log_within: Tensor
    values: Any = None
    observed: Tensor | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: slice | Tensor | np.ndarray | list[int]) -> Events:
        rows: Any = index if isinstance(index, slice) else torch.as_tensor(index)
        places = rows if isinstance(rows, slice) else rows.numpy()
        observed = None if self.observed is None else self.observed[rows]
        values = None if self.values is None else self.values[places]
        groups = None if self.groups is None else self.groups[places]
        return Events(self.codes[rows], self.log_within[rows], values, observed, groups)


def joined(parts: Sequence[Events]) -> Events:
    """Events one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    values = None if first.values is None else _joined_values([part.values for part in parts])
    observed = (
        None if first.observed is None else torch.cat([part.observed for part in parts if part.observed is not None])
    )
    codes, nats = torch.cat([part.codes for part in parts]), torch.cat([part.log_within for part in parts])
    groups = (
        None if first.groups is None else np.concatenate([part.groups for part in parts if part.groups is not None])
    )
    return Events(codes, nats, values, observed, groups)


def _joined_values(parts: Sequence[Any]) -> Any:
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else type(parts[0]).joined(parts)


def unheard(done: int, rows: int) -> None:
    """Nobody asks how far it is."""


class Format(ABC):
    """The only code that knows the outside world; learned from training rows, kept as JSON."""

    word: ClassVar[str]
    known: ClassVar[dict[str, type[Format]]] = {}
    schema: Schema
    names: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        Format.known[cls.word] = cls

    @abstractmethod
    def events(self, rows: Any) -> Events:
        """Events of `rows`. UserError names the row (from 1) and the column of what cannot be recorded."""

    @abstractmethod
    def within(self, events: Events) -> Tensor:
        """log p(value | code) of each variable, (n, variables) float64 nats.

        A row's sum, and what `besides` says, is its `log_within`.
        """

    def besides(self, events: Events) -> dict[str, Tensor]:
        """log p of the cells of columns that are no variables and yet say how plausible a row is, each (n,), by name."""
        return {}

    def present(self, rows: Any) -> Collection[str]:
        """Names of variables that these rows have, if only as holes."""
        return self.names

    @abstractmethod
    def numbers(self, events: Events) -> np.ndarray:
        """Each value as a number in its variable's own units, (n, variables) float64; NaN for what is none foreseen."""

    def measured(self, place: int, values: np.ndarray) -> np.ndarray:
        """Values of a variable's kind, or numbers between, as its `numbers`."""
        return values

    def apart(self, events: Events, variables: Sequence[int]) -> Events:
        """Events whose `log_within` leaves these variables out."""
        if not variables:
            return events
        return replace(events, log_within=events.log_within - self.within(events)[:, list(variables)].sum(1))

    def picture(self) -> tuple[slice, Schema] | None:
        """Which variables make up an image, and its schema; None where rows are no images."""
        return (slice(None), self.schema) if len(self.schema.shape) == 3 else None

    @abstractmethod
    def rows(self, events: Events) -> Any:
        """The rows of `events`: equal values, dtypes and order."""

    def written(self, events: Events, path: Path) -> Any:
        """The rows of events as a file of that suffix holds them: each cell of a text file as it is spelled."""
        return self.rows(events)

    @abstractmethod
    def questions(self, rows: Any) -> Events:
        """As `events`, but every hole is an unobserved cell (code 0, observed False)."""

    @abstractmethod
    def asked(self, given: Mapping[str, Any]) -> Events:
        """A question of one row in which only the given variables, by name, are observed. Values may be texts."""

    @abstractmethod
    def spelled(self, place: int, values: np.ndarray) -> list[str]:
        """How a category's values are written."""

    @abstractmethod
    def shown(self, place: int, value: float) -> float | str:
        """A number among a variable's values, or between two, as one reads it."""

    @abstractmethod
    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        """Events with values drawn inside `codes`, (n, *schema.shape) of any dtype.

        They come after `before` others, for columns that number their rows.
        """

    @abstractmethod
    def fill(self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        """Questions answered: unobserved cells take values drawn inside `codes`, observed cells stay as they are."""

    @abstractmethod
    def through(self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0) -> Events:
        """Passes through a coder what the codes of rows leave open of their `events`; the events.

        They come after `before` others.
        """

    @abstractmethod
    def read(self, source: Any) -> Any:
        """Rows of a file of this format, or of rows already in memory."""

    @abstractmethod
    def write(self, rows: Any, path: Path | str, across: int | None = None) -> None:
        """Writes rows to a file whose suffix says how; whole or not at all. Of images, `across` go to a line of a grid."""

    def output(self, path: Path, across: int | None = None) -> Output:
        """How rows are written to such a file a piece at a time. UserError lists the suffixes that can be written."""
        from plausibly.data.files.outputs import ArrayOutput

        return ArrayOutput(self, across)

    @abstractmethod
    def describe(self) -> list[Document]:
        """The column report: for each column its name, kind, codes, what was guessed, and how to override it."""

    @abstractmethod
    def fields(self) -> Document:
        """Everything needed to build this format again, as JSON."""

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: Document) -> Format:
        """The inverse of `fields`."""

    def to_json(self) -> Document:
        return {"format": self.word, **self.fields()}

    @staticmethod
    def from_json(document: Document) -> Format:
        """The format that wrote `document`. UserError where it is malformed."""
        try:
            kind = Format.known[document["format"]]
            return kind.from_fields({key: value for key, value in document.items() if key != "format"})
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, MemoryError) as error:
            raise UserError(f"this does not describe a data format: {type(error).__name__}: {error}") from error


class Truth(Protocol):
    """The distribution that a toy was drawn from."""

    @property
    def entropy(self) -> float | None:
        """In nats; None where it is not known."""

    def log_prob(self, codes: Tensor) -> Tensor:
        """Exact log p of each event, (n,) float64 nats; codes are float, (n, *schema.shape)."""


@dataclass
class Dataset:
    """Data ready to learn from. `fingerprint` is the SHA-256 of the source's contents.

    `calibration` rows serve p-values and nothing else; there are none where the source brings its own three parts.
    `regular`: whether rows of a text file, written again, give the same file byte for byte; None where that says nothing.
    `relations`: columns that are functions or sums of others. `shown`: training rows with their values, which are all but
    where these are too many; then those of `train` have none.
    """

    name: str
    source: str
    fingerprint: str
    format: Format
    train: Events
    valid: Events
    test: Events
    calibration: Events
    notes: list[str] = field(default_factory=list)
    truth: Truth | None = None
    regular: bool | None = None
    relations: list[Relation] = field(default_factory=list)
    shown: Events = field(init=False)

    def __post_init__(self) -> None:
        self.shown = self.train

    @property
    def schema(self) -> Schema:
        return self.format.schema

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of each part."""
        return {part: len(getattr(self, part)) for part in ("train", "valid", "test", "calibration")}


def packed(events: np.ndarray, schema: Schema) -> Tensor:
    """Events (n, variables) as a tensor (n, *shape) of the smallest type: float32 where a variable is real."""
    dtype = np.float32 if schema.continuous else np.uint8 if max(schema.codes) <= 256 else np.int16
    return torch.from_numpy(events.astype(dtype)).reshape(len(events), *schema.shape)


def suffix_of(path: Path | str) -> str:
    """The suffix without the dot, in lower case, the one before `.gz` where there is one."""
    name = Path(path).name.lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


def writer_for(path: Path, writers: dict[str, T]) -> T:
    """The writer of the path's suffix. UserError lists what can be written."""
    if suffix_of(path) not in writers:
        raise UserError(f"cannot write {path.name}: these rows go to .{', .'.join(writers)}")
    return writers[suffix_of(path)]


def counted(number: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def as_number(value: Any, name: str) -> float:
    """The number that a value or its text is. UserError where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise UserError(f"{name}={value}: {value!r} is no number")
    return number


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind a message, or nothing."""
    lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(lower), n=1)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""
