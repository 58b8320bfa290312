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

import hashlib
import json
import lzma
import platform
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from plausibly.capabilities import DensityModel, Variational, device_of
from plausibly.coding.streams import FORMAT_VERSION, Coder, Damaged, Probe, Reader, Writer
from plausibly.data.events import Events, RowProgress, join_events, silent
from plausibly.data.files.originals import in_memory, original
from plausibly.data.files.pieces import counting_from
from plausibly.data.origins import naming
from plausibly.data.rows import estimate_rows, row_pieces
from plausibly.errors import UserError
from plausibly.events.kinds import Real
from plausibly.events.schema import Schema
from plausibly.families.variational import log_context, log_weights
from plausibly.runs.record import FIELD_TYPES, write_tensors
from plausibly.runs.run import TASKS, Run, write_record
from plausibly.system.files import delivering, refuse_same, refuse_streams
from plausibly.system.locks import holding
from plausibly.system.randomness import Stream, generator_for
from plausibly.system.seals import digest_file
from plausibly.system.threads import one_thread
from plausibly.system.versions import __version__
from plausibly.tasks.compress import rows_per_batch

MARK, FIRST_VERSIONS = (
    b"PLSB",
    {1: "0.1.0", 2: "0.2.0"},
)  # forms, and the first version that decodes each
ROWS_PER_BLOCK, MAX_ROWS = 2_000, 1 << 48  # rows of a block, and of a file at most
ENTRY, END = struct.Struct("<II"), struct.Struct("<II")
MAX_HEADER_BYTES = 1 << 16
MAX_RUN_BYTES = 1 << 32  # bytes
RUN_FILES = ("run.json", "weights.safetensors")
RUN_SUFFIXES = (".json", ".jsonl", ".safetensors", ".html")
FIELDS_LEFT_OUT = ("test", "samples", "coded", "health", "reconstruction")
RECORD_FIELDS = ("plausibly_run", "form", *FIELD_TYPES)  # of a run's record
CODING_PACKAGES = ("torch", "numpy", "constriction")
MAX_HEAD_BYTES = len(MARK) + 2 + 255  # bytes


@dataclass
class Measure:
    """What compressing came to. `model_bits`: -log2 p of all rows, or of their bound (`sign` <=); None of densities of reals.

    All bits are of all `variables`, the `context` included, which bits per variable of a likelihood leave out. Columns that
    are set aside, such as ids, are in the payload and in nothing else.
    """

    rows: int = 0
    variables: int = 0
    file: int = 0
    payload: int = 0
    model_bits: float | None = 0.0
    sign: str = "="
    context: tuple[str, ...] = ()
    original: int = 0
    verified: bool = False
    notes: list[str] = field(default_factory=list)
    rivals: dict[str, int] = field(default_factory=dict)

    def per_variable(self, bits: float) -> float:
        return bits / (self.rows * self.variables)

    @property
    def of(self) -> str:
        """Of which variables bits are, where there is a context."""
        names = f"{', '.join(self.context[:3])}{' ...' * (len(self.context) > 3)}"
        return f"; of all {self.variables:,} variables, {names} included" if self.context else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "bytes": self.file,
            "payload_bytes": self.payload,
            "variables": self.variables,
            "context": list(self.context),
            "bits_per_variable": self.per_variable(8 * self.payload),
            "model_bits_sign": self.sign,
            "model_bits_per_variable": None
            if self.model_bits is None
            else self.per_variable(self.model_bits),
            "decoded_by": reader_versions(),
            "processor": processor(),
            "original_bytes": self.original,
            "verified": self.verified,
            "rivals": self.rivals,
            "notes": self.notes,
        }


def compress(
    run: Run,
    data: Any,
    path: Path | str,
    embed: bool = False,
    verify: bool = True,
    heard: RowProgress = silent,
) -> Measure:
    """Writes the rows of `data` to a file, whole or not at all. UserError where they would not come back.

    With `embed` the file holds the model too, its weights in half precision.
    """
    TASKS["compress"].require(run.model)
    if device_of(run.model).type != "cpu":
        raise UserError(
            "compressing is for the CPU, where sums are the same every time: leave --device out"
        )
    if embed and run.record.get("code"):
        raise UserError(
            "a file holds no code: leave --embed out, and keep the run and the model's file"
        )
    if embed:
        with TemporaryDirectory() as folder:
            return write_compressed(
                halve_weights(run, Path(folder)), pack_run(Path(folder)), data, path, verify, heard
            )
    return write_compressed(run, b"", data, path, verify, heard)


def write_compressed(
    run: Run, model: bytes, data: Any, path: Path | str, verify: bool, heard: RowProgress
) -> Measure:
    """Writes rows, behind the run that decodes them or nothing."""
    data = data if isinstance(data, str | Path) else in_memory(data, run.format)
    found, path, index, bits = (
        Measure(variables=run.model.schema.size),
        Path(path),
        list[bytes](),
        0.0,
    )
    found.sign = "=" if isinstance(run.model, DensityModel) else "<="
    found.context = tuple(run.names[i] for i in run.model.context)
    expected = estimate_rows(str(data), run.format) if isinstance(data, str | Path) else len(data)
    refuse_same(path, data)
    if path.exists() and path.suffix in RUN_SUFFIXES and (path.parent / "run.json").exists():
        raise UserError(f"{path} is a file of a run; give the compressed file another name")
    source = original(data, run.format)
    with (
        one_thread(),
        closing(source),
        holding(path),
        delivering(path) as draft,
        open(draft, "wb") as file,
        naming(data),
    ):
        file.write(file_head(FORMAT_VERSION) + model)
        for rows in row_pieces(data, run.format, ROWS_PER_BLOCK):
            with counting_from(found.rows):
                events = run.format.events(rows)
            block = encode_block(run, events, found.rows)
            back = decode_block(run, block, len(events), found.rows) if verify else events
            if not has_same_rows(back, events):
                raise UserError(
                    f"block {len(index) + 1} does not decode to the rows it was made of; nothing was written"
                )
            with counting_from(found.rows):
                source.look(rows, back)
            index.append(ENTRY.pack(len(block), zlib.crc32(block)))
            file.write(block)
            found.rows, found.payload = found.rows + len(events), found.payload + len(block)
            bits -= float((nats(run.model, events.codes) + events.log_within).sum()) / log(2)
            heard(found.rows, expected)
        if not found.rows:
            raise UserError("there are no rows to compress")
        tail = b"".join(index) + (header := pack_header(run, found.rows, model))
        file.write(tail + END.pack(len(header), zlib.crc32(tail)))
        found.file, found.model_bits = file.tell(), None if run.model.schema.continuous else bits
        found.verified, found.original, found.notes, found.rivals = (
            verify,
            source.size,
            source.notes(),
            source.rivals(),
        )
    return found


def decompress(
    path: Path | str,
    out: Path | str,
    run: Run | None = None,
    some: slice | None = None,
    heard: RowProgress = silent,
    guard: bool = False,
) -> int:
    """Writes the rows of a compressed file, or `some` of them, to a file whose suffix says how; how many they are.

    Without a `run` it is the one in the file, or else the one that wrote it, where that is still in its place. `guard` is
    for spreadsheets: see `data.spreadsheets`.
    """
    out = Path(out)
    refuse_same(out, path)
    with open_compressed(Path(path), run) as file, holding(out):
        output = file.run.format.output(out)
        wanted = range(file.rows)[some or slice(None)]
        if not len(wanted) or wanted.step != 1:
            raise UserError(
                f"{path} holds rows 0 to {file.rows}; give some of these, such as --rows 0:{min(10, file.rows)}"
            )
        pieces = (file.run.format.file_rows(events, out) for events in file.events(wanted, heard))
        try:
            output.write(map(output.piece, pieces), out, guard)
        except pa.ArrowInvalid as error:
            raise UserError(
                f"{out}: a column holds numbers in some rows and texts in others; .csv holds both"
            ) from error
    return len(wanted)


def rows(path: Path | str, run: Run | None = None) -> Any:
    """All rows of a compressed file, in memory; `run` as for `decompress`."""
    with open_compressed(Path(path), run) as file:
        return file.run.format.rows(join_events(list(file.events(range(file.rows), silent))))


def nats(model: Any, codes: Tensor) -> Tensor:
    """log p of each row, or the ELBO by one draw, which is what bits-back comes to, (rows,) float64."""
    if not isinstance(model, Variational):
        return TASKS["score"](model, codes)
    noise = generator_for(torch.device("cpu"), Stream.COMPRESSED_BITS)
    with torch.no_grad():
        parts = codes.float().split(rows_per_batch(model))
        return torch.cat(
            [log_weights(model, x, 1, noise)[:, 0] + log_context(model, x) for x in parts]
        )


def encode_block(run: Run, events: Events, before: int) -> bytes:
    """A block."""
    writer = Writer()
    code_block(run, writer, events, len(events), before)
    return writer.payload


def payload(run: Run, events: Events) -> int:
    """How many bytes events take as one block. UserError unless they come back."""
    with one_thread():
        block = encode_block(run, events, 0)
        try:
            back = has_same_rows(decode_block(run, block, len(events), 0), events)
        except Damaged:
            back = False
    if not back:
        raise UserError("rows do not come back from the bytes that were made of them")
    return len(block)


def decode_block(
    run: Run, block: bytes, number: int, before: int, form: int = FORMAT_VERSION
) -> Events:
    """The events of a block of so many rows. Damaged where it is none."""
    try:
        return code_block(run, Reader(block, form), None, number, before)
    except (
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        TypeError,
        EOFError,
        lzma.LZMAError,
    ) as error:
        raise Damaged("its bytes were changed") from error


def code_block(run: Run, coder: Coder, events: Events | None, number: int, before: int) -> Events:
    """Everything about some rows through a coder."""
    codes = TASKS["compress"](run.model, coder, None if events is None else events.codes, number)
    found = run.format.through(coder, as_codes(codes, run.model.schema), events, before)
    coder.code_checksum()
    return found


def as_codes(x: Tensor, schema: Schema) -> Tensor:
    """Events in the type that formats keep them in."""
    return (
        x if schema.continuous else x.to(torch.uint8 if max(schema.codes) <= 256 else torch.int16)
    )


def has_same_rows(found: Events, events: Events) -> bool:
    """Whether two events give the same rows."""
    return torch.equal(found.codes, events.codes) and is_equal(found.values, events.values)


def is_equal(found: Any, known: Any) -> bool:
    """Whether two values, arrays, or things made of these are equal; NaN equals NaN."""
    if isinstance(known, np.ndarray):
        return np.array_equal(found, known, equal_nan=known.dtype.kind == "f")
    if isinstance(known, dict):
        return found.keys() == known.keys() and all(
            is_equal(found[name], known[name]) for name in known
        )
    if hasattr(known, "__dataclass_fields__"):
        return all(
            is_equal(getattr(found, name), getattr(known, name))
            for name in known.__dataclass_fields__
        )
    return bool(found == known)


def model_hash(run: Run) -> str:
    """What tells the model and the format of its rows from others."""
    record = run.record
    parts = [record["model"], record["arguments"], record["format"], record["weights_sha256"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def probe_hash(run: Run, rows: int) -> str:
    """A hash of the whole numbers that probabilities become on fixed events, as many as a block of so many rows has."""
    number = min(rows, ROWS_PER_BLOCK)
    picks, schema, coder = np.random.default_rng(0), run.model.schema, Probe()
    columns = [
        picks.standard_normal(number)
        if isinstance(kind, Real)
        else picks.integers(0, kind.codes, number)
        for kind in schema.kinds
    ]
    events = torch.from_numpy(np.stack(columns, 1).astype(np.float32)).reshape(
        number, *schema.shape
    )
    TASKS["compress"](run.model, coder, as_codes(events, schema), number)
    return coder.digest.hexdigest()[:16]


def writer_versions() -> dict[str, str]:
    """What probabilities depend on: versions, and the processor."""
    versions = {"plausibly": __version__} | {name: version(name) for name in CODING_PACKAGES}
    return versions | {"machine": platform.machine(), "processor": processor()}


def processor() -> str:
    """The processor's name, and the instructions that torch uses of it: `AMD EPYC 7763 64-Core Processor (AVX2)`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not on Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def reader_versions() -> str:
    """The versions that decode what this one writes."""
    return f"plausibly {FIRST_VERSIONS[FORMAT_VERSION]} and later"


def file_head(form: int) -> bytes:
    """The first bytes of a file of that form."""
    said = FIRST_VERSIONS[form].encode() if form > 1 else b""
    return MARK + bytes([form, len(said)][: 1 + bool(said)]) + said


def halve_weights(run: Run, folder: Path) -> Run:
    """The run with weights in half precision where they fit into it, in an empty folder, as little as makes a run."""
    state = {name: t.half() if fits_half(t) else t for name, t in run.model.state_dict().items()}
    write_tensors(state, folder / "weights.safetensors")
    digest = digest_file(folder / "weights.safetensors")
    own = {"notes": [], "weights_sha256": digest, "files_sha256": {}} | dict.fromkeys(
        FIELDS_LEFT_OUT
    )
    write_record({name: run.record.get(name) for name in RECORD_FIELDS} | own, folder)
    return Run.open(folder)


def fits_half(t: Tensor) -> bool:
    """Whether half precision holds numbers."""
    return t.dtype == torch.float32 and bool((t.abs() < torch.finfo(torch.float16).max).all())


def pack_run(folder: Path) -> bytes:
    record, weights = ((folder / name).read_bytes() for name in RUN_FILES)
    return lzma.compress(
        len(record).to_bytes(4, "little") + record + weights, preset=9 | lzma.PRESET_EXTREME
    )


def unpack_run(packed: bytes, folder: Path) -> Run:
    """The run that a file holds, which goes through the same checks as any. UserError where it is none."""
    try:
        whole = lzma.LZMADecompressor().decompress(packed, MAX_RUN_BYTES)
    except lzma.LZMAError as error:
        raise Damaged("the run in it cannot be unpacked") from error
    end = 4 + int.from_bytes(whole[:4], "little")
    for name, part in zip(RUN_FILES, (whole[4:end], whole[end:]), strict=True):
        (folder / name).write_bytes(part)
    return Run.open(folder)


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


class CompressedFile:
    """A file of compressed rows that has been found sound, so far as that is seen without decoding."""

    def __init__(self, path: Path, run: Run | None, file: IO[bytes], folder: Path) -> None:
        self.path, self.file = path, file
        self.form = self._form(self._bytes(0, MAX_HEAD_BYTES))
        size, behind = file.seek(0, 2), len(file_head(self.form))
        length, checksum = END.unpack(self._bytes(size - END.size, END.size))
        if length > MAX_HEADER_BYTES:
            raise self.damage_error("its end is not one that was written")
        header = self._bytes(size - END.size - length, length)
        try:
            document = json.loads(zlib.decompress(header))
            self.rows, block, self.by = document["rows"], document["block"], dict(document["by"])
            if not (
                0 < self.rows < MAX_ROWS and block > 0 and isinstance(document.get("run", ""), str)
            ):
                raise ValueError("no number of rows")
            starts, (held, own_checksum) = range(0, self.rows, block), document.get("holds", (0, 0))
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise self.damage_error("its header cannot be read") from error
        index = self._bytes(
            size - END.size - length - ENTRY.size * len(starts), ENTRY.size * len(starts)
        )
        if zlib.crc32(index + header) != checksum:
            raise self.damage_error("its header is not the one that was written")
        self.blocks, place = [], behind + held
        for start, (many, own) in zip(starts, ENTRY.iter_unpack(index), strict=True):
            self.blocks.append((range(start, min(start + block, self.rows)), place, many, own))
            place += many
        if place != size - END.size - length - len(index):
            raise self.damage_error("some of its bytes are missing, or some were added")
        model = self._bytes(behind, held)
        if zlib.crc32(model) != own_checksum:
            raise self.damage_error("the run in it is not the one that was written")
        self.run = unpack_run(model, folder) if held else run or Run.open(document["run"])
        TASKS["compress"].require(self.run.model)
        self._check(document)

    def _form(self, start: bytes) -> int:
        """The form that the first bytes say. UserError names the version that decodes another."""
        if not start.startswith(MARK) or len(start) < len(MARK) + 2:
            raise UserError(f"{self.path} is no file of compressed rows")
        form, said = start[len(MARK)], start[len(MARK) + 2 :][: start[len(MARK) + 1]]
        if form in FIRST_VERSIONS and start.startswith(file_head(form)):
            return form
        if form in FIRST_VERSIONS or not re.fullmatch(rb"\d[\w.]{0,20}", said):
            raise self.damage_error("its first bytes are not those that were written")
        raise UserError(
            f"{self.path} is decoded by plausibly {said.decode()} and later; this is {__version__}: install that one"
        )

    def damage_error(self, why: str) -> Damaged:
        return Damaged(f"{self.path} is damaged: {why}; nothing was written")

    def _bytes(self, start: int, number: int) -> bytes:
        if start < 0:
            raise self.damage_error("it is cut short")
        self.file.seek(start)
        return self.file.read(number)

    def _check(self, document: dict[str, Any]) -> None:
        """UserError where this model, here, would decode something else."""
        if document["model"] != model_hash(self.run):
            raise UserError(
                f"{self.path} was written with another model than {self.run.path}; give its run"
            )
        if document["probe"] != probe_hash(self.run, self.rows):
            raise self.elsewhere_error()

    def elsewhere_error(self) -> UserError:
        """What is to be said where probabilities are others than those that wrote the file."""
        here, by = writer_versions(), self.by | {"processor": self.by.get("processor", "unknown")}
        other = [
            f"{name} {was} (here {here.get(name)})"
            for name, was in by.items()
            if here.get(name) != was
        ]
        why = (
            ", ".join(other)
            or f"processor {by['processor']}, as here, which added in another order"
        )
        return UserError(
            f"{self.path} cannot be decoded here: the model gives other probabilities; it was written with {why}"
        )

    def events(self, wanted: range, heard: RowProgress) -> Iterator[Events]:
        """The events of some rows, block by block."""
        done = 0
        for number, (own, place, many, checksum) in enumerate(self.blocks, 1):
            first, last = max(own.start, wanted.start), min(own.stop, wanted.stop)
            if first >= last:
                continue
            block = self._bytes(place, many)
            if zlib.crc32(block) != checksum:
                raise self.damage_error(
                    f"block {number} of {len(self.blocks)} is not the one that was written"
                )
            try:
                found = decode_block(self.run, block, len(own), own.start, self.form)
            except Damaged as error:  # the bytes are those that were written
                raise self.elsewhere_error() from error
            done += last - first
            heard(done, len(wanted))
            yield found[first - own.start : last - own.start]


@contextmanager
def open_compressed(path: Path, run: Run | None) -> Iterator[CompressedFile]:
    """A file of compressed rows, for its model."""
    refuse_streams(path)
    try:
        with one_thread(), open(path, "rb") as file, TemporaryDirectory() as folder:
            yield CompressedFile(path, run, file, Path(folder))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
