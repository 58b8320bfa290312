"""A run inside a compressed file, with weights in half precision."""

from __future__ import annotations

import lzma
from pathlib import Path

import torch
from torch import Tensor

from plausibly.coding.streams import DamagedStream
from plausibly.runs.record import write_record, write_tensors
from plausibly.runs.run import Run
from plausibly.system.seals import digest_file

MAX_RUN_BYTES = 1 << 32  # bytes


RUN_FILES = ("run.json", "weights.safetensors")


FIELDS_LEFT_OUT = ("test", "samples", "coded", "health", "reconstruction")


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
        whole = lzma.LZMADecompressor().decompress(packed, MAX_RUN_BYTES)
    except lzma.LZMAError as error:
        raise DamagedStream("the run in it cannot be unpacked") from error
    end = 4 + int.from_bytes(whole[:4], "little")
    for name, part in zip(RUN_FILES, (whole[4:end], whole[end:]), strict=True):
        (folder / name).write_bytes(part)
    return Run.open(folder)
