"""The abilities and arguments of every model, and the reasons for what it cannot do: from types, rules and docstrings."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from plausibly.capabilities import Trainable
from plausibly.events.schema import Schema
from plausibly.models import MODELS, model_name
from plausibly.system.parts import Argument, Part, list_arguments
from plausibly.tasks import load_tasks

METHODS = (
    *(
        "sample",
        "log_bound",
        "log_prob",
        "predict",
        "unroll",
        "predict_given",
        "log_marginal",
        "sample_given",
    ),
    *("complete", "entropy_given", "decode", "encode"),
)


def task_names() -> list[str]:
    return list(load_tasks())


def capability_methods(model: type[Trainable]) -> list[str]:
    """The methods of the ladder that the model has."""
    return [name for name in METHODS if hasattr(model, name)]


def model_entries(schema: Schema) -> list[dict[str, Any]]:
    """For each model: its size for such data, its capabilities, each task's word, and the reasons of refusals."""
    return [model_entry(name, model, schema) for name, model in MODELS.items()]


def model_entry(name: str, model: type[Trainable], schema: Schema) -> dict[str, Any]:
    """A model's size for such data, its capabilities, each task's word, and the reasons of refusals."""
    tasks = load_tasks()
    words = {task: word for task in tasks if (word := tasks[task].word(model))}
    return {
        "name": name,
        "family": model.family,
        "formula": model.formula,
        "parameters": model.count(schema),
        "accepts": model.accepts(schema),
        "capabilities": capability_methods(model),
        "tasks": words,
        "refuses": {task: tasks[task].refusal for task in tasks if task not in words},
    }


def describe_model(model: type[Trainable], schema: Schema) -> dict[str, Any]:
    """The entry of a model, with its arguments, and the parts that they choose among."""
    entry = model_entry(model_name(model), model, schema)
    arguments = [
        entry_of_argument(argument)
        | {"parts": [describe_part(part) for part in model.choices.get(argument.name, ())]}
        for argument in list_arguments(model)
    ]
    return entry | {"about": first_paragraph(model), "arguments": arguments}


def describe_part(part: type[Part]) -> dict[str, Any]:
    """The name of a part, its job and its own arguments."""
    arguments = [entry_of_argument(argument) for argument in list_arguments(part)]
    return {"name": part.name, "about": first_paragraph(part), "arguments": arguments}


def entry_of_argument(argument: Argument) -> dict[str, Any]:
    """An argument as JSON can hold it."""
    default = argument.default
    if isinstance(default, tuple):
        default = list(default)
    elif not isinstance(default, str | int | float | bool | list | dict | None):
        default = str(default)
    return {"name": argument.name, "default": default, "description": argument.description}


def first_paragraph(kind: type) -> str:
    """The first paragraph of a class's docstring, as one line."""
    return " ".join(cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def refusal_reasons(entries: list[dict[str, Any]]) -> list[str]:
    """Why models do not do tasks, each reason once: what a `no (3)` in a table refers to."""
    refused = (pair for entry in entries for pair in entry["refuses"].items())
    return list(dict.fromkeys(f"{task}: {why}" for task, why in refused))


def task_answers(entries: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each task: its name, and the word of each model or the number of its reason."""
    known = refusal_reasons(entries)

    def word(entry: dict[str, Any], task: str) -> str:
        why = entry["refuses"].get(task)
        return entry["tasks"][task] if why is None else f"no ({known.index(f'{task}: {why}') + 1})"

    return [[task, *(word(entry, task) for entry in entries)] for task in task_names()]


def models_markdown(schema: Schema) -> str:
    """The tables of sizes, capabilities and refusals, as the README shows them."""
    entries = model_entries(schema)
    sizes = [[f"`{e['name']}`", e["formula"], f"{e['parameters']:,}"] for e in entries]
    first = ["| model | parameters, n bits | n = 8 |", "|---|---|---:|", *map(table_line, sizes)]
    heading = ["task", *(f"`{entry['name']}`" for entry in entries)]
    second = [
        table_line(heading),
        "|---|" + "---|" * len(entries),
        *map(table_line, task_answers(entries)),
    ]
    notes = [f"({number}) {reason}." for number, reason in enumerate(refusal_reasons(entries), 1)]
    return "\n".join([*first, "", *second, "", *notes])


def table_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
