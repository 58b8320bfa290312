"""Work on many rows in shards of a fixed size, each kept beside the output until all are done.

A shard's result is a function of the run, its rows and (seed, shard): it does not matter where it is done, in which order,
or after how many interruptions. The same command goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.sources.opening import open_source, reading_source
from plausibly.data.sources.rows import counting_rows_from
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.scores import AS_ODD, score_rows
from plausibly.families.proposals import EffectiveSampleSize, join_effective_sizes
from plausibly.runs.run import Run
from plausibly.system.files import refuse_streams, replacing
from plausibly.system.locks import holding_lock
from plausibly.system.seals import BrokenSeal, check_document, parse_document, write_sealed

if TYPE_CHECKING:
    import pyarrow as pa

ShardPiece = Any  # what a shard is made of: rows, or how many of them
Numbered = tuple[int, ShardPiece]
Work = Callable[[Run, "ShardJob", Iterator[Numbered]], Iterator[tuple[int, "pa.Table"]]]


class LostWorkers(UserError):
    """The work has stopped for a reason that has nothing to do with it: what is done is kept."""


class ShardJob(ABC):
    """The work on each shard. Its fields are plain, since it may travel."""

    word: ClassVar[str]
    verb: ClassVar[str] = "look at"

    @abstractmethod
    def pieces(self, run: Run) -> Iterable[ShardPiece]:
        """The pieces that shards are made of."""

    @abstractmethod
    def shard(self, run: Run, number: int, piece: ShardPiece) -> pa.Table:
        """The result of one shard."""

    def plan(self, run: Run) -> dict[str, Any]:
        """All that decides the results, as JSON."""
        format = hashlib.sha256(json.dumps(run.record.format).encode()).hexdigest()
        model = [run.record.model, run.record.weights_sha256, format]
        return {"job": self.word, **asdict(self), "run": model, "rows": run.shard_rows}  # type: ignore[call-overload]


@dataclass(frozen=True)
class SampleJob(ShardJob):
    """Draws `n` rows for the file `out`."""

    out: str
    n: int
    seed: int
    given: Mapping[str, Any]
    complete: bool = False
    beyond: bool = False
    word = "sample"

    def pieces(self, run: Run) -> Iterable[int]:
        return run.shards(self.n)

    def shard(self, run: Run, number: int, piece: int) -> pa.Table:
        own = run.drawing_beyond() if self.beyond else run
        events, told = own.sample_shard(number, piece, self.seed, self.given, self.complete)
        rows = run.format.output(Path(self.out)).piece(run.format.rows(events, Path(self.out)))
        return _with_effective(rows, told)


@dataclass(frozen=True)
class RowsJob(ShardJob):
    """Work on the rows of `data`."""

    data: str

    def pieces(self, run: Run) -> Iterable[Any]:
        with reading_source(self.data) as source:
            yield from source.pieces(run.format, run.shard_rows)

    def plan(self, run: Run) -> dict[str, Any]:
        return super().plan(run) | {"contents": open_source(self.data).fingerprint()}

    @contextmanager
    def rows_of(self, run: Run, number: int) -> Iterator[None]:
        """Says of a wrong row where it is in `data`."""
        with reading_source(self.data), counting_rows_from(number * run.shard_rows):
            yield


@dataclass(frozen=True)
class FillJob(RowsJob):
    """Fills the holes of rows, for the file `out`."""

    out: str
    seed: int
    beyond: bool = False
    word = "impute"
    verb = "fill"

    def shard(self, run: Run, number: int, piece: Any) -> pa.Table:
        with self.rows_of(run, number):
            asked = run.format.questions(piece)
        own = run.drawing_beyond() if self.beyond else run
        filled, told = own.fill_shard(number, asked, self.seed)
        output, rows = (run.format.output(Path(self.out)), run.format.rows(filled, Path(self.out)))
        return _with_effective(output.piece(rows), told)


@dataclass(frozen=True)
class ScoreJob(RowsJob):
    """Scores rows, apart from what calibration rows tell; see `score_rows` for `each` and `rest`.
    Where they are `crossed`, with what the models of the folds tell.
    """

    each: bool = False
    rest: bool = False
    crossed: bool = False
    word = "score"

    def shard(self, run: Run, number: int, piece: Any) -> pa.Table:
        with self.rows_of(run, number):
            events = run.format.events(piece)
        frame = score_rows(run.model, run.format, events, run.usual, self.each, self.rest)
        if self.crossed and run.count_as_odd is not None:
            frame[AS_ODD] = run.count_as_odd(events)
        return _table(frame)


@dataclass(frozen=True)
class ConditionalsJob(RowsJob):
    """p(x_i | earlier) of each cell."""

    word = "conditionals"

    def shard(self, run: Run, number: int, piece: Any) -> pa.Table:
        with self.rows_of(run, number):
            events = run.format.events(piece)
        return _table(run.conditionals(events))


def _table(frame: Any) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


EFFECTIVE_KEY = (
    b"effective"  # where a table of filled rows says how many of its draws tell something
)


def _with_effective(table: pa.Table, told: EffectiveSampleSize | None) -> pa.Table:
    if told is None:
        return table
    document = json.dumps({"rows": told.rows.tolist(), "draws": told.draws}).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), EFFECTIVE_KEY: document})


def read_effective_size(pieces: Iterable[pa.Table]) -> EffectiveSampleSize | None:
    """The number of draws that tell something, of all filled rows; None where none was drawn by weight."""
    import torch

    found = [
        json.loads(piece.schema.metadata[EFFECTIVE_KEY])
        for piece in pieces
        if EFFECTIVE_KEY in (piece.schema.metadata or {})
    ]
    return join_effective_sizes(
        [EffectiveSampleSize(torch.tensor(each["rows"]), each["draws"]) for each in found]
    )


def work_here(run: Run, job: ShardJob, todo: Iterator[Numbered]) -> Iterator[tuple[int, pa.Table]]:
    """The work done in this process, shard after shard."""
    return ((number, job.shard(run, number, piece)) for number, piece in todo)


def _read_buffer(file: Path) -> pa.Buffer:
    import pyarrow as pa

    try:
        return pa.py_buffer(file.read_bytes())
    except OSError as error:
        raise BrokenSeal(
            f"cannot read {file}: {error.strerror}; the same command does it anew"
        ) from error


class Shards:
    """The shards of a job that are done, in a folder beside its output. How many they and
    their rows are is known when all pieces were seen."""

    def __init__(self, out: Path, plan: Mapping[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.shards")
        self.plan = json.loads(json.dumps(plan))
        self.count, self.rows = 0, 0
        if self.folder.is_symlink():
            raise UserError(f"{self.folder} is a link, and shards are kept there: remove it")
        refuse_streams(self.folder / "plan.json")
        if self._read_plan() != self.plan:
            self.clear()

    def _read_plan(self) -> Any:
        file = self.folder / "plan.json"
        try:
            document = parse_document(file)
            check_document(document, file)
            return document["plan"]
        except (OSError, UserError):
            return None

    @cached_property
    def result_schemas(self) -> dict[int, pa.Schema]:
        """The numbers of those that are done and sound, with their columns."""
        import pyarrow as pa

        found = {}
        for file in self.folder.glob("[0-9]*.arrow"):
            with suppress(BrokenSeal, ValueError):  # it is done anew
                found[int(file.stem)] = pa.ipc.open_stream(self._content(int(file.stem))).schema
        return found

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08d}.arrow"

    def _digest(self, number: int, content: Any) -> bytes:
        """Digests a shard's result together with what it is the result of."""
        digest = hashlib.sha256(json.dumps([self.plan, number]).encode())
        digest.update(content)
        return digest.digest()

    def _content(self, number: int) -> pa.Buffer:
        """A shard's stream of Arrow, without the digest behind it. BrokenSeal where it is not what was put there."""
        file = self._file(number)
        whole = _read_buffer(file)
        end = max(0, whole.size - hashlib.sha256().digest_size)
        content, seal = whole.slice(0, end), whole.slice(end).to_pybytes()
        if seal != self._digest(number, content):
            raise BrokenSeal(
                f"{file} is not what was written; the same command does it anew, and keeps the others"
            )
        return content

    def store(self, number: int, table: pa.Table) -> None:
        import pyarrow as pa

        if not self.result_schemas:
            write_sealed({"plan": self.plan}, self.folder / "plan.json")
        sink, options = pa.BufferOutputStream(), pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        content = sink.getvalue()
        with replacing(self._file(number)) as draft, open(draft, "wb") as file:
            file.write(content)
            file.write(self._digest(number, content))
        self.result_schemas[number] = table.schema

    def __iter__(self) -> Iterator[pa.Table]:
        """The results of all shards in their order, with columns of the same types."""
        import pyarrow as pa

        common = pa.unify_schemas(
            [self.result_schemas[number] for number in range(self.count)],
            promote_options="permissive",
        )
        for number in range(self.count):
            yield pa.ipc.open_stream(self._content(number)).read_all().cast(common)

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.__dict__.pop("result_schemas", None)

    def pieces_to_do(self, pieces: Iterable[ShardPiece]) -> Iterator[Numbered]:
        """The pieces of shards that are not done; `count` counts all."""
        for number, piece in enumerate(pieces):
            self.count, self.rows = (
                number + 1,
                self.rows + (piece if isinstance(piece, int) else len(piece)),
            )
            if number not in self.result_schemas:
                yield number, piece

    def fill(
        self, results: Iterator[tuple[int, pa.Table]], on_progress: Callable[[], None]
    ) -> None:
        """Keeps results as they come. Where the job refuses its rows, nothing is kept."""
        while True:
            try:
                number, table = next(results)
            except StopIteration:
                return
            except LostWorkers:
                raise
            except UserError:
                self.clear()
                raise
            self.store(number, table)
            on_progress()


@contextmanager
def _explain_what_is_kept(shards: Shards) -> Iterator[None]:
    """Within, whatever ends a job says which shards are kept; nothing is where the first one failed."""
    try:
        yield
    except LostWorkers as lost:
        raise LostWorkers(f"{lost}; {shards_kept_note(shards)}") from lost
    except UserError as error:  # no room, perhaps, or rows that are refused
        if shards.result_schemas:
            raise UserError(f"{error}; {shards_kept_note(shards)}") from error
        shards.clear()
        raise
    except KeyboardInterrupt:
        if not shards.result_schemas:
            raise
        raise KeyboardInterrupt(f"stopped; {shards_kept_note(shards)}") from None


@contextmanager
def carry_out(
    run: Run,
    job: ShardJob,
    out: Path,
    work: Work = work_here,
    total: int = 0,
    on_progress: RowProgress = ignore_progress,
) -> Iterator[Shards]:
    """All shards of a job whose results go to `out`; within, they can be read, and afterwards they are gone.

    `on_progress` is told how many of the `total` rows are done.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder, and a file is to be written; give another name")
    with holding_lock(out):
        shards = Shards(out, job.plan(run))

        def notify() -> None:
            on_progress(min(len(shards.result_schemas) * run.shard_rows, total), total)

        with _explain_what_is_kept(shards):
            notify()
            shards.fill(work(run, job, shards.pieces_to_do(job.pieces(run))), notify)
            if not shards.count:
                raise UserError(f"there are no rows to {job.verb}")
            yield shards
        shards.clear()


def shards_kept_note(shards: Shards) -> str:
    """A line about the rest of a job that was cut short."""
    return (
        f"shards that are done are kept in {shards.folder} ({len(shards.result_schemas):,}): "
        "the same command goes on from there"
    )
