"""Runs on disk: what is written, what comes back, and what is refused."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from forked import start
from safetensors.torch import load_file, save_file

import plausibly
import plausibly.fitting.fit
from plausibly.capabilities import DensityModel
from plausibly.cli.commands import main
from plausibly.errors import UserError
from plausibly.fitting.settings import Listener
from plausibly.models import MODELS
from plausibly.runs.record import write_record
from plausibly.system.memory import peak_memory
from plausibly.training.loop import Training

FAST = {"steps": 60}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A small CSV with everything in it: levels, zip codes, holes, cents, dates, an id, a constant."""
    chance, n = np.random.default_rng(0), 600
    city = chance.choice(["Rome", "Oslo", "Lima"], n, p=[0.6, 0.3, 0.1])
    frame = pd.DataFrame(
        {
            "id": np.arange(1000, 1000 + n),
            "city": city,
            "zip": np.where(city == "Rome", "00501", "10115"),
            "age": np.where(chance.random(n) < 0.1, "", chance.integers(18, 90, n).astype(str)),
            "income": [f"{v:.2f}" for v in chance.lognormal(10, 0.5, n)],
            "member": chance.random(n) < 0.4,
            "day": pd.to_datetime("2024-01-01")
            + pd.to_timedelta(chance.integers(0, 300, n), unit="D"),
            "land": "XY",
        }
    )
    path = tmp_path_factory.mktemp("data") / "people.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(people, tmp_path_factory):
    return plausibly.fit(str(people), "chow_liu", out=tmp_path_factory.mktemp("runs") / "tree")


@pytest.fixture(scope="module")
def net(people, tmp_path_factory):
    return plausibly.fit(str(people), "made", out=tmp_path_factory.mktemp("runs") / "net", **FAST)


@pytest.mark.parametrize("which", ["run", "net"])
def test_a_table_is_fitted_scored_and_sampled(which, request, people):
    run = request.getfixturevalue(which)
    rows = run.sample(50, seed=3)
    assert list(rows.columns) == ["id", "city", "zip", "age", "income", "member", "day", "land"]
    assert set(rows["zip"]) <= {"00501", "10115"} | {"<other>"}
    assert set(rows["land"]) == {"XY"}
    pd.testing.assert_frame_equal(rows, run.sample(50, seed=3))
    assert not rows.equals(run.sample(50, seed=4))
    nats = run.log_prob(str(people))
    assert nats.dtype == torch.float64
    assert nats.shape == (600,)
    assert bool((nats < 0).all())
    scores = run.score(str(people))
    assert scores["p_value"].between(1 / 31, 1).all()
    assert np.allclose(scores["nats"], nats)


def test_conditionals_multiply_to_the_rows_probability(net, people):
    frame = net.conditionals(str(people))
    total = net.log_prob(str(people))
    p = frame[[c for c in frame if c.startswith("p(")]].to_numpy()
    bits = frame[[c for c in frame if c.startswith("bits(")]].to_numpy()
    assert np.allclose(np.log(p).sum(1), total, atol=1e-4)
    assert np.allclose(bits, -np.log2(p), atol=1e-6)


def test_a_value_never_seen_has_a_probability(run, people):
    frame = pd.read_csv(people, dtype=str, keep_default_na=False).head(3)
    frame["city"], frame["income"] = ["Atlantis", "Rome", "Rome"], ["1.00", "99999999.99", "-5.005"]
    assert run.log_prob(frame).isfinite().all()


@pytest.mark.parametrize("which", ["run", "net"])
def test_imputing_keeps_what_is_observed_and_leaves_no_hole(which, request, people):
    run = request.getfixturevalue(which)
    frame = pd.read_csv(people, dtype=str, keep_default_na=False).head(80)
    frame.loc[::3, "city"], frame.loc[::4, "income"] = "", ""
    filled = run.impute(frame)
    assert not filled.isna().any().any()
    known = frame["city"] != ""
    assert (filled["city"][known] == frame["city"][known]).all()
    assert set(filled["city"]) <= {"Rome", "Oslo", "Lima"}
    known = frame["age"] != ""
    assert (filled["age"][known].astype(float) == frame["age"][known].astype(float)).all()


def test_given_columns_come_out_as_given(run):
    rows = run.sample(200, given={"city": "Lima"})
    assert set(rows["city"]) == {"Lima"}
    assert set(rows["zip"]) == {"10115"}  # the tree knows that Lima never has Rome's


@pytest.mark.parametrize("which", ["run", "net"])
def test_given_rows_follow_the_conditional_distribution(which, request):
    """Against unconditional rows that happen to fit: holes keep their rate, other columns their shares."""
    run = request.getfixturevalue(which)
    every, given = run.sample(20_000, seed=1), run.sample(4000, seed=2, given={"member": "True"})
    fitting = every[every["member"].astype(bool)]
    for share in (lambda f: f["age"].isna().mean(), lambda f: (f["city"] == "Oslo").mean()):
        error = (share(fitting) * (1 - share(fitting)) * (1 / len(fitting) + 1 / len(given))) ** 0.5
        assert abs(share(fitting) - share(given)) < 6 * error + (0 if which == "run" else 0.01)
    assert given["age"].isna().any()


def test_given_what_was_never_seen_names_what_was(run):
    with pytest.raises(
        UserError, match=r"'Atlantis' was never seen in column 'city'; it holds .*Oslo"
    ):
        run.sample(2, given={"city": "Atlantis"})
    with pytest.raises(UserError, match="no value"):
        run.sample(2, given={"city": ""})


def test_answers_keep_the_index_of_a_frame(run, people):
    frame = pd.read_csv(people, dtype=str, keep_default_na=False).sample(20, random_state=1)
    for answer in (run.score(frame), run.impute(frame), run.conditionals(frame)):
        assert list(answer.index) == list(frame.index)
    assert np.allclose(run.score(frame)["nats"], run.log_prob(frame))


def test_what_surprises_counts_the_value_and_not_only_its_code(run, people):
    frame = pd.read_csv(people, dtype=str, keep_default_na=False).head(1)
    frame["city"] = "Atlantis" * 5
    (told,) = run.score(frame)["surprising"]
    assert told.startswith("city")
    assert float(told.split()[1]) > 8 * 40  # bits of a name of 40 letters


def test_rows_in_memory_are_evaluated_from_the_record(people, tmp_path):
    run = plausibly.fit(pd.read_csv(people), "independent", out=tmp_path / "run")
    assert plausibly.open(run.path).evaluate().value == pytest.approx(run.record["test"]["value"])


def test_nothing_is_drawn_or_scored_from_nothing(run, people):
    with pytest.raises(UserError, match="0 rows cannot be drawn"):
        run.sample(0)
    with pytest.raises(UserError, match="no rows"):
        run.score(pd.read_csv(people, dtype=str).head(0))


def test_given_an_unknown_column_names_the_known_ones(run):
    with pytest.raises(
        UserError, match=r"no column 'cty' \(did you mean 'city'\?\); columns: .*zip"
    ):
        run.sample(2, given={"cty": "Rome"})


def test_a_run_is_data(net):
    files = {file.name for file in net.path.iterdir()}
    kept = {"weights.safetensors", "heldout.safetensors", "calibration.safetensors"}
    assert files == kept | {"run.json", "log.jsonl", "report.html"}
    record = json.loads((net.path / "run.json").read_text())
    assert record["model"] == "made"
    assert record["plan"]["steps"] == 60
    assert len(record["data"]["fingerprint"]) == 64
    assert {"plausibly", "torch", "python"} <= record["versions"].keys()
    assert [json.loads(line)["step"] for line in (net.path / "log.jsonl").open()] == list(
        range(6, 61, 6)
    )


@pytest.mark.parametrize("which", ["run", "net"])
def test_opening_gives_the_same_run(which, request, people):
    run = request.getfixturevalue(which)
    again = plausibly.open(run.path)
    assert torch.equal(again.log_prob(str(people)), run.log_prob(str(people)))
    pd.testing.assert_frame_equal(again.sample(5), run.sample(5))
    assert again.evaluate().value == pytest.approx(run.record["test"]["value"], abs=1e-9)


def test_changed_data_are_refused(people, tmp_path):
    copy = Path(shutil.copy(people, tmp_path / "copy.csv"))
    run = plausibly.fit(str(copy), "independent", out=tmp_path / "run")
    copy.write_text(copy.read_text() + copy.read_text().splitlines()[-1] + "\n")
    with pytest.raises(UserError, match="has changed since"):
        run.evaluate()


def spoil(record, **changes):
    return {**record, **changes}


HOSTILE = {
    "huge": lambda r: spoil(r, arguments={**r["arguments"], "hidden": 10**9}),
    "float": lambda r: spoil(r, arguments={**r["arguments"], "hidden": 1e9}),
    "wide": lambda r: spoil(r, arguments={**r["arguments"], "hidden": 90_000, "blocks": 90}),
    "list": lambda r: spoil(r, arguments={**r["arguments"], "hidden": [1] * 10**6}),
    "escape": lambda r: spoil(r, model="../../etc/passwd"),
    "class": lambda r: spoil(r, model="os.system"),
    "unhashable": lambda r: spoil(r, model=["made"]),
    "argument": lambda r: spoil(r, arguments={"__class__": "x"}),
    "no arguments": lambda r: spoil(r, arguments=None),
    "future": lambda r: spoil(r, plausibly_run=99),
    "no format": lambda r: {k: v for k, v in r.items() if k != "format"},
    "other format": lambda r: spoil(r, format={"format": "pickle"}),
    "not a format": lambda r: spoil(r, format=[1, 2]),
    "not a record": lambda r: [1, 2],
    "no json": lambda r: "{",
    "deep": lambda r: "[" * 100_000,
    "binary": lambda r: "\x00\x01",
    "no data": lambda r: spoil(r, data=None),
    "odd option": lambda r: spoil(r, data={**r["data"], "options": {"foo": 1}}),
    "odd seed": lambda r: spoil(r, data={**r["data"], "options": {"seed": "x"}}),
    "odd sign": lambda r: spoil(r, test={**r["test"], "sign": "?"}),
    "odd parameters": lambda r: spoil(r, parameters="many"),
    "odd dropout": lambda r: spoil(r, arguments={**r["arguments"], "dropout": 5}),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_hostile_records_are_refused_in_one_line_before_they_take_memory(net, tmp_path, fault):
    folder = tmp_path / "run"
    shutil.copytree(net.path, folder)
    spoilt = HOSTILE[fault](json.loads((folder / "run.json").read_text()))
    if isinstance(spoilt, dict):
        write_record(spoilt, folder)
    else:
        (folder / "run.json").write_text(spoilt if isinstance(spoilt, str) else json.dumps(spoilt))
    before = peak_memory()
    with pytest.raises(UserError) as caught:
        plausibly.open(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert peak_memory() - before < 2**29


@pytest.mark.parametrize(
    "fault", ["truncated", "foreign", "flipped", "missing", "other names", "nothing", "a file"]
)
def test_damaged_weights_are_refused(net, tmp_path, fault):
    folder = tmp_path / "run"
    shutil.copytree(net.path, folder)
    weights = folder / "weights.safetensors"
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif fault == "foreign":
        weights.write_bytes(b"PK\x03\x04" + os.urandom(4000))
    elif fault == "flipped":
        damaged = bytearray(weights.read_bytes())
        damaged[-50] ^= 64
        weights.write_bytes(damaged)
    elif fault == "missing":
        weights.unlink()
    elif fault == "other names":
        save_file({f"x.{name}": t for name, t in load_file(weights).items()}, weights)
    elif fault == "nothing":
        shutil.rmtree(folder)
    else:
        shutil.rmtree(folder)
        folder.write_text("hello")
    with pytest.raises(UserError) as caught:
        plausibly.open(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(net, tmp_path):
    import hashlib

    folder = tmp_path / "run"
    shutil.copytree(net.path, folder)
    weights = folder / "weights.safetensors"
    state = load_file(weights)
    state["network.leave.bias"][2] = float("nan")
    save_file(state, weights)
    record = json.loads((folder / "run.json").read_text())
    record["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_record(record, folder)
    with pytest.raises(UserError, match="network"):
        plausibly.open(folder)


@pytest.mark.parametrize(("name", "use"), [("heldout", "test"), ("calibration", "calibration")])
def test_damaged_held_out_values_are_named(net, tmp_path, name, use):
    folder = tmp_path / "run"
    shutil.copytree(net.path, folder)
    held = folder / f"{name}.safetensors"
    held.write_bytes(held.read_bytes()[:-20])
    with pytest.raises(UserError, match=name):
        getattr(plausibly.open(folder), use)()


def test_files_are_readable_by_all_who_may_read_the_others(net):
    assert len({file.stat().st_mode for file in net.path.iterdir()}) == 1


def test_a_run_killed_before_its_report_gets_it_on_resuming(net, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(net.path, folder)
    (folder / "report.html").unlink()
    (folder / "heldout.safetensors").unlink()
    again = plausibly.resume(folder)
    assert (folder / "report.html").exists()
    assert again.record["test"]["value"] == pytest.approx(net.record["test"]["value"])


def test_a_hostile_tree_is_refused(run, tmp_path):
    """Saved parents that form a circle, with a matching checksum."""
    import hashlib

    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    weights = folder / "weights.safetensors"
    state = load_file(weights)
    state["parents"][:] = torch.tensor([-1, *([2, 1] * 10)][: len(state["parents"])])
    save_file(state, weights)
    record = json.loads((folder / "run.json").read_text())
    record["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_record(record, folder)
    with pytest.raises(UserError, match="no tree"):
        plausibly.open(folder)


def test_a_failed_fit_leaves_nothing(people, tmp_path):
    with pytest.raises(UserError, match="no argument 'hiden'"):
        plausibly.fit(str(people), "made", out=tmp_path / "run", set={"hiden": 3})
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_overwritten(run, people):
    with pytest.raises(UserError, match="already exists"):
        plausibly.fit(str(people), "independent", out=run.path)


def test_divergence_leaves_the_last_good_weights(people, tmp_path):
    with pytest.raises(
        UserError, match=r"not finite .*tensor '.*training rows \d+.*column '\w+'.*Try"
    ):
        plausibly.fit(
            str(people),
            "made",
            out=tmp_path / "run",
            set={"train.rate": 1e9, "train.clip": 1e9},
            steps=50,
        )
    again = plausibly.open(tmp_path / "run")
    assert again.record["status"] == "diverged"
    assert again.log_prob(str(people)).isfinite().all()


def fit_and_signal(word, folder, number, step, place):
    """Begins or resumes a fit that sends itself a signal at a step, or when it next writes after it."""
    plausibly.fitting.fit.CHECKPOINT_SECONDS = 0.0
    reached, take_step, fsync = [0], Training.take_step, os.fsync

    def stepping(training):
        reached[0] = training.step
        if reached[0] == step and place == "step":
            os.kill(os.getpid(), number)
        return take_step(training)

    def writing(file):
        if reached[0] > step and place == "write":
            os.kill(os.getpid(), number)
        return fsync(file)

    Training.take_step, os.fsync = stepping, writing
    if word == "new":
        plausibly.fit("toy-bits", "nade", out=folder, steps=400, set={"train.every": 20})
    else:
        plausibly.resume(folder)


def ran(word, folder, number=0, step=-1, place=""):
    """The exit status of a fit in a process of its own, negative for a signal; what went wrong is in errors.txt beside it."""
    process = start(
        fit_and_signal, word, folder, number, step, place, err=folder.with_name("errors.txt")
    )
    process.join()
    return process.exitcode


def lines(folder):
    log = folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_for(folder, count, process):
    deadline = time.monotonic() + 600
    while lines(folder) < count:
        assert process.exitcode is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert ran("new", folder) == 0
    return folder


def test_killed_in_a_step_and_while_writing_and_resumed_is_bit_identical(whole, tmp_path):
    broken = tmp_path / "broken"
    for word, step, place in (
        ("new", 67, "step"),
        ("resume", 131, "write"),
        ("resume", 320, "step"),
    ):
        assert ran(word, broken, signal.SIGKILL, step, place) == -signal.SIGKILL
        assert (broken / "checkpoint.safetensors").exists() and not (
            broken / "weights.safetensors"
        ).exists()
    assert ran("resume", broken) == 0
    a, b = load_file(whole / "weights.safetensors"), load_file(broken / "weights.safetensors")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert lines(whole) == lines(broken)
    assert not (broken / "checkpoint.safetensors").exists()


def test_ctrl_c_leaves_a_usable_run_that_goes_on(whole, tmp_path):
    broken = tmp_path / "broken"
    status = ran("new", broken, signal.SIGINT, 67, "step")
    assert status == 0, broken.with_name("errors.txt").read_text()
    run = plausibly.open(broken)
    assert run.record["status"] == "interrupted"
    assert run.record["test"]["value"] < 0
    assert len(run.sample(3)) == 3
    assert ran("resume", broken) == 0
    a, b = load_file(whole / "weights.safetensors"), load_file(broken / "weights.safetensors")
    assert all(torch.equal(a[name], b[name]) for name in a)


def compare_by_command(folder):
    words = ["toy-bits", "--models", "independent,nade,made", "--steps", "5000", "--out", folder]
    sys.argv = ["plausibly", "compare", *map(str, words)]
    main()


def test_ctrl_c_ends_a_comparison_with_a_board(tmp_path):
    folder, out, err = tmp_path / "c", tmp_path / "out.txt", tmp_path / "err.txt"
    process = start(compare_by_command, folder, out=out, err=err)
    wait_for(folder / "nade", 2, process)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130, err.read_text()
    assert "stopped before its turn" in out.read_text()
    assert "--resume" in err.read_text()
    assert not (folder / "made").exists()
    assert plausibly.open(folder / "nade").record["status"] == "interrupted"


def test_a_finished_run_has_nothing_to_resume(net):
    with pytest.raises(UserError, match="is finished"):
        plausibly.resume(net.path)


def test_without_a_model_validation_decides(people, tmp_path):
    run = plausibly.fit(str(people), out=tmp_path / "run", steps=40)
    tried = run.record["tried"]
    exact = {name for name, kind in MODELS.items() if issubclass(kind, DensityModel)}
    quick = {"independent", "markov", "chow_liu", "forest", "made", "nade", "deepnade"}
    assert quick <= tried.keys() <= exact
    # nats of values, as on the board
    validation = run.evaluate(run.dataset().valid).value
    assert validation == pytest.approx(run.record["validation"], abs=1e-6)
    assert validation == pytest.approx(tried[run.record["model"]], abs=1e-6)
    assert {f.name for f in run.path.iterdir()} >= {
        "run.json",
        "report.html",
        "weights.safetensors",
    }
    assert not (run.path / "members").exists()


def test_without_a_model_one_that_diverges_is_out(people, tmp_path):
    said = []
    listener = Listener(said.append)
    run = plausibly.fit(
        str(people),
        out=tmp_path / "run",
        steps=40,
        set={"train.rate": 1e9, "train.clip": 1e9},
        listener=listener,
    )
    assert run.record["model"] in ("independent", "markov", "chow_liu", "forest")
    assert any(line.startswith("deepnade is out") for line in said)


def test_compare_makes_one_board(tmp_path):
    board = plausibly.compare("toy-bits", ["independent", "joint", "chow_liu"], out=tmp_path / "c")
    frame = board.frame()
    assert frame["model"].tolist() == ["truth", "joint", "chow_liu", "independent"]
    assert (frame["sign"] == "=").all()
    assert frame["to_best"][2:].lt(0).all()
    assert frame.loc[1:, "sampled_per_second"].gt(0).all()
    assert "<table" in board._repr_html_()
    paired = (
        plausibly.open(tmp_path / "c" / "chow_liu").test().nats
        - plausibly.open(tmp_path / "c" / "joint").test().nats
    )
    assert frame["to_best"][2] == pytest.approx(float(paired.mean()))
    assert frame["to_best_error"][2] == pytest.approx(float(paired.std()) / len(paired) ** 0.5)
    assert (tmp_path / "c" / "report.html").exists()


def test_compare_keeps_what_refused(tmp_path):
    board = plausibly.compare("digits-binary", ["independent", "joint"], out=tmp_path / "c")
    assert board.frame()["refusal"].tolist()[-1] == "joint: 2^64 - 1 parameters"


def test_several_seeds(tmp_path):
    board = plausibly.compare("toy-bits", ["made"], seeds=2, steps=20, out=tmp_path / "c")
    runs = [row.run for row in board.rows if row.run]
    assert [run.record["seed"] for run in runs] == [0, 1]
    assert {row[0] for row in board.cells()[1]} == {"made-0", "made-1", "truth"}
    assert runs[0].record["data"]["fingerprint"] == runs[1].record["data"]["fingerprint"]
    assert runs[0].record["test"]["value"] != runs[1].record["test"]["value"]


def test_check_holds_on_fitted_runs(run, net):
    for each in (run, net):
        broken = [result for result in each.check() if result.broken]
        assert not broken, broken
