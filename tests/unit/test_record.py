"""The record of a run: every name in run.json survives, fields have types, and damage is one line."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import plausibly
from plausibly.errors import UserError
from plausibly.fitting.settings import settings_on_record
from plausibly.runs import forms
from plausibly.runs.record import (
    Record,
    decode_record,
    ingredients,
    is_origin,
    read_record,
    write_record,
    write_tensors,
)
from plausibly.system.seals import check_file, digest_file, read_sealed_tensors

KEPT = sorted((Path(plausibly.__file__).parents[1] / "tests" / "kept").glob("*/*/run.json"))
PLAIN = {
    "plausibly_run": forms.RECORD_FORM,
    "status": "done",
    "files_sha256": {"log.jsonl": "ab"},
    "seed": 0,
    "data": {
        "name": "rows",
        "source": "rows.csv",
        "fingerprint": "cd",
        "options": {"seed": 0, "size": [28, 28]},
    },
    "notes": ["a note"],
    "rows": {"train": 8, "valid": 1, "test": 1},
    "format": {"format": "bits"},
    "model": "mine",
    "code": {"file": "mine.py", "name": "Mine", "sha256": None},
    "arguments": {"hidden": 3},
    "plan": None,
    "steps": 7,
    "seconds": 2,
    "test": {"value": -3, "unit": "nats per row", "sign": ">=", "interval": [-4, -2]},
    "reconstruction": {"levels": {"value": 1.0, "standard_error": None, "rows": 1}},
    "samples": {
        "two_sample_auc": 0.5,
        "value": 0.5,
        "standard_error": 0.1,
        "rows": 9,
        "by": "trees",
        "better": "lower",
        "perfect": 0.5,
    },
    "coded": {"rows": 1, "bits_per_variable": 0.5, "others": {"gzip": 1}},
    "health": {"coverage": 1},
    "candidates": ["made", "nade"],
    "settings": {"train": {"steps": 5}, "budget": None},
    "members": [{"model": "made", "weight": 0.25}, {"model": "nade", "weight": 0.75}],
}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.parent.name)
def test_names_and_their_order_survive(file, tmp_path):
    document = json.loads(file.read_text()) | {"plausibly_run": forms.RECORD_FORM}
    document["data"]["later"] = document["of a later version"] = {"b": [1, 2.0], "a": None}
    write_record(document, tmp_path)
    text = (tmp_path / "run.json").read_text()
    write_record(read_record(tmp_path).replace(status=document["status"]).document, tmp_path)
    assert (tmp_path / "run.json").read_text() == text and '"of a later version"' in text


def test_fields_are_what_the_document_says():
    record = Record.of(PLAIN)
    assert record.test.value == -3.0 and record.test.sign == ">=" and record.is_tested
    assert record.code.name == "Mine" and record.data.options.given() == {
        "seed": 0,
        "size": [28, 28],
    }
    assert record.reconstruction["levels"].rows == 1 and record.samples.by == "trees"
    assert record.settings.train == {"steps": 5} and ingredients(record) == "nade 75 %, made 25 %"
    assert record["test"] == PLAIN["test"] and "tried" not in record and dict(record) == PLAIN


def test_null_is_as_if_it_were_not_there():
    null = Record.of(PLAIN | dict.fromkeys(("steps", "test", "samples", "health", "code")))
    absent = Record.of(PLAIN).drop("steps", "test", "samples", "health", "code")
    assert null.steps == absent.steps == 0 and null.health == absent.health == {}
    assert null.test is absent.test is None and null.is_tested and not absent.is_tested
    assert null.document["steps"] is None and "steps" not in absent


def test_a_change_stays_in_place_or_comes_last_and_is_as_it_will_be_read():
    record = Record.of(PLAIN)
    changed = record.replace(status="diverged", took=np.float64(0.1), notes=("x", "y"))
    assert list(changed.document) == [*PLAIN, "took"]
    assert changed.status == "diverged" and type(changed["took"]) is float
    assert changed["notes"] == changed.notes == ["x", "y"]
    assert record.status == "done" and "took" not in record
    with pytest.raises(msgspec.ValidationError, match=r"\$\.steps"):
        record.replace(steps="many")
    with pytest.raises(AttributeError):
        record.steps = 8


def test_several_models_go_on_only_with_their_settings():
    record = Record.of(PLAIN)
    assert settings_on_record(record, Path("run"), {}, "cpu").train == {"steps": 5}
    with pytest.raises(UserError, match=r"^run/run.json is damaged: 'settings' are none$"):
        settings_on_record(record.drop("settings"), Path("run"), {}, "cpu")


DAMAGE = {
    ("model",): (3, "'model' is '3'"),
    ("seed",): (True, "'seed' is 'True'"),
    ("rows",): ([], "'rows' is '[]'"),
    ("steps",): ("many", "'steps' is 'many'"),
    ("format",): (None, "'format' is 'None'"),
    ("members",): (3, "'members' is '3'"),
    ("test",): ("x" * 99, f"'test' is '{'x' * 40}'"),
    ("test", "sign"): ("? - at `$.seed`", "'test' is no result"),
    ("test", "value"): ("x", "'test' is no result"),
    ("code", "name"): ("import os", "'code' names no class"),
    ("code", "file"): (None, "'code' names no class"),
    ("data",): (3, "'data' is '3'"),
    ("data", "source"): (3, "'data' names no source"),
    ("data", "options"): ([], "'data' has unknown options"),
    ("data", "options", "seed"): ("x", "'data' has unknown options"),
    ("data", "options", "foo"): (1, "'data' has unknown options"),
    ("candidates",): ([], "'candidates' names no models"),
    ("settings",): (None, "'settings' are none"),
    ("settings", "budget"): ("x", "'settings' are none"),
    ("reconstruction",): ([], "'reconstruction' is '[]'"),
    ("reconstruction", "levels"): (3, "'reconstruction' is no error by unit"),
    ("reconstruction", "levels", "foo"): (3, "'reconstruction' is no error by unit"),
    ("samples",): (3, "'samples' is '3'"),
    ("samples", "rows"): ("many", "'samples' is no number"),
    ("coded",): (3, "'coded' is '3'"),
    ("coded", "others", "gzip"): ("x", "'coded' is no number of bits"),
    ("coded", "foo"): (1, "'coded' is no number of bits"),
    ("health", "coverage"): ("good", "'health' has no numbers"),
}


@pytest.mark.parametrize("place", DAMAGE, ids=".".join)
def test_each_damaged_field_has_its_line(place):
    value, line = DAMAGE[place]
    document = json.loads(json.dumps(PLAIN))
    part = document
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    with pytest.raises(UserError) as caught:
        decode_record(document, Path("run.json"))
    assert str(caught.value) == f"run.json is damaged: {line}"


def test_half_a_character_is_a_line_where_a_number_is_wanted_and_kept_in_text():
    for damaged in ({"seed": "\ud800"}, {"\ud800": 1}):
        with pytest.raises(UserError, match=r"^run.json is damaged: '\\ud800' has half a char"):
            decode_record(PLAIN | damaged, Path("run.json"))
    named = PLAIN["data"] | {"source": "caf\udce9.csv"}
    assert decode_record(PLAIN | {"data": named}, Path("run.json")).data.source == named["source"]
    assert not is_origin(PLAIN["data"] | {"\ud800": 1}) and is_origin(named)


MISSING = {
    ("model",): "'model' is 'None'",
    ("notes",): "'notes' is 'None'",
    ("data", "name"): "'data' names no source",
    ("data", "options"): "'data' has unknown options",
    ("code", "sha256"): "'code' names no class",
    ("test", "sign"): "'test' is no result",
    ("samples", "by"): "'samples' is no number",
    ("settings", "budget"): "'settings' are none",
    ("coded", "others"): "'coded' is no number of bits",
    ("reconstruction", "levels", "rows"): "'reconstruction' is no error by unit",
}


@pytest.mark.parametrize("place", MISSING, ids=".".join)
def test_each_missing_field_has_its_line(place):
    document = json.loads(json.dumps(PLAIN))
    part = document
    for name in place[:-1]:
        part = part[name]
    del part[place[-1]]
    with pytest.raises(UserError) as caught:
        decode_record(document, Path("run.json"))
    assert str(caught.value) == f"run.json is damaged: {MISSING[place]}"


def test_a_record_of_too_many_values_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("plausibly.system.seals.MAX_DOCUMENT_VALUES", 1000)
    monkeypatch.setattr("json.loads", lambda text: pytest.fail("it was parsed"))
    (tmp_path / "run.json").write_text('{"plausibly_run": [' + "[]," * 600 + "[]]}")
    with pytest.raises(UserError, match=r"run\.json holds 1,203 values; no run\.json has more"):
        read_record(tmp_path)


@pytest.mark.parametrize("length", [100, 10 << 30])
def test_tensors_of_another_length_are_not_read(tmp_path, monkeypatch, length):
    file = tmp_path / "weights.safetensors"
    write_tensors({"a": torch.ones(30)}, file)
    digest = digest_file(file)
    check_file(file, digest, "put a copy back")
    with open(file, "r+b") as tensors:
        tensors.truncate(length)  # to read it would take many seconds
    monkeypatch.setattr(
        "plausibly.system.seals.digest_file", lambda path: pytest.fail("it was read")
    )
    with pytest.raises(UserError, match=r"weights\.safetensors is not what was written"):
        check_file(file, digest, "put a copy back")
    with pytest.raises(UserError, match=r"weights\.safetensors is damaged"):
        read_sealed_tensors(file)


def test_a_header_of_tensors_has_an_end(tmp_path):
    file = tmp_path / "weights.safetensors"
    header = b"{}".ljust(17 << 20)
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert load_file(file) == {}
    with pytest.raises(UserError, match="is not what was written"):
        check_file(file, digest_file(file), "put a copy back")
