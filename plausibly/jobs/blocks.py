"""Blocks of rows as bytes, and the rows again."""

from __future__ import annotations

import lzma
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import Variational
from plausibly.coding.streams import (
    FORMAT_VERSION,
    Coder,
    DamagedStream,
    SymbolReader,
    SymbolWriter,
)
from plausibly.data.events import Events
from plausibly.errors import UserError
from plausibly.events.schema import Schema
from plausibly.families.variational import log_context, log_weights
from plausibly.runs.run import Run
from plausibly.system.randomness import Stream, generator_for
from plausibly.system.threads import one_thread
from plausibly.tasks.compress import compress as code_events
from plausibly.tasks.compress import rows_per_batch
from plausibly.tasks.score import score

ROWS_PER_BLOCK = 2_000


def block_nats(model: Any, codes: Tensor) -> Tensor:
    """log p of each row, or the ELBO by one draw, which is what bits-back comes to, (rows,) float64."""
    if not isinstance(model, Variational):
        return score(model, codes)
    noise = generator_for(torch.device("cpu"), Stream.COMPRESSED_BITS)
    with torch.no_grad():
        parts = codes.float().split(rows_per_batch(model))
        return torch.cat(
            [log_weights(model, x, 1, noise)[:, 0] + log_context(model, x) for x in parts]
        )


def encode_block(run: Run, events: Events, before: int) -> bytes:
    """A block."""
    writer = SymbolWriter()
    code_block(run, writer, events, len(events), before)
    return writer.payload


def payload_bytes(run: Run, events: Events) -> int:
    """The number of bytes that events take as one block. UserError unless they come back."""
    with one_thread():
        block = encode_block(run, events, 0)
        try:
            back = has_same_rows(decode_block(run, block, len(events), 0), events)
        except DamagedStream:
            back = False
    if not back:
        raise UserError("rows do not come back from the bytes that were made of them")
    return len(block)


def decode_block(
    run: Run, block: bytes, number: int, before: int, form: int = FORMAT_VERSION
) -> Events:
    """The events of a block of so many rows. Damaged where it is none."""
    try:
        return code_block(run, SymbolReader(block, form), None, number, before)
    except (
        ValueError,
        LookupError,
        ArithmeticError,
        TypeError,
        RuntimeError,
        AssertionError,
        EOFError,
        lzma.LZMAError,
    ) as error:
        raise DamagedStream("its bytes were changed") from error


def code_block(run: Run, coder: Coder, events: Events | None, number: int, before: int) -> Events:
    """Everything about some rows through a coder."""
    codes = code_events(run.model, coder, None if events is None else events.codes, number)
    found = run.format.through(coder, as_codes(codes, run.model.schema), events, before)
    coder.code_checksum()
    return found


def as_codes(x: Tensor, schema: Schema) -> Tensor:
    """Events in the type that formats keep them in."""
    return (
        x if schema.continuous else x.to(torch.uint8 if max(schema.codes) <= 256 else torch.int16)
    )


def has_same_rows(found: Events, events: Events) -> bool:
    """Two events give the same rows."""
    return torch.equal(found.codes, events.codes) and is_equal(found.values, events.values)


def is_equal(found: Any, known: Any) -> bool:
    """Two values, arrays, or things made of these are equal; NaN equals NaN."""
    if isinstance(known, np.ndarray):
        return np.array_equal(found, known, equal_nan=known.dtype.kind == "f")
    if isinstance(known, list):
        return all(map(is_equal, found, known))
    if hasattr(known, "__dataclass_fields__"):
        return all(
            is_equal(getattr(found, name), getattr(known, name))
            for name in known.__dataclass_fields__
        )
    return bool(found == known)
