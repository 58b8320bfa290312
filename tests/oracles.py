"""Truths that the tests compare with."""

import numpy as np
import torch

from plausibly.capabilities import DensityModel
from plausibly.events.kinds import Level, Real
from plausibly.models import MODELS


def tensors(dataset):
    """Training, validation and test codes."""
    return dataset.train.codes, dataset.valid.codes, dataset.test.codes


# a portfolio of small models, none of which is best alone on bits with an exclusive or
SMALL = (
    ("independent", {}),
    ("joint", {}),
    ("boosted", {"depth": 1}),
    ("nade", {"hidden": 16}),
    ("made", {"hidden": 16}),
)


def accepting(schema):
    """Names of the models with an exact log p that take such data."""
    exact = [name for name, model in MODELS.items() if issubclass(model, DensityModel)]
    return [name for name in exact if MODELS[name].accepts(schema) is None]


def random_table(codes, seed=0, concentration=0.3):
    """A random distribution over all events, in lexical order, and its entropy in nats."""
    p = np.random.default_rng(seed).dirichlet(np.full(int(np.prod(codes)), concentration))
    return torch.from_numpy(p), float(-(p[p > 0] * np.log(p[p > 0])).sum())


def quantile(share, q, low, high, step):
    """The smallest value of which at least `q` lies below or at it, in whole steps or (step 0) as near as floats are."""
    for _ in range(200):
        middle = (low + high) / 2 if not step else float(np.floor((low + high) / 2))
        if middle <= low or middle >= high:
            break
        low, high = (low, middle) if share(middle) >= q - 1e-12 else (middle, high)
    return high


def within_codes(kind, p, levels):
    """Mean and quantiles of values whose codes have the probabilities `p`, these by halving between far ends."""
    low, high = (
        (0.0, kind.levels * kind.width)
        if isinstance(kind, Level)
        else (kind.edges[0], kind.edges[-1])
    )
    if not isinstance(kind, Level):
        low, high = low - 60 * (kind.tails[0] + 1), high + 60 * (kind.tails[1] + 1)
    if isinstance(kind, Real):
        low, high = kind.location + kind.scale * low, kind.location + kind.scale * high
    step = 0.0 if isinstance(kind, Real) else 1.0
    if step:
        low, high = float(np.floor(low)) - 1, float(np.ceil(high))

    def share(value):
        return float(p @ kind.probability_below(value)[: kind.regular])

    return float(p @ kind.code_means()[: kind.regular]), [
        quantile(share, q, low, high, step) for q in levels
    ]
