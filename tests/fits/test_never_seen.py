"""Cells never seen: they cost their column's share, the same in every row, and say nothing of the others."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from math import log, log1p
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import plausibly
from plausibly import DensityClassifier, DensityEstimator
from plausibly.data.columns.cells import log_text
from plausibly.data.formats.builders import format_from_json
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import OTHER, Category, Grid, Real
from plausibly.events.schema import Schema
from plausibly.families.stratified import stratify
from plausibly.jobs.compression import read_compressed_rows
from plausibly.models import MODELS
from plausibly.models.chow_liu import ChowLiu
from plausibly.tasks import load_tasks
from plausibly.training.loop import Training, fit_by_counting, prepare
from plausibly.training.plan import Plan

TASKS = load_tasks()
SHARES = (0.02, 0.1, 0.05, 0.2)
TABLE = Schema(
    (4,),
    tuple(
        Category(k, open=True, missing=k == 4, unforeseen=share)
        for k, share in zip((2, 3, 3, 4), SHARES, strict=True)
    ),
)


def rows_of(many: int, seed: int = 0) -> Tensor:
    """Codes in which each column tells of the one before."""
    chance = np.random.default_rng(seed)
    y = (chance.random(many) < 0.3).astype(int)
    a = np.where(chance.random(many) < 0.8, y, chance.integers(0, 3, many))
    b = np.where(chance.random(many) < 0.7, (a + y) % 3, chance.integers(0, 3, many))
    c = np.where(
        chance.random(many) < 0.6,
        b + y,
        np.where(chance.random(many) < 0.2, 5, chance.integers(0, 4, many)),
    )
    return torch.tensor(np.stack([y, a, b, c], 1)).to(torch.uint8)


@torch.enable_grad()
def learned(name: str, schema: Schema, codes: Tensor, steps: int = 300, **arguments: Any) -> Any:
    model = MODELS[name](schema, **(MODELS[name].tiny(schema).arguments | arguments))
    prepare(model, codes, 0)
    if model.objective.turns(model):
        training = Training(model, codes, codes[:200], Plan(steps, rate=5e-3))
        list(training.run())
        training.finish()
    else:
        list(fit_by_counting(model, codes, codes[:200]))
    return model.eval()


EXACT = (
    "independent",
    "chow_liu",
    "joint",
    "markov",
    "mixture",
    "nade",
    "made",
    "fvsbn",
    "transformer",
)


@torch.no_grad()
def summed(model: Any, x: Tensor, i: int) -> Tensor:
    """log of the sum of p over all codes of variable i that were seen, (rows,) float64."""
    kind, logs = model.schema.kinds[i], []
    for code in range(kind.codes):
        if code != kind.other_code:
            logs.append(model.log_prob(x.clone().index_fill(1, torch.tensor(i), code)).double())
    return torch.stack(logs).logsumexp(0)


@torch.no_grad()
@pytest.mark.parametrize("name", EXACT)
def test_a_cell_never_seen_costs_its_share_and_says_nothing(name):
    """p(x) = eps p(the other cells), against the sum over the cell's values; so for two cells, and for labels of any cell."""
    model, x = learned(name, TABLE, rows_of(1500), steps=60), rows_of(60, 1).float()
    for i, share in enumerate(SHARES):
        lost = x.index_fill(1, torch.tensor(i), TABLE.kinds[i].other_code)
        want = log(share) - log1p(-share) + summed(model, x, i)
        assert (model.log_prob(lost) - want).abs().max() < 1e-3
        j = (i + 1) % 4
        both = lost.index_fill(1, torch.tensor(j), TABLE.kinds[j].other_code)
        want = log(SHARES[j]) - log1p(-SHARES[j]) + summed(model, lost, j)
        assert (model.log_prob(both) - want).abs().max() < 1e-3
        found = TASKS["classify"](model, Evidence.whole(lost), j).log_probs
        others = [
            summed(model, x.index_fill(1, torch.tensor(j), code), i)
            for code in range(TABLE.kinds[j].regular)
        ]
        want = torch.stack(others, 1).softmax(1)
        got = found[:, : TABLE.kinds[j].regular].softmax(1)
        assert 0.5 * (got - want).abs().sum(1).max() < 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", ["deepnade", "masked_transformer"])
def test_models_of_all_orders_take_it_for_unknown(name):
    model, x = learned(name, TABLE, rows_of(300), steps=20), rows_of(60, 1).float()
    for i, kind in enumerate(TABLE.kinds):
        lost, known = (
            x.index_fill(1, torch.tensor(i), kind.other_code),
            torch.ones_like(x, dtype=torch.bool),
        )
        known[:, (i + 1) % 4] = False
        unknown = known.index_fill(1, torch.tensor(i), False)
        one, other = (
            model.predict_given(Evidence(lost, known)),
            model.predict_given(Evidence(x, unknown)),
        )
        assert torch.equal(one.one((i + 1) % 4).log_probs, other.one((i + 1) % 4).log_probs)


SMALL = Schema(
    (3,), tuple(Category(k, open=True, unforeseen=s) for k, s in ((2, 0.05), (3, 0.1), (3, 0.2)))
)


def small_rows(many: int, seed: int = 0) -> Tensor:
    chance = np.random.default_rng(seed)
    y = (chance.random(many) < 0.3).astype(int)
    a = np.where(chance.random(many) < 0.6, y, chance.integers(0, 3, many))
    b = np.where(chance.random(many) < 0.5, (a + y) % 3, chance.integers(0, 3, many))
    return torch.tensor(np.stack([y, a, b], 1)).to(torch.uint8)


def asked_with_one_lost() -> Iterator[tuple[int, int, int, Tensor]]:
    """A target, a variable whose cell was never seen, the third, and rows with every value of the third."""
    for target, lost, third in permutations(range(3)):
        x = torch.zeros(SMALL.kinds[third].regular, 3)
        x[:, third] = torch.arange(len(x))
        yield target, lost, third, x


@torch.no_grad()
@pytest.mark.parametrize("name", ["vae", "hierarchical_vae"])
def test_latent_models_classify_as_if_it_were_unobserved(name):
    """By 2,000 draws, within .02 of total variation. And a row with such a cell is bounded as tightly as a whole one."""
    model = learned(name, SMALL, small_rows(2000), 200)
    for target, lost, _, x in asked_with_one_lost():
        seen = torch.ones_like(x, dtype=torch.bool).index_fill(1, torch.tensor(target), False)
        hidden = x.index_fill(1, torch.tensor(lost), SMALL.kinds[lost].other_code)
        pairs = ((hidden, seen), (x, seen.index_fill(1, torch.tensor(lost), False)))
        one, other = (
            TASKS["query"](
                model, Evidence(rows, known), target, torch.Generator().manual_seed(0), 2000
            ).outcome.log_probs
            for rows, known in pairs
        )
        codes = SMALL.kinds[target].regular
        assert (
            0.5 * (one[:, :codes].softmax(1) - other[:, :codes].softmax(1)).abs().sum(1).max()
            < 0.02
        )
        if target < lost:
            continue
        bound = TASKS["score"](model, hidden)
        sought = TASKS["marginal"](model, Evidence.whole(x).without(lost), 5000)
        assert (sought + log(SMALL.kinds[lost].unforeseen) - bound).abs().max() < 0.05


REALS = Schema(
    (3,), (Category(2), Real(open=True, unforeseen=0.1), Real(open=True, unforeseen=0.2))
)


@torch.no_grad()
@pytest.mark.parametrize("name", ["nade", "made", "chow_liu", "gaussian", "mixture"])
def test_real_numbers_never_seen(name):
    """Against the integral over the number, within .02 of total variation."""
    chance = np.random.default_rng(0)
    label, edges = (chance.random(1200) < 0.3).astype(int), tuple(np.linspace(-2, 2, 20).tolist())
    one = chance.normal(1.5 * label - 0.4, 1)
    x = torch.tensor(
        np.stack([label, one, 0.8 * one + chance.normal(0, 0.5, 1200)], 1), dtype=torch.float32
    )
    kinds = tuple(Real(edges=edges, open=True, unforeseen=share) for share in (0.05, 0.1, 0.2))
    schema = Schema((3,), kinds if name in ("gaussian", "mixture") else (Category(2), *kinds[1:]))
    model = learned(name, schema, x, steps=150)
    some, grid = x[:40], torch.linspace(-7, 7, 700)
    lost = some.index_fill(1, torch.tensor(1), 2.0**100)
    each = []
    for value in (0.0, 1.0):
        labelled = [rows.index_fill(1, torch.tensor(0), value) for rows in (some, lost)]
        whole = [
            model.log_prob(labelled[0].index_fill(1, torch.tensor(1), float(at))).double()
            for at in grid
        ]
        each.append((model.log_prob(labelled[1]).double(), torch.stack(whole).logsumexp(0)))
    got, want = (torch.stack(side, 1).softmax(1) for side in zip(*each, strict=True))
    assert 0.5 * (got - want).abs().sum(1).max() < 0.02


@torch.no_grad()
@pytest.mark.parametrize("name", ["vae", "hierarchical_vae"])
def test_latent_variables_know_nothing_of_it(name):
    """With any latents p(x | z) has the cell's share as a factor, and the other factors are as they were."""
    model, x = learned(name, TABLE, rows_of(200), steps=5), rows_of(30, 1).float()
    outcome = model.observation(
        torch.randn(30, model.latents, generator=torch.Generator().manual_seed(0))
    )
    for i, (kind, share) in enumerate(zip(TABLE.kinds, SHARES, strict=True)):
        lost = x.index_fill(1, torch.tensor(i), kind.other_code)
        logs, whole = outcome.log_prob(lost), outcome.log_prob(x)
        assert logs[:, i].tolist() == pytest.approx([log(share)] * 30)
        assert torch.equal(
            logs[:, [j for j in range(4) if j != i]], whole[:, [j for j in range(4) if j != i]]
        )
    assert not (outcome.sample(torch.Generator().manual_seed(1)) == TABLE.never_seen).any()
    assert not (outcome.mode() == TABLE.never_seen).any()


@torch.no_grad()
def test_a_label_never_seen_is_all_labels_together():
    model = stratify(ChowLiu, TABLE, [3])
    list(fit_by_counting(model, rows_of(800), rows_of(100, 2)))
    x = rows_of(50, 1).float()
    lost = x.index_fill(1, torch.tensor(3), 4)
    want = log(0.2) - log1p(-0.2) + summed(model, x, 3)
    assert (model.log_prob(lost) - want).abs().max() < 1e-4
    assert (model.predict(lost).log_prob(lost).sum(1) - want).abs().max() < 1e-4
    assert len(list(model.members)) == 5 and len(list(model.each())) == 6


def shops(rows: int = 1500) -> pd.DataFrame:
    """5.7 % fraud, of which the shop tells something."""
    chance = np.random.default_rng(0)
    fraud = chance.random(rows) < 0.057
    shop = np.where(
        fraud, chance.choice(list("xyz"), rows, p=[0.6, 0.3, 0.1]), chance.choice(list("xyz"), rows)
    )
    frame = {
        "label": np.where(fraud, "fraud", "ok"),
        "shop": shop,
        "amount": chance.integers(0, 6, rows),
    }
    return pd.DataFrame(frame)


@pytest.mark.parametrize("holes", [False, True])
def test_commands_and_estimators_agree_on_a_new_shop(holes, tmp_path):
    """p(fraud | a shop never seen) = p(fraud | the rest): about 5.7 %. A hole is one where there were none in training."""
    frame, new = shops(), pd.DataFrame({"shop": ["NEW", None], "amount": [3, 3]})
    if holes:  # in a third of the rows of fraud and hardly any other: then they are evidence
        chance = np.random.default_rng(1).random(len(frame)) < np.where(
            frame["label"] == "fraud", 0.35, 0.01
        )
        frame["shop"] = frame["shop"].mask(chance)
    frame.to_csv(tmp_path / "shops.csv", index=False)
    run = plausibly.fit(
        tmp_path / "shops.csv", "independent", out=tmp_path / "run", context=["label"]
    )
    told = run.classify(new, "label")
    by_command = told.probabilities[:, list(told.labels).index("fraud")]
    own = DensityClassifier("chow_liu", random_state=0).fit(
        frame.drop(columns="label"), frame["label"]
    )
    by_estimator = own.predict_proba(new)[:, 0]
    density = DensityEstimator("independent", random_state=0)
    whole = [
        density.fit(frame[frame["label"] == label].drop(columns="label")).score_samples(new)
        for label in ("fraud", "ok")
    ]
    assert by_command[0] == pytest.approx(0.057, abs=0.03) and by_estimator[0] == pytest.approx(
        0.057, abs=0.03
    )
    assert np.isfinite(whole).all()
    if holes:
        assert by_command[1] > 0.4 and by_estimator[1] > 0.4
    else:
        assert by_command[1] == by_command[0] and by_estimator[1] == pytest.approx(by_estimator[0])
    nats = run.log_prob(
        pd.DataFrame(
            {"label": ["ok", "fraud"] * 2, "shop": ["x", "x", "NEW", "NEW"], "amount": [3] * 4}
        )
    )
    assert float((nats[3] - nats[2]).exp() / (1 + (nats[3] - nats[2]).exp())) == pytest.approx(
        by_command[0], rel=1e-4
    )
    asked = run.query("label", {"amount": "3"}).levels
    assert dict(asked)["fraud"] == pytest.approx(
        by_command[0], rel=2e-3
    )  # but for a label never seen


def test_shares_are_those_of_new_values(tmp_path):
    """(n1 + 1/2) / (n + 1) of levels, n1 of them seen once; 1/2 / (n + 1) of other columns; none where seen."""
    words = ["a"] * 60 + ["b"] * 36 + ["c", "d", "e"] + ["f"]
    frame = pd.DataFrame(
        {
            "w": words,
            "n": np.arange(100) % 50,
            "x": np.arange(100) % 7,
            "t": ["?", "?", *map(str, range(98))],
        }
    )
    format = plausibly.load(frame, valid=frame, test=frame, kinds={"t": "category"}).format
    assert format.table
    shares = {column.name: column.kind.unforeseen for column in format.table.modelled}
    assert shares["w"] == pytest.approx(4.5 / 101) and shares["x"] == pytest.approx(0.5 / 101)
    assert shares["t"] == pytest.approx(98.5 / 101)
    numbers = pd.DataFrame(
        {"n": [*map(str, np.arange(499) % 30), "about 7"], "m": ["u", "v"] * 250}
    )
    numbers.to_csv(tmp_path / "n.csv", index=False)
    seen = plausibly.load(
        tmp_path / "n.csv", valid=numbers.astype(str), test=numbers.astype(str)
    ).format
    assert [kind.unforeseen for kind in seen.schema.kinds] == [0.0, pytest.approx(0.5 / 501)]
    again = format_from_json(seen.to_json())
    assert again.schema == seen.schema
    assert (
        plausibly.load(np.arange(300).reshape(100, 3) % 7).schema.chance_unforeseen.tolist()
        == [0.0] * 3
    )


def test_a_constant_column_may_move(tmp_path):
    """It costs the share of what no row showed, in every number, and is named as what surprises."""
    frame = shops(300).assign(sensor=7)
    run = plausibly.fit(frame, "independent", out=tmp_path / "run")
    rows = (
        frame.drop(columns="label")
        .assign(label="ok")
        .iloc[[0, 0, 0]]
        .assign(sensor=[7, 7, 8])
        .astype({"sensor": int})
    )
    eps = 0.5 / (run.record["rows"]["train"] + 1)
    nats = run.log_prob(rows)
    assert float(nats[2] - nats[0]) == pytest.approx(
        log(eps) + log_text("8") - log1p(-eps), rel=1e-6
    )
    assert float(nats[0] - run.log_prob(rows[["label", "shop", "amount"]])[0]) == pytest.approx(
        log1p(-eps), abs=1e-6
    )
    scored = run.score(rows, each=True).reset_index(drop=True)
    assert scored["surprising"][2].startswith("sensor") and scored["bits(sensor)"][
        2
    ] == pytest.approx(-(log(eps) + log_text("8")) / log(2))
    assert scored["p_value"][2] == scored["p_value"].min()
    assert run.evaluate(rows.iloc[2:]).value < run.evaluate(rows.iloc[:1]).value - 5
    parts = run.by_column(rows)
    assert (
        parts.nats.sum(1).tolist() == pytest.approx(nats.tolist(), abs=1e-4)
        and parts.names[-1] == "sensor"
    )


def test_samples_hold_no_cell_never_seen_however_probable(tmp_path):
    """Of six columns of names, a third of each row new, one in ten draws would be whole."""
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({f"name{i}": chance.integers(0, 200, 150).astype(str) for i in range(6)})
    kinds = {name: "category" for name in frame}
    for model, steps in (("nade", 2), ("vae", 2)):
        run = plausibly.fit(frame, model, out=tmp_path / model, kinds=kinds, steps=steps)
        assert min(kind.unforeseen for kind in run.format.schema.kinds) > 0.25
        drawn = run.sample(20)
        assert all(set(drawn[name]) <= set(frame[name]) for name in frame)


def test_rows_with_cells_never_seen_are_compressed(tmp_path):
    frame = shops(400)
    moved = frame.copy()
    moved.loc[::9, "shop"], moved.loc[3::11, "label"] = "NEW", "unsure"
    for model, options in (
        ("nade", {"steps": 20}),
        ("chow_liu", {"context": ["label"]}),
        ("markov", {}),
    ):
        run = plausibly.fit(frame, model, out=tmp_path / model, **options)
        assert plausibly.compress(run, moved, tmp_path / "x.pls").verified
        pd.testing.assert_frame_equal(read_compressed_rows(tmp_path / "x.pls", run), moved)


def test_an_old_run_is_as_it_was(tmp_path):
    kind = Grid(edges=(0, 3), open=True)
    assert (
        kind.unforeseen == 0
        and kind.never_seen is None
        and not Schema((1,), (kind,)).has_unforeseen
    )
    assert replace(kind, unforeseen=0.1).never_seen == 3.0
    with pytest.raises(ValueError, match="open code"):
        Grid(edges=(0, 3), unforeseen=0.1)


def test_a_case_of_a_category_column_by_a_file(tmp_path: Path):
    """`impute` takes an empty cell for unknown, and a word never seen for one that says nothing."""
    frame = pd.DataFrame({"a": ["u", "v"] * 100, "b": ["p", "q"] * 100})
    frame.to_csv(tmp_path / "x.csv", index=False)
    run = plausibly.fit(tmp_path / "x.csv", "chow_liu", out=tmp_path / "run")
    asked = pd.DataFrame({"a": ["u"] * 200 + ["new"] * 200, "b": [None] * 400})
    filled = run.impute(asked)
    assert (filled["a"] == asked["a"]).all() and (filled["b"][:200] == "p").mean() > 0.9
    assert 60 < (filled["b"][200:] == "p").sum() < 140
    done = run.complete(asked.iloc[[0, 300]])
    assert done["b"].tolist()[0] == "p" and done["a"].tolist() == ["u", "new"]


@pytest.mark.parametrize("name", ["chow_liu", "nade"])
@pytest.mark.parametrize("new", [777, -5, 20])
def test_a_number_that_no_row_has_says_nothing(name, new):
    """Of a column whose numbers all have a code of their own: a new number of a shop does not make the rare class likely."""
    chance = np.random.default_rng(0)
    fraud = chance.random(1500) < 0.057
    shop = chance.integers(0, 39, 1500) + (np.arange(1500) % 2 == 0)
    frame = pd.DataFrame({"shop": np.where(shop == 20, 7, shop), "w": chance.integers(0, 3, 1500)})
    learner = plausibly.DensityClassifier(
        name, steps=60 if name == "nade" else None, random_state=0
    )
    learner.fit(frame, np.where(fraud, "fraud", "ok"))
    asked = pd.DataFrame({"shop": [new, 10**9], "w": [1, 1]})
    p = learner.predict_proba(asked)[:, 0]
    assert p == pytest.approx(np.full(2, p[1]), rel=1e-4) and p[0] == pytest.approx(
        fraud.mean(), abs=0.05
    )


def test_numbers_between_which_no_row_lies_have_the_open_code(tmp_path):
    """And come back, out of a compressed file too; all values together have the probability of one."""
    frame = pd.DataFrame({"x": [[0, 1, 2, 5, 6][n % 5] for n in range(400)], "y": ["a", "b"] * 200})
    run = plausibly.fit(frame, "chow_liu", out=str(tmp_path / "run"))
    kind = run.format.schema.kinds[0]
    assert kind.regular == 5 and len(kind.unseen) == 3 and kind.unforeseen
    asked = pd.DataFrame({"x": ["3", "4", "7", "99", "-1", "-70", "x", "2"], "y": "a"})
    asked.to_csv(tmp_path / "more.csv", index=False)
    events = run.format.events(asked)
    assert events.codes[:, 0].tolist() == [kind.other_code] * 7 + [2]
    values = np.arange(-2000, 2000)
    mass = np.exp(kind.log_within(values))[kind.code(values) == kind.other_code].sum()
    assert mass == pytest.approx(3 / 4) and np.exp(kind.log_within(np.array([OTHER])))[
        0
    ] == pytest.approx(1 / 4)
    plausibly.compress(run, str(tmp_path / "more.csv"), tmp_path / "more.pls")
    plausibly.decompress(tmp_path / "more.pls", tmp_path / "again.csv", run)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "more.csv").read_bytes()
    drawn = run.sample(300)["x"]
    assert set(drawn) <= {0, 1, 2, 5, 6}
