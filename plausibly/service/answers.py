"""The answer of a run to each request, as JSON can hold it. A request is what its body (bodies.py) allows, and no path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from plausibly.errors import Unsupported, UserError
from plausibly.runs.run import Run
from plausibly.tasks import Task
from plausibly.tasks.classify import classify
from plausibly.tasks.complete import complete
from plausibly.tasks.encode import encode
from plausibly.tasks.impute import impute
from plausibly.tasks.information import entropy, information
from plausibly.tasks.interpolate import interpolate
from plausibly.tasks.query import query
from plausibly.tasks.reconstruct import reconstruct
from plausibly.tasks.sample import sample
from plausibly.tasks.score import conditionals, score

Question = Mapping[str, Any]
Reply = dict[str, Any]


def held_rows(run: Run, rows: list[Any]) -> Any:
    """The rows of a request in the container of the run's data. UserError where they are in another."""
    named = isinstance(rows[0], dict)
    if any(isinstance(row, dict) is not named for row in rows):
        raise UserError("some rows are objects and others arrays; give all alike")
    if run.format.table is not None:
        if not named:
            raise UserError("each row is an object, with the names of columns and their values")
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}
    if named:
        raise UserError("each row is an array of numbers, of the shape of the training rows")
    try:
        array = np.array(rows)
    except ValueError as error:
        raise UserError(
            "the rows have unlike shapes; each is of the shape of the training rows"
        ) from error
    if array.dtype.kind not in "biuf":
        raise UserError("a row holds something other than numbers")
    return array


def row_records(rows: Any) -> list[Any]:
    """The rows that a run gave: an object each, or the array of numbers that each is."""
    if isinstance(rows, np.ndarray):
        return [plain(row) for row in rows]
    names = [str(name) for name in rows]
    columns = [
        [plain(cell) for cell in rows.iloc[:, place].astype(object)] for place in range(len(names))
    ]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def plain(value: Any) -> Any:
    """A value as JSON can hold it: null for what is missing or not finite, ISO 8601 for times."""
    if isinstance(value, dict):
        return {str(name): plain(own) for name, own in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return None if value != value else spell(value)


def spell(value: Any) -> str:
    """A date, a time or any other cell as text."""
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def column_records(columns: Mapping[str, Any], rows: int) -> list[Reply]:
    """An object for each row, of columns of which some are one value for all."""
    held = {
        name: [own] * rows if isinstance(own, str) else [plain(cell) for cell in own]
        for name, own in columns.items()
    }
    return [dict(zip(held, cells, strict=True)) for cells in zip(*held.values(), strict=True)]


def answer_score(run: Run, asked: Question) -> Reply:
    columns, told = run.score_columns(
        held_rows(run, asked["rows"]), None, asked.get("fdr"), asked.get("each", False)
    )
    return {"rows": column_records(columns, len(asked["rows"]))} | plain(told)


def answer_conditionals(run: Run, asked: Question) -> Reply:
    return framed(run.conditionals(held_rows(run, asked["rows"])))


def framed(frame: Any) -> Reply:
    """The rows of a frame, and the name of the model that it carries."""
    return {"rows": row_records(frame)} | plain(dict(getattr(frame, "attrs", {})))


def answer_sample(run: Run, asked: Question) -> Reply:
    given, whole = asked.get("given") or {}, asked.get("complete", False)
    rows, told = run.sample_with_ess(asked["n"], asked.get("seed", 0), given, whole)
    conditional = {"drawn": impute.word(type(run.answerer(impute).model))} if given or whole else {}
    return framed(rows) | conditional | (told.to_json() if told else {})


def answer_query(run: Run, asked: Question) -> Reply:
    found = run.query(
        asked["target"], asked.get("given", {}), asked.get("seed", 0), asked.get("particles", 1000)
    )
    return plain(found.to_json())


def answer_impute(run: Run, asked: Question) -> Reply:
    rows, seed = held_rows(run, asked["rows"]), asked.get("seed", 0)
    found = [run.fill(rows, seed + draw) for draw in range(asked.get("draws", 1))]
    told = found[-1][1]
    by = framed(found[0][0]) | {"filled": impute.word(type(run.answerer(impute).model))}
    completions = [row_records(filled) for filled, _ in found]
    return (
        by | {"rows": completions[0], "completions": completions} | (told.to_json() if told else {})
    )


def answer_complete(run: Run, asked: Question) -> Reply:
    return framed(run.complete(held_rows(run, asked["rows"]), asked.get("holes", False)))


def answer_classify(run: Run, asked: Question) -> Reply:
    found = run.classify(held_rows(run, asked["rows"]), asked.get("target"))
    return plain(found.to_json()) | {"rows": row_records(found.frame())}


def answer_regress(run: Run, asked: Question) -> Reply:
    found = run.regress(
        held_rows(run, asked["rows"]),
        asked.get("target"),
        asked.get("seed", 0),
        asked.get("particles", 1000),
    )
    return plain(found.to_json()) | {"rows": row_records(found.frame())}


def answer_encode(run: Run, asked: Question) -> Reply:
    return {"latents": plain(run.encode(held_rows(run, asked["rows"])))}


def answer_reconstruct(run: Run, asked: Question) -> Reply:
    return framed(run.reconstruct(held_rows(run, asked["rows"])))


def answer_interpolate(run: Run, asked: Question) -> Reply:
    first, last = (held_rows(run, [asked[end]]) for end in ("a", "b"))
    return framed(run.interpolate(first, last, asked.get("steps", 8)))


def answer_entropy(run: Run, asked: Question) -> Reply:
    return {"nats": run.entropy(asked.get("given"))} | run.answerer(entropy).attribution


def answer_information(run: Run, asked: Question) -> Reply:
    nats = run.information(asked["a"], asked["b"], asked.get("given"))
    return {"nats": nats} | run.answerer(information).attribution


def answer_evaluate(run: Run, asked: Question) -> Reply:
    found = run.evaluate(held_rows(run, asked["rows"]))
    if found is None:
        raise Unsupported(f"{run.model_title} does not answer evaluate: {score.refusal}")
    return {"test": plain(found.to_json())}


ANSWERS: dict[str, tuple[Task[Any], Callable[[Run, Question], Reply]]] = {
    "score": (score, answer_score),
    "conditionals": (conditionals, answer_conditionals),
    "sample": (sample, answer_sample),
    "query": (query, answer_query),
    "impute": (impute, answer_impute),
    "complete": (complete, answer_complete),
    "classify": (classify, answer_classify),
    "regress": (query, answer_regress),
    "encode": (encode, answer_encode),
    "reconstruct": (reconstruct, answer_reconstruct),
    "interpolate": (interpolate, answer_interpolate),
    "entropy": (entropy, answer_entropy),
    "information": (information, answer_information),
    "evaluate": (score, answer_evaluate),
}


def describe_tasks(run: Run) -> dict[str, Reply]:
    """Each request with the word of its answer, or why it is refused."""
    found = {}
    for name, (task, _) in ANSWERS.items():
        own = run.answerer(task)
        word = task.word(type(own.model))
        found[name] = (
            {"refused": task.refusal} if word is None else {"word": word} | own.attribution
        )
    return found
