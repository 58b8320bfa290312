"""Each model says what its arguments are, and what it shows in its docstring happens."""

import ast
import doctest
import inspect
import re
from importlib import import_module

import pytest

from plausibly.families.adversarial import GAMES
from plausibly.families.bounds import OBJECTIVES
from plausibly.families.priors import PRIORS
from plausibly.models import MODELS
from plausibly.networks.pairs import NETWORKS
from plausibly.system.parts import list_part_arguments

PARTS = [*GAMES, *OBJECTIVES, *PRIORS, *NETWORKS]


def described(kind):
    """The entries below `Args:` by their names, each on one line."""
    section = re.search(r"^Args:\n(.*?)(\n\n|\Z)", inspect.getdoc(kind) or "", re.S | re.M)
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.M)
    return {name: " ".join(text.split()) for name, text in entries}


def taken(kind, names):
    signature = inspect.signature(kind).parameters
    return {name: signature[name].default for name in names}


@pytest.mark.parametrize("name", MODELS)
def test_each_argument_of_a_model_is_described(name):
    kind = MODELS[name]
    check(kind, taken(kind, [n for n in inspect.signature(kind).parameters if n != "schema"]))


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_argument_of_a_part_is_described(kind):
    check(kind, taken(kind, list_part_arguments(kind)))


def check(kind, defaults):
    """In the order of the constructor, each with its default; what is a choice of parts names them all."""
    assert vars(kind)["__doc__"]
    entries = described(kind)
    assert list(entries) == list(defaults)
    for name, text in entries.items():
        assert (default := re.search(r"\(default (.+)\)\.$", text)), (kind, name)
        if isinstance(defaults[name], int | float):
            assert float(default[1].replace(",", "")) == defaults[name], (kind, name)
            assert re.search(r"\d[\d,.]* to (\d|width)|or more", text), (kind, name)
        elif isinstance(defaults[name], str):
            assert default[1] == defaults[name], (kind, name)
    chosen = {"network": NETWORKS, "prior": PRIORS, "objective": choices(kind)}
    for name in entries.keys() & chosen.keys():
        assert all(part.name in entries[name] for part in chosen[name]), (kind, name)


def choices(kind):
    return GAMES if kind is MODELS["gan"] else OBJECTIVES


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_shows_happens(name):
    module = import_module(MODELS[name].__module__)
    tests = doctest.DocTestFinder(recurse=False).find(MODELS[name], globs=vars(module).copy())
    (test,) = [each for each in tests if each.examples]
    assert doctest.DocTestRunner().run(test).failed == 0


def test_shared_arguments_are_worded_alike():
    texts = {}
    for kind in MODELS.values():
        for name in described(kind).keys() & {"shape", "context", "shuffle", "components"}:
            if kind is not MODELS["mixture"]:
                texts.setdefault(name, set()).add(described(kind)[name])
    assert all(len(each) == 1 for each in texts.values()), texts


def test_the_parts_of_the_argument_are_all_there_are():
    """Every part that a model's source builds by name is among those that are examined here."""
    for kind in MODELS.values():
        source = inspect.getsource(import_module(kind.__module__))
        calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
        built = [n for n in calls if ast.unparse(n.func) == "build_part"]
        assert {ast.unparse(n.args[1]) for n in built} <= {
            "GAMES",
            "OBJECTIVES",
            "PRIORS",
            "NETWORKS",
        }
