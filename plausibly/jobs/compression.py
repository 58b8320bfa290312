"""Files of compressed rows: a model's probabilities as bytes, and the rows again.

    head | the run, or nothing | blocks | index: length and CRC-32 of each block | header | length of the header, CRC-32 of
    index and header

The head is `PLSB`, a byte for the form, and the first version that decodes it as text behind a byte for its length, so
that a version that does not know the form says which does. (Form 1, of plausibly 0.1, ends with the byte for the form.)

A block is `BLOCK` rows and decodes alone; its last symbol is a checksum of all before it. The header, JSON and deflated,
says what wrote it: where the run was, the model's hash, versions, the processor, and a hash of the whole numbers that the
model's probabilities become on fixed rows, which is computed again before anything is decoded. Coding is on one thread, and
both sides walk `unroll` with the same rows at once.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pyarrow as pa

from plausibly.capabilities import DensityModel, device_of
from plausibly.coding.streams import FORMAT_VERSION
from plausibly.data.events import RowProgress, ignore_progress, join_events
from plausibly.data.files.originals import RoundTrip, open_original
from plausibly.data.sources.opening import open_source, reading_source
from plausibly.data.sources.rows import counting_rows_from
from plausibly.errors import UserError
from plausibly.jobs.blocks import (
    ROWS_PER_BLOCK,
    block_nats,
    decode_block,
    encode_block,
    has_same_rows,
)
from plausibly.jobs.compressed import END, ENTRY, open_compressed
from plausibly.jobs.measure import Measure
from plausibly.jobs.packing import halve_weights, pack_run
from plausibly.jobs.provenance import file_head, model_hash, probe_hash, writer_versions
from plausibly.runs.run import Run
from plausibly.system.files import delivering_file, refuse_same
from plausibly.system.locks import holding_lock
from plausibly.system.threads import one_thread
from plausibly.tasks.compress import compress as code_events

RUN_SUFFIXES = (".json", ".jsonl", ".safetensors", ".html")


def compress(
    run: Run,
    data: Any,
    path: Path | str,
    embed: bool = False,
    verify: bool = True,
    on_progress: RowProgress = ignore_progress,
) -> Measure:
    """Writes the rows of `data` to a file, whole or not at all. UserError where they would not come back.

    With `embed` the file holds the model too, its weights in half precision.
    """
    code_events.require(run.model)
    if device_of(run.model).type != "cpu":
        raise UserError(
            "compressing is for the CPU, where sums are the same every time: leave --device out"
        )
    if embed and run.record.code:
        raise UserError(
            "a file holds no code: leave --embed out, and keep the run and the model's file"
        )
    if embed:
        with TemporaryDirectory() as folder:
            return write_compressed(
                halve_weights(run, Path(folder)),
                pack_run(Path(folder)),
                data,
                path,
                verify,
                on_progress,
            )
    return write_compressed(run, b"", data, path, verify, on_progress)


def write_compressed(
    run: Run, model: bytes, data: Any, path: Path | str, verify: bool, on_progress: RowProgress
) -> Measure:
    """Writes rows, behind the run that decodes them or nothing."""
    rows, path = open_source(data).plain(run.format), Path(path)
    expected = rows.estimate_rows(run.format)
    _refuse_path(path, data)
    found, source = _begin_measure(run, verify), open_original(rows, run.format)
    with _writing(path, data, source) as file:
        file.write(file_head(FORMAT_VERSION) + model)
        pieces = rows.pieces(run.format, ROWS_PER_BLOCK)
        index = _write_blocks(
            run, pieces, file, found, source, lambda rows: on_progress(rows, expected)
        )
        write_end(run, file, index, found.rows, model)
        found.file, found.original = file.tell(), source.size
        found.notes, found.rivals = source.notes(), source.rivals()
    if run.model.schema.continuous:
        found.model_bits = None
    return found


def _refuse_path(path: Path, data: Any) -> None:
    """UserError where what is written would take the place of the rows, or of a file of a run."""
    refuse_same(path, data)
    if path.exists() and path.suffix in RUN_SUFFIXES and (path.parent / "run.json").exists():
        raise UserError(f"{path} is a file of a run; give the compressed file another name")


def _begin_measure(run: Run, verify: bool) -> Measure:
    return Measure(
        variables=run.model.schema.size,
        sign="=" if isinstance(run.model, DensityModel) else "<=",
        context=tuple(run.names[i] for i in run.model.context),
        verified=verify,
    )


@contextmanager
def _writing(path: Path, data: Any, source: RoundTrip) -> Iterator[IO[bytes]]:
    """The file at a path, which is there once it is whole; within, all is done on one thread."""
    with (
        one_thread(),
        closing(source),
        holding_lock(path),
        delivering_file(path) as draft,
        open(draft, "wb") as file,
        reading_source(data),
    ):
        yield file


def _write_blocks(
    run: Run,
    pieces: Iterable[Any],
    file: IO[bytes],
    found: Measure,
    source: RoundTrip,
    on_progress: Callable[[int], None],
) -> list[bytes]:
    """Writes all rows; the index of the blocks."""
    index = list[bytes]()
    for rows in pieces:
        index.append(write_block(run, rows, file, found, source, len(index) + 1))
        on_progress(found.rows)
    if not found.rows:
        raise UserError("there are no rows to compress")
    return index


def write_block(
    run: Run, rows: Any, file: IO[bytes], found: Measure, source: RoundTrip, number: int
) -> bytes:
    """Writes some rows as the block of that number and adds them to what was found; its entry of the index."""
    with counting_rows_from(found.rows):
        events = run.format.events(rows)
    block = encode_block(run, events, found.rows)
    back = decode_block(run, block, len(events), found.rows) if found.verified else events
    if not has_same_rows(back, events):
        raise UserError(
            f"block {number} does not decode to the rows it was made of; nothing was written"
        )
    with counting_rows_from(found.rows):
        source.look(rows, back)
    file.write(block)
    told = float((block_nats(run.model, events.codes) + events.log_within).sum())
    found.add_block(len(events), len(block), -(told / log(2)))
    return ENTRY.pack(len(block), zlib.crc32(block))


def write_end(run: Run, file: IO[bytes], index: list[bytes], rows: int, model: bytes) -> None:
    """Writes the index, the header and their checksum."""
    header = pack_header(run, rows, model)
    tail = b"".join(index) + header
    file.write(tail + END.pack(len(header), zlib.crc32(tail)))


def decompress(
    path: Path | str,
    out: Path | str,
    run: Run | None = None,
    some: slice | None = None,
    on_progress: RowProgress = ignore_progress,
    guard: bool = False,
) -> int:
    """Writes the rows of a compressed file, or `some` of them, to a file whose suffix says how; how many they are.

    Without a `run` it is the one in the file, or else the one that wrote it, where that is still in its place. `guard` is
    for spreadsheets: see `data.spreadsheets`.
    """
    out = Path(out)
    refuse_same(out, path)
    with open_compressed(Path(path), run) as file, holding_lock(out):
        output = file.run.format.output(out)
        wanted = _pick_rows(path, file.rows, some)
        pieces = (file.run.format.rows(events, out) for events in file.events(wanted, on_progress))
        try:
            output.write(map(output.piece, pieces), out, guard)
        except pa.ArrowInvalid as error:
            raise UserError(
                f"{out}: a column holds numbers in some rows and texts in others; .csv holds both"
            ) from error
    return len(wanted)


def _pick_rows(path: Path | str, rows: int, some: slice | None) -> range:
    """Some of a file's rows, or all. UserError where these are none, or not one after the other."""
    wanted = range(rows)[some or slice(None)]
    if not len(wanted) or wanted.step != 1:
        raise UserError(
            f"{path} holds rows 0 to {rows}; give some of these, such as --rows 0:{min(10, rows)}"
        )
    return wanted


def read_compressed_rows(path: Path | str, run: Run | None = None) -> Any:
    """All rows of a compressed file, in memory; `run` as for `decompress`."""
    with open_compressed(Path(path), run) as file:
        return file.run.format.rows(
            join_events(list(file.events(range(file.rows), ignore_progress)))
        )


def pack_header(run: Run, number: int, model: bytes) -> bytes:
    document = {
        "rows": number,
        "block": ROWS_PER_BLOCK,
        "model": model_hash(run),
        "probe": probe_hash(run, number),
        "by": writer_versions(),
    }
    document |= (
        {"holds": [len(model), zlib.crc32(model)]} if model else {"run": str(run.path.resolve())}
    )
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
