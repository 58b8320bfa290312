"""The interface of every source of data to the rest of the package: events out of rows, and the same rows again.

An event is a row as models see it: one code a variable, or a real number standardised. What it leaves out, `log_within`
weighs and the values keep, so that `rows(events(rows))` gives equal values, dtypes and order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from plausibly.data.events import Document, EarlyCells, Events, event_dtype
from plausibly.data.files.outputs import Output
from plausibly.data.formats.block import Block, Variable
from plausibly.data.formats.container import Container
from plausibly.data.formats.following_blocks import RestoredVariable
from plausibly.data.formats.frame_container import ColumnMatrix, FrameContainer
from plausibly.errors import UserError
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
        self.order = order_blocks(self.blocks)
        self.schema = Schema(container.shape, tuple(kinds))
        self.names, self.variables = tuple(names), tuple(variables)

    def with_kinds(self, kinds: Sequence[Kind]) -> Format:
        """The format of the same rows, whose variables are of these kinds: those that it has, but for what they know."""
        return Format(self.container.with_kinds(kinds))

    def noting_seen(self, parts: Sequence[Events]) -> Format:
        """The format whose kinds of numbers know the least and the largest that these rows have."""
        kinds = list(self.schema.kinds)
        known = [part.values for part in parts if part.values]
        told = [self._given(values) for values in known]
        for index, block in enumerate(self.blocks):
            held = [
                given[index].columns(values[index])
                for given, values in zip(told, known, strict=True)
                if not block.exact
            ]
            every = zip(*held, strict=True)
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
        return self.pack(values, len(opened), seen if asked else None)

    def _given(self, values: Sequence[Any]) -> list[Block]:
        """The blocks, of rows with these values."""
        return [block.given([values[place] for place in block.parents]) for block in self.blocks]

    def observe(self, events: Events, observed: Tensor) -> Events:
        """The same rows, of which other cells are known: holes, where they were not."""
        seen = self._parts(observed.flatten(1).numpy())
        found = self.pack(self._values(events), len(events), seen)
        found.groups = events.groups
        return found

    def pack(self, values: Sequence[Any], rows: int, seen: Sequence[Any] | None = None) -> Events:
        """Events of the values of each block; `seen` says which cells of questions are known."""
        early = None
        if seen is not None and any(block.parents for block in self.blocks):
            seen, early = self._tell_early(seen)
        codes = np.empty((rows, self.schema.size), dtype=event_dtype(self.schema))
        nats, shape = np.zeros(rows), (rows, *self.schema.shape)
        flags = None if seen is None else np.empty(codes.shape, dtype=bool)
        for block, own, known in zip(
            self._given(values), values, seen or [None] * len(values), strict=True
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
            torch.from_numpy(codes).reshape(shape),
            torch.from_numpy(nats),
            kept,
            observed,
            early=early,
        )

    def _tell_early(self, seen: Sequence[np.ndarray]) -> tuple[list[np.ndarray], EarlyCells]:
        """The cells that a model can be told, by block; and those that are known before what they follow from."""
        parents = {i: tuple(map(repr, self._parent_names(i))) for i in range(self.schema.size)}
        told, early = list(seen), np.zeros((len(seen[0]), self.schema.size), dtype=bool)
        for place, block in enumerate(self.blocks):
            if block.parents:
                ready = np.logical_and.reduce([seen[parent] for parent in block.parents])
                told[place] = seen[place] & ready
                early[:, block.places] = seen[place] & ~ready
        return told, EarlyCells(early, self.names, parents)

    def _parent_names(self, variable: int) -> list[str]:
        return [self.names[parent] for parent in self.parents(variable)]

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
        values = self._values(events)
        for block, own, known in zip(self._given(values), values, seen, strict=True):
            found[:, block.places] = block.log_within(own, known)
        return torch.from_numpy(found)

    def draw(self, codes: Tensor, generator: np.random.Generator, before: int = 0) -> Events:
        """Events with values drawn inside `codes`, (n, *schema.shape) of any dtype.

        They come after `before` others, for columns that number their rows.
        """
        return self.pack(self._draw(codes, generator, before), len(codes))

    def _draw(
        self,
        codes: Tensor,
        generator: np.random.Generator,
        before: int,
        keep: Callable[[int, Any], Any] = lambda place, drawn: drawn,
    ) -> list[Any]:
        parts = self._parts(codes.flatten(1).numpy())
        return self._in_order(
            lambda place, block: keep(place, block.draw(parts[place], generator, before))
        )

    def _in_order(self, ask: Callable[[int, Block], Any]) -> list[Any]:
        """The values that each block says of rows, once its parents have said theirs."""
        found: list[Any] = [None] * len(self.blocks)
        for place in self.order:
            block = self.blocks[place]
            found[place] = ask(place, block.given([found[parent] for parent in block.parents]))
        return found

    def fill(
        self, events: Events, codes: Tensor, generator: np.random.Generator, before: int = 0
    ) -> Events:
        """Questions answered: unobserved cells take values drawn inside `codes`, observed cells stay as they are."""
        if events.observed is None:
            return events
        seen = self._parts(events.observed.flatten(1).numpy())
        known = self._values(events)

        def keep(place: int, drawn: Any) -> Any:
            return self.blocks[place].merge(known[place], drawn, seen[place])

        return self.pack(self._draw(codes, generator, before, keep), len(events))

    def through(
        self, coder: Coder, codes: Tensor, events: Events | None, before: int = 0
    ) -> Events:
        """Passes through a coder what the codes of rows leave open of their `events`; the events.

        They come after `before` others.
        """
        parts = self._parts(codes.flatten(1).numpy())
        known = [None] * len(parts) if events is None else self._values(events)
        values = self._in_order(
            lambda place, block: block.through(coder, parts[place], known[place], before)
        )
        return self.pack(values, len(codes))

    def variable_in(self, events: Events, variable: int) -> Variable:
        """Tells the values of a variable as these rows have what it follows from. UserError where they do not have it."""
        if not (parents := self.parents(variable)):
            return self.variables[variable]
        observed = events.observed
        if observed is not None and not observed.flatten(1)[:, parents].all():
            raise UserError(
                f"{self.names[variable]!r} follows from {' and '.join(map(repr, self._parent_names(variable)))}: give "
                "all of these, or ask a run fitted without this relation"
            )
        values = self._values(events)
        place = next(p for p, block in enumerate(self.blocks) if variable in self._variables(block))
        block = self.blocks[place]
        found = block.given([values[parent] for parent in block.parents]).variables[0]
        if len(events) == 1 and isinstance(found, RestoredVariable):
            found.refuse_holes()
        return found

    @cached_property
    def plain(self) -> Format:
        """The same in which no column follows from others; itself where none does."""
        if self.table is None or not self.table.followers:
            return self
        return Format(self.table.with_followers(()))

    def plain_events(self, events: Events) -> Events:
        """Rows with values as events of `plain`."""
        if self.plain is self:
            return events
        found = self.plain.pack(self._values(events), len(events))
        found.groups = events.groups
        return found

    def parents(self, variable: int) -> list[int]:
        """The variables that a variable follows from."""
        blocks = [block for block in self.blocks if variable in self._variables(block)]
        return [
            i for block in blocks for p in block.parents for i in self._variables(self.blocks[p])
        ]

    def _variables(self, block: Block) -> list[int]:
        return (
            list(range(self.schema.size)[block.places])
            if isinstance(block.places, slice)
            else block.places.tolist()
        )

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


def order_blocks(blocks: Sequence[Block]) -> tuple[int, ...]:
    """The places of blocks, each behind its parents and else as they are. ValueError where some follow in a circle."""
    found: list[int] = []
    waiting = [*range(len(blocks))]
    while waiting:
        ready = [place for place in waiting if {*blocks[place].parents} <= {*found}]
        if not ready:
            raise ValueError("columns that follow from each other in a circle")
        found += ready
        waiting = [place for place in waiting if place not in ready]
    return tuple(found)


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
