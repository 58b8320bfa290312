"""The companion of a choice: a second model, kept where the best one does not answer all questions as well."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plausibly.fitting.fit import Fit, promote_fit
from plausibly.runs.paired import list_better_answers
from plausibly.runs.record import COMPANION, KeptCompanion


def choose_companion(best: Fit, fits: Sequence[Fit]) -> Fit | None:
    """The best on validation of the fits that answer a question better than the best of all; None where none does."""
    able = [each for each in fits if list_better_answers(each.model, best.model)]
    return max(able, key=lambda each: each.record.validation, default=None)


def keep_companion(companion: Fit | None, path: Path) -> dict[str, Any]:
    """Puts a companion, tested, where it stays in the run at `path`, or removes an earlier one.

    The result is what the run's record says of it. The run's page tells of both; it has none of its own.
    """
    folder = path / COMPANION
    if companion is None:
        shutil.rmtree(folder, ignore_errors=True)
        return {}
    folder.mkdir(exist_ok=True)
    record = promote_fit(companion, folder).test().record
    return {"companion": KeptCompanion(record.model, record.weights_sha256).to_json()}
