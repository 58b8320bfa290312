"""The command line as scripts and people meet it."""

import errno
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plausibly.cli.commands import exit_status
from plausibly.cli.console import (
    ConsoleTable,
    RawText,
    WrittenRowsPrintout,
    print_block,
    print_result,
)
from plausibly.cli.options import CommonOptions, parse_literal, parse_pairs, parse_seconds
from plausibly.errors import UserError
from plausibly.printing import escape_unprintable


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    chance, n = np.random.default_rng(0), 300
    frame = pd.DataFrame({"sex": chance.choice(["f", "m"], n), "age": chance.integers(20, 60, n)})
    frame["tall"] = (frame["sex"] == "m") & (chance.random(n) < 0.8)
    path = tmp_path_factory.mktemp("data") / "people.csv"
    frame.to_csv(path, index=False)
    return path


def test_an_output_of_few_characters_shows_the_others_as_escapes_and_takes_no_rows(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    escape_unprintable()
    print_block("größe")
    print_block(ConsoleTable(["größe"], [["1"]]))
    with pytest.raises(UserError, match=r"is in ascii, which has no 'ö': set PYTHONIOENCODING"):
        print_block(RawText("größe\n"))
    assert stream.buffer.getvalue().decode().split() == [r"gr\xf6\xdfe", r"gr\xf6\xdfe", "1"]


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="Linux has a device that is always full"
)
@pytest.mark.parametrize("json", [False, True])
def test_an_output_that_is_full_is_one_line(json, monkeypatch, capsys):
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        result = WrittenRowsPrintout(3, "x.csv", {"rows": 3})
        assert exit_status(lambda: print_result(result, CommonOptions(json=json))) == 2
    assert capsys.readouterr().err.startswith("plausibly: cannot write to standard output: No sp")


def test_the_whole_way_from_a_file_to_answers(cli, people, tmp_path):
    status, out, err = cli("fit", people, "--model", "chow_liu", "--out", "run", "--json")
    assert status == 0, err
    fitted = json.loads(out)
    assert fitted["model"] == "chow_liu"
    assert fitted["test"]["sign"] == "="
    assert fitted["test"]["unit"] == "nats per row"
    assert fitted["test"]["value"] < 0
    assert fitted["test"].keys() == {
        "value",
        "unit",
        "sign",
        "standard_error",
        "interval",
        "rows",
        "groups",
        "bits_per_variable",
    }

    status, out, _ = cli("evaluate", "run", "--json")
    assert json.loads(out)["test"]["value"] == pytest.approx(fitted["test"]["value"])
    assert json.loads(cli("evaluate", "run", people, "--json")[1])["test"]["rows"] == 300

    status, out, _ = cli("score", "run", people, "--out", "scores.csv", "--json")
    assert json.loads(out)["rows"] == 300
    assert {"nats", "bits_per_variable", "p_value", "surprising"} <= set(
        pd.read_csv("scores.csv").columns
    )
    assert cli("score", "run", people, "--conditionals", "--out", "c.parquet")[0] == 0
    assert "bits(age)" in pd.read_parquet("c.parquet").columns

    status, out, _ = cli(
        "sample", "run", "-n", "20", "--out", "x.csv", "--given", "sex=m", "--json"
    )
    assert json.loads(out) == {"rows": 20, "out": "x.csv", "drawn": "exact"}
    assert set(pd.read_csv("x.csv")["sex"]) == {"m"}
    assert len(json.loads(cli("sample", "run", "-n", "3", "--json")[1])["values"]) == 3

    Path("holes.csv").write_text("sex,age,tall\n,33,True\nf,,False\n")
    assert cli("impute", "run", "holes.csv", "--out", "full.csv", "--draws", "2")[0] == 0
    for number in (1, 2):
        full = pd.read_csv(f"full-{number}.csv")
        assert not full.isna().any().any()
        assert full["age"][0] == 33
        assert full["sex"][1] == "f"

    status, out, _ = cli("check", "run", "--json")
    checked = json.loads(out)
    assert status == 0
    assert checked["holds"]
    assert {"name", "holds", "value", "tolerance"} <= checked["checks"][0].keys()

    Path("run/report.html").unlink()
    assert cli("report", "run")[0] == 0
    assert Path("run/report.html").exists()


def test_compare_prints_one_json_document(cli, people):
    status, out, err = cli(
        "compare", people, "--models", "independent,markov,chow_liu", "--out", "c", "--json"
    )
    assert status == 0, err
    document = json.loads(out)
    assert {row["model"] for row in document["board"]} == {"independent", "markov", "chow_liu"}
    for row in document["board"]:
        assert {"model", "run", "parameters", "seconds", "test"} <= row.keys()
    assert Path(document["report"]).exists()
    assert cli("report", "c")[0] == 0


def test_the_board_for_people(cli, people):
    status, out, _ = cli("compare", people, "--models", "independent,joint", "--quiet")
    assert status == 0
    assert "higher is better" in out
    assert "best" in out
    assert "report: runs/compare-1/report.html" in out


def test_models_counts_what_it_says(cli):
    found = {
        m["name"]: m for m in json.loads(cli("models", "--variables", "8", "--json")[1])["models"]
    }
    assert {
        name: found[name]["parameters"] for name in ("joint", "independent", "markov", "chow_liu")
    } == {"joint": 255, "independent": 8, "markov": 15, "chow_liu": 15}
    assert found["nade"]["tasks"]["impute"] == "estimate"
    assert "marginal" in found["nade"]["refuses"]
    assert "log_marginal" in found["joint"]["capabilities"]
    wide = {
        m["name"]: m for m in json.loads(cli("models", "--variables", "784", "--json")[1])["models"]
    }
    assert wide["joint"]["parameters"] == 2**784 - 1
    assert cli("models")[0] == 0
    assert cli("models", "--data", "digits-binary")[0] == 0


def test_data_shows_the_columns(cli, people):
    document = json.loads(cli("data", people, "--json")[1])
    assert [column["name"] for column in document["columns"]] == ["sex", "age", "tall"]
    status, out, _ = cli("data", people, "--kind", "age=category")
    assert status == 0
    assert "age" in out


WRONG = {
    "empty": ("", "empty"),
    "header only": ("a,b\n", "row"),
    "one row": ("a,b\n1,2\n", "row"),
    "constant": ("a,b\n" + "1,2\n" * 20, "nothing to model"),
    "ragged": ("a,b\n1,2\n3,4,5\n" + "5,6\n" * 20, "line 3"),
    "twins": ("a,a\n" + "".join(f"{i},{i % 3}\n" for i in range(20)), "'a'"),
    "infinite": ("a,b\n" + "".join(f"{i % 7}.5,{i % 3}\n" for i in range(20)) + "inf,1\n", "row"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_bad_tables_are_one_clear_line(cli, fault):
    text, named = WRONG[fault]
    Path("bad.csv").write_text(text)
    status, out, err = cli("fit", "bad.csv", "--model", "independent")
    assert status == 2
    assert out == ""
    assert err.startswith("plausibly: ")
    assert err.count("\n") == 1
    assert named in err
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_a_wrong_encoding_is_named(cli):
    Path("latin.csv").write_bytes("a,b\ncafé,1\nthé,2\n".encode("latin-1") * 5)
    status, _, err = cli("fit", "latin.csv")
    assert status == 2
    assert "utf-8" in err.lower()


def test_a_broken_archive_is_named(cli):
    Path("bad.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n2,3\n" * 500)[:40])
    status, _, err = cli("fit", "bad.csv.gz")
    assert status == 2
    assert "bad.csv.gz" in err


def test_one_column_works(cli):
    Path("one.csv").write_text("a\n" + "".join(f"{i % 5}\n" for i in range(200)))
    status, out, err = cli("compare", "one.csv", "--steps", "30", "--json")
    assert status == 0, err
    fitted = [row for row in json.loads(out)["board"] if not row["refusal"] and row["test"]]
    assert len(fitted) > 5 and all(row["test"]["value"] < 0 for row in fitted)


def test_other_columns_are_named(cli, people):
    cli("fit", people, "--model", "independent", "--out", "run")
    Path("other.csv").write_text("sex,height\nm,180\n")
    status, _, err = cli("score", "run", "other.csv")
    assert status == 2
    assert "age" in err
    assert "tall" in err


def test_what_was_never_seen_is_scored(cli, people):
    """A level, a number, a third word and a hole in columns that never had one: all have probability."""
    cli("fit", people, "--model", "independent", "--out", "run")
    Path("new.csv").write_text(
        "sex,age,tall\nx,30,True\nm,200,True\nm,30,perhaps\n,30,True\nm,,True\nm,30,\n"
    )
    assert cli("score", "run", "new.csv", "--out", "s.csv")[0] == 0
    nats = pd.read_csv("s.csv")["nats"]
    assert nats.notna().all()
    assert (nats < -8).all()


def test_what_an_array_cannot_hold_is_named(cli):
    np.savez(
        "bits.npz", train=np.eye(8, dtype=np.uint8).repeat(9, 0), test=np.eye(8, dtype=np.uint8)
    )
    assert cli("fit", "bits.npz", "--model", "independent", "--out", "run")[0] == 0
    np.save("more.npy", np.full((2, 8), 3, dtype=np.uint8))
    status, _, err = cli("score", "run", "more.npy")
    assert status == 2
    assert "row 1" in err
    assert "3" in err
    assert "more.npy" in err


def test_thirty_thousand_ids_do_no_harm(cli):
    rows = "".join(f"u{i * 7919 % 30000:05d}x,{i % 4}\n" for i in range(30_000))
    Path("ids.csv").write_text("user,group\n" + rows)
    status, out, err = cli("fit", "ids.csv", "--model", "chow_liu", "--json")
    assert status == 0, err
    assert json.loads(out)["parameters"] < 20


def test_images_broken_and_of_mixed_sizes(cli):
    from PIL import Image

    folder = Path("photos")
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(24):
        side = 8 if number % 6 else 12
        Image.fromarray(chance.integers(0, 256, (side, side), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
    status, _, err = cli("fit", folder, "--model", "independent", "--out", "run")
    assert status == 0, err
    assert cli("sample", "run", "-n", "9", "--out", "grid.png")[0] == 0
    assert Image.open("grid.png").size[0] > 20
    (folder / "broken.png").write_bytes(b"no picture")
    status, _, err = cli("fit", folder)
    assert status == 2
    assert "broken.png" in err


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.argv = ["plausibly", *sys.argv[1:]]
from plausibly.cli.commands import main
main()
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    command = [
        sys.executable,
        "-c",
        FULL_DISK,
        "fit",
        "digits-binary",
        "--model",
        "made",
        "--steps",
        "5",
        "--out",
        "run",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("plausibly: cannot write")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_words_get_one_line(cli, people):
    for words, named in (
        (("fit", "nowhere.csv"), "nowhere.csv"),
        (("fit", "digits", "--model", "nad"), "nade"),
        (("fit", people, "--budget", "soon"), "300s"),
        (("fit", people, "--set", "hidden"), "NAME=VALUE"),
        (("fit", people, "--model", "made", "--set", "train.rat=1"), "train.rate"),
        (("fit", people, "--model", "made", "--set", "hidden=-1"), "hidden"),
        (("fit", people, "--kind", "agee=integer"), "age"),
        (("fit", people, "--steps", "0", "--model", "made"), "steps"),
        (("fit", people, "--device", "gpu7"), "cpu"),
        (("fit",), "DATA"),
        (("compare", people, "--models", "made,vea"), "vea"),
        (("sample", "nothing"), "nothing"),
        (("models", "--variables", "0"), "--variables"),
        (("fit", people, "--seed", "-1"), "--seed -1"),
        (("fit", people, "--device", "meta"), "meta"),
        (("fit", people, "--model", "made", "--set", "train.rate=-1"), "train.rate"),
        (("fit", people, "--model", "made", "--set", "train.batch=0"), "train.batch"),
        (("fit", people, "--model", "made", "--set", "train.steps=1.5"), "whole"),
        (("fit", people, "--model", "made", "--set", "dropout=7"), "dropout"),
        (("compare", people, "--seeds", "0"), "seed"),
        (("compare", people, "--models", ""), "made"),
        (("fit", "--resume", "nothing"), "nothing"),
    ):
        status, out, err = cli(*words)
        assert status == 2, words
        assert out == ""
        assert err.count("\n") == 1, err
        assert named in err, (words, err)


def test_small_parsers():
    assert [parse_seconds(text) for text in ("60", "60s", "5m", "1h")] == [60, 60, 300, 3600]
    assert [parse_literal(text) for text in ("3", "1e-3", "true", "relu")] == [
        3,
        0.001,
        True,
        "relu",
    ]
    assert parse_pairs(["a=b=c"], "") == {"a": "b=c"}
    assert parse_pairs(["a=b=-3", "a=c"], "", ["a", "b", "a=b"]) == {
        "a=b": "-3",
        "a": "c",
    }  # the longest name that fits
    with pytest.raises(UserError):
        parse_pairs(["a"], "A=B")


SLOW = {"torch", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "numba", "matplotlib"}


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_does_not_wait_for_what_is_slow_to_load(words):
    """How long it takes depends on the machine: benchmarks/startup.py measures it."""
    code = "import sys; sys.argv = ['plausibly', *sys.argv[1:]]\nfrom plausibly.cli.commands import main\ntry:\n    main()\n"
    code += f"finally:\n    print({SLOW} & sys.modules.keys(), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"


def test_the_package_imports_without_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, plausibly; print('torch' in sys.modules)"],
        capture_output=True,
    )
    assert done.stdout.strip() == b"False"


def caused(error, by):
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("can't start new thread"),
        ImportError("libarrow.so.2600: failed to map segment from shared object"),
        OSError("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        caused(SystemError("returned NULL"), MemoryError()),
    ],
)
def test_too_little_memory_is_one_line(error, capsys):
    def work():
        raise error

    assert exit_status(work) == 2
    assert capsys.readouterr().err.startswith("plausibly: the memory is not enough")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ImportError("no module"),
     UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "surrogates not allowed")],
)  # fmt: skip
def test_another_error_stays_a_bug(error, capsys):
    def work():
        raise error

    assert exit_status(work) == 1
    assert "Traceback" in capsys.readouterr().err
