"""Imports point one way, and the package keeps its promises about what it touches."""

import ast
import re
from pathlib import Path

import plausibly
from benchmarks.shape import (
    OPENINGS,
    Package,
    find_arrows_up,
    find_circles,
    find_kind_tests,
    find_meanings,
    find_private_reaches,
    is_participle,
    is_record_read,
    is_text_times_truth,
)

ROOT = Path(plausibly.__file__).parent

# from the ground up: each floor may import from itself and from those below it, which stand above it here
LAYERS = [
    ["printing"],
    ["errors"],
    ["system"],
    ["coding", "events"],
    ["outcomes"],
    ["networks", "kernels"],
    ["objectives"],
    ["capabilities"],
    ["author"],
    ["families"],
    ["models"],
    ["training", "tasks", "data"],
    ["evaluation", "contract"],
    ["runs"],
    ["jobs"],
    ["report"],
    ["fitting"],
    ["estimators"],
    ["service", "client"],
    ["cli"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
PACKAGE = Package(ROOT)


def test_imports_point_down():
    assert not find_arrows_up(PACKAGE, RANK)


def test_nothing_imports_in_a_circle():
    """Neither rooms nor files, imports within functions and for type checking counted."""
    assert not find_circles(PACKAGE.rooms)
    assert not find_circles(PACKAGE.files)


MAX_ROOMS = 27


def test_every_room_has_its_place():
    assert PACKAGE.rooms.keys() - {"__init__"} == set(RANK)
    assert len(RANK) <= MAX_ROOMS


def test_each_name_has_one_meaning():
    """At the top level of files, but for the command line, whose functions are named as the tasks are."""
    assert not find_meanings(PACKAGE)


MAX_PARTICIPLES = 0.03


def test_functions_begin_with_a_verb():
    participles = [each.name for each in PACKAGE.functions if is_participle(each.name)]
    assert len(participles) <= MAX_PARTICIPLES * len(PACKAGE.functions), participles


def imports(path):
    return PACKAGE.imports(PACKAGE.module_of(path))


def part(module):
    return PACKAGE.room_of(module)


KNOW_KINDS = {
    "heads",
    "inputs",
    "pairs",
    "real_features",
    "straight_through",
}  # what stands between events and plain numbers


def test_files_are_short():
    assert not [module for module, text in PACKAGE.texts.items() if text.count("\n") > 400]


def test_texts_are_chosen_by_a_condition():
    """Not by a product with a truth, such as `"s" * (n != 1)`."""
    assert not [ast.unparse(node) for node in PACKAGE.nodes if is_text_times_truth(node)]


def test_a_record_is_read_by_its_fields():
    """Not as a dictionary, whose names and types nothing checks."""
    assert not [ast.unparse(node) for node in PACKAGE.nodes if is_record_read(node)]


MAX_KIND_TESTS = 5


def test_kinds_say_themselves_what_they_are():
    """By their properties, which a new kind has too; its class is asked for where kinds become networks and outcomes."""
    tests = find_kind_tests(PACKAGE)
    assert len(tests) <= MAX_KIND_TESTS, tests


def test_nothing_reaches_into_private_fields():
    assert not find_private_reaches(PACKAGE)


def test_docstrings_begin_with_a_noun_or_a_verb():
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = [ast.get_docstring(node) for node in PACKAGE.nodes if isinstance(node, kinds)]
    assert not [doc for doc in docs if doc and doc.split()[0] in OPENINGS]


def test_networks_know_no_kinds_and_models_no_files():
    for path in (ROOT / "networks").glob("*.py"):
        assert path.stem in KNOW_KINDS or not {part(m) for m in imports(path)} & {
            "events",
            "data",
        }, path
    for path in (ROOT / "models").glob("*.py"):
        assert not {part(m) for m in imports(path)} & {"data", "runs"}, path
        assert "plausibly.system.files" not in imports(path), path


def test_tasks_know_no_model_by_name():
    for path in (ROOT / "tasks").glob("*.py"):
        assert "models" not in {part(m) for m in imports(path)}, path


def calls(path):
    """Every call in a file, by what is called as it is written, with its keyword arguments."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield (
                ast.unparse(node.func),
                {word.arg: ast.unparse(word.value) for word in node.keywords},
            )


FORBIDDEN = re.compile(
    r"eval|exec|__import__|os\.(system|popen|exec\w*|spawn\w*|fork)|(\w+\.)?(Popen|check_output|check_call)"
    r"|(subprocess|pickle|cPickle|dill|joblib|marshal|shelve|yaml|runpy|torch\.hub)\.\w+|torch\.load|pd\.read_\w+|np\.fromfile"
)
NEEDED = {"np.load": ("allow_pickle", "False"), "Image.open": ("formats", "PILLOW_FORMATS")}
USERS_WORD = {"runs/user_models.py": "exec"}  # a file that the user named for this very use


def test_nothing_makes_code_or_a_program_of_data():
    for path in ROOT.rglob("*.py"):
        for called, given in calls(path):
            own = USERS_WORD.get(str(path.relative_to(ROOT)))
            assert called == own or not FORBIDDEN.fullmatch(called), (path, called)
            if called in NEEDED:
                word, value = NEEDED[called]
                assert given.get(word) == value, (path, called)
        for module in imported(path):
            assert module.split(".")[0] not in (
                "pickle",
                "subprocess",
                "marshal",
                "shelve",
                "yaml",
            ), path
            assert module.split(".")[0] != "urllib" or module == "urllib.parse", path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_all_text_goes_through_one_function():
    for path in ROOT.rglob("*.py"):
        if path.name != "printing.py":
            assert "print" not in {called for called, _ in calls(path)}, path
            assert path.name == "console.py" or "sys.stdout" not in path.read_text(), path


def test_no_global_generator():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        for word in ("manual_seed_all", "torch.manual_seed", "np.random.seed"):
            assert word not in text, (path, word)
