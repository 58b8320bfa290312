"""Runs the examples of the guide; as a script (`make guide`), also writes what they print now into the pages.

A `console` block holds commands after `$ ` and what they print; a `pycon` block is a doctest. In both, `...` stands for
whatever is left out, and runs of blanks count as one. The blocks of a page share one empty folder and one namespace.

What is computed exactly is the same to the last digit on any processor. Weights that are trained are not: after
`<!-- trained -->` a number with a standard error agrees within a tenth of it and the rounding, and one that `...` cuts
short within two of its last digit. All else in such a block is exact too.
"""

import doctest
import os
import re
import shlex
import subprocess
import tempfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from plausibly.cli.commands import app, exit_status, run_command

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "guide").glob("*.md"))
BLOCK = re.compile(
    r"^(<!-- trained -->\n)?```(console|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
NUMBER, ERROR = r"-?\d[\d,]*(?:\.\d+)?", r"\d+(?:\.\d+)?"
TRAINED = re.compile(rf"(?<![\w.])({NUMBER})(?: ± ({ERROR})|(?=\.\.\.))")


class Example(NamedTuple):
    source: str
    wanted: str
    got: str
    trained: bool = False

    @property
    def holds(self):
        """Whether it printed what the page shows; what shows nothing must print no error."""
        if not self.wanted:
            return not re.match(r"plausibly: |Traceback ", self.got)
        wanted = " ".join(self.wanted.split())
        loose = list(TRAINED.finditer(wanted)) if self.trained else []
        found = re.fullmatch(accepted(wanted, loose), " ".join(self.got.split()))
        return found is not None and all(
            near(*shown.groups(), *found.groups()[2 * k : 2 * k + 2])
            for k, shown in enumerate(loose)
        )


def accepted(wanted, loose):
    """What may be printed: the text with any number in the place of a trained one, and anything where `...` stands."""
    places = [0, *(place for shown in loose for place in shown.span()), len(wanted)]
    exact = [
        re.split(r" ?\.\.\. ?", wanted[a:b]) for a, b in zip(places[::2], places[1::2], strict=True)
    ]
    texts = [".*".join(map(re.escape, parts)) for parts in exact]
    numbers = [rf"({NUMBER}) ± ({ERROR})" if shown[2] else rf"({NUMBER})()" for shown in loose]
    return "".join(text + number for text, number in zip(texts, [*numbers, ""], strict=True))


def near(shown, error, printed, other):
    """Whether a trained number is printed as the page shows it."""
    apart = abs(float(shown.replace(",", "")) - float(printed.replace(",", "")))
    if not error:
        return apart < 2 * last_digit(shown)
    tenth = float(error) / 10
    return apart <= tenth + last_digit(shown) and abs(
        float(error) - float(other)
    ) <= tenth + last_digit(error)


def last_digit(number):
    """What a number's last digit counts: 0.01 for 3.14."""
    return 10.0 ** -len(number.partition(".")[2])


def command(words):
    """What `plausibly WORDS` prints, run in this process because starting takes a second; of stderr only an error."""

    def call():
        found, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
        run_command(found, bound)

    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        exit_status(call)
    return out.getvalue() + "".join(
        line for line in err.getvalue().splitlines(True) if line.startswith("plausibly: ")
    )


def shell(text, trained):
    for source, wanted in COMMAND.findall(text):
        words = shlex.split(source)
        other = {"shell": True, "capture_output": True, "text": True, "check": True}
        got = (
            command(words[1:])
            if words[0] == "plausibly"
            else subprocess.run(source, **other).stdout
        )
        yield Example(source, wanted, got, trained)


def python(text, trained, names):
    for example in doctest.DocTestParser().get_examples(text):
        out = StringIO()
        with redirect_stdout(out):
            try:
                exec(compile(example.source, "<example>", "single"), names)
            except Exception as error:
                print(
                    f"Traceback (most recent call last):\n    ...\n{type(error).__name__}: {error}"
                )
        yield Example(example.source, example.want, out.getvalue(), trained)


def examples(page):
    """Runs a page's examples in order, in a folder of its own, and yields each with what it printed."""
    home, names = Path.cwd(), {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for mark, kind, text in BLOCK.findall(page.read_text()):
                yield from (
                    shell(text, bool(mark))
                    if kind == "console"
                    else python(text, bool(mark), names)
                )
        finally:
            os.chdir(home)


def renewed(wanted, got):
    """The shown text with the words that are printed now; `...` stays where it is."""
    if "..." not in wanted:
        return "".join(line.rstrip() + "\n" for line in got.splitlines())
    printed = [line.split() for line in got.splitlines() if line.strip()]
    return "".join(renewed_line(line, printed) for line in wanted.splitlines(True))


def renewed_line(line, printed):
    """The line up to its first `...`, with the words of the printed line that has most in common with it."""
    shown = line.split("...")[0]
    alike = [words for words in printed if words[:1] == shown.split()[:1]]
    if not alike:
        return line
    words = list(
        max(
            alike, key=lambda words: sum(a == b for a, b in zip(words, shown.split(), strict=False))
        )
    )
    if (
        shown != line and not shown[-1].isspace() and len(words) >= len(shown.split())
    ):  # its last word is cut short
        last = len(shown.split()) - 1
        words[last] = words[last][: len(shown.split()[last])]
    for place, old in reversed(list(enumerate(re.finditer(r" *\S+", shown)))):
        if place < len(words) and words[place] != old[0].strip():
            space = max(len(old[0]) - len(words[place]), place > 0)
            line = line[: old.start()] + " " * space + words[place] + line[old.end() :]
    return line


def renew(page):
    text = page.read_text()
    for example in examples(page):
        if not example.holds:
            shown = renewed(example.wanted, example.got)
            print(f"{page.name}: {example.source.strip()}\n{shown}")
            last = re.escape(example.source.rstrip("\n").split("\n")[-1] + "\n")
            text = re.sub(
                f"({last}){re.escape(example.wanted)}",
                lambda found, new=shown: found[1] + new,
                text,
                count=1,
            )
    page.write_text(text)


if __name__ == "__main__":
    for each in PAGES:
        renew(each)
