"""Checksums of all that a number depends on. They tell damage, not malice: who changes a file can renew its checksum.

run.json and compare.json hold their own, run.json those of the files beside it as well; tensors that nothing else vouches
for hold theirs as metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, uint8

from plausibly.errors import UserError
from plausibly.system.files import replacing

SEAL = "seal"
MAX_DOCUMENT_BYTES = 64 << 20  # of 80,000 columns
MAX_TENSOR_HEADER_BYTES = 16 << 20  # of 100,000 tensors
MAX_DOCUMENT_VALUES = 4_000_000  # which take up to 100 bytes each in memory


class BrokenSeal(UserError):
    """A file is not what was written."""


def digest_document(document: Mapping[str, Any]) -> str:
    """Digests all of a document but its seal; white space is no part of it."""
    content = {key: value for key, value in document.items() if key != SEAL}
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def digest_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digests names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), *tensor.shape]).encode())
        digest.update(tensor.flatten().view(uint8).numpy().data)
    return digest.hexdigest()


def write_sealed(document: Mapping[str, Any], path: Path) -> None:
    """Writes a document with its seal as the last key."""
    content = {key: value for key, value in document.items() if key != SEAL}
    with replacing(path) as draft:
        draft.write_text(
            indent_document(content | {SEAL: digest_document(content)}), encoding="utf-8"
        )


def indent_document(document: Mapping[str, Any]) -> str:
    """A document's text, a value a line; `msgspec` is quick, but takes no NaN and no half of a character."""
    try:
        return msgspec.json.format(json.dumps(document), indent=1)
    except msgspec.DecodeError:
        return json.dumps(document, indent=1)


def parse_document(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object. UserError for any other."""
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise UserError(
            f"{path} has {size:,} bytes; no {path.name} has more than {MAX_DOCUMENT_BYTES:,}"
        )
    try:
        document = _parse_values(path.read_text(encoding="utf-8"), path)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise BrokenSeal(
            f"{path} is damaged: {type(error).__name__}; put a copy back, or begin anew"
        ) from error
    if not isinstance(document, dict):
        raise BrokenSeal(f"{path} is damaged: it holds no object; put a copy back, or begin anew")
    return document


def _parse_values(text: str, path: Path) -> Any:
    """The value of a JSON text. UserError where values are too many, before they take memory."""
    values = sum(text.count(mark) for mark in ",[{")
    if values > MAX_DOCUMENT_VALUES:
        raise UserError(
            f"{path} holds {values:,} values; no {path.name} has more than {MAX_DOCUMENT_VALUES:,}"
        )
    return json.loads(text)


def check_document(document: Mapping[str, Any], path: Path) -> None:
    """Holds a document to its seal. BrokenSeal where that is gone, or of another."""
    if document.get(SEAL) != digest_document(document):
        raise BrokenSeal(
            f"{path} is not what was written: its checksum is of another content; put a copy back, "
            f"or `plausibly seal {path.parent}` if you edited it by hand"
        )


def check_file(path: Path, digest: Any, mend: str) -> None:
    """Holds a file to the digest that is on record. BrokenSeal, with what would mend it, where it is gone or another."""
    if not path.is_file():
        wrong = "is gone"
    elif not _has_its_length(path) or digest_file(path) != digest:
        wrong = "is not what was written: its checksum is not the one in run.json"
    else:
        return
    raise BrokenSeal(
        f"{path} {wrong}; {mend}, or `plausibly seal {path.parent}` if you did that by hand"
    )


def _has_its_length(path: Path) -> bool:
    """False of tensors whose file is longer or shorter than its header says, which is seen without reading all of it."""
    if path.suffix != ".safetensors":
        return True
    try:
        with open(path, "rb") as file:
            if int.from_bytes(file.read(8), "little") > MAX_TENSOR_HEADER_BYTES:
                return False
        with safe_open(path, "pt"):
            return True
    except (SafetensorError, OSError):
        return False


def write_sealed_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors with their digest as metadata."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as draft:
        try:
            save_file(plain, draft, {SEAL: digest_tensors(plain)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_sealed_tensors(path: Path) -> dict[str, Tensor]:
    """Reads tensors. BrokenSeal where they are not those that their digest is of."""
    if not _has_its_length(path):
        raise BrokenSeal(f"{path} is damaged")
    try:
        with safe_open(path, "pt") as file:
            names, seal = file.keys(), (file.metadata() or {}).get(SEAL)
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise BrokenSeal(f"{path} is damaged") from error
    if seal != digest_tensors(tensors):
        raise BrokenSeal(f"{path} is not what was written")
    return tensors


def seal_checkpoint(path: Path) -> None:
    """Renews the checksum of a run's checkpoint, where there is one. UserError where it cannot be read."""
    file = path / "checkpoint.safetensors"
    if not file.is_file():
        return
    try:
        write_sealed_tensors(load_file(file), file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged; remove it, and the run starts from step 0") from error
