"""Every example of the guide prints what its page shows, and the pages build without a warning and from here alone."""

import re

import pytest
from guide import BLOCK, DOCS, PAGES, Example, examples, renewed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_the_page_shows(page):
    """To renew the pages after a change that is meant: make guide, and read the difference."""
    for example in examples(page):
        assert example.holds, (
            f"{page.name}\n{example.source}\nshown:\n{example.wanted}\nprinted:\n{example.got}"
        )


def test_examples_that_print_something_else_are_seen():
    assert Example("", "a 1 ...\nb 2\n", "a  1  3 s\nb 2\n").holds
    assert not Example("", "a 1 ...\nb 2\n", "a 1\nb 2.5\n").holds
    assert not Example("", "", "plausibly: there is no run\n").holds
    assert renewed("a  1 ...\n...\nb 22\n", "a 10 x\nc\nb 3 y\n") == "a 10 ...\n...\nb  3\n"
    assert renewed("a  0.56...\n", "a 0.6712 x\n") == "a  0.67...\n"


@pytest.mark.parametrize(
    ("shown", "printed", "holds"),
    [
        ("m 7 -17.061 ± 0.285 ...", "m 7 -17.085 ± 0.290 best", True),
        ("m 7 -17.061 ± 0.285 ...", "m 7 -17.095 ± 0.285 best", False),
        ("m 7 -17.061 ± 0.285 ...", "m 7 -17.061 ± 0.385 best", False),
        ("m 7 -17.061 ± 0.285 ...", "m 8 -17.061 ± 0.285 best", False),
        ("p 0.56... x 1,020... y", "p 0.5439 x 1,021.5 y", True),
        ("p 0.56... x 1,020... y", "p 0.5799 x 1,023 y", False),
        ("p 0.99...", "p 1.0087", True),
        ("p -0.01 ± 0.1", "p 0.01 ± 0.1", True),
    ],
)
def test_trained_numbers_agree_within_a_tenth_of_their_error(shown, printed, holds):
    assert Example("", shown + "\n", printed + "\n", trained=True).holds is holds
    assert not Example("", shown + "\n", printed + "\n").holds


def test_every_block_of_the_guide_is_run():
    """No fence without a language, and no shell or Python block that the tests would pass over."""
    for page in PAGES:
        fences = re.findall(r"^```(\S*)\n", page.read_text(), re.MULTILINE)
        assert set(fences) <= {"console", "pycon", ""}, page
        assert (
            fences.count("")
            == len(fences) - fences.count("")
            == len(BLOCK.findall(page.read_text()))
        ), page


def test_figures_are_small_and_all_are_shown():
    figures = {path.name: path.stat().st_size for path in (DOCS / "figures").glob("*.svg")}
    shown = {
        name
        for page in PAGES
        for name in re.findall(r"\]\(\.\./figures/(\S+?)\)", page.read_text())
    }
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
    arguments = [
        "-W",
        "-q",
        "-b",
        "html",
        "-d",
        str(folder / "doctrees"),
        str(DOCS),
        str(folder / "html"),
    ]
    assert sphinx.main(arguments) == 0
    return folder / "html"


@pytest.mark.filterwarnings("ignore:.*myst_parser")
def test_pages_ask_for_nothing_from_outside(built):
    """Links may lead out; scripts, styles, fonts and images may not."""
    loaded = re.compile(
        r"""(?:<(?:script|img|iframe|source)[^>]*\bsrc|<link[^>]*\bhref)=["']?(?:https?:)?//"""
    )
    for page in built.rglob("*.html"):
        assert not loaded.search(page.read_text()), page
    for style in built.rglob("*.css"):
        assert not re.search(r"(?:@import\s*|url\()[\"']?(?:https?:)?//", style.read_text()), style
