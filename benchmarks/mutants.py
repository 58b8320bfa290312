"""Mutants: small faults put into the package one at a time, each of which some test should find.

`python -m benchmarks.mutants --seed S [--count 200] [--jobs 2]` draws so many changes of one expression or statement in
the rooms of the mathematics, runs for each the tests that reach its line, the narrowest first, until one fails, and says of
each whether a test found it. A line that no test reaches counts as a survivor. Which tests reach a line is measured once
a commit, with every test's duration, and kept in build/mutants, but for tests/processes, as what runs in other processes
is not seen. A mutant's tests run in a fork of a server that has what the package imports and nothing of the package. No
numba kernel stands in these rooms, so that none is taken from a cache.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import importlib
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "mutants"
ROOMS = ("evaluation", "outcomes", "families", "models", "tasks", "coding", "events", "training")
TIERS = ("tests/documents", "tests/fits", "tests/contract", "tests/unit")
TEST_SECONDS = 150  # of the tests of one mutant, as they were measured
PROCESSOR_SECONDS = 150  # of one mutant: what runs longer has found a loop without end
WAITING_SECONDS = 1200
MEMORY = 12 << 30  # bytes of addresses
SERVER = multiprocessing.get_context("forkserver")
IMPORTED = """torch numba pandas pyarrow.parquet scipy.stats scipy.optimize sklearn.ensemble sklearn.linear_model pytest rich
    hypothesis matplotlib.figure safetensors.torch jaxtyping msgspec cyclopts constriction PIL.Image"""
OTHER_OPERATOR: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NO_MATHEMATICS = (ast.AnnAssign, ast.arg, ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)  # fmt: skip


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
    """The nodes of a tree where mathematics may stand: no annotations, decorators, texts, errors, checks or imports."""
    skipped = {"decorator_list", "annotation", "returns", "bases"}
    if getattr(node, "arg", None) == "strict":  # of zip: a check
        skipped.add("value")
    for name, value in ast.iter_fields(node):
        for child in [] if name in skipped else value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, NO_MATHEMATICS):
                yield child
                yield from reachable_nodes(child)


def mutants_of(file: Path) -> list[Mutant]:
    """Every mutant of a file."""
    text = file.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    place, found = str(file.relative_to(ROOT)), list[Mutant]()
    for node in reachable_nodes(ast.parse(text)):
        for changed in changed_forms(node):
            at: Any = node
            start = starts[at.lineno - 1] + at.col_offset
            end = starts[at.end_lineno - 1] + at.end_col_offset
            after = ast.unparse(ast.fix_missing_locations(changed))
            after = after if isinstance(changed, ast.Pass) else f"({after})"
            before = text.encode()[start:end].decode()
            found.append(Mutant(place, at.lineno, start, end, before, after))
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


class Reach:
    """Which tests reach each line of each file, how many lines each test reaches, and the seconds of those that pass."""

    def __init__(self, data: coverage.CoverageData, seconds: dict[str, float]) -> None:
        self.seconds, self.width = seconds, Counter[str]()
        self.files: dict[str, dict[int, set[str]]] = {}
        for file in data.measured_files():
            lines = data.contexts_by_lineno(file)
            own = {k: {c.rpartition("|")[0] for c in lines[k]} & seconds.keys() for k in lines}
            self.files[str(Path(file).relative_to(ROOT))] = own
            self.width.update(test for tests in own.values() for test in tests)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach its line, or any of the file where it is run at import: first those that reach little else."""
        lines = self.files.get(mutant.file, {})
        tests = lines.get(mutant.line) or set[str]().union(*lines.values())
        narrow = sorted(tests, key=lambda test: (self.width[test], self.seconds[test], test))
        chosen, left = list[str](), float(TEST_SECONDS)
        for test in narrow:
            if self.seconds[test] < left:
                chosen.append(test)
                left -= self.seconds[test]
        return chosen


def measure_tests() -> Reach:
    """The reach of all tests, measured where this commit's is not there."""
    words = ["git", "rev-parse", "HEAD:plausibly", "HEAD:tests"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stamp, lines, times = KEPT / "trees", KEPT / "coverage", KEPT / "times.xml"
    if not stamp.exists() or stamp.read_text() != commit:
        KEPT.mkdir(parents=True, exist_ok=True)
        words = ["-n", "2", "--cov", "--cov-context=test", "--cov-report=", f"--junitxml={times}"]
        env = {**os.environ, "COVERAGE_FILE": str(lines)}
        command = [sys.executable, "-m", "pytest", "-o", "junit_family=xunit1", *words, *TIERS]
        subprocess.run(command, cwd=ROOT, env=env)
        stamp.write_text(commit)
    data = coverage.CoverageData(str(lines))
    data.read()
    seconds = {
        f"{case.get('file')}::{case.get('name')}": float(case.get("time", 0))
        for case in xml.parse(times).iter("testcase")
        if case.find("failure") is None and case.find("error") is None
    }
    return Reach(data, seconds)


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Chosen:
    """Runs these tests of the files that are collected, the first one's file first; notes a file that cannot be collected."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}
        self.files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        self.broken = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.broken = self.broken or report.failed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = [item for item in items if item.nodeid in self.place]
        file = {item: self.files.index(item.nodeid.partition("::")[0]) for item in found}
        items[:] = sorted(found, key=lambda item: (file[item], self.place[item.nodeid]))


def run_tests(mutant: Mutant, tests: list[str], tree: Path) -> None:
    """Ends this process with pytest's status, or with that of a failed test where package or tests cannot be imported."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with (tree / "log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    try:
        changed = importlib.import_module(module_name(mutant.file))
    except Exception as error:
        print("ERROR at import:", error)
        sys.exit(pytest.ExitCode.TESTS_FAILED)
    if not Path(str(changed.__file__)).is_relative_to(tree):
        print("not the package of", tree)
        sys.exit(pytest.ExitCode.INTERNAL_ERROR)
    chosen = Chosen(tests)
    options = ["-x", "-rfE", "-o", "addopts=", "-p", "no:cacheprovider"]
    status = pytest.main([*options, *chosen.files], plugins=[chosen])
    sys.exit(pytest.ExitCode.TESTS_FAILED if chosen.broken else status)


def try_mutant(mutant: Mutant, tests: list[str], tree: Path) -> tuple[str, str]:
    """Puts a mutant into a copy of the tree: found, and by what; lives; or fault, where pytest could not tell."""
    file = tree / mutant.file
    whole = file.read_bytes()
    file.write_bytes(whole[: mutant.start] + mutant.after.encode() + whole[mutant.end :])
    process = SERVER.Process(target=run_tests, args=(mutant, tests, tree))
    process.start()
    process.join(WAITING_SECONDS)
    status = process.exitcode
    with suppress(ProcessLookupError):
        os.killpg(int(process.pid), signal.SIGKILL)  # type: ignore[arg-type]
    process.join()
    file.write_bytes(whole)
    if status is None or status < 0:
        return "found", "no end" if status is None else signal.Signals(-status).name
    log = (tree / "log").read_text(errors="replace")
    if status == pytest.ExitCode.TESTS_FAILED or "while loading conftest" in log:
        return "found", max(re.findall(r"^(?:FAILED|ERROR).*", log, re.M), default="a failed test")
    is_over = status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return ("lives", f"{len(tests)} tests") if is_over else ("fault", f"{status}: {log[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws the mutants")
    parser.add_argument("--count", type=int, default=200, help="the number of mutants")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    SERVER.set_forkserver_preload(IMPORTED.split())
    mutants = draw_mutants(options.seed, options.count)
    reach = measure_tests()
    with ExitStack() as stack:
        trees: SimpleQueue[Path] = SimpleQueue()
        for _ in range(options.jobs):
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT.parent))
            trees.put(copy_tree(Path(folder)))

        def tell(mutant: Mutant) -> str:
            tests, tree = reach.tests_of(mutant), trees.get()
            unreached = "lives", "no test reaches it"
            word, why = try_mutant(mutant, tests, tree) if tests else unreached
            trees.put(tree)
            print(f"{word}  {mutant}  {why}", flush=True)
            return word

        with ThreadPoolExecutor(options.jobs) as pool:
            words = Counter(pool.map(tell, mutants))
    print(f"seed {options.seed}: of {len(mutants)} mutants {dict(words)}")


def copy_tree(folder: Path) -> Path:
    """A copy of the project whose compiled files are told from changed ones by what they say, not by when."""
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    compileall.compile_dir(
        folder / "plausibly", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH
    )
    return folder


if __name__ == "__main__":
    main()
