"""A run inside a compressed file, with weights in half precision."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import torch
from torch import Tensor

from plausibly.coding.streams import DamagedStream
from plausibly.coding.xz import unpack_xz
from plausibly.runs.record import write_record, write_tensors
from plausibly.runs.run import Run
from plausibly.system.seals import MAX_DOCUMENT_BYTES, digest_file

RUN_FILES = ("run.json", "weights.safetensors")


FIELDS_LEFT_OUT = ("test", "samples", "coded", "beyond", "health", "reconstruction")


# of a run's record, in their order in a file
RECORD_FIELDS = (
    "plausibly_run",
    "form",
    "model",
    "arguments",
    "format",
    "data",
    "seed",
    "status",
    "plan",
    "rows",
    "notes",
    "parameters",
    "steps",
    "seconds",
    "validation",
    "rows_scored_per_second",
    "rows_sampled_per_second",
    "test",
    "reconstruction",
    "samples",
    "coded",
    "beyond",
    "health",
    "weights_sha256",
    "files_sha256",
    "code",
)


def halve_weights(run: Run, folder: Path) -> Run:
    """The run with weights in half precision where they fit into it, in an empty folder, as little as makes a run."""
    state = {name: t.half() if fits_half(t) else t for name, t in run.model.state_dict().items()}
    write_tensors(state, folder / "weights.safetensors")
    digest = digest_file(folder / "weights.safetensors")
    own = {"notes": [], "weights_sha256": digest, "files_sha256": {}} | dict.fromkeys(
        FIELDS_LEFT_OUT
    )
    write_record({name: run.record.document.get(name) for name in RECORD_FIELDS} | own, folder)
    return Run.open(folder)


def fits_half(t: Tensor) -> bool:
    """Half precision holds the numbers."""
    return t.dtype == torch.float32 and bool((t.abs() < torch.finfo(torch.float16).max).all())


def pack_run(folder: Path) -> bytes:
    record, weights = ((folder / name).read_bytes() for name in RUN_FILES)
    packed = len(record).to_bytes(4, "little") + record + weights
    return lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME)


def unpack_run(packed: bytes, folder: Path) -> Run:
    """The run that a file holds, which goes through the same checks as any. UserError where it is none."""
    try:
        with TemporaryFile(dir=folder) as whole:
            whole.writelines(unpack_xz(packed, "the run in it"))
            whole.seek(0)
            _split_run(whole, folder)
    except lzma.LZMAError as error:
        raise DamagedStream("the run in it cannot be unpacked") from error
    return Run.open(folder)


def _split_run(whole: IO[bytes], folder: Path) -> None:
    """Writes the files of a run from what they are packed as."""
    length = int.from_bytes(whole.read(4), "little")
    if length > MAX_DOCUMENT_BYTES:
        raise DamagedStream("the run in it has no record")
    record, weights = (folder / name for name in RUN_FILES)
    record.write_bytes(whole.read(length))
    with open(weights, "wb") as file:
        shutil.copyfileobj(whole, file)
