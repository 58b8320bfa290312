"""What commands print fits the terminal: no line is too wide, and no word is broken."""

import re
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from plausibly import printing
from plausibly.cli import console, layout
from plausibly.cli.commands import app
from plausibly.cli.console import ConsoleTable, RawText

WIDTHS = (60, 80, 120)
COMMANDS = (
    "compare houses.csv --models chow_liu,gaussian,independent --out c",
    "fit houses.csv --model vae --steps 5 --out v --wide --explain",
    "fit houses.csv --model independent --context price --kind price=real",
    "compare houses.csv --models chow_liu --context price_in_dollars_of_the_year_of_sale --kind "
    "price_in_dollars_of_the_year_of_sale=real --out p",
    "fit houses.csv --model independent --out i --budget 5min",
    "data houses.csv",
    "data digits-binary",
    "models",
    "models transformer --data houses.csv",
    "evaluate c/chow_liu",
    "evaluate v --draws 2",
    "evaluate c/chow_liu --samples --rows 50",
    "check c/chow_liu",
    "score c/chow_liu houses.csv",
    "score c/chow_liu houses.csv --each --fdr 0.1",
    "score c/chow_liu houses.csv --conditionals",
    "query c/chow_liu price_in_dollars_of_the_year_of_sale --given rooms=4",
    "query c/chow_liu neighbourhood --about rooms",
    "classify c/chow_liu houses.csv --target has_swimming_pool",
    "classify c/chow_liu houses.csv --target price_in_dollars_of_the_year_of_sale",
    "sample c/chow_liu -n 3 --out s.csv",
    "sample c -n 2",
    "sample c/chow_liu --given cellar=yes",
    "impute c/chow_liu houses.csv --out full.csv",
    "compress c/chow_liu houses.csv h.bin",
    "decompress c/chow_liu h.bin back.csv",
    "reconstruct v houses.csv",
    "encode v houses.csv --out latents.csv",
    "interpolate v houses.csv --rows 0 1 --out between.csv",
    "report c/independent",
    "seal v",
    "upgrade v",
    "ensemble c/chow_liu c/independent --out e",
)  # some are refused: errors are lines like others


def write_houses(path):
    """A table with long names, long levels, holes, money and dates."""
    chance, n = np.random.default_rng(0), 120
    rooms = chance.integers(2, 10, n)
    frame = pd.DataFrame(
        {
            "neighbourhood": chance.choice(["North Ames and its Surroundings", "Old Town"], n),
            "price_in_dollars_of_the_year_of_sale": 21_000 * rooms + chance.integers(0, 9000, n),
            "rooms": rooms,
            "has_swimming_pool": chance.choice(["yes", "no"], n),
            "sold_on": pd.Timestamp("2015-01-01")
            + pd.to_timedelta(chance.integers(0, 999, n), "D"),
        }
    )
    frame.loc[chance.random(n) < 0.05, "rooms"] = np.nan
    frame.to_csv(path, index=False)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Every command's tables and lines, of both streams, as (command, block)."""
    from plausibly.cli.commands import exit_status, run_command

    folder = tmp_path_factory.mktemp("terminal")
    write_houses(folder / "houses.csv")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(console, "print_block", lambda block: found.append((line, block)))
        patch.setattr(printing, "print_wrapped", lambda text, _: found.append((line, str(text))))
        for line in COMMANDS:
            command, bound, _ = app.parse_args(line.split(), print_error=False, exit_on_error=False)

            assert exit_status(partial(run_command, command, bound)) in (0, 2), found[-3:]
    return [(line, block) for line, block in found if not isinstance(block, RawText)]


def words_of(block):
    """The words that a block may be printed with; long texts under a row have their heading before them."""
    if isinstance(block, str):
        return set(printing.visible(block).split())
    texts = chain(block.headings, (f"{each}:" for each in block.headings), *block.rows)
    return {word for text in texts for word in printing.visible(text).split()}


def find_faults(block, width, monkeypatch, capsys):
    """The lines that are too wide, and the words that are no words of the block, nor cut with a mark."""
    monkeypatch.setenv("COLUMNS", str(width))
    console.print_block(block)
    words, faults = words_of(block), []
    for line in capsys.readouterr().out.splitlines():
        alone = len(line.split()) == 1 and isinstance(block, str)  # such as a path
        if cell_len(line) > width and not alone:
            faults.append(f"too wide: {line}")
        for word in line.split():
            whole = word in words or (
                word.endswith("…") and any(each.startswith(word[:-1]) for each in words)
            )
            if not whole:
                faults.append(f"broken: {word}")
    return faults


@pytest.mark.parametrize("width", WIDTHS)
def test_every_command_fits_the_terminal(printed, width, monkeypatch, capsys):
    assert {line for line, _ in printed} == set(COMMANDS)
    for line, block in printed:
        assert not find_faults(block, width, monkeypatch, capsys), (line, block)


def test_a_planted_fault_is_found(printed, monkeypatch, capsys):
    tables = [block for _, block in printed if isinstance(block, ConsoleTable)]
    lines = [block for _, block in printed if isinstance(block, str)]

    def fold(words, width, *_):
        text = " ".join(words)
        return [text[start : start + width] for start in range(0, len(text), width)] or [""]

    with monkeypatch.context() as patch:
        for module in (layout, printing):
            patch.setattr(module, "fill", fold)
        for blocks in (tables, lines):
            faults = [find_faults(block, 60, monkeypatch, capsys) for block in blocks]
            assert any("broken" in fault for each in faults for fault in each)
    with monkeypatch.context() as patch:
        for module in (console, printing):
            patch.setattr(module, "stream_width", lambda _: 90)
        for blocks in (tables, lines):
            faults = [find_faults(block, 60, monkeypatch, capsys) for block in blocks]
            assert any("too wide" in fault for each in faults for fault in each)


def test_the_short_board_has_four_columns_and_one_line_of_legend(printed):
    blocks = [block for line, block in printed if line == COMMANDS[0]]
    (table,) = (block for block in blocks if isinstance(block, ConsoleTable))
    assert table.headings == ["model", "log-likelihood", "to best", "time"]
    number = r"= -[\d.]+ ± [\d.]+"
    assert all(re.fullmatch(number, row[1]) for row in table.rows)
    assert {row[0] for row in table.rows} == {"chow_liu", "independent"}
    below = blocks[blocks.index(table) + 1 :]
    assert below[0].startswith("gaussian refused: 5 of 5 variables no real numbers")
    assert below[1].endswith("--explain") and len(below[1]) <= 80


def test_a_wide_board_has_all_columns_and_explains_them(printed):
    blocks = [block for line, block in printed if line == COMMANDS[1]]
    (table,) = (block for block in blocks if isinstance(block, ConsoleTable))
    assert {"family", "bits/variable", "reconstruction error"} <= set(table.headings)
    assert any("1.443 bits" in block for block in blocks if isinstance(block, str))


def test_errors_name_what_would_have_worked(printed):
    told = {line: block for line, block in printed if isinstance(block, str)}
    inside = "c/chow_liu, c/independent"
    assert told["sample c -n 2"].endswith(f"c is no run but a folder of runs; name one: {inside}")
    assert told[COMMANDS[4]].endswith("cannot read '5min' as a time; use 5m, 300s or 1h")
    lines = [block for line, block in printed if line == COMMANDS[3] and isinstance(block, str)]
    column = "price_in_dollars_of_the_year_of_sale is a real number"
    assert any(line.startswith(f"chow_liu refused: {column}") for line in lines)


def test_lines_that_go_to_a_file_are_left_whole(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    console.print_block("word " * 60)
    assert capsys.readouterr().out == "word " * 60 + "\n"


def test_wide_characters_take_two_columns():
    (table,) = layout.lay_out(["名前", "x"], [["東京都" * 3, "1"], ["a", "22"]], 40)
    assert table.body == ["東京都東京都東京都   1", "a" + " " * 17 + "  22"]


@pytest.mark.parametrize("name", [name for name in app if not name.startswith("-")])
def test_help_breaks_no_word(name, monkeypatch, capsys):
    def tokens(width):
        monkeypatch.setenv("COLUMNS", str(width))
        app.help_print([name])
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        return {word for line in lines for word in line.split()}

    assert tokens(60) <= tokens(400)
