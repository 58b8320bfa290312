"""Tensors have the shapes that the annotations at the borders say, in every model, head and outcome."""

from functools import partial
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules

import pytest
import torch
from borders import WrongShape, find_methods, watched_borders

from plausibly import families, outcomes
from plausibly.capabilities import (
    AnyOrderModel,
    AutoregressiveModel,
    BoundedModel,
    DecomposableModel,
    DensityModel,
    Encoder,
    Latent,
    Model,
    Quantiser,
    TractableModel,
    Variational,
    drive_unrolled,
)
from plausibly.contract.checks import shake_weights
from plausibly.contract.draws import random_events
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, Category, Grid, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.mixtures import (
    AutoregressiveMixture,
    DensityMixture,
    MixtureOfBounds,
    TractableMixture,
)
from plausibly.families.priors import StandardPrior
from plausibly.families.stratified import stratification_refusal, stratify
from plausibly.models import MODELS
from plausibly.models.independent import Independent
from plausibly.models.vae import VAE
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.objectives import WholePass
from plausibly.outcomes.categorical import Bernoulli, Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.discretised import DiscretisedLogistics
from plausibly.outcomes.interpolation import interpolate_density
from plausibly.outcomes.latents import Normal
from plausibly.outcomes.outcome import Numeric
from plausibly.outcomes.within import WithinEnds

for room in (families, outcomes):
    for file in iter_modules(room.__path__):
        import_module(f"{room.__name__}.{file.name}")

SCHEMAS = {
    "one": Schema((1,), (Category(levels=3),)),
    "bits": binary(4),
    "image": Schema((1, 2, 2), (Level(levels=3),) * 4),
    "reals": Schema((2,), (Real(edges=(-1.0, 0.5, 2.0)), Real())),
    "table": Schema(
        (4,),
        (
            Category(levels=3, open=True, missing=True),
            Category(levels=2),
            Grid(atoms=(0,), edges=(0, 1), open=True),
            Real(missing=True, open=True),
        ),
    ),
    "never seen": Schema(
        (3,),
        (
            Category(levels=3, open=True, unforeseen=0.2),
            Real(edges=(-1.0, 1.0), missing=True, open=True, unforeseen=0.1),
            Real(open=True, unforeseen=0.05),
        ),
    ),
}
MANY_LEVELS = Schema((2,), (Category(levels=80), Level(levels=70, width=2)))
BATCHES = (0, 1, 3)  # none, one row, some


def noise():
    return torch.Generator().manual_seed(0)


def ask(outcome, x, schema):
    """All that an outcome of several variables answers, for events (batch, variables)."""
    outcome.log_prob(x), outcome.sample(noise()), outcome.mode()
    for i, kind in enumerate(schema.kinds):
        ask_one(outcome.one(i), x[:, i], kind.codes)


def ask_one(single, x, codes):
    """All that an outcome of one variable answers, for events (batch,)."""
    single.log_prob(x), single.sample(noise()), single.mode()
    single.rows(torch.arange(len(x))).log_prob(x)
    single.rows(torch.ones_like(x, dtype=torch.bool)).log_prob(x)
    single.beside([single, single]).log_prob(x.repeat(3))
    single.truncate(Allowed(torch.zeros(codes)))[0].log_prob(x)
    if isinstance(single, Numeric):
        allowed = Allowed(torch.zeros(codes), torch.tensor([[-0.5, 0.5]]))
        found = single.truncate(allowed)[0]
        for within in (found, found.one(0)) if isinstance(found, WithinEnds) else (found,):
            within.log_prob(x), within.sample(noise()), within.mode()
            within.rows(torch.arange(len(x))).beside([within]).log_prob(x.repeat(2))
            within.truncate(Allowed(torch.zeros(codes)))
        single.number(), single.mean(), single.below(x.clamp(-3, 3)), single.cuts()


def walk(model, n):
    """Asks a model all that its capabilities answer, for `n` events; what a capability does by itself, too."""
    schema = model.schema
    x = random_events(schema, n, 0).view(n, *schema.shape)
    flat, observed = x.flatten(1), torch.rand(x.shape, generator=noise()) < 0.5
    evidence, allowed = Evidence(x, observed), schema.allowed(holes=True)
    weights = allowed.log_shares.clone()
    given = flat[:, list(model.context)] if model.context else None
    if isinstance(model, Model):
        model.sample(n, noise())
    if isinstance(model, BoundedModel):
        model.log_bound(x, noise()), model.log_given(x, noise())
    if isinstance(model, DensityModel):
        model.log_prob(x)
    if isinstance(model, AutoregressiveModel):
        ask(model.predict(x), flat, schema)
        model.log_conditionals(x), model.log_prob_by_variable(x)
        for unrolled in (model.unroll(n), AutoregressiveModel.unroll(model, n)):
            drive_unrolled(unrolled, lambda i, outcome: outcome.sample(noise()))
    if isinstance(model, AnyOrderModel):
        ask(model.predict_given(evidence), flat, schema)
    if isinstance(model, TractableModel):
        for asked in (evidence, evidence.with_allowed(allowed)):
            model.log_marginal(asked), model.sample_given(asked, noise())
        model.propose_completions(evidence, weights, noise())
    if isinstance(model, DecomposableModel):
        model.complete(evidence, weights), model.entropy_given(evidence)
    if isinstance(model, Latent):
        model.decode(model.latent_prior().sample(n, noise()), given)
    if isinstance(model, Encoder):
        model.decode(model.encode(x), given)
        ask(model.observation(model.encode(x), given), flat, schema)
    if isinstance(model, Quantiser):
        model.latents_of(model.quantise(x))
    if isinstance(model, Variational):
        ask_latents(model, x)
        Variational.decode(model, model.encode(x), given)


def ask_latents(model, x):
    """All that posterior and prior answer, for each event three times, as coding asks."""
    prior, posterior, found, levels = model.latent_prior(), model.posterior(x, 3), [], []
    z = posterior.sample(noise())
    posterior.mean(), posterior.log_prob(z), prior.log_prob(z)
    posterior.without_gradient().log_prob(z)
    draw(posterior.levels(found), found)
    draw(prior.behind(z, found), found)
    draw(prior.levels(len(z), levels), levels)


def draw(laws, found):
    """Draws each law's numbers, by which the next law is found."""
    for law in laws:
        found.append(law.sample(noise()))


def start(model, n):
    """Starts a model at events as training gives them, whole numbers where no variable is real."""
    x = random_events(model.schema, n, 0)
    x = x if model.schema.continuous else x.byte()
    model.initialise_from(x)
    model.recalibrate(x.view(n, *model.schema.shape))


def learn(model, n):
    """What training asks of a model: the loss of each turn, (batch,), and passes."""
    x = random_events(model.schema, n, 0).view(n, *model.schema.shape)
    for turn in model.objective.turns(model):
        assert turn.loss(x, noise(), 0.5).total.shape == (n,)
    for each in model.objective.passes(model):
        if isinstance(each, WholePass):
            each.learn(x, x)
        else:
            each.update(each.sums(x), [x])
    assert model.objective.validation_loss(model, x, noise()).shape == (n,)


def mix(kind, *names):
    """How to make a mixture of small models."""

    def make(schema):
        members = [MODELS[name].tiny(schema) for name in names]
        parts = [[type(member).__name__, member.arguments] for member in members]
        return kind(schema, parts, (0.25, 0.75))

    return lambda schema: all(fit(MODELS[name], schema) for name in names) and make(schema)


def fit(kind, schema):
    return kind.accepts(schema) is None


def begin(kind):
    return lambda schema: fit(kind, schema) and kind.tiny(schema)


def begin_with_context(kind):
    """How to make a small model with the first variable as its context, where that need not be a label."""
    return lambda schema: (
        schema.size > 1
        and fit(kind, schema)
        and fit(kind, schema.first(tuple(range(schema.size))))
        and kind(schema, **(kind.tiny(schema).arguments | {"context": (0,)}))
    )


MAKERS = {
    **{name: begin(kind) for name, kind in MODELS.items()},
    **{
        f"{name} with a context": begin_with_context(kind)
        for name, kind in MODELS.items()
        if "context" in signature(kind).parameters
    },
    **{
        f"vae with {prior}": lambda schema, prior=prior: VAE(schema, latents=2, prior=prior)
        for prior in ("vamp", "flow")
    },
    "a model a label": lambda schema: (
        not stratification_refusal(Independent, schema, (0,))
        and stratify(Independent, schema, (0,))
    ),
    "tractable mixture": mix(TractableMixture, "independent", "chow_liu"),
    "mixture of two forms": mix(TractableMixture, "independent", "gaussian"),
    "autoregressive mixture": mix(AutoregressiveMixture, "made", "nade"),
    "density mixture": mix(DensityMixture, "made", "nade"),
    "mixture of bounds": mix(MixtureOfBounds, "vae", "independent"),
}


# the schemas on which a loss is taken, since that takes longer
LEARNING = ("image", "table")


def test_models_and_outcomes():
    """Every model, alone and within others, and what it answers; and no method at a border goes unasked."""
    with watched_borders() as called:
        for make in MAKERS.values():
            for name, schema in SCHEMAS.items():
                if model := make(schema):
                    start(model, 8)
                    if name in LEARNING:
                        learn(model.train(), 8)
                    shake_weights(model).eval()
                    for n in BATCHES:
                        walk(model, n)
        for schema in (*SCHEMAS.values(), MANY_LEVELS):
            for n in BATCHES:
                walk_networks(schema, n)
        for n in BATCHES:
            walk_levels(n)
        for lead in LEADS:
            score_batch(lead)
    assert not sorted({method.__qualname__ for _, _, method, _ in find_methods()} - called)


def walk_levels(n):
    """Logistics over levels, of two variables."""
    form = torch.zeros(n, 2, 3)
    outcome = DiscretisedLogistics(form.log_softmax(-1), form, form, 5)
    ask(outcome, torch.ones(n, 2), Schema((2,), (Level(levels=5, width=1),) * 2))


def walk_networks(schema, n):
    """Inputs and a head, of all variables and of each."""
    x = random_events(schema, n, 0)
    inputs = Inputs(schema)
    assert inputs.owner.shape == inputs(x).shape[1:]
    for shape in ("normal", "logistic"):
        head = Head(schema, components=3, shape=shape)
        parameters = torch.randn(n, head.width, generator=noise())
        assert head.owner.shape == parameters.shape[1:]
        ask(head(parameters), x, schema)
        head(head.marginals(x).expand(n, -1)).log_prob(x)
        for i, kind in enumerate(schema.kinds):
            inputs.one(x[:, i], i)
            ask_one(head.one(parameters[:, head.slice(i)], i), x[:, i], kind.codes)
    if n > 1:
        head.shift(parameters, x)


# shapes of what is scored: rows of one variable, and of several
LEADS = ((0,), (1,), (4,), (0, 3), (1, 3), (4, 3))


def score_batch(lead):
    """Outcomes of one variable, and of several side by side."""
    numbers = torch.randn(*lead, 3, generator=noise())
    form = numbers.log_softmax(-1), numbers, numbers.exp()
    for outcome in (
        Categorical(numbers.log_softmax(-1)),
        Bernoulli(numbers[..., 0]),
        MixtureDensity(*form),
        MixtureDensity(*form, log_special=numbers[..., :2].log_softmax(-1)),
    ):
        outcome.log_prob(outcome.sample(noise())), outcome.log_prob(outcome.mode())
    if len(lead) == 1:
        look = partial(square, weight=-0.5)
        own = interpolate_density(look, numbers.double().sort(-1).values, 1e-3, (HOLE,))
        ask_one(own, torch.zeros(lead), 4)


def square(x, weight):
    """A log density, (rows, n, 1), up to a constant."""
    return weight * x.square()[..., None]


def test_one_distribution_is_scored_without_a_batch():
    with watched_borders():
        for outcome in (Categorical(torch.zeros(3).log_softmax(0)), Bernoulli(torch.zeros(()))):
            assert outcome.log_prob(outcome.mode()).shape == ()


class Column(Independent):
    """An override gives a column for a row."""

    def log_prob(self, x):
        return super().log_prob(x)[:, None]


class Unrolled(Independent):
    """Events that are unrolled are flat."""

    def unroll(self, n):
        return (yield from super().unroll(n)).flatten(1)


class Yielding(Independent):
    """An outcome is yielded of one row more."""

    def unroll(self, n):
        return (yield from super().unroll(n + 1))


class Coarse(Independent):
    """A number that needs 64 bits has 32."""

    def entropy_given(self, evidence):
        return super().entropy_given(evidence).float()


class Lone(Independent):
    """One of several completions has a row too few."""

    def propose_completions(self, evidence, weights, generator):
        first, *others = super().propose_completions(evidence, weights, generator)
        return [first, *others[:-1], others[-1][1:]]


class Summed(Categorical):
    """Nats are those of all variables together."""

    def log_prob(self, x):
        return super().log_prob(x).sum(-1)


class First(Bernoulli):
    """A mode of the first variable alone stands for all."""

    def mode(self):
        return super().mode()[:, :1]


class Halved(MixtureDensity):
    """Means are in single precision."""

    def mean(self):
        return super().mean().float()


class Rowwise(Normal):
    """Nats are those of each row, not of its groups."""

    def log_prob(self, z):
        return super().log_prob(z).sum(1)


class Fewer(StandardPrior):
    """A prior, by its form alone, draws one row too few."""

    def sample(self, n, generator):
        return super().sample(n - 1, generator)


class Transposing(Head):
    """Variables are rows, and rows are variables."""

    def forward(self, parameters):
        return Bernoulli(super().forward(parameters).logits.T)


class Widened(Inputs):
    """A number too many."""

    def forward(self, x):
        return torch.cat([super().forward(x), x.flatten(1)[:, :1]], 1)


class Renaming(Independent):
    """A parameter has another name, by which no shape is known."""

    def log_prob(self, events):
        return super().log_prob(events)


IMAGE = SCHEMAS["image"]
PLANTED = {
    Column: lambda: walk(Column(IMAGE), 3),
    Unrolled: lambda: walk(Unrolled(IMAGE), 3),
    Yielding: lambda: walk(Yielding(IMAGE), 3),
    Coarse: lambda: walk(Coarse(IMAGE), 3),
    Lone: lambda: walk(Lone(IMAGE), 3),
    Summed: lambda: Summed(torch.zeros(4, 3, 2)).log_prob(torch.zeros(4, 3)),
    First: lambda: First(torch.zeros(4, 3)).mode(),
    Halved: lambda: Halved(*torch.ones(3, 4, 2)).mean(),
    Rowwise: lambda: Rowwise(torch.zeros(3, 2), torch.zeros(3, 2)).log_prob(torch.zeros(3, 2)),
    Fewer: lambda: Fewer(2).sample(3, noise()),
    Transposing: lambda: ask(
        Transposing(binary(4))(torch.zeros(3, 4)), torch.zeros(3, 4), binary(4)
    ),
    Widened: lambda: Widened(IMAGE)(torch.zeros(3, 1, 2, 2)),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_wrong_shape_is_found(kind):
    with watched_borders(kind), pytest.raises(WrongShape):
        PLANTED[kind]()


def test_a_wrong_argument_is_found():
    """The check looks at what a caller gives, too: a flat mask for events that are none, numbers of 0 and 1 for truths,
    too few codes that are allowed, and the pieces of evidence by themselves."""
    model, x = Independent(IMAGE), torch.zeros(3, 1, 2, 2)
    with watched_borders():
        for mask in (torch.ones(3, 4, dtype=torch.bool), torch.ones_like(x)):
            with pytest.raises(WrongShape, match=r"log_marginal\(evidence\.observed\)"):
                model.log_marginal(Evidence(x, mask))
        few = Evidence.whole(x).with_allowed(Allowed(torch.zeros(3)))
        with pytest.raises(WrongShape, match=r"sample_given\(evidence\.allowed\.log_shares\)"):
            model.sample_given(few, noise())
        with pytest.raises(WrongShape, match=r"predict_given\(evidence\)"):
            model.predict_given(x)
        with pytest.raises(WrongShape, match=r"log_prob\(x\)"):
            model.log_prob(x.flatten(1))
        with pytest.raises(WrongShape, match="own"):
            Inputs(IMAGE).one(x, 0)


def test_a_parameter_of_another_name_is_found():
    with (
        pytest.raises(AssertionError, match="log_prob renames a parameter"),
        watched_borders(Renaming),
    ):
        pass
