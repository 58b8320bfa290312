"""The process that computes for one run: it reads requests from its standard input and writes answers to its output.

`python -m plausibly.service.engine RUN [--memory BYTES]`. It takes all that has come meanwhile, never waits for more, and
answers each request with the bytes that it would get alone. It opens no file but the run's own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from plausibly.errors import Unsupported, UserError
from plausibly.runs.run import Run
from plausibly.service.answers import ANSWERS, Question, Reply, describe_tasks
from plausibly.service.frames import pack_frame, read_frame
from plausibly.service.merging import MOST_TOGETHER, is_mergeable, read_together, score_together
from plausibly.service.rows_schema import describe_row
from plausibly.system.threads import take_threads


@dataclass(frozen=True)
class Asked:
    """A request: its number, what is asked, and the document of its body."""

    number: int
    task: str
    question: Question


class Engine:
    """A run that answers requests, one batch after the other."""

    def __init__(self, run: Run, write: Callable[[bytes], Any]) -> None:
        self.run, self.write = run, write

    def greet(self) -> None:
        """Says what the run is and can, before anything is asked."""
        run, tasks = self.run, describe_tasks(self.run)
        hello = {
            "run": run.summary(),
            "sign": run.sign if "word" in tasks["score"] else None,
            "weights_sha256": run.record.weights_sha256,
            "tasks": tasks,
            "row": describe_row(run.format),
            "variables": run.model.schema.size,
            "rows_scored_per_second": run.record.rows_scored_per_second,
            "rows_sampled_per_second": run.record.rows_sampled_per_second,
        }
        self.write(pack_frame({"hello": True}, to_bytes(hello)))

    def serve(self, batch: Iterable[Asked]) -> None:
        """Answers all requests of a batch: those that may share a pass together, then the others in turn."""
        merged, alone = list[Asked](), list[Asked]()
        for asked in batch:
            (merged if is_mergeable(self.run, asked.task, asked.question) else alone).append(asked)
        for some in self._parts(merged):
            try:
                self._serve_merged(some)
            except Exception as error:
                for asked in some:
                    self._refuse(asked, error)
        for asked in alone:
            self._serve_alone(asked)

    def _parts(self, merged: list[Asked]) -> Iterator[list[Asked]]:
        """The requests in parts of not too many rows."""
        part, rows = list[Asked](), 0
        for asked in merged:
            more = len(asked.question["rows"])
            if part and rows + more > MOST_TOGETHER:
                yield part
                part, rows = [], 0
            part.append(asked)
            rows += more
        if part:
            yield part

    def _serve_merged(self, merged: list[Asked]) -> None:
        read = read_together(self.run, [asked.question["rows"] for asked in merged])
        pairs = list(zip(merged, read, strict=True))
        for asked, own in pairs:
            if isinstance(own, UserError):
                self._refuse(asked, own)
        sound = [(asked, own) for asked, own in pairs if not isinstance(own, UserError)]
        if not sound:
            return
        replies = score_together(self.run, [own for _, own in sound])
        for (asked, _), reply in zip(sound, replies, strict=True):
            self._send(asked, 200, reply)

    def _serve_alone(self, asked: Asked) -> None:
        try:
            self._send(asked, 200, ANSWERS[asked.task][1](self.run, asked.question))
        except Exception as error:
            self._refuse(asked, error)

    def _send(self, asked: Asked, status: int, reply: Reply) -> None:
        seed = {"seed": asked.question.get("seed", 0)} if asked.task in SEEDED else {}
        model = {"model": self.run.record.model, "weights_sha256": self.run.record.weights_sha256}
        word = ANSWERS[asked.task][0].word(type(self.run.answerer(ANSWERS[asked.task][0]).model))
        body = {"task": asked.task, "word": word} | model | seed | reply if status == 200 else reply
        self.write(pack_frame({"id": asked.number, "status": status}, to_bytes(body)))

    def _refuse(self, asked: Asked, error: Exception) -> None:
        status, detail = explain(error)
        if status == 500:
            traceback.print_exception(error)
        self._send(asked, status, {"detail": detail})


SEEDED = ("sample", "query", "impute", "regress")


def explain(error: Exception) -> tuple[int, str]:
    """The status of an error, and its line; a bug's says only that it is one."""
    text = " ".join(str(error).split())
    if isinstance(error, Unsupported):
        return 409, text
    if isinstance(error, UserError):
        return 422, text
    if isinstance(error, MemoryError) or (
        "memory" in text.lower() and isinstance(error, RuntimeError)
    ):
        return 507, "the memory is not enough for this; fewer rows or draws take less"
    return 500, f"a fault of the program, {type(error).__name__}; its log has more"


def to_bytes(document: Any) -> bytes:
    """A document as JSON, the same bytes for the same document."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def listen(file: BinaryIO, queue: SimpleQueue[Asked | None]) -> None:
    """Puts each request that comes into the queue, and None once the other side has gone."""
    try:
        while True:
            header, body = read_frame(file)
            queue.put(Asked(header["id"], header["task"], json.loads(body)))
    except EOFError:
        queue.put(None)


def drain(queue: SimpleQueue[Asked | None]) -> Iterator[list[Asked]]:
    """Batches of all that has come by then."""
    while True:
        found = [queue.get()]
        while True:
            try:
                found.append(queue.get_nowait())
            except Empty:
                break
        if batch := [asked for asked in found if asked is not None]:
            yield batch
        if None in found:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--memory", type=int, default=4 << 30)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (given.memory, given.memory))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever is printed goes to the log
    queue: SimpleQueue[Asked | None] = SimpleQueue()
    with take_threads(1):
        try:
            engine = Engine(Run.open(given.run), lambda frame: write_all(answers, frame))
            engine.greet()
        except UserError as error:
            write_all(answers, pack_frame({"refused": str(error)}))
            sys.exit(2)
        Thread(target=listen, args=(sys.stdin.buffer, queue), daemon=True).start()
        for batch in drain(queue):
            engine.serve(batch)


def write_all(file: Any, frame: bytes) -> None:
    """Writes all bytes to a pipe."""
    view = memoryview(frame)
    while view:
        view = view[file.write(view) :]


if __name__ == "__main__":
    main()
