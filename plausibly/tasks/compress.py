"""Events through a coder, by the model's probabilities: written and read by the same walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from plausibly.capabilities import AutoregressiveModel, Quantiser, Variational, drive_unrolled
from plausibly.coding import reals
from plausibly.coding.stack import Stack, StackReader, StackWriter
from plausibly.coding.streams import CELLS, GRAIN, Coder, Symbols
from plausibly.errors import Unsupported
from plausibly.events.evidence import Evidence
from plausibly.events.kinds import HOLE, MAX_SCALES, UNFORESEEN, Kind
from plausibly.families.mixtures import (
    AutoregressiveMixture,
    DensityMixture,
    TractableSum,
    WeightedSum,
    unrolls_as_one,
)
from plausibly.families.variational import output_width
from plausibly.networks.pairs import rest_of
from plausibly.outcomes.categorical import Categorical
from plausibly.outcomes.densities import MixtureDensity
from plausibly.outcomes.latents import Normal, Prior
from plausibly.outcomes.outcome import Numeric, Outcome, Single
from plausibly.outcomes.product import Product
from plausibly.tasks import Task

compress: Task[Any] = Task("compress", "it has no likelihood, and no bound on it")
# rows of a mixture whose components are known before their values: at the end, and at most
MIN_BATCH_ROWS = 8
MAX_BATCH_ROWS = 256
MAX_NUMBERS = 1 << 24  # at once, that latents are decoded to or that their laws are made of
STACK_ROWS_PER_ROW = 16  # of the rows on the stack, those whose latents are taken together
# words of chance for the first rows' components, and for each latent of the first row
FIRST_WORDS = 2
WORDS_PER_LATENT = 0.5
# what passes through a coder: the hidden of events by its law given them; both, in the order in which they are drawn
GivenEvents = Callable[[Coder, Tensor, Any], Any]
WithEvents = Callable[[Coder, Tensor | None, int, Any], tuple[Tensor, Any]]


@compress.rule(AutoregressiveModel, "yes")
@torch.no_grad()
def code_in_order(
    model: AutoregressiveModel, coder: Coder, codes: Tensor | None, rows: int
) -> Tensor:
    """Passes events, (rows, *shape), through a coder, one variable of all rows after the other; the events."""
    flat = None if codes is None else codes.flatten(1).numpy()

    def choose(i: int, outcome: Single) -> Tensor:
        own = None if flat is None else flat[:, i]
        found = code_value(coder, outcome, model.schema.kinds[i], rows, own)
        return torch.from_numpy(found).float()

    return drive_unrolled(model.unroll(rows), choose)


def code_value(coder: Coder, outcome: Single, kind: Kind, rows: int, own: Symbols) -> np.ndarray:
    """One variable's codes or real events through a coder."""
    if isinstance(outcome, Categorical):
        return coder.finite(outcome.log_probs.double().numpy(), own)
    assert isinstance(outcome, Numeric)
    specials = [UNFORESEEN] * kind.open + [HOLE] * kind.missing
    which = code_sorts(coder, outcome, specials, rows, own)
    found = np.array([0.0, *specials], np.float32)[which]
    numbers = np.flatnonzero(which == 0)
    some = outcome.rows(torch.from_numpy(numbers)) if specials else outcome
    known = None if own is None else own[numbers]
    found[numbers] = code_numbers(coder, cast(Numeric, some), len(numbers), known)
    return found


def code_sorts(
    coder: Coder, outcome: Numeric, specials: list[float], rows: int, own: Symbols
) -> np.ndarray:
    """0 where an event is a number, else the place of the special that it is, from 1, through a coder."""
    masses = [
        outcome.number().double().log(),
        *(outcome.log_prob(torch.full((rows,), at)).double() for at in specials),
    ]
    places = (
        None if own is None else np.searchsorted([0.0, *specials], own.clip(0), side="right") - 1
    )
    return coder.finite(torch.stack([mass.expand(rows) for mass in masses], 1).numpy(), places)


def code_numbers(coder: Coder, outcome: Numeric, rows: int, own: Symbols) -> np.ndarray:
    """Real events, none of them special, through a coder."""

    def below(x: np.ndarray) -> np.ndarray:
        return outcome.below(torch.from_numpy(x)).numpy()

    return reals.code_float(coder, below, MAX_SCALES, rows, own)


@compress.rule(TractableSum, "yes")
@compress.rule(AutoregressiveMixture, "yes")
@compress.rule(DensityMixture, "yes")
@torch.no_grad()
def code_by_components(model: WeightedSum, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """In order, where all parts are unrolled in one; else each row by one component: -log2 of the mixture in all.

    The component is picked by bits that are there already, which come back: it is taken from a stack by
    p(component | row), the row is put on it by its component, then the pick by its weight (Townsend et al. 2019,
    arXiv:1901.04866, with an exact posterior). Few rows are put first, when there are few bits to pick by. The stack is
    coded as a whole.
    """
    if unrolls_as_one(model):
        return code_in_order(cast(AutoregressiveModel, model), coder, codes, rows)
    return bits_back(
        coder,
        codes,
        batch_sizes(rows),
        FIRST_WORDS,
        partial(pick_components, model),
        partial(code_picks, model),
    )


def bits_back(
    coder: Coder,
    codes: Tensor | None,
    parts: Sequence[int],
    words: int,
    given: GivenEvents,
    drawn: WithEvents,
) -> Tensor:
    """Events, so many in each part, by what is hidden, on a stack that begins with so many words of chance.

    `given` passes what is hidden through a coder by its law given the events; `drawn` passes both, as the model draws them.
    """
    if codes is None:
        return read_bits_back(Stack.of(coder.block(None), words), parts, given, drawn)
    stack = Stack(words)
    for turn, own in enumerate(reversed(codes.float().split(list(parts)))):
        stack.stir(turn)
        own = own.clone()  # sums may differ in the last bit where rows lie elsewhere in memory
        hidden, putter = given(StackReader(stack), own, None), StackWriter(stack)
        drawn(putter, own, len(own), hidden)
        putter.put()
    coder.block(stack.payload)
    return codes


def read_bits_back(
    stack: Stack, parts: Sequence[int], given: GivenEvents, drawn: WithEvents
) -> Tensor:
    """The events that `bits_back` put on the stack."""
    found = list[Tensor]()
    for turn, some in reversed(list(enumerate(reversed(parts)))):
        x, hidden = drawn(StackReader(stack), None, some, None)
        found.append(x)
        putter = StackWriter(stack)
        given(putter, x, hidden)
        putter.put()
        stack.stir(turn)
    stack.check_empty()
    return torch.cat(found)


def batch_sizes(rows: int) -> list[int]:
    """Numbers of rows that are taken together: fewer at the end."""
    parts: list[int] = []
    while rows:
        parts.append(min(rows, MIN_BATCH_ROWS * 4 ** min(len(parts), 3), MAX_BATCH_ROWS))
        rows -= parts[-1]
    return parts[::-1]


class ComponentPicks(NamedTuple):
    """The component of each row, and the picks within each component, of those rows."""

    which: np.ndarray
    below: list[Any]

    def rows(self, k: int) -> Tensor:
        return torch.from_numpy(np.flatnonzero(self.which == k))


def is_whole(model: Any, rows: int) -> bool:
    """True where no component is picked for these rows."""
    return not rows or unrolls_as_one(model) or not isinstance(model, WeightedSum)


def pick_components(
    model: Any, coder: Coder, x: Tensor, picks: ComponentPicks | None
) -> ComponentPicks | None:
    """Picks by p(component | row) through a coder; None where there is none."""
    if is_whole(model, len(x)):
        return None
    law, inner = model.log_joint(x).log_softmax(1).numpy(), model.inside(x)
    found = ComponentPicks(code_possible(coder, law, None if picks is None else picks.which), [])
    for k, member in enumerate(model.each()):
        found.below.append(
            pick_components(
                member, coder, inner[found.rows(k)], None if picks is None else picks.below[k]
            )
        )
    return found


def code_possible(coder: Coder, law: np.ndarray, own: Symbols) -> np.ndarray:
    """Codes by log p through a coder; where only one can be, such as a label's, it is not coded.

    A coder leaves something to all codes, and would now and then take an impossible one.
    """
    found = law.argmax(1)
    rows = np.flatnonzero((law > -np.inf).sum(1) > 1)
    found[rows] = coder.finite(law[rows], None if own is None else own[rows])
    return found


def code_picks(
    model: Any, coder: Coder, x: Tensor | None, rows: int, picks: ComponentPicks | None
) -> tuple[Tensor, ComponentPicks | None]:
    """The component of each row, then the rows of each component, through a coder; the rows, and the components."""
    if is_whole(model, rows):
        return compress(model, coder, x, rows) if rows else torch.zeros(
            0, *model.schema.shape
        ), None
    events = torch.zeros(rows, *model.schema.shape)
    law = model.log_weights(Evidence.nothing(events))
    found = ComponentPicks(coder.finite(law.numpy(), None if picks is None else picks.which), [])
    inner, own = model.inside(events).clone(), None if x is None else model.inside(x)
    for k, member in enumerate(model.each()):
        of = found.rows(k)
        known, below = (None, None) if own is None or picks is None else (own[of], picks.below[k])
        inner[of], deeper = code_picks(member, coder, known, len(of), below)
        found.below.append(deeper)
    return model.outside(inner, torch.from_numpy(found.which)), found


@compress.rule(Variational, "yes")
@torch.no_grad()
def code_by_latents(model: Variational, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """Each row given latents, on a grid, that are taken from a stack by q(z | x): about the ELBO's bits in all (BB-ANS).

    What the prior draws behind the latents is taken too, given them; p(z) and p(x | z) are coded in the order in which they
    are drawn. The stack begins with 16 bits for each latent of one row.
    """
    prior = model.latent_prior()
    if not isinstance(prior, Prior):
        raise Unsupported(
            "the model's prior tells no levels that it is drawn by: plausibly.outcomes.latents.Prior says how"
        )
    return bits_back(
        coder,
        codes,
        latent_batch_sizes(rows, rows_per_batch(model)),
        FIRST_WORDS + round(WORDS_PER_LATENT * model.latents),
        partial(code_posterior, model, prior),
        partial(code_jointly, model, prior),
    )


def code_posterior(
    model: Variational, prior: Prior, coder: Coder, x: Tensor, own: Tensor | None
) -> Tensor:
    """The draws behind the latents of events, and the latents, through a coder, by their laws given the events."""
    width = model.latents
    behind, z = (None, None) if own is None else (own[:, :-width].flip(1), own[:, -width:])
    z = code_levels(coder, model.posterior(x).levels, z)
    first = code_levels(coder, partial(prior.behind, z), behind, z[:, :0])
    return torch.cat([first.flip(1), z], 1)


def code_jointly(
    model: Variational, prior: Prior, coder: Coder, x: Tensor | None, rows: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Events, and all that the prior draws for them, through a coder, as the model draws them."""
    found = code_levels(coder, partial(prior.levels, rows), own)
    return code_events(model, coder, found[:, -model.latents :], x), found


@compress.rule(Quantiser, "yes")
@torch.no_grad()
def code_by_codebook(model: Quantiser, coder: Coder, codes: Tensor | None, rows: int) -> Tensor:
    """The codes that each row is encoded as, by their prior, then each row given them: the bound's bits."""
    found = []
    for some in torch.arange(rows).split(rows_per_batch(model)):
        own = None if codes is None else codes[some].float()
        places = compress(
            model.prior, coder, None if own is None else model.quantise(own), len(some)
        )
        found.append(code_events(model, coder, model.latents_of(places), own))
    return torch.cat(found)


def rows_per_batch(model: Variational | Quantiser) -> int:
    """The number of rows that are coded in one go."""
    width = max(output_width(model.schema), CELLS * model.latents)
    return max(1, min(MAX_BATCH_ROWS, MAX_NUMBERS // width))


def latent_batch_sizes(rows: int, most: int) -> list[int]:
    """Numbers of rows that are taken together: few beside those on the stack, from whose bits their latents are taken."""
    parts, below = list[int](), 0
    while below < rows:
        parts.append(max(1, min(rows - below, below // STACK_ROWS_PER_ROW, most)))
        below += parts[-1]
    return parts[::-1]


def code_levels(
    coder: Coder,
    levels: Callable[[list[Tensor]], Iterator[Normal | Categorical]],
    own: Tensor | None,
    *first: Tensor,
) -> Tensor:
    """Numbers level by level through a coder, (rows, numbers), beside what is there `first`."""
    found, start = list[Tensor](), 0
    for law in levels(found):
        width = law.centre.shape[1] if isinstance(law, Normal) else 1
        found.append(code_level(coder, law, None if own is None else own[:, start : start + width]))
        start += width
    return torch.cat([*first, *found], 1)


def code_level(coder: Coder, law: Normal | Categorical, own: Tensor | None) -> Tensor:
    """The numbers of a level through a coder: normal ones on a grid."""
    if isinstance(law, Categorical):
        picks = coder.finite(
            law.log_probs[:, 0].double().numpy(), None if own is None else own[:, 0].long().numpy()
        )
        return torch.from_numpy(picks).float()[:, None]
    centre, scale = (
        number.double().flatten().numpy() for number in (law.centre, law.log_scale.exp())
    )
    known = None if own is None else (own / GRAIN).round().flatten().numpy()
    return (
        torch.from_numpy(coder.normal(centre, scale, known) * GRAIN).float().view(law.centre.shape)
    )


def code_events(
    model: Variational | Quantiser, coder: Coder, z: Tensor, own: Tensor | None
) -> Tensor:
    """Events through a coder: the context, then each other variable given it and the latents."""
    context, kinds = list(model.context), model.schema.kinds
    found = torch.zeros(len(z), model.schema.size)
    flat = None if own is None else own.flatten(1)
    if context:
        code_variables(coder, model.observation(z, found[:, context]), kinds, context, flat, found)
    outcome = model.observation(z, found[:, context] if context else None)
    code_variables(coder, outcome, kinds, rest_of(model), flat, found)
    return found.view(len(z), *model.schema.shape)


def code_variables(
    coder: Coder,
    outcome: Outcome,
    kinds: Sequence[Kind],
    which: list[int],
    own: Tensor | None,
    found: Tensor,
) -> None:
    """Some variables of events through a coder, those of one form together, into `found`."""
    for members, cells in group_alike(outcome, kinds, which, len(found)):
        known = None if own is None else own[:, members].flatten().numpy()
        values = code_value(coder, cells, kinds[members[0]], len(found) * len(members), known)
        found[:, members] = torch.from_numpy(values).float().view(len(found), -1)


def group_alike(
    outcome: Outcome, kinds: Sequence[Kind], which: list[int], rows: int
) -> Iterator[tuple[list[int], Single]]:
    """Variables of one form, and the outcome of their cells, row by row."""
    groups = (
        outcome.groups if isinstance(outcome, Product) else [(torch.arange(len(kinds)), outcome)]
    )
    for index, part in groups:
        for places in places_by_form(index.tolist(), kinds, which):
            members = [int(index[place]) for place in places]
            if isinstance(part, Categorical | MixtureDensity):
                row = torch.arange(rows).repeat_interleave(len(places))
                yield members, part.rows((row, torch.tensor(places).repeat(rows)))
            else:
                pairs = zip(members, places, strict=True)
                yield from (([i], part.one(place)) for i, place in pairs)


def places_by_form(
    variables: list[int], kinds: Sequence[Kind], which: list[int]
) -> Iterable[list[int]]:
    """Places of those among variables, together where alike in what they can be besides numbers or levels."""
    forms: dict[tuple[bool, bool], list[int]] = {}
    for place, i in enumerate(variables):
        if i in which:
            forms.setdefault((kinds[i].open, kinds[i].missing), []).append(place)
    return forms.values()
