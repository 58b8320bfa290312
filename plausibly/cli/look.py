"""Commands that look before anything is learned: data, models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plausibly.cli.app import app
from plausibly.cli.console import Block, ConsoleTable, format_value, print_result
from plausibly.cli.options import CommonOptions, DataOptions
from plausibly.cli.progress import row_meter
from plausibly.errors import UserError

if TYPE_CHECKING:
    from plausibly.data.dataset import Dataset
    from plausibly.events.schema import Schema

LEVELS_SHOWN = 5  # levels of a column
LEVEL_WIDTH = 20  # characters of a level
COLUMNS_SHOWN = 200  # columns of a table that has more
RELATIONS_SHOWN = 30
NOTES_SHOWN = 50  # remarks on a table that has more


@app.command
def data(
    data: str,
    /,
    *,
    write_kinds: str | None = None,
    options: DataOptions | None = None,
    common: CommonOptions | None = None,
) -> None:
    """Show the column report of DATA: kinds, levels, holes, what was guessed and how to override it.

    Parameters
    ----------
    write_kinds
        a file to keep what was guessed in, to be edited and given to any command with --kinds.
    """
    common, options = common or CommonOptions(), options or DataOptions()
    from plausibly.data.columns import kind_files
    from plausibly.data.loading import load
    from plausibly.data.sources.opening import open_source

    if write_kinds is not None and not open_source(data).has_columns:
        raise UserError(
            f"--write-kinds {write_kinds}: {data} is no table, and has no columns to name"
        )
    meter = row_meter(common, "cells read")
    dataset = load(data, seed=common.seed, on_progress=meter, **options.keywords())
    columns = dataset.format.describe()
    if write_kinds is not None:
        dropped = describe_dropped(dataset.format.table.dropped if dataset.format.table else ())
        kind_files.write_kinds(columns + dropped, Path(data).name, Path(write_kinds))
    print_result(ColumnsPrintout(dataset, columns, write_kinds is not None), common)


def describe_dropped(names: Sequence[str]) -> list[dict[str, Any]]:
    """The columns that were left out, as a file of kinds has them."""
    return [{"name": name, "kind": "drop", "guess": "as you said"} for name in names]


@dataclass(frozen=True)
class ColumnsPrintout:
    """The columns of a data set; `kept` where a file has them too."""

    dataset: Dataset
    columns: list[dict[str, Any]]
    kept: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "data": self.dataset.name,
            "rows": self.dataset.rows,
            "variables": self.dataset.schema.size,
            "columns": self.columns,
            "relations": describe_relations(self.dataset),
            "byte_for_byte": self.dataset.regular,
            "notes": self.dataset.notes,
        }

    def blocks(self) -> Iterator[Block]:
        yield self.title()
        yield self.table()
        if len(self.columns) > COLUMNS_SHOWN:
            yield self.describe_others()
        here = "in the file, and give it with --kinds"
        kept = here if self.kept else "with --kind COLUMN=KIND, or all with --write-kinds FILE"
        yield (
            f"Override a guess {kept}: "
            "boolean, category, integer, number, real, date, id, text, drop."
        )
        if self.dataset.schema.has_unforeseen:
            yield self.price_of_new_values()
        notes = self.dataset.notes
        yield from self.relations()
        yield from notes[:NOTES_SHOWN]
        if len(notes) > NOTES_SHOWN:
            yield f"and {len(notes) - NOTES_SHOWN:,} more remarks such as these; --json lists all"
        if self.dataset.regular:
            yield "rows written again give this file, byte for byte"

    def relations(self) -> Iterator[Block]:
        """The relations, which of them columns follow by, and a row that breaks one."""
        if not self.dataset.relations:
            return
        rows = [
            [each["text"], each["holds"], "yes" if each["follows"] else "", format_breaks(each)]
            for each in describe_relations(self.dataset)
        ]
        headings = ["relation", "holds", "followed", "a row that breaks it"]
        yield ConsoleTable(headings, rows[:RELATIONS_SHOWN])
        if len(rows) > RELATIONS_SHOWN:
            yield f"and {len(rows) - RELATIONS_SHOWN} more relations; --json lists all"
        yield (
            "With --relations a column is learned as what its relation leaves open, so that samples keep it; "
            "--relation 'a = b + c' says one."
        )

    def table(self) -> ConsoleTable:
        rows = [
            [
                *(format_value(column.get(key)) for key in ("name", "kind", "codes", "holes")),
                summarise_values(column),
                format_value(column.get("guess")),
            ]
            for column in self.columns[:COLUMNS_SHOWN]
        ]
        return ConsoleTable(["column", "kind", "codes", "holes", "values", "guessed from"], rows)

    def title(self) -> str:
        counts = " + ".join(f"{count:,}" for count in self.dataset.rows.values())
        return (
            f"{self.dataset.name}: {counts} rows (train, validation, test, calibration), "
            f"{self.dataset.schema.size:,} variables"
        )

    def describe_others(self) -> str:
        others, kinds = len(self.columns) - COLUMNS_SHOWN, Counter(c["kind"] for c in self.columns)
        counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        return (
            f"and {others:,} more columns, in all {counts}; --json or --write-kinds FILE lists all"
        )

    def price_of_new_values(self) -> str:
        shares = [kind.unforeseen for kind in self.dataset.schema.kinds if kind.unforeseen]
        ends = dict.fromkeys(f"{100 * end:.2g}" for end in (min(shares), max(shares)))
        return (
            f"A cell never seen costs its column's share of new values, {' to '.join(ends)} %, "
            "and says nothing of the others."
        )


def describe_relations(dataset: Dataset) -> list[dict[str, Any]]:
    """Each relation with its share, and rows that break it."""
    from plausibly.data.relations.breaks import find_breaks

    table = dataset.format.table
    followed = {each.relation.text for each in table.followers} if table else set()
    return [
        each.to_json()
        | {"holds": each.measure, "follows": each.text in followed}
        | {"breaks": find_breaks(each, dataset.format, dataset.shown)}
        for each in dataset.relations
    ]


def format_breaks(relation: dict[str, Any]) -> str:
    """The first row that breaks a relation, as people read it."""
    rows = relation["breaks"]
    return (
        ", ".join(f"{name} {shorten(str(cell))}" for name, cell in rows[0].items()) if rows else ""
    )


def summarise_values(column: dict[str, Any]) -> str:
    """Says in a few words which values a column has."""
    if column.get("levels"):
        levels = [str(level) for level in column["levels"]]
        more = f", ... ({len(levels):,} levels)" if len(levels) > LEVELS_SHOWN else ""
        return ", ".join(shorten(level) for level in levels[:LEVELS_SHOWN]) + more
    if column.get("range"):
        step = f" by {column['resolution']}" if column.get("resolution") else ""
        return f"{column['range'][0]} to {column['range'][1]}{step}"
    if column.get("drawn"):
        return f"{column['drawn']} in drawn rows"
    return str(column.get("value") or "")


def shorten(level: str) -> str:
    """A level, with `…` in the place of what is left out."""
    return level if len(level) <= LEVEL_WIDTH else f"{level[: LEVEL_WIDTH - 1].rstrip()}…"


@app.command
def models(
    name: str | None = None,
    /,
    *,
    data: str | None = None,
    variables: int | None = None,
    options: DataOptions | None = None,
    common: CommonOptions | None = None,
) -> None:
    """List every model: what it can do, and its number of free parameters.

    Of NAME also its arguments, as --set takes them, and the parts that they choose among.

    Parameters
    ----------
    name
        a model of the list, or FILE.py:CLASS of your own.
    data
        count them for this data.
    variables
        count them for so many binary variables (8 unless said otherwise).
    """
    common, options = common or CommonOptions(), options or DataOptions()
    from plausibly.evaluation.abilities import describe_model, model_entries
    from plausibly.events.schema import binary
    from plausibly.runs.model_classes import model_class

    if data is not None and variables is not None:
        raise UserError("give either --data or --variables, not both")
    if variables is not None and not 1 <= variables <= 100_000:
        raise UserError(f"--variables {variables}; 1 to 100,000 can be counted")
    kind = None if name is None else model_class(name)
    schema = binary(variables or 8) if data is None else schema_of(data, options, common.seed)
    counted = data or f"n = {variables or 8} binary variables"
    if kind is None:
        print_result(ModelsPrintout(model_entries(schema), counted), common)
    else:
        print_result(ModelPrintout(describe_model(kind, schema), counted), common)


def schema_of(data: str, options: DataOptions, seed: int) -> Schema:
    """The schema of data that are read."""
    from plausibly.data.loading import load

    return load(data, seed=seed, **options.keywords()).schema


@dataclass(frozen=True)
class ModelsPrintout:
    """Every model; `counted` says what its parameters are counted for."""

    entries: list[dict[str, Any]]
    counted: str

    def to_json(self) -> dict[str, Any]:
        return {"models": self.entries}

    def blocks(self) -> Iterator[Block]:
        from plausibly.evaluation.abilities import refusal_reasons

        yield self.sizes()
        yield self.tasks()
        for number, reason in enumerate(refusal_reasons(self.entries), 1):
            yield f"({number}) {reason}"
        for entry in self.entries:
            if entry["accepts"]:
                yield f"{entry['accepts']}: refused for this data"

    def sizes(self) -> ConsoleTable:
        rows = [
            [entry["name"], entry["family"], format_count(entry["parameters"]), entry["formula"]]
            for entry in self.entries
        ]
        return ConsoleTable(
            ["model", "family", f"parameters, {self.counted}", "formula (n bits)"], rows
        )

    def tasks(self) -> ConsoleTable:
        from plausibly.evaluation.abilities import task_answers

        names = [entry["name"] for entry in self.entries]
        return ConsoleTable(["task", *names], task_answers(self.entries))


@dataclass(frozen=True)
class ModelPrintout:
    """A model's arguments, and the parts that some of them choose among, with their own."""

    entry: dict[str, Any]
    counted: str

    def to_json(self) -> dict[str, Any]:
        return {"model": self.entry}

    def blocks(self) -> Iterator[Block]:
        entry = self.entry
        yield f"{entry['name']}: {entry['about']}"
        size = f"{format_count(entry['parameters'])} for {self.counted}"
        yield f"family: {entry['family']}; parameters: {size}; of n bits: {entry['formula']}"
        if entry["accepts"]:
            yield f"{entry['accepts']}: refused for this data"
        if not entry["arguments"]:
            yield "It takes no arguments."
            return
        rows = [argument_row("", argument) for argument in entry["arguments"]]
        yield ConsoleTable(["--set", "default", "meaning"], rows)
        for argument in entry["arguments"]:
            if argument["parts"]:
                yield parts_table(argument)


def parts_table(argument: dict[str, Any]) -> ConsoleTable:
    """The parts that an argument chooses among, each with its own arguments."""
    rows = []
    for part in argument["parts"]:
        rows.append([f"{argument['name']}={part['name']}", "", part["about"]])
        rows += [argument_row(f"{argument['name']}.", own) for own in part["arguments"]]
    return ConsoleTable(["--set", "default", "meaning"], rows)


def argument_row(prefix: str, argument: dict[str, Any]) -> list[str]:
    """The name of an argument as `--set` takes it, its default and its description."""
    default = argument["default"]
    text = default if isinstance(default, str) else json.dumps(default)
    return [prefix + argument["name"], "" if default is None else text, argument["description"]]


def format_count(count: int) -> str:
    """A whole number as people read it, in powers of ten where it is large."""
    return f"{count:,}" if count < 10**15 else f"{count:.3g}"
