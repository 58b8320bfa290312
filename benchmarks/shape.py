"""Measures the shape of a package's code by its syntax trees alone, so that others stand beside it, alike for all.

python -m benchmarks.shape [PATH ...] [--floors FILE] [--list]

PATH is a package's folder (default: this one's), such as that of an installed package; folders of tests and of code that
is vendored are left out. `--floors` names a Python file with `LAYERS`, lists of rooms from the ground up (default:
tests/unit/test_structure.py beside the package). `--list` prints what was counted.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from statistics import mean, median
from typing import Any

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"tests", "test", "testing", "externals", "_vendor"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINED = (*FUNCTION, ast.ClassDef)
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
TEXT = (ast.JoinedStr, ast.List)
OWN = ("self", "cls", "super()")
PRIVATE = re.compile(r"_(?!_)")
KNOW_REAL = ("events", "outcomes")
OPENINGS = ("What", "How", "Whether", "Of", "By")
# participles that do not end in -ed, and verbs and nouns that do
IRREGULAR = """
    apart begun bent bound bought broken brought built cast chosen cut done drawn fallen felt found given gone grown heard
    held hidden kept known laid lent lost made meant met paid proven put risen said seen sent shown shut sold sought spelt
    spent spread stood taken taught thought thrown told torn understood unheard unseen untold unknown woven written
"""
VERBS = (
    "bed breed embed exceed feed heed indeed need proceed red seed shed shred speed succeed weed"
)

Graph = dict[str, set[str]]


class Package:
    """The modules of a package, parsed. Imports count wherever they are, typing imports too."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder.resolve(), folder.resolve().name
        files = [
            f
            for f in sorted(self.folder.rglob("*.py"))
            if not LEFT_OUT & {*f.relative_to(self.folder).parts}
        ]
        self.texts = {self.module_of(file): file.read_text(encoding="utf-8") for file in files}
        self.trees = {module: ast.parse(text) for module, text in self.texts.items()}
        self.packages = {self.module_of(file) for file in files if file.name == "__init__.py"}
        self.nodes = [node for tree in self.trees.values() for node in ast.walk(tree)]
        self.functions: list[Any] = [node for node in self.nodes if isinstance(node, FUNCTION)]

    def module_of(self, file: Path) -> str:
        parts = file.relative_to(self.folder).with_suffix("").parts
        return ".".join((self.name, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    def room_of(self, module: str) -> str:
        """The folder or file below the root; the root's own `__init__` is a room in circles."""
        return module.split(".")[1] if "." in module else "__init__"

    def module(self, name: str) -> str:
        """The module of the package that a dotted name is of; nothing of other packages."""
        while name and name not in self.trees:
            name = name.rpartition(".")[0]
        return name

    def imports(self, module: str) -> set[str]:
        found = set()
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                found |= {self.module(alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                own = [*module.split("."), *[""][: module in self.packages]]
                base = ".".join(
                    filter(None, [*(own[: -node.level] if node.level else []), node.module])
                )
                found |= {self.module(f"{base}.{alias.name}") for alias in node.names}
        return found - {"", module}

    @cached_property
    def files(self) -> Graph:
        return {module: self.imports(module) for module in self.trees}

    @cached_property
    def rooms(self) -> Graph:
        found: Graph = defaultdict(set)
        for module, others in self.files.items():
            found[self.room_of(module)] |= {self.room_of(other) for other in others} - {
                self.room_of(module)
            }
        return dict(found)

    def count(self, holds: Callable[[Any], bool]) -> int:
        return sum(map(bool, map(holds, self.nodes)))


def find_circles(graph: Graph) -> list[str]:
    """The strongly connected components of more than one node (Tarjan 1972)."""
    found, places, low, stack = list[str](), dict[str, int](), dict[str, int](), list[str]()

    def visit(node: str) -> None:
        places[node] = low[node] = len(places)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in places:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == places[node]:
            start = stack.index(node)
            if len(stack) - start > 1:
                found.append(" ".join(sorted(stack[start:])))
            del stack[start:]

    for node in sorted(graph):
        if node not in places:
            visit(node)
    return found


def read_floors(file: Path) -> dict[str, int]:
    """The floor of each room, where a file declares them."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file.exists() else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            return {
                room: floor
                for floor, rooms in enumerate(ast.literal_eval(node.value))
                for room in rooms
            }
    return {}


def find_arrows_up(package: Package, floors: dict[str, int]) -> list[str]:
    """Imports from a room that is above the importing file's own; the root's `__init__` is above all."""
    pairs = [
        (module, other)
        for module, others in package.files.items()
        for other in sorted(others)
        if "." in module
    ]
    height = {module: floors.get(package.room_of(module), len(floors)) for module in package.trees}
    return [
        f"{module} -> {other}"
        for module, other in pairs
        if floors and height[other] > height[module]
    ]


def find_meanings(package: Package) -> list[str]:
    """Public functions and classes of one name at the top level of several modules, those of the command line aside."""
    where = defaultdict(list)
    for module, tree in package.trees.items():
        for name in {
            node.name for node in tree.body if isinstance(node, DEFINED) and node.name[0] != "_"
        }:
            where[name] += [module.removeprefix(f"{package.name}.")] * (
                package.room_of(module) != "cli"
            )
    several = sorted((-len(modules), name) for name, modules in where.items() if len(modules) > 1)
    return [f"{name}: {', '.join(where[name])}" for _, name in several]


def is_participle(name: str) -> bool:
    """Whether the first word of a name is one."""
    word = name.strip("_").split("_")[0]
    return word not in VERBS.split() and (
        word in IRREGULAR.split() or (word.endswith("ed") and len(word) > 4)
    )


def body_lines(function: Any) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[ast.get_docstring(function, clean=False) is not None :] or function.body
    return body[-1].end_lineno - body[0].lineno + 1


def code_lines(text: str) -> Iterator[str]:
    """Lines that hold more than a comment or a docstring."""
    held = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            held |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            held -= {*range(node.lineno, node.end_lineno + 1)}
    return (line for number, line in enumerate(text.splitlines(), 1) if number in held)


def is_packed(node: Any) -> bool:
    """Whether it is `a, b = x, y`."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and isinstance(node.targets[0], ast.Tuple)
    )


def is_truth(node: Any) -> bool:
    """Whether it is a comparison, a `not`, or a call that gives a truth."""
    called = isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "bool",
        "isinstance",
        "any",
        "all",
    )
    return (
        called
        or isinstance(node, ast.Compare)
        or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
    )


def is_text_times_truth(node: Any) -> bool:
    """Whether it is `"s" * (n != 1)`, or such a list."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return False
    text, truth = (node.left, node.right) if is_truth(node.right) else (node.right, node.left)
    return is_truth(truth) and (
        isinstance(text, TEXT) or isinstance(getattr(text, "value", None), str)
    )


def is_named(node: Any, name: str) -> bool:
    """Whether a name, or the last of a dotted one, is this."""
    return name in (getattr(node, "id", None), getattr(node, "attr", None))


def is_record_read(node: Any) -> bool:
    """Whether it is `record[...]` or `record.get(...)`, of any object's `record` too."""
    if isinstance(node, ast.Call):
        return is_named(node.func, "get") and is_named(getattr(node.func, "value", None), "record")
    return isinstance(node, ast.Subscript) and is_named(node.value, "record")


def is_task_by_string(node: Any) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and is_named(node.value, "TASKS")
        and isinstance(node.slice, ast.Constant)
    )


def find_private_reaches(package: Package) -> list[str]:
    """Names with a `_` before them, of the package, that anything but their own object, or its class, reaches for."""
    attributes = [node for node in package.nodes if isinstance(node, ast.Attribute)]
    own = {node.attr for node in attributes if ast.unparse(node.value) in OWN}
    own |= {function.name for function in package.functions}
    return [
        ast.unparse(node)
        for node in attributes
        if PRIVATE.match(node.attr) and node.attr in own and ast.unparse(node.value) not in OWN
    ]


def find_kind_tests(package: Package) -> list[str]:
    """Places outside the rooms of kinds, heads and outcomes that ask whether a kind is of the class of real numbers."""
    found = []
    for module, tree in package.trees.items():
        if package.room_of(module) not in KNOW_REAL and not module.endswith("networks.heads"):
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            found += [f"{module}: {ast.unparse(node)}" for node in calls if is_kind_test(node)]
    return found


def is_kind_test(node: ast.Call) -> bool:
    """True of `isinstance(_, Real)`, alone or beside other classes."""
    return is_named(node.func, "isinstance") and "Real" in map(ast.unparse, ast.walk(node.args[1]))


def find_models(package: Package) -> list[ast.ClassDef]:
    """The class of each file in `models` that is named as its file; of other packages every public class."""
    named = {module: module.rpartition(".")[2].replace("_", "") for module in package.trees}
    own = [module for module in named if package.room_of(module) == "models"]
    classes = (
        (m, each)
        for m in own or named
        for each in package.trees[m].body
        if isinstance(each, ast.ClassDef)
    )
    return [
        each
        for m, each in classes
        if (each.name.lower() == named[m] if own else each.name[0] != "_")
    ]


def find_arguments(model: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Each argument of a constructor but the schema, and whether the class, or the constructor, says what it is."""
    for made in (
        node for node in model.body if isinstance(node, FUNCTION) and node.name == "__init__"
    ):
        text = f"{ast.get_docstring(model)}\n{ast.get_docstring(made)}"
        for each in (made.args.posonlyargs + made.args.args)[1:] + made.args.kwonlyargs:
            if each.arg != "schema":
                yield (
                    f"{model.name}.{each.arg}",
                    bool(re.search(rf"`{each.arg}`|(?<!\w){each.arg} ?:", text)),
                )


def measure_readme(folder: Path) -> str:
    """Words outside code blocks and tables, and lines of tables, of the README beside a package."""
    file = folder.parent / "README.md"
    text = re.sub(
        r"^```.*?^```",
        "",
        file.read_text(encoding="utf-8") if file.exists() else "",
        flags=re.S | re.M,
    )
    rows = [line.lstrip().startswith("|") for line in text.splitlines()]
    words = sum(
        len(line.split())
        for line, is_row in zip(text.splitlines(), rows, strict=True)
        if not is_row
    )
    return f"{words:,}; {sum(rows)}"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


def measure(
    package: Package, floors: dict[str, int]
) -> tuple[list[tuple[str, str, str]], dict[str, list[str]]]:
    """Each measure, its value and what it must be; and what was counted."""
    nodes, functions, models = package.nodes, package.functions, find_models(package)
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    bodies = sorted(map(body_lines, functions))
    code = [line for text in package.texts.values() for line in code_lines(text)]
    hundred = package.count(lambda node: isinstance(node, ast.stmt)) / 100
    docs = [
        doc
        for node in nodes
        if isinstance(node, (*DEFINED, ast.Module)) and (doc := ast.get_docstring(node))
    ]
    arguments = [each for model in models for each in find_arguments(model)]
    model_docs = [ast.get_docstring(model) or "" for model in models]
    lines = {module: len(text.splitlines()) for module, text in package.texts.items()}
    counted = {
        "private fields reached for": find_private_reaches(package),
        "circles among rooms": find_circles(package.rooms),
        "circles among files": find_circles(package.files),
        "arrows back up": find_arrows_up(package, floors),
        "top-level names with several meanings": find_meanings(package),
        "files over 400 lines": [
            f"{module} {number}" for module, number in lines.items() if number > 400
        ],
        "classes over 300 lines": [
            c.name for c in classes if (c.end_lineno or 0) - c.lineno >= 300
        ],
    }
    rooms, numbers = (
        str(len(package.rooms.keys() - {"__init__"})),
        {name: str(len(n)) for name, n in counted.items()},
    )
    numbers["arrows back up"] = numbers["arrows back up"] if floors else "-"
    participles = Counter(function.name for function in functions if is_participle(function.name))
    body = f"{median(bodies):.0f} / {bodies[int(0.95 * len(bodies))]} / {bodies[-1]}"
    comprehensions = package.count(lambda node: isinstance(node, COMPREHENSION)) / hundred
    opened = percent(sum(doc.split()[0] in OPENINGS for doc in docs), len(docs))
    told, tested = sum(map(bool, model_docs)), sum(">>> " in doc for doc in model_docs)
    found = [
        ("rooms at the root", rooms, "<= 25, 28 with the service's"),
        *((name, number, "0") for name, number in numbers.items()),
        ("functions named by a participle", percent(participles.total(), len(functions)), "<= 3 %"),
        ("function body, lines: median / p95 / longest", body, "<= 3 / 15 / 48"),
        (
            "characters a code line, indentation aside",
            f"{mean(len(line.strip()) for line in code):.1f}",
            "<= 40",
        ),
        ("lines over 100", percent(sum(len(line) > 100 for line in code), len(code)), "<= 1 %"),
        ("packed assignments per 100 statements", f"{package.count(is_packed) / hundred:.1f}", ""),
        ("comprehensions per 100 statements", f"{comprehensions:.1f}", ""),
        ("texts or lists times a truth", str(package.count(is_text_times_truth)), "0"),
        (f"docstrings that begin {', '.join(OPENINGS)}", opened, "0"),
        (
            "constructor arguments described",
            f"{sum(says for _, says in arguments)} of {len(arguments)}",
            "all",
        ),
        (
            "model classes with a docstring; with a doctest",
            f"{told}; {tested} of {len(models)}",
            "all",
        ),
        (
            "README: words outside code and tables; table lines",
            measure_readme(package.folder),
            "<= 900; <= 12",
        ),
        ("record read as an untyped dict", str(package.count(is_record_read)), "0"),
        ("task called by a string from the table", str(package.count(is_task_by_string)), "0"),
        ("kinds told by `isinstance(_, Real)`", str(len(find_kind_tests(package))), "<= 5"),
    ]
    counted["kinds told by their class"] = find_kind_tests(package)
    counted["functions named by a participle"] = [
        f"{name} {number}" for name, number in participles.most_common()
    ]
    counted["constructor arguments not described"] = [name for name, says in arguments if not says]
    return found, counted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, default=[ROOT / "plausibly"])
    parser.add_argument("--floors", type=Path)
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    packages = [Package(path) for path in given.paths]
    floors = [
        read_floors(given.floors or each.folder.parent / "tests" / "unit" / "test_structure.py")
        for each in packages
    ]
    found, counted = zip(*map(measure, packages, floors), strict=True)
    print("| measured |", *(f"{each.name} |" for each in packages), "must |")
    print("|---|" + "---:|" * (len(packages) + 1))
    for row in zip(*found, strict=True):
        print("|", row[0][0], "|", *(f"{value} |" for _, value, _ in row), row[0][2], "|")
    for package, lists in zip(packages, counted, strict=True):
        for name, those in lists.items() if given.list else ():
            print(f"\n{package.name}, {name}:", *those, sep="\n  ")


if __name__ == "__main__":
    main()
