"""New checksums for a run or a comparison that someone has edited by hand, if what is there can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from plausibly.capabilities import Trainable
from plausibly.errors import UserError
from plausibly.fitting.compare import check_comparison
from plausibly.fitting.folders import COMPARISON
from plausibly.runs import forms
from plausibly.runs.record import (
    COMPANION,
    KeptCompanion,
    Record,
    decode_record,
    is_of_one_split,
    read_document,
    write_record,
)
from plausibly.runs.run import Run
from plausibly.runs.sealed_files import SEALED_FILES, load_nats, record_checksums
from plausibly.system.locks import holding_lock
from plausibly.system.seals import (
    SEAL,
    check_document,
    digest_file,
    parse_document,
    seal_checkpoint,
    write_sealed,
)

LOG_FILE = "log.jsonl"
WEIGHTS_FILE = "weights.safetensors"


def seal(path: Path | str, model: str | type[Trainable] | None = None) -> dict[str, str]:
    """Renews the checksums of a run or a comparison; says of each file whether its checksum is new.

    `model` names a user's own, as in `Run.open`. UserError, and nothing is changed, where a file cannot be read.
    """
    path = Path(path)
    with holding_lock(path):
        if (path / "run.json").is_file():
            return _seal_run(path, model)
        if (path / COMPARISON).is_file():
            return _seal_comparison(path)
    raise UserError(
        f"there is no run and no comparison at {path}; `plausibly fit` and `plausibly compare` write them"
    )


def _seal_run(path: Path, model: str | type[Trainable] | None) -> dict[str, str]:
    """Renews the checksums of a run and of its companion; one that is gone is no part of it any more."""
    record, said = _renew_checksums(path, model)
    folder, kept = path / COMPANION, record.companion
    if kept and (folder / "run.json").is_file():
        beside, states = _renew_checksums(folder, None)
        if not is_of_one_split(record, beside):
            raise UserError(
                f"{folder} was fitted to other rows than {path}, or rows split otherwise"
            )
        found = KeptCompanion(beside.model, beside.weights_sha256)
        record = record.replace(companion=found.to_json())
        said |= {f"{COMPANION}/{name}": state for name, state in states.items()}
        write_record(beside.document, folder)
    elif kept:
        record = record.drop("companion")
        said |= {COMPANION: compare_digests(kept.weights_sha256, None)}
    write_record(record.document, path)
    return said


def _renew_checksums(
    path: Path, model: str | type[Trainable] | None
) -> tuple[Record, dict[str, str]]:
    """The record with new checksums, which is not written yet; of each file whether its checksum is new."""
    file = path / "run.json"
    before = read_document(path)
    earlier = decode_record(forms.convert_document(before, file), file)
    record = record_checksums(earlier, path, SEALED_FILES)
    _check_files(path)
    seal_checkpoint(path)
    if (path / WEIGHTS_FILE).is_file():
        record = record.replace(weights_sha256=digest_file(path / WEIGHTS_FILE))
        Run.of_record(path, record, model=model)
    then = digests_on_record(earlier)
    now = digests_on_record(record)
    said = {name: compare_digests(then.get(name), now.get(name)) for name in {**now, **then}}
    return record, {"run.json": _state(before, file)} | said


def digests_on_record(record: Record) -> dict[str, str]:
    """The checksums of a run's files that are on record."""
    weights = record.weights_sha256
    return ({WEIGHTS_FILE: weights} if weights else {}) | (record.files_sha256 or {})


def compare_digests(earlier: str | None, now: str | None) -> str:
    if now is None:
        return "gone, and no part of the run any more"
    return "as it was" if now == earlier else "new" if earlier is None else "changed"


def _state(document: dict[str, Any], file: Path) -> str:
    """The state of a document beside the seal that it holds."""
    if SEAL not in document:
        return "new"
    try:
        check_document(document, file)
    except UserError:
        return "changed"
    return "as it was"


def _check_files(path: Path) -> None:
    """Reads what is beside a record. UserError where a file cannot be read."""
    for name in SEALED_FILES:
        if (path / name).is_file() and name != LOG_FILE:
            load_nats(path / name, "put a copy back, or remove it")
    if (path / WEIGHTS_FILE).is_file():
        try:
            load_file(path / WEIGHTS_FILE)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path / WEIGHTS_FILE} is damaged; put a copy back, or fit anew"
            ) from error
    if (path / LOG_FILE).is_file():
        _check_log(path / LOG_FILE)


def _check_log(log: Path) -> None:
    lines = log.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)["step"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(
                f"{log}, line {number} is none that was written; remove the line or the file"
            ) from error


def _seal_comparison(path: Path) -> dict[str, str]:
    file = path / COMPARISON
    asked = parse_document(file)
    check_comparison(asked, path)
    state = _state(asked, file)
    write_sealed(asked, file)
    return {COMPARISON: state}
