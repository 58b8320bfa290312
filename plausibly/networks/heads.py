"""Heads turn a network's numbers into outcomes.

They are chosen by the kinds of the data, never by the architecture: a network gives flat numbers, each owned by a variable.
Buffers are made on the CPU whatever the default device, so that on the meta device only the parameters are without data.
"""

from __future__ import annotations

from itertools import accumulate

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from plausibly.events.kinds import HOLE, UNFORESEEN, Kind, Real
from plausibly.events.schema import Schema
from plausibly.outcomes.categorical import Bernoulli, Categorical
from plausibly.outcomes.densities import DENSITIES, MixtureDensity
from plausibly.outcomes.outcome import Outcome, Single
from plausibly.outcomes.product import Product
from plausibly.system.arguments import is_whole_number


def initial_uniform(shape: tuple[int, ...], inputs: int, generator: torch.Generator) -> Tensor:
    """Weights for `inputs` numbers summed up, in the manner of He et al. (2015)."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * (3 / max(inputs, 1)) ** 0.5


class Head(nn.Module):
    """From flat parameters, (batch, width), to the outcome of all variables, (batch, variables).

    A variable with K codes owns K - 1 numbers, of which `symmetric_log_softmax` makes its probabilities. A real one owns a
    number for each special code, then `components` - 1 for weights, `components` means and as many log scales of a mixture
    of `shape` "normal" or "logistic". A code never seen owns none: its probability is that of the kind. `owner` (width,)
    names the variable of each parameter.
    """

    owner: Int[Tensor, "width"]
    floors: Float[Tensor, "variables"]
    unforeseen: Float[Tensor, "variables"]

    def __init__(self, schema: Schema, components: int = 8, shape: str = "normal") -> None:
        super().__init__()
        if not is_whole_number(components) or not 1 <= components <= 1000 or shape not in DENSITIES:
            raise ValueError(
                f"components = {components} and shape = {shape!r}; 1 to 1,000 of {' or '.join(DENSITIES)}"
            )
        self.schema, self.components, self.density = schema, components, shape
        self.forms = [free_numbers(kind) for kind in schema.kinds]
        self.unseen = [place_of_unseen(kind) for kind in schema.kinds]
        self.real = [kind.continuous for kind in schema.kinds]
        self._place_parameters()
        floors = [kind.floor for kind in schema.kinds]
        self._keep("floors", torch.tensor(floors, device="cpu"))
        self._keep("unforeseen", schema.chance_unforeseen.float())

    def _place_parameters(self) -> None:
        """Gives each variable its own parameters, one behind the other; those of one layout have buffers together."""
        each = list(zip(self.real, self.forms, self.unseen, strict=True))
        widths = [form + (3 * self.components - 1) * real for real, form, _ in each]
        self.starts = list(accumulate(widths, initial=0))
        self.width = self.starts[-1]
        owner = [i for i, width in enumerate(widths) for _ in range(width)]
        self._keep("owner", torch.tensor(owner, device="cpu"))
        self.layouts = sorted(set(each))
        for g, layout in enumerate(self.layouts):
            members = [i for i, form in enumerate(each) if form == layout]
            starts = torch.tensor([[self.starts[i]] for i in members], device="cpu")
            self._keep(f"members_{g}", torch.tensor(members, device="cpu"))
            self._keep(f"slots_{g}", starts + torch.arange(widths[members[0]], device="cpu"))

    def _keep(self, name: str, numbers: Tensor) -> None:
        self.register_buffer(name, numbers, persistent=False)

    @property
    def continuous(self) -> bool:
        """True where some outcome is that of a real number."""
        return any(self.real)

    def forward(self, parameters: Float[Tensor, "batch width"]) -> Outcome:
        if len(self.layouts) == 1:
            width = self.width // len(self.forms)
            own = parameters.unflatten(1, (len(self.forms), width))
            return self._outcome(0, own, self.floors, self.unforeseen)
        groups = []
        for g in range(len(self.layouts)):
            members = getattr(self, f"members_{g}")
            own = parameters[:, getattr(self, f"slots_{g}")]
            groups.append(
                (members, self._outcome(g, own, self.floors[members], self.unforeseen[members]))
            )
        return Product(groups)

    def _outcome(self, g: int, own: Tensor, floors: Tensor, shares: Tensor) -> Single:
        """The outcome of variables of one layout from their parameters, (..., width), and what is said of each, (...)."""
        real, form, unseen = self.layouts[g]
        never = None if unseen < 0 else unseen
        if not real:
            if form == 1 and never is None:
                return Bernoulli(own.squeeze(-1))
            return Categorical(insert_share(symmetric_log_softmax(own), never, shares), never)
        n = self.components
        special, weights, means, scales = own.split([form, n - 1, n, n], -1)
        log_special = (
            insert_share(symmetric_log_softmax(special), never, shares) if form or never else None
        )
        scales = floors.unsqueeze(-1) + F.hardtanh(scales, -torch.inf, 7.0).exp()
        return MixtureDensity(
            symmetric_log_softmax(weights), means, scales, log_special, self.density, never
        )

    def one(self, parameters: Float[Tensor, "batch own"], i: int) -> Single:
        """The outcome of variable `i` from its own parameters, (batch, its width)."""
        layout = self.layouts.index((self.real[i], self.forms[i], self.unseen[i]))
        return self._outcome(layout, parameters, self.floors[i], self.unforeseen[i])

    def slice(self, i: int) -> slice:
        """Where the parameters of variable `i` stand."""
        return slice(self.starts[i], self.starts[i + 1])

    def marginals(self, x: Num[Tensor, "rows variables"]) -> Float[Tensor, "width"]:
        """Parameters, (width,), at which each outcome is the smoothed marginal of events (rows, variables)."""
        kinds = self.schema.kinds
        parts = [self._marginal(x[:, i], kind) for i, kind in enumerate(kinds)]
        return torch.cat(parts)

    @torch.enable_grad()
    def shift(
        self, parameters: Float[Tensor, "rows width"], x: Float[Tensor, "rows variables"]
    ) -> Float[Tensor, "width"]:
        """The shift, (width,), of the parameters of events, (rows, width), that makes these most
        probable, by L-BFGS.

        Then, over these events, the mean probability of each code is its share.
        """
        found = torch.zeros_like(parameters[0]).requires_grad_()
        descent = torch.optim.LBFGS([found], max_iter=30, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            descent.zero_grad()
            total = found.new_zeros(())
            for some, events in zip(parameters.split(1000), x.split(1000), strict=True):
                part = -self(some + found).log_prob(events).sum() / len(x)
                part.backward()
                total += part.detach()
            return total

        descent.step(loss)
        return found.detach()

    def _marginal(self, x: Tensor, kind: Kind) -> Tensor:
        if isinstance(kind, Real):
            return self._real_marginal(x, kind)
        counts = torch.bincount(x.long(), minlength=kind.codes)
        learned = torch.arange(kind.codes) != place_of_unseen(kind)
        return symmetric_logits(free_logits(counts[learned.to(counts.device)]))

    def _real_marginal(self, x: Tensor, kind: Real) -> Tensor:
        numbers, n = x[x < UNFORESEEN].float(), self.components
        marks = [UNFORESEEN] * (kind.open and not kind.unforeseen) + [HOLE] * kind.missing
        counts = torch.tensor([len(numbers), *(int((x == mark).sum()) for mark in marks)])
        special = symmetric_logits(free_logits(counts))
        if not len(numbers):
            numbers = torch.zeros(1)
        share = torch.linspace(0, 1, 2 * n + 1)[1::2]
        means = numbers.double().quantile(share.double()).float()
        # each component is about as wide as the room that its share of the rows takes up
        ends = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        reach = numbers.double().quantile(ends).float().diff()
        scales = (0.5 * reach).clamp(min=max(kind.floor, 0.05 / n)).log()
        return torch.cat([special, torch.zeros(n - 1), means, scales])


def free_numbers(kind: Kind) -> int:
    """The number of free logits: of codes but one, or of a real number's specials; a code never seen has none."""
    free = len(kind.specials) if kind.continuous else kind.codes - 1
    return free - (kind.unforeseen > 0)


def place_of_unseen(kind: Kind) -> int:
    """Where a code never seen stands among those with probabilities: all codes, or a number and its specials; -1 without."""
    return -1 if not kind.unforeseen else 1 if kind.continuous else kind.regular


def insert_share(logs: Tensor, place: int | None, share: Tensor) -> Tensor:
    """Log probabilities, (..., K + 1): at `place` that of `share`, (...), else those given, (..., K), of what is left."""
    if place is None:
        return logs
    rest = logs + torch.log1p(-share).unsqueeze(-1)
    own = share.log().unsqueeze(-1).expand(*logs.shape[:-1], 1)
    return torch.cat([rest[..., :place], own, rest[..., place:]], -1)


def free_logits(counts: Tensor) -> Tensor:
    """K - 1 free logits from K counts, to each of which 1 / K is added (Perks 1947)."""
    logs = (counts + 1 / len(counts)).log()
    return logs[1:] - logs[0]


def free_log_softmax(free: Tensor) -> Tensor:
    """Log probabilities (..., K) from K - 1 free logits."""
    return F.pad(free, (1, 0)).log_softmax(-1)


def symmetric_log_softmax(free: Tensor) -> Tensor:
    """Log probabilities (..., K) from K - 1 numbers, whose reflection gives K logits of sum 0, as far apart as these are.

    With one logit fixed at 0 a network takes its code for whatever it does not know. Of two codes the first has the logit 0.
    """
    if not free.shape[-1]:
        return free.new_zeros(*free.shape[:-1], 1)
    if free.shape[-1] < 2:
        return free_log_softmax(free)
    root = (free.shape[-1] + 1) ** 0.5
    share = free.sum(-1, keepdim=True) / root
    return torch.cat([share, free - share / (root - 1)], -1).log_softmax(-1)


def symmetric_logits(free: Tensor) -> Tensor:
    """The numbers, (..., K - 1), from which `symmetric_log_softmax` gives what `free_log_softmax` gives from these."""
    if free.shape[-1] < 2:
        return free
    logits = F.pad(free, (1, 0))
    logits = logits - logits.mean(-1, keepdim=True)
    return logits[..., 1:] + logits[..., :1] / ((free.shape[-1] + 1) ** 0.5 - 1)
