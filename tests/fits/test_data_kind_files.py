"""A file of kinds says again what was guessed, and what the user says instead."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import REAL_SETS

from plausibly.cli import look
from plausibly.data import load
from plausibly.data.columns import kind_files
from plausibly.data.columns.column import Column
from plausibly.data.formats import table_learning
from plausibly.errors import UserError

TABLES = REAL_SETS / "tables"


def mixed() -> pd.DataFrame:
    chance, rows = np.random.default_rng(0), 400
    moments = pd.Timestamp("2001-01-01") + pd.to_timedelta(
        chance.integers(0, 10**8, rows), unit="s"
    )
    columns = {
        "key": [f"K{n:04d}" for n in chance.permutation(9_999)[:rows]],
        "said": [" ".join(chance.choice(["tea", "cake", "and", "milk"], 9)) for _ in range(rows)],
        "site": "north",
        "sex": chance.choice(["f", "m"], rows),
        "city of birth": chance.choice(["Rome", "Graz", ""], rows),
        "a.b": chance.integers(0, 9_999, rows),
        "m": chance.integers(0, 9_999, rows) / 100,
        "x": chance.normal(size=rows),
        "day": moments.strftime("%d/%m/%Y"),
        "at": moments.strftime("%Y-%m-%d %H:%M:%S"),
        "n": np.where(chance.random(rows) < 0.1, "NA", chance.integers(0, 99, rows).astype(str)),
        "1": chance.integers(0, 9_999, rows) * 25,
    }
    return pd.DataFrame(columns)


def columns_of(source: Path, **options: object) -> list[Column]:
    """What is learned of each column, but for the reason that is said."""
    return [replace(column, why="") for column in load(str(source), **options).format.table.columns]


def test_what_was_guessed_is_learned_again(cli) -> None:
    mixed().to_csv("t.csv", index=False)
    status, out, err = cli("data", "t.csv", "--write-kinds", "kinds.toml")
    assert status == 0, err
    assert "Override a guess in the file, and give it with --kinds" in out
    kinds = kind_files.read_kinds("kinds.toml")
    assert kinds == {
        "key": "id", "said": "text", "site": "constant", "sex": "boolean", "city of birth": "category", "a.b": "integer",
        "m": "number", "x": "real", "day": "date:%d/%m/%Y", "at": "date:%Y-%m-%d %H:%M:%S", "n": "integer", "1": "integer",
    } | {"sex": kinds["sex"]}  # fmt: skip
    assert columns_of(Path("t.csv"), kinds=kinds) == columns_of(Path("t.csv"))


def test_of_many_columns_some_are_shown_and_all_are_counted(cli, monkeypatch) -> None:
    monkeypatch.setattr(look, "COLUMNS_SHOWN", 3)
    monkeypatch.setattr(look, "NOTES_SHOWN", 2)
    monkeypatch.setattr(table_learning, "COLUMNS_PER_REPORT", 5)
    mixed().to_csv("t.csv", index=False)
    lines = cli("data", "t.csv")[1].splitlines()
    shown = [line.split()[0] for line in lines[2:5]]
    assert shown == ["key", "said", "site"] and lines[5].startswith(
        "and 9 more columns, in all 3 integer, "
    )
    assert lines[5].endswith("; --json or --write-kinds FILE lists all")
    document = json.loads(cli("data", "t.csv", "--json")[1])
    assert len(document["columns"]) == 12
    assert f"and {len(document['notes']) - 2} more remarks such as these; --json lists all" in lines
    told: list[tuple[int, int]] = []
    load("t.csv", on_progress=lambda *cells: told.append(cells))
    assert told == [(5 * 300, 12 * 300), (10 * 300, 12 * 300)]


@pytest.mark.real
@pytest.mark.parametrize("name", ["adult_test", "titanic", "penguins", "r_lending_club"])
def test_real_tables(name: str, tmp_path: Path) -> None:
    source = TABLES / f"{name}.csv.gz"
    kind_files.write_kinds(load(str(source)).format.describe(), name, tmp_path / "k.toml")
    assert columns_of(source, kinds=kind_files.read_kinds(tmp_path / "k.toml")) == columns_of(
        source
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=5, unique=True)
)
def test_any_name_of_a_column_can_be_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("kinds") / "k.toml"
    kind_files.write_kinds(
        [{"name": name, "kind": "integer", "guess": f"for {name}"} for name in names], "t.csv", path
    )
    assert kind_files.read_kinds(path) == dict.fromkeys(names, "integer")


def test_an_edited_file_is_followed_and_the_command_line_wins(cli) -> None:
    mixed().to_csv("t.csv", index=False)
    Path("k.toml").write_text('"a.b" = "category"\nm = "drop"\nsaid = "category"  # for once\n')
    found = json.loads(cli("data", "t.csv", "--kinds", "k.toml", "--kind", "a.b=real", "--json")[1])
    kinds = {column["name"]: column["kind"] for column in found["columns"]}
    assert kinds["a.b"] == "real" and kinds["said"] == "category" and "m" not in kinds
    assert (
        cli(
            "fit", "t.csv", "--kinds", "k.toml", "--model", "independent", "--out", "run", "--quiet"
        )[0]
        == 0
    )
    record = json.loads(Path("run/run.json").read_text())
    assert record["data"]["options"]["kinds"] == {
        "a.b": "category",
        "m": "drop",
        "said": "category",
    }
    Path("k.toml").unlink()
    assert cli("evaluate", "run", "--quiet")[0] == 0  # the run has them


def test_what_is_left_out_stays_left_out(cli) -> None:
    mixed().to_csv("t.csv", index=False)
    assert cli("data", "t.csv", "--drop", "said", "m", "--write-kinds", "k.toml")[0] == 0
    assert kind_files.read_kinds("k.toml").items() >= {"said": "drop", "m": "drop"}.items()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'age = "intger"',
            [
                "k.toml",
                "column 'age' cannot be 'intger'",
                "did you mean 'integer'",
                "boolean, category",
            ],
        ),
        ("age = 3", ["k.toml", "column 'age' cannot be 3"]),
        ("age = integer", ["k.toml", "line 1", 'COLUMN = "kind"']),
        ('age = "real"\nage = "id"', ["k.toml", "Cannot overwrite", "each column once"]),
        ('agee = "real"', ["there is no column 'agee'", "did you mean 'age'"]),
        ('age = "date:%q"', ["column 'age'", "'%q' is no form", "%d/%m/%Y"]),
        ('name = "integer"', ["column 'name' cannot be integer", "'a'"]),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(cli, text: str, words: list[str]) -> None:
    pd.DataFrame({"age": range(60), "name": list("abc") * 20}).to_csv("t.csv", index=False)
    Path("k.toml").write_text(text)
    status, out, err = cli("data", "t.csv", "--kinds", "k.toml")
    assert (
        status == 2 and out == "" and err.count("\n") == 1 and all(word in err for word in words)
    ), err


def test_files_that_are_not_there_or_already_there(cli) -> None:
    mixed().to_csv("t.csv", index=False)
    assert "--write-kinds none.toml` makes it" in cli("data", "t.csv", "--kinds", "none.toml")[2]
    Path("k.toml").write_text("")
    assert "already exists" in cli("data", "t.csv", "--write-kinds", "k.toml")[2]
    assert "is no table" in cli("data", "digits", "--write-kinds", "new.toml")[2]
    with pytest.raises(UserError, match="cannot read"):
        kind_files.read_kinds("nowhere.toml")
