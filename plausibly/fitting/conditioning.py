"""The context that models are given, the target that they tell, and the origin of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plausibly.data import labels
from plausibly.data.dataset import Dataset
from plausibly.data.events import RowProgress
from plausibly.data.formats.array_blocks import LABEL
from plausibly.data.questions import place_of_name
from plausibly.data.sources.opening import open_source
from plausibly.errors import UserError
from plausibly.fitting.settings import DataRequest, Listener, Settings
from plausibly.runs.record import Origin, ReadingOptions


def data_origin(dataset: Dataset, options: dict[str, Any]) -> Origin:
    """Where the data came from, so that a run can find and recognise it again."""
    reading = plain_options(options) | named_columns(options) | parts_elsewhere(options)
    reading |= {"relations": followed_relations(dataset, options)}
    reading = {key: value for key, value in reading.items() if value is not None}
    source = absolute_source(dataset.source)
    return Origin(dataset.name, source, dataset.fingerprint, ReadingOptions(**reading))


def followed_relations(dataset: Dataset, options: dict[str, Any]) -> list[str] | bool | None:
    """The relations that columns follow by, as they are said; False where none was to be sought, None where none is found."""
    if options.get("relations") is False:
        return False
    table = dataset.format.table
    return [each.relation.text for each in table.followers] or None if table else None


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that JSON can hold as they are."""
    kept = {key: value for key, value in options.items() if key not in ("valid", "test")}
    return {k: v for k, v in kept.items() if isinstance(v, str | int | dict | list | tuple)}


def named_columns(options: dict[str, Any]) -> dict[str, Any]:
    """The options about columns, each named by a text."""
    kinds = {labels.label_text(k): word for k, word in (options.get("kinds") or {}).items()}
    drop = [labels.label_text(name) for name in options.get("drop") or ()]
    return {key: value for key, value in {"kinds": kinds, "drop": drop}.items() if value}


def parts_elsewhere(options: dict[str, Any]) -> dict[str, Any]:
    """The files that validation and test rows are from, where they have their own."""
    paths = {key: options.get(key) for key in ("valid", "test")}
    return {k: absolute_source(str(p)) for k, p in paths.items() if isinstance(p, str | Path)}


def load_request(wanted: DataRequest, on_progress: RowProgress) -> tuple[Dataset, Origin]:
    """The data, and their origin."""
    named = (*wanted.context, *wanted.event, wanted.target)
    if LABEL in named and not open_source(wanted.source).has_columns:
        wanted = replace(wanted, reading=wanted.reading | {"labelled": True})
    dataset = wanted.load(on_progress)
    return dataset, data_origin(dataset, {"seed": wanted.seed, **wanted.reading})


def load_conditioned(
    wanted: DataRequest, chosen: Settings, listener: Listener
) -> tuple[Dataset, Origin, Settings]:
    """The data, their origin, and the settings with the variables of the context and of the target, where they are named."""
    dataset, origin = load_request(wanted, listener.read)
    first = context_of(dataset.format.names, wanted.context, wanted.event)
    if first:
        chosen = replace(chosen, arguments=chosen.arguments | {"context": list(first)})
    if wanted.target is not None:
        last = place_of_target(dataset.format.names, wanted.target, first)
        chosen = replace(chosen, arguments=chosen.arguments | {"target": last})
    return dataset, origin, chosen


def place_of_target(names: Sequence[str], target: str, context: Sequence[int]) -> int:
    """The target's variable, from its name. UserError where there is none, or it is context."""
    place = place_of_name(names, target)
    if place in context:
        raise UserError(f"{names[place]!r} is named as target and is context; it is one of the two")
    return place


def context_of(
    names: Sequence[str], context: Sequence[str], event: Sequence[str]
) -> tuple[int, ...]:
    """The context's variables, from names; `rest` stands for all that are no event. UserError for what cannot be."""
    context, event = ([labels.label_text(name) for name in some] for some in (context, event))
    for name in (*context, *event):
        if name != "rest":
            place_of_name(names, name)
    rest = [name for name in names if name not in event]
    chosen = rest if "rest" in context or (event and not context) else list(context)
    check_context(names, chosen, event)
    return tuple(names.index(name) for name in chosen)


def check_context(names: Sequence[str], chosen: list[str], event: Sequence[str]) -> None:
    """UserError where the names that were chosen cannot be the context of the event, or of what is left."""
    if both := set(chosen) & set(event):
        raise UserError(f"{both.pop()!r} is named as event and as context; it is one of the two")
    if event and set(chosen) != set(names) - set(event):
        raise UserError(
            "what is no event is context: give --event NAMES with --context rest, or --context NAMES alone"
        )
    if chosen and len(chosen) == len(names):
        raise UserError("all columns are context; at least one must be left to be modelled")


def absolute_source(source: Any) -> Any:
    """A path that holds from any folder; a built-in's name as it is."""
    if not isinstance(source, str):
        return source
    path, mark, part = source.rpartition(":") if not Path(source).exists() else (source, "", "")
    return str(Path(path).resolve()) + mark + part if path and Path(path).exists() else source
