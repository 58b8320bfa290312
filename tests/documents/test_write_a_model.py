"""The page for authors of models: its code runs, and its names come from one place."""

import re
from pathlib import Path

from plausibly import author, capabilities
from plausibly.capabilities import Trainable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-a-model.md").read_text()
EXAMPLE = (ROOT / "examples" / "my_model.py").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)


def test_the_first_block_is_the_example():
    assert BLOCKS[0] == EXAMPLE


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    """One block after the other, as a reader would go on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(EXAMPLE)
    names = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, "write-a-model.md", "exec"), names)
    deep = names["Deep"](author.binary(3), hidden=4)
    assert deep.arguments == {"hidden": 4}
    assert abs(deep.log_prob(deep.schema.all_events()).exp().sum().item() - 1) < 1e-5


def test_every_capability_is_handed_on_and_named():
    own = [each for each in vars(capabilities).values() if isinstance(each, type)]
    for kind in own:
        if issubclass(kind, Trainable) and kind.__module__ == capabilities.__name__:
            assert getattr(author, kind.__name__) is kind
    for name in re.findall(r"from plausibly\.author import (.+)", PAGE):
        assert set(name.split(", ")) <= set(author.__all__)
