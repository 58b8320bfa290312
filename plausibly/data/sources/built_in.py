"""Small data that are built in, whole or a split of them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np

from plausibly.data.dataset import Dataset
from plausibly.data.formats.format import Format
from plausibly.data.sources.arrays import array_fingerprint
from plausibly.data.sources.rows import ArrayRows, Rows
from plausibly.data.sources.source import Source
from plausibly.data.toys.bits import BUILT_IN, Toy
from plausibly.data.toys.planes import RealToy
from plausibly.errors import UserError, did_you_mean


class BuiltIn(Source):
    """The data of that name, or a `part` of them such as `digits:test`."""

    def __init__(self, text: str) -> None:
        super().__init__(text, text, text)
        self.word, _, self.part = text.partition(":")
        whole = ("kinds", "drop", "split", "size", "valid", "test")
        self.settled = () if self.part else whole

    @cached_property
    def toy(self) -> Toy | RealToy:
        """The data."""
        return BUILT_IN[self.word]()

    def fingerprint(self) -> str:
        return self.text

    def digest(self, rows: Rows) -> str:
        if self.part:
            return array_fingerprint(rows.whole)
        parts = (rows.whole, *rows.own.values())
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def read_rows(self, size: Any, labelled: bool) -> ArrayRows:
        labels = self.labels() if labelled else None
        if self.part:
            return ArrayRows(self.text, {"all": self.array()}, labels=labels)
        return ToyRows(self.toy, self.text, labels)

    def array(self) -> np.ndarray:
        parts, name = self.toy.parts(), self.word
        if self.part and self.part not in parts:
            hint = did_you_mean(self.part, parts)
            raise UserError(f"there is no split {self.part!r}{hint}; {name} has {', '.join(parts)}")
        if not self.part:
            raise UserError(
                f"{name} has several splits; name one: {name}:train, {name}:valid or {name}:test"
            )
        return parts[self.part]

    def labels(self) -> dict[str, np.ndarray]:
        found = self.toy.parts(labels=True)
        return {"all": found[self.part]} if self.part else found


class ToyRows(ArrayRows):
    """All rows of what is built in, whose format and distribution are known."""

    def __init__(self, toy: Toy | RealToy, text: str, labels: dict[str, np.ndarray] | None) -> None:
        super().__init__(text, toy.parts(), labels=labels)
        self.toy = toy

    def _learn(self, rows: np.ndarray, kinds: dict[str, str], drop: tuple[str, ...]) -> Format:
        return self.toy.format()

    def describe(self, dataset: Dataset) -> None:
        dataset.truth = self.toy.truth_for(dataset.format)
