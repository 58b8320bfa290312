"""Every example of the guide runs and prints what the page shows, and the pages build without a warning.

A `console` block holds commands after `$ ` and what they print; a `pycon` block is a doctest. In both, `...` stands for
whatever is left out, and runs of blanks count as one. The blocks of a page share one empty folder and one namespace.
"""

import doctest
import re
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from plausibly.cli import app, guarded, prepared

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "guide").glob("*.md"))
BLOCK = re.compile(r"^```(console|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Loose(doctest.OutputChecker):
    def check_output(self, want, got, optionflags):
        parts = (re.escape(" ".join(part.split())) for part in want.split("..."))
        return re.fullmatch(".*".join(parts), " ".join(got.split())) is not None


def plausibly(words, capsys):
    """What a command prints, run in this process because starting takes a second."""

    def command():
        found, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
        prepared(found, bound)

    with suppress(SystemExit):
        guarded(command)
    captured = capsys.readouterr()
    return captured.out + "".join(line for line in captured.err.splitlines(True) if line.startswith("plausibly: "))


def printed(command, capsys):
    words = shlex.split(command)
    if words[0] == "plausibly":
        return plausibly(words[1:], capsys)
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


def run_console(text, capsys, page):
    checker = Loose()
    for command, wanted in COMMAND.findall(text):
        got = printed(command, capsys)
        difference = checker.output_difference(doctest.Example(command, wanted), got, 0)
        assert wanted or not got.startswith("plausibly: "), f"{page.name}: $ {command}\n{got}"
        assert not wanted or checker.check_output(wanted, got, 0), f"{page.name}: $ {command}\n{difference}"


def run_python(text, names, capsys, page, line):
    found = []
    test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
    with capsys.disabled():
        doctest.DocTestRunner(Loose(), verbose=False).run(test, out=found.append, clear_globs=False)
    names.update(test.globs)
    assert not found, "".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_the_page_shows(page, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(), {}
    for block in BLOCK.finditer(text):
        if block[1] == "console":
            run_console(block[2], capsys, page)
        else:
            run_python(block[2], names, capsys, page, text[: block.start()].count("\n") + 1)


def test_every_block_of_the_guide_is_run():
    """No fence without a language, and no shell or Python block that the tests would pass over."""
    for page in PAGES:
        fences = re.findall(r"^```(\S*)\n", page.read_text(), re.MULTILINE)
        assert set(fences) <= {"console", "pycon", ""}, page
        assert fences.count("") == len(fences) - fences.count("") == len(BLOCK.findall(page.read_text())), page


def test_figures_are_small_and_all_are_shown():
    figures = {path.name: path.stat().st_size for path in (DOCS / "figures").glob("*.svg")}
    shown = {name for page in PAGES for name in re.findall(r"\]\(\.\./figures/(\S+?)\)", page.read_text())}
    assert shown == figures.keys()
    assert max(figures.values()) < 60_000, figures


def test_links_between_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    sphinx = pytest.importorskip("sphinx.cmd.build")
    folder = tmp_path_factory.mktemp("docs")
    arguments = ["-W", "-q", "-b", "html", "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    assert sphinx.main(arguments) == 0
    return folder / "html"


@pytest.mark.filterwarnings("ignore:.*myst_parser")
def test_pages_ask_for_nothing_from_outside(built):
    """Links may lead out; scripts, styles, fonts and images may not."""
    loaded = re.compile(r"""(?:<(?:script|img|iframe|source)[^>]*\bsrc|<link[^>]*\bhref)=["']?(?:https?:)?//""")
    for page in built.rglob("*.html"):
        assert not loaded.search(page.read_text()), page
    for style in built.rglob("*.css"):
        assert not re.search(r"(?:@import\s*|url\()[\"']?(?:https?:)?//", style.read_text()), style
