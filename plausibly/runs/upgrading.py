"""Runs of earlier versions, rewritten as this one writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from plausibly.runs import forms
from plausibly.runs.record import read_document, read_record, write_record
from plausibly.runs.sealed_files import SEALED_FILES, record_checksums
from plausibly.system.locks import holding_lock
from plausibly.system.seals import seal_checkpoint


class Upgraded(NamedTuple):
    """A run, the form that it had, and the version that wrote it, as far as it says."""

    path: Path
    form: int
    writer: str

    @property
    def is_changed(self) -> bool:
        return self.form != forms.RECORD_FORM

    def line(self) -> str:
        if not self.is_changed:
            return f"{self.path} is of form {self.form} already; nothing was changed"
        wrote = f", of {self.writer}," if self.writer else ""
        return f"{self.path} was of form {self.form}{wrote} and is of form {forms.RECORD_FORM} now; scores stay the same"

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.path),
            "from": self.form,
            "to": forms.RECORD_FORM,
            "changed": self.is_changed,
        }


def upgrade(path: Path | str) -> Upgraded:
    """Rewrites the record of a run of an earlier form as this version writes it, whole or not at all; what was changed.

    Weights and all else in the folder stay as they are; a checkpoint gets its checksum. UserError for a run of a later
    version, which it names.
    """
    path = Path(path)
    read_record(path)
    with holding_lock(path):
        before, record = read_document(path), read_record(path)
        found = Upgraded(path, before["plausibly_run"], forms.record_writer(before))
        if found.is_changed:
            seal_checkpoint(path)
            write_record(record_checksums(record, path, SEALED_FILES).document, path)
    return found
