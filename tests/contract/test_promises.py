"""The page of what scripts may rely on says what the code does."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.cli.commands import app
from plausibly.fitting import choose
from plausibly.fitting.benchmark import BenchmarkRow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
BY_DATA = {  # whose keys are names of columns, units, tasks, programs, quantiles, measures
    "values[]", "predictions[]", "given", "quantiles", "rivals", "reconstruction", "models[].tasks", "models[].refuses",
    "model.tasks", "model.refuses", "relations[].breaks[]",
    "board[].reconstruction", "board[].health", "board[].coded.others", "samples.numbers", "samples.missing", "sealed",
}  # fmt: skip

# each command, and further words of it whose documents are other ones; what they read is made by the first three
CALLS = {
    "data": ["data people.csv"],
    "models": ["models --variables 3", "models vae"],
    "fit": ["fit people.csv --model chow_liu --out tree", "fit people.csv --out pair"],
    "compare": ["compare people.csv --models independent,chow_liu --out both"],
    "evaluate": [
        "evaluate tree",
        "evaluate vae",
        "evaluate tree --samples --rows 20",
        "evaluate vae --annealed --rows 2 --chains 2 --distributions 2",
        "evaluate pair",
    ],
    "score": [
        "score tree people.csv --fdr 0.1",
        "score tree people.csv --conditionals --out cells.csv",
        "score pair people.csv",
    ],
    "sample": ["sample tree -n 2", "sample vae -n 2 --given city=Rome", "sample pair -n 2"],
    "query": [
        "query tree city --given rooms=2 --about owner",
        "query tree income",
        "query pair city --about owner",
    ],
    "impute": [
        "impute vae holes.csv",
        "impute tree holes.csv --most-probable",
        "impute pair holes.csv",
    ],
    "classify": [
        "classify tree people.csv --target city",
        "classify tree people.csv --target income",
        "classify pair people.csv --target city",
    ],
    "encode": ["encode vae people.csv"],
    "reconstruct": ["reconstruct vae people.csv"],
    "interpolate": ["interpolate vae people.csv --rows 0 1 --steps 2"],
    "compress": ["compress tree people.csv people.pls"],
    "decompress": ["decompress tree people.pls again.csv"],
    "check": ["check tree", "check pair"],
    "calibrate": ["calibrate tree --folds 2"],
    "report": ["report tree"],
    "upgrade": ["upgrade tree"],
    "seal": ["seal tree"],
}


def keys(document, path=""):
    """The paths of all keys of a document: `test.value`, and `board[].model` of what is listed."""
    if isinstance(document, list) and document and isinstance(document[0], dict):
        document = {key: value for row in document for key, value in row.items()}
        path += "[]"
    elif (
        isinstance(document, dict)
        and {"value", "standard_error"} <= document.keys()
        and path != "test"
    ):
        return [path]  # a number, and how sure it is
    if path in BY_DATA or not isinstance(document, dict):
        return [path] if path else []
    below = [
        found
        for key, value in document.items()
        for found in keys(value, f"{path}.{key}".lstrip("."))
    ]
    return below or [path]


@pytest.fixture
def told(cli, monkeypatch):
    """The keys that each command prints."""
    monkeypatch.setattr(choose, "models_to_try", lambda *_: ["independent", "forest"])
    chance, n = np.random.default_rng(0), 200
    people = pd.DataFrame(
        {"city": chance.choice(["Rome", "Oslo"], n), "rooms": chance.integers(1, 4, n)}
    )
    people["income"], people["owner"] = chance.gamma(2, 1000, n).round(2), people["rooms"] > 1
    people.to_csv("people.csv", index=False)
    people.head(3).assign(city=None).to_csv("holes.csv", index=False)
    fitted = cli(
        "fit", "people.csv", "--model", "vae", "--steps", "2", "--set", "latents=2", "--out", "vae"
    )
    assert fitted[0] == 0, fitted[2]
    found = {}
    for command, calls in CALLS.items():
        lists = []
        for words in calls:
            status, out, said = cli(*words.split(), "--json", "--quiet")
            assert status == 0, (words, said)
            lists += keys(json.loads(out))
        found[command] = sorted(set(lists))
    return found | {
        "benchmark": sorted(["suite", *(f"sets[].{each.name}" for each in fields(BenchmarkRow))])
    }


def block(name):
    """What the page has between a mark and its end."""
    return PAGE.split(f"<!-- {name} -->")[1].split("<!-- end -->")[0].strip()


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def test_the_page_lists_every_key_of_every_command(told):
    """To renew it, put what should be there in place of what is."""
    names = dict.fromkeys(told, "") | {"fit": "`, `ensemble"}
    lines = [
        f"| `{command}{names[command]}` | {listed(found)} |" for command, found in told.items()
    ]
    assert block("keys") == "\n".join(["| command | keys |", "|---|---|", *lines])


def test_every_command_has_its_line():
    known = {str(command) for command in app if not str(command).startswith("-")}
    assert known == {*CALLS, "benchmark", "ensemble", "serve"}  # which answers over HTTP


def test_the_page_lists_the_public_names():
    assert (
        block("names") == f"`import plausibly` has {listed(plausibly.__all__)} and `__version__`."
    )


def test_what_is_promised_of_a_folder_is_in_it():
    run = ROOT / "tests" / "kept" / "0.1.0" / "people-nade"
    record, line = (
        json.loads((run / "run.json").read_text()),
        json.loads((run / "log.jsonl").open().readline()),
    )
    files, promised = (
        block("files"),
        re.search(r"^Of `run.json`: (.*?)\.\s", PAGE, re.MULTILINE | re.DOTALL),
    )
    for path in run.iterdir():
        assert f"`{path.name}`" in files
    for name in re.findall(r"`([a-z_]+)`", promised[1].split("(")[0] + promised[1].split(")")[-1]):
        assert name in record
    assert {"step", "loss", "validation", "unit"} <= line.keys()
