"""Models from a user's file: found, held to the contract, trained, recognised, and never executed unasked."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import plausibly
from plausibly.cli import commands
from plausibly.contract import own_models
from plausibly.errors import BrokenPromises, UserError
from plausibly.events.kinds import Category
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS
from plausibly.runs import user_models
from plausibly.runs.record import write_record
from plausibly.runs.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_model.py"
SOURCE = EXAMPLE.read_text()


def written(folder: Path, source: str = SOURCE, name: str = "my_model.py") -> str:
    (folder / name).write_text(source)
    return f"{folder / name}:Linear"


def command(capsys, monkeypatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["plausibly", *words])
    with pytest.raises(SystemExit) as exit:
        commands.main()
    return int(exit.value.code or 0), *capsys.readouterr()


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    """Three bits, the third the exclusive or of the first two in nine of ten rows."""
    generator = np.random.default_rng(0)
    two = generator.random((600, 2)) < 0.5
    third = (two[:, 0] ^ two[:, 1]) ^ (generator.random(600) < 0.1)
    return np.column_stack([two, third]).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted(bits, tmp_path_factory) -> tuple[Run, str]:
    folder = tmp_path_factory.mktemp("own")
    reference = written(folder)
    return plausibly.fit(bits, reference, out=folder / "run", steps=300), reference


def test_the_example_trains_to_what_logistic_regression_reaches(bits, tmp_path):
    """Bits of a chain, p(x_i | x_{i-1}) = 0.9 where equal: within reach of a linear layer, and of no independent model."""
    generator = np.random.default_rng(1)
    chain = np.logical_xor.accumulate(
        generator.random((2000, 6)) < [0.5, *[0.1] * 5], axis=1
    ).astype(np.uint8)
    run = plausibly.fit(
        chain, written(tmp_path), out=tmp_path / "run", steps=800, set={"train.rate": 0.05}
    )
    entropy = -np.log(0.5) - 5 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    test = run.test()
    assert abs(-test.value - entropy) < 6 * test.standard_error + 0.05
    assert run.record["model"] == "Linear" and run.model.formula == "n (n - 1) + n"


def test_a_run_says_which_code_it_needs_and_opens_with_it_alone(fitted, bits):
    run, reference = fitted
    code = json.loads((run.path / "run.json").read_text())["code"]
    assert (
        code["name"] == "Linear"
        and code["file"] == reference.rpartition(":")[0]
        and len(code["sha256"]) == 64
    )
    again = Run.open(run.path, model=reference)
    assert torch.equal(again.log_prob(bits), run.log_prob(bits))
    assert Run.open(run.path, model=type(run.model)).log_prob(bits).equal(run.log_prob(bits))
    with pytest.raises(
        UserError, match=r"runs it only when you name it: add --model my_model.py:Linear"
    ):
        Run.open(run.path)
    for other, said in (("made", "not with made"), (MODELS["made"], "not with MADE")):
        with pytest.raises(UserError, match=said):
            Run.open(run.path, model=other)


def test_no_code_runs_because_a_run_names_it(fitted, tmp_path, capsys, monkeypatch):
    """Neither the file that run.json names, nor a changed one that the user names, is executed."""
    run, _ = fitted
    mark = tmp_path / "executed"
    trap = written(tmp_path, f"open({str(mark)!r}, 'w').close()\n" + SOURCE, "trap.py")
    record = json.loads((run.path / "run.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in run.path.glob("*.safetensors"):
        (copy / file.name).write_bytes(file.read_bytes())
    record["code"] = record["code"] | {"file": trap.rpartition(":")[0]}
    write_record(record, copy)
    for words in (["check"], ["sample"], ["report"], ["evaluate"], ["fit", "--resume"]):
        status, stdout, stderr = command(capsys, monkeypatch, *words, str(copy))
        assert (
            status == 2
            and not stdout
            and stderr.count("\n") == 1
            and "--model trap.py:Linear" in stderr
        )
    status, _, stderr = command(capsys, monkeypatch, "check", str(copy), "--model", trap)
    assert status == 2 and "has changed since" in stderr
    status, _, stderr = command(
        capsys, monkeypatch, "check", str(copy), "--model", str(tmp_path / "gone.py:Linear")
    )
    assert status == 2 and "cannot read" in stderr
    assert not mark.exists()


def test_every_command_takes_the_model(fitted, bits, tmp_path, capsys, monkeypatch):
    run, reference = fitted
    rows = tmp_path / "rows.npy"
    np.save(rows, bits[:20])
    for words in (
        ["sample"],
        ["score", str(rows)],
        ["impute", str(rows)],
        ["evaluate", str(rows)],
        ["report"],
    ):
        name, *rest = words
        status, _, stderr = command(
            capsys, monkeypatch, name, str(run.path), *rest, "--model", reference
        )
        assert status == 0, stderr


def test_a_built_in_run_needs_no_model(bits, tmp_path):
    run = plausibly.fit(bits, "independent", out=tmp_path / "run")
    assert run.record["code"] is None
    with pytest.raises(UserError, match="leave --model out"):
        Run.open(run.path, model=written(tmp_path))


def test_compare_puts_it_beside_the_others_and_the_report_is_built_again(
    bits, tmp_path, capsys, monkeypatch
):
    reference, out = written(tmp_path), tmp_path / "board"
    board = plausibly.compare(bits, ["joint", reference], out=out, steps=50)
    assert {row.model for row in board.rows} == {"joint", "Linear"} and (
        out / "Linear" / "run.json"
    ).exists()
    assert command(capsys, monkeypatch, "report", str(out))[0] == 2
    assert command(capsys, monkeypatch, "report", str(out), "--model", reference)[0] == 0


def test_a_class_in_memory_is_a_model_too(bits, tmp_path):
    kind = user_models.read_model(written(tmp_path))
    run = plausibly.fit(bits, kind, out=tmp_path / "run", steps=20)
    assert (
        run.record["code"]["name"] == "Linear"
        and Run.open(run.path, model=kind).model.schema == run.model.schema
    )


BREACHES = {
    "an unmasked layer": (
        "self.head.owner))",
        "self.head.owner + 9))",
        "no_variable_sees_a_later_one",
    ),
    "a mask off by one": ("strict=True", "strict=False", "no_variable_sees_a_later_one"),
    "an order that skips": (
        "tuple(range(schema.size))",
        "(0,) * schema.size",
        "order_is_a_permutation",
    ),
    "outputs set wrongly": ("copy_(", "copy_(None, ", "learns: TypeError"),
    "no loss": ("objective = MaximumLikelihood()", "objective = None", "learns"),
    "an argument not kept": (
        "def __init__(self, schema)",
        "def __init__(self, schema, width=3)",
        "arguments_rebuild",
    ),
    "a crash": (
        "super().__init__()",
        "super().__init__(); 1 / 0",
        "can_be_built: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_broken_promise_stops_before_training(name, bits, tmp_path, capsys, monkeypatch):
    before, after, said = BREACHES[name]
    assert before in SOURCE
    rows = tmp_path / "rows.npy"
    np.save(rows, bits)
    reference = written(tmp_path, SOURCE.replace(before, after))
    status, stdout, stderr = command(
        capsys, monkeypatch, "fit", str(rows), "--model", reference, "--out", str(tmp_path / "run")
    )
    lines = stderr.splitlines()
    assert status == 2 and not stdout and not (tmp_path / "run").exists()
    assert any(f"Linear breaks {said}" in line for line in lines), stderr
    assert "is not trained" in lines[-1] and all(
        line.startswith("plausibly: Linear") for line in lines
    )


def test_large_data_are_stood_in_for_by_small_schemas():
    kind = MODELS["made"]
    assert own_models.small_schemas(kind, binary(8)) == [binary(8)]
    table = Schema((40,), (Category(levels=900),) * 38 + (Category(levels=3), Category(levels=2)))
    first, *others = own_models.small_schemas(kind, table)
    assert sorted(first.codes) == [2, 3, 900] and len(others) == 3
    image = Schema((3, 8, 8), (Category(levels=4),) * 192)
    assert own_models.small_schemas(kind, image)[0].shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Other: pass\n", "no class 'Linear'; it has Other"),
        ("class Linear: pass\n", "is no model"),
        (
            "from plausibly.capabilities import Model\nclass Linear(Model): pass\n",
            "must define objective, sample",
        ),
        (SOURCE.replace("family, formula", "things, others"), "must say its family and formula"),
        ("import torch\nx = (\n", "line 2: SyntaxError"),
        ("import torch\n\n1 / 0\n", "line 3: ZeroDivisionError"),
        ("raise SystemExit(0)\n", "line 1: SystemExit"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(source, said, tmp_path):
    with pytest.raises(UserError, match=said) as caught:
        user_models.read_model(written(tmp_path, source))
    assert "\n" not in str(caught.value)


def test_names_that_say_no_class_or_two_alike(tmp_path, bits):
    with pytest.raises(UserError, match="does not say which class"):
        plausibly.fit(bits, str(EXAMPLE))
    (tmp_path / "more").mkdir()
    other = written(tmp_path / "more", SOURCE + "# another\n")
    with pytest.raises(UserError, match="two models are called Linear"):
        plausibly.compare(bits, [written(tmp_path), other], out=tmp_path / "board")
    named = "from plausibly.models.made import MADE\nclass made(MADE): pass\n"
    with pytest.raises(UserError, match="is the name of a model of plausibly's"):
        user_models.read_model(written(tmp_path, named, "alike.py").replace(":Linear", ":made"))


def test_what_the_file_prints_stays_off_stdout(tmp_path, capsys):
    user_models.read_model(written(tmp_path, "print('loading')\n" + SOURCE))
    out, err = capsys.readouterr()
    assert not out and "loading" in err


def test_broken_promises_come_one_a_line(bits, tmp_path):
    with pytest.raises(BrokenPromises) as caught:
        plausibly.fit(bits, written(tmp_path, SOURCE.replace("strict=True", "strict=False")))
    assert len(caught.value.lines) >= 2 and all("\n" not in line for line in caught.value.lines)
