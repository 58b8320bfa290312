"""Truths that the tests compare with, and the real data where it is at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from plausibly.capabilities import DensityModel
from plausibly.models import MODELS

SHARED = Path(__file__).parents[2] / "shared" / "data"


def real(name: str) -> Path:
    """The path of a real data set; the test skips, saying why, where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real data set {name} is not beside this checkout")
    return path


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
