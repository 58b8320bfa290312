"""Rows with named columns of any type, and matrices of numbers whose columns are modelled as those are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from plausibly.data.columns.aside import AsideColumn
from plausibly.data.columns.cell_types import texts_of
from plausibly.data.columns.column import Column
from plausibly.data.columns.conditions import condition_cell
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.events import Document
from plausibly.data.files.arrays import array_writers, as_array, write_rows
from plausibly.data.files.arrow_tables import index_to_columns
from plausibly.data.files.dialects import Dialect
from plausibly.data.files.outputs import ArrayOutput, ColumnarOutput, Output, TextOutput
from plausibly.data.files.tables import TEXT_SUFFIXES
from plausibly.data.formats.block import Block
from plausibly.data.formats.column_blocks import AsideBlock, ColumnBlock, OpenFrame, category_of
from plausibly.data.formats.container import Container
from plausibly.data.formats.following_blocks import FollowingBlock
from plausibly.data.labels import label_to_json, names_of
from plausibly.data.relations.following import Follower
from plausibly.errors import UserError, as_number, count_phrase
from plausibly.events.kinds import Kind
from plausibly.system.files import suffix_of, writer_for


class FrameContainer(Container):
    """Columns in the order of the file, of which some are `followers`; `dialect` is None where cells have types."""

    word = "table"

    def __init__(
        self,
        columns: Iterable[Column],
        labels: Iterable[Any] = (),
        dialect: Dialect | None = None,
        dropped: Iterable[str] = (),
        followers: Iterable[Follower] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.labels = tuple(labels) or tuple(column.name for column in self.columns)
        self.dialect, self.dropped = dialect, tuple(dropped)
        self.modelled = tuple(c for c in self.columns if isinstance(c, ModelledColumn))
        self.aside = tuple(c for c in self.columns if isinstance(c, AsideColumn))
        self.followers = tuple(followers)
        self.shape = (len(self.modelled),)
        if len(self.labels) != len(self.columns):
            raise ValueError("labels that do not fit the columns")

    def with_kinds(self, kinds: Sequence[Kind]) -> FrameContainer:
        named = dict(zip((column.name for column in self.modelled), kinds, strict=True))
        followers = [each.with_kind(named.pop(each.relation.column)) for each in self.followers]
        columns = [
            replace(column, kind=named[column.name])
            if isinstance(column, ModelledColumn) and column.name in named
            else column
            for column in self.columns
        ]
        return FrameContainer(columns, self.labels, self.dialect, self.dropped, followers)

    def blocks(self) -> list[Block]:
        if not self.modelled:
            found = ", ".join(f"{c.name!r} is {c.role}" for c in self.aside[:5])
            raise UserError(f"nothing to model: {found or 'there are no columns'}")
        followers = {follower.relation.column: follower for follower in self.followers}
        if len(followers) < len(self.followers):
            raise ValueError("a column follows twice")
        modelled = [
            self._block(place, followers.get(column.name))
            for place, column in enumerate(self.modelled)
        ]
        return [*modelled, *map(AsideBlock, self.aside)]

    def _block(self, place: int, follower: Follower | None) -> Block:
        column = self.modelled[place]
        if follower is None:
            return ColumnBlock(column, place)
        places = {other.name: at for at, other in enumerate(self.modelled)}
        parents = {places[name]: self.modelled[places[name]] for name in follower.relation.of}
        return FollowingBlock(column, place, follower, parents)

    def with_followers(self, followers: Iterable[Follower]) -> FrameContainer:
        """The same, whose columns follow so."""
        return FrameContainer(self.columns, self.labels, self.dialect, self.dropped, followers)

    def open(self, rows: Any, asked: bool) -> OpenFrame:
        import pandas as pd

        known = {column.name for column in self.columns}
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        frame = index_to_columns(frame, known)
        frame = frame.set_axis(names_of(frame), axis=1)
        refuse_repeated(list(frame), "the table")
        columns, known = dict(frame.items()), known.union(self.dropped)
        refuse_names(
            [c.name for c in self.modelled if not asked and c.name not in columns],
            [name for name in columns if name not in known],
        )
        return OpenFrame(len(frame), columns)

    def ask(self, given: Mapping[str, Any]) -> OpenFrame:
        columns = {column.name: column for column in self.modelled}
        cells = {name: condition_cell(columns[name], value) for name, value in given.items()}
        return OpenFrame(1, cells, anew=True)

    def blank(self, rows: int, path: Path | None) -> OpenFrame:
        return OpenFrame(rows, spelled=path is not None and suffix_of(path) in TEXT_SUFFIXES)

    def close(self, opened: OpenFrame) -> Any:
        import pandas as pd

        pairs = zip(self.columns, self.labels, strict=True)
        found = {label: c.name for c, label in pairs if c.name in opened.columns}
        return pd.DataFrame({label: opened.columns[name] for label, name in found.items()})

    def present(self, rows: Any) -> Collection[str]:
        return self.open(rows, True).columns.keys()

    def output(self, path: Path, across: int | None = None) -> Output:
        holed = [column.name for column in self.modelled if column.kind.missing]
        arrow = {c.name: c.storage.arrow(getattr(c, "decimals", 9)) for c in self.columns}
        types = {name: found for name, found in arrow.items() if found is not None}
        kinds: dict[str, Output] = {
            name: ColumnarOutput(name, holed, types) for name in ("parquet", "arrow", "feather")
        }
        suffix = suffix_of(path)
        text = TextOutput(partial(self.text_lines, suffix), self.dialect_for(suffix).delimiter)
        return writer_for(path, {"csv": text, "tsv": text} | kinds)

    def text_lines(self, suffix: str, rows: Any) -> tuple[bytes, bytes]:
        """The header line and the lines of a text file with these rows."""
        frame = rows.set_axis(names_of(rows), axis=1)
        columns = {column.name: column for column in self.columns}
        texts = [column_texts(columns.get(name), frame[name], name) for name in frame]
        names, dialect = list(frame), self.dialect_for(suffix)
        return dialect.first_line(names), dialect.lines(names, texts)

    def dialect_for(self, suffix: str) -> Dialect:
        """The dialect of such a file: training's, but tabs go to .tsv and to no other."""
        dialect = self.dialect or Dialect()
        delimiter = "," if dialect.delimiter == "\t" else dialect.delimiter
        return replace(dialect, delimiter="\t" if suffix == "tsv" else delimiter)

    def notes(self, rows: Any) -> list[str]:
        notes = [f"column {c.name!r} is set aside: {c.describe()}" for c in self.aside]
        notes += [f"column {c.name!r}: {c.why}" for c in self.modelled if "; " in c.why]
        if holes := [column for column in self.modelled if column.holes]:
            have = f"{count_phrase(len(holes), 'column')} ha{'s' if len(holes) == 1 else 've'}"
            notes.append(f"{have} holes, {holes[0].name!r} {holes[0].holes} in training")
        return notes + [f"column {name!r} is dropped" for name in self.dropped]

    def arrange(self, entries: list[Document]) -> list[Document]:
        named = {entry["name"]: entry for entry in entries}
        return [named[column.name] for column in self.columns]

    def to_json(self) -> Document:
        return {
            "columns": [column.to_json() for column in self.columns],
            "labels": [label_to_json(label) for label in self.labels],
            "dialect": None if self.dialect is None else asdict(self.dialect),
            "dropped": list(self.dropped),
            **({"followers": [f.to_json() for f in self.followers]} if self.followers else {}),
        }


class ColumnMatrix(FrameContainer):
    """A matrix of any numbers, whose columns are called 0, 1, ..."""

    word = "numeric-array"

    def __init__(self, table: FrameContainer, dtype: str) -> None:
        if np.dtype(dtype).kind not in "biuf":
            raise ValueError(f"no array of numbers is of type {dtype}")
        super().__init__(table.columns, table.labels)
        self.dtype = dtype

    def with_kinds(self, kinds: Sequence[Kind]) -> ColumnMatrix:
        return ColumnMatrix(super().with_kinds(kinds), self.dtype)

    def open(self, rows: Any, asked: bool) -> OpenFrame:
        import pandas as pd

        array, width = as_array(rows), len(self.columns)
        if array.ndim != 2 or array.shape[1] != width:
            known = count_phrase(width, "number")
            raise UserError(f"rows of shape {array.shape[1:]}, but the model knows rows of {known}")
        pairs = zip(self.columns, with_native_bytes(array).T, strict=True)
        return OpenFrame(len(array), {column.name: pd.Series(own) for column, own in pairs})

    def ask(self, given: Mapping[str, Any]) -> OpenFrame:
        return super().ask({name: as_number(value, name) for name, value in given.items()})

    def blank(self, rows: int, path: Path | None) -> OpenFrame:
        return OpenFrame(rows)

    def close(self, opened: OpenFrame) -> np.ndarray:
        frame = super().close(opened)
        holed = frame.isna().to_numpy().any()
        dtype = "float64" if holed and np.dtype(self.dtype).kind != "f" else self.dtype
        holes = {"na_value": np.nan} if holed else {}  # where there are none, old pandas refuses it
        try:
            array: np.ndarray = frame.to_numpy(dtype=dtype, **holes)
        except (ValueError, OverflowError):  # some cells are beyond the type of training's
            array = frame.to_numpy(dtype=object, na_value=np.nan).astype(np.float64)
        return array

    def present(self, rows: Any) -> Collection[str]:
        return {column.name for column in self.modelled}

    def output(self, path: Path, across: int | None = None) -> Output:
        writer_for(path, array_writers())
        return ArrayOutput(write_rows)

    def to_json(self) -> Document:
        return {"table": super().to_json(), "dtype": self.dtype}


def with_native_bytes(rows: np.ndarray) -> np.ndarray:
    """An array in the machine's order of bytes, which pandas needs."""
    return rows.astype(rows.dtype.newbyteorder("="), copy=False)


def list_names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def refuse_repeated(names: Iterable[str], whose: object) -> None:
    """UserError where two columns of a table have one name."""
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UserError(f"{whose} has more than one column named {repeated[0]!r}; rename one")


def refuse_names(missing: list[str], extra: list[str]) -> None:
    """UserError where a table lacks columns or has others besides."""
    if missing or extra:
        said = [f"lacks {list_names(missing)}"] if missing else []
        said += [f"has {list_names(extra)} besides"] if extra else []
        raise UserError(
            f"the columns differ from those in training: this table {' and '.join(said)}"
        )


def column_texts(column: Column | None, series: Any, name: str) -> Any:
    """A column's cells as texts for a file: those that are texts as they are, all others as the column spells them."""
    import pandas as pd

    index, texts = texts_of(series, name)
    cells = series.cat.categories if isinstance(series.dtype, pd.CategoricalDtype) else series
    if column is not None and pd.api.types.infer_dtype(cells, skipna=True) != "string":
        texts = column.canonical(texts)
    hole = None if column is None else column.hole or None
    return category_of(index, np.array([*texts, hole], dtype=object))
