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
from plausibly.data.events import Events
from plausibly.data.loading import load
from plausibly.errors import UserError, did_you_mean
from plausibly.evaluation.intervals import with_error
from plausibly.fitting.conditioning import origin_of
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import AUTO, fresh_folder
from plausibly.fitting.going_on import train_or_restore
from plausibly.fitting.portfolio import fit_auto
from plausibly.fitting.results import run_test
from plausibly.fitting.settings import Listener, Settings, settings
from plausibly.models import MODELS
from plausibly.printing import visible
from plausibly.runs.record import SearchSettings, ingredients, read_record
from plausibly.runs.run import Run
from plausibly.system.files import replacing

BUDGET_SECONDS = {
    "debd": 600.0,
    "larochelle": 600.0,
    "binary-mnist": 900.0,
}  # seconds of training for each row of the table


@dataclass(frozen=True)
class Entry:
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


MNIST_FILE = "bmnist_larochelle"
NADE_VALUES = {"hidden": 500, "dropout": 0.3, "train.every": 500}
VAE_VALUES = {
    "latents": 40,
    "objective": {"name": "importance-weighted", "draws": 5},
    "prior": {"name": "flow", "layers": 4, "hidden": 256},
    "network": {"name": "convolutional", "channels": 16, "image": [1, 28, 28]},
    "train.every": 1000,
}
SUITES: dict[str, str | tuple[Entry, ...]] = {  # files of which each is a row, or the rows
    "debd": "debd_",
    "larochelle": "laro_",
    "binary-mnist": (
        Entry("nade", MNIST_FILE, "nade", NADE_VALUES, 14_000),
        Entry("made", MNIST_FILE, "made", {"hidden": 1000, "dropout": 0.35}, 6_000),
        Entry("ensemble", MNIST_FILE, "nade", NADE_VALUES, 14_000, orders=5),
        Entry("vae", MNIST_FILE, "vae", VAE_VALUES, 8_000),
    ),
}


def entries(suite: str, folder: Path, wanted: Sequence[str] | None) -> list[Entry]:
    """The rows of a suite's table. UserError for one that is not there."""
    if suite not in SUITES:
        raise UserError(
            f"there is no benchmark {suite!r}{did_you_mean(suite, SUITES)}; there are {', '.join(SUITES)}"
        )
    known = SUITES[suite]
    if isinstance(known, str):
        found = sorted(path.stem for path in folder.glob(f"{known}*.npz"))
        rows = [Entry(name.removeprefix(known), name) for name in found]
    else:
        rows = [entry for entry in known if (folder / f"{entry.file}.npz").is_file()]
    if not rows:
        pattern = f"{known}NAME.npz" if isinstance(known, str) else f"{known[0].file}.npz"
        raise UserError(
            f"{folder} holds no {pattern}, with the arrays train, valid and test, which {suite} is about"
        )
    labels = [entry.label for entry in rows]
    if wanted is not None and not wanted:
        raise UserError(f"no set is named; there are {', '.join(labels)}")
    for name in wanted or ():
        if name not in labels:
            raise UserError(
                f"{suite} has no {name!r} here{did_you_mean(name, labels)}; there are {', '.join(labels)}"
            )
    return [entry for entry in rows if wanted is None or entry.label in wanted]


class Sealed:
    """A set whose test rows come out once, when a fit is final."""

    def __init__(self, source: Path) -> None:
        whole = load(str(source))
        self.origin = origin_of(whole, {"seed": 0})
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


def table_row(entry: Entry, run: Run) -> BenchmarkRow:
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


def fit_entry(entry: Entry, folder: Path, path: Path, chosen: Settings, listener: Listener) -> Run:
    """The tested run of a row, which is fitted if it is not there yet."""
    started, sealed = time.monotonic(), Sealed(folder / f"{entry.file}.npz")
    known = read_record(path) if (path / "run.json").exists() else None
    if known and (known.data.fingerprint, known.seed) != (sealed.origin.fingerprint, chosen.seed):
        raise UserError(f"{path} is of other data, or of seed {known.seed}; give another --out")
    if known and known.test is not None:
        return Run.open(path)
    own = settings(
        entry.values, chosen.seed, chosen.budget, chosen.train.get("steps"), chosen.device
    )
    jobs = (
        tuple((entry.model, own.arguments | {"shuffle": order}) for order in range(entry.orders))
        or None
    )
    mixed = entry.model == AUTO or jobs is not None
    asked = SearchSettings(own.train, own.budget)
    if mixed and known and known.settings and known.settings != asked:
        raise UserError(
            f"{path} was begun with another --budget or --steps; give the same, or another --out"
        )
    with fresh_folder(path):
        if known and (not mixed or known.status == "done"):
            fit = train_or_restore(
                Fit.from_folder(path, own.device, listener, dataset=sealed.dataset)
            )
        elif mixed:
            plain = replace(own, arguments={})
            fit = fit_auto(path, sealed.dataset, sealed.origin, plain, listener, jobs)
        else:
            fit = train_or_restore(
                Fit.new(path, MODELS[entry.model], sealed.dataset, sealed.origin, own, listener)
            )
    if fit.record.status == "interrupted":
        raise KeyboardInterrupt("stopped; the same command goes on from there")
    took = max(time.monotonic() - started, fit.record.seconds)
    fit.record = fit.record.replace(took=took)
    return run_test(sealed.unseal(fit))


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
    rows = entries(suite, folder, sets)
    others = [
        entry
        for entry in entries(suite, folder, None)
        if entry not in rows and is_tested(path / entry.label)
    ]
    lines = {entry.label: table_row(entry, Run.open(path / entry.label)) for entry in others}
    for entry in rows:
        listener.log(f"{suite}: {entry.label}")
        own_steps = steps or (None if budget else entry.steps)
        chosen = settings(
            None, seed, budget or (None if own_steps else BUDGET_SECONDS[suite]), own_steps, device
        )
        lines[entry.label] = table_row(
            entry, fit_entry(entry, folder, path / entry.label, chosen, listener)
        )
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
    return [
        (line.certain, line.certain_method),
        (line.best, line.best_method) if line.best != line.certain else (None, ""),
    ]


def sources_line(lines: Sequence[BenchmarkRow]) -> str:
    """Where the published numbers are from."""
    told = {
        source for line in lines for source in (line.certain_source, line.best_source) if source
    }
    return f"Published numbers: {'; '.join(sorted(told)) or 'none'}."


def write_tables(suite: str, lines: Sequence[BenchmarkRow], path: Path) -> None:
    """The table so far, as CSV and as Markdown."""
    with (
        replacing(path / "table.csv") as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([one.name for one in fields(BenchmarkRow)])
        rows.writerows(
            [["" if value is None else value for value in vars(line).values()] for line in lines]
        )
    with replacing(path / "table.md") as draft:
        text = [
            f"# {suite}",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---|" + "---:|" * (len(HEADINGS) - 1),
        ]
        text += ["| " + " | ".join(map(_escape_cell, format_row(line))) + " |" for line in lines]
        draft.write_text("\n".join([*text, "", sources_line(lines), ""]), encoding="utf-8")


def _escape_cell(cell: str) -> str:
    """A cell of a Markdown table: one line, and a bar is no border."""
    return visible(cell).replace("|", "\\|")
