"""Text files as people have them: what separates cells, and how numbers, dates and holes are spelled."""

from pathlib import Path

import numpy as np
import pytest
import torch

from plausibly.data import Dataset, load, load_rows
from plausibly.data.numbers import written
from plausibly.data.streaming import table_file

LINES = [[str(n % 7), "abc"[n % 3], f"{n / 4:.2f}"] for n in range(60)]


def loaded(tmp_path: Path, text: str | bytes, **options: object) -> Dataset:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(str(path), **options)


def joined(mark: str, newline: str = "\n", header: str = "n|c|x") -> str:
    return newline.join([header.replace("|", mark), *(mark.join(line) for line in LINES), ""])


DIALECTS = {
    "comma": joined(","),
    "semicolon": joined(";"),
    "bar": joined("|"),
    "excel says": "sep=;\r\n" + joined(";", "\r\n"),
    "a mark and what excel says": "\ufeffsep=;\n" + joined(";"),
    "spaces behind": joined(", "),
    "a comma in the header": joined(";", header="n (0, 6)|c|x"),
    "commas in header and cells": joined(";", header="n (a, b)|c|x").replace(".", ","),
    "bars in cells": joined(",").replace("a", "a|b"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_separates_cells_is_told_by_the_rows(tmp_path: Path, dialect: str) -> None:
    """And the file comes back byte for byte, whether it is read as a whole or a piece at a time."""
    data = loaded(tmp_path, DIALECTS[dialect])
    assert [column.name[0] for column in data.format.columns] == ["n", "c", "x"] and data.regular, data.notes
    rows = load_rows(str(tmp_path / "t.csv"), data.format)
    data.format.write(data.format.rows(data.format.events(rows)), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes().decode() == DIALECTS[dialect]
    pieces = list(table_file(tmp_path / "t.csv").frames(7))
    assert sum(map(len, pieces)) == 60 and pieces[1].equals(rows[7:14].reset_index(drop=True))


@pytest.mark.parametrize("header", ["n, c, x", "n,c,x"])
def test_quotes_may_stand_behind_a_space(tmp_path: Path, header: str) -> None:
    data = loaded(tmp_path, f"{header}\n" + "".join(f'{n}, "{c}, d", {x}\n' for n, c, x in LINES))
    column = data.format.describe()[1]
    assert data.format.names == ("n", "c", "x") and set(column["levels"]) == {"a, d", "b, d", "c, d"}
    assert data.regular is (header == "n, c, x")


def test_lines_are_counted_from_the_first(tmp_path: Path) -> None:
    from plausibly.errors import UserError

    with pytest.raises(UserError, match="line 4: 3 cells, but the header has 2"):
        loaded(tmp_path, "sep=;\na;b\n1;2\n3;4;5\n")


@pytest.mark.parametrize("text", [".0", "+.0", "-.00", "0.", "-.5", ".5e3", "1e400", "-0"])
def test_numbers_without_a_digit_before_the_point(tmp_path: Path, text: str) -> None:
    digits, decimals = written(text)
    assert digits / 10**decimals == float(text) if text != "1e400" else digits == 10**400
    data = loaded(tmp_path, "c,x\n" + "".join(f"{['a', text, 'b'][n % 3]},{n % 5}\n" for n in range(60)))
    assert data.format.describe()[0]["kind"] == "category" and torch.isfinite(data.train.log_within).all()


@pytest.mark.parametrize("text", [".", "+", "-", "e5", ".e5", "--1", "1 000", "1\u00a0000", "١٢", "0x1F", "1_000"])
def test_what_is_no_number(text: str) -> None:
    assert written(text) is None


def test_a_day_that_never_comes_is_a_date(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    days = [str(np.datetime64("2021-01-01") + int(day)) for day in chance.integers(0, 700, 300)]
    data = loaded(tmp_path, "until,v\n" + "".join(f"{day},1\n9999-12-31,2\n" for day in days))
    column = data.format.describe()[0]
    assert column["kind"] == "date" and column["range"][1] == "9999-12-31"
