"""Damage is seen: whatever is changed in a file of ours, the numbers are the same or one line says which file it is."""

import json
import os
import random
import re
import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import compare, ensemble, fit, results, settings
from plausibly.fitting.resealing import seal
from plausibly.jobs import files
from plausibly.report.training import training_to_plot
from plausibly.runs.record import read_record
from plausibly.runs.run import Run
from plausibly.runs.upgrading import upgrade
from plausibly.system import seals

KEPT = Path(__file__).parents[1] / "kept" / "0.1.0"
SMALL = {"hidden": 8, "train.every": 5, "train.batch": 50}


def flip_digit(data, chance):
    place = chance.choice([m.start() for m in re.finditer(rb"\d", data)] or [0])
    return data[:place] + (b"7" if data[place : place + 1] != b"7" else b"3") + data[place + 1 :]


def rename_key(data, chance):
    keys = [m.start() + 1 for m in re.finditer(rb'"[a-z]\w*":', data)] or [len(data) // 2]
    place = chance.choice(keys)
    return data[:place] + b"Q" + data[place + 1 :]


def swap_lines(data, chance):
    lines = data.split(b"\n") if data.count(b"\n") > 1 else [data[::2], data[1::2]]
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def zero_bytes(data, chance):
    place = chance.randrange(len(data))
    return data[:place] + bytes(len(data[place : place + 8])) + data[place + 8 :]


def repeat_line(data, chance):
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    return b"\n".join(
        [
            *lines[:place],
            lines[place],
            flip_digit(lines[place] or b"0", chance),
            *lines[place + 1 :],
        ]
    )


MUTATIONS = {
    "digit": flip_digit,
    "key": rename_key,
    "lines": swap_lines,
    "zeros": zero_bytes,
    "repeated": repeat_line,
    "truncated": lambda data, chance: data[: chance.randrange(len(data))],
    "no text": lambda data, chance: data[:40] + b"\xff" + data[41:],
    "empty": lambda data, chance: b"",
}


def told(file, whole, mutated, numbers):
    """How often a file that is changed in each way is refused by a line that names it; else the numbers are equal."""
    expected, refused = numbers(shutil.copytree(whole, mutated / "sound")), 0
    for number, (name, mutation) in enumerate(MUTATIONS.items()):
        folder = shutil.copytree(whole, mutated / str(number))
        sound = (folder / file).read_bytes()
        tries = (mutation(sound, random.Random(seed)) for seed in range(number, number + 50))
        (folder / file).write_bytes(next(each for each in tries if each != sound))
        try:
            assert numbers(folder) == expected, name
        except UserError as error:
            assert Path(file).name in str(error) and "\n" not in str(error), name
            refused += 1
    return refused


@pytest.fixture(scope="module", autouse=True)
def no_pages():
    """Runs get a page of one word, and boards no coded rows and no judges of samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            results,
            "report_runs",
            lambda runs, data, path: (path / "report.html").write_text("page"),
        )
        patch.setattr(results, "finish_board", lambda board, data, path: None)
        patch.setattr(results, "code_test_rows", lambda board, data, listener: None)
        patch.setattr(results, "judge_samples", lambda run, data: run)
        patch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    chance, n = np.random.default_rng(0), 300
    frame = pd.DataFrame(
        {"city": chance.choice(["Rome", "Oslo"], n), "age": chance.integers(18, 30, n)}
    )
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    frame.assign(ok=chance.integers(0, 2, n)).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    return plausibly.fit(
        rows, "made", steps=15, set=SMALL, out=tmp_path_factory.mktemp("seals") / "run"
    )


class Stop(BaseException):
    pass


def stopping(after):
    """Hears of so many validations, and kills the work at the next."""
    on_progress = count()

    def progress(name, progress):
        if next(on_progress) == after:
            raise Stop

    return settings.Listener(progress=progress)


@pytest.fixture(scope="module")
def half(rows, tmp_path_factory):
    """A run that was killed after its first checkpoints."""
    path = tmp_path_factory.mktemp("half") / "run"
    with pytest.raises(Stop):
        plausibly.fit(rows, "made", steps=15, set=SMALL, out=path, listener=stopping(2))
    return path


def said(path, rows):
    opened = plausibly.open(path)
    scores = opened.score(pd.read_csv(rows)[:3])
    held, drawn = opened.test(), opened.sample(5)
    return (
        scores.to_csv(),
        repr(scores.attrs),
        drawn.to_csv(),
        held and held.nats.tolist(),
        training_to_plot(opened),
    )


def learned(path):
    record = plausibly.resume(path).record
    entries = map(json.loads, (path / "log.jsonl").read_text().splitlines())
    return (
        record["weights_sha256"],
        record["test"],
        [(each["step"], each["loss"]) for each in entries],
    )


FINISHED = [
    "run.json",
    "weights.safetensors",
    "calibration.safetensors",
    "heldout.safetensors",
    "log.jsonl",
]


@pytest.mark.parametrize("file", FINISHED)
def test_damage_of_a_finished_run_is_told(run, rows, tmp_path, file):
    assert told(file, run.path, tmp_path, lambda path: said(path, rows)) >= len(MUTATIONS) - 2


@pytest.mark.parametrize("file", ["run.json", "checkpoint.safetensors", "log.jsonl"])
def test_damage_of_a_run_in_the_middle_is_told_or_does_not_matter(half, tmp_path, file):
    assert told(file, half, tmp_path, learned) >= len(MUTATIONS) // 2


def test_damage_of_a_comparison_is_told(rows, tmp_path):
    board = plausibly.compare(rows, ["independent"], out=tmp_path / "whole")

    def results(path):
        return [(row["model"], row["test"]) for row in compare.resume_comparison(path).to_json()]

    assert results(tmp_path / "whole") == [(row["model"], row["test"]) for row in board.to_json()]
    assert told("compare.json", tmp_path / "whole", tmp_path, results) >= len(MUTATIONS) - 1
    seal(tmp_path / "whole")


def test_what_is_advised_after_damage_works(run, half, rows, tmp_path):
    sound = said(run.path, rows)
    for file in ("calibration.safetensors", "heldout.safetensors"):
        folder = shutil.copytree(run.path, tmp_path / file)
        (folder / file).unlink()
        with pytest.raises(UserError, match=f"{file} is gone; .*fit --resume"):
            said(folder, rows)
        plausibly.resume(folder)
        assert said(folder, rows) == sound
    whole = learned(shutil.copytree(half, tmp_path / "whole"))
    for number, file in enumerate(["checkpoint.safetensors", "log.jsonl"]):
        folder = shutil.copytree(half, tmp_path / str(number))
        (folder / file).unlink()
        assert learned(folder)[:2] == whole[:2]


def test_a_damaged_shard_is_done_anew(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "shard_rows", 20)
    out = tmp_path / "jobs" / "x.csv"

    def kill(done, total):
        if done == 60:
            raise Stop

    with pytest.raises(Stop):
        files.sample_to(run, out, 80, on_progress=kill)
    assert len(list(out.parent.glob(".x.csv.shards/*.arrow"))) == 3

    def drawn(folder):
        files.sample_to(run, folder / "x.csv", 80)
        return (folder / "x.csv").read_bytes()

    assert told(".x.csv.shards/00000001.arrow", out.parent, tmp_path, drawn) == 0
    shards = out.parent / ".x.csv.shards"
    shutil.copyfile(shards / "00000000.arrow", shards / "00000002.arrow")
    (shards / "plan.json").write_bytes((shards / "plan.json").read_bytes()[:-20])
    assert drawn(out.parent) == drawn(tmp_path / "sound")


def test_a_shard_that_is_damaged_while_others_are_done_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "shard_rows", 20)

    def damage(done, total):
        if done == 60:
            (tmp_path / ".x.csv.shards" / "00000001.arrow").write_bytes(b"")

    with pytest.raises(
        UserError, match=r"00000001\.arrow is not what was written; the same command does it anew"
    ):
        files.sample_to(run, tmp_path / "x.csv", 60, on_progress=damage)
    files.sample_to(run, tmp_path / "x.csv", 60)
    files.sample_to(run, tmp_path / "y.csv", 60)
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "y.csv").read_bytes()


def test_calibration_rows_are_read_again_only_where_their_file_is_another(
    run, tmp_path, monkeypatch
):
    folder, read, sound = shutil.copytree(run.path, tmp_path / "run"), [], seals.digest_file
    opened, file = plausibly.open(folder), folder / "calibration.safetensors"
    monkeypatch.setattr(seals, "digest_file", lambda path: (read.append(path.name), sound(path))[1])
    first = opened.calibration()
    assert opened.calibration() is first and read == [file.name]
    content, times = file.read_bytes(), file.stat()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1]):
        file.write_bytes(damaged)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had been written
        with pytest.raises(UserError, match=r"calibration.safetensors is not what was written"):
            opened.calibration()
    file.unlink()
    with pytest.raises(UserError, match=r"calibration.safetensors is gone"):
        opened.calibration()
    file.write_bytes(content)
    assert (opened.calibration().nats == first.nats).all()
    opened.record = opened.record.replace(files_sha256={"heldout.safetensors": "0" * 64})
    with pytest.raises(UserError, match=r"heldout.safetensors is not what was written"):
        opened.calibration()


def test_documents_are_written_with_a_value_a_line_whatever_they_hold():
    plain = {"a": [], "b": {}, "c": [1, [-0.0, 1e22, 1e-320], {"é": None}], "d": '\n\u2028"é'}
    for document in (plain, plain | {"e": float("nan")}, plain | {"f": "\ud800"}):
        assert seals.indent_document(document) == json.dumps(document, indent=1)


def test_white_space_is_no_damage_and_an_edit_is_sealed(run, rows, cli, tmp_path):
    folder, sound = shutil.copytree(run.path, tmp_path / "run"), said(run.path, rows)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record))
    assert said(folder, rows) == sound
    (folder / "run.json").write_text(json.dumps(record | {"notes": ["by hand"]}))
    (folder / "calibration.safetensors").unlink()
    status, _, err = cli("score", folder, rows)
    assert status == 2 and err.count("\n") == 1 and "run.json is not what was written" in err
    assert f"plausibly seal {folder}" in err
    status, out, _ = cli("seal", folder, "--json")
    states = {
        "run.json": "changed",
        "calibration.safetensors": "gone, and no part of the run any more",
    }
    assert (
        status == 0 and json.loads(out)["sealed"] == dict.fromkeys(FINISHED, "as it was") | states
    )
    assert read_record(folder)["notes"] == ["by hand"]
    assert "30 test rows" in cli("score", folder, rows)[1]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("run.json", b"{", "run.json is damaged"),
        ("run.json", b'{"plausibly_run": 4}', "run.json is damaged: 'model' is 'None'"),
        ("calibration.safetensors", b"", "calibration.safetensors is damaged"),
        ("weights.safetensors", b"\0" * 99, "weights.safetensors is damaged"),
        ("log.jsonl", b"{}\n", "log.jsonl, line 1"),
    ],
)
def test_nothing_is_sealed_that_cannot_be_read(run, tmp_path, file, content, told):
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / file).write_bytes(content)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(UserError, match=told):
        seal(folder)
    assert (folder / "run.json").read_bytes() == before
    with pytest.raises(UserError, match="there is no run"):
        seal(tmp_path)


def test_weights_are_not_sealed_that_are_no_model(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    tensors = load_file(folder / "weights.safetensors")
    save_file(
        {name: tensor * float("nan") for name, tensor in tensors.items()},
        folder / "weights.safetensors",
    )
    with pytest.raises(UserError, match="not finite"):
        seal(folder)


def test_a_kept_run_is_sealed_and_says_the_same(tmp_path):
    folder = shutil.copytree(KEPT / "people-by-city", tmp_path / "run")
    before = plausibly.open(folder).score(str(KEPT / "people.csv"))
    assert seal(folder)["run.json"] == "new" and read_record(folder)["plausibly_run"] == 4
    assert plausibly.open(folder).score(str(KEPT / "people.csv")).equals(before)


@pytest.mark.parametrize("renew", [seal, upgrade])
def test_a_stopped_run_of_an_earlier_version_goes_on_once_it_is_sealed(half, tmp_path, renew):
    folder = shutil.copytree(half, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    kept = {key: value for key, value in record.items() if key not in ("seal", "files_sha256")}
    (folder / "run.json").write_text(json.dumps(kept | {"plausibly_run": 3}))
    save_file(load_file(folder / "checkpoint.safetensors"), folder / "checkpoint.safetensors")
    renew(folder)
    assert learned(folder) == learned(shutil.copytree(half, tmp_path / "other"))


def test_what_a_stopped_run_was_tested_to_is_not_said_of_the_finished_one(
    rows, tmp_path, monkeypatch
):
    @contextmanager
    def interrupting():
        asked = count()
        yield lambda: next(asked) >= 3

    with monkeypatch.context() as patch:
        patch.setattr(fit, "interruptible", interrupting)
        assert plausibly.compare(
            rows, ["made"], out=tmp_path / "board", steps=20, set=SMALL
        ).interrupted
    found = compare.resume_comparison(tmp_path / "board").to_json()[0]
    whole = plausibly.fit(rows, "made", out=tmp_path / "whole", steps=20, set=SMALL)
    assert found["test"] == whole.record["test"]


def test_the_validation_of_an_ensemble_is_that_of_its_weights(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "greedy_weights", lambda logs: torch.ones(logs.shape[1]))
    dropping = {"hidden": 8, "dropout": 0.5}
    runs = [
        plausibly.fit(rows, "made", out=tmp_path / str(s), seed=s, steps=5, set=dropping)
        for s in (0, 1)
    ]
    for run in runs[1:]:
        run.record = run.record.replace(data=runs[0].record["data"])
    first, second = (ensemble.mix_runs(runs, out=tmp_path / name).record for name in ("a", "b"))
    assert first["validation"] == second["validation"]
