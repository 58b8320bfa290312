"""The VQ-VAE's codebook: its bound against the sum over all codes, how its use is told, and codes that nobody uses."""

import itertools
import json
from math import log

import pytest
import torch

import plausibly
from plausibly.data import load
from plausibly.evaluation.likelihood.codebook import codebook_use
from plausibly.events.schema import binary
from plausibly.families.variational import log_likelihood
from plausibly.models import vq_vae
from plausibly.models.vq_vae import CODE_SPREAD, RARE_SHARE, VQVAE, revive_codes
from plausibly.system.randomness import generator_for
from plausibly.training.loop import Training
from plausibly.training.plan import Plan

CPU = torch.device("cpu")
SMALL = {"name": "mlp", "hidden": 16}


def made(seed=3, **arguments):
    model = VQVAE(binary(10), places=2, codes=4, width=2, network=SMALL, **arguments)
    model.initialise(generator_for(CPU, seed))
    return model.eval()


def collapsed():
    """All codes but the first are far from whatever is encoded."""
    model = made().train()
    with torch.no_grad():
        model.codebook[1:] = 100.0
    return model


def trained(model, steps):
    dataset = load("toy-bits")
    training = Training(model, dataset.train.codes, dataset.valid.codes, Plan(steps, every=steps))
    list(training.run())
    return model.eval(), dataset.valid


@torch.no_grad()
def test_the_bound_is_one_term_of_the_sum_over_all_codes():
    model = made().double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(
                0.5
                * torch.randn(p.shape, generator=torch.Generator().manual_seed(4), dtype=p.dtype)
            )
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=10))).double()
    every = torch.tensor(list(itertools.product(range(4), repeat=2)))
    prior = model.prior.log_prob(every.double())
    assert float(prior.logsumexp(0)) == pytest.approx(0, abs=1e-9)
    vectors = [model.codebook[codes].flatten()[None].expand(len(x), -1) for codes in every]
    terms = torch.stack([log_likelihood(model, x, z) for z in vectors], 1) + prior
    assert float(terms.flatten().logsumexp(0)) == pytest.approx(
        0, abs=1e-9
    )  # a distribution over all events
    codes = model.quantise(x)
    own = terms.gather(1, (4 * codes[:, 0] + codes[:, 1])[:, None])[:, 0]
    assert torch.allclose(model.log_bound(x, torch.Generator()), own, atol=1e-9, rtol=0)
    assert bool((terms.logsumexp(1) > own).all())


def test_use_counts_codes_and_the_perplexity_is_that_of_their_shares(monkeypatch):
    model, events = made(), load("toy-bits").valid
    bits = events.codes[:, 0]
    monkeypatch.setattr(
        VQVAE, "quantise", lambda self, x: torch.stack([x[:, 0].long(), 3 * x[:, 0].long()], 1)
    )
    found = codebook_use(model, events)
    one = float(bits.double().mean())
    shares = [1 - one, one / 2, one / 2]  # codes 0, 1 and 3
    entropy = -sum(share * log(share) for share in shares)
    assert (found.used, found.codes, found.rows) == (3, 4, len(bits))
    assert log(found.perplexity) == pytest.approx(entropy, abs=1e-6)


def test_a_code_is_moved_to_a_vector_of_the_batch_once_it_is_rare():
    model = collapsed()
    vectors = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(1))
    before, generator = model.codebook.clone(), torch.Generator().manual_seed(2)
    patience = int(log(RARE_SHARE) / log(1 - 0.02))
    for _ in range(patience):
        revive_codes(model, torch.zeros(50, 2, dtype=torch.long), vectors, generator)
    assert torch.equal(model.codebook, before)
    revive_codes(model, torch.zeros(50, 2, dtype=torch.long), vectors, generator)
    assert torch.equal(model.codebook[0], before[0])
    distance = torch.cdist(model.codebook[1:].detach(), vectors.flatten(0, 1)).amin(1)
    assert float(distance.max()) < 6 * CODE_SPREAD


def test_a_collapsed_codebook_comes_to_use(monkeypatch):
    alive, valid = trained(collapsed(), 600)
    assert codebook_use(alive, valid).used == 4 and codebook_use(alive, valid).perplexity > 3
    monkeypatch.setattr(vq_vae, "revive_codes", lambda *_: None)
    dead, valid = trained(collapsed(), 600)
    assert codebook_use(dead, valid).used == 1 and codebook_use(
        dead, valid
    ).perplexity == pytest.approx(1)


def test_evaluate_and_the_report_tell_the_use(cli, tmp_path):
    arguments = {"codes": 8, "network": SMALL}
    run = plausibly.fit("toy-bits", "vq_vae", out=tmp_path / "run", steps=30, set=arguments)
    told = str(run.codebook())
    assert "of 8 codes used by" in told
    assert f"codebook: {told}" in cli("evaluate", run.path)[1]
    assert (
        json.loads(cli("evaluate", run.path, "--json")[1])["codebook"] == run.codebook().to_json()
    )
    assert f"vq_vae: {told}." in (run.path / "report.html").read_text()


def test_a_step_tells_the_loss_of_both_turns():
    dataset = load("toy-bits")
    training = Training(made(), dataset.train.codes, dataset.valid.codes, Plan(1))
    turns = {
        turn.name: turn.loss(training.codes[training.rows(0)].float(), generator_for(CPU, 1), 0)
        for turn in training.turns
    }
    assert training.take_step() == pytest.approx(
        sum(float(loss.total.mean()) for loss in turns.values()), rel=0.05
    )
    assert all(float(loss.total.mean()) > 1 for loss in turns.values())
