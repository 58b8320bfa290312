"""A section of the page: sentences and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from plausibly.data.dataset import Dataset
from plausibly.data.formats.format import Format
from plausibly.report.figures import PicturePanel
from plausibly.report.subjects import Subject

NO_DATA = "This page was made without the data, so this part is left out."


NO_DISTRIBUTION = "No model on this board has a distribution, so there are no samples."


NO_MODEL = "No model was fitted, so there is nothing to show here."


MAX_TEST_ROWS = 2000


@dataclass
class PageSection:
    """A part of the page: sentences before its pictures, the pictures, a sentence where there are none."""

    leads: list[str] = field(default_factory=list)
    panels: list[PicturePanel] = field(default_factory=list)
    plots: list[tuple[str, Markup]] = field(default_factory=list)
    missing: str = ""
    bar: tuple[str, str, str] | None = None  # a colour bar, and what stands at its ends


def format_of(shown: list[Subject], dataset: Dataset | None) -> Format | None:
    return dataset.format if dataset else shown[0].run.format if shown else None
