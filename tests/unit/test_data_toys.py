"""Toys: what is said to be the truth is one, and the rows come from it."""

from itertools import product

import numpy as np
import pytest
import torch

from plausibly.data import load, load_rows
from plausibly.data.formats.builders import format_from_json
from plausibly.data.toys import bits as toys
from plausibly.events.schema import Schema, binary

TRUTHS = {
    "bits": (toys.random_joint((2,) * 6, np.random.default_rng(0)), binary(6)),
    "mixed": (toys.random_joint((2, 3, 3, 2), np.random.default_rng(0)), None),
    "ising": (toys.IsingTruth(3, 4, 0.5, 0.2), binary(12)),
    "bars": (toys.BarsTruth(3, 0.1), binary(9)),
}


def events_of(
    truth: toys.JointTruth | toys.IsingTruth | toys.BarsTruth, schema: Schema | None
) -> torch.Tensor:
    if schema is not None:
        return schema.all_events()
    return torch.cartesian_prod(*(torch.arange(float(codes)) for codes in truth.codes))


@pytest.mark.parametrize("name", TRUTHS)
def test_truths_sum_to_one_and_know_their_entropy(name: str) -> None:
    truth, schema = TRUTHS[name]
    nats = truth.log_prob(events_of(truth, schema))
    assert nats.dtype == torch.float64
    assert nats.exp().sum().item() == pytest.approx(1, abs=1e-10)
    assert truth.entropy == pytest.approx(-(nats.exp() * nats).sum().item(), abs=1e-9)


def test_ising_by_brute_force() -> None:
    truth = toys.IsingTruth(2, 3, 0.7, -0.3)
    weights = []
    for bits in product((-1, 1), repeat=6):
        spins = np.array(bits).reshape(2, 3)
        pairs = (spins[0] * spins[1]).sum() + (spins[:, :-1] * spins[:, 1:]).sum()
        weights.append(np.exp(0.7 * pairs - 0.3 * spins.sum()))
    expected = torch.from_numpy(np.log(np.array(weights) / sum(weights)))
    assert torch.allclose(truth.log_prob(binary(6).all_events()), expected)


@pytest.mark.parametrize("name", TRUTHS)
def test_samples_follow_the_truth(name: str) -> None:
    """Mean of log p at six sigma of the entropy, and chi-square over the events."""
    truth, schema = TRUTHS[name]
    rows = 20_000
    sample = (
        torch.from_numpy(truth.sample(rows, np.random.default_rng(3))).float().reshape(rows, -1)
    )
    nats = truth.log_prob(sample)
    assert abs(nats.mean().item() + truth.entropy) < 6 * nats.std().item() / rows**0.5
    every = events_of(truth, schema)
    radix = torch.tensor([3.0**place for place in range(every.shape[1])]).double()
    place = {key: at for at, key in enumerate((every.double() @ radix).tolist())}
    counts = np.bincount(
        [place[key] for key in (sample.double() @ radix).tolist()], minlength=len(every)
    )
    expected = rows * truth.log_prob(every).exp().numpy()
    enough = expected >= 5
    excess = ((counts - expected) ** 2 / expected)[enough].sum() - enough.sum()
    assert abs(excess) < 6 * np.sqrt(2 * enough.sum()) + 6


@pytest.mark.parametrize("name", toys.BUILT_IN)
def test_built_in_data(name: str) -> None:
    data = load(name)
    rows = data.format.rows(data.test)
    assert np.array_equal(rows, load_rows(f"{name}:test", data.format))
    assert torch.equal(format_from_json(data.format.to_json()).events(rows).codes, data.test.codes)
    assert load(name, seed=5).fingerprint == data.fingerprint and torch.equal(
        load(name, seed=5).test.codes, data.test.codes
    )
    if name.startswith("toy"):
        assert [len(part) for part in (data.train, data.valid, data.test)] == [5_000, 1_000, 2_000]
        nats = data.truth.log_prob(data.train.codes.float()) + data.train.log_within
        assert (
            abs(nats.mean().item() + data.truth.entropy) < 6 * nats.std().item() / 5_000**0.5 + 1e-9
        )
    else:
        assert data.truth is None and len(data.train) + len(data.valid) + len(data.test) == 1_797


def test_shapes_of_the_built_in_data() -> None:
    assert (
        load("digits").schema.codes == (17,) * 64
        and load("digits-binary").schema.codes == (2,) * 64
    )
    assert load("digits").schema.shape == load("digits-binary").schema.shape == (1, 8, 8)
    assert load("toy-mixed").schema.size == 10 and np.prod(load("toy-mixed").schema.codes) <= 2**16
    assert load("toy-ising").schema.shape == (1, 4, 6) and load("toy-bars").schema.shape == (
        1,
        4,
        4,
    )
    assert len(toys.toy_bits((7, 2, 3)).train) == 7


def test_a_split_of_a_built_in_is_a_source_too() -> None:
    assert len(load("toy-bits:valid").train) == 750
