"""Two models in one run: who answers, and that each answer says whose it is."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.contract.result import Result
from plausibly.data.formats.builders import format_from_json
from plausibly.data.loading import load
from plausibly.errors import Unsupported, UserError
from plausibly.events.schema import binary
from plausibly.fitting import companions
from plausibly.fitting.conditioning import data_origin
from plausibly.fitting.fit import Fit, promote_fit
from plausibly.fitting.settings import Listener
from plausibly.fitting.untrained import build_untrained, initial_record
from plausibly.jobs import files
from plausibly.models import MODELS
from plausibly.runs import judged
from plausibly.runs.board import Board
from plausibly.runs.paired import QUESTIONS, Paired, list_better_answers
from plausibly.runs.run import Run

BARS = {"gap": "category"}  # as the companion reads the table: in a format of its own


def write_table(path):
    chance, n = np.random.default_rng(0), 400
    frame = pd.DataFrame(
        {
            "city": chance.choice(["Rome", "Oslo", "Lima"], n, p=[0.5, 0.3, 0.2]),
            "gap": chance.integers(0, 9, n),
            "height": chance.normal(170, 10, n),
            "age": chance.integers(2, 8, n) * 10,
        }
    )
    frame.to_csv(path, index=False)
    return frame


def untrained(name, folder, source, kinds=None, **arguments):
    """A fit that has its first weights on disk, and the record of one that has learned."""
    options = {"kinds": kinds} if kinds else {}
    dataset = load(source, seed=0, **options)
    model = build_untrained(MODELS[name], dataset, arguments, 0)
    origin = data_origin(dataset, {"seed": 0, **options})
    record = initial_record(dataset, origin, 0, model=name, arguments=model.arguments, plan=None)
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("")
    fit = Fit(folder, record, model, dataset, Listener())
    fit.keep("done", 0)
    return fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two models that have learned nothing, each with a format of its own."""
    path = tmp_path_factory.mktemp("pair")
    table = str(path / "table.csv")
    write_table(table)
    main = untrained("made", path / "members" / "made", table, hidden=8)
    other = untrained("chow_liu", path / "members" / "chow_liu", table, BARS)
    (path / "run").mkdir()
    said = companions.keep_companion(other, path / "run")
    run = promote_fit(main, path / "run", **said).test()
    (run.path / "report.html").write_text("")
    return run.path


@pytest.fixture(scope="module")
def run(folder):
    return Run.open(folder)


@pytest.fixture(scope="module")
def rows(folder):
    return pd.read_csv(folder.parent / "table.csv").head(12)


class Pair(Paired):
    """A model without data, and another beside it."""

    def __init__(self, model, companion=None):
        super().__init__(MODELS[model].tiny(binary(3)), None)
        self.name = self.by = model
        self.beside = companion and Pair(companion)

    @property
    def companion(self):
        return self.beside


ALL = ["classify", "complete", "conditionals", "entropy", "impute", "information", "query"]


@pytest.mark.parametrize(
    "main, other, better",
    [
        ("made", "chow_liu", ["complete", "entropy", "impute", "information", "query"]),
        ("made", "mixture", ["complete", "impute", "information", "query"]),  # no entropy
        ("mixture", "chow_liu", ["complete", "entropy"]),
        ("deepnade", "chow_liu", [name for name in ALL if name != "conditionals"]),
        ("made", "deepnade", []),  # no estimate is better than another
        ("chow_liu", "independent", []),
        ("vae", "made", ["classify", "conditionals"]),
        ("gan", "chow_liu", ALL),
    ],
)
def test_a_companion_answers_what_the_main_model_refuses_or_estimates(main, other, better):
    pair = Pair(main, other)
    assert list_better_answers(pair.companion.model, pair.model) == better
    answered = {task.name: pair.answerer(task).name for task in QUESTIONS}
    assert answered == {task: other if task in better else main for task in ALL}


def test_a_model_alone_answers_itself():
    alone = Pair("made")
    assert all(alone.answerer(task) is alone for task in QUESTIONS)


def test_the_best_of_those_that_answer_something_better_is_the_companion():
    def fitted(name, validation):
        model = MODELS[name].tiny(binary(3))
        record = type("Kept", (), {"model": name, "validation": validation})
        return type("Fitted", (), {"record": record, "model": model})

    fits = [fitted("made", -1.0), fitted("deepnade", -2.0), fitted("mixture", -2.5)]
    fits.append(fitted("independent", -3.0))
    assert companions.choose_companion(fits[0], fits) is fits[2]
    assert companions.choose_companion(fits[0], fits[:2]) is None


def alone(run):
    """Both models of a run, each as a run of its own, by name."""
    main = Run(run.path, run.record.drop("companion"), run.model, run.format)
    return {"made": main, "chow_liu": Run.open(run.path / "companion")}


@pytest.mark.parametrize(
    "target, given, by",
    [
        ("city", {}, "made"),  # the first, so exact
        ("gap", {"city": "Rome"}, "made"),
        ("age", {"city": "Rome", "gap": 3, "height": 170.0}, "made"),
        ("age", {}, "chow_liu"),  # heights between would be drawn
        ("city", {"age": 30}, "chow_liu"),
        ("gap", {"age": 30}, "chow_liu"),
    ],
)
def test_a_query_is_answered_by_the_model_for_which_it_is_exact(run, target, given, by):
    found, own = run.query(target, given), alone(run)[by].query(target, given)
    assert (found.word, found.model, found.note) == ("exact", by, f"exact, by {by}")
    assert found.to_json() == own.to_json() | {"model": by}
    assert own.model == "" and "model" not in own.to_json() and own.note == "exact"


def test_each_answer_is_that_of_one_model_and_says_which(run, rows):
    both, holes = alone(run), rows.assign(height=np.nan)
    exact = both["chow_liu"]
    assert run.entropy({"city": "Oslo"}) == exact.entropy({"city": "Oslo"})
    assert run.information("city", "gap") == exact.information("city", "gap")
    filled, told = run.fill(holes, seed=1)
    pd.testing.assert_frame_equal(filled, exact.impute(holes, seed=1))
    drawn = run.sample(9, seed=2, given={"city": "Lima"})
    pd.testing.assert_frame_equal(drawn, exact.sample(9, seed=2, given={"city": "Lima"}))
    assert told is None and run.complete(holes).equals(exact.complete(holes))
    for answer in (filled, drawn, run.complete(holes), run.sample(3, complete=True)):
        assert answer.attrs == {"model": "chow_liu"}
    plain = run.sample(9, seed=2)
    pd.testing.assert_frame_equal(plain, both["made"].sample(9, seed=2))
    for answer in (plain, run.conditionals(rows), run.score(rows)):
        assert answer.attrs["model"] == "made"
    assert run.conditionals(rows).equals(both["made"].conditionals(rows))
    assert run.score(rows).equals(both["made"].score(rows))
    assert "model" not in both["made"].score(rows).attrs and exact.impute(holes).attrs == {}


def test_labels_and_numbers_are_told_by_the_main_model_where_all_else_is_known(run, rows):
    both, fewer = alone(run), rows.drop(columns="height")
    for ask, target in (("classify", "city"), ("regress", "age")):
        for asked, by in ((rows, "made"), (fewer, "chow_liu")):
            found = getattr(run, ask)(asked, target)
            assert (found.word, found.model) == ("exact", by)
            assert found.to_json()["model"] == by and found.line().endswith(f"; by {by}")
            assert found.frame().equals(getattr(both[by], ask)(asked, target).frame())
        assert getattr(both["made"], ask)(fewer.iloc[:2], target).word == "estimate"


def test_promises_are_checked_of_each(run, monkeypatch):
    def promise(model):
        yield Result(type(model).__name__, True, 0.0, 0.0, "nothing")

    monkeypatch.setattr(judged, "run_checks", promise)
    found = {each.name: each.to_json().get("model") for each in run.check()}
    assert found == {"MADE": "made", "ChowLiu": "chow_liu"}
    assert [each.to_json().keys() & {"model"} for each in alone(run)["made"].check()] == [set()]


def test_the_board_has_the_main_model_and_the_page_tells_both(run, folder):
    from plausibly.fitting.results import board_of, report_again

    board = board_of([run])
    assert isinstance(board, Board) and [row.model for row in board.rows] == ["made"]
    kept = [file for file in folder.iterdir() if file.is_file() and file.suffix != ".html"]
    assert board.rows[0].size == sum(file.stat().st_size for file in kept)
    told = "chow_liu answers complete, entropy, impute, information, query"
    assert run.describe_companion() == told
    assert run.summary()["companion"] == {
        "model": "chow_liu",
        "answers": told.split(" ", 2)[2].split(", "),
    }
    page = report_again(folder, "cpu", Listener()).read_text()
    assert f"Where made refuses or only estimates, {told}." in page and "<th>chow_liu</th>" in page
    assert "made with chow_liu" in repr(run)


def words_of(cli, *words):
    status, out, err = cli(*words)
    assert status == 0, err
    return out + err


def test_commands_name_the_model(cli, folder, rows):
    rows.assign(height=np.nan).to_csv("holes.csv", index=False)
    rows.to_csv("rows.csv", index=False)
    exact, main = "by chow_liu", "by made"
    for by, *words in (
        (exact, "query", folder, "city", "--given", "age=30"),
        (main, "query", folder, "city"),
        (exact, "sample", folder, "-n", 3, "--given", "city=Rome"),
        (exact, "sample", folder, "-n", 3, "--given", "city=Rome", "--out", "new.csv"),
        (exact, "impute", folder, "holes.csv"),
        (exact, "impute", folder, "holes.csv", "--out", "whole.csv"),
        (exact, "impute", folder, "holes.csv", "--most-probable"),
        (main, "classify", folder, "rows.csv", "--target", "city"),
        (main, "score", folder, "rows.csv"),
        (main, "score", folder, "rows.csv", "--conditionals"),
        (main, "evaluate", folder),
    ):
        assert by in words_of(cli, *words), words
        if words[0] != "evaluate":
            document = json.loads(words_of(cli, *words, "--json", "--quiet"))
            assert document["model"] == by.removeprefix("by "), words
    both = words_of(cli, "query", folder, "city", "--about", "age")
    assert "exact, by made" in both and "bits, by chow_liu" in both
    both = json.loads(words_of(cli, "query", folder, "city", "--about", "age", "--json"))
    assert (both["model"], both["information_model"]) == ("made", "chow_liu")
    for out in ("new.csv", "whole.csv"):
        assert len(pd.read_csv(out)) in (3, len(rows))


def test_files_are_filled_by_the_model_that_is_exact(run, rows, tmp_path):
    """Also where nobody looked for it first."""
    both, holes, out = alone(run), str(tmp_path / "holes.csv"), tmp_path / "out.csv"
    rows.assign(city=None).to_csv(holes, index=False)
    files.fill_to(run, holes, out, 4)
    assert pd.read_csv(out)["city"].tolist() == both["chow_liu"].impute(holes, 4)["city"].tolist()
    for given, by in (({"age": 30}, "chow_liu"), ({}, "made")):
        files.sample_to(run, out, 20, 4, given)
        drawn = both[by].sample(20, 4, given)
        assert pd.read_csv(out)["city"].tolist() == drawn["city"].tolist()


def test_a_run_may_be_moved_and_its_companion_opened_alone(run, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    moved = plausibly.open(tmp_path / "moved")
    assert moved.query("city", {"age": 30}).to_json() == run.query("city", {"age": 30}).to_json()
    beside = plausibly.open(tmp_path / "moved" / "companion")
    assert beside.record.is_tested and beside.record.test.sign == "=" and beside.by == ""
    kinds = [each.schema.kinds[1] for each in (run.format, format_from_json(beside.record.format))]
    assert kinds[0] != kinds[1]


def test_a_companion_that_is_gone_or_another_is_told(folder, tmp_path, cli):
    path = tmp_path / "run"
    shutil.copytree(folder, path)
    shutil.move(path / "companion", tmp_path / "away")
    lone = plausibly.open(path)
    assert lone.test() is not None and len(lone.sample(2)) == 2  # which need no companion
    with pytest.raises(UserError, match="companion is gone, where chow_liu was; put a copy back"):
        lone.query("city", {"age": 30})
    other = untrained("independent", path / "companion", str(folder.parent / "table.csv"))
    other.test()
    with pytest.raises(UserError, match="companion is not what was written: it is another run"):
        plausibly.open(path).query("city", {"age": 30})
    assert json.loads(words_of(cli, "seal", path, "--json"))["sealed"] == {
        "run.json": "as it was",
        "weights.safetensors": "as it was",
        **dict.fromkeys(("log.jsonl", "heldout.safetensors"), "as it was"),
        "calibration.safetensors": "as it was",
        "companion/run.json": "as it was",
        "companion/weights.safetensors": "as it was",
        **dict.fromkeys(("companion/log.jsonl", "companion/heldout.safetensors"), "as it was"),
        "companion/calibration.safetensors": "as it was",
    }
    assert plausibly.open(path).query("city", {"age": 30}).model == "independent"
    shutil.rmtree(path / "companion")
    assert "companion: gone, and no part" in words_of(cli, "seal", path)
    forlorn = plausibly.open(path)
    assert forlorn.companion is None and forlorn.query("city", {"age": 30}).word == "estimate"
    with pytest.raises(Unsupported):
        forlorn.entropy()


def test_a_companion_of_other_rows_is_none(folder, tmp_path):
    path, table = tmp_path / "run", str(tmp_path / "table.csv")
    shutil.copytree(folder, path)
    write_table(table).head(300).to_csv(table, index=False)
    shutil.rmtree(path / "companion")
    untrained("chow_liu", path / "companion", table)
    with pytest.raises(UserError, match="fitted to other rows than"):
        plausibly.fitting.resealing.seal(path)


def test_no_companion_leaves_none_behind(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    assert companions.keep_companion(None, tmp_path / "run") == {}
    assert not (tmp_path / "run" / "companion").exists()
