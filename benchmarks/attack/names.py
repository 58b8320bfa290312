"""Hostile names of files, columns, levels and runs: they reach no terminal, no other folder, no program, and come back."""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

from benchmarks.attack.commands import Ended, ended_on_terminal
from benchmarks.attack.stage import copied, left_in
from benchmarks.attack.verdicts import HELD, REFUSED, Attack, Verdict

NAMES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "two\nlines",
    "a\rb",
    "tab\tbed",
    "../up",
    "../../etc/up",
    "/tmp/absolute",
    "x" * 300,
    "=cmd()",
    '=HYPERLINK("http://x","y")',
    "-rf",
    "--out",
    "@sum",
    "",
    " ",
    ".",
    "..",
    "a\x00b",
    "\u202egnp.exe",
    "\u200b",
    "ﬀ\u0301e",
    "表 😀",
    "\ufeffmark",
    "[bold]rich[/bold]",
    "{{ 7 * 7 }}",
    "<script>alert(1)</script>",
    "%s%n{0}",
    "`id`",
    "$(touch owned)",
    "; touch owned",
    "a,b",
    'a"b',
    "a=b",
    "rest",
    "label",
    "nan",
    "NULL",
    "a:b",
    "__class__",
    "con",
    "\\",
    "'",
    "latin\udce9",  # a byte that is no UTF-8, as Python has it
)


def said_badly(found: Ended) -> str | None:
    """A character in what was printed that could command a terminal."""
    told = (found.out + found.err).replace("\r\n", "\n")
    bad = next(
        (
            c
            for c in told
            if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2066"
        ),
        None,
    )
    return f"prints {bad!r} in {told[max(0, told.index(bad) - 20) :][:50]!r}" if bad else None


def judged(found: Ended, folder: Path) -> Verdict:
    """The verdict on one command."""
    if found.fault:
        return Verdict.of_fault(found)
    if told := said_badly(found):
        return Verdict("silent change", told)
    stray = [
        path.name
        for path in (*folder.parent.iterdir(), *folder.parent.parent.glob("up*"))
        if path.name != "kit"
    ]
    stray = [name for name in stray if not name.startswith("tmp")] + [
        path.name for path in folder.rglob("owned")
    ]
    if stray or (left := left_in(folder)):
        return Verdict("left behind", f"{stray or left}")
    return REFUSED if found.status else HELD


def worst(verdicts: list[Verdict]) -> Verdict:
    """The first that failed, else the last."""
    return next((each for each in verdicts if each.failed), None) or verdicts[-1]


def in_columns(random: Random, number: int) -> Verdict:
    """Two columns and a level of such names: described, learned, drawn, packed and unpacked."""
    first, second, level = NAMES[number % len(NAMES)], random.choice(NAMES), random.choice(NAMES)
    with copied() as folder:
        with open(folder / "hostile.csv", "w", newline="", errors="surrogateescape") as file:
            rows = [[random.choice([level, "b", "c"]), random.randrange(5)] for _ in range(60)]
            csv.writer(file).writerows([[first, second], *rows])
        verdicts = []
        for words in (
            ["data", "hostile.csv"],
            ["fit", "hostile.csv", "--model", "markov", "--out", "h", "--quiet"],
            ["sample", "h", "-n", "3"],
            ["score", "h", "hostile.csv", "--out", "s.csv"],
            ["query", "h", second, "--given", f"{first}={level}"],
            ["models", "--data", "hostile.csv"],
            ["compress", "h", "hostile.csv", "h.pls"],
            ["decompress", "h.pls", "again.csv"],
            ["classify", "h", "hostile.csv", "--target", first],
        ):
            verdicts.append(
                judged(ended_on_terminal(words, folder), folder).saying(
                    f"{' '.join(words)!r} of {first!r}, {second!r}, {level!r}"
                )
            )
            if words[0] == "fit" and not (folder / "h").exists():
                break
    return worst(verdicts)


def in_paths(random: Random, number: int) -> Verdict:
    """A file, a run and an output of such names."""
    name = NAMES[number % len(NAMES)].replace("/", "_") or "empty "
    with copied() as folder:
        verdicts = []
        source, run, out = f"./{name}.csv", f"./{name}", f"./{name}.out.csv"
        try:
            (folder / source).write_bytes((folder / "people.csv").read_bytes())
        except (OSError, ValueError):
            source = "people.csv"
        for words in (
            ["data", source],
            ["fit", source, "--model", "markov", "--out", run, "--quiet"],
            ["fit", f"{name}-none.csv"],
            ["sample", run, "-n", "3", "--out", out],
            ["evaluate", run],
            ["models", "--data", source],
            ["compress", run, source, f"{run}.pls"],
            ["decompress", f"{run}.pls", out],
            ["report", run],
            ["fit", "people.csv", "--model", name],
            ["sample", "run", "--given", f"{name}=1"],
        ):
            verdicts.append(
                judged(ended_on_terminal(words, folder), folder).saying(f"{' '.join(words)!r}")
            )
    return worst(verdicts)


def attacks() -> list[Attack]:
    return [
        Attack("hostile name", "of columns and levels", 2 * len(NAMES), in_columns),
        Attack(
            "hostile name",
            "of files and runs",
            len(NAMES),
            lambda random, number: in_paths(random, number),
        ),
    ]
