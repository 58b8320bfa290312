"""The same request has the same bytes, alone or in whatever batch, over all models and tasks; odd requests get a line."""

import io
import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from plausibly.runs.run import Run
from plausibly.service.answers import ANSWERS, describe_tasks, row_records
from plausibly.service.bodies import BODIES
from plausibly.service.engine import Asked, Engine
from plausibly.service.frames import pack_frame, read_frame
from plausibly.service.rows_schema import describe_row
from plausibly.tasks import load_tasks

KEPT = Path(__file__).parents[1] / "kept" / "0.1.0"
RUNS = sorted(path.parent.name for path in KEPT.glob("*/run.json"))
NOT_ASKED = {"annealed", "compress", "full_conditionals", "marginal"}  # of a request's own
NUMBERS = count()


def ask(engine, *requests):
    """The status and the bytes of the answer to each of some requests that come together."""
    batch = [Asked(next(NUMBERS), task, question) for task, question in requests]
    engine.written.clear()
    engine.serve(batch)
    found = {}
    for frame in engine.written:
        header, body = read_frame(io.BytesIO(frame))
        found[header["id"]] = header["status"], body
    return [found[asked.number] for asked in batch]


def engine_of(name):
    written = []
    engine = Engine(Run.open(KEPT / name), written.append)
    engine.written = written
    return engine


def rows_of(run, n):
    """Rows of the run's own, or plausible ones."""
    return row_records(run.format.rows(some_events(run, n)))


def some_events(run, n):
    codes = np.random.default_rng(0).integers(0, 2, size=(n, *run.model.schema.shape))
    return run.format.draw(torch.tensor(codes), np.random.default_rng(1))


def questions_about(run):
    """A request for each task."""
    rows, first = rows_of(run, 3), run.names[0]
    own = {
        "score": {"rows": rows[:1], "each": True}, "sample": {"n": 2, "seed": 5}, "query": {"target": first},
        "interpolate": {"a": rows[0], "b": rows[1], "steps": 3}, "entropy": {},
        "information": {"a": run.names[0], "b": run.names[1]}, "classify": {"rows": rows, "target": first},
        "regress": {"rows": rows[:1], "target": run.names[1], "particles": 20},
    }  # fmt: skip
    return [(task, own.get(task, {"rows": rows})) for task in ANSWERS]


def test_every_task_has_a_body_and_an_answer():
    assert BODIES.keys() == ANSWERS.keys()
    assert {task.name for task, _ in ANSWERS.values()} == load_tasks().keys() - NOT_ASKED


@pytest.mark.parametrize("name", RUNS)
def test_bytes_are_those_of_the_request_alone(name):
    engine = engine_of(name)
    rows = rows_of(engine.run, 11)
    requests = [("score", {"rows": rows[i : i + 1 + i % 3]}) for i in range(9)]
    requests[3:3] = [
        (task, asked) for task, asked in questions_about(engine.run) if task != "regress"
    ]
    together = ask(engine, *requests)
    assert together == [ask(engine, one)[0] for one in requests]
    assert together == ask(engine, *requests)
    told = describe_tasks(engine.run)
    for (task, _), (status, body) in zip(requests, together, strict=True):
        assert status in ((409, 422) if "refused" in told[task] else (200, 422)), (task, body)
        assert task != "score" or status == (409 if "refused" in told["score"] else 200), body
        json.loads(body)


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("people")])
def test_a_number_is_one_number_in_whatever_company(name):
    """A cell is the same event as text, as a number, and beside a hole."""
    engine = engine_of(name)
    if "refused" in describe_tasks(engine.run)["score"]:
        pytest.skip(f"{name} has no likelihood")
    row = rows_of(engine.run, 1)[0]
    texts = {name: None if cell is None else str(cell) for name, cell in row.items()}
    holed = {name: None for name in row}
    requests = [("score", {"rows": [own]}) for own in (row, texts, holed, row)]
    alone = [ask(engine, one)[0] for one in requests]
    assert ask(engine, *requests) == alone
    assert alone[0] == alone[3]


def test_rows_that_lack_a_column_are_refused_beside_those_that_do_not():
    engine = engine_of("people-chow_liu")
    row = rows_of(engine.run, 1)[0]
    short = {name: row[name] for name in list(row)[1:]}
    whole, lacking, odd = ask(
        engine, *[("score", {"rows": [own]}) for own in (row, short, row | {"more": 1})]
    )
    assert whole[0] == 200 and lacking[0] == odd[0] == 422
    assert b"lacks 'city'" in lacking[1] and b"'more' besides" in odd[1]


ODD_CELLS = [
    "\ud800",
    "",
    "x" * 5000,
    10**400,
    -1,
    1e308,
    True,
    "NaN",
    "2020-99-99",
    "=1+1",
    "\x00",
    "🎲",
    [1],
    {"a": 1},
]


@pytest.mark.parametrize("name", ["people-chow_liu", "people-vae", "reals-gaussian", "bits-joint"])
def test_odd_cells_get_an_answer_or_a_line(name):
    engine = engine_of(name)
    run = engine.run
    row = rows_of(run, 1)[0]
    for cell in ODD_CELLS:
        odd = (
            {**row, run.names[0]: cell, run.names[-1]: cell}
            if isinstance(row, dict)
            else [cell, *row[1:]]
        )
        asked = [("score", {"rows": [odd]}), ("impute", {"rows": [odd]}),
                 ("query", {"target": run.names[0], "given": {run.names[1]: cell}})]  # fmt: skip
        for status, body in ask(engine, *asked):
            assert status in (200, 409, 422), (cell, body)
            assert b"Traceback" not in body


@pytest.mark.parametrize(
    "rows", [[[1, 0], {"a": 1}], [{"a": 1}], [[1, 0]], [["x"] * 8], [[[1]] * 3, [1]]]
)
def test_rows_of_another_form_are_refused(rows):
    status, body = ask(engine_of("bits-joint"), ("score", {"rows": rows}))[0]
    assert status == 422 and json.loads(body)["detail"]


def test_a_row_schema_names_columns_and_shapes():
    people, bits = (
        describe_row(Run.open(KEPT / name).format) for name in ("people-chow_liu", "bits-joint")
    )
    assert list(people["properties"]) == ["city", "income", "rooms", "since", "owner"]
    assert (
        people["additionalProperties"] is False
        and "Oslo" in people["properties"]["city"]["examples"]
    )
    assert bits == {"type": "array", "items": {"type": "number"}, "minItems": 6, "maxItems": 6}


def test_frames_come_back_and_end_with_their_file():
    file = io.BytesIO(pack_frame({"id": 1, "word": "é"}, b"\x00\xff") + pack_frame({}))
    assert read_frame(file) == ({"id": 1, "word": "é"}, b"\x00\xff") and read_frame(file) == (
        {},
        b"",
    )
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(b"\x00\x00"))
