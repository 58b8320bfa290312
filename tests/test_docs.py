"""The README says what the code says, and its commands exist."""

import re
from pathlib import Path

from plausibly.cli import app
from plausibly.registry import markdown
from plausibly.schema import binary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_capability_table_is_generated():
    """To renew it, print plausibly.registry.markdown(binary(8))."""
    shown = README.split("<!-- capabilities -->")[1]
    assert shown.strip() == markdown(binary(8)).strip()


def test_every_command_in_the_readme_exists():
    known = {name for command in app for name in [str(command)]}
    used = set(re.findall(r"^plausibly (\w+)", README, re.MULTILINE))
    assert used <= known
    assert {"data", "models", "fit", "compare", "evaluate", "score", "sample", "impute", "check", "report"} <= used


def test_links_lead_somewhere():
    for page in (README, (ROOT / "CHANGELOG.md").read_text()):
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            assert target.startswith("https://") or (ROOT / target).exists(), target


def test_decisions_are_short():
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(page.read_text().splitlines()) <= 40, page
