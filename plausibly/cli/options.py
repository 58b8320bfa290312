"""Options that several commands share, and the texts that people write them in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from plausibly.errors import UserError


@Parameter(name="*")
@dataclass(frozen=True)
class CommonOptions:
    """Options of every command."""

    json: Annotated[bool, Parameter(negative="")] = False
    "Print one JSON document, and nothing else, on stdout."
    seed: int = 0
    "Decides every draw: splits, first weights, batches, samples."
    device: str = "cpu"
    "Where to compute: cpu or cuda."
    threads: int | None = None
    "CPU threads; without it half the cores, and of a fit those that a trial finds fastest. With 1 a repeat is bit-identical."
    quiet: Annotated[bool, Parameter(negative="")] = False
    "No progress and no remarks on stderr."


@Parameter(name="*")
@dataclass(frozen=True)
class BoardOptions:
    """Options about what is printed of a board; the report has all of it."""

    wide: Annotated[bool, Parameter(negative="")] = False
    "Print all columns of the board: family, parameters, bits, speed, size, and what was measured besides."
    explain: Annotated[bool, Parameter(negative="")] = False
    "Say what each number of the board is."


OwnModel = Annotated[
    str | None,
    Parameter(
        name="--model",
        help="FILE.py:CLASS, where RUN was fitted with a model of your own; the same file as then.",
    ),
]

Scheduler = Annotated[
    str | None,
    Parameter(
        name="--scheduler",
        help="tcp://HOST:PORT of a dask scheduler, whose workers do the work; after a stop the same command goes on.",
    ),
]

GuardFormulas = Annotated[
    bool,
    Parameter(
        name="--guard-formulas",
        negative="",
        help="For spreadsheets: in CSV and TSV, texts that begin with = + - @ or a tab get a leading apostrophe. "
        "Such a file read again is not the same rows.",
    ),
]


def shard_work(scheduler: str | None, common: CommonOptions, model: str | None) -> Any:
    """Does the shards of a job in this process, or on the cluster of that scheduler."""
    from plausibly.jobs.shards import work_here

    if scheduler is None:
        return work_here
    import torch

    from plausibly.jobs.cluster import Cluster

    return Cluster(scheduler, common.device, torch.get_num_threads(), model)


@Parameter(name="*")
@dataclass(frozen=True)
class DataOptions:
    """Options that say how DATA is read."""

    kind: (
        Annotated[list[str], Parameter(name="--kind", consume_multiple=True, negative="")] | None
    ) = None
    "COLUMN=KIND overrides what was guessed: boolean, category, integer, number, real, date, id, text, constant or drop."
    kinds: str | None = None
    'A file of such overrides, COLUMN = "KIND" a line (TOML); `plausibly data DATA --write-kinds FILE` makes one.'
    drop: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns to leave out."
    split: str | None = None
    "time=COLUMN (latest rows are the test) or group=COLUMN (whole groups); else a seeded 75/10/10/5 (5: calibration)."
    valid: str | None = None
    "Validation rows from elsewhere."
    test: str | None = None
    "Test rows from elsewhere."
    size: int | None = None
    "Side in pixels that the images of a folder are resized to."

    relation: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "A relation by which a column is learned, as what it leaves open: 'total = tenure * monthly', 'country from city'."
    relations: bool | None = None
    "Learn columns by all relations that rows show; without it they are only listed, with --no-relations not sought."

    def keywords(self) -> dict[str, Any]:
        """Those that were given, as `plausibly.load` takes them."""
        given = {name: getattr(self, name) for name in ("split", "valid", "test", "size")}
        return select_given_options(
            {"kinds": self._kinds(), "drop": tuple(self.drop or ()), **given, **self._relations()}
        )

    def _relations(self) -> dict[str, Any]:
        """The relations that are said, and those that are found where they are wanted."""
        if self.relation:
            return {"relations": [*self.relation, *(["found"] if self.relations else [])]}
        return {} if self.relations is None else {"relations": self.relations}

    def _kinds(self) -> dict[str, str]:
        """The kind of each column that is told one: by the file, or else, which counts for more, by a word."""
        names = [word.rpartition("=")[0] for word in self.kind or []]
        told = parse_pairs(self.kind, "--kind COLUMN=KIND", names)
        if self.kinds is None:
            return told
        from plausibly.data.columns import kind_files

        return kind_files.read_kinds(self.kinds) | told


def select_given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Leaves out options that nobody gave."""
    return {key: value for key, value in options.items() if value not in (None, (), {})}


def parse_pairs(words: list[str] | None, usage: str, names: Sequence[str] = ()) -> dict[str, str]:
    """`a=1 b=2` as a dictionary: the longest of the `names` that fits, else what stands before the first `=`."""
    found: dict[str, str] = {}
    for word in words or []:
        own = max((name for name in names if word.startswith(f"{name}=")), key=len, default="")
        name, mark, value = (own, "=", word[len(own) + 1 :]) if own else word.partition("=")
        if not mark or not name or not value:
            raise UserError(f"{word!r} is not of the form {usage}")
        if name in found:
            raise UserError(f"{name} is given twice: {found[name]!r} and {value!r}")
        found[name] = value
    return found


def parse_literal(text: str) -> Any:
    """A number, true or false where the text is one, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_seconds(text: str | None) -> float | None:
    """`90`, `90s`, `5m` or `1h` in seconds."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise UserError(f"--budget: cannot read {text!r} as a time; use 5m, 300s or 1h")
    return value


@Parameter(name="*")
@dataclass(frozen=True)
class ConditioningOptions:
    """Options that say which columns are modelled given which."""

    context: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns that the others are modelled given, such as a label: p(others | label), p(label) kept from training."
    event: Annotated[list[str], Parameter(consume_multiple=True, negative="")] | None = None
    "Columns that are modelled given all others (--context rest): a classifier is --event label --context rest."
    target: str | None = None
    "The column to tell from all others: last in a model's order, so that p(target | the rest) is one factor of log p."


@Parameter(name="*")
@dataclass(frozen=True)
class AnnealingOptions:
    """Annealed importance sampling instead, of models with a decoder: a tight bound, and by how much it can be off."""

    annealed: Annotated[bool, Parameter(negative="")] = False
    "Bounds on log p by chains that are led from the prior to the posterior. It takes minutes."
    chains: int = 16
    "Chains of each row."
    distributions: int = 1000
    "Steps from prior to posterior: more make the bound tighter, and take longer."
    sigma: str | None = None
    "Of images: the mean image with noise N(0, sigma^2) in place of the model's own pixels; validation finds the best."


@Parameter(name="*")
@dataclass(frozen=True)
class SamplingOptions:
    """Samples beside held-out rows instead, of models that sample: how close they are."""

    samples: Annotated[bool, Parameter(negative="")] = False
    "Whether a classifier can tell them, whether they cover the rows, whether they are copies, and distances."
    extractor: str | None = None
    "What distances are taken of: columns, random-convolutions (default for images), classifier, or a FILE.onnx."
    label: str | None = None
    "The column of RUN's data that the extractor `classifier` learns to tell."
    target: str | None = None
    "Of a table, the column that trees learn to predict from samples (default: the last category of 2 to 20 levels)."


def parse_rows(text: str) -> slice:
    """The rows from FIRST up to END, as FIRST:END says."""
    first, colon, end = text.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal()):
        raise UserError(
            f"--rows {text}: give the first row and the one after the last, such as --rows 0:10"
        )
    return slice(int(first), int(end))
