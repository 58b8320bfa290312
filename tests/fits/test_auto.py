"""Without a model's name: a portfolio, mixed by validation, that is a run like any other."""

import numpy as np
import pandas as pd
import pytest
import torch
from oracles import SMALL

import plausibly
from plausibly.capabilities import DensityModel
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.contract.examination import Examination
from plausibly.contract.promises.density import sums_to_one
from plausibly.errors import Unsupported, UserError
from plausibly.events.schema import binary
from plausibly.families.mixtures import mixture
from plausibly.fitting import choose, ensemble, portfolio
from plausibly.fitting.fit import Fit
from plausibly.fitting.settings import Listener
from plausibly.models import MODELS
from plausibly.runs.record import ingredients


@pytest.fixture(scope="module", autouse=True)
def small():
    """A portfolio of small models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio, "PORTFOLIO", SMALL)
        yield


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    """A file of bits, of which half follow from two others and from chance."""
    generator = np.random.default_rng(0)
    rows = (generator.random((1500, 8)) < 0.4).astype(np.uint8)
    rows[:, 4:] = (rows[:, :4] ^ np.roll(rows[:, :4], 1, 1)) ^ (generator.random((1500, 4)) < 0.1)
    path = tmp_path_factory.mktemp("bits") / "bits.npz"
    np.savez(path, train=rows[:300], valid=rows[300:900], test=rows[900:])
    return path


@pytest.fixture(scope="module")
def run(bits, tmp_path_factory):
    return plausibly.fit(str(bits), out=tmp_path_factory.mktemp("auto") / "run", steps=150)


def test_the_run_is_a_mixture_that_keeps_every_promise(run, bits):
    record = run.record
    assert record["model"] == "ensemble" and isinstance(run.model, DensityModel)
    assert (
        sum(one["weight"] for one in record["members"]) == pytest.approx(1)
        and len(record["members"]) > 1
    )
    assert (
        ingredients(record).endswith(" %")
        and "ensemble mixes " in (run.path / "report.html").read_text()
    )
    assert [r for r in run_checks(run.model) if r.broken] == []
    again = plausibly.open(run.path)
    assert torch.equal(again.log_prob(str(bits) + ":test"), run.log_prob(str(bits) + ":test"))
    assert len(again.sample(7)) == 7
    assert {file.name for file in run.path.iterdir()} >= {
        "run.json",
        "weights.safetensors",
        "report.html",
    }
    assert not any(file.is_dir() for file in run.path.iterdir())


def test_it_is_as_good_as_its_best_member(run):
    assert (
        run.record["validation"] >= max(one["validation"] for one in run.record["members"]) - 1e-4
    )


def test_what_it_cannot_do_it_refuses_with_a_reason(run, bits):
    with pytest.raises(Unsupported, match="conditional"):
        run.impute(str(bits) + ":test")


def test_a_stopped_portfolio_is_resumed(run, bits, tmp_path, monkeypatch):
    learn, learned = Fit.learn, []

    def killed(fit):
        learned.append(fit)
        if len(learned) == 4:
            raise MemoryError
        learn(fit)

    monkeypatch.setattr(Fit, "learn", killed)
    with pytest.raises(MemoryError):
        plausibly.fit(str(bits), out=tmp_path / "run", steps=150)
    with pytest.raises(UserError, match="--resume"):
        plausibly.open(tmp_path / "run")
    monkeypatch.setattr(Fit, "learn", learn)
    resumed = plausibly.resume(tmp_path / "run")
    assert resumed.record["test"] == run.record["test"]
    with pytest.raises(UserError, match="finished"):
        plausibly.resume(tmp_path / "run")


def test_ctrl_c_leaves_a_mixture_that_goes_on(run, bits, tmp_path, monkeypatch):
    learn, learned = Fit.learn, []

    def asked_to_stop(fit):
        learn(fit)
        learned.append(fit)
        if len(learned) == 4:
            fit.keep("interrupted", fit.record["steps"])

    monkeypatch.setattr(Fit, "learn", asked_to_stop)
    stopped = plausibly.fit(str(bits), out=tmp_path / "run", steps=150)
    assert stopped.record["status"] == "interrupted" and len(stopped.record["members"]) > 1
    assert torch.equal(
        plausibly.open(stopped.path).log_prob(str(bits) + ":test"), stopped.test().nats
    )
    monkeypatch.setattr(Fit, "learn", learn)
    assert plausibly.resume(tmp_path / "run").record["test"] == run.record["test"]
    assert not (stopped.path / "members").exists()


def test_one_model_alone_is_kept_as_itself(bits, tmp_path, monkeypatch):
    monkeypatch.setattr(portfolio, "PORTFOLIO", (("mixture", {}),))
    found = plausibly.fit(str(bits), "auto", out=tmp_path / "run")
    assert found.record["model"] == "mixture" and (found.path / "report.html").exists()
    assert not (found.path / "members").exists()


def test_arguments_are_for_one_model(bits, tmp_path):
    with pytest.raises(UserError, match="--model"):
        plausibly.fit(str(bits), "auto", out=tmp_path / "run", set={"hidden": 8})


def test_a_comparison_ends_with_the_mixture(bits, tmp_path, monkeypatch):
    monkeypatch.setattr(
        choose, "default_models", lambda: ["independent", "chow_liu", "joint", "fvsbn"]
    )
    board = plausibly.compare(str(bits), out=tmp_path / "all", steps=200)
    rows = {row.model: row for row in board.rows if row.test}
    mixed = rows["ensemble"]
    assert mixed.test.sign == "=" and mixed.run.record["validation"] >= max(
        row.run.record["validation"] for row in rows.values() if row.test.sign == "="
    )
    assert {one["model"] for one in mixed.run.record["members"]} <= rows.keys()
    named = plausibly.compare(str(bits), ["independent", "markov"], out=tmp_path / "two")
    assert {row.model for row in named.rows} == {"independent", "markov"}


def test_what_would_count_for_too_long_is_left_out(bits, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(choose, "MAX_COUNTING_SECONDS", 1e-9)
    monkeypatch.setattr(choose, "default_models", lambda: ["independent", "fvsbn"])
    board = plausibly.compare(
        str(bits), out=tmp_path / "all", steps=20, listener=Listener(said.append)
    )
    assert {row.model for row in board.rows} == {"fvsbn"}
    assert any(line.startswith("independent is left out: it would take about 0 s") for line in said)


def test_runs_are_mixed_by_hand(bits, tmp_path):
    parts = [
        plausibly.fit(str(bits), name, out=tmp_path / name, steps=200)
        for name in ("joint", "fvsbn")
    ]
    both = plausibly.ensemble(parts, out=tmp_path / "both")
    assert both.record["validation"] > max(part.record["validation"] for part in parts)
    again = plausibly.ensemble([part.path for part in parts], out=tmp_path / "again")
    assert again.record["test"] == both.record["test"]
    with pytest.raises(UserError, match="alone is best"):
        plausibly.ensemble([parts[0], parts[0]], out=tmp_path / "same")
    vae = plausibly.fit(str(bits), "vae", out=tmp_path / "vae", steps=5)
    with pytest.raises(UserError, match="exact"):
        plausibly.ensemble([parts[0], vae])
    other = plausibly.fit("toy-bits", "joint", out=tmp_path / "other")
    with pytest.raises(UserError, match="other data"):
        plausibly.ensemble([parts[0], other])


def test_ctrl_c_keeps_all_members_where_one_is_best_alone(bits, tmp_path, monkeypatch):
    learn = Fit.learn

    def asked_to_stop(fit):
        learn(fit)
        if fit.record["model"] == "joint":
            fit.keep("interrupted", fit.record["steps"])

    monkeypatch.setattr(
        portfolio, "PORTFOLIO", (("independent", {}), ("joint", {}), ("nade", {"hidden": 16}))
    )
    monkeypatch.setattr(Fit, "learn", asked_to_stop)
    stopped = plausibly.fit(str(bits), out=tmp_path / "run", steps=30)
    assert stopped.record["status"] == "interrupted" and stopped.record["model"] == "ensemble"
    monkeypatch.setattr(Fit, "learn", learn)
    assert plausibly.resume(tmp_path / "run").record["status"] == "done"


@pytest.mark.parametrize("weigh", [ensemble.greedy_weights, ensemble.em_weights])
def test_a_member_without_a_number_has_no_weight(weigh):
    logs = torch.tensor([[-1.0, float("nan"), -2.0], [-3.0, -1.0, -1.0], [-torch.inf] * 3])
    assert weigh(logs)[1] == 0 and weigh(logs).sum() == pytest.approx(1)
    assert weigh(torch.full((2, 3), -torch.inf)).sum() == pytest.approx(1)


def test_weights_from_few_rows_are_smoothed():
    """Members that are alike: weights by few rows stay near equal, where greedy ones follow chance, and test rows say so."""
    noise = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    few, many = -10 + noise[:100], -10 + noise[100:]
    scores = [
        float((many + weigh(few).log()).logsumexp(1).mean())
        for weigh in (ensemble.greedy_weights, ensemble.em_weights)
    ]
    assert scores[1] > scores[0]


def test_splits_by_other_seeds_are_other_data(tmp_path):
    parts = [
        plausibly.fit("digits-binary", "independent", out=tmp_path / str(seed), seed=seed)
        for seed in (0, 1)
    ]
    with pytest.raises(UserError, match="split"):
        plausibly.ensemble(parts)


def test_a_large_mixture_sums_to_one_as_its_members_do():
    members = [
        shake_weights(MODELS["nade"](binary(40), hidden=8, shuffle=shuffle)).eval()
        for shuffle in (0, 1)
    ]
    model = mixture(members, [0.3, 0.7]).eval()
    assert sums_to_one(Examination(model)).holds
    assert sums_to_one(Examination(model.train())).broken  # dropout draws anew for each look


def test_a_normal_beside_a_tree_answers_everything(tmp_path, monkeypatch):
    """On floats alone, of which most rows are sums and the others stand in two places: neither model has both."""
    monkeypatch.setattr("plausibly.report.write_report", lambda *page: None)
    chance, rows = np.random.default_rng(5), 500
    sums = chance.random(rows) < 0.75
    a, b = chance.normal(size=(2, rows))
    c = np.where(sums, a + b + 0.15 * chance.normal(size=rows), 2 * chance.normal(size=rows))
    side, near = np.sign(c), 0.01 * chance.normal(size=(2, rows))
    frame = pd.DataFrame(
        {
            "a": np.where(sums, a, 1.5 * side + near[0]),
            "b": np.where(sums, b, near[1] - 1.5 * side),
            "c": c,
        }
    )
    frame.to_csv(tmp_path / "x.csv", index=False)
    parts = [
        plausibly.fit(tmp_path / "x.csv", name, out=tmp_path / name)
        for name in ("gaussian", "chow_liu")
    ]
    run = plausibly.ensemble(parts, out=tmp_path / "both")
    assert min(run.record["arguments"]["weights"]) > 0.1
    asked = frame.mask(chance.random(frame.shape) < 0.3)
    filled, whole = run.impute(asked), run.complete(asked)
    for done in (filled, whole):
        assert not done.isna().any().any() and np.array_equal(
            done[asked.notna()], asked, equal_nan=True
        )
    told = run.query("a", {"b": 1.5})
    assert told.word == "exact" and -1.6 < told.mean < 1 and run.query("b").word == "exact"
    found, alone = (run.regress(frame, "c"), [part.regress(frame, "c") for part in parts])
    assert found.word == "exact" and found.nats.mean() < min(part.nats.mean() for part in alone)
    assert run.evaluate(frame).value > max(part.evaluate(frame).value for part in parts)
    drawn = run.sample(200, given={"b": 2.0})
    assert (drawn["b"] == 2.0).all() and drawn["c"].corr(drawn["a"]) > 0.5
    plausibly.compress(run, tmp_path / "x.csv", tmp_path / "x.pls")
    plausibly.decompress(tmp_path / "x.pls", tmp_path / "y.csv", run)
    assert (tmp_path / "y.csv").read_bytes() == (tmp_path / "x.csv").read_bytes()
