"""Standard sets with published numbers: each fitted by one portfolio, tested once, and put beside the literature.

Nothing is chosen by hand for a set, and nothing by its test rows: `Sealed` hands these out once, to what is final. A set
whose run is there already is not fitted again, and one that was stopped goes on.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from plausibly.data.dataset import Dataset
from plausibly.data.events import Events, ignore_progress
from plausibly.errors import UserError, did_you_mean
from plausibly.evaluation.intervals import with_error
from plausibly.fitting.conditioning import load_request
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import AUTO, fresh_folder
from plausibly.fitting.going_on import train_or_restore
from plausibly.fitting.portfolio import fit_auto
from plausibly.fitting.results import run_test
from plausibly.fitting.settings import DataRequest, Listener, Settings, make_settings
from plausibly.models import MODELS
from plausibly.printing import visible
from plausibly.runs.record import Record, SearchSettings, ingredients, read_record
from plausibly.runs.run import Run
from plausibly.system.files import replacing

# seconds of training for each row of the table
BUDGET_SECONDS = {"debd": 600.0, "larochelle": 600.0, "binary-mnist": 900.0}


@dataclass(frozen=True)
class SuiteEntry:
    """A row of a suite's table: a file, without its suffix, and what is fitted to it.

    That is the portfolio, or, with `orders`, the mixture of a model in so many. Where there are `steps` it is fitted for
    these, unless somebody says otherwise, else for the suite's budget.
    """

    label: str
    file: str
    model: str = AUTO
    values: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    orders: int = 0

    @property
    def is_mixed(self) -> bool:
        return self.model == AUTO or self.orders > 0


MNIST_FILE = "bmnist_larochelle"
NADE_VALUES = {"hidden": 500, "dropout": 0.3, "train.every": 500}
VAE_VALUES = {
    "latents": 40,
    "objective": {"name": "importance-weighted", "draws": 5},
    "prior": {"name": "flow", "layers": 4, "hidden": 256},
    "network": {"name": "convolutional", "channels": 16, "image": [1, 28, 28]},
    "train.every": 1000,
}
SUITES: dict[str, str | tuple[SuiteEntry, ...]] = {  # files of which each is a row, or the rows
    "debd": "debd_",
    "larochelle": "laro_",
    "binary-mnist": (
        SuiteEntry("nade", MNIST_FILE, "nade", NADE_VALUES, 14_000),
        SuiteEntry("made", MNIST_FILE, "made", {"hidden": 1000, "dropout": 0.35}, 6_000),
        SuiteEntry("ensemble", MNIST_FILE, "nade", NADE_VALUES, 14_000, orders=5),
        SuiteEntry("vae", MNIST_FILE, "vae", VAE_VALUES, 8_000),
    ),
}


def suite_entries(suite: str, folder: Path, wanted: Sequence[str] | None) -> list[SuiteEntry]:
    """The rows of a suite's table. UserError for one that is not there."""
    if suite not in SUITES:
        raise UserError(
            f"there is no benchmark {suite!r}{did_you_mean(suite, SUITES)}; there are {', '.join(SUITES)}"
        )
    rows = entries_there(suite, folder)
    labels = [entry.label for entry in rows]
    if wanted is not None and not wanted:
        raise UserError(f"no set is named; there are {', '.join(labels)}")
    for name in wanted or ():
        if name not in labels:
            raise UserError(
                f"{suite} has no {name!r} here{did_you_mean(name, labels)}; there are {', '.join(labels)}"
            )
    return [entry for entry in rows if wanted is None or entry.label in wanted]


def entries_there(suite: str, folder: Path) -> list[SuiteEntry]:
    """The rows whose files are in the folder. UserError where there is none."""
    known = SUITES[suite]
    if isinstance(known, str):
        found = sorted(path.stem for path in folder.glob(f"{known}*.npz"))
        rows, pattern = (
            [SuiteEntry(name.removeprefix(known), name) for name in found],
            f"{known}NAME",
        )
    else:
        rows = [entry for entry in known if (folder / f"{entry.file}.npz").is_file()]
        pattern = known[0].file
    if not rows:
        raise UserError(
            f"{folder} holds no {pattern}.npz, with the arrays train, valid and test, which {suite} is about"
        )
    return rows


class SealedTestSet:
    """A set whose test rows come out once, when a fit is final."""

    def __init__(self, source: Path) -> None:
        whole, self.origin = load_request(DataRequest(str(source)), ignore_progress)
        self._test: Events | None = whole.test
        self.dataset: Dataset = replace(whole, test=whole.valid[:0])

    def unseal(self, fit: Fit) -> Fit:
        """The fit with the test rows. UserError where it has not learned to its end, or they were handed out before."""
        if fit.record.status != "done" or fit.record.test is not None:
            raise UserError(
                f"{fit.path}: test rows are for a fit that is final and has not seen them"
            )
        if self._test is None:
            raise UserError(
                f"{self.dataset.name}: its test rows have been handed out, and are so only once"
            )
        fit.dataset, self._test = replace(self.dataset, test=self._test), None
        fit.record = fit.record.replace(rows=fit.dataset.rows)
        return fit


@dataclass(frozen=True)
class BenchmarkRow:
    """A row of the table: nats per test row, and the best published ones, certain or only recalled."""

    set: str
    variables: int
    rows: int
    sign: str
    nats: float
    standard_error: float | None
    mixed: str
    parameters: int
    seconds: float
    certain: float | None
    certain_method: str
    certain_source: str
    best: float | None
    best_method: str
    best_source: str
    run: str


def read_published(file: str) -> list[dict[str, str]]:
    """Published numbers about a file."""
    text = (files("plausibly.fitting") / "published.csv").read_text(encoding="utf-8")
    return [row for row in csv.DictReader(io.StringIO(text)) if row["set"] == file]


def best_published(rows: Sequence[dict[str, str]]) -> tuple[float | None, str, str]:
    """The highest number, its method and its source."""
    if not rows:
        return None, "", ""
    row = max(rows, key=lambda row: float(row["nats"]))
    return float(row["nats"]), row["method"], row["source"]


def table_row(entry: SuiteEntry, run: Run) -> BenchmarkRow:
    record, known = run.record, read_published(entry.file)
    test = record.test
    assert test is not None
    return BenchmarkRow(
        entry.label,
        run.model.schema.size,
        test.rows,
        test.sign,
        test.value,
        test.standard_error,
        ingredients(record) or record.model,
        record.parameters,
        record.seconds if record.took is None else record.took,
        *best_published([row for row in known if row["certain"] == "yes"]),
        *best_published(known),
        str(run.path),
    )


def settings_for(entry: SuiteEntry, suite: str, asked: Settings) -> Settings:
    """The settings asked for, with the row's own arguments, and its steps or the suite's budget where nobody gave any."""
    steps = asked.train.get("steps") or (None if asked.budget else entry.steps)
    budget = asked.budget or (None if steps else BUDGET_SECONDS[suite])
    return make_settings(entry.values, asked.seed, budget, steps, asked.device)


def fit_entry(
    entry: SuiteEntry, folder: Path, path: Path, own: Settings, listener: Listener
) -> Run:
    """The tested run of a row, which is fitted if it is not there yet."""
    started, sealed = time.monotonic(), SealedTestSet(folder / f"{entry.file}.npz")
    known = read_begun(path, sealed.origin.fingerprint, own.seed)
    if known and known.test is not None:
        return Run.open(path)
    if known and entry.is_mixed:
        check_settings(path, known, own)
    with fresh_folder(path):
        fit = learn_entry(entry, path, known, sealed, own, listener)
    if fit.record.status == "interrupted":
        raise KeyboardInterrupt("stopped; the same command goes on from there")
    took = max(time.monotonic() - started, fit.record.seconds)
    fit.record = fit.record.replace(took=took)
    return run_test(sealed.unseal(fit))


def read_begun(path: Path, fingerprint: str | None, seed: int) -> Record | None:
    """The record of a row that has begun. UserError where it is of other data, or of another seed."""
    known = read_record(path) if (path / "run.json").exists() else None
    if known and (known.data.fingerprint, known.seed) != (fingerprint, seed):
        raise UserError(f"{path} is of other data, or of seed {known.seed}; give another --out")
    return known


def check_settings(path: Path, known: Record, own: Settings) -> None:
    """UserError where a mixture was begun with other settings."""
    if known.settings and known.settings != SearchSettings(own.train, own.budget):
        raise UserError(
            f"{path} was begun with another --budget or --steps; give the same, or another --out"
        )


def learn_entry(
    entry: SuiteEntry,
    path: Path,
    known: Record | None,
    sealed: SealedTestSet,
    own: Settings,
    listener: Listener,
) -> Fit:
    """A row's fit that has learned, anew or going on from what is `known` of it."""
    dataset, origin = sealed.dataset, sealed.origin
    if known and (not entry.is_mixed or known.status == "done"):
        return train_or_restore(Fit.from_folder(path, own.device, listener, dataset=dataset))
    if not entry.is_mixed:
        return train_or_restore(Fit.new(path, MODELS[entry.model], dataset, origin, own, listener))
    jobs = [(entry.model, own.arguments | {"shuffle": order}) for order in range(entry.orders)]
    plain = replace(own, arguments={})
    return fit_auto(path, dataset, origin, plain, listener, jobs or None)


def benchmark(
    suite: str,
    data: Path | str,
    *,
    sets: Sequence[str] | None = None,
    out: Path | str | None = None,
    budget: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    listener: Listener | None = None,
) -> Iterator[BenchmarkRow]:
    """Fits what a suite asks for, one row of its table after the other; each is in `table.csv` and `table.md` at once.

    `data` is the folder of the sets, `budget` seconds of training for each (by default the entry's steps, else `BUDGETS`),
    or `steps` of each fit.
    """
    folder, path, listener = Path(data), Path(out or Path("runs") / suite), listener or Listener()
    asked = make_settings(None, seed, budget or None, steps or None, device)
    rows = suite_entries(suite, folder, sets)
    others = [each for each in suite_entries(suite, folder, None) if each not in rows]
    tested = [each for each in others if is_tested(path / each.label)]
    lines = {each.label: table_row(each, Run.open(path / each.label)) for each in tested}
    for entry in rows:
        listener.log(f"{suite}: {entry.label}")
        own = settings_for(entry, suite, asked)
        run = fit_entry(entry, folder, path / entry.label, own, listener)
        lines[entry.label] = table_row(entry, run)
        write_tables(suite, [lines[name] for name in sorted(lines)], path)
        yield lines[entry.label]


def is_tested(path: Path) -> bool:
    return (path / "run.json").exists() and read_record(path).test is not None


HEADINGS = [
    "set",
    "n",
    "test rows",
    "nats per row",
    "published, certain",
    "and recalled",
    "mixed",
    "parameters",
    "time",
]


def format_row(line: BenchmarkRow) -> list[str]:
    """A row as people read it."""
    known = [
        f"{nats:.2f} ({method})" if nats is not None else "" for nats, method in best_numbers(line)
    ]
    return [
        line.set,
        str(line.variables),
        f"{line.rows:,}",
        f"{line.sign} {with_error(line.nats, line.standard_error, '.3f')}",
        *known,
        line.mixed,
        f"{line.parameters:,}",
        f"{line.seconds:.0f} s",
    ]


def best_numbers(line: BenchmarkRow) -> list[tuple[float | None, str]]:
    """The best certain number, and the best one where that is only recalled."""
    recalled = (line.best, line.best_method) if line.best != line.certain else (None, "")
    return [(line.certain, line.certain_method), recalled]


def sources_line(lines: Sequence[BenchmarkRow]) -> str:
    """Where the published numbers are from."""
    named = {source for line in lines for source in (line.certain_source, line.best_source)}
    return f"Published numbers: {'; '.join(sorted(named - {''})) or 'none'}."


def write_tables(suite: str, lines: Sequence[BenchmarkRow], path: Path) -> None:
    """The table so far, as CSV and as Markdown."""
    with replacing(path / "table.csv") as draft:
        draft.write_text(table_csv(lines), encoding="utf-8", newline="")
    with replacing(path / "table.md") as draft:
        draft.write_text(table_markdown(suite, lines), encoding="utf-8")


def table_csv(lines: Sequence[BenchmarkRow]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([one.name for one in fields(BenchmarkRow)])
    rows.writerows(["" if v is None else v for v in vars(line).values()] for line in lines)
    return text.getvalue()


def table_markdown(suite: str, lines: Sequence[BenchmarkRow]) -> str:
    rows = [HEADINGS, *(map(_escape_cell, format_row(line)) for line in lines)]
    first, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    rule = "|---|" + "---:|" * (len(HEADINGS) - 1)
    return "\n".join([f"# {suite}", "", first, rule, *rest, "", sources_line(lines), ""])


def _escape_cell(cell: str) -> str:
    """A cell of a Markdown table: one line, and a bar is no border."""
    return visible(cell).replace("|", "\\|")
