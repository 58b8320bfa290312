"""Rows that are read and written again give the same file, byte for byte; or the report says before a fit where not."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import REAL_SETS

from plausibly.data import Dataset, load, load_rows
from plausibly.data.formats.builders import format_from_json
from plausibly.errors import UserError

TABLES = REAL_SETS / "tables"
LINES = [f"{n % 7},{'abc'[n % 3]},{n / 4:.2f},2020-01-{1 + n % 28:02d}" for n in range(60)]
PLAIN = "n,c,x,d\n" + "".join(f"{line}\n" for line in LINES)


def again(data: Dataset, path: Path) -> bytes:
    """The file that its rows give when they are written, by the format's JSON."""
    format = format_from_json(json.loads(json.dumps(data.format.to_json())))
    copy = path.with_name(f"again-{path.name.removesuffix('.gz')}")
    format.output(copy).write_all(
        format.rows(format.events(load_rows(str(path), format)), copy), copy
    )
    return copy.read_bytes()


def written(text: str, tmp_path: Path, name: str = "t.csv") -> tuple[Dataset, bool]:
    """The data of such a file, and whether they come back byte for byte."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    data = load(str(path))
    return data, again(data, path) == path.read_bytes()


def quoted(line: str, places: set[int]) -> str:
    return ",".join(
        f'"{cell}"' if place in places and cell != "NA" else cell
        for place, cell in enumerate(line.split(","))
    )


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace(",", ";"),
        "".join(quoted(line, {0, 1, 2, 3}) + "\n" for line in PLAIN.splitlines()),
        quoted("n,c,x,d", {0, 1, 2, 3})
        + "\n"
        + "".join(quoted(line, {1, 3}) + "\n" for line in LINES),  # as R writes
        "n,c,x,d\n" + "".join(quoted(line, {1}) + "\n" for line in [*LINES, "NA,NA,NA,NA"]),
        PLAIN + ",,,\n1,,,\n",
        PLAIN + '"","","",""\n',
        PLAIN + "NA,b,,\n,b,NA,\n",
        PLAIN + '1,"a,b","1.00",\n'.replace('"1.00"', "1.00"),
        PLAIN + '1,"say ""hi""",1.00,\n' + '1,"two\nlines",1.00,\n',
        PLAIN.replace(",a,", ",00501,").replace(",b,", ",00502,"),
        PLAIN.replace(",a,", ",é,"),
        "x\n" + "".join(f"{n % 5}\n" for n in range(50)) + '""\n',
    ],
    ids=range(15),
)
def test_regular_files_come_back_byte_for_byte(text: str, tmp_path: Path) -> None:
    data, same = written(text, tmp_path)
    assert same and data.regular and not any("byte" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN.replace(",", "\t"), ["line 1", "'n\\tc\\tx\\td' where 'n,c,x,d'"]),  # in a .csv
        (
            PLAIN + '1,"a",1.50,2020-01-01\n',
            ["line 62", "'1,\"a\",1.50,2020-01-01' where '1,a,1.50"],
        ),
        (PLAIN + "1,a,1.50,2020-01-01\r\n", ["line 62 ends otherwise"]),
        (PLAIN[:-1], ["line 61 does not end"]),
        (PLAIN + "\n1,a,1.50,2020-01-01\n", ["line 62 is blank"]),
        (PLAIN + '"",,,\n', ["line 62", "',,,'"]),
    ],
    ids=range(6),
)
def test_the_report_says_what_is_not_regular(text: str, words: list[str], tmp_path: Path) -> None:
    data, same = written(text, tmp_path)
    notes = " ".join(note for note in data.notes if note.startswith("not byte for byte: "))
    assert not same and data.regular is False and all(word in notes for word in words), notes


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,a,1.5,2020-01-01\n", ["column 'x'", "1 of 61 texts", "'1.5' for '1.50'"]),
        ("+1,a,1.50,2020-01-01\n", ["column 'n'", "'+1' for '1'"]),
        (" 1,a,1.50,2020-01-01\n", ["column 'n'", "' 1' for '1'"]),
        ("1e1,a,1.50,2020-01-01\n", ["column 'n'", "'1e1' for '10'"]),
        ("-0,a,1.50,2020-01-01\n", ["column 'n'", "'-0' for '0'"]),
    ],
)
def test_numbers_that_are_spelled_otherwise_come_back_as_they_are(
    line: str, words: list[str], tmp_path: Path
) -> None:
    """And the report says that drawn ones are not spelled so."""
    data, same = written(PLAIN + line, tmp_path)
    notes = " ".join(note for note in data.notes if "not spelled as drawn ones will be" in note)
    assert same and data.regular and all(word in notes for word in words), data.notes


def test_the_command_says_so_before_a_fit(cli) -> None:
    Path("regular.csv").write_text(PLAIN)
    Path("other.csv").write_text(PLAIN + '1,"a",1.50,2020-01-01\n')
    assert "rows written again give this file, byte for byte" in cli("data", "regular.csv")[1]
    assert json.loads(cli("data", "regular.csv", "--json")[1])["byte_for_byte"] is True
    status, out, _ = cli("data", "other.csv")
    assert status == 0 and "not byte for byte: line 62 has" in out
    assert json.loads(cli("data", "other.csv", "--json")[1])["byte_for_byte"] is False


def test_tabs_come_back_in_a_tsv(tmp_path: Path) -> None:
    data, same = written(PLAIN.replace(",", "\t"), tmp_path, "t.tsv")
    assert same and data.regular


def test_nothing_is_said_where_it_would_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(PLAIN)
    assert load(str(tmp_path / "t.csv"), drop=["x"]).regular is None
    assert load(pd.DataFrame({"a": [1, 2, 3] * 9})).regular is None


cells = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=4),
    st.integers(-99, 99).map(str),
    st.integers(-999, 999).map(lambda x: f"{x / 100:.2f}"),
    st.sampled_from(
        [
            "",
            "00501",
            "NA",
            "true",
            "True",
            "2020-02-29",
            "1/2/2020",
            '"',
            "a,b",
            "x\ny",
            "1e5",
            "+1",
            "1.5",
            " 2",
        ]
    ),
)
quoting = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(cells, cells, st.sampled_from("abc")), min_size=5, max_size=12),
    quoting,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(",;\t"),
    st.booleans(),
    st.booleans(),
)
def test_a_file_is_regular_exactly_where_the_report_says_so(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list,
    quotes: int,
    newline: str,
    delimiter: str,
    mark: bool,
    ended: bool,
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=quotes, lineterminator=newline, delimiter=delimiter)
    writer.writerows([("p", "q q", "r"), *rows, ("a", "1", "b"), ("b", "2", "c")])
    text = "\ufeff" * mark + (out.getvalue() if ended else out.getvalue().removesuffix(newline))
    try:
        data, same = written(text, tmp_path_factory.mktemp("text"))
    except UserError as error:
        assert any(word in str(error) for word in ("infinite", "nothing to model", "`--kind`"))
        return
    assert data.regular is same, data.notes


@pytest.mark.real
@pytest.mark.parametrize("path", sorted(TABLES.glob("*.csv.gz")), ids=lambda path: path.name)
def test_real_tables_come_back_byte_for_byte(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    data = load(str(copy))
    assert data.regular and again(data, copy) == gzip.decompress(path.read_bytes())
    assert np.isfinite(data.train.log_within.numpy()).all()
