"""The rows of a batch of outcomes: put together, replaced, averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.mixtures import mix_outcomes
from plausibly.outcomes.outcome import Single


def concat_outcomes(outcomes: Sequence[Single]) -> Single:
    """Outcomes of one variable and one form, of parts of a batch, as one."""
    return outcomes[0] if len(outcomes) == 1 else outcomes[0].beside(outcomes[1:])


def average_rows(single: Single, log_weights: Tensor) -> Single:
    """The mixture of several outcomes in a row for each event, (batch * several,), by normalised weights (batch, several)."""
    batch, several = log_weights.shape
    if isinstance(single, Categorical):
        logs = single.log_probs.unflatten(0, (batch, several)) + log_weights.unsqueeze(-1)
        return Categorical(logs.logsumexp(1), single.unseen)
    places = torch.arange(batch * several, device=log_weights.device).view(batch, several)
    return mix_outcomes([single.rows(own) for own in places.unbind(1)], log_weights)


def replace_rows(single: Single, rows: Tensor, own: Single) -> Single:
    """The outcome of one variable, (batch,), with that of some rows in place of theirs."""
    if isinstance(single, Categorical) and isinstance(own, Categorical):
        return Categorical(single.log_probs.index_put((rows,), own.log_probs), single.unseen)
    assert isinstance(single, MixtureDensity) and isinstance(own, MixtureDensity)
    wider = own.means.shape[-1] - single.means.shape[-1]
    form = []
    for name, blank in (("log_weights", -1e30), ("means", 0.0), ("scales", 1.0)):
        whole, part = (pad(one, (0, max(more, 0)), value=blank) for one, more in (
            (getattr(single, name), wider), (getattr(own, name), -wider)))  # fmt: skip
        form.append(whole.index_put((rows,), part))
    special = single.log_special
    if special is not None and own.log_special is not None:
        special = special.index_put((rows,), own.log_special)
    return MixtureDensity(form[0], form[1], form[2], special, single.density, single.unseen)
