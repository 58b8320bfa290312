"""Files of any size are sampled, scored and filled shard by shard, as in one piece, and go on after a stop."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import plausibly
from benchmarks.large import chunk
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import likelihood
from plausibly.jobs import files
from plausibly.jobs.shards import Shards, work_here
from plausibly.runs import sharded

N, SHARD = 1250, 500  # rows, and of a shard
FEW = ("order_id", "country", "channel", "price", "total", "ordered", "due", "late", "status")
COLUMNS = [*FEW, "returned", "member", "rating"]  # of many levels only some, which take seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bulk")


@pytest.fixture(scope="module")
def run(folder):
    orders = chunk(0, N)[COLUMNS]
    orders["signed"] = pd.Series(np.arange(N) % 7 - 3, dtype="int64")
    orders.to_parquet(folder / "orders.parquet")
    orders.head(N).to_parquet(folder / "some.parquet")
    orders.head(N).to_csv(folder / "some.csv", index=False)
    return plausibly.fit(folder / "orders.parquet", "chow_liu", out=folder / "run")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sharded, "MAX_SHARD_ROWS", SHARD)


def left(folder):
    return list(folder.glob(".*"))


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_samples_in_a_file_are_those_in_memory(run, tmp_path, name):
    files.sample_to(run, tmp_path / name, N, seed=3)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_feather
    found, expected = read(tmp_path / name), run.sample(N, seed=3)
    pd.testing.assert_frame_equal(found, expected)
    assert found["order_id"].tolist() == list(range(1, N + 1))
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
def test_text_files_have_the_same_bytes(run, tmp_path, name):
    files.sample_to(run, tmp_path / name, N, seed=3)
    run.format.output(tmp_path / f"whole-{name}").write_all(
        run.sample(N, seed=3), tmp_path / f"whole-{name}"
    )
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_given_columns_hold_in_every_shard(run, tmp_path):
    files.sample_to(run, tmp_path / "x.parquet", N, given={"channel": "web"})
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert set(found["channel"]) == {"web"}
    pd.testing.assert_frame_equal(found, run.sample(N, given={"channel": "web"}))


def test_complete_rows_have_no_hole_and_follow_the_rest(run, tmp_path):
    files.sample_to(run, tmp_path / "x.parquet", N, complete=True)
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert (
        not found[list(run.names)].isna().any().any()
        and run.sample(N)[list(run.names)].isna().any().any()
    )
    pd.testing.assert_frame_equal(found.astype(object), run.sample(N, complete=True).astype(object))
    web = run.sample(N, given={"channel": "web"}, complete=True)
    assert set(web["channel"]) == {"web"} and not web[list(run.names)].isna().any().any()


def test_shards_differ_and_a_file_begins_like_a_longer_one(run):
    short, long = run.sample(N), run.sample(2 * N)
    pd.testing.assert_frame_equal(short[: 2 * SHARD], long[: 2 * SHARD])
    totals = short["total"].to_numpy()
    assert not (totals[:SHARD] == totals[SHARD : 2 * SHARD]).all()


def test_a_type_does_not_depend_on_which_shard_has_holes(run, tmp_path):
    for out in ("some", "all"):
        files.sample_to(run, tmp_path / f"{out}.parquet", 300 if out == "some" else N)
    kinds = [pd.read_parquet(tmp_path / f"{out}.parquet").dtypes for out in ("some", "all")]
    assert kinds[0].equals(kinds[1])
    assert kinds[0]["rating"] == "Int64" and kinds[0]["signed"] == "int64"


@pytest.mark.parametrize("name", ["some.parquet", "some.csv"])
def test_scores_in_a_file_are_those_in_memory(run, folder, tmp_path, name):
    scored, _ = files.score_to(run, str(folder / name), tmp_path / "s.parquet", fdr=0.2, each=True)
    expected = run.score(str(folder / name), fdr=0.2, each=True)
    found = pd.read_parquet(tmp_path / "s.parquet")
    assert found.pop("row").tolist() == list(range(1, N + 1))
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-6)
    assert scored.told == expected.attrs
    assert scored.marked == {name: int(expected[name].sum()) for name in ("more_likely", "anomaly")}
    assert scored.few[0]["excess"].tolist() == sorted(expected["excess"], reverse=True)[:10]
    in_memory, frames = files.score_to(run, str(folder / name), None, fdr=0.2)
    assert in_memory.rows == N and len(frames) == 3


def test_conditionals_in_a_file_are_those_in_memory(run, folder, tmp_path):
    files.conditionals_to(run, str(folder / "some.csv"), tmp_path / "c.csv")
    found = pd.read_csv(tmp_path / "c.csv").drop(columns="row")
    pd.testing.assert_frame_equal(
        found, run.conditionals(str(folder / "some.csv")), check_exact=False, atol=1e-6
    )


def test_filled_rows_in_a_file_are_those_in_memory(run, folder, tmp_path):
    rows, told = files.fill_to(run, str(folder / "some.parquet"), tmp_path / "full.parquet", seed=5)
    found, given = (
        pd.read_parquet(tmp_path / "full.parquet"),
        pd.read_parquet(folder / "some.parquet"),
    )
    assert (rows, told) == (N, None)
    pd.testing.assert_frame_equal(found, run.impute(str(folder / "some.parquet"), seed=5))
    known = given.notna()
    assert (
        not found.isna().any().any()
        and (found.where(known) == given.where(known))[known].all().all()
    )


class Stopped(Exception):
    pass


def stopping_after(shards, error):
    def work(run, job, todo):
        for number, result in enumerate(work_here(run, job, todo)):
            if number == shards:
                raise error
            yield result

    return work


def test_a_stopped_command_goes_on(run, tmp_path, monkeypatch):
    files.sample_to(run, tmp_path / "whole.parquet", N)
    out, asked = tmp_path / "x.parquet", []
    with pytest.raises(KeyboardInterrupt, match=r"2\): the same command goes on"):
        files.sample_to(run, out, N, work=stopping_after(2, KeyboardInterrupt()))
    assert not out.exists() and left(tmp_path) == [tmp_path / ".x.parquet.shards"]
    draw = type(run).sample_shard
    monkeypatch.setattr(
        type(run), "sample_shard", lambda *words: asked.append(words[1]) or draw(*words)
    )
    files.sample_to(run, out, N)
    assert asked == [2]
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes() and left(tmp_path) == []


def test_cleared_shards_are_none(tmp_path):
    shards = Shards(tmp_path / "x.csv", {})
    shards.folder.mkdir(exist_ok=True)
    shards.store(0, pa.table({"a": [1]}))
    assert list(shards.result_schemas) == [0]
    shards.clear()
    assert not shards.result_schemas and left(tmp_path) == []


def test_shards_of_another_command_do_not_count(run, tmp_path):
    out = tmp_path / "x.csv"
    with pytest.raises(Stopped):  # as after a kill: nobody tidies up
        files.sample_to(run, out, N, seed=1, work=stopping_after(2, Stopped()))
    assert len(Shards(out, {"another": "plan"}).result_schemas) == 0
    files.sample_to(run, out, N, seed=2)
    run.format.output(tmp_path / "whole.csv").write_all(
        run.sample(N, seed=2), tmp_path / "whole.csv"
    )
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_wrong_row_is_named_by_its_place_in_the_file(run, folder, tmp_path):
    rows = pd.read_parquet(folder / "some.parquet")
    wrong = rows.assign(price=rows["price"].where(rows.index != 1111, np.inf))
    wrong.to_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(
        UserError, match=r"wrong\.parquet, row 1112, column 'price': the number is infinite"
    ):
        files.score_to(run, str(tmp_path / "wrong.parquet"), tmp_path / "s.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.parquet"]
    rows.assign(more=1).to_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(UserError, match="the columns differ"):
        files.fill_to(run, str(tmp_path / "wrong.parquet"), tmp_path / "s.csv")


PEAKS = """
import resource, sys
from pathlib import Path
from plausibly.jobs import files
from plausibly.runs.run import Run
for rows in map(int, sys.argv[3:]):
    files.sample_to(Run.open(sys.argv[1]), Path(sys.argv[2]), rows)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_for_samples_does_not_grow_with_their_number(tmp_path):
    run = plausibly.fit(chunk(0, N), "independent", out=tmp_path / "run")
    words = [sys.executable, "-c", PEAKS, str(run.path), str(tmp_path / "x.csv"), "20000", "140000"]
    found = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()
    few, many = (int(kibibytes) / 1024 for kibibytes in found)
    assert many - few < 40  # MiB; the rows are 20 MB of text and much more in memory


def test_rows_with_values_never_seen_are_drawn_anew(tmp_path):
    """Each time with other noise; so often that the same rows would show."""
    names = pd.Series([f"n{number}" for number in range(900)] * 2 + ["a"] * 600, name="name")
    frame = pd.DataFrame(
        {"name": names, "number": np.random.default_rng(0).normal(size=2400).round(6)}
    )
    rare = plausibly.fit(frame, "independent", out=tmp_path / "run")
    kind = rare.model.schema.kinds[0]
    with torch.no_grad():
        rare.model.tables.set_table(0, torch.full((1, kind.codes), 0.5 / (kind.codes - 1)).index_fill(
            1, torch.tensor([kind.other_code]), 0.5
        ))  # fmt: skip
    drawn = rare.sample(1250)
    assert len(drawn) == 1250 and drawn["number"].nunique() > 0.99 * 1250


@pytest.mark.parametrize("model", ["vae", "hierarchical_vae"])
def test_equal_rows_score_equally_wherever_they_stand(model, tmp_path, monkeypatch):
    """In any place, batch and shard, in a file or in memory, alone or among others; noise is as large as ever."""
    chance = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"a": chance.normal(size=200).round(2), "c": chance.choice(["x", "y"], 200)}
    )
    run = plausibly.fit(rows, model, steps=30, out=tmp_path / "run")
    monkeypatch.setattr(sharded, "MAX_SHARD_ROWS", 70)
    places = np.concatenate([chance.permutation(200), np.full(90, 7)])
    mixed = rows.iloc[places].reset_index(drop=True)
    nats, many = run.score(rows)["nats"].to_numpy(), run.score(mixed)["nats"].to_numpy()
    assert np.abs(many - nats[places]).max() < 1e-5
    mixed.to_parquet(tmp_path / "mixed.parquet")
    _, frames = files.score_to(run, str(tmp_path / "mixed.parquet"), None)
    assert np.abs(pd.concat(frames)["nats"].to_numpy() - many).max() < 1e-5
    assert np.abs(run.log_prob(rows).numpy() - nats).max() < 1e-5
    for row in (0, 7, 199):
        assert abs(float(run.score(rows.iloc[[row]])["nats"].iloc[0]) - nats[row]) < 1e-5
    events = run.events(rows)
    assert likelihood(run.model, events).value == pytest.approx(nats.mean(), abs=1e-5)
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        anew = run.model.log_bound(events.codes.float(), noise).double() + events.log_within
    apart = np.abs(anew.numpy() - nats)
    assert (apart > 1e-4).mean() > 0.9
