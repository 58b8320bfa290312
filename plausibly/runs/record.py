"""run.json: its fields with their types, read, changed and written.

A record is decoded from the document that run.json holds, and keeps it: the document says in which order the names come,
and which are none of this version's. Every change is decoded anew, so that no record says what run.json may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import KeysView, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from plausibly.errors import UserError
from plausibly.evaluation.answers.reconstruction import ReconstructionError
from plausibly.evaluation.likelihood.beyond import MassBeyond
from plausibly.evaluation.numbers import Number
from plausibly.runs import forms
from plausibly.runs.user_models import ModelCode
from plausibly.system.files import refuse_name, refuse_streams, replacing
from plausibly.system.seals import SEAL, check_document, parse_document, write_sealed

# what a run calls the mixture of several models, and one not yet chosen of several
ENSEMBLE = "ensemble"
BEST = "best"
COMPANION = "companion"  # the folder of a second model, in that of a run


class ReadingOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of `plausibly.load` that a run keeps, as far as they were given."""

    seed: int | UnsetType = UNSET
    kinds: dict[str, str] | UnsetType = UNSET
    drop: list[str] | UnsetType = UNSET
    split: str | UnsetType = UNSET
    size: int | list[int] | UnsetType = UNSET
    labelled: bool | UnsetType = UNSET
    relations: list[str] | bool | UnsetType = (
        UNSET  # that columns follow by; none where it is not given
    )
    valid: str | UnsetType = UNSET
    test: str | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """Those that were given, as keywords."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class Origin(Struct, frozen=True):
    """Where data came from, so that they are found and recognised again."""

    name: str
    source: str
    fingerprint: str
    options: ReadingOptions

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def is_origin(document: Any) -> bool:
    """True where this is what a run or a comparison keeps of where its data came from."""
    try:
        return bool(msgspec.convert(document, Origin))
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False


class SearchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The training of each of several models, and its budget in seconds."""

    train: dict[str, Any]
    budget: float | None

    def to_json(self) -> dict[str, Any]:
        return structs.asdict(self)


class Member(Struct, frozen=True):
    """A model of an ensemble, and its weight."""

    model: str
    weight: float


class KeptCompanion(Struct, frozen=True):
    """The model in the folder `companion`, and the SHA-256 of its weights."""

    model: str
    weights_sha256: str

    def to_json(self) -> dict[str, Any]:
        return structs.asdict(self)


class HeldOut(Struct, frozen=True):
    """The held-out result: nats per row, and their relation to log p."""

    value: float
    sign: Literal["=", ">=", "~"]
    unit: str = "nats per row"
    standard_error: float | None = None
    rows: int = 0


class Coded(Struct, frozen=True, forbid_unknown_fields=True):
    """Bits per variable of so many test rows as bytes, and of the same rows by gzip and its like."""

    rows: int
    bits_per_variable: float
    others: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return structs.asdict(self)


class Record(Struct, frozen=True, kw_only=True):
    """The fields of run.json. `document` is all of it; a name that is not there, or is null, has its default here.

    `record["test"]` reads the document, `record.test` what is made of it.
    """

    document: dict[str, Any]
    model: str
    arguments: dict[str, Any]
    format: dict[str, Any]
    data: Origin
    seed: int
    status: str  # running, interrupted, diverged or done
    plan: dict[str, Any] | None = None  # None of models that count
    rows: dict[str, int]  # of each part of the data
    notes: list[str]
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    validation: float = float("nan")  # nats per row
    rows_scored_per_second: float | None = None
    rows_sampled_per_second: float | None = None
    test: HeldOut | None = None
    reconstruction: dict[str, ReconstructionError] = {}  # by unit
    samples: Number | None = None  # the two-sample AUC
    coded: Coded | None = None
    beyond: MassBeyond | None = None  # the mass of what was never seen
    health: dict[str, float] = {}  # of a game, at the step whose weights were kept
    weights_sha256: str = ""
    files_sha256: dict[str, str] | None = None  # None of runs without checksums
    code: ModelCode | None = None  # of a model that is not plausibly's
    form: str = ""  # the class of an ensemble
    members: list[Member] = []
    companion: KeptCompanion | None = None  # beside a model that does not answer all questions
    candidates: Annotated[list[str], Meta(min_length=1)] = []  # among which one is chosen
    settings: SearchSettings | UnsetType = UNSET
    tried: dict[str, float] = {}  # the validation of each candidate
    took: float | None = None  # seconds of a row of a benchmark
    launch: str = ""  # of torchrun
    processes: int = 1
    versions: dict[str, Any] = {}
    started: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Record:
        """The record of a document in the present form. ValidationError where it has other fields."""
        said = {
            name: value
            for name, value in document.items()
            if value is not None or name in NEVER_NULL
        }
        return msgspec.convert(said | {"document": document}, cls)

    def replace(self, **changes: Any) -> Record:
        """The record with other values: those of names that are there stay in place, others come last."""
        return Record.of(self.document | as_read(changes))

    def drop(self, *names: str) -> Record:
        """The record without some names."""
        kept = {name: value for name, value in self.document.items() if name not in names}
        return Record.of(kept)

    @property
    def is_tested(self) -> bool:
        """True where the run has come to its test, which may have found no likelihood."""
        return "test" in self.document

    def __getitem__(self, name: str) -> Any:
        return self.document[name]

    def __contains__(self, name: object) -> bool:
        return name in self.document

    def keys(self) -> KeysView[str]:
        """The names on record; with them `dict(record)` is the document."""
        return self.document.keys()


def is_of_one_split(record: Record, other: Record) -> bool:
    """True where two runs were fitted to the same rows, split alike, in whatever format each has them."""
    parts = []
    for each in (record, other):
        options = each.data.options
        split = options.seed, options.split, options.valid, options.test
        parts.append((each.data.fingerprint, split, each.rows))
    return parts[0] == parts[1]


def make_record(document: Mapping[str, Any]) -> Record:
    """The record of a run that begins."""
    return Record.of(as_read(document))


def as_read(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it will be read: with lists for tuples, and plain numbers."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    return found


NEVER_NULL = ("candidates", "settings")

# what is said of a damaged field, by the first words of its place; of any other, its value is shown
FAULTS = {
    "code.": "'code' names no class",
    "data.options": "'data' has unknown options",
    "data.": "'data' names no source",
    "candidates": "'candidates' names no models",
    "settings": "'settings' are none",
    "reconstruction[": "'reconstruction' is no error by unit",
    "samples.": "'samples' is no number",
    "coded.": "'coded' is no number of bits",
    "companion.": "'companion' names no model",
    "health[": "'health' has no numbers",
    "test.": "'test' is no result",
}


def decode_record(document: Mapping[str, Any], file: Path) -> Record:
    """The record of a document in the present form. UserError, in a line, where a field is damaged."""
    try:
        return Record.of(document)
    except msgspec.ValidationError as error:
        raise UserError(f"{file} is damaged: {describe_fault(document, str(error))}") from error
    except UnicodeEncodeError as error:  # which is where no text is wanted
        raise UserError(f"{file} is damaged: {error.object[:40]!r} has half a character") from error


def describe_fault(document: Mapping[str, Any], error: str) -> str:
    """The damaged field in words, from what msgspec says: `Expected ... - at `$.data.name``."""
    place = find_fault(error)
    name = re.split(r"[.\[]", place)[0]
    shown = f"{name!r} is {str(document.get(name))[:40]!r}"
    return next((said for start, said in FAULTS.items() if place.startswith(start)), shown)


def find_fault(error: str) -> str:
    """The place of a damaged field, such as `seed`, `data.options.seed` or `health[...]`."""
    place = re.search(r"at `\$\.([^`]*)`$", error)
    field = re.match(r"Object (?:missing required|contains unknown) field `([^`]*)`", error)
    return ".".join(found[1] for found in (place, field) if found)


def read_record(path: Path) -> Record:
    """run.json of a run in the present form, after checks that need no model."""
    document, file = read_document(path), path / "run.json"
    converted = forms.convert_document(document, file)
    if document["plausibly_run"] != forms.UNSEALED_FORM or SEAL in document:
        check_document(document, file)
    return decode_record(converted, file)


def read_document(path: Path) -> dict[str, Any]:
    """run.json of a run as it stands there, in whatever form."""
    file = path / "run.json"
    refuse_name(path)
    if not file.is_file():
        if inside := sorted(str(own.parent) for own in path.glob("*/run.json")):
            raise UserError(f"{path} is no run but a folder of runs; name one: {', '.join(inside)}")
        raise UserError(
            f"there is no run at {path}; a run is a folder that `plausibly fit` wrote, with a run.json in it"
        )
    for own in path.iterdir():
        refuse_streams(own)
    document = parse_document(file)
    if "plausibly_run" not in document:
        raise UserError(f"{file} is damaged or no run of plausibly's; `plausibly fit` writes one")
    return document


def ingredients(record: Record) -> str:
    """The models that an ensemble mixes, the heaviest first: `3 boosted 75 %, nade 25 %`; empty of other runs."""
    weights: dict[str, list[float]] = {}
    for one in record.members:
        weights.setdefault(one.model, []).append(one.weight)
    heaviest = sorted(weights, key=lambda name: -sum(weights[name]))
    return ", ".join(
        f"{len(weights[name])} {name} ".removeprefix("1 ") + f"{100 * sum(weights[name]):.0f} %"
        for name in heaviest
    )


def write_record(document: Mapping[str, Any], path: Path) -> None:
    """Writes a run's record, with its seal."""
    write_sealed(document, path / "run.json")


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    with replacing(path) as draft:
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, draft)
        except SafetensorError as error:
            raise OSError(str(error)) from error
