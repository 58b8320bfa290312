"""The interface of every source of data to the rest of the package: events out of rows, and the same rows again.

An event is a row as models see it: one code a variable, or a real number standardised. What it leaves out, `log_within`
weighs and the values keep, so that `rows(events(rows))` gives equal values, dtypes and order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from plausibly.data.events import Document, Events, event_dtype
from plausibly.data.files.outputs import Output
from plausibly.data.formats.block import Block
from plausibly.data.formats.container import Container
from plausibly.data.formats.frame_container import ColumnMatrix, FrameContainer
from plausibly.events.kinds import Kind
from plausibly.events.schema import Schema

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder


@final
class Format:
    """The only code that knows the outside world: a container of rows, and blocks of the variables in it.

    Learned from training rows, kept as JSON. Its blocks are the container's, unless others are given.
    `schema` and `names` are of the variables, and `variables` tell their values.
    `table` is the container where rows are frames with named columns, else None.
    """

    def __init__(self, container: Container, blocks: Sequence[Block] | None = None) -> None:
        self.container, self.blocks = container, tuple(blocks or container.blocks())
        matrix = isinstance(container, ColumnMatrix)
        self.table = container if isinstance(container, FrameContainer) and not matrix else None
        size = sum(len(block.kinds) for block in self.blocks)
        kinds, names, variables = (np.empty(size, dtype=object) for _ in range(3))
        for block in self.blocks:
            kinds[block.places], names[block.places] = block.kinds, block.names
            variables[block.places] = block.variables
        self.schema = Schema(container.shape, tuple(kinds))
        self.names, self.variables = tuple(names), tuple(variables)

    def with_kinds(self, kinds: Sequence[Kind]) -> Format:
        """The format of the same rows, whose variables are of these kinds: those that it has, but for what they know."""
        return Format(self.container.with_kinds(kinds))

    def noting_seen(self, parts: Sequence[Events]) -> Format:
        """The format whose kinds of numbers know the least and the largest that these rows have."""
        kinds = list(self.schema.kinds)
        for index, block in enumerate(self.blocks):
            held = [part.values[index] for part in parts if part.values and not block.exact]
            every = zip(*map(block.columns, held), strict=True)
            places = np.arange(len(kinds))[block.places].tolist()
            for place, columns in zip(places, every, strict=False):
                kinds[place] = kinds[place].with_seen(find_ends(kinds[place], columns))
        return self if kinds == list(self.schema.kinds) else self.with_kinds(kinds)

    @cached_property
    def beyond(self) -> Format:
        """The format whose kinds do not know what was seen: what is drawn is not kept within."""
        return self.with_kinds([kind.with_seen(None) for kind in self.schema.kinds])

    def events(self, rows: Any) -> Events:
        """Events of `rows`. UserError names the row (from 1) and the column of what cannot be recorded."""
        return self._read(self.container.open(rows, asked=False), asked=False)

    def questions(self, rows: Any) -> Events:
        """As `events`, but every hole is an unobserved cell (code 0, observed False), as is a column that is not there."""
        return self._read(self.container.open(rows, asked=True), asked=True)

    def parse_question(self, given: Mapping[str, Any]) -> Events:
        """A question of one row in which only the given variables, by name, are observed. Values may be texts."""
        return self._read(self.container.ask(given), asked=True)

    def _read(self, opened: Any, asked: bool) -> Events:
        found = [block.read(opened, asked) for block in self.blocks]
        values, seen = zip(*found, strict=True)
        return self._pack(values, len(opened), seen if asked else None)

    def _pack(self, values: Sequence[Any], rows: int, seen: Sequence[Any] | None = None) -> Events:
        codes = np.empty((rows, self.schema.size), dtype=event_dtype(self.schema))
        nats, shape = np.zeros(rows), (rows, *self.schema.shape)
        flags = None if seen is None else np.empty(codes.shape, dtype=bool)
        for block, own, known in zip(
            self.blocks, values, seen or [None] * len(values), strict=True
        ):
            codes[:, block.places], within = block.encode(own, known)
            nats += within
            if flags is not None:
                flags[:, block.places] = known
        if seen is None:
            nats += sum(log_beside(self, values).values(), torch.zeros(rows).double()).numpy()
        kept = [None if b.exact else own for b, own in zip(self.blocks, values, strict=True)]
        observed = None if flags is None else torch.from_numpy(flags).reshape(shape)
        return Events(
            torch.from_numpy(codes).reshape(shape), torch.from_numpy(nats), kept, observed
        )

    def _values(self, events: Events) -> list[Any]:
        """The values of each block."""
        codes = events.codes.flatten(1).numpy()
        kept = events.values or [None] * len(self.blocks)
        return [
            codes[:, b.places] if b.exact else v for b, v in zip(self.blocks, kept, strict=True)
        ]

    def _parts(self, flat: np.ndarray | None) -> list[Any]:
        """For each block its columns of a matrix, None of none."""
        return [None if flat is None else flat[:, block.places] for block in self.blocks]

    def rows(
        self, events: Events, path: Path | None = None, names: Collection[str] | None = None
    ) -> Any:
        """The rows of `events`: equal values, dtypes and order; for a text file's `path` each cell as it is spelled.

        With `names`, of a table's variables those that are called so.
        """
        opened = self.container.blank(len(events), path)
        for block, values in zip(self.blocks, self._values(events), strict=True):
            if names is None or {*block.names} <= {*names}:
                block.put(values, opened)
        return self.container.close(opened)

    def numbers(self, events: Events) -> np.ndarray:
        """Each value as a number in its variable's own units, (n, variables) float64; NaN for what is none foreseen."""
        found = np.empty((len(events), self.schema.size))
        for block, values in zip(self.blocks, self._values(events), strict=True):
            found[:, block.places] = block.numbers(values)
        return found

    def log_within(self, events: Events) -> Tensor:
        """log p(value | code) of each variable, (n, variables) float64 nats.

        A row's sum, and what `log_beside` says, is its `log_within`.
        """
        found = np.empty((len(events), self.schema.size))
        flags = events.observed
        seen = self._parts(None if flags is None else flags.numpy().reshape(found.shape))
        for block, values, known in zip(self.blocks, self._values(events), seen, strict=True):
            found[:, block.places] = block.log_within(values, known)
        return torch.from_numpy(found)

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        """Events with values drawn inside `codes`, (n, *schema.shape) of any dtype.

        They come after `before` others, for columns that number their rows.
        """
        return self._pack(self._draw(codes, generator, before), len(codes))

    def _draw(self, codes: Tensor, generator: np.random.Generator, before: int) -> list[Any]:
        parts = zip(self.blocks, self._parts(codes.flatten(1).numpy()), strict=True)
        return [block.draw(own, generator, before) for block, own in parts]

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        """Questions answered: unobserved cells take values drawn inside `codes`, observed cells stay as they are."""
        if events.observed is None:
            return events
        seen = self._parts(events.observed.flatten(1).numpy())
        drawn, known = self._draw(codes, generator, before), self._values(events)
        sides = zip(self.blocks, known, drawn, seen, strict=True)
        return self._pack([block.merge(*side) for block, *side in sides], len(events))

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        """Passes through a coder what the codes of rows leave open of their `events`; the events.

        They come after `before` others.
        """
        parts = self._parts(codes.flatten(1).numpy())
        known = [None] * len(parts) if events is None else self._values(events)
        sides = zip(self.blocks, parts, known, strict=True)
        return self._pack([b.through(coder, own, v, before) for b, own, v in sides], len(codes))

    def output(self, path: Path, across: int | None = None) -> Output:
        """An output that writes rows to such a file a piece at a time. UserError lists the suffixes that can be written."""
        return self.container.output(path, across)

    def describe(self) -> list[Document]:
        """The column report: for each column its name, kind, codes, what was guessed, and how to override it."""
        return self.container.arrange([entry for b in self.blocks for entry in b.describe()])

    def to_json(self) -> Document:
        """Everything needed to build this format again."""
        return {"format": self.container.word, **self.container.to_json()}


def find_ends(kind: Kind, parts: Sequence[np.ndarray]) -> tuple[float, float] | None:
    """The least and the largest of the values that the kind foresees; None where there are none."""
    known = [part[(part != kind.other_value) & ~kind.is_hole(part)] for part in parts]
    ends = [(part.min().item(), part.max().item()) for part in known if len(part)]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def log_beside(format: Format, values: Sequence[Any] | None) -> dict[str, Tensor]:
    """log p of the cells of columns that are no variables and yet say how plausible a row is, each (n,), by name."""
    found = dict[str, Tensor]()
    for block, own in zip(format.blocks, values or [], strict=values is not None):
        found |= {name: torch.from_numpy(nats) for name, nats in block.log_beside(own).items()}
    return found


def leave_out(format: Format, events: Events, variables: Sequence[int]) -> Events:
    """Events whose `log_within` leaves these variables out."""
    if not variables:
        return events
    within = format.log_within(events)[:, list(variables)].sum(1)
    return replace(events, log_within=events.log_within - within)
