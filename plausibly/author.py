"""The names with which a model of your own is written, handed on from one place: docs/write-a-model.md."""

from __future__ import annotations

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    BoundedModel,
    Decoder,
    DecomposableModel,
    DensityModel,
    Encoder,
    Latent,
    Model,
    Quantiser,
    TractableModel,
    Trainable,
    Unrolled,
    Variational,
    device_of,
)
from plausibly.errors import Unsupported
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.networks.masked import MaskedLinear, MaskedNetwork
from plausibly.networks.perceptron import Perceptron
from plausibly.objectives import Counting, Loss, MaximumLikelihood, Objective, Pass, Turn
from plausibly.outcomes.categorical import Bernoulli, Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.latents import Latents, Normal, Prior
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.system.arguments import check_range
from plausibly.system.parts import Part, build_part
from plausibly.system.randomness import by_row

__all__ = [
    "AnyOrderModel",
    "AutoregressiveModel",
    "Bernoulli",
    "BoundedModel",
    "Categorical",
    "Category",
    "Counting",
    "Decoder",
    "DecomposableModel",
    "DensityModel",
    "Encoder",
    "Evidence",
    "Head",
    "Inputs",
    "Latent",
    "Latents",
    "Loss",
    "MaskedLinear",
    "MaskedNetwork",
    "MaximumLikelihood",
    "MixtureDensity",
    "Model",
    "Normal",
    "Objective",
    "Outcome",
    "Part",
    "Pass",
    "Perceptron",
    "Prior",
    "Quantiser",
    "Real",
    "Schema",
    "Single",
    "TractableModel",
    "Trainable",
    "Turn",
    "Unrolled",
    "Unsupported",
    "Variational",
    "binary",
    "build_part",
    "by_row",
    "check_range",
    "device_of",
]
