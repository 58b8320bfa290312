"""Texts that no column foresees. They are kept, and

    log p(text) = -(bytes + 1) log 257

which sums to one over all texts, so that no recordable cell has probability 0.
"""

from __future__ import annotations

import json
import lzma
from math import log
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from plausibly.coding.streams import Coder

EMPTY_TEXT = b"\xff"


def code_texts(coder: Coder, texts: np.ndarray | None) -> np.ndarray:
    """Passes texts, some of which may be None, through a coder, compressed together by LZMA."""
    listed = None if texts is None else json.dumps(list(texts)).encode()
    kept = None if listed is None else lzma.compress(listed, lzma.FORMAT_ALONE)
    return np.array(json.loads(lzma.decompress(coder.block(kept))), dtype=object)


def log_text(text: str) -> float:
    """log p of a text: each of its bytes, and its end, is one of 257 equally likely symbols."""
    return log_bytes(text.encode("utf-8", "surrogatepass"))


def log_bytes(coded: bytes) -> float:
    """log p of a text by its bytes."""
    return -(len(coded) + 1) * log(257)


def encode_text(text: str | None) -> bytes:
    """The bytes of a cell that is not foreseen: a hole, None, has none; an empty text, one that begins no character."""
    return b"" if text is None else text.encode("utf-8", "surrogatepass") or EMPTY_TEXT
