"""The contract catches what it is there to catch: each planted fault breaks a check, the sound twin breaks none."""

import pytest
import torch
import torch.nn.functional as F
from planting import finds, planted, without_fault

from plausibly.capabilities import AutoregressiveModel, Trainable
from plausibly.coding.streams import SymbolReader
from plausibly.contract.checks import run_checks, shake_weights
from plausibly.contract.promise import promise
from plausibly.contract.promises import load_promises
from plausibly.events.kinds import Category, Grid, Level
from plausibly.events.schema import Schema, binary
from plausibly.families import priors
from plausibly.models import nade
from plausibly.models.fvsbn import FVSBN
from plausibly.models.independent import Independent
from plausibly.models.made import MADE
from plausibly.models.markov import Markov
from plausibly.models.nade import NADE
from plausibly.models.transformer import Transformer
from plausibly.models.vae import VAE
from plausibly.models.vq_vae import VQVAE
from plausibly.networks import heads, inputs, masked, noise, transformer
from plausibly.outcomes import latents
from plausibly.outcomes.categorical import Categorical
from plausibly.tasks import compress, sample

BITS = binary(6)
MIXED = Schema(
    (4,),
    (
        Category(levels=3),
        Level(levels=4, width=2),
        Category(levels=2),
        Grid(atoms=(0, 7), edges=(-5, 3, 9)),
    ),
)


def broken(model):
    return {result.name for result in run_checks(shake_weights(model)) if result.broken}


@pytest.mark.parametrize("schema", [BITS, MIXED], ids=["bits", "mixed"])
@pytest.mark.parametrize(
    "model", [Independent, Markov, NADE.tiny, MADE.tiny, FVSBN.tiny, Transformer.tiny]
)
def test_the_sound_models_break_nothing(model, schema):
    assert broken(model(schema)) == set()


@pytest.mark.parametrize("model", [MADE.tiny, FVSBN.tiny])
@finds("no_variable_sees_a_later_one")
def test_off_by_one_mask(monkeypatch, model):
    monkeypatch.setattr(
        masked.MaskedLinear, "mask", lambda self, before, after: before[None] <= after[:, None]
    )
    return shake_weights(model(BITS))


@finds("no_variable_sees_a_later_one", "unroll_agrees_with_predict")
def test_off_by_one_attention(monkeypatch):
    sound = F.scaled_dot_product_attention

    def attention(query, key, value, attn_mask=None, is_causal=False):
        tokens = query.shape[2], key.shape[2]
        sees = torch.ones(tokens, dtype=torch.bool).tril(1) if is_causal else None
        return sound(query, key, value, attn_mask=sees)

    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    return shake_weights(Transformer.tiny(BITS))


@finds("conditionals_sum_to_one", "no_variable_sees_a_later_one", "unroll_agrees_with_predict")
def test_a_weight_that_is_no_number():
    model = shake_weights(FVSBN.tiny(BITS))
    for parameter in model.parameters():
        parameter.data.flatten()[-1] = float("nan")
    return model


@finds("unroll_agrees_with_predict", "samples_follow_density")
def test_stale_keys_and_values(monkeypatch):
    sound = transformer.AttentionCache.add

    def add(self, keys, values):
        return sound(
            self, keys if self.filled < 2 else self.keys[:, :, :1], values
        )  # later keys are the first

    monkeypatch.setattr(transformer.AttentionCache, "add", add)
    return shake_weights(Transformer.tiny(BITS))


@finds("no_variable_sees_a_later_one")
def test_off_by_one_running_sum(monkeypatch):
    sound = nade.recurrence

    def recurrence(numbers, weight, start, readout, offset, keep, table, name):
        shifted = (
            start + weight[0] * numbers[:, -1].mean()
        )  # the last input reaches the first output
        return sound(numbers, weight, shifted, readout, offset, keep, table, name)

    monkeypatch.setattr(nade, "recurrence", recurrence)
    return shake_weights(NADE.tiny(BITS))


@finds("sums_to_one", "conditionals_sum_to_one")
def test_logits_used_as_probabilities(monkeypatch):
    monkeypatch.setattr(
        heads, "symmetric_log_softmax", lambda free: F.pad(free, (1, 0)).sigmoid().log()
    )
    return shake_weights(NADE.tiny(MIXED))


@finds("samples_follow_density", "unroll_agrees_with_predict")
def test_order_ignored_in_sampling():
    class Disordered(FVSBN):
        def unroll(self, n):
            x = torch.zeros(n, self.schema.size)
            for i in reversed(self.order):
                x[:, i] = yield i, self.predict(x).one(i)
            return x

    return shake_weights(Disordered.tiny(BITS))


@finds("rows_are_scored_alone")
def test_head_normalised_over_the_batch(monkeypatch):
    monkeypatch.setattr(
        heads, "symmetric_log_softmax", lambda free: F.pad(free, (1, 0)).log_softmax(0)
    )
    return shake_weights(NADE.tiny(MIXED))


@finds("unroll_agrees_with_predict", "samples_follow_density")
def test_stale_cache_in_unroll():
    class Stale(NADE):
        sample = AutoregressiveModel.sample

        def unroll(self, n):
            x, activation = torch.zeros(n, self.schema.size), self.bias.expand(n, -1)
            for i in self.order:
                own = self.head.slice(i)
                x[:, i] = yield (
                    i,
                    self.head.one(activation.relu() @ self.readout[own].T + self.shift[own], i),
                )
                if i == 0:  # later variables are never added
                    activation = (
                        activation + self.inputs.one(x[:, i], i) @ self.weight[self.inputs.slice(i)]
                    )
            return x

    return shake_weights(Stale.tiny(BITS))


@finds("rows_are_scored_alone", spares=("single_precision_will_do",))
def test_noise_by_place(monkeypatch):
    def draw(law, shape, generator, device):
        return law(shape, generator=generator, device=device)

    monkeypatch.setattr(latents, "by_row", draw)
    return shake_weights(VAE.tiny(BITS))


def plant_products_that_cancel(monkeypatch):
    """A mixture of normals by the difference of large numbers."""

    def each(self, z):
        centre, log_scale = self.parts.centre + 3e4, self.parts.log_scale
        weights, z = (-2 * log_scale).exp(), z + 3e4
        constant = (0.5 * centre.square() * weights + log_scale + 0.919).sum(1)
        return z @ (centre * weights).T - 0.5 * z.square() @ weights.T - constant

    monkeypatch.setattr(priors.BlendedNormals, "_each", each)
    return shake_weights(VAE(BITS, latents=2, prior="vamp", network={"name": "mlp", "hidden": 8}))


@finds("losses_in_single_precision", spares=("single_precision_will_do",))
def test_a_mixture_by_products_that_cancel(monkeypatch):
    return plant_products_that_cancel(monkeypatch)


@finds("single_precision_will_do", spares=("rows_are_scored_alone",))
def test_a_bound_by_products_that_cancel(monkeypatch):
    monkeypatch.setattr(VAE, "high_precision", lambda self: self)
    return plant_products_that_cancel(monkeypatch)


@pytest.mark.parametrize("kind", [Grid, Level])
@finds("remainders_sum_to_one", alone=True)
def test_the_remainders_term_dropped(monkeypatch, kind):
    monkeypatch.setattr(kind, "_log_within", lambda self, values: 0.0 * values)
    return shake_weights(Independent(MIXED))


@finds("scoring_repeats")
def test_dropout_left_on_while_scoring(monkeypatch):
    generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        return x * (torch.rand(x.shape, generator=generator) >= 0.3) / 0.7

    monkeypatch.setattr(noise.Dropout, "forward", forward)
    return shake_weights(MADE.tiny(BITS))


@finds("samples_follow_density")
def test_one_level_never_sampled(monkeypatch):
    sound = Categorical.sample

    def sample(self, generator):
        drawn = sound(self, generator)
        return torch.where(drawn == 2, 0, drawn)

    monkeypatch.setattr(Categorical, "sample", sample)
    return shake_weights(FVSBN.tiny(MIXED))


@finds("allowed_samples_follow")
def test_a_share_of_a_code_taken_for_all_of_it(monkeypatch):
    sound = Categorical.weigh
    monkeypatch.setattr(
        Categorical, "weigh", lambda self, logs: sound(self, torch.where(logs.isinf(), logs, 0.0))
    )
    return shake_weights(MADE.tiny(MIXED))


@finds("allowed_samples_follow")
def test_cells_that_are_not_allowed_clipped_one_by_one(monkeypatch):
    def clip(x, barred, draw):
        return torch.where(barred, 1.0, x)

    monkeypatch.setattr(sample, "redraw_rows", clip)
    return shake_weights(Independent(MIXED))


@finds("arguments_rebuild")
def test_a_buffer_not_saved():
    class Forgetful(Independent):
        def __init__(self, schema):
            super().__init__(schema)
            self.register_buffer("offset", torch.zeros(schema.size), persistent=False)

        def initialise(self, generator):
            self.offset.add_(3)

        def predict(self, x):
            tilted = [
                table + torch.tensor([0.0, 1.0]) * self.offset[0]
                for table in self.tables.log_probs()
            ]
            return Categorical(tilted[0].log_softmax(-1).expand(len(x), -1, -1))

        def log_prob(self, x):
            return self.predict(x).log_prob(x.flatten(1)).sum(1)

    return shake_weights(Forgetful(BITS))


@finds("no_variable_sees_a_later_one")
def test_a_leak_through_the_inputs(monkeypatch):
    sound = inputs.Inputs.forward

    def forward(self, x):
        return sound(self, x) + 0.5 * x.flatten(1)[:, -1:]

    monkeypatch.setattr(inputs.Inputs, "forward", forward)
    return shake_weights(MADE.tiny(BITS))


@finds("generator_decides_samples")
def test_the_global_generator_used(monkeypatch):
    def sample(self, generator):
        return (
            (self.log_probs - torch.empty_like(self.log_probs).exponential_().log())
            .argmax(-1)
            .float()
        )

    monkeypatch.setattr(Categorical, "sample", sample)
    return shake_weights(FVSBN.tiny(BITS))


@finds("gradients_reach_every_parameter")
def test_a_parameter_without_gradient():
    class Detached(NADE):
        def predict(self, x):
            weight, self.weight = self.weight, torch.nn.Parameter(self.weight.detach())
            try:
                return super().predict(x)
            finally:
                self.weight = weight

    return shake_weights(Detached.tiny(BITS))


@finds("marginals_agree")
def test_a_wrong_marginal(monkeypatch):
    sound = Markov.log_mass
    monkeypatch.setattr(Markov, "log_mass", lambda self, weights: 0.9 * sound(self, weights))
    return shake_weights(Markov(BITS))


@finds("given_samples_follow")
def test_given_samples_that_ignore_what_is_given(monkeypatch):
    def draw(self, weights, generator):
        return Markov.sample(self, len(weights), generator).long()

    monkeypatch.setattr(Markov, "draw", draw)
    model = shake_weights(Markov(BITS))
    with torch.no_grad():
        model.tables.set_table(1, torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    return model


@finds("order_is_a_permutation")
def test_an_order_that_skips():
    class Skipping(Independent):
        @property
        def order(self):
            return (0, *range(self.schema.size - 1))

        @order.setter
        def order(self, order):
            pass

    return shake_weights(Skipping(BITS))


@finds("samples_are_events")
def test_samples_between_codes():
    class Between(Independent):
        def sample(self, n, generator):
            return super().sample(n, generator) + 0.5

    return shake_weights(Between(BITS))


@finds("log_probs_are_at_most_zero")
def test_a_density_that_counts_too_much(monkeypatch):
    sound = Independent.log_prob
    monkeypatch.setattr(Independent, "log_prob", lambda self, x: sound(self, x) + 9)
    return shake_weights(Independent(BITS))


@finds("each_task_has_one_rule")
def test_two_rules_of_which_neither_is_more_specific(monkeypatch):
    class Other(torch.nn.Module):
        pass

    class Torn(Independent, Other):
        pass

    monkeypatch.setitem(sample.sample.rules, Other, ("yes", None))
    return shake_weights(Torn(BITS))


@finds("answers_sum_to_one")
def test_answers_that_are_not_normalised(monkeypatch):
    sound = Markov.predict_given

    def predict_given(self, evidence):
        return Categorical(0.9 * sound(self, evidence).log_probs)

    monkeypatch.setattr(Markov, "predict_given", predict_given)
    return shake_weights(Markov(BITS))


@finds("conditionals_agree")
def test_answers_that_ignore_what_is_observed(monkeypatch):
    monkeypatch.setattr(Markov, "predict_given", lambda self, evidence: self.predict(evidence.x))
    return shake_weights(Markov(BITS))


@finds("bytes_decode")
def test_a_coder_that_reads_rows_backwards(monkeypatch):
    sound = SymbolReader._code
    monkeypatch.setattr(SymbolReader, "_code", lambda *given: sound(*given)[::-1].copy())
    return shake_weights(Independent(BITS))


@finds("bytes_come_back")
def test_rows_that_come_back_in_another_order(monkeypatch):
    sound = compress.bits_back

    def bits_back(coder, codes, *more):
        found = sound(coder, codes, *more)
        return found if codes is not None else found.flip(0)

    monkeypatch.setattr(compress, "bits_back", bits_back)
    return shake_weights(VAE.tiny(BITS))


@finds("bytes_come_back")
def test_a_codebook_that_is_another_to_who_reads(monkeypatch):
    sound = compress.code_events

    def code_events(model, coder, z, own):
        return sound(model, coder, z if own is not None else z.flip(0), own)

    monkeypatch.setattr(compress, "code_events", code_events)
    return shake_weights(VQVAE.tiny(BITS))


def test_every_promise_has_a_fault():
    assert without_fault(load_promises(), planted()) == []


def test_a_new_promise_without_a_fault_is_named():
    @promise(Trainable, "a number")
    def new_models_are_kind(exam):
        return 0

    promises = load_promises() | {new_models_are_kind.name: new_models_are_kind}
    assert without_fault(promises, planted()) == ["new_models_are_kind"]


def test_a_fault_that_nothing_finds_fails():
    with pytest.raises(AssertionError, match="not broken: sums_to_one"):
        finds("sums_to_one")(Independent)(BITS)
