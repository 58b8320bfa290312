"""The contract: `run_checks(model)` runs every check that applies to the model's type, and anyone can run it.

Small models are checked over all their events; large ones over the first variables of their order (as many as have at
most 65,536 events together) and each conditional. Thresholds stand at six sigma, seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    BoundedModel,
    DecomposableModel,
    DensityModel,
    Encoder,
    Model,
    Quantiser,
    TractableModel,
    Trainable,
    Variational,
)
from plausibly.contract.answers import (
    answers_follow_the_order,
    answers_see_observed_only,
    answers_sum_to_one,
)
from plausibly.contract.autoregressive import (
    conditionals_sum_to_one,
    no_variable_sees_a_later_one,
    order_is_a_permutation,
    unroll_agrees_with_predict,
)
from plausibly.contract.bounds import (
    bounds_sum_to_at_most_one,
    rows_are_scored_alone,
    samples_reach_the_bound,
)
from plausibly.contract.coding import bytes_come_back, bytes_decode
from plausibly.contract.decomposition import completions_are_highest, entropies_are_means
from plausibly.contract.density import (
    log_probs_are_at_most_zero,
    samples_follow_density,
    scoring_repeats,
    sums_to_one,
)
from plausibly.contract.encoders import encoding_repeats, reconstructions_are_events
from plausibly.contract.learning import (
    arguments_rebuild,
    each_task_has_one_rule,
    gradients_reach_every_parameter,
    remainders_sum_to_one,
)
from plausibly.contract.marginals import conditionals_agree, given_samples_follow, marginals_agree
from plausibly.contract.precision import losses_in_single_precision, single_precision_will_do
from plausibly.contract.result import Result
from plausibly.contract.sampling import generator_decides_samples, samples_are_events
from plausibly.system.randomness import Stream, generator_for

Check = Callable[[Any], Result]


Kept = TypeVar("Kept", bound=Trainable)


def run_checks(model: Trainable) -> Iterator[Result]:
    """Runs every check that applies to the model, in evaluation mode. A check that raises counts as broken."""
    training = model.training
    model.eval()
    try:
        for check in checks_for(model):
            try:
                yield check(model)
            except Exception as error:  # whatever a faulty model raises is a promise not kept
                yield Result(
                    check.__name__, False, float("nan"), 0.0, f"{type(error).__name__}: {error}"
                )
    finally:
        model.train(training)


def checks_for(model: Trainable) -> Iterator[Check]:
    """The checks of each capability that the model has."""
    for capability, rules in CHECKS.items():
        if isinstance(model, capability):
            yield from rules


def shake_weights(model: Kept, seed: int = 0) -> Kept:
    """The model with its parameters moved: weights that start at zero would hide a leak."""
    generator = generator_for(torch.device("cpu"), seed, Stream.CHECKED_WEIGHTS)
    model.initialise(generator)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.4 * torch.randn(p.shape, generator=generator))
    return model


CHECKS: dict[type, list[Check]] = {
    Trainable: [
        arguments_rebuild,
        each_task_has_one_rule,
        remainders_sum_to_one,
        gradients_reach_every_parameter,
        losses_in_single_precision,
    ],
    Model: [samples_are_events, generator_decides_samples],
    Encoder: [reconstructions_are_events, encoding_repeats],
    BoundedModel: [
        bounds_sum_to_at_most_one,
        samples_reach_the_bound,
        single_precision_will_do,
        rows_are_scored_alone,
    ],
    Variational: [bytes_come_back],
    Quantiser: [bytes_come_back],
    DensityModel: [
        log_probs_are_at_most_zero,
        scoring_repeats,
        sums_to_one,
        samples_follow_density,
        bytes_decode,
    ],
    AutoregressiveModel: [
        order_is_a_permutation,
        conditionals_sum_to_one,
        no_variable_sees_a_later_one,
        unroll_agrees_with_predict,
    ],
    AnyOrderModel: [answers_sum_to_one, answers_see_observed_only, answers_follow_the_order],
    TractableModel: [marginals_agree, conditionals_agree, given_samples_follow],
    DecomposableModel: [completions_are_highest, entropies_are_means],
}
