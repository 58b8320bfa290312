"""Relations are found, said and kept: residuals are bijections, rows sum to one and come back, samples follow."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2

from plausibly.coding.streams import SymbolReader, SymbolWriter
from plausibly.data import load
from plausibly.data.formats.builders import format_from_json
from plausibly.data.relations.expressions import read_formula
from plausibly.data.relations.finding import Roles
from plausibly.data.relations.residuals import LevelResidual, StepResidual
from plausibly.errors import UserError
from plausibly.events.kinds import MISSING, OTHER, Category, Grid

ROWS = 700


def shop(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Every form of relation, some with rows that break them and with holes among the parents."""
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "tenure": chance.integers(0, 72, rows), "monthly": chance.integers(1800, 12000, rows) / 100,
        "net": chance.integers(100, 9999, rows), "tax": chance.integers(0, 999, rows), "fee": chance.integers(0, 50, rows),
        "city": chance.choice(["Rome", "Oslo", "Graz", "Lyon"], rows), "start": chance.integers(0, 1440, rows),
        "delay": (chance.gamma(2, 20, rows) - 10).astype(int), "width": chance.lognormal(3, 0.5, rows).round(1),
        "height": chance.lognormal(3, 0.5, rows).round(1),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(chance.integers(0, 700, rows), "D"),
    })  # fmt: skip
    off = chance.random(rows) < 0.04
    frame["total"] = (
        frame["tenure"] * frame["monthly"] + off * chance.integers(1, 300, rows) / 100
    ).round(2)
    frame["gross"] = frame["net"] + frame["tax"] + frame["fee"]
    frame["country"] = frame["city"].map({"Rome": "IT", "Oslo": "NO", "Graz": "AT", "Lyon": "FR"})
    end = (frame["start"] + frame["delay"]) % 1440
    frame["start"], frame["end"] = (40 * (each // 60) + each for each in (frame["start"], end))
    frame["area"] = (frame["width"] * frame["height"] * chance.normal(1, 0.02, rows)).round(1)
    frame["month"] = frame["day"].dt.month
    frame.loc[chance.random(rows) < 0.05, ["tax", "gross"]] = np.nan
    return frame


FOLLOWED = {
    "total = tenure * monthly", "gross = net + tax + fee", "country from city", "'month' = month('day')",
    "area ~ width * height",
    "end = hhmm((clock(start) + delay) % 1440)",
}  # fmt: skip


def followed(data) -> set[str]:
    return {each.relation.text for each in data.format.table.followers}


@pytest.fixture(scope="module")
def data():
    return load(shop(), relations=True)


def test_every_form_is_found(data) -> None:
    assert followed(data) == FOLLOWED
    shares = {each.text: each.share for each in data.relations}
    assert 0.94 < shares["total = tenure * monthly"] < 0.98 and shares["country from city"] == 1


def test_rows_come_back_and_codes_are_drawn_for(data) -> None:
    rows = data.format.rows(data.test)
    assert data.format.rows(data.format.events(rows)).equals(rows)
    again = data.format.events(rows)
    assert torch.equal(again.codes, data.test.codes)
    assert torch.allclose(again.log_within, data.test.log_within, atol=1e-9)
    drawn = data.format.draw(data.test.codes, np.random.default_rng(0))
    assert torch.equal(drawn.codes, data.test.codes)
    assert torch.equal(data.format.events(data.format.rows(drawn)).codes, drawn.codes)


def test_a_coder_gives_the_rows_back(data) -> None:
    writer = SymbolWriter()
    data.format.through(writer, data.test.codes, data.test)
    found = data.format.through(SymbolReader(writer.payload), data.test.codes, None)
    assert data.format.rows(found).equals(data.format.rows(data.test))


def test_a_format_survives_json(data) -> None:
    again = format_from_json(data.format.to_json())
    assert again.to_json() == data.format.to_json() and again.schema == data.format.schema


def test_what_was_said_learns_the_same_again(data) -> None:
    said = [each.relation.text for each in data.format.table.followers]
    again = load(shop(), relations=said)
    assert again.schema == data.schema and torch.equal(again.train.codes, data.train.codes)


def test_without_relations_a_table_is_as_it_was(data) -> None:
    plain, said = load(shop(), relations=False), load(shop())
    assert said.format.to_json() == plain.format.to_json()
    assert {str(each) for each in said.relations} == {str(each) for each in data.relations}
    assert not plain.relations and "followers" not in plain.format.to_json()
    assert "followers" not in data.format.plain.to_json()


def test_independent_columns_have_no_relation() -> None:
    for seed in range(1):
        frame = shop(seed, 400)
        for name in frame:
            frame[name] = np.random.default_rng(hash(name) % 2**32).permutation(frame[name])
        assert not load(frame, relations=True).relations


@pytest.mark.parametrize("expected", [MISSING, 0, 7, -3, 200])
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_numbers_sum_to_one_whatever_the_parents_hold(expected: int, spread: float) -> None:
    kind = Grid((-1, 0, 2), (-4, 0, 5), (0.5, 0.7), open=True, missing=True)
    residual = StepResidual(kind, 3, spread)
    values = np.concatenate([[MISSING, OTHER], np.arange(-1500, 1500)])
    given = np.full(len(values), expected)
    left, places = residual.leave(values, given)
    assert np.array_equal(residual.restore(left, places, given), values)
    assert len(set(zip(left.tolist(), places.tolist(), strict=True))) == len(values)
    p = np.random.default_rng(0).dirichlet(np.ones(kind.codes))
    nats = kind.log_within(left) - np.log(residual.sizes(given)) * (values > OTHER)
    assert abs((p[kind.code(left)] * np.exp(nats)).sum() - 1) < 1e-6


@pytest.mark.parametrize("expected", [0, 1, 3, 5])
def test_levels_sum_to_one_whatever_the_parents_hold(expected: int) -> None:
    kind = Category(4, (3, 1), open=True, missing=True)
    residual, values = LevelResidual(kind), np.array([MISSING, OTHER, *range(6)])
    given = np.full(len(values), expected)
    left, places = residual.leave(values, given)
    assert np.array_equal(residual.restore(left, places, given), values)
    assert left[2 + expected] == 0
    p = np.random.default_rng(1).dirichlet(np.ones(kind.codes))
    assert abs((p[kind.code(left)] * np.exp(kind.log_within(left))).sum() - 1) < 1e-12


def test_samples_have_the_probability_of_rows() -> None:
    """Of a table with holes among the parents: chi-square of all rows that are drawn, against exp(log p)."""
    chance = np.random.default_rng(3)
    a, b = chance.integers(0, 4, 900).astype(float), chance.integers(0, 5, 900)
    c = a + b + (chance.random(900) < 0.05)
    a[chance.random(900) < 0.1] = np.nan
    data = load(pd.DataFrame({"a": a, "b": b, "c": c}), kinds={"*": "integer"}, relations=True)
    assert followed(data) == {"c = a + b"}
    laws = [chance.dirichlet(np.ones(codes)) for codes in data.schema.codes]
    laws = [
        np.where(np.arange(len(p)) < k.regular, p, p * (k.missing_code == np.arange(len(p))))
        for p, k in zip(laws, data.schema.kinds, strict=True)
    ]
    laws = [p / p.sum() for p in laws]
    codes = np.stack([chance.choice(len(p), 40_000, p=p) for p in laws], 1)
    drawn = data.format.draw(torch.from_numpy(codes), chance)
    rows = data.format.rows(drawn)
    events = data.format.events(rows)
    nats = events.log_within.numpy() + sum(
        np.log(p)[events.codes.numpy()[:, i]] for i, p in enumerate(laws)
    )
    seen = (
        rows.assign(p=np.exp(nats))
        .groupby(["a", "b", "c"], dropna=False)["p"]
        .agg(["count", "first"])
    )
    often = seen[seen["first"] * len(rows) >= 10]
    statistic = (
        (often["count"] - often["first"] * len(rows)) ** 2 / (often["first"] * len(rows))
    ).sum()
    assert len(often) > 50 and chi2.sf(statistic, len(often)) > 1e-9


def test_a_target_follows_and_is_no_parent() -> None:
    turned = load(shop(), relations=True, roles=Roles(target="tax"))
    assert "tax = - net - fee + gross" in followed(turned) or "tax = gross - net - fee" in followed(
        turned
    )
    assert all(
        "tenure" not in each.relation.of
        for each in load(shop(), relations=True, roles=Roles("tenure")).format.table.followers
    )
    given = load(shop(rows=400), relations=True, roles=Roles(context=("country", "gross")))
    assert not {"country", "gross"} & {
        each.relation.column for each in given.format.table.followers
    }


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("total = tenure * month1y", "no column 'month1y'"),
        ("total", "is no relation"), ("total = total + 1", "from itself"),
        ("total = tenure ** 2", "no formula"), ("city = tenure", "no steps"), ("total = 3", "names no column"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(said: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(shop(rows=200), relations=[said])


def test_circles_are_refused() -> None:
    with pytest.raises(UserError, match="follows once"):
        load(shop(rows=200), relations=["net = gross - tax", "gross = net + tax"])


def test_formulas_are_what_python_makes_of_them() -> None:
    a, b = np.array([5.0, -7.5]), np.array([3.0, 2.0])
    for text in ("a + 2 * b", "-a // b", "(a - b) % 4 / .5", "a / b - 1e-2", "'a' * \"b\""):
        found = read_formula(text, ("a", "b")).evaluate({"a": a, "b": b})
        assert np.array_equal(found, eval(text.replace("'a'", "a").replace('"b"', "b")))


def test_a_column_known_before_its_parents_is_refused(data) -> None:
    asked = data.format.parse_question({"total": 120.0, "tenure": 3})
    with pytest.raises(UserError, match="'total' is known, but not all of 'tenure', 'monthly'"):
        asked.evidence()
    whole = data.format.parse_question({"total": 120.0, "tenure": 3, "monthly": 40.0})
    place = data.names.index("total")
    assert whole.evidence().observed[0, place]
    assert (
        data.format.schema.kinds[place].event_codes(whole.codes.numpy()[:, place])[0]
        == data.schema.kinds[place].code(np.array([0]))[0]
    )
