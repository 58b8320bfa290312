"""What every model can do and why it cannot do the rest, made from types, rules and reasons."""

from __future__ import annotations

from typing import Any

from plausibly.capabilities import Trainable
from plausibly.models import MODELS
from plausibly.schema import Schema
from plausibly.tasks import load_tasks

METHODS = (
    *("sample", "log_bound", "log_prob", "predict", "unroll", "predict_given", "log_marginal", "sample_given"),
    *("complete", "entropy_given"),
)


def task_names() -> list[str]:
    return list(load_tasks())


def capabilities(model: type[Trainable]) -> list[str]:
    """The methods of the ladder that the model has."""
    return [name for name in METHODS if hasattr(model, name)]


def model_entries(schema: Schema) -> list[dict[str, Any]]:
    """For each model: its size for such data, its capabilities, each task's word, and the reasons of refusals."""
    tasks = load_tasks()
    entries = []
    for name, model in MODELS.items():
        words = {task: word for task in tasks if (word := tasks[task].word(model))}
        entries.append(
            {
                "name": name,
                "family": model.family,
                "formula": model.formula,
                "parameters": model.count(schema),
                "accepts": model.accepts(schema),
                "capabilities": capabilities(model),
                "tasks": words,
                "refuses": {task: tasks[task].refusal for task in tasks if task not in words},
            }
        )
    return entries


def markdown(schema: Schema) -> str:
    """The table of capabilities and refusals, as the README shows it."""
    names, entries = task_names(), model_entries(schema)
    lines = [
        "| model | parameters, n bits | n = 8 | " + " | ".join(names) + " |",
        "|---|---|---:|" + "---|" * len(names),
    ]
    reasons: list[str] = []
    for entry in entries:
        cells = []
        for task in names:
            reason = entry["refuses"].get(task)
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"no ({reasons.index(reason) + 1})" if reason else entry["tasks"][task])
        lines.append(
            f"| `{entry['name']}` | {entry['formula']} | {entry['parameters']:,} | " + " | ".join(cells) + " |"
        )
    notes = [f"({number}) {reason}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes])
