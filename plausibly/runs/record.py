"""run.json: read, checked, written."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from plausibly.errors import UserError
from plausibly.evaluation import numbers
from plausibly.evaluation.answers.reconstruction import Error
from plausibly.runs import forms
from plausibly.system.files import refuse_streams, replacing
from plausibly.system.seals import SEAL, check_document, parse_document, write_sealed

# what a run calls the mixture of several models, and one not yet chosen of several
ENSEMBLE = "ensemble"
BEST = "best"


def read_record(path: Path) -> dict[str, Any]:
    """run.json of a run in the present form, after checks that need no model."""
    document, file = read_document(path), path / "run.json"
    record = forms.convert_record(document, file)
    if document["plausibly_run"] != forms.UNSEALED_FORM or SEAL in document:
        check_document(document, file)
    check_record(record, file)
    return record


def check_record(record: dict[str, Any], file: Path) -> None:
    """Looks at a record's fields. UserError where they are none."""
    if wrong := record_fault(record):
        raise UserError(f"{file} is damaged: {wrong}")


def read_document(path: Path) -> dict[str, Any]:
    """run.json of a run as it stands there, in whatever form."""
    file = path / "run.json"
    if not file.is_file():
        raise UserError(
            f"there is no run at {path}; a run is a folder that `plausibly fit` wrote, with a run.json in it"
        )
    for own in path.iterdir():
        refuse_streams(own)
    document = parse_document(file)
    if "plausibly_run" not in document:
        raise UserError(f"{file} is damaged or no run of plausibly's; `plausibly fit` writes one")
    return document


FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "arguments": (dict,),
    "format": (dict,),
    "data": (dict,),
    "seed": (int,),
    "status": (str,),
    "plan": (dict, type(None)),
    "rows": (dict,),
    "notes": (list,),
    "parameters": (int, type(None)),
    "steps": (int, type(None)),
    "seconds": (int, float, type(None)),
    "validation": (int, float, type(None)),
    "rows_scored_per_second": (int, float, type(None)),
    "rows_sampled_per_second": (int, float, type(None)),
    "test": (dict, type(None)),
    "reconstruction": (dict, type(None)),
    "samples": (dict, type(None)),
    "coded": (dict, type(None)),
    "health": (dict, type(None)),
    "weights_sha256": (str, type(None)),
    "files_sha256": (dict, type(None)),
    "code": (dict, type(None)),
}


DATA_OPTIONS = {"seed", "kinds", "drop", "split", "valid", "test", "size", "labelled"}


def record_fault(record: dict[str, Any]) -> str:
    """The fault in a record's form, in words; empty where there is none."""
    for name, types in FIELD_TYPES.items():
        if not isinstance(record.get(name), types) or isinstance(record.get(name), bool):
            return f"{name!r} is {str(record.get(name))[:40]!r}"
    test, code = record.get("test"), record.get("code")
    if code is not None and not (
        str(code.get("name")).isidentifier()
        and isinstance(code.get("file"), str)
        and isinstance(code.get("sha256", 0), str | None)
    ):
        return "'code' names no class"
    if wrong := data_fault(record["data"]):
        return wrong
    if "candidates" in record and not is_names(record["candidates"]):
        return "'candidates' names no models"
    if "settings" in record and not is_settings(record["settings"]):
        return "'settings' are none"
    if not all(map(is_error, (record.get("reconstruction") or {}).values())):
        return "'reconstruction' is no error by unit"
    if not is_number(record.get("samples")):
        return "'samples' is no number"
    if not is_coded(record.get("coded")):
        return "'coded' is no number of bits"
    if not all(isinstance(each, int | float) for each in (record.get("health") or {}).values()):
        return "'health' has no numbers"
    if test is not None and (
        test.get("sign") not in ("=", ">=", "~") or not isinstance(test.get("value"), int | float)
    ):
        return "'test' is no result"
    return ""


def data_fault(data: Any) -> str:
    """The fault in where the data came from, in words; empty where there is none."""
    if not isinstance(data, dict) or not all(
        isinstance(data.get(n), str) for n in ("name", "source", "fingerprint")
    ):
        return "'data' names no source"
    options = data.get("options")
    if (
        not isinstance(options, dict)
        or not options.keys() <= DATA_OPTIONS
        or not isinstance(options.get("seed", 0), int)
    ):
        return "'data' has unknown options"
    return ""


def is_names(document: Any) -> bool:
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(name, str) for name in document)
    )


def is_settings(document: Any) -> bool:
    """True where this is what a record keeps of how several models are fitted."""
    return (
        isinstance(document, dict)
        and document.keys() == {"train", "budget"}
        and isinstance(document["train"], dict)
        and isinstance(document["budget"], int | float | None)
    )


def is_coded(document: dict[str, Any] | None) -> bool:
    """True where this is what `runs.board.Coded` is made of, or nothing."""
    if document is None:
        return True
    numbers = [document.get("rows"), document.get("bits_per_variable")]
    others = document.get("others")
    return (
        document.keys() == {"rows", "bits_per_variable", "others"}
        and isinstance(others, dict)
        and all(isinstance(each, int | float) for each in [*numbers, *others.values()])
    )


def is_number(document: dict[str, Any] | None) -> bool:
    """True where this is what a record keeps of the two-sample AUC, or nothing."""
    if document is None:
        return True
    try:
        found = numbers.number_from_json(document)
    except TypeError:
        return False
    told = found.value, found.standard_error or 0, found.rows
    return all(isinstance(each, int | float) for each in told) and isinstance(found.by, str)


def is_error(document: Any) -> bool:
    """True where this is what a record keeps of one unit's reconstruction error."""
    known, needed = {f.name for f in fields(Error)}, {"value", "standard_error", "rows"}
    if not isinstance(document, dict) or not needed <= document.keys() <= known:
        return False
    numbers = document["value"], document["standard_error"] or 0, document["rows"]
    return all(isinstance(number, int | float) for number in numbers)


def ingredients(record: dict[str, Any]) -> str:
    """The models that an ensemble mixes, the heaviest first: `3 boosted 75 %, nade 25 %`; empty of other runs."""
    weights: dict[str, list[float]] = {}
    for one in record.get("members", ()):
        weights.setdefault(one["model"], []).append(one["weight"])
    heaviest = sorted(weights, key=lambda name: -sum(weights[name]))
    return ", ".join(
        f"{len(weights[name])} {name} ".removeprefix("1 ") + f"{100 * sum(weights[name]):.0f} %"
        for name in heaviest
    )


def write_record(record: dict[str, Any], path: Path) -> None:
    """Writes a run's record, with its seal."""
    write_sealed(record, path / "run.json")


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    with replacing(path) as draft:
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, draft)
        except SafetensorError as error:
            raise OSError(str(error)) from error
