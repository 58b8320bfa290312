"""The benchmark hands out test rows once, goes on where it was stopped, and its table says what its runs say."""

import csv
import json

import numpy as np
import pytest
import torch
from oracles import SMALL
from tiers import REAL_SETS

import plausibly
from plausibly.errors import UserError
from plausibly.fitting import portfolio
from plausibly.fitting.benchmark import SealedTestSet, benchmark, read_published, suite_entries
from plausibly.fitting.ensemble import em_weights, greedy_weights
from plausibly.fitting.fit import Fit
from plausibly.fitting.going_on import train_or_restore
from plausibly.fitting.settings import Listener, make_settings
from plausibly.models import MODELS


@pytest.fixture
def small(monkeypatch):
    """A portfolio of small models."""
    monkeypatch.setattr(portfolio, "PORTFOLIO", SMALL)


@pytest.fixture
def sets(tmp_path):
    """A folder with two small sets of bits that follow from those before them."""
    generator = np.random.default_rng(0)
    for name in ("debd_nltcs", "debd_small"):
        bits = (generator.random((600, 6)) < 0.4).astype(np.uint8)
        bits[:, 3:] ^= bits[:, :3]
        np.savez(tmp_path / f"{name}.npz", train=bits[:400], valid=bits[400:500], test=bits[500:])
    return tmp_path


def sealed_fit(sealed, path):
    path.mkdir()
    chosen = make_settings(None, 0, None, 20, "cpu")
    return Fit.new(path, MODELS["fvsbn"], sealed.dataset, sealed.origin, chosen, Listener())


def test_test_rows_come_out_once_and_last(sets, tmp_path):
    sealed = SealedTestSet(sets / "debd_nltcs.npz")
    assert len(sealed.dataset.test) == 0
    fit, other = sealed_fit(sealed, tmp_path / "a"), sealed_fit(sealed, tmp_path / "b")
    with pytest.raises(UserError, match="final"):  # too early
        sealed.unseal(fit)
    train_or_restore(fit), train_or_restore(other)
    assert len(sealed.unseal(fit).dataset.test) == 100
    with pytest.raises(UserError, match="only once"):  # for another fit
        sealed.unseal(other)
    fit.test()
    with pytest.raises(UserError, match="final"):  # of one that is closed
        SealedTestSet(sets / "debd_nltcs.npz").unseal(fit)


def test_the_table_says_what_the_runs_say(small, sets, tmp_path):
    lines = list(benchmark("debd", sets, out=tmp_path / "out", steps=60))
    assert [line.set for line in lines] == ["nltcs", "small"]
    for line in lines:
        run = plausibly.open(line.run)
        assert (
            run.evaluate().value == pytest.approx(line.nats)
            and run.record["parameters"] == line.parameters
        )
        assert not (run.path / "members").exists()
    assert (
        lines[0].certain == -5.99
        and "Liang" in lines[0].certain_method
        and lines[1].certain is None
    )
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [float(row["nats"]) for row in rows] == [line.nats for line in lines]
    assert "| small | 6 | 100 |" in (tmp_path / "out" / "table.md").read_text()


def test_a_set_that_is_done_is_not_fitted_again(small, sets, tmp_path):
    first = list(benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=60))
    written = (tmp_path / "out" / "small" / "weights.safetensors").stat().st_mtime_ns
    again = list(benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=60))
    assert (
        again == first
        and (tmp_path / "out" / "small" / "weights.safetensors").stat().st_mtime_ns == written
    )


def test_the_same_seed_gives_the_same_table(small, sets, tmp_path):
    tables = [
        [
            line.nats
            for line in benchmark("debd", sets, sets=["small"], out=tmp_path / name, steps=60)
        ]
        for name in "ab"
    ]
    assert tables[0] == tables[1]


def test_a_stopped_portfolio_goes_on(small, sets, tmp_path, monkeypatch):
    whole = list(benchmark("debd", sets, sets=["small"], out=tmp_path / "whole", steps=60))
    learn, learnings = Fit.learn, []

    def stopped(fit):
        learnings.append(fit.record["model"])
        if len(learnings) == 3:
            raise MemoryError  # as if it had been killed
        learn(fit)

    monkeypatch.setattr(Fit, "learn", stopped)
    with pytest.raises(MemoryError):
        list(benchmark("debd", sets, sets=["small"], out=tmp_path / "cut", steps=60))
    monkeypatch.setattr(
        Fit, "learn", lambda fit: (learnings.append(fit.record["model"]), learn(fit))
    )
    (line,) = benchmark("debd", sets, sets=["small"], out=tmp_path / "cut", steps=60)
    assert line.nats == whole[0].nats and learnings[:2] != learnings[3:5]


def test_what_is_not_there_is_named(sets, tmp_path):
    with pytest.raises(UserError, match="debd"):
        suite_entries("dedb", sets, None)
    with pytest.raises(UserError, match="nltcs"):
        suite_entries("debd", sets, ["nltc"])
    with pytest.raises(UserError, match=r"laro_NAME\.npz"):
        suite_entries("larochelle", sets, None)


def test_published_numbers_have_sources():
    rows = read_published("debd_dna")
    assert {row["certain"] for row in rows} == {"yes", "no"} and all(
        row["source"] and row["method"] for row in rows
    )


@pytest.mark.parametrize("weigh", [greedy_weights, em_weights])
def test_weights_come_near_the_best_ones(weigh):
    """Of two densities mixed 3 to 1 and one that is no use: the weights are near, and the log p is that of the truth."""
    generator = torch.Generator().manual_seed(0)
    pick = torch.rand(20_000, generator=generator) < 0.75
    x = torch.randn(20_000, generator=generator).double() + torch.where(pick, 0.0, 3.0)
    logs = torch.stack([-0.5 * (x - m).square() - 0.9189385332046727 for m in (0.0, 3.0, 9.0)], 1)
    weights = weigh(logs)
    assert weights.sum() == pytest.approx(1) and weights[2] == 0
    assert weights[0] == pytest.approx(0.75, abs=0.02)
    assert weigh(logs[:, :1]).tolist() == [1.0]


def test_json_of_the_command(small, sets, tmp_path, capsys, monkeypatch):
    from plausibly.cli import commands

    command = [
        "plausibly",
        "benchmark",
        "debd",
        "--data",
        str(sets),
        "--sets",
        "small",
        "--steps",
        "40",
    ]
    monkeypatch.setattr("sys.argv", [*command, "--out", str(tmp_path / "out"), "--json", "--quiet"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["suite"] == "debd"
        and found["sets"][0]["set"] == "small"
        and found["sets"][0]["nats"] < 0
    )


@pytest.mark.real
def test_nltcs_in_few_steps(tmp_path):
    """Near the best published number, -5.99, which longer training reaches; its standard error is 0.05."""
    (line,) = benchmark("debd", REAL_SETS, sets=["nltcs"], out=tmp_path / "out", steps=300)
    assert line.rows == 3236 and -6.05 < line.nats < -5.9


def test_other_data_and_seeds_need_another_folder(small, sets, tmp_path):
    (first,) = benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=30)
    with pytest.raises(UserError, match="--out"):
        list(benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=30, seed=1))
    list(benchmark("debd", sets, sets=["nltcs"], out=tmp_path / "out", steps=30))
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [row["set"] for row in rows] == ["nltcs", "small"] and float(
        rows[1]["nats"]
    ) == first.nats


def test_a_fit_that_missed_its_test_is_only_tested(small, sets, tmp_path, monkeypatch):
    test = Fit.test
    monkeypatch.setattr(Fit, "test", lambda fit: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        list(benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=30))
    written = (tmp_path / "out" / "small" / "weights.safetensors").read_bytes()
    monkeypatch.setattr(Fit, "test", test)
    monkeypatch.setattr(Fit, "learn", None)  # nothing is left to learn
    (line,) = benchmark("debd", sets, sets=["small"], out=tmp_path / "out", steps=30)
    assert (
        line.nats < 0
        and (tmp_path / "out" / "small" / "weights.safetensors").read_bytes() == written
    )
