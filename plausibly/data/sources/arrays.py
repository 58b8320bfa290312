"""Arrays in memory and in files: npz (splits by name, bits packed or not), npy and idx. No pickles."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from plausibly.data.files.array_files import parse_idx, parse_npy, parse_npz
from plausibly.data.files.arrays import as_array
from plausibly.data.files.tables import read_contents
from plausibly.data.formats.format import Format
from plausibly.data.sources.rows import ArrayRows, Rows
from plausibly.data.sources.source import FileSource, MemorySource
from plausibly.errors import UserError, did_you_mean

SPLITS = dict(
    train="train", training="train", valid="valid", val="valid", validation="valid", dev="valid", test="test", testing="test"
)  # fmt: skip
ROW_NAMES, LABEL_NAMES = (
    ("x", "data", "images", "features", "inputs"),
    ("y", "labels", "label", "targets", "target"),
)
NAME_PATTERN = re.compile(
    "(?P<role>{0})?_?(?P<split>{1})?_?(?P<after>{0})?".format(
        "|".join(ROW_NAMES + LABEL_NAMES), "|".join(SPLITS)
    )
)
IDX_MARK = b"\0\0"  # with which idx files begin
MAX_SIDES = 64  # of an array of numpy


class Array(MemorySource):
    """An array, a tensor, or lists of numbers."""

    @property
    def called(self) -> str:
        return "'an array'"

    def fingerprint(self) -> str:
        return array_fingerprint(as_array(self.held))

    def digest(self, rows: Rows) -> str:
        return array_fingerprint(rows.whole)

    def read_rows(self, size: Any, labelled: bool) -> ArrayRows:
        rows = as_array(self.held)
        return ArrayRows(self.text, {"all": rows}, labels={} if labelled else None)

    def frame(self) -> Any:
        return self.held

    def held_out(self, format: Format) -> Any:
        if format.table:
            kind = type(self.held).__name__
            raise UserError(
                f"a table cannot be split with {kind}; give a table with the same columns"
            )
        return self.held


def array_fingerprint(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and entries."""
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


class ArrayFile(FileSource):
    """A file with an array: npy or idx."""

    def parts(self) -> dict[str, np.ndarray]:
        """The arrays by the names of splits, or one array as `all`."""
        data = read_contents(self.path)
        parse = parse_idx if data[:2] == IDX_MARK else parse_npy
        array = parse(data, self.path)
        try:
            return {"all": as_array(array)}
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error

    def notes(self, labelled: bool) -> list[str]:
        """Notes on all else that the file holds; on labels only if they are not modelled."""
        return []

    def array(self) -> np.ndarray:
        parts = self.parts()
        if len(parts) > 1:
            names = ", ".join(f"{self.path}:{name}" for name in parts)
            raise UserError(f"{self.path} has several splits; name one: {names}")
        return next(iter(parts.values()))

    def read_rows(self, size: Any, labelled: bool) -> ArrayRows:
        labels = self.labels() if labelled else None
        return ArrayRows(self.text, self.parts(), self.notes(labelled), labels=labels)


class NpzFile(ArrayFile):
    """A file with arrays by name: rows, labels beside them, and others. `part` names one array, or its split."""

    @cached_property
    def raw(self) -> dict[str, np.ndarray]:
        """All arrays as they are."""
        return parse_npz(read_contents(self.path), self.path)

    @cached_property
    def row_arrays(self) -> dict[str, np.ndarray]:
        """All arrays of rows, bits unpacked; no labels, no descriptions."""
        kept = [key for key in self.raw if _role(key)[0] == "rows" and not self._is_shape(key)]
        found = {key: self._unpack_bits(key) for key in kept}
        return {
            key: as_array(array)
            for key, array in found.items()
            if array.ndim and array.dtype.kind in "biuf"
        }

    def _is_shape(self, key: str) -> bool:
        """True where an array tells the shape of packed bits beside it."""
        return key.endswith("_shape") and key.removesuffix("_shape") in self.raw

    def _unpack_bits(self, key: str) -> np.ndarray:
        """The bits that `np.packbits` packed, in their shape; an array without a shape as it is."""
        array, shape = self.raw[key], self.raw.get(f"{key}_shape")
        if shape is None:
            return array
        sides = _sides(shape)
        count = prod(sides)
        if array.dtype != np.uint8 or min(sides) < 0 or count > 8 * array.size:
            raise UserError(
                f"{self.path}:{key}: {array.size} bytes do not hold bits of shape {sides}"
            )
        return np.unpackbits(array.ravel(), count=count).reshape(sides)

    @property
    def splits(self) -> dict[str, str]:
        """The split that each array's name tells, if there are training rows among several."""
        found = {key: split for key in self.row_arrays if (split := _role(key)[1])}
        return found if "train" in found.values() and len({*found.values()}) > 1 else {}

    def parts(self) -> dict[str, np.ndarray]:
        arrays = self.row_arrays
        if self.part:
            return {"all": self._pick_named(arrays)}
        found = {split: arrays[key] for key, split in self.splits.items()}
        return found or {"all": self._pick_only(arrays)}

    def _pick_named(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        part, named = self.part, {_role(key)[1] or key: each for key, each in arrays.items()}
        named |= arrays
        if part not in named and part not in self.raw:
            raise UserError(
                f"{self.path} has no array {part!r}{did_you_mean(part, named)}; it has {', '.join(arrays)}"
            )
        return named[part] if part in named else as_array(self.raw[part])

    def _pick_only(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """The one array of rows. UserError where a file holds none, or several."""
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        path, others = self.path, ", ".join(self.raw)
        if arrays:
            raise UserError(
                f"{path} holds the arrays {', '.join(arrays)}; name one: {path}:{next(iter(arrays))}"
            )
        raise UserError(
            f"{path} holds no arrays of rows{others and f', but {others}; name one: {path}:NAME'}"
        )

    def notes(self, labelled: bool) -> list[str]:
        if self.part:
            return []
        labels = [key for key in self.raw if _role(key)[0] == "labels"]
        known = [*(self.splits or self.row_arrays), *labels]
        others = [key for key in self.raw if key not in known and not self._is_shape(key)]
        notes = []
        if labels and not labelled:
            names = ", ".join(labels)
            notes.append(
                f"the labels {names} beside the rows are not modelled; --context label does"
            )
        if others:
            names = ", ".join(others)
            notes.append(f"left out of the file: {names}; {self.path}:NAME takes one alone")
        return notes

    def labels(self) -> dict[str, np.ndarray]:
        roles = {_role(key): array.ravel() for key, array in self.raw.items() if _is_whole(array)}
        found = {split or "all": each for (role, split), each in roles.items() if role == "labels"}
        if not self.part:
            return found
        own, alone = _role(self.part)[1] or "all", self.part not in found
        # to an array that is named alone, such as `x`, labels are given to learn from, and in no question
        return {"train" if alone else "all": found[own]} if own in found else {}


def _sides(shape: np.ndarray) -> tuple[int, ...]:
    """The sides that a shape beside packed bits tells; (-1,), which none has, where it tells none."""
    told = shape.dtype.kind in "iu" and 0 < shape.size <= MAX_SIDES
    return tuple(map(int, shape.ravel())) if told else (-1,)


def _is_whole(array: np.ndarray) -> bool:
    """True where all entries are whole numbers."""
    return array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )


def _role(key: str) -> tuple[str, str]:
    """The role of an npz file's array by its name, rows or labels, and its split; empty where the name tells none."""
    named = NAME_PATTERN.fullmatch(key.lower())
    if not named or (named["role"] and named["after"]):
        return "rows", ""
    role = "labels" if (named["role"] or named["after"]) in LABEL_NAMES else "rows"
    return role, SPLITS.get(named["split"] or "", "")
