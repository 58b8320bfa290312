"""From a source to a dataset: how is it split, what is its format, what is worth knowing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from plausibly.data.dataset import Dataset
from plausibly.data.events import RowProgress, ignore_progress
from plausibly.data.formats.format import Format
from plausibly.data.formats.table_learning import RelationWishes
from plausibly.data.labels import label_text
from plausibly.data.relations.finding import NO_ROLES, Roles
from plausibly.data.repeats import describe_repeats
from plausibly.data.sources.opening import open_source
from plausibly.data.sources.rows import naming
from plausibly.data.splits import divide, note_groups


def load(
    source: Any,
    *,
    seed: int = 0,
    kinds: dict[str, str] | None = None,
    drop: Iterable[str] = (),
    split: str | None = None,
    valid: Any = None,
    test: Any = None,
    size: int | tuple[int, int] | None = None,
    labelled: bool = False,
    relations: bool | Sequence[str] | None = None,
    roles: Roles = NO_ROLES,
    on_progress: RowProgress = ignore_progress,
) -> Dataset:
    """Data as a dataset of events with training, validation, test and calibration rows.

    source: a path (`file.npz:NAME` for one of its arrays), a built-in's name, a DataFrame or other rows with named columns
    (a Series, dictionaries, structures, tables of Arrow or Polars), an array or a tensor.
    kinds: {column: word} overrides. split: `time=COLUMN` or `group=COLUMN`. valid, test: further sources of the same
    sort. size: of the images of a folder, one side or (height, width). labelled: the labels that a built-in or an npz
    file has beside its rows become the first variable. relations: True for columns that are learned as what their
    relation to others leaves open, or a list of such relations, `total = tenure * monthly`, in which `found` stands for
    all that rows show; without it they are only listed, with False not sought. roles: columns that are to be told from
    the others, or that others will be modelled given. on_progress: is told how many cells of how many are read, of a
    table with many columns, or one that is read a piece at a time. UserError says what would work.
    """
    opened, parts = open_source(source), {"valid": valid, "test": test}
    given = {name: open_source(part) for name, part in parts.items() if part is not None}
    kinds = {label_text(name): word for name, word in (kinds or {}).items()}
    drop = tuple(map(label_text, drop))
    rows = opened.open(size, labelled, {"kinds": kinds, "drop": drop, "split": split, **parts})
    with naming(opened.title):
        places = divide(rows, given, split, seed, kinds, drop)
        wishes = RelationWishes.of(relations, roles)
        format = rows.learn_format(places["train"], kinds, drop, seed, on_progress)
        format = rows.follow(format, wishes)
        events = rows.events(format, places, on_progress)
        format = rows.reserve_unseen(format, events["train"])
        note_groups(events, rows, split, places)
    format = format.noting_seen([events[part] for part in ("train", "shown") if part in events])
    events |= {name: part.events(format) for name, part in given.items()}
    contents = [opened.digest(rows), *(part.fingerprint() for part in given.values())]
    dataset = Dataset.of_parts(opened.name, opened.text, join_digests(contents), format, events)
    rows.describe(dataset)
    dataset.notes += describe_repeats(events)
    return dataset


def load_rows(source: Any, format: Format) -> Any:
    """Rows of a source, as `format` takes them: for commands that come after training."""
    return open_source(source).rows(format)


def join_digests(parts: list[str]) -> str:
    """SHA-256 of the contents of a source, and of the files that came with it."""
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
