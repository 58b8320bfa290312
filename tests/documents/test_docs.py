"""README and docs say what the code says, their commands exist, and links lead somewhere."""

import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd

from plausibly.cli.commands import app
from plausibly.evaluation.abilities import models_markdown
from plausibly.events.schema import binary

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_capability_table_is_generated():
    """To renew it, print plausibly.evaluation.abilities.models_markdown(binary(8))."""
    shown = (ROOT / "docs" / "models.md").read_text().split("<!-- capabilities -->")[1]
    assert shown.strip() == models_markdown(binary(8)).strip()


def test_the_page_of_python_names_is_generated():
    """To renew it: `python docs/names.py > docs/api.md`."""
    page = runpy.run_path(str(ROOT / "docs" / "names.py"))["render_page"]()
    assert (ROOT / "docs" / "api.md").read_text() == page


def test_every_command_in_the_readme_exists():
    known = {name for command in app for name in [str(command)]}
    pages = README + (ROOT / "docs" / "commands.md").read_text()
    used = set(re.findall(r"^plausibly (\w+)", pages, re.MULTILINE))
    assert used <= known
    assert {
        "data",
        "models",
        "fit",
        "compare",
        "evaluate",
        "score",
        "sample",
        "impute",
        "check",
        "report",
    } <= used


def test_the_readme_is_short():
    """Words outside code blocks and tables, and lines of tables."""
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    lines = text.splitlines()
    assert sum(len(line.split()) for line in lines if not line.startswith("|")) <= 900
    assert sum(line.startswith("|") for line in lines) <= 12


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)


def test_every_page_is_reached_from_the_readme():
    """In at most two links."""
    here = links(ROOT / "README.md")
    there = {page for each in here if each.suffix == ".md" for page in links(each)}
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"}
    assert pages <= here | there


def links(page):
    found = re.findall(r"\]\(([^)#]+\.md)[^)]*\)", page.read_text())
    return {
        (page.parent / target).resolve() for target in found if not target.startswith("https://")
    }


def test_decisions_are_short():
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(page.read_text().splitlines()) <= 40, page


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    chance = np.random.default_rng(0)
    x = chance.integers(0, 2, (60, 3)).astype(np.uint8)
    people = pd.DataFrame(
        {"city": chance.choice(["Rome", "Oslo"], 300), "income": chance.integers(1, 9, 300) * 1000}
    )
    monkeypatch.chdir(tmp_path)
    people.to_csv("people.csv", index=False)
    people[:20].to_csv("more.csv", index=False)
    people[:20].mask(chance.random((20, 2)) < 0.2).to_csv("holes.csv", index=False)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {"X": x})


def test_the_example_model_is_as_long_as_the_readme_says():
    assert "[one file of 20 lines](examples/my_model.py)" in README
    assert len((ROOT / "examples" / "my_model.py").read_text().splitlines()) == 20
