"""Data ready to learn from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.data.relations.relation import Relation
from plausibly.events.schema import Schema


class TrueDistribution(Protocol):
    """The distribution that a toy was drawn from."""

    @property
    def entropy(self) -> float | None:
        """In nats; None where it is not known."""

    def log_prob(self, codes: Tensor) -> Tensor:
        """Exact log p of each event, (n,) float64 nats; codes are float, (n, *schema.shape)."""


@dataclass
class Dataset:
    """Data ready to learn from. `fingerprint` is the SHA-256 of the source's contents.

    `calibration` rows serve p-values and nothing else; there are none where the source brings its own three parts.
    `regular`: whether rows of a text file, written again, give the same file byte for byte; None where that says nothing.
    `relations`: columns that follow from others. `shown`: training rows with their values, which are all but
    where these are too many; then those of `train` have none.
    """

    name: str
    source: str
    fingerprint: str
    format: Format
    train: Events
    valid: Events
    test: Events
    calibration: Events
    notes: list[str] = field(default_factory=list)
    truth: TrueDistribution | None = None
    regular: bool | None = None
    relations: list[Relation] = field(default_factory=list)
    shown: Events = field(init=False)

    def __post_init__(self) -> None:
        self.shown = self.train

    @classmethod
    def of_parts(
        cls, name: str, source: str, fingerprint: str, format: Format, events: dict[str, Events]
    ) -> Dataset:
        """The dataset whose events are those of parts, of which that for calibration may be none."""
        train = events["train"]
        spared = events.get("calibration", train[:0])
        found = cls(
            name, source, fingerprint, format, train, events["valid"], events["test"], spared
        )
        found.shown = events.get("shown", train)
        return found

    def plain(self) -> Dataset:
        """The same rows, in which no column follows from others; itself where none does. Parts without values are empty."""
        format = self.format
        if format.plain is format:
            return self
        shown = format.plain_events(self.shown)
        parts: dict[str, Any] = {
            part: shown[:0] if events.values is None else format.plain_events(events)
            for part, events in ((part, getattr(self, part)) for part in self.rows)
        }
        found = replace(self, format=format.plain, **parts)
        found.shown = shown
        return found

    @property
    def schema(self) -> Schema:
        return self.format.schema

    @property
    def names(self) -> tuple[str, ...]:
        return self.format.names

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of each part."""
        return {
            part: len(getattr(self, part)) for part in ("train", "valid", "test", "calibration")
        }
