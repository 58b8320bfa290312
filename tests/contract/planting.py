"""Faults that are planted in sound models, so that each promise is seen to be broken once."""

import ast
from functools import wraps
from pathlib import Path

from plausibly.contract.checks import run_checks
from plausibly.contract.examination import Examination
from plausibly.contract.promises import load_promises

TESTS = Path(__file__).parents[1]


def finds(*names, spares=(), alone=False):
    """Makes a test of a function that plants a fault and returns a model: it breaks these promises.

    It keeps those that it spares; `alone` says that it keeps all others.
    """

    def make(plant):
        @wraps(plant)
        def test(*arguments, **more):
            model = plant(*arguments, **more).eval()
            exam, promises = Examination(model), load_promises()
            blind = [name for name in names if not promises[name](exam).broken]
            assert not blind, f"not broken: {', '.join(blind)}"
            assert [name for name in spares if not promises[name](exam).holds] == []
            if alone:
                assert {result.name for result in run_checks(model) if result.broken} == {*names}

        return test

    return make


def planted(folder=TESTS):
    """The promises for which some test in a folder plants a fault, by the decorators of its files."""
    found = set()
    for file in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for each in node.decorator_list:
                    if isinstance(each, ast.Call) and ast.unparse(each.func) == "finds":
                        found |= {ast.literal_eval(name) for name in each.args}
    return found


def without_fault(promises, faults):
    """The names of promises that no planted fault is seen to break."""
    return sorted({*promises} - {*faults})
