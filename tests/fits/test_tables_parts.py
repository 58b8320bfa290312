"""Every part of `benchmarks.tables`, on a table that is fitted in a moment; its command is started by nobody here."""

import numpy as np
import pandas as pd
import pytest

import plausibly
from benchmarks.tables import families, fits, pit
from benchmarks.tables.fits import Cost, Work
from benchmarks.tables.jobs import PARTS, Job, Part
from benchmarks.tables.sources import Split, Table
from plausibly.models import MODELS

ROWS = 300


def draw_rows(chance, rows=ROWS):
    """A label by the sign of a number, a number about another, few holes."""
    x = chance.normal(size=rows).round(1)
    label = np.where(chance.random(rows) < 0.9, x > 0, x <= 0)
    town = pd.Series(chance.choice(["a", "b"], rows)).mask(chance.random(rows) < 0.1)
    y = (x + chance.normal(scale=0.1, size=rows)).round(1)
    return pd.DataFrame({"x": x, "town": town, "y": y, "label": np.where(label, "yes", "no")})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("splits"), np.random.default_rng(81)
    split = Split(folder / "train-0.csv", folder / "held-out-0.csv")
    for path in (split.train, split.held_out):
        draw_rows(chance).to_csv(path, index=False)
    return Table("titanic", [split], "as many fresh rows")


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Commands are carried out here, by trees where no model is named, and counted."""
    done = []

    def execute(words):
        done.append(words)
        command, source, *options = words
        given = dict(zip(options[::2], options[1::2], strict=True))
        if command == "fit":
            model = given.get("--model", "chow_liu")
            plausibly.fit(source, model, out=given["--out"], target=given.get("--target"))
        else:
            rows = plausibly.open(source).sample(int(given["-n"]), seed=int(given["--seed"]))
            rows.to_csv(given["--out"], index=False)
        return Cost(1.0, 1.0, 0.5)

    monkeypatch.setattr(fits, "execute", execute)
    (tmp_path / "titanic").mkdir()
    return Work(tmp_path, 1.0, 0), done


def measure(part, table, work):
    return list(PARTS[part].measure(table, work))


def test_samples_of_a_law_that_trees_learn_are_nearly_real_and_no_copies(table, work):
    default, real = measure("auc", table, work[0])
    (peer,) = measure("trees", table, work[0])
    for line in (default, real, peer):
        assert abs(line["AUC"] - 0.5) < 0.15 + 6 * line["error"]
        assert line["from .5"] == abs(line["AUC"] - 0.5)
    assert default["who"] == "default: chow_liu" and default["seconds"] == 1
    (copies,) = measure("copies", table, work[0])
    assert abs(copies["apart in errors"]) < 6
    (columns,) = measure("columns", table, work[0])
    assert columns["columns"] == 4 and columns["ratio"] < 3
    # the fit and its samples are those of before
    assert [words[0] for words in work[1]] == ["fit", "sample"]


def test_a_label_and_a_number_are_told_as_trees_tell_them(table, work, monkeypatch):
    monkeypatch.setattr(Table, "targets", ["label", "y"])
    monkeypatch.setattr("benchmarks.tables.prediction.TOLD", {})
    label, number = measure("prediction", table, work[0])
    assert (label["measure"], number["measure"]) == ("log loss", "RMSE")
    assert label["rows"] == number["rows"] == ROWS
    # a bit that is right nine times of ten
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert 0.5 * entropy < label["ours"] < 2 * entropy
    assert 0.05 < number["ours"] < 0.7  # whose spread is 1
    for line in (label, number):
        assert line["by"] == line["ours"] / line["boosted"]
    assert [words[-2:] for words in work[1]] == [["--target", "label"], ["--target", "y"]]


def test_a_family_is_set_against_the_default_and_one_that_refuses_says_why(
    table, work, monkeypatch
):
    monkeypatch.setattr(families, "MODELS", {k: MODELS[k] for k in ("chow_liu", "independent")})
    same, other, default = measure("families", table, work[0])
    assert same["above"] == 0 and same["best"] == "best"
    assert other["above"] > 6 * other["error"] and "best" not in other
    assert default["log p"] == same["log p"]

    def refuse(words):
        raise RuntimeError(f"plausibly fit: {words[-1]}: refused")

    monkeypatch.setattr(families, "MODELS", {"gaussian": MODELS["gaussian"]})
    monkeypatch.setattr(fits, "execute", refuse)
    assert measure("families", table, work[0])[0]["refused"].endswith("gaussian: refused")


def test_removed_numbers_have_a_uniform_pit(table, work, monkeypatch):
    lines = measure("pit", table, work[0])
    assert [line["column"] for line in lines] == ["x", "y"]
    assert all(line["p"] > 1e-6 and 50 < line["cells"] < 130 for line in lines)
    gone = (pit.read_rows(pit.hole(table.splits[0].train, 0))).isna().mean()
    assert abs(gone["x"] - 0.3) < 6 * (0.3 * 0.7 / ROWS) ** 0.5


def test_a_job_that_stopped_is_gone_on_with_and_one_failure_stops_nothing(table, work, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.jobs.prepare_table", lambda *_: table)
    monkeypatch.setitem(PARTS, "tvae", Part(lambda *_: 1 / 0))
    job = Job("titanic", ["tvae", "one_tree", "rules", "pit"], table.splits[0].train, work[0])
    assert job.run() == ["titanic tvae: ZeroDivisionError: division by zero"]
    assert {line["part"] for line in job.lines.read()} == {"one_tree"}
    before = len(work[1])
    assert job.run() == ["titanic tvae: ZeroDivisionError: division by zero"]
    assert len(job.lines.read()) == 1 and len(work[1]) == before
