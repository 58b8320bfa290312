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


def test_the_estimators_of_the_readme_run():
    import numpy as np

    import plausibly

    (code,) = [part for part in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "DensityEstimator" in part]
    x = np.random.default_rng(0).integers(0, 2, (60, 3)).astype(np.uint8)
    exec(code.replace('"hidden": 64', '"hidden": 4, "train.steps": 5'), {"plausibly": plausibly, "X": x, "y": x[:, 0]})


def test_the_example_model_is_as_long_as_the_readme_says():
    assert "[24 lines](examples/my_model.py)" in README
    assert len((ROOT / "examples" / "my_model.py").read_text().splitlines()) == 24
