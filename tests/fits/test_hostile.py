"""Names and values that try to steer a terminal, a page, a figure or a spreadsheet, through every command."""

import csv
import re
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly import report
from plausibly.data.columns import guesses, numbers
from plausibly.data.files import spreadsheets
from plausibly.data.files.spreadsheets import escape_formulas
from plausibly.printing import print_data, print_progress, visible

pytestmark = pytest.mark.usefixtures("drawn")
ESC, OSC, CSI, TURN = "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "\u202eevil"
NAMES = [f"a{ESC}", f"b{OSC}\r", f"c{TURN}\n$x^$", "[bold]d[/bold] :warning: <b>"]
LEVELS = [f"x{ESC}", f"y{CSI}", f"z{TURN}\r\nfake line", "=cmd|' /C calc'!A0"]
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hostile_rows(rows=240):
    picks = np.random.default_rng(0)
    cells = {name: picks.choice(LEVELS, rows) for name in NAMES}
    cells[NAMES[1]] = np.where(picks.random(rows) < 0.8, cells[NAMES[0]], cells[NAMES[1]])
    return pd.DataFrame(cells | {"-n": picks.integers(-9, 9, rows)})


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A folder with a hostile name, a file in it, and a run of it."""
    folder = tmp_path_factory.mktemp("hostile") / f"f{ESC}{TURN}"
    folder.mkdir()
    data = folder / f"d{OSC}\r[bold].csv"
    hostile_rows().to_csv(data, index=False, quoting=csv.QUOTE_ALL)
    return data, plausibly.fit(data, "chow_liu", out=folder / f"run{CSI}").path


def commands(data, run):
    held, filled = data.with_name("held.csv"), data.with_name(f"new{ESC}.csv")
    frame = hostile_rows(30)
    frame.loc[::3, NAMES[0]] = None
    frame.to_csv(held, index=False, quoting=csv.QUOTE_ALL)
    given = f"{NAMES[0]}={LEVELS[0]}"
    yield from (
        ["data", data],
        ["models", "--data", data],
        ["report", run],
        ["check", run],
        ["evaluate", run],
    )
    yield ["data", data, "--write-kinds", data.with_name(f"kinds{ESC}.toml")]
    yield ["fit", data, "--model", "markov", "--out", run.with_name(f"other{ESC}")]
    yield ["compare", data, "--models", "independent,markov", "--out", run.with_name(f"board{ESC}")]
    yield from (
        ["score", run, held],
        ["score", run, held, "--each"],
        ["score", run, held, "--out", filled],
    )
    yield from (
        ["query", run, NAMES[1], "--given", given],
        ["query", run, NAMES[2], "--about", NAMES[0]],
    )
    yield from (["sample", run, "-n", 5, "--out", filled], ["impute", run, held, "--out", filled])
    yield ["classify", run, data, "--target", NAMES[0]]
    yield from (
        ["compress", run, data, data.with_suffix(".pls")],
        ["decompress", data.with_suffix(".pls"), filled],
    )
    yield ["ensemble", run, run.with_name(f"other{ESC}")]


def wrong_commands(data, run):
    yield from (
        ["query", run, ESC],
        ["query", run, NAMES[0], "--given", f"{NAMES[1]}={ESC}"],
        ["data", f"no{ESC}.csv"],
    )
    yield from (
        ["sample", f"no{ESC}"],
        ["fit", data, "--model", ESC],
        ["fit", data, "--out", run],
        [f"no{ESC}"],
    )
    yield from (
        ["data", data, "--kind", f"{NAMES[0]}={ESC}"],
        ["fit", data, f"--{ESC}"],
        ["fit", "--resume", run],
    )
    yield from (
        ["fit", data, "--set", f"{ESC}=1"],
        ["score", run, data, "--out", f"x{ESC}"],
        ["score", run, data.parent],
    )


def test_no_name_and_no_value_steers_the_terminal(hostile, cli, monkeypatch):
    monkeypatch.setattr(
        report, "write_report", lambda path, *_: path.touch()
    )  # which has a test of its own
    for words in commands(*hostile):
        status, out, err = cli(*words)
        assert status in (0, 2) and "Traceback" not in err, (words, err)
        assert not RAW.search(out) and not RAW.search(err), (words, out, err)
        assert status == 0 or words[0] == "ensemble", (words, err)
        assert "fake line" not in {line.strip() for line in (out + err).splitlines()}


def test_no_error_steers_the_terminal(hostile, cli):
    for words in wrong_commands(*hostile):
        status, out, err = cli(*words)
        assert status == 2 and not out and err.count("\n") == 1, (words, out, err)
        assert not RAW.search(err), (words, err)


def test_a_nul_in_a_name_is_one_line(hostile, cli):
    for words in (
        ["data", "a\0b.csv"],
        ["evaluate", "a\0b"],
        ["fit", "toy-bits", "--model", "markov", "--out", "a\0b"],
    ):
        status, _, err = cli(*words)
        assert status == 2 and "Traceback" not in err, err


def test_json_and_files_keep_what_is_in_the_data(hostile, cli):
    run = hostile[1]
    status, out, _ = cli("sample", run, "-n", 40, "--json")
    assert status == 0 and not RAW.search(out)
    status, _, _ = cli("sample", run, "-n", 40, "--out", "x.csv")
    with open("x.csv", newline="") as file:
        found = list(csv.reader(file))
    assert status == 0 and found[0] == [*NAMES, "-n"] and {row[0] for row in found[1:]} <= {*LEVELS}
    status, out, _ = cli("sample", run, "-n", 40)
    assert status == 0 and out.startswith(NAMES[0]) and LEVELS[0] in out


def test_a_page_says_hostile_names_literally(hostile):
    page = (hostile[1] / "report.html").read_text()
    assert "[bold]d[/bold]" in page and "warning: &lt;b&gt;" in page and "<b> " not in page
    assert "$x^$" in page and not RAW.search(page)


def test_a_terminal_shows_what_would_steer_it(capsys, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    print_data(f"{ESC},{TURN}\n")
    print_progress(f"  {ESC}", last=True, width=20)
    out, err = capsys.readouterr()
    assert out == "\\x1b[31mred,\\u202eevil\n" and err == "\r  \\x1b[31mred       \n"
    assert visible("näme 数据 🙂\xa0") == "näme 数据 🙂\xa0"


def test_tracebacks_warnings_and_other_libraries_do_not_steer_it(capsys):
    from plausibly.cli.commands import exit_status as status_of

    def bug():
        warnings.warn(ESC, stacklevel=1)
        print(OSC, file=sys.stderr)
        raise KeyError(CSI, ESC)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
        assert status_of(bug) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and "\\x1b[31mred" in err and "\\x07" in err and not RAW.search(err)


def test_cells_that_a_spreadsheet_would_run_are_guarded_where_asked(hostile, cli):
    run = hostile[1]
    assert cli("sample", run, "-n", 60, "--out", "plain.csv")[0] == 0
    assert cli("sample", run, "-n", 60, "--out", "guarded.csv", "--guard-formulas")[0] == 0
    rows = []
    for name in ("plain.csv", "guarded.csv"):
        with open(name, newline="") as file:
            rows.append(list(csv.reader(file)))
    plain, safe = rows
    assert safe[0][-1] == "'-n" and any(row[0] == f"'{LEVELS[3]}" for row in safe)
    assert not [cell for row in safe for cell in row if cell[:1] in "=@+\t" and cell]
    assert [row[-1] for row in safe[1:]] == [row[-1] for row in plain[1:]]  # numbers stay
    assert [[cell.removeprefix("'") for cell in row] for row in safe] == plain
    out = cli("sample", run, "-n", 60, "--guard-formulas")[1]
    assert ",'-n\n" in out


def test_what_is_guarded():
    lines = '=a,-n\n-3.5,"=1,2"\n"@x",+1e5\n-a,""\n\t9,"""=q"\n'
    assert (
        escape_formulas(lines, ",")
        == '\'=a,\'-n\n-3.5,"\'=1,2"\n"\'@x",+1e5\n\'-a,""\n\'\t9,"""=q"\n'
    )
    assert escape_formulas("\ufeff=a;b\n", ";") == "\ufeff'=a;b\n"


@pytest.mark.parametrize(
    "pattern",
    [numbers.NUMBER, guesses.DRESSED_NUMBER, spreadsheets.NUMBER],
    ids=lambda p: p.pattern[:9],
)
def test_long_cells_take_no_squared_time(pattern):
    many = 50_000  # squared, minutes
    began = time.process_time()
    for cell in (
        " " * many,
        "1" * many,
        "-" + "1" * many,
        "1" + " " * many,
        "1." + "1" * many,
        "1,111" * many,
    ):
        assert not pattern.fullmatch(cell + "x")
    assert time.process_time() - began < 5
