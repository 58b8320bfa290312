"""Mutants: small faults put into the package one at a time, each of which some test should find.

`python -m benchmarks.mutants --seed S [--count 200] [--jobs 2]` draws so many changes of one expression or statement in
the rooms of the mathematics, runs for each the tests that reach its line, cheapest first, until one fails, and prints
those that no test finds. A line that no test reaches counts as a survivor. Which tests reach a line is measured once a
commit, with every test's duration, and kept in build/mutants.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import coverage

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "mutants"
ROOMS = ("evaluation", "outcomes", "families", "models", "tasks", "coding", "events", "training")
MAX_SECONDS = 300  # of the tests of one mutant: what runs longer has found a loop without end
MAX_TESTS = 150
OTHER_OPERATOR: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NO_MATHEMATICS = (
    ast.AnnAssign,
    ast.arg,
    ast.JoinedStr,
    ast.Raise,
    ast.Assert,
    ast.Import,
    ast.ImportFrom,
)


@dataclass(frozen=True)
class Mutant:
    """One change: these characters of a file replaced by others."""

    file: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  `{self.before}` -> `{self.after}`"


def changed_forms(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may be changed into: another operator, sign, constant, bound or axis, or one of its terms."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in OTHER_OPERATOR:
            yield replace(node, op=OTHER_OPERATOR[type(node.op)]())
        yield from (node.left, node.right)
    elif isinstance(node, ast.BoolOp):
        yield replace(node, op=OTHER_OPERATOR[type(node.op)]())
        yield from node.values
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield replace(node, ops=[OTHER_OPERATOR[type(node.ops[0])]()])
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
    elif isinstance(node, ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield ast.Pass()


def replace(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of a node with other fields."""
    changed = copy.copy(node)
    vars(changed).update(fields)
    return changed


def reachable_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree where mathematics may stand: no annotations, decorators, texts, errors or imports."""
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "annotation", "returns", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, NO_MATHEMATICS):
                yield child
                yield from reachable_nodes(child)


def mutants_of(file: Path) -> list[Mutant]:
    """Every mutant of a file."""
    text = file.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    found = list[Mutant]()
    for node in reachable_nodes(ast.parse(text)):
        for changed in changed_forms(node):
            start = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
            end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
            before = text.encode()[start:end].decode()
            after = ast.unparse(ast.fix_missing_locations(changed))
            after = after if isinstance(changed, ast.Pass) else f"({after})"
            place = str(file.relative_to(ROOT))
            found.append(Mutant(place, node.lineno, start, end, before, after))  # type: ignore[attr-defined]
    return found


def draw_mutants(seed: int, count: int) -> list[Mutant]:
    """So many mutants, at most one a line: lines first, then one of the changes of each."""
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for room in ROOMS:
        for file in sorted((ROOT / "plausibly" / room).rglob("*.py")):
            for mutant in mutants_of(file):
                by_line.setdefault((mutant.file, mutant.line), []).append(mutant)
    dice = random.Random(seed)
    return [dice.choice(by_line[line]) for line in dice.sample(sorted(by_line), count)]


def measure_tests() -> tuple[coverage.CoverageData, dict[str, float]]:
    """Which tests reach which lines, and the seconds of each that passes; measured where this commit's are not there."""
    words = ["git", "rev-parse", "HEAD:plausibly", "HEAD:tests"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stamp, lines, times = KEPT / "trees", KEPT / "coverage", KEPT / "times.xml"
    if not stamp.exists() or stamp.read_text() != commit:
        KEPT.mkdir(parents=True, exist_ok=True)
        words = ["-n", "2", "--cov", "--cov-context=test", "--cov-report=", f"--junitxml={times}"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "COVERAGE_FILE": str(lines)}
        subprocess.run(
            [sys.executable, "-m", "pytest", "-o", "junit_family=xunit1", *words], cwd=ROOT, env=env
        )
        stamp.write_text(commit)
    data = coverage.CoverageData(str(lines))
    data.read()
    seconds = {
        f"{case.get('file')}::{case.get('name')}": float(case.get("time", 0))
        for case in xml.parse(times).iter("testcase")
        if case.find("failure") is None and case.find("error") is None
    }
    return data, seconds


def tests_of(mutant: Mutant, data: coverage.CoverageData, seconds: dict[str, float]) -> list[str]:
    """The tests that reach a mutant's line and pass without it, the cheapest first."""
    contexts = data.contexts_by_lineno(str(ROOT / mutant.file)).get(mutant.line, [])
    tests = {context.rpartition("|")[0] for context in contexts} & seconds.keys()
    return sorted(tests, key=lambda test: (seconds[test], test))[:MAX_TESTS]


def is_killed(mutant: Mutant, tests: list[str], tree: Path) -> bool:
    """True where one of the tests fails on the mutant, put into a copy of the tree."""
    file = tree / mutant.file
    whole = file.read_bytes()
    file.write_bytes(whole[: mutant.start] + mutant.after.encode() + whole[mutant.end :])
    options = ["-q", "-x", "-o", "addopts=", "-p", "no:cacheprovider"]
    words = [sys.executable, "-B", "-m", "pytest", *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [*words, *tests], cwd=tree, env=env, stdout=quiet, stderr=quiet, timeout=MAX_SECONDS
        )
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_bytes(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws the mutants")
    parser.add_argument("--count", type=int, default=200, help="the number of mutants")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    options = parser.parse_args()
    mutants = draw_mutants(options.seed, options.count)
    data, seconds = measure_tests()
    with ExitStack() as stack:
        trees: SimpleQueue[Path] = SimpleQueue()
        for _ in range(options.jobs):
            tree = stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT.parent))
            ignored = shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", ".*_cache")
            trees.put(Path(shutil.copytree(ROOT, tree, ignore=ignored, dirs_exist_ok=True)))

        def survives(mutant: Mutant) -> bool:
            tests, tree = tests_of(mutant, data, seconds), trees.get()
            killed = bool(tests) and is_killed(mutant, tests, tree)
            trees.put(tree)
            if not killed:
                print(f"lives  {mutant}  {len(tests)} tests", flush=True)
            return not killed

        with ThreadPoolExecutor(options.jobs) as pool:
            living = sum(pool.map(survives, mutants))
    print(f"seed {options.seed}: {len(mutants) - living} of {len(mutants)} mutants killed")


if __name__ == "__main__":
    main()
