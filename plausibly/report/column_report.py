"""The part of the page about the guesses for each column."""

from __future__ import annotations

from dataclasses import dataclass

from plausibly.data.dataset import Dataset
from plausibly.data.events import Document
from plausibly.report.drawing import shorten
from plausibly.report.sections import format_of
from plausibly.report.subjects import Subject

MAX_COLUMNS = 500


@dataclass(frozen=True)
class ColumnSection:
    """The column report, and how many columns it leaves out."""

    entries: list[dict[str, str]]
    more: int


def column_section(shown: list[Subject], dataset: Dataset | None) -> ColumnSection | None:
    """The guesses about each column; None where there are no columns."""
    format = format_of(shown, dataset)
    if format is None or len(format.schema.shape) != 1:
        return None
    entries = format.describe()
    return ColumnSection(
        [_entry(each) for each in entries[:MAX_COLUMNS]], max(len(entries) - MAX_COLUMNS, 0)
    )


def _entry(document: Document) -> dict[str, str]:
    codes = document.get("codes")
    return {
        "name": shorten(document["name"], 80),
        "kind": shorten(document["kind"]),
        "codes": f"{codes:,}" if codes else "set aside",
        "holes": f"{document['holes']:,}" if document.get("holes") else "",
        "values": _values(document),
        "guess": shorten(document.get("guess", ""), 120),
        "override": shorten(document.get("override", ""), 160),
    }


def _values(document: Document) -> str:
    """Levels, or range and resolution, or the one value."""
    said = []
    if levels := document.get("levels"):
        more = len(levels) - 8 + document.get("rare_levels", 0)
        some = ", ".join(shorten(level) for level in levels[:8])
        said.append(some + (f" and {more:,} more" if more > 0 else ""))
    if document.get("range"):
        said.append(" to ".join(shorten(end) for end in document["range"]))
    if document.get("resolution"):
        said.append(f"in steps of {shorten(document['resolution'])}")
    if "value" in document:
        said.append(
            "nothing" if document["value"] is None else f"always {shorten(document['value'])}"
        )
    return ", ".join(said) + (", a density" if document.get("density") else "")
