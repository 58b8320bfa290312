"""p-values, the false discovery rate, too likely rows and full conditionals, against theory and enumeration."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from oracles import accepting
from scipy.stats import false_discovery_control, kstest

import plausibly
from benchmarks.folds import measure_table
from plausibly.cli.commands import main
from plausibly.contract.checks import shake_weights
from plausibly.errors import UserError
from plausibly.evaluation.likelihood import scores
from plausibly.evaluation.likelihood.anomalies import (
    Calibration,
    CrossCalibration,
    check_level,
    discoveries,
)
from plausibly.events.kinds import Category, Level
from plausibly.events.schema import Schema
from plausibly.fitting.calibrating import cross_fit
from plausibly.jobs.files import score_to
from plausibly.models import MODELS
from plausibly.tasks import full_conditionals as task
from plausibly.tasks.full_conditionals import full_conditionals, rows_per_call
from plausibly.tasks.score import conditionals

SMALL = Schema(
    (4,),
    (Category(levels=2), Level(levels=3), Category(levels=2, missing=True), Category(levels=2)),
)


def calibration(rows, seed=0):
    return Calibration(np.random.default_rng(seed).normal(size=rows), "calibration rows")


def test_p_values_count_the_rows_at_most_as_likely():
    against = Calibration(np.array([-3.0, -1.0, -2.0, -2.0]), "calibration rows")
    assert against.p_values(np.array([-9.0, -3.0, -2.5, -2.0, 0.0])).tolist() == [
        0.2,
        0.4,
        0.4,
        0.8,
        1.0,
    ]
    assert against.p_values(np.array([-2.0 - 1e-6])).tolist() == [0.8]  # a tie but for float32


@pytest.mark.parametrize("together", [1, 2, 5])
def test_pieces_of_any_length_are_ranked_as_all_rows(together):
    """As columns and as frames, down to a single row."""
    nats = np.random.default_rng(1).normal(size=5)
    frame = pd.DataFrame({"nats": nats, "bits": -nats / np.log(2), "sign": ">="})
    pieces = [frame[i : i + together] for i in range(0, 5, together)]
    ranking = scores.ScoreRanking(calibration(400), 0.5, False, None, None)
    ranking.find_threshold(pieces)
    framed = pd.concat([ranking.add_ranks(piece.copy()) for piece in pieces])
    ranked = [ranking.rank_columns(dict(piece.items()) | {"sign": ">="}) for piece in pieces]
    assert framed["p_value"].tolist() == calibration(400).p_values(nats).tolist()
    assert framed["anomaly"].tolist() == discoveries(framed["p_value"].to_numpy(), 0.5).tolist()
    for name in ("nats", "p_value", "more_likely", "anomaly"):
        assert np.concatenate([each[name] for each in ranked]).tolist() == framed[name].tolist()
    assert list(ranked[0]) == list(framed) and ranking.describe()["sign"] == ">="


def test_p_values_of_fresh_rows_are_super_uniform():
    """Over calibration sets and rows, for densities and with ties: P(p <= t) <= t, and equal where there are no ties."""
    chance, trials, n = np.random.default_rng(1), 4000, 19
    for ties in (False, True):
        draw = (lambda size: chance.integers(0, 4, size).astype(float)) if ties else chance.normal
        found = np.concatenate(
            [
                Calibration(draw(size=n), "").p_values(np.asarray(draw(size=1)))
                for _ in range(trials)
            ]
        )
        for t in (0.05, 0.1, 0.25, 0.5, 0.9):
            excess = (found <= t + 1e-12).mean() - t
            assert excess < 6 * np.sqrt(t * (1 - t) / trials)
            assert ties or excess > -6 * np.sqrt(t * (1 - t) / trials)
    many = Calibration(chance.normal(size=200_000), "").p_values(chance.normal(size=2000))
    assert kstest(many, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("rows", [1000, 1999, 5000])
def test_fresh_rows_are_hardly_ever_more_likely_than_all_others(rows):
    """The rate is floor(n / 1000) / (n + 1), just below one in a thousand."""
    chance, trials, each = np.random.default_rng(2), 1500, 200
    rate, found = (rows // 1000) / (rows + 1), []
    for _ in range(trials):
        found.append(
            Calibration(chance.normal(size=rows), "").more_likely(chance.normal(size=each)).mean()
        )
    assert rate < 0.001
    assert abs(np.mean(found) - rate) < 6 * np.std(found) / trials**0.5
    assert not calibration(999).more_likely(np.array([99.0]))
    assert calibration(rows).more_likely(np.array([99.0]))


def test_the_chance_of_too_likely_rows_is_that_of_fresh_ones():
    """`chance_of` against simulation, and the share of fresh files that are warned of."""
    chance, trials, n, rows = np.random.default_rng(3), 3000, 2000, 300
    counts, warned = [], 0
    for _ in range(trials):
        against = Calibration(chance.random(n), "calibration rows")
        marked = against.more_likely(chance.random(rows))
        counts.append(marked.sum())
        warned += bool(against.too_likely(marked))
    for least in (1, 2, 3):
        want = against.chance_of(least, rows)
        assert abs(np.mean(np.array(counts) >= least) - want) < 6 * np.sqrt(
            want * (1 - want) / trials
        )
    assert warned / trials < 0.01 + 6 * np.sqrt(0.01 * 0.99 / trials)
    assert "1 of 1 rows" in against.too_likely(np.array([True]))[0]
    assert against.too_likely(np.array([True] * 9 + [False] * 291))


@pytest.mark.parametrize("level", [0.01, 0.1, 0.5])
def test_discoveries_are_those_of_scipy(level):
    chance = np.random.default_rng(4)
    for m in (1, 2, 50, 1000):
        p = np.concatenate([chance.random(m), chance.random(m // 5) ** 8])
        p = np.ceil(p * 500) / 501  # ties, as p-values among calibration rows have
        adjusted = false_discovery_control(p)
        clear = np.abs(adjusted - level) > 1e-9
        assert (discoveries(p, level) == (adjusted <= level))[clear].all()


def test_the_false_discovery_rate_is_kept():
    """100 rows of which 10 are planted outliers, all against the same 1,000 calibration rows."""
    chance, trials, level = np.random.default_rng(5), 1500, 0.2
    wrong, power = [], []
    for _ in range(trials):
        nats = chance.normal(size=100) - 6 * (np.arange(100) < 10)
        marked = discoveries(Calibration(chance.normal(size=1000), "").p_values(nats), level)
        wrong.append(marked[10:].sum() / max(marked.sum(), 1))
        power.append(marked[:10].mean())
    assert np.mean(wrong) < level * 0.9 + 6 * np.std(wrong) / trials**0.5
    assert np.mean(wrong) > level * 0.7  # not empty caution either
    assert np.mean(power) > 0.95


def test_too_few_calibration_rows_are_said():
    few = Calibration(np.zeros(9), "test rows")
    assert few.too_few(100, 0.05) == [
        "no p-value is below 1/10 (9 test rows): at a false discovery rate of 0.05 no row can be marked"
    ]
    assert (
        "either none or at least 20 of 100 rows"
        in Calibration(np.zeros(99), "x").too_few(100, 0.05)[0]
    )
    assert not Calibration(np.zeros(1999), "x").too_few(100, 0.05)
    for n, m in (
        (99, 100),
        (199, 30),
        (1000, 300),
    ):  # the number that is said is the least that can be marked
        least = -(-m // (0.05 * (n + 1)))
        p = np.where(np.arange(m) < least, 1 / (n + 1), 1.0)
        assert discoveries(p, 0.05).sum() == least
        assert not discoveries(np.where(np.arange(m) < least - 1, 1 / (n + 1), 1.0), 0.05).any()
    for level in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(UserError, match="false discovery rate"):
            check_level(level)


@pytest.mark.parametrize("rule", full_conditionals.rules)
@pytest.mark.parametrize(
    "name", [n for n in accepting(SMALL) if full_conditionals.word(MODELS[n]) == "exact"]
)
def test_full_conditionals_by_enumeration(name, rule):
    model = shake_weights(MODELS[name].tiny(SMALL)).eval()
    if not isinstance(model, rule):
        return
    events = SMALL.all_events()
    with torch.no_grad():
        logs = model.log_prob(events).double()
    want = torch.empty(len(events), 4, dtype=torch.float64)
    for i in range(4):
        others = [j for j in range(4) if j != i]
        same = (events[:, None, others] == events[None, :, others]).all(2)
        want[:, i] = logs - torch.where(same, logs, -torch.inf).logsumexp(1)
    found = full_conditionals.rules[rule][1](model, events.to(torch.uint8))
    assert torch.allclose(found, want, atol=1e-5)
    along = conditionals(model, events)
    last = model.order[
        -1
    ]  # given all others and given all earlier is the same for the last variable alone
    assert torch.allclose(found[:, last], along[:, last], atol=1e-5)
    assert name == "independent" or not torch.allclose(found.sum(1), logs, atol=1e-2)


def test_full_conditionals_of_more_rows_than_one_batch():
    model = shake_weights(MODELS["made"].tiny(SMALL)).eval()
    events = SMALL.all_events().repeat(60, 1)
    found = full_conditionals(model, events)
    assert len(found) > 2048 and torch.allclose(
        found, full_conditionals(model, events[:36]).repeat(60, 1), atol=1e-5
    )


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """8,000 rows of a skewed table with a real column, holes and rare levels, and 2,000 fresh ones."""
    path = tmp_path_factory.mktemp("data")
    for name, rows, seed in (("train", 8000, 0), ("fresh", 2000, 1), ("more", 3000, 2)):
        chance = np.random.default_rng(seed)
        city = chance.choice(["Rome", "Oslo", "Lima", "Bern"], rows, p=[0.6, 0.3, 0.06, 0.04])
        height = chance.normal(170, 10, rows) + 10 * (city == "Oslo")
        frame = pd.DataFrame({"city": city, "height": height, "sick": chance.random(rows) < 0.2})
        frame.loc[chance.random(rows) < 0.05, "city"] = None
        frame.to_csv(path / f"{name}.csv", index=False)
    return path


@pytest.fixture(scope="module")
def run(people, tmp_path_factory):
    return plausibly.fit(
        str(people / "train.csv"), "chow_liu", out=tmp_path_factory.mktemp("runs") / "tree"
    )


def test_a_run_keeps_its_calibration_rows(run, people):
    assert run.record["rows"] == {"train": 6000, "valid": 800, "test": 800, "calibration": 400}
    data = run.dataset()
    assert len(data.calibration) == 400
    kept = run.calibration()
    assert (kept.rows, kept.source) == (400, "calibration rows")
    assert np.allclose(kept.nats, run.log_prob(data.format.rows(data.calibration)))
    own = run.score(data.format.rows(data.calibration))
    assert np.allclose(kept.excess, own["excess"])
    frame = run.score(str(people / "fresh.csv"))
    assert frame.attrs["calibration"] == {
        "rows": 400,
        "from": "calibration rows",
        "statistic": "excess",
    }
    assert frame.attrs["notes"] == ["p-values are of excess, against 400 calibration rows"]
    excess = frame["excess"].to_numpy()
    assert np.allclose(frame["p_value"], kept.p_values(frame["nats"].to_numpy(), excess))
    counted = [(1 + (kept.excess >= each - 1e-5 * (1 + each)).sum()) / 401 for each in excess]
    assert np.allclose(frame["p_value"], counted)
    assert not frame["more_likely"].any()  # below 1,000 rows nobody can say so


def test_p_values_of_fresh_rows_of_a_run(run, people):
    p = run.score(str(people / "fresh.csv"), calibrate=str(people / "more.csv"))[
        "p_value"
    ].to_numpy()
    for t in (0.01, 0.1, 0.5):
        assert (
            abs((p <= t).mean() - t) < 6 * np.sqrt(t * (1 - t) * (1 / 2000 + 1 / 3000)) + 1 / 3001
        )


def test_old_runs_rank_against_the_test_rows_and_say_so(run, people, tmp_path):
    other = plausibly.open(run.path)
    other.path, other.record = tmp_path, other.record.replace(files_sha256=None)
    (tmp_path / "heldout.safetensors").write_bytes((run.path / "heldout.safetensors").read_bytes())
    frame = other.score(str(people / "fresh.csv"))
    against = {"rows": 800, "from": "test rows", "statistic": "log p"}
    assert frame.attrs["calibration"] == against and "excess" not in frame
    assert "800 test rows; this run has no calibration rows of its own" in frame.attrs["notes"][0]
    (tmp_path / "heldout.safetensors").unlink()
    assert "p_value" not in other.score(str(people / "fresh.csv"))
    with pytest.raises(UserError, match="needs calibration rows"):
        other.score(str(people / "fresh.csv"), fdr=0.1)


def test_data_split_otherwise_are_not_taken_for_the_run_s(run):
    record = run.record.replace(rows={"train": 6400, "valid": 800, "test": 800})
    other = plausibly.open(run.path)
    other.record = record
    with pytest.raises(UserError, match="split data otherwise"):
        other.dataset()


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    """The run of 30 bits, each set in three rows of ten, with 1,250 calibration rows; and fresh rows."""
    chance, path = np.random.default_rng(7), tmp_path_factory.mktemp("bits")
    np.save(path / "bits.npy", (chance.random((25_000, 30)) < 0.3).astype(np.uint8))
    run = plausibly.fit(str(path / "bits.npy"), "independent", out=path / "run")
    return run, (chance.random((3000, 30)) < 0.3).astype(np.uint8)


def test_copies_of_the_mode_are_warned_of_and_fresh_rows_are_not(bits):
    run, fresh = bits
    found = run.score(fresh)
    assert found.attrs["warnings"] == []
    assert found["more_likely"].mean() < 0.001 + 6 * (0.001 * (1 / 3000 + 1 / 1250)) ** 0.5
    for copies in (1, 40):
        found = run.score(np.zeros((copies, 30), dtype=np.uint8))
        assert found["more_likely"].all()
        assert (found["p_value"] == 1).all()
        (warning,) = found.attrs["warnings"]
        assert (
            f"{copies} of {copies} rows are more likely than 99.9 % of the calibration rows"
            in warning
        )


def test_planted_rows_are_marked(bits):
    run, fresh = bits
    rows = fresh[:500].copy()
    rows[::10] = 1  # all bits set: 50 outliers
    found = run.score(rows, fdr=0.1)
    assert found["anomaly"][::10].all()
    assert found["anomaly"].drop(range(0, 500, 10)).sum() < 25
    assert (
        found.attrs["notes"][1]
        == f"anomalies at a false discovery rate of 0.1: {found['anomaly'].sum()} rows"
    )
    assert not found.attrs["warnings"]
    assert (
        "at least 4 of 450 rows" in run.score(rows[rows.sum(1) < 30], fdr=0.1).attrs["warnings"][0]
    )


def test_excess_is_what_cells_cost_beyond_what_is_usual(run, people):
    """By its definition, from the bits of cells; and what surprises is told above the mean of its column."""
    valid = run.dataset().format.rows(run.dataset().valid)
    names = [f"bits({name})" for name in run.names]
    usual = run.score(valid, each=True)[names].to_numpy() * np.log(2)
    most, mean = np.quantile(usual, 0.99, axis=0, method="higher"), usual.mean(0)
    found = run.score(str(people / "fresh.csv"), each=True)
    costs = found[names].to_numpy() * np.log(2)
    assert np.allclose(found["excess"], np.logaddexp(0, costs - most).sum(1), atol=1e-6)
    place = int(found["excess"].argmax())
    above = (costs[place] - mean) / np.log(2)
    first, bits, _ = found["surprising"][place].split("; ")[0].split(" ")
    assert first == run.names[above.argmax()] and bits == f"+{above.max():.1f}"


def test_a_cell_that_cannot_be_ranks_before_many_that_cost_always_much(tmp_path):
    """Twelve columns of noise cost much in every row; a bit that follows another is wrong in ten of 1,010 rows."""
    chance = np.random.default_rng(11)

    def draw(rows):
        frame = pd.DataFrame(chance.gamma(0.4, 20, (rows, 12)).round(1)).add_prefix("noise")
        frame["cause"] = chance.choice(["a", "b"], rows)
        frame["follows"] = np.where(frame["cause"] == "a", "yes", "no")
        return frame

    run = plausibly.fit(draw(6000), "chow_liu", out=tmp_path / "run")
    rows = draw(1010)
    rows.loc[:9, "follows"] = rows["follows"].map({"yes": "no", "no": "yes"})
    found = run.score(rows)
    assert found["excess"].rank(ascending=False)[:10].max() <= 20
    assert found["nats"].rank()[:10].max() > 20  # by log p some are lost
    assert found["p_value"][:10].max() < 0.03
    assert found["surprising"][:10].str.contains("follows|cause").all()


def test_bits_of_each_variable(run, people):
    """Those along the order add up to the row's; those given the rest are p(row) among the rows that differ there."""
    rows = pd.read_csv(people / "fresh.csv", dtype=str, keep_default_na=False).head(60)
    rows.loc[:4, "city"] = "Atlantis"
    found = run.score(rows, each=True)
    along = found[[f"bits({name})" for name in run.names]].sum(axis=1)
    assert np.allclose(along, -found["nats"] / np.log(2))
    assert np.allclose(
        along, run.conditionals(rows)[[f"bits({name})" for name in run.names]].sum(axis=1)
    )
    rest = found[[f"bits({name} | rest)" for name in run.names]].sum(axis=1)
    assert not np.allclose(rest, along, atol=0.1)
    events, place, total = run.events(rows), run.names.index("city"), 0.0
    codes, within = events.codes.float(), run.format.log_within(events).numpy()
    for code in range(run.model.schema.codes[place]):
        codes[:, place] = code
        total = total + run.model.log_prob(codes).double().exp().detach().numpy()
    want = found["nats"] - within.sum(1) - np.log(total) + within[:, place]
    assert within[0, place] < -8  # the letters of Atlantis
    assert np.allclose(found["bits(city | rest)"], -want / np.log(2), atol=1e-4)
    assert any("add up" in note for note in found.attrs["notes"])


def test_what_would_take_too_long_is_left_out(run, people, monkeypatch):
    assert rows_per_call(run.model) > 100_000
    monkeypatch.setattr(task, "MAX_EVENTS_PER_CALL", 60)
    found = run.score(str(people / "fresh.csv"), each=True)
    assert "bits(sick)" in found and "bits(sick | rest)" not in found
    assert "answers it for 20 rows at a time, not 2,000" in found.attrs["warnings"][0]


def test_without_an_exact_density_the_rest_is_refused():
    refused = scores.full_conditionals_refusal(SimpleNamespace(), 1)
    assert "no exact log p(x)" in refused
    assert (
        refused in scores.ScoreRanking(None, None, True, refused, "exact").describe()["warnings"][0]
    )


def test_the_command_line_says_all_of_it(bits, tmp_path, capsys, monkeypatch):
    run, fresh = bits
    monkeypatch.chdir(tmp_path)
    np.save(
        "rows.npy",
        np.concatenate([fresh[:300], np.zeros((50, 30), np.uint8), np.ones((9, 30), np.uint8)]),
    )
    np.save("other.npy", fresh[300:2300])

    def command(*words):
        monkeypatch.setattr("sys.argv", ["plausibly", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, *capsys.readouterr()

    status, out, err = command(
        "score", str(run.path), "rows.npy", "--fdr", "0.1", "--each", "--json"
    )
    document = json.loads(out)
    assert status == 0
    assert document["calibration"]["rows"] == 1250
    assert document["more_likely"] >= 50 and document["anomaly"] >= 9
    assert document["warnings"] and all(f"warning: {line}" in err for line in document["warnings"])
    assert document["scores"][-1]["anomaly"] is True
    assert {"bits(1)", "bits(1 | rest)"} <= document["scores"][0].keys()
    status, out, err = command(
        "score", str(run.path), "rows.npy", "--calibrate", "other.npy", "--out", "s.parquet"
    )
    assert (
        "p-values are of excess, against 2,000 rows of other.npy" in out and "50 of 359 rows" in err
    )
    assert pd.read_parquet("s.parquet")["more_likely"].sum() == 50
    assert command("score", str(run.path), "rows.npy", "--fdr", "2")[0] == 2
    assert command("score", str(run.path), "rows.npy", "--fdr", "0.1", "--conditionals")[0] == 2


def small_table(rows, seed):
    chance = np.random.default_rng(seed)
    town = chance.choice(["Rome", "Oslo", "Lima"], rows, p=[0.6, 0.3, 0.1])
    price = np.round(chance.gamma(3, 5, rows) + 40 * (town == "Oslo"), 1)
    return pd.DataFrame({"town": town, "price": price, "sold": chance.random(rows) < 0.2})


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """A run of 120 rows, of which 6 were set aside for calibration, and then each by one of three models."""
    path = tmp_path_factory.mktemp("crossed")
    small_table(120, 5).to_csv(path / "small.csv", index=False)
    plausibly.fit(str(path / "small.csv"), "chow_liu", out=path / "run")
    assert cross_fit(plausibly.open(path / "run"), folds=3) == 120
    return plausibly.open(path / "run")


def test_rows_of_a_small_table_rank_fresh_ones_by_models_that_left_them_out(crossed):
    """By the definition, from the scores of each model; every row of the table is left out once."""
    fresh = small_table(60, 6)
    found = crossed.score(fresh)
    total = 0
    for fold in crossed.folds:
        kept, own = fold.calibration(), fold.score(fresh)["excess"].to_numpy()
        total += (kept.excess >= own[:, None] - 1e-5 * (1 + own[:, None])).sum(1)
    assert found["p_value"].tolist() == ((1 + total) / 121).tolist()
    assert [fold.record["rows"]["calibration"] for fold in crossed.folds] == [40, 40, 40]
    assert "as_odd" not in found and not found["more_likely"].any()
    assert found["p_value"].min() < 0.1 < 0.5 < found["p_value"].max()
    assert "120 rows, each left out by one of 3 models" in found.attrs["notes"][0]


def test_anomalies_of_a_small_table_are_marked_in_memory_and_in_files_alike(crossed, tmp_path):
    rows = small_table(40, 7)
    rows.loc[:3, "price"] = 4000.5
    found = crossed.score(rows, fdr=0.1)
    assert found["anomaly"][:4].all() and found["anomaly"][4:].sum() <= 2
    assert "by simulation" in found.attrs["notes"][1]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    score_to(crossed, str(tmp_path / "rows.csv"), tmp_path / "scores.csv", fdr=0.1)
    written = pd.read_csv(tmp_path / "scores.csv")
    assert np.allclose(written["p_value"], found["p_value"]) and "as_odd" not in written
    assert written["anomaly"].tolist() == found["anomaly"].tolist()
    given = crossed.score(rows, calibrate=small_table(30, 8))
    assert given.attrs["calibration"]["rows"] == 30 and given["p_value"].min() == 1 / 31


def test_cross_fitting_is_refused_where_it_cannot_be(crossed, bits):
    with pytest.raises(UserError, match="at least 2"):
        cross_fit(crossed, 1)
    with pytest.raises(UserError, match="make no 100 folds"):
        cross_fit(crossed, 100)
    with pytest.raises(UserError, match="only tables"):
        cross_fit(bits[0])


def test_cross_calibration_keeps_its_rates_on_simulated_tables():
    """Of few tables, the simulation of `benchmarks.folds`; of one model for all folds it is the p-value by fresh rows."""
    found = np.array([measure_table(seed, 0.1) for seed in range(12)])
    assert found[:, 0, 0].mean() < 0.1 + 6 * found[:, 0, 0].std() / 12**0.5
    assert found[:, 0, 1].mean() > found[:, 1, 1].mean() / 2 > 0.1
    chance = np.random.default_rng(3)
    kept, own = chance.normal(size=90), chance.normal(size=40)
    folds = [Calibration(part, "") for part in np.split(kept, 3)]
    total = sum(fold.count_as_odd(own) for fold in folds)
    whole = CrossCalibration.of_folds(folds)
    assert ((1 + total) / 91).tolist() == Calibration(kept, "").p_values(own).tolist()
    assert (whole.rows, whole.folds) == (90, 3) and "3 models" in whole.note
