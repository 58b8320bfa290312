"""Mixtures of fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plausibly.capabilities import DensityModel
from plausibly.data.dataset import Dataset
from plausibly.errors import UserError
from plausibly.evaluation.likelihood.likelihood import ExactLikelihood, likelihood
from plausibly.families.mixtures import mixture
from plausibly.fitting.fit import Fit
from plausibly.fitting.folders import fresh_folder, new_folder
from plausibly.fitting.results import run_test
from plausibly.fitting.settings import Listener
from plausibly.runs.building import arguments_of
from plausibly.runs.record import ENSEMBLE, Record, SearchSettings, make_record
from plausibly.runs.run import Run


def mix_runs(
    runs: Sequence[Run | Path | str],
    *,
    out: Path | str | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
) -> Run:
    """The mixture of fitted runs, with the weights that are best on validation rows, tested once and kept as a run.

    UserError where the runs are not of the same data, have no exact log p, or one of them is better alone.
    """
    opened = [run if isinstance(run, Run) else Run.open(run, device) for run in runs]
    for run in opened:
        if unfit := mixing_refusal(run, opened[0]):
            raise UserError(f"{run.path}: {unfit}")
    if len(opened) < 2:
        raise UserError("an ensemble is of two runs at least")
    dataset, members = opened[0].dataset(), [(run.record, run.model) for run in opened]
    with fresh_folder(new_folder(out, ENSEMBLE), anew=True) as path:
        found = ensemble(path, members, dataset, listener or Listener())
        if found is None:
            best = max(opened, key=lambda run: run.record.validation)
            raise UserError(
                f"{best.path} alone is best on validation rows: no mixture of these runs is better"
            )
        found.keep("done", found.record.steps)
        return run_test(found)


def mixing_refusal(run: Run, first: Run) -> str | None:
    """Why a run cannot be mixed with the first one."""
    if not isinstance(run.model, DensityModel):
        return f"{run.record.model} has no exact log p, which an ensemble needs"
    if run.record.code is not None:
        return "an ensemble is of models that come with plausibly"
    if run.model.context:
        return "it has a context, which an ensemble does not know"
    data, others = (own.record.data for own in (run, first))
    if (data.fingerprint, data.options) != (others.fingerprint, others.options):
        return f"it was fitted to other data than {first.path}, or to rows that were split or read otherwise"
    return "its data were only in memory" if run.in_memory else None


DEFAULT_ORDERS = 3
MAX_ORDERS = 12
GREEDY_STEPS = 100
EM_ROUNDS = 20
MAX_WEIGHT_ROWS = 20_000  # rows that decide about weights, at most
# of all members' records, and of each
COMMON_FIELDS = ("plausibly_run", "seed", "data", "notes", "rows", "versions", "started", "format")
MEMBER_FIELDS = ("model", "arguments", "weight", "validation", "parameters", "steps", "seconds")


def greedy_weights(logs: Tensor, added: int = GREEDY_STEPS) -> Tensor:
    """The weights of members, of which `logs` (rows, members) holds log p, that are found by adding one after the other.

    (members,) float64; they sum to one, and are 0 where a member brings nothing.
    """
    counts, best = torch.zeros(logs.shape[1], dtype=torch.float64), -torch.inf
    found = counts
    total = torch.full((len(logs), 1), -torch.inf, dtype=torch.float64)
    for number in range(1, added + 1):
        sums = torch.logaddexp(total, logs.double())
        scores = (sums.mean(0) - torch.tensor(number).double().log()).nan_to_num(nan=-torch.inf)
        pick = int(scores.argmax())
        counts[pick] += 1
        total = sums[:, pick : pick + 1]
        if float(scores[pick]) > best or number == 1:
            best, found = float(scores[pick]), counts / number
    return found


def em_weights(logs: Tensor) -> Tensor:
    """Weights of the members that `greedy` picks, as it takes and gives them: `ROUNDS` of EM on from equal ones."""
    found = (greedy_weights(logs) > 0).double()
    own = logs[:, found > 0].double()
    own = own[(own > -torch.inf).any(1)]
    weights = own.new_full((own.shape[1],), 1 / own.shape[1])
    for _ in range(EM_ROUNDS if len(own) else 0):
        weights = (own + weights.log()).softmax(1).mean(0)
    found[found > 0] = weights
    return found


def exact_log_probs(model: Any, dataset: Dataset) -> Tensor:
    """log p of validation rows, (rows,), float64, of the first where there are very many."""
    found = likelihood(model, dataset.valid[:MAX_WEIGHT_ROWS])
    assert isinstance(found, ExactLikelihood)
    return found.nats


def ensemble(
    path: Path,
    members: Sequence[tuple[Record, Any]],
    dataset: Dataset,
    listener: Listener,
    least: int = 2,
    settings: SearchSettings | None = None,
) -> Fit | None:
    """The mixture of fitted models with an exact log p, given with their records, that is best on validation rows, at `path`.

    It is not written yet. None where it would be of fewer than `least`. `settings` go on record, where the members were
    fitted for it.
    """
    weights = em_weights(torch.stack([exact_log_probs(model, dataset) for _, model in members], 1))
    kept = [k for k in range(len(members)) if weights[k] > 0]
    if len(kept) < least:
        return None
    model = mixture([members[k][1] for k in kept], weights[kept].tolist())
    first = members[0][0]
    documents = [members[k][0].document | {"weight": float(weights[k])} for k in kept]
    begun = {name: first.document[name] for name in COMMON_FIELDS} | {
        "model": ENSEMBLE,
        "form": type(model).__name__,
        "code": None,
        "arguments": arguments_of(model),
        "plan": None,
        "members": [{key: one.get(key) for key in MEMBER_FIELDS} for one in documents],
        "seconds": sum(one.seconds for one, _ in members),
        "steps": sum(one.steps for one, _ in members),
    }
    asked = {"settings": settings.to_json()} if settings else {}
    return Fit(path, make_record(begun | asked | {"status": "running"}), model, dataset, listener)
