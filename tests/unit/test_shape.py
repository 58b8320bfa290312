"""The measures of `benchmarks.shape`, on a package with one of everything that is counted."""

from benchmarks.shape import Package, measure, read_floors

FILES = {
    "plum/__init__.py": '__version__ = "1"\n',
    "plum/ground.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from plum.roof import look\n",
    "plum/roof.py": "import plum.ground\n\ndef look():\n    return None\n",
    "plum/rooms/__init__.py": "",
    "plum/rooms/one.py": "from .two import look_again\n\ndef look():\n    return look_again\n",
    "plum/rooms/two.py": "def look_again():\n    from . import one\n    return one\n",
    "plum/models/__init__.py": "",
    "plum/models/first_one.py": (
        "class Helper:\n    pass\n\n\n"
        'class FirstOne:\n    """A model of `width` units.\n\n    >>> 1\n    1\n    """\n\n'
        "    def __init__(self, schema, width, height):\n        self.width, self.height = width, height\n"
    ),
    "plum/words.py": (
        'def told(record, n):\n    """What is told of a record."""\n'
        '    return record["a"], record.get("b"), "s" * (n != 1), [3] * (n == 1), 2 * n\n\n\n'
        'def embed(run, TASKS):\n    """Embeds."""\n    return TASKS["sample"](run.record["c"]), [x for x in run]\n'
    ),
    "floors.py": 'LAYERS = [["ground", "rooms", "words"], ["roof", "models"]]\n',
    "README.md": "One two\n\n| a | b |\n|---|---|\n\n```\nnot counted\n```\nthree\n",
}


def test_each_measure_counts_what_it_says(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    rows, counted = measure(Package(tmp_path / "plum"), read_floors(tmp_path / "floors.py"))
    found = {name: value for name, value, _ in rows}
    assert counted["circles among files"] == [
        "plum.ground plum.roof",
        "plum.rooms.one plum.rooms.two",
    ]
    assert counted["circles among rooms"] == ["ground roof"]
    assert counted["arrows back up"] == ["plum.ground -> plum.roof"]
    assert counted["top-level names with several meanings"] == ["look: roof, rooms.one"]
    assert counted["functions named by a participle"] == ["told 1"]
    assert counted["constructor arguments not described"] == ["FirstOne.height"]
    assert found["rooms at the root"] == "5"
    assert found["functions named by a participle"] == "16.7 %"
    assert found["function body, lines: median / p95 / longest"] == "1 / 2 / 2"
    assert found["texts or lists times a truth"] == "2"
    assert found["constructor arguments described"] == "1 of 2"
    assert found["model classes with a docstring; with a doctest"] == "1; 1 of 1"
    assert found["docstrings that begin What, How, Whether, Of, By"] == "33.3 %"
    assert found["README: words outside code and tables; table lines"] == "3; 2"
    assert found["record read as an untyped dict"] == "3"
    assert found["task called by a string from the table"] == "1"
