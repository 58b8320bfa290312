"""Rows as bytes: they come back, take as many bits as the model finds them plausible, and no damage goes unseen."""

import gzip
import json

import constriction
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

import plausibly
from plausibly.capabilities import Variational
from plausibly.coding import reals, stack
from plausibly.coding.streams import CELLS, GRAIN, DamagedStream, SymbolReader, SymbolWriter
from plausibly.contract.checks import shake_weights
from plausibly.contract.promises.coding import log_gaps
from plausibly.data.loading import load_rows
from plausibly.errors import Unsupported, UserError
from plausibly.events.kinds import Category, Level, Real
from plausibly.events.schema import Schema, binary
from plausibly.families.bounds import ELBO
from plausibly.families.mixtures import mixture
from plausibly.families.priors import BlendedNormals, FlowPrior, StandardPrior
from plausibly.families.stratified import stratify
from plausibly.fitting import results
from plausibly.fitting.results import report_again
from plausibly.fitting.settings import Listener
from plausibly.jobs import blocks, compressed, compression, provenance
from plausibly.models import MODELS
from plausibly.outcomes.categorical import Bernoulli, Categorical
from plausibly.outcomes.latents import Normal, normal_of
from plausibly.outcomes.product import Product
from plausibly.runs.record import write_record
from plausibly.runs.run import Run
from plausibly.system.threads import one_thread
from plausibly.tasks.compress import compress as through
from plausibly.tasks.compress import group_alike, pick_components


def walked(coder, own):
    """All sorts of symbols; what was found."""
    return [
        coder.below(own["sizes"], own.get("numbers")),
        coder.geometric(0.3, 300, own.get("short")),
        coder.geometric(1e5, 300, own.get("long")),
        coder.finite(own["logs"], own.get("codes")),
        coder.iid(np.array([0.9, 0.1]), 300, own.get("bits")),
        np.frombuffer(coder.text(own.get("text")), np.uint8),
        np.frombuffer(coder.block(own.get("bytes")), np.uint8),
    ]


@pytest.fixture
def symbols():
    chance = np.random.default_rng(0)
    sizes = np.concatenate(
        [[1, 1, 2, 3, 2**16 - 1, 2**16, 2**16 + 1, 2**63 - 1], 2 ** chance.integers(0, 63, 300)]
    )
    logs = np.log(chance.dirichlet(np.ones(7), 300))
    return {
        "sizes": sizes,
        "numbers": np.concatenate(
            [sizes[:8] - 1, [int(chance.integers(0, size)) for size in sizes[8:]]]
        ),
        "short": np.append(chance.geometric(1 / 1.3, 298) - 1, [10**6, 2**53]),
        "long": np.append(chance.geometric(1e-5, 299) - 1, 2**60),
        "logs": logs,
        "codes": chance.integers(0, 7, 300),
        "bits": chance.integers(0, 2, 300),
        "text": "größer\0".encode(),
        "bytes": chance.bytes(1000),
    }


def test_a_reader_finds_what_a_writer_wrote(symbols):
    writer = SymbolWriter()
    walked(writer, symbols)
    writer.code_checksum()
    reader = SymbolReader(writer.payload)
    found = walked(reader, {"sizes": symbols["sizes"], "logs": symbols["logs"]})
    reader.code_checksum()
    names = ["numbers", "short", "long", "codes", "bits"]
    assert all((one == symbols[name]).all() for one, name in zip(found, names, strict=False))
    assert found[5].tobytes() == symbols["text"] and found[6].tobytes() == symbols["bytes"]


@pytest.mark.parametrize("mean", [0.3, 5.0, 1234.5, 1e9])
def test_geometric_numbers_take_their_bits(mean):
    numbers = np.random.default_rng(0).geometric(1 / (1 + mean), 20_000) - 1
    writer = SymbolWriter()
    writer.geometric(mean, len(numbers), numbers)
    ideal = (-numbers * np.log2(mean / (1 + mean)) + np.log2(1 + mean)).sum()
    assert ideal - 32 < 8 * len(writer.payload) < 1.004 * ideal


def test_normal_numbers_take_their_bits_and_none_is_far_away():
    """Random bits, read as numbers, are draws."""
    chance = np.random.default_rng(0)
    centre, scale = chance.normal(size=200_000), np.exp(chance.normal(-1, 1, 200_000)).clip(0.02, 3)
    numbers = np.rint(chance.normal(centre, scale) / GRAIN).astype(np.int64)
    writer = SymbolWriter()
    writer.normal(centre, scale, numbers)
    assert (SymbolReader(writer.payload).normal(centre, scale, None) == numbers).all()
    upper, lower = (
        ndtr(((numbers + 0.5) * GRAIN - centre) / scale),
        ndtr(((numbers - 0.5) * GRAIN - centre) / scale),
    )
    assert 8 * len(writer.payload) < -1.001 * np.log2(upper - lower).sum()
    drawn = stack.StackReader(stack.Stack(200_000)).normal(centre, scale, None) * GRAIN - centre
    assert (
        np.abs(drawn) > 6 * scale + CELLS * GRAIN
    ).sum() <= 8  # of which chance has 1; with one table of all it has 48
    assert (drawn / np.hypot(scale, GRAIN)).std() == pytest.approx(1, abs=0.02)


def test_numbers_where_a_law_has_nothing_take_a_bit_a_half():
    """Of all below 0 a law says nothing: 20 bits for their sign, and for each of their patterns the same."""
    numbers = -np.random.default_rng(0).uniform(1e-3, 100, 200).astype(np.float32)

    def below(x):
        return (x > 1).astype(float)

    writer = SymbolWriter()
    reals.code_float(writer, below, 1e6, 200, numbers)
    found = reals.code_float(SymbolReader(writer.payload), below, 1e6, 200, None)
    assert (found == numbers).all()
    assert 8 * len(writer.payload) < 200 * (np.log2(1 / reals.MIN_HALF) + reals.HALVINGS)


def test_even_numbers_take_their_bits():
    sizes = np.append(
        np.random.default_rng(0).integers(2, 10**12, 5000), [2**16 + 1, 2**32 + 1, 99_999] * 300
    )
    writer = SymbolWriter()
    writer.below(sizes, sizes // 3)
    assert 8 * len(writer.payload) < 1.001 * np.log2(sizes).sum() + 64


def test_a_stack_gives_back_what_it_took():
    """Picks taken and put back leave it as it was, even where it runs out of bits."""
    logs = np.log(np.random.default_rng(0).dirichlet(np.ones(5), 200))
    pile = stack.Stack(2)
    picks = stack.StackReader(pile).finite(logs, None)
    assert pile.payload != stack.Stack(2).payload
    putter = stack.StackWriter(pile)
    putter.finite(logs, picks)
    putter.put()
    pile.check_empty()
    with pytest.raises(DamagedStream):
        stack.Stack.of(b"\1\0\0\0", 2).check_empty()


def test_what_is_improbable_makes_nothing_else_so():
    """Symbols of no probability leave bits that are no chance; stirred, they are as good as others."""
    pile, law = stack.Stack(4), np.log(np.array([[1 - 1e-9, 1e-9]] * 50))
    putter = stack.StackWriter(pile)
    putter.finite(law, np.ones(50))
    putter.put()
    before = pile.payload
    assert (
        np.abs(stack.StackReader(pile).normal(np.zeros(20), np.ones(20), None) * GRAIN).max() > 10
    )
    pile = stack.Stack.of(before, 4)
    pile.stir(3)
    drawn = stack.StackReader(pile).normal(np.zeros(20), np.ones(20), None)
    assert np.abs(drawn * GRAIN).max() < 4
    putter = stack.StackWriter(pile)
    putter.normal(np.zeros(20), np.ones(20), drawn)
    putter.put()
    pile.stir(3)
    assert pile.payload == before


@pytest.mark.parametrize("step", [0.0, 0.01, 7.0])
def test_values_are_found_among_those_that_give_an_event(step):
    chance = np.random.default_rng(0)
    many = (
        np.round(chance.normal(50, 20, 500), 2)
        if step == 0.01
        else chance.integers(-9, 9, 500) * 7.0
    )
    values = np.concatenate(
        [many, chance.normal(size=20), chance.normal(size=20).astype(np.float32), [0.0, 1e-300]]
    )

    def event(x):
        with np.errstate(over="ignore"):
            return ((x - 3.7) / 11.3).astype(np.float32)

    writer = SymbolWriter()
    reals.code_reals_within(writer, event, step, event(values), values)
    assert (
        reals.code_reals_within(SymbolReader(writer.payload), event, step, event(values), None)
        == values
    ).all()
    if step:  # most are the only multiple that gives their event
        assert 8 * len(writer.payload) < 500 * 0.2 + 42 * 45


def trees(generator):
    """A mixture of three trees, each of which has an order of its own."""
    chance, model = np.random.default_rng(0), MODELS["mixture"](binary(12), components=3)
    model.allocate(3)
    with torch.no_grad():
        model.logits.copy_(torch.tensor([0.5, -0.5]))
        for k, tree in enumerate(model.members):
            rows = torch.randint(0, 2, (60, 12), generator=generator).float()
            rows[:, chance.permutation(12)[: 4 + k]] = rows[:, :1]
            counts = tree.statistics(rows, torch.ones(60))
            tree.take(counts + tree.prior(counts))
    assert len({tree.order for tree in model.members}) == 3
    return model


def over_orders(generator):
    parts = [shake_weights(MODELS["made"](binary(12), hidden=16, shuffle=k), k) for k in range(4)]
    return mixture(parts, [0.4, 0.3, 0.2, 0.1])


def of_mixtures(generator):
    return mixture(
        [trees(generator), shake_weights(MODELS["nade"](binary(12))), trees(generator)],
        [0.5, 0.3, 0.2],
    )


def tree_of_each_label(generator):
    model, other = stratify(MODELS["chow_liu"], binary(13), [4]), trees(generator)
    for own, tree in zip(model.members, other.members, strict=False):
        own.restore(tree.state_dict())
    model.set_labels(torch.tensor([30.0, 70.0]))
    return model


@pytest.mark.parametrize("make", [over_orders, trees, of_mixtures, tree_of_each_label])
def test_a_mixture_over_orders_takes_the_bits_of_the_mixture(make, monkeypatch):
    """Bits come back: what naming each row's component would take is far more. No tree is asked for other orders."""
    generator = torch.Generator().manual_seed(0)
    model = make(generator).eval()
    x = model.sample(4000, generator)
    bits = -float(model.log_prob(x).detach().double().sum()) / np.log(2)
    monkeypatch.setattr(MODELS["chow_liu"], "predict_given", None)
    writer = SymbolWriter()
    through(model, writer, x, len(x))
    assert torch.equal(through(model, SymbolReader(writer.payload), None, len(x)), x)
    assert bits < 8 * len(writer.payload) < 1.005 * bits + 64


def test_variables_of_one_form_pass_together():
    """Of each group of an outcome those alike, each cell by its own law, row after row."""
    kinds = [Category(2), Category(3), Category(2, missing=True), Category(2), Category(3)]
    logs = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    groups = [torch.tensor([4, 1]), torch.tensor([0, 2, 3])]
    outcome = Product([(index, Categorical(logs[:, index])) for index in groups])
    found = list(group_alike(outcome, kinds, [0, 1, 2, 3, 4], 4))
    assert [members for members, _ in found] == [[4, 1], [0, 3], [2]]
    for members, cells in found:
        assert torch.equal(cells.log_probs, logs[:, members].flatten(0, 1))


@torch.no_grad()
@pytest.mark.parametrize(("label", "bits"), [(0, (1 << 24) - 1), (1, 0)])
def test_no_label_is_picked_but_the_right_one(label, bits):
    """The stack's next bits are those by which a coder takes a code of no probability."""
    model, pile = tree_of_each_label(torch.Generator().manual_seed(0)), stack.Stack(2)
    pile.coder = constriction.stream.stack.AnsCoder(np.array([9, bits, 777], np.uint32))
    x = torch.zeros(1, 13).index_fill(1, torch.tensor([4]), label)
    assert pick_components(model, stack.StackReader(pile), x, None).which.tolist() == [label]


def test_latent_variables_take_the_bits_of_the_bound(tmp_path):
    """Bits come back: latents to a 128th cost far more than the bound, were they only written."""
    run = plausibly.fit("digits-binary", "vae", out=tmp_path / "run", steps=300)
    rows = np.concatenate(
        [load_rows(f"digits-binary:{part}", run.format) for part in ("train", "valid", "test")] * 3
    )
    found = plausibly.compress(run, rows[:4000], tmp_path / "x.pls")
    assert found.verified and found.payload > 10_000
    assert (
        0.99 * found.model_bits
        < 8 * found.payload
        < 1.01 * found.model_bits + 2 * 16 * run.model.latents
    )


FLOW = {"name": "flow", "layers": 3, "hidden": 16}
HIDDEN = [
    ("vae", {"prior": {"name": "vamp", "components": 30}, "latents": 5}),
    ("vae", {"prior": FLOW, "latents": 5, "context": [1, 6]}),
    ("hierarchical_vae", {"levels": [2, 3]}),
    ("hierarchical_vae", {"prior": FLOW, "levels": [2, 3]}),
    ("hierarchical_vae", {"prior": "vamp", "levels": [2, 3], "context": [1]}),
    ("vq_vae", {"context": [1, 6]}),
]


def test_a_flow_counts_the_volume_that_its_layers_change():
    """What a layer's numbers are drawn within, over what they are taken within, is the layer's scale."""
    generator = torch.Generator().manual_seed(0)
    prior = FlowPrior(3, layers=2, hidden=8)
    with torch.no_grad():
        for p in prior.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
        z = torch.randn(50, 3, generator=generator)
        law = next(prior.behind(z, found := []))
        found.append(law.sample(generator))
        levels, drawn = prior.levels(50, seen := []), []
        for number in torch.cat([found[0].flip(1), z], 1).unbind(1):
            drawn.append(next(levels))
            seen.append(number[:, None])
        shift, log_scale = prior._shift_and_log_scale(prior.networks[0], z)
    widths = torch.cat([law.log_scale for law in drawn[3:]], 1)
    assert log_scale.std() > 0.3 and torch.allclose(widths - law.log_scale, log_scale, atol=1e-5)
    assert (widths.exp() >= GRAIN * 0.999).all() and (law.log_scale.exp() >= GRAIN * 0.999).all()
    centres = torch.cat([law.centre for law in drawn[3:]], 1)
    assert torch.allclose(centres, shift + log_scale.exp() * found[0], atol=1e-4)


def test_a_mixture_of_posteriors_tells_which_by_bayes():
    generator = torch.Generator().manual_seed(0)
    centre, log_scale = torch.randn(2, 6, 3, generator=generator).unbind(0)
    z = torch.randn(20, 3, generator=generator)
    (pick,) = BlendedNormals(Normal(centre, log_scale)).behind(z, [])
    normals = torch.distributions.Normal(centre, log_scale.exp())
    assert torch.allclose(
        pick.log_probs[:, 0], normals.log_prob(z[:, None]).sum(2).log_softmax(1), atol=1e-4
    )


class Linear(Variational):
    """A user's own, as plain as can be: nothing copies its rows."""

    family, formula, objective = "linear", "6 n", ELBO()

    def __init__(self, schema):
        super().__init__()
        self.schema, self.latents, self.prior = schema, 2, StandardPrior(2)
        self.encoder, self.decoder = (
            torch.nn.Linear(schema.size, 4),
            torch.nn.Linear(2, schema.size),
        )

    def latent_prior(self):
        return self.prior

    def posterior(self, x, draws=1):
        return normal_of(self.encoder(x.flatten(1)), draws)

    def observation(self, z, given=None):
        return Bernoulli(self.decoder(z))

    def log_bound(self, x, generator):
        raise NotImplementedError

    def sample(self, n, generator):
        return self.observation(self.prior.sample(n, generator)).sample(generator)


@pytest.mark.parametrize("variables", [13, 65])
def test_it_does_not_matter_where_rows_lie_in_memory(variables):
    torch.manual_seed(0)
    model = Linear(binary(variables))
    x = model.sample(700, torch.Generator().manual_seed(0)).detach()
    writer = SymbolWriter()
    through(model, writer, x, len(x))
    assert torch.equal(through(model, SymbolReader(writer.payload), None, len(x)), x)


def test_a_prior_without_levels_is_refused():
    model = Linear(binary(4))
    model.latent_prior = lambda: object()
    with pytest.raises(Unsupported, match=r"plausibly\.outcomes.latents\.Prior"):
        through(model, SymbolWriter(), torch.zeros(3, 4), 3)


@pytest.mark.parametrize(("name", "settings"), HIDDEN)
def test_what_stands_behind_latents_takes_the_bits_of_the_bound(name, settings):
    """The pick of a mixture, and the inner numbers of a flow, come back like the latents."""
    generator = torch.Generator().manual_seed(0)
    schema = Schema(
        (8,),
        (Category(levels=3), Level(levels=3), *(Category(levels=2),) * 4, Level(levels=5), Real()),
    )
    model = MODELS[name](schema, **settings, network={"name": "mlp", "hidden": 16, "dropout": 0.0})
    model.initialise(generator)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn(p.shape, generator=generator)
    x = model.eval().sample(2000, generator)
    writer = SymbolWriter()
    through(model, writer, x, len(x))
    assert torch.equal(through(model, SymbolReader(writer.payload), None, len(x)), x)
    gap = float(log_gaps(schema, x))
    bits = -(float(blocks.block_nats(model, x).sum()) + gap) / np.log(2)
    assert 0.99 * bits < 8 * len(writer.payload) < 1.01 * bits + 32 * 12


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A table with everything: categories with rare levels, whole and real numbers, holes, ids, a constant, texts."""
    chance, rows = np.random.default_rng(0), 3000
    age = chance.integers(18, 80, rows)
    frame = pd.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "age": age,
            "town": chance.choice(["Ulm", "Bonn", "Kiel", *(f"village {k}" for k in range(400))], rows,
                                  p=[0.4, 0.3, 0.1, *[0.2 / 400] * 400]),
            "income": np.round(np.exp(chance.normal(8 + age / 50, 1)), 2),
            "height": chance.normal(170, 10, rows),
            "country": "DE",
            "note": [f"text {chance.integers(0, 10**9)}" for _ in range(rows)],
        }
    )  # fmt: skip
    frame.loc[chance.random(rows) < 0.1, "town"] = None
    folder = tmp_path_factory.mktemp("people")
    frame.to_csv(folder / "people.csv", index=False)
    frame.to_parquet(folder / "people.parquet")
    return folder


@pytest.fixture(scope="module")
def run(people):
    return plausibly.fit(str(people / "people.csv"), "nade", out=people / "run", steps=200)


def test_a_text_file_comes_back_byte_for_byte(run, people, tmp_path):
    found = plausibly.compress(run, people / "people.csv", tmp_path / "people.pls")
    assert found.verified and not found.notes and found.rows == 3000
    assert plausibly.decompress(tmp_path / "people.pls", tmp_path / "again.csv", run) == 3000
    assert (tmp_path / "again.csv").read_bytes() == (people / "people.csv").read_bytes()
    assert found.file == (tmp_path / "people.pls").stat().st_size <= found.payload + 300 + 8 * 2
    part = plausibly.decompress(
        tmp_path / "people.pls", tmp_path / "part.csv", run, slice(1998, 2003)
    )
    lines = (people / "people.csv").read_text().splitlines()
    assert part == 5 and (tmp_path / "part.csv").read_text().splitlines() == [
        lines[0],
        *lines[1999:2004],
    ]


def test_the_payload_is_what_the_model_says(tmp_path):
    run = plausibly.fit("digits-binary", "nade", out=tmp_path / "run", steps=300)
    rows = np.concatenate(
        [load_rows(f"digits-binary:{part}", run.format) for part in ("train", "test")]
    )
    found = plausibly.compress(run, rows, tmp_path / "digits.pls")
    assert found.model_bits < 8 * found.payload < 1.01 * found.model_bits
    assert found.payload > 4000 and found.rivals.keys() == {"gzip", "xz", "zstd", "png", "webp"}
    assert found.payload < min(found.rivals.values())
    again = compression.read_compressed_rows(tmp_path / "digits.pls", run)
    assert again.dtype == rows.dtype and (again == rows).all()


@pytest.mark.parametrize(
    ("model", "smaller"), [("nade", {}), ("boosted", {"rounds": 20}), ("chow_liu", {})]
)
def test_a_file_can_hold_its_model(model, smaller, tmp_path):
    run = plausibly.fit("digits-binary", model, out=tmp_path / "run", steps=100, set=smaller)
    rows = load_rows("digits-binary:test", run.format)
    found = plausibly.compress(run, rows, tmp_path / "x.pls", embed=True)
    assert found.verified and found.file > found.payload + 1000
    (tmp_path / "run").rename(tmp_path / "moved")
    assert (compression.read_compressed_rows(tmp_path / "x.pls") == rows).all()
    data = bytearray((tmp_path / "x.pls").read_bytes())
    data[100] ^= 1
    (tmp_path / "x.pls").write_bytes(data)
    with pytest.raises(UserError, match="the run in it"):
        compression.read_compressed_rows(tmp_path / "x.pls")


def test_a_run_is_found_where_it_was(run, people, tmp_path):
    plausibly.compress(run, people / "people.csv", tmp_path / "x.pls")
    assert plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv") == 3000


def test_what_training_never_saw_comes_back(run, people, tmp_path):
    frame = pd.read_csv(people / "people.csv", dtype=str, keep_default_na=False).iloc[:50]
    frame.loc[0, "town"], frame.loc[1, "age"], frame.loc[2, "age"] = (
        "Atlantis, größer",
        "100000000",
        "unknown",
    )
    frame.loc[3, "income"], frame.loc[4, "country"], frame.loc[5, "height"] = (
        "-3.123456",
        "FR",
        "1e+300",
    )
    frame.to_csv(tmp_path / "odd.csv", index=False)
    assert plausibly.compress(run, tmp_path / "odd.csv", tmp_path / "odd.pls").verified
    plausibly.decompress(tmp_path / "odd.pls", tmp_path / "again.csv", run)
    again = pd.read_csv(tmp_path / "again.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(again, frame.reset_index(drop=True))


def test_a_difference_is_said_before_it_is_written(run, people, tmp_path):
    lines = (people / "people.csv").read_text().splitlines()
    lines[7] += " "
    (tmp_path / "odd.csv").write_text("\n".join(lines) + "\n\n")
    notes = plausibly.compress(run, tmp_path / "odd.csv", tmp_path / "odd.pls").notes
    assert any("not byte for byte" in note for note in notes)


def test_parquet_comes_back_with_its_types(people, tmp_path):
    source = people / "people.parquet"
    run = plausibly.fit(str(source), "independent", out=tmp_path / "run")
    assert not plausibly.compress(run, source, tmp_path / "x.pls").notes
    plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.parquet", run)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), pd.read_parquet(source))
    narrow = pd.read_parquet(source).astype({"age": "int32"})
    assert any(
        "'age'" in note for note in plausibly.compress(run, narrow, tmp_path / "y.pls").notes
    )


def test_bad_questions_get_one_line(run, people, tmp_path):
    with pytest.raises(Unsupported, match="compress"):
        other = plausibly.fit("digits-binary", "autoencoder", out=tmp_path / "ae", steps=20)
        plausibly.compress(other, "digits-binary:test", tmp_path / "no.pls")
    assert not (tmp_path / "no.pls").exists()
    dropped = plausibly.fit(
        str(people / "people.csv"), "independent", out=tmp_path / "drop", drop=["note"]
    )
    with pytest.raises(UserError, match="'note'"):
        plausibly.compress(dropped, people / "people.csv", tmp_path / "no.pls")
    plausibly.compress(run, people / "people.csv", tmp_path / "x.pls")
    with pytest.raises(UserError, match="another model"):
        plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv", dropped)
    with pytest.raises(UserError, match="rows 0 to 3000"):
        plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv", run, slice(3000, 3001))
    with pytest.raises(UserError, match="no file of compressed rows"):
        plausibly.decompress(people / "people.csv", tmp_path / "x.csv", run)
    with pytest.raises(UserError, match="cannot read"):
        plausibly.decompress(tmp_path / "nothing.pls", tmp_path / "x.csv", run)
    assert not (tmp_path / "x.csv").exists()


def test_what_would_come_back_as_something_else_is_refused(run, people, tmp_path):
    rows = np.random.default_rng(0).normal(size=(200, 3))
    narrow = plausibly.fit(rows.astype(np.float32), "independent", out=tmp_path / "narrow")
    with pytest.raises(UserError, match=r"row 1: .* would come back as .*float32"):
        plausibly.compress(narrow, rows, tmp_path / "x.pls")
    assert not plausibly.compress(narrow, rows.astype(np.float32), tmp_path / "x.pls").notes
    zero = np.where(np.arange(600).reshape(200, 3) == 7, np.float32(-0.0), rows.astype(np.float32))
    assert plausibly.compress(narrow, zero, tmp_path / "x.pls").notes == ["-0.0 comes back as 0.0"]
    table = plausibly.fit(str(people / "people.parquet"), "independent", out=tmp_path / "table")
    frame = pd.read_parquet(people / "people.parquet")
    with pytest.raises(UserError, match="reset_index"):
        plausibly.compress(table, frame.set_index(frame["note"]), tmp_path / "x.pls")
    with pytest.raises(UserError, match="another name"):
        plausibly.compress(run, people / "people.csv", people / "people.csv")
    lines = (people / "people.csv").read_text().splitlines()
    cells = lines[2500].split(",")
    (tmp_path / "odd.csv").write_text(
        "\n".join([*lines[:2500], ",".join([cells[0], "inf", *cells[2:]]), ""])
    )
    with pytest.raises(UserError, match="row 2500, column 'age'"):
        plausibly.compress(run, tmp_path / "odd.csv", tmp_path / "x.pls")
    with pytest.raises(UserError, match="there is no"):
        plausibly.compress(run, "nowhere.csv", tmp_path / "x.pls")


def test_labels_beside_rows_come_back(tmp_path):
    run = plausibly.fit("digits-binary", "nade", out=tmp_path / "run", steps=30, labelled=True)
    rows = load_rows("digits-binary:test", run.format)
    assert not plausibly.compress(run, rows, tmp_path / "x.pls").notes
    again = compression.read_compressed_rows(tmp_path / "x.pls", run)
    assert again.dtype == rows.dtype and (again == rows).all()


def test_a_sound_block_that_does_not_decode_is_not_called_damaged(
    run, people, tmp_path, monkeypatch
):
    plausibly.compress(run, people / "people.csv", tmp_path / "x.pls")

    def other(*arguments):
        raise DamagedStream("other symbols")

    monkeypatch.setattr(compressed, "decode_block", other)
    with pytest.raises(UserError, match="other probabilities"):
        plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv", run)


def test_other_probabilities_are_noticed_before_decoding(run, people, tmp_path, monkeypatch):
    plausibly.compress(run, people / "people.csv", tmp_path / "x.pls")
    moved = Run(
        run.path, run.record, MODELS["nade"](run.model.schema, **run.model.arguments), run.format
    )
    moved.model.restore({name: t.clone() for name, t in run.model.state_dict().items()})
    moved.model.eval()
    with torch.no_grad():
        next(moved.model.parameters()).mul_(1 + 1e-5)
    with pytest.raises(
        UserError, match=r"other probabilities; it was written with processor .*, as here"
    ):
        plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv", moved)
    real = provenance.writer_versions
    monkeypatch.setattr(compressed, "writer_versions", lambda: real() | {"torch": "1.0"})
    with pytest.raises(UserError, match=r"torch \S+ \(here 1\.0\)"):
        plausibly.decompress(tmp_path / "x.pls", tmp_path / "x.csv", moved)
    assert not (tmp_path / "x.csv").exists()


def test_a_wrong_decoding_is_not_called_success(run, people, tmp_path, monkeypatch):
    real = blocks.decode_block

    def wrong(*arguments):
        events = real(*arguments)
        events.codes[0, 0] += 1
        return events

    monkeypatch.setattr(compression, "decode_block", wrong)
    with pytest.raises(UserError, match="does not decode"):
        plausibly.compress(run, people / "people.csv", tmp_path / "x.pls")
    assert not (tmp_path / "x.pls").exists()


PLACE = st.integers(0, 2**32)
DAMAGE = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(0, 7)),
    st.tuples(st.just("cut"), PLACE, st.integers(1, 9)),
    st.tuples(st.just("end"), PLACE, PLACE),
    st.tuples(st.just("swap"), PLACE, PLACE),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=9)),
)


def damaged(sound, what, place, how):
    data, at = bytearray(sound), place % len(sound)
    if what == "flip":
        data[at] ^= 1 << how
    elif what == "cut":
        del data[at : at + how]
    elif what == "end":
        del data[at:]
    elif what == "swap":
        other = how % len(data)
        data[at], data[other] = data[other], data[at]
    else:
        data[at:at] = how
    return bytes(data)


@pytest.fixture(scope="module", params=["in order", "by bits-back", "with its model"])
def sound(request, tmp_path_factory):
    """A file, the bytes in it, and the run that it is read with."""
    folder, embed = tmp_path_factory.mktemp("damage"), request.param == "with its model"
    orders = [0, 1] if request.param == "by bits-back" else [0]
    runs = [
        plausibly.fit(
            "toy-bits", "made", out=folder / str(k), steps=50, set={"hidden": 8, "shuffle": k}
        )
        for k in orders
    ]
    run = plausibly.ensemble(runs, out=folder / "mixed") if len(runs) > 1 else runs[0]
    plausibly.compress(
        run, load_rows("toy-bits:test", run.format)[:300], folder / "x.pls", embed=embed
    )
    return folder / "y.pls", (folder / "x.pls").read_bytes(), None if embed else run


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(DAMAGE, min_size=1, max_size=3))
def test_damage_is_never_decoded(sound, damage):
    """1,200 files with bits flipped, bytes cut, swapped or put in: each gets one line, and none gives rows."""
    file, data, run = sound
    whole = data
    for each in damage:
        data = damaged(data or b"\0", *each)
    file.write_bytes(data)
    if data != whole:
        with pytest.raises(UserError) as told:
            compression.read_compressed_rows(file, run)
        assert "\n" not in str(told.value)


def test_the_board_tells_actual_bits_beside_those_of_others(tmp_path):
    board = plausibly.compare(
        "digits-binary", ["independent", "autoencoder"], steps=20, out=tmp_path / "c"
    )
    rows = {row.model: row for row in board.rows}
    assert rows["autoencoder"].coded is None
    exact, actual = rows["independent"].test.bits_per_variable, rows["independent"].coded
    assert actual.rows == 179 and exact < actual.bits_per_variable < 1.01 * exact + 64 / (179 * 64)
    assert board.first_coded.others.keys() == {"gzip", "xz", "zstd", "png", "webp"}
    assert min(board.first_coded.others.values()) > actual.bits_per_variable
    headings, cells = board.cells()
    assert [row[headings.index("actual bits")] for row in cells] == [
        f"{actual.bits_per_variable:.4f}",
        "",
    ]
    assert f"png {board.first_coded.others['png']:.4f}" in board.caption()
    again = report_again(tmp_path / "c", "cpu", Listener()).read_text()
    assert "Test rows as bytes" in again and f"{actual.bits_per_variable:.4f}" in again


def bad(said):
    raise UserError(said)


def test_models_without_actual_bits_say_why(tmp_path, capsys):
    lines = []
    listener = Listener()
    listener.log = lines.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "MAX_CODING_SECONDS", 0.0)
        board = plausibly.compare(
            "toy-bits", ["independent"], out=tmp_path / "a", listener=listener
        )
    assert board.first_coded is None and any(
        "no actual bits, since 2,000 rows would take about" in line for line in lines
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            results,
            "rows_from_events",
            lambda format, events: bad("rows come back in another type of numbers"),
        )
        board = plausibly.compare(
            "toy-bits", ["independent"], out=tmp_path / "b", listener=listener
        )
    assert board.first_coded is None and "type of numbers" in lines[-1]
    run = board.rows[0].run.path / "run.json"
    for wrong in (3, {"rows": 5}, {"rows": 5, "bits_per_variable": "x", "others": {}}):
        write_record(json.loads(run.read_text()) | {"coded": wrong}, run.parent)
        with pytest.raises(UserError, match="'coded'"):
            Run.open(run.parent)


def test_a_table_in_memory_has_others_beside_it(run, people, tmp_path):
    frame = pd.read_csv(people / "people.csv")
    found, from_file = (
        plausibly.compress(run, data, tmp_path / "x.pls") for data in (frame, people / "people.csv")
    )
    assert found.rivals == from_file.rivals


def test_damaged_blocks_are_seen_without_their_checksums(run, people, tmp_path):
    """Even where a changed block decodes, the checksum of what was coded tells."""
    events = run.events(people / "people.csv")[:200]
    with one_thread():
        sound, chance = blocks.encode_block(run, events, 0), np.random.default_rng(0)
        assert blocks.has_same_rows(blocks.decode_block(run, sound, 200, 0), events)
        for _ in range(40):
            data = bytearray(sound)
            data[int(chance.integers(0, len(data)))] ^= 1 << int(chance.integers(0, 8))
            with pytest.raises(DamagedStream):
                blocks.decode_block(run, bytes(data), 200, 0)


def test_the_commands(run, people, cli, tmp_path):
    packed = tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress((people / "people.csv").read_bytes()))
    file = str(tmp_path / "x.pls")
    document = json.loads(cli("compress", run.path, packed, file, "--json", "--quiet")[1])
    assert document["verified"] and document["bytes"] > document["payload_bytes"] > 0
    assert document["bits_per_variable"] > 0 and document["original_bytes"] == packed.stat().st_size
    assert document["model_bits_per_variable"] is None  # a density's logarithm is no number of bits
    said = cli("compress", run.path, packed, file, "--quiet")[1]
    assert "decoded again" in said and "xz" in said and "-log2 p" not in said
    assert "3 rows" in cli("decompress", run.path, file, "few.csv", "--rows", "5:8", "--quiet")[1]
    status, _, told = cli("decompress", run.path, file, "few.csv", "--rows", "8")
    assert status == 2 and "--rows 0:10" in told
