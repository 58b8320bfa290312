"""The page: one file that loads nothing, whatever the data, the names in them, and the models."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from plausibly.data.dataset import Dataset
from plausibly.data.loading import load
from plausibly.evaluation.likelihood.likelihood import (
    ExactLikelihood,
    LikelihoodLowerBound,
    likelihood,
)
from plausibly.evaluation.samples.tables import pair_bins
from plausibly.events.kinds import Grid
from plausibly.fitting.conditioning import data_origin
from plausibly.fitting.untrained import initial_record
from plausibly.models import MODELS
from plausibly.report import figures, samples, scales, tables, wide_tables
from plausibly.report.abilities import capability_ladder
from plausibly.report.page import write_report
from plausibly.runs.board import Board, BoardRow
from plausibly.runs.run import Run
from plausibly.training.loop import Training, fit_by_counting
from plausibly.training.plan import Plan

pytestmark = pytest.mark.usefixtures("drawn")
SECTIONS = ["board", "training", "samples", "surprisal", "abilities", "reading"]
HOSTILE = '<script>alert("1")</script>&$x^{$\'"'


def fitted(name: str, dataset: Dataset, folder: Path) -> BoardRow:
    """A counting model's run, in memory but for its folder."""
    model = MODELS[name](dataset.schema)
    log = [
        json.dumps({"step": p.step, "loss": p.loss, "validation": p.validation})
        for p in count_or_step(model, dataset)
    ]
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "log.jsonl").write_text("\n".join(log))
    origin = data_origin(dataset, {"seed": 0})
    record = initial_record(dataset, origin, 0, model=name, arguments={}, files_sha256=None)
    run = Run(folder / name, record, model.eval(), dataset.format)
    return BoardRow(
        name,
        model.family,
        model.free_parameters,
        likelihood(model, dataset.test),
        0.1,
        1e4,
        1e4,
        2000,
        run,
    )


def count_or_step(model: Any, dataset: Dataset) -> Any:
    if model.objective.passes(model):
        yield from fit_by_counting(model, dataset.train.codes, dataset.valid.codes)
        return
    model.initialise(torch.Generator().manual_seed(0))
    training = Training(model, dataset.train.codes, dataset.valid.codes, Plan(steps=20, every=5))
    yield from training.run()
    training.finish()


def board_of(dataset: Dataset, folder: Path, *names: str) -> Board:
    return Board([fitted(name, dataset, folder) for name in names], data=dataset.name)


class Reader(HTMLParser):
    """Collects tags with attributes, ids and text; unclosed tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def written(board: Board, dataset: Dataset | None, folder: Path) -> tuple[str, Reader]:
    """The page, after the checks that hold for every page."""
    path = folder / "page" / "report.html"
    write_report(path, board, dataset)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
    reader = Reader(text)
    assert "http:" not in text and "https:" not in text and "xmlns" not in text
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "object", "base", "form", "metadata")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert all(f"url({reference}" in ("url(#",) for reference in re.findall(r"url\((.)", text))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert {a or b for a, b in used} <= set(ids)
    assert [each for each in ids if each in SECTIONS] == SECTIONS
    return text, reader


@pytest.fixture(scope="module")
def toy() -> Dataset:
    return load("toy-bits")


@pytest.fixture(scope="module")
def people() -> Dataset:
    chance = np.random.default_rng(0)
    age = chance.integers(18, 80, 400)
    frame = pd.DataFrame(
        {
            "age": np.where(chance.random(400) < 0.1, np.nan, age),
            HOSTILE: np.where(
                age > 50, "<img src=x onerror=alert(1)>", np.where(age > 30, "b & c", None)
            ),
            "pay": np.exp(chance.normal(8, 2, 400)).round(2),
            "height": chance.normal(170, 10, 400),
            "since": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(chance.integers(0, 2000, 400), "D"),
            "town": [f"town {k}" for k in chance.integers(0, 40, 400)],
            "member": age % 2 == 0,
            "only": 1,
        }
    )
    return load(frame)


def test_a_toy_with_its_truth_and_a_refusal(toy: Dataset, tmp_path: Path) -> None:
    board = board_of(toy, tmp_path, "independent", "chow_liu")
    assert toy.truth is not None
    board.rows.append(
        BoardRow(
            "truth",
            "known",
            test=ExactLikelihood(toy.truth.log_prob(toy.test.codes.float()), toy.schema.size),
        )
    )
    board.rows.append(BoardRow("joint", "explicit", refusal="<b>too large</b>"))
    text, reader = written(board, toy, tmp_path)
    assert (
        text.count('<tr class="best">') == 1
        and '<tr class="truth">' in text
        and '<tr class="refused">' in text
    )
    assert "refused: <b>too large</b>" in reader.text
    assert (
        "chow_liu gives a test row a mean log p of" in reader.text
        and "It leads independent by" in reader.text
    )
    assert "no model can beat it but by chance" in reader.text
    assert (
        "Without a curve, since they learn by counting or left no log: chow_liu, independent."
        in reader.text
    )
    assert "set aside" not in reader.text and f"{toy.schema.size}" in reader.text
    assert board.caption() in reader.text


def test_a_mixed_table_with_holes_and_hostile_names(people: Dataset, tmp_path: Path) -> None:
    text, reader = written(board_of(people, tmp_path, "chow_liu", "markov"), people, tmp_path)
    assert "<script" not in text and "<img src=x" not in text
    assert "<script>alert(" in reader.text  # as text
    assert "column 'only' is set aside" in reader.text
    assert (
        "missing" in reader.text
        and "town 1" in reader.text
        and "town 39" not in text.split('id="columns"')[0]
    )
    assert "Column by column" in reader.text and "The pairs of columns" in reader.text
    assert "What was guessed about each of the 8 columns" in reader.text
    assert "training rows (the 40 test rows are too few to draw)" in reader.text


def test_images(tmp_path: Path) -> None:
    digits = load("digits-binary")
    board = board_of(digits, tmp_path, "independent", "made")
    text, reader = written(board, digits, tmp_path)
    pictures = [attributes for tag, attributes in reader.tags if tag == "img"]
    titles = [picture["alt"] for picture in pictures]
    assert (
        board.best is not None
        and titles[:2] == ["real test rows", board.best.model]
        and "mean of the test rows" in titles
        and "colour bar" in titles
    )
    assert 'id="columns"' not in text
    assert "loss on training and validation rows by step" in text


def test_one_row(toy: Dataset, tmp_path: Path) -> None:
    _, reader = written(board_of(toy, tmp_path, "markov"), toy, tmp_path)
    assert "It leads" not in reader.text


def test_without_data(people: Dataset, toy: Dataset, tmp_path: Path) -> None:
    _, reader = written(board_of(people, tmp_path, "markov"), None, tmp_path)
    assert reader.text.count("This page was made without the data") == 2
    assert "column 'only' is set aside" in reader.text and "300" in reader.text
    digits = load("digits-binary")
    _, reader = written(board_of(digits, tmp_path, "markov"), None, tmp_path)
    assert [a["alt"] for tag, a in reader.tags if tag == "img"] == ["markov"]


@pytest.mark.parametrize("known", [True, False])
def test_everything_refused(toy: Dataset, tmp_path: Path, known: bool) -> None:
    board = Board([BoardRow("joint", "explicit", refusal="too large")], data="toy-bits")
    _, reader = written(board, toy if known else None, tmp_path)
    assert "No model was fitted" in reader.text and "refused: too large" in reader.text


def test_repeated_models_are_told_apart_and_bounds_are_marked(toy: Dataset, tmp_path: Path) -> None:
    first, second = (
        fitted("markov", toy, tmp_path / "a"),
        fitted("independent", toy, tmp_path / "b"),
    )
    for row, name in ((first, "markov-0"), (second, "markov-1")):
        assert row.run is not None
        row.run.path = tmp_path / name
    assert second.test is not None
    bounded = LikelihoodLowerBound(second.test.nats, toy.schema.size)
    board = Board(
        [first, BoardRow("markov", "explicit", test=bounded, run=second.run)], data="toy-bits"
    )
    _, reader = written(board, toy, tmp_path)
    assert (
        "markov-0" in reader.text
        and "Not compared as equals, since a bound is involved: markov-1." in reader.text
    )


def test_wide_and_numeric_arrays(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    wide = load((chance.random((300, 60)) < 0.3).astype(np.uint8))
    _, reader = written(board_of(wide, tmp_path, "independent"), wide, tmp_path)
    assert (
        "Shown are the 24 of 60 columns" in reader.text and "the 40 of 60 variables" in reader.text
    )
    numbers = load(chance.normal(size=(300, 3)))
    written(board_of(numbers, tmp_path, "markov"), numbers, tmp_path)


def test_of_wide_tables_the_columns_are_looked_at_that_differ_most(
    people: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_tables, "MAX_COLUMNS", 3)
    real = people.schema.event_codes(people.test.codes)
    made = real.clone()
    made[:, [1, 4]] = made[:, [1, 4]].flip(0)  # the same shares
    made[:, 2], made[:, 3] = real[0, 2], real[0, 3]
    made[: len(made) // 2, 0] = real[0, 0]
    places = wide_tables.choose_columns(people, people.test.codes, made)
    assert places == [0, 2, 3]
    kept = wide_tables.keep_columns(people, places)
    for part in ("train", "test", "shown"):
        rows = people.format.rows(getattr(people, part))
        same = kept.format.rows(getattr(kept, part))
        assert same.equals(rows[[people.names[place] for place in places]])
    _, reader = written(board_of(people, tmp_path, "independent"), people, tmp_path)
    assert "of the 3 columns whose shares of codes differ most" in reader.text


def test_a_column_that_never_varies_in_the_held_out_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0] * 199 + [1], "b": [None] * 150 + [1.5] * 50})
    data = load(frame)
    written(board_of(data, tmp_path, "chow_liu"), data, tmp_path)


def test_a_course_takes_only_sound_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert figures.read_plotted_training(path) is None
    lines = [
        '{"step": 1, "loss": 2, "validation": 3}',
        "{",
        "7",
        '{"step": 2, "loss": NaN, "validation": 3}',
    ]
    path.write_text("\n".join(lines))
    assert figures.read_plotted_training(path) is None
    path.write_text("\n".join([*lines, '{"step": 3, "loss": 1.5, "validation": 2.5}']))
    assert figures.read_plotted_training(path) == figures.PlottedTraining(
        [1, 3], [2, 1.5], [3, 2.5], [{}, {}]
    )


def test_edges_hold_all_numbers() -> None:
    chance = np.random.default_rng(2)
    for values in (
        chance.integers(0, 5, 100),
        chance.normal(size=100),
        np.exp(3 * chance.normal(size=100)),
        np.array([1e300, 1e-300] * 30),
        np.array([3.25]),
        np.array([2.0**52, 2.0**52 + 1]),
        chance.integers(-(10**6), 10**6, 100),
    ):
        edges = scales.number_edges(values.astype(float))
        assert len(edges) > 1 and (np.diff(edges) > 0).all() and len(edges) < 45


def test_what_tables_are_shown_beyond_their_columns(people: Dataset, tmp_path: Path) -> None:
    text, reader = written(board_of(people, tmp_path, "independent"), people, tmp_path)
    assert "The pairs of columns that differ most, beyond chance" in reader.text
    assert "How columns depend on each other" in reader.text and "samples: above" in reader.text
    table = text.split('<table class="surprising">')[1].split("</table>")[0]
    assert table.count("<tr>") == 9 and "&lt;script&gt;" in table
    assert len(text) < 400_000


def test_cells_are_written_as_rows_write_them(people: Dataset) -> None:
    assert people.format.table
    found, rows = (
        tables.read_cell_texts(people.format, people.test, {"age", "town", "member"}),
        people.format.rows(people.test),
    )
    variables = {*people.format.names}
    assert {*found} & variables == {"age", "town", "member"}
    assert [cell == "missing" for cell in found["age"]] == rows["age"].isna().tolist() and rows[
        "age"
    ].isna().any()
    assert found["town"] == rows["town"].tolist() and found["member"][0] == str(
        rows["member"].iloc[0]
    )


def test_the_most_surprising_rows_are_explained_by_bits_that_add_up(
    people: Dataset, tmp_path: Path
) -> None:
    row = fitted("chow_liu", people, tmp_path)
    assert row.run is not None and row.test is not None
    subject = SimpleNamespace(run=row.run, label="chow_liu")
    found = tables.surprising_section([subject], people)  # type: ignore[list-item]
    assert found is not None
    bits = np.sort(-row.test.nats.numpy() / np.log(2))[::-1]
    assert [float(each) for each, _ in found.rows] == pytest.approx(
        bits[: len(found.rows)], abs=0.06
    )
    for total, cells in found.rows:
        assert sum(float(cell.bits) for cell in cells) == pytest.approx(
            float(total), abs=0.06 * len(cells)
        )
        assert all(0 <= cell.shade <= 1 for cell in cells)
    assert max(cell.shade for _, cells in found.rows for cell in cells) == 1
    assert f"whose mean is {bits.mean():.1f} bits" in found.lead
    assert {name for name, _ in found.headings} >= {"age", "town"}
    assert (
        tables.surprising_section([], people) is None
        and tables.surprising_section([subject], None) is None
    )  # type: ignore[list-item]


def test_pairs_that_differ_are_those_whose_dependence_was_lost() -> None:
    chance = np.random.default_rng(4)
    real, made = (chance.integers(0, 4, (1000, 5)).astype(float) for _ in range(2))
    bins = pair_bins([Grid()] * 5, real)
    assert all(excess < 0.04 for _, _, excess in tables.pairs_apart(bins, real, made))
    real[:, 3] = real[:, 1]
    ((i, j, excess), *_) = tables.pairs_apart(bins, real, made)
    assert (i, j) == (1, 3) and excess > 0.5


def test_information_of_copies_and_of_strangers() -> None:
    chance = np.random.default_rng(3)
    a, b = chance.integers(0, 4, 20_000), chance.integers(0, 4, 20_000)
    assert samples.information_bits(a, a) == pytest.approx(2, abs=0.01)
    assert samples.information_bits(a, b) == pytest.approx(0, abs=0.002)


def test_surprisal_sums_to_the_score(toy: Dataset, tmp_path: Path) -> None:
    row = fitted("chow_liu", toy, tmp_path)
    assert row.test is not None
    ((_, bits),) = figures.mean_surprisal([SimpleNamespace(run=row.run)], toy.test.codes)  # type: ignore[list-item]
    assert bits.sum() == pytest.approx(-row.test.value / np.log(2), rel=1e-6)


def test_the_ladder_is_read_off_the_classes() -> None:
    assert (
        capability_ladder(MODELS["markov"])[:2] == ["Trainable", "Model"]
        and capability_ladder(MODELS["markov"])[-1] == "DecomposableModel"
    )
