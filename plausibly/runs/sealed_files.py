"""The files of a run beside its record, held to the checksums on record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from plausibly.errors import UserError
from plausibly.evaluation.likelihood.anomalies import Calibration
from plausibly.evaluation.likelihood.excess import Usual
from plausibly.runs.record import Record
from plausibly.system.seals import check_file, digest_file

# beside the weights, where there are any
SEALED_FILES = ("heldout.safetensors", "calibration.safetensors", "log.jsonl")


def record_checksums(record: Record, path: Path, names: Collection[str]) -> Record:
    """The record with checksums of files that were just written, beside those of others that are still there."""
    earlier = record.files_sha256 or {}
    found = {
        name: digest_file(path / name) if name in names else earlier[name]
        for name in {**earlier, **dict.fromkeys(names)}
        if (path / name).is_file()
    }
    return record.replace(files_sha256=found)


def check_run_file(record: Record, path: Path, name: str) -> None:
    """Holds a file beside the weights to its checksum on record. BrokenSeal where it is gone or another."""
    removed = "remove it and " if (path / name).exists() else ""
    again = f"put a copy back, or {removed}`plausibly fit --resume {path}` makes it anew"
    check_file(path / name, (record.files_sha256 or {}).get(name), again)


def find_weights(record: Record, path: Path) -> Path:
    """The file of a run's weights. BrokenSeal where they are not those on record, FileNotFoundError where there are none."""
    weights = path / "weights.safetensors"
    if not weights.exists():
        raise FileNotFoundError(weights)
    more = (
        "put a copy back, or fit anew"
        if record.status == "done"
        else f"`plausibly fit --resume {path}` goes on"
    )
    check_file(weights, record.weights_sha256, more)
    return weights


def load_nats(file: Path, mend: str) -> tuple[Tensor, np.ndarray | None]:
    """The log p of rows that a run keeps, (rows,) float64, and their groups. UserError, with what would mend it, where it
    is damaged."""
    kept = _load_kept(file, mend)
    return kept["nats"], kept["groups"].numpy() if "groups" in kept else None


@dataclass(frozen=True)
class Ranking:
    """The rows that scores are ranked against, and the usual costs of columns, as far as a run has them."""

    calibration: Calibration | None
    usual: Usual | None


def load_ranking(file: Path, mend: str, source: str) -> Ranking:
    """The numbers that a run keeps to rank scores by, with the words for its rows. UserError as of `load_nats`."""
    kept = _load_kept(file, mend)
    excess = kept["excess"].numpy() if "excess" in kept else None
    return Ranking(Calibration(kept["nats"].numpy(), source, excess), Usual.from_tensors(kept))


def _load_kept(file: Path, mend: str) -> dict[str, Tensor]:
    """The tensors of a file of log p of rows, (rows,) float64; of rows also their groups and their excess."""
    try:
        # a tensor of a file changes with it, a copy does not
        kept = {name: tensor.clone() for name, tensor in load_file(file).items()}
        nats = kept["nats"]
    except (SafetensorError, KeyError, OSError) as error:
        raise UserError(f"{file} is damaged; {mend}") from error
    of_rows = [kept[name] for name in ("groups", "excess") if name in kept]
    if (
        nats.shape != (len(nats),)
        or nats.dtype != torch.float64
        or any(each.shape != nats.shape for each in of_rows)
        or len({"excess", "usual", "most"} & kept.keys()) not in (0, 3)
    ):
        raise UserError(f"{file} holds no number for each row; {mend}")
    return kept
