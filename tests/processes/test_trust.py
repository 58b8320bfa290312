"""A run is data: opening one executes nothing, and what is written goes where it was meant to go, one job at a time."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import choose, compare, folders, results
from plausibly.fitting.progress_log import read_log
from plausibly.runs.record import read_record, write_record
from plausibly.system import files
from plausibly.system.files import open_within
from plausibly.system.locks import holding_lock


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = np.random.default_rng(0).integers(0, 2, (400, 3), dtype=np.uint8)
    return plausibly.fit(rows, "independent", out=tmp_path_factory.mktemp("trust") / "run")


def copied(run, folder, **changes):
    """A copy of a run whose record says something else."""
    shutil.copytree(run.path, folder)
    record = json.loads((folder / "run.json").read_text())
    write_record(record | changes, folder)
    return folder


def test_a_record_names_only_models_that_come_with_plausibly(run, cli, tmp_path):
    mark, trap = tmp_path / "executed", tmp_path / "evil.py"
    trap.write_text(f"open({str(mark)!r}, 'w').close()\n")
    evil = copied(run, tmp_path / "copy", model=f"{trap}:Linear")
    for words in (["check"], ["sample"], ["report"], ["evaluate"], ["fit", "--resume"], ["query"]):
        status, out, err = cli(*words, evil, *["a"] * (words == ["query"]))
        assert status == 2 and not out and err.count("\n") == 1, (words, err)
    settings = {"train": {}, "budget": None}
    several = {
        "model": "best",
        "status": "running",
        "candidates": [f"{trap}:Linear"],
        "settings": settings,
    }
    np.save(
        tmp_path / "rows.npy", np.random.default_rng(0).integers(0, 2, (100, 3), dtype=np.uint8)
    )
    filed = plausibly.fit(str(tmp_path / "rows.npy"), "independent", out=tmp_path / "filed")
    status, _, err = cli("fit", "--resume", copied(filed, tmp_path / "several", **several))
    assert status == 2 and "there is no model" in err, err
    assert not mark.exists()


def test_a_torn_line_of_the_log_is_left_out(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read_log(log, 9) == []
    log.write_bytes(b'{"step": 1}\n{"step": 5}\nnull\n{"step": 20}\n{"st\xff')
    assert read_log(log, 9) == ['{"step": 1}', '{"step": 5}']


def test_a_file_that_is_replaced_keeps_its_permissions_and_a_link_its_place(tmp_path):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    with pytest.raises(UserError, match="is a link"), files.replacing(link) as draft:
        draft.write_text("new")
    assert target.read_text() == "old"
    with files.delivering_file(link) as draft:
        draft.write_text("new")
    assert (
        link.is_symlink()
        and target.read_text() == "new"
        and stat.S_IMODE(target.stat().st_mode) == 0o600
    )
    assert {*os.listdir(tmp_path)} == {"target.csv", "link.csv"}


def test_a_pipe_is_streamed_into_and_a_device_stays_one(run, tmp_path, cli):
    pipe, found = tmp_path / "pipe.csv", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    assert cli("sample", run.path, "-n", 3, "--out", pipe)[0] == 0
    reader.join(20)
    assert found[0].count(b"\n") == 4 and stat.S_ISFIFO(pipe.stat().st_mode)
    np.save(tmp_path / "rows.npy", np.zeros((5, 3), dtype=np.uint8))
    assert cli("compress", run.path, tmp_path / "rows.npy", "/dev/null")[0] == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and not os.path.exists("/dev/.null.lock")


HOLD = """
import sys, time
from pathlib import Path
from plausibly.system.files import replacing
from plausibly.system.locks import holding_lock
with holding_lock(Path(sys.argv[1])), replacing(Path(sys.argv[1])) as draft:
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is in the middle of writing x.csv."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "x.csv")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_job_says_who_writes_there_and_goes_on_when_that_one_is_killed(
    run, cli, tmp_path, holder
):
    status, out, err = cli("sample", run.path, "-n", 3, "--out", tmp_path / "x.csv")
    assert status == 2 and not out and f"is being written by process {holder.pid} on" in err
    assert len([name for name in os.listdir(tmp_path) if files.is_draft(Path(name))]) == 1
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    files.sweep_drafts.cache_clear()  # as in a new process
    assert cli("sample", run.path, "-n", 3, "--out", tmp_path / "x.csv")[0] == 0
    assert os.listdir(tmp_path) == ["x.csv"]


def test_a_draft_of_a_living_process_is_not_swept(tmp_path, holder):
    files.sweep_drafts(tmp_path)
    assert len([name for name in os.listdir(tmp_path) if files.is_draft(Path(name))]) == 1


def test_two_fits_have_two_folders(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).integers(0, 2, (60, 3), dtype=np.uint8)
    with holding_lock(tmp_path / "run"), pytest.raises(UserError, match="is being written by"):
        plausibly.fit(rows, "independent", out=tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert [plausibly.fit(rows, "independent").path.name for _ in range(2)] == [
        "independent-1",
        "independent-2",
    ]


def test_shards_are_not_kept_behind_a_link(run, cli, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".x.csv.shards").symlink_to(tmp_path / "elsewhere")
    status, _, err = cli("sample", run.path, "-n", 3, "--out", tmp_path / "x.csv")
    assert status == 2 and "is a link" in err and not any((tmp_path / "elsewhere").iterdir())


@pytest.fixture
def bits(tmp_path, monkeypatch):
    """A table of bits, for which two models are tried; pages are not drawn."""
    rows = np.random.default_rng(0).integers(0, 2, (120, 3))
    pd.DataFrame(rows, columns=[*"abc"]).to_csv(tmp_path / "bits.csv", index=False)
    monkeypatch.setattr(choose, "models_to_try", lambda *_: ["independent", "markov"])
    monkeypatch.setattr(choose, "default_models", lambda: ["independent", "markov"])
    monkeypatch.setattr(
        results, "finish_board", lambda board, data, path: (path / "report.html").write_text("page")
    )
    return str(tmp_path / "bits.csv")


def killed(work, change):
    """Does the work in a process that is killed before its file change of that number; whether it came to that."""
    child = os.fork()
    if not child:
        left, replace = iter(range(change)), os.replace

        def change_or_die(*paths):
            next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)
            replace(*paths)

        os.replace = change_or_die
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def finished(folder, work, resume, nothing):
    """What work gives that was killed before each of its file changes, and gone on with as the next try says."""
    for change in count():
        path = folder / f"killed-{change}"
        if not killed(lambda path=path: work(path), change):
            return
        try:
            yield work(path)
        except UserError as error:
            assert f"--resume {path}" in str(error)
            with suppress(UserError) if nothing(path) else nullcontext():
                yield resume(path)


def test_the_best_of_several_is_found_after_a_kill_before_any_file_change(bits, tmp_path):
    whole = plausibly.fit(bits, out=tmp_path / "whole")
    found = [
        *finished(
            tmp_path, lambda path: plausibly.fit(bits, out=path), plausibly.resume, is_finished
        )
    ]
    assert len(found) > 8
    for run in found:
        assert (
            run.record["tried"] == whole.record["tried"]
            and run.record["test"] == whole.record["test"]
        )
        assert not (run.path / "members").exists() and (run.path / "report.html").exists()


def is_finished(path):
    return (path / "report.html").exists()


def test_a_comparison_goes_on_after_a_kill_before_any_file_change(bits, tmp_path):
    whole = results_of(plausibly.compare(bits, out=tmp_path / "whole"))
    work, resume = (lambda path: plausibly.compare(bits, out=path)), compare.resume_comparison
    boards = [*finished(tmp_path, work, resume, lambda path: False)]
    assert len(boards) > 8
    for board in boards:
        assert results_of(board) == whole


def results_of(board):
    return [(row["model"], row["test"]) for row in board.to_json()]


def test_links_in_a_ring_and_what_is_read_are_not_written_to(run, cli, tmp_path):
    ring, rows = tmp_path / "ring.csv", tmp_path / "rows.npy"
    ring.symlink_to(ring)
    np.save(rows, np.zeros((5, 3), dtype=np.uint8))
    pd.DataFrame(np.zeros((5, 3), dtype=int)).to_csv(tmp_path / "rows.csv", index=False)
    own = copied(run, tmp_path / "copy")
    for words in (
        ["sample", own, "--out", ring],
        ["fit", rows, "--model", "independent", "--out", ring],
        ["compress", own, rows, ring],
        ["compress", own, rows, rows],
        ["compress", own, rows, own / "run.json"],
        ["impute", own, rows, "--out", rows],
        ["impute", own, rows, "--most-probable", "--out", rows],
        ["score", own, tmp_path / "rows.csv", "--out", tmp_path / "rows.csv"],
    ):
        status, out, err = cli(*words)
        assert status == 2 and not out and err.count("\n") == 1, (words, err)
    assert np.load(rows).shape == (5, 3) and read_record(own)["seed"] == 0
    assert sorted(os.listdir(tmp_path)) == ["copy", "ring.csv", "rows.csv", "rows.npy"]


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "heldout.safetensors", "calibration.safetensors", "log.jsonl"]
)
def test_a_pipe_in_a_run_is_not_waited_for(run, cli, tmp_path, name):
    own = copied(run, tmp_path / "copy")
    (own / name).unlink(missing_ok=True)
    os.mkfifo(own / name)
    status, _, err = cli("report", own)
    assert status == 2 and f"{name} is a pipe" in err


def test_a_file_that_grows_on_a_full_disk_is_named(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(UserError, match=r"cannot write .*log.jsonl: No space left"),
        open_within(tmp_path / "log.jsonl", "w"),
    ):
        raise full
    with pytest.raises(FileNotFoundError), open_within(tmp_path / "log.jsonl", "w"):
        (tmp_path / "other").read_text()


def test_a_pipe_and_a_device_are_no_data(run, cli, tmp_path):
    for name in ("x.csv", "x.npy", "x.pls", "x.parquet"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for words in (
        ["data", "x.csv"],
        ["data", "zero.csv"],
        ["fit", "x.parquet"],
        ["score", run.path, "x.npy"],
    ):
        status, _, err = cli(*words)
        assert status == 2 and ("is a pipe" in err or "is a device" in err), words
    assert "is a pipe" in cli("decompress", "x.pls", "y.npy")[2]
    assert "standard input" in cli("data", "-")[2]


def test_a_job_that_ended_between_the_look_and_the_lock_keeps_its_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with (
        pytest.raises(UserError, match="already exists"),
        folders.fresh_folder(tmp_path / "run", anew=True),
    ):
        pass
    assert (tmp_path / "run" / "run.json").exists()


def test_types_in_a_table_and_names_in_an_archive_are_data(cli, tmp_path):
    mark = tmp_path / "executed"
    trap = f"cbuiltins\nexec\n(S'open({str(mark)!r}, chr(119))'\ntR.".encode()
    for name in ("arrow.py_extension_type", "pandas.period", "pandas.interval", "evil"):
        metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": trap}
        field = pa.field("a", pa.int64(), metadata=metadata)
        table = pa.table(
            [pa.array(range(60)), pa.array([*"ab"] * 30)],
            pa.schema([field, pa.field("b", pa.string())]),
        )
        pa.parquet.write_table(table, tmp_path / "x.parquet")
        pa.feather.write_feather(table, str(tmp_path / "x.arrow"))
        for file in ("x.parquet", "x.arrow"):
            assert cli("data", file)[0] in (0, 2)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("../outside.npy", "/tmp/outside.npy", "train.pkl"):
            archive.writestr(name, trap)
    for name in ("x.npy", "x.pkl"):
        (tmp_path / name).write_bytes(trap)
    np.savez(tmp_path / "objects.npz", train=np.array([{}, []], dtype=object))
    for file in (
        "x.npz",
        "x.npy",
        "x.pkl",
        "objects.npz",
        "http://127.0.0.1:1/x.csv",
        "s3://a/x.csv",
        f"file://{mark}",
    ):
        status, _, err = cli("data", file)
        assert status == 2 and err.count("\n") == 1, (file, err)
    assert not mark.exists() and not (tmp_path.parent / "outside.npy").exists()


def test_a_folder_is_refused_before_the_work_and_a_full_disk_says_what_is_kept(
    run, cli, tmp_path, monkeypatch
):
    (tmp_path / "x.csv").mkdir()
    status, _, err = cli("sample", run.path, "-n", 3, "--out", tmp_path / "x.csv")
    assert status == 2 and "is a folder" in err and os.listdir(tmp_path) == ["x.csv"]

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    status, _, err = cli("sample", run.path, "-n", 3, "--out", tmp_path / "y.csv")
    assert status == 2 and "No space left" in err and os.listdir(tmp_path) == ["x.csv"]


def test_weights_without_a_record_are_named_with_what_to_do(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "weights.safetensors").touch()
    with pytest.raises(
        UserError, match=rf"or remove {tmp_path / 'new'}, which holds weights without a record"
    ):
        folders.new_folder(tmp_path / "new", "ensemble")


def test_a_run_that_was_killed_after_its_last_step_knows_its_steps(tmp_path, monkeypatch):
    np.save(
        tmp_path / "rows.npy", np.random.default_rng(0).integers(0, 2, (100, 3), dtype=np.uint8)
    )
    monkeypatch.setattr("plausibly.fitting.fit.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(
        results, "finish_board", lambda board, data, path: None
    )  # pages are not drawn

    def work():
        plausibly.fit(str(tmp_path / "rows.npy"), "fvsbn", out=tmp_path / "run", steps=5)

    assert killed(work, 6)  # a record and five checkpoints were written
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    run = plausibly.resume(tmp_path / "run")
    assert run.record["steps"] == 5 and run.record["seconds"] > 0
