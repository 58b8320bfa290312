"""The base of adversarial models: a generator x = G(z), learned against a critic D that tells made
events from real ones.

With r = D(x) and f = D(G(z)), in logits, and s(a) = log(1 + e^a), each game is what the critic and the generator minimise:

    minimax            s(-r) + s(f)                    -s(f)               Goodfellow et al. 2014, arXiv:1406.2661
    non-saturating     s(-r) + s(f)                    s(-f)               the same
    hinge              max(0, 1 - r) + max(0, 1 + f)   -f                  Miyato et al. 2018, arXiv:1802.05957
    wasserstein        f - r + L (|dD/dx| - 1)^2       -f                  Gulrajani et al. 2017, arXiv:1704.00028
    r1                 s(-r) + s(f) + g/2 |dD/dx|^2    s(-f)               Mescheder et al. 2018, arXiv:1801.04406
    relativistic       s(f - r) + penalties            s(r - f)            Huang et al. 2024, arXiv:2501.05441

Where D is the best there is against G, r - f of the first two is log p_data(x) / p_G(x). No value of a loss says how good
samples are: validation watches the energy distance between held-out events and as many samples.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.capabilities import Latent
from plausibly.networks.straight_through import StraightThrough
from plausibly.objectives import Loss, Objective, Turn
from plausibly.system.arguments import check_range
from plausibly.system.randomness import by_row

HALVINGS = 20  # of the events at hand, by which chance is measured


def slope_penalty(logits: Tensor, numbers: Tensor) -> Tensor:
    """|dD/dx|^2 of each event, (batch,), through which gradients flow, from D(x) and x."""
    (slope,) = torch.autograd.grad(logits.sum(), numbers, create_graph=True)
    return slope.square().sum(1)


class AdversarialModel(Latent):
    """A generator and its critic, which sees the numbers that `inputs` makes of events."""

    family = "implicit"
    generator: nn.Module
    critic: nn.Module
    inputs: StraightThrough

    @abstractmethod
    def generate_like(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As many events as there are in x, with their context, and their numbers, through which gradients flow."""


class Game(Objective):
    """Two turns: the critic's, `repeats` times, then the generator's."""

    repeats = 1
    spectral = False  # whether the critic's layers are held to a largest singular value of 1
    unit = "energy distance"

    @abstractmethod
    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """The loss that the critic minimises, from its logits, (batch,)."""

    @abstractmethod
    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """The loss that the generator minimises."""

    def penalty(
        self, model: AdversarialModel, numbers: Tensor, logits: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The rest of the critic's loss, (batch,), by what it saw and said: real events, then made.

        numbers: (2 batch, width), of which gradients can be taken; logits: (2 batch,).
        """
        return logits.new_zeros(len(logits) // 2)

    def turns(self, model: AdversarialModel) -> list[Turn]:
        critic = Turn(
            "critic", model.critic, partial(self.criticise, model), self.repeats, momentum=0.0
        )
        return [
            critic,
            Turn("generator", model.generator, partial(self.generate, model), momentum=0.0),
        ]

    def criticise(
        self, model: AdversarialModel, x: Tensor, generator: torch.Generator, done: float
    ) -> Loss:
        with torch.no_grad():
            numbers = torch.cat([model.inputs(x), model.generate_like(x, generator)[1]])
        logits = model.critic(numbers.requires_grad_())[:, 0]
        game = self.critic_loss(*logits.chunk(2))
        penalty = self.penalty(model, numbers, logits, generator)
        return Loss(game + penalty, {"game": game, "penalty": penalty})

    def generate(
        self, model: AdversarialModel, x: Tensor, generator: torch.Generator, done: float
    ) -> Loss:
        _, made = model.generate_like(x, generator)
        with torch.no_grad():
            real = model.critic(model.inputs(x))[:, 0]
        return Loss(self.generator_loss(real, model.critic(made)[:, 0]))

    def validation_loss(
        self, model: AdversarialModel, x: Tensor, generator: torch.Generator
    ) -> Tensor:
        return energy_distance(model.inputs(x), model.inputs(model.sample(len(x), generator)))

    def slack(
        self, model: AdversarialModel, x: Tensor, held_out: Tensor, generator: torch.Generator
    ) -> float:
        """Twice the standard deviation of the distance of training to held-out events.

        It is found on random halves of both, which differ about as much as all of other rows would.
        """
        events, half = (model.inputs(x), model.inputs(held_out)), len(x) // 2
        if half < 2:
            return 0.0
        found = []
        for _ in range(HALVINGS):
            seen, fresh = (
                every[torch.randperm(len(x), generator=generator, device=x.device)[:half]]
                for every in events
            )
            found.append(energy_distance(fresh, seen).mean())
        return 2 * float(torch.stack(found).std())

    def health(
        self, model: AdversarialModel, x: Tensor, held_out: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """The critic's accuracy on held-out and made events, how much higher it is on training events, and coverage."""
        made = model.inputs(model.sample(len(held_out), generator))
        seen, fresh = model.inputs(x), model.inputs(held_out)
        known, unknown, false = (model.critic(numbers)[:, 0] for numbers in (seen, fresh, made))
        accuracy = pairwise_auc(unknown, false)
        return {
            "critic accuracy": accuracy,
            "gap to training": pairwise_auc(known, false) - accuracy,
            "coverage": coverage(fresh, made),
        }


def pairwise_auc(real: Tensor, made: Tensor) -> float:
    """The share of pairs of a real and a made event of which the critic picks the real one; ties count half."""
    order = real[:, None] - made
    return float(((order > 0).float() + 0.5 * (order == 0).float()).mean())


def coverage(real: Tensor, made: Tensor, k: int = 5) -> float:
    """The share of real events that a made one is nearer to than their k-th real neighbour (Naeem et al. 2020).

    arXiv:2002.09797. 1 is perfect; as many fresh real events have about 1 - 2^-k.
    """
    k = min(k, len(real) - 1)
    reach = torch.cdist(real, real).kthvalue(k + 1, 1).values  # each is its own nearest
    return float((torch.cdist(real, made).amin(1) <= reach).float().mean())


def energy_distance(real: Tensor, made: Tensor, power: float = 0.25) -> Tensor:
    """2 E|x - y|^a - E|x - x'|^a - E|y - y'|^a, as shares of each row of `real` in the mean over rows, (n,).

    Unbiased; 0 where both have one distribution, and more where not, for every power a between 0 and 2 (Szekely & Rizzo
    2013). The smaller a, the more the distance tells of what is near: with a = 1 narrow modes count little.
    """
    real, made = real.double(), made.double()  # in which equal rows are apart by next to nothing
    between, within, among = (
        torch.cdist(*pair).pow(power) for pair in ((real, made), (real, real), (made, made))
    )
    n, m = len(real), len(made)
    return 2 * between.mean(1) - within.sum(1) / max(n - 1, 1) - among.sum() / max(m * (m - 1), 1)


class NonSaturating(Game):
    """The generator raises log D of its events (Goodfellow et al. 2014, arXiv:1406.2661)."""

    name = "non-saturating"

    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(-real) + F.softplus(made)

    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(-made)


class Minimax(NonSaturating):
    """The generator raises the critic's own loss (Goodfellow et al. 2014, arXiv:1406.2661)."""

    name = "minimax"

    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return -F.softplus(made)


class Hinge(Game):
    """The critic wants margins of 1 on both sides (Miyato et al. 2018, arXiv:1802.05957)."""

    name = "hinge"
    spectral = True

    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.relu(1 - real) + F.relu(1 + made)

    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return -made


@dataclass(frozen=True, kw_only=True)
class Wasserstein(Game):
    """The critic's slope is held at 1 (Gulrajani et al. 2017, arXiv:1704.00028).

    The penalty is taken between real and made events, at places drawn evenly.

    Args:
        repeats: turns of the critic for each turn of the generator, 1 to 100 (default 3).
        weight: factor of the penalty, 0 to 1,000,000 (default 10).
    """

    name: ClassVar[str] = "wasserstein"
    repeats: int = 3
    weight: float = 10.0

    def __post_init__(self) -> None:
        check_range("objective.weight", self.weight, 0, 1e6)
        check_range("objective.repeats", self.repeats, 1, 100)

    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return made - real

    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return -made

    def penalty(
        self, model: AdversarialModel, numbers: Tensor, logits: Tensor, generator: torch.Generator
    ) -> Tensor:
        real, made = numbers.detach().chunk(2)
        share = by_row(torch.rand, (len(real), 1), generator, real.device)
        between = (real + share * (made - real)).requires_grad_()
        slope = (slope_penalty(model.critic(between), between) + 1e-12).sqrt()
        return self.weight * (slope - 1).square()


@dataclass(frozen=True, kw_only=True)
class SlopePenalised(Game):
    """A game in which half the squared slope of the critic, times gamma, is its penalty.

    Args:
        gamma: twice the factor of the squared slope in the penalty, 0 to 1,000,000 (default 0.1).
    """

    gamma: float = 0.1

    def __post_init__(self) -> None:
        check_range("objective.gamma", self.gamma, 0, 1e6)


class R1(SlopePenalised, NonSaturating):
    """Non-saturating, with the penalty at real events (Mescheder et al. 2018, arXiv:1801.04406).

    Args:
        gamma: twice the factor of the squared slope in the penalty, 0 to 1,000,000 (default 0.1).
    """

    name = "r1"

    def penalty(
        self, model: AdversarialModel, numbers: Tensor, logits: Tensor, generator: torch.Generator
    ) -> Tensor:
        of_real, _ = slope_penalty(logits.chunk(2)[0], numbers).chunk(2)
        return 0.5 * self.gamma * of_real


class Relativistic(SlopePenalised):
    """The critic holds each made event against a real one (Huang et al. 2024, arXiv:2501.05441).

    The penalty is taken at both; this is the game of R3GAN.

    Args:
        gamma: twice the factor of the squared slope in the penalty, 0 to 1,000,000 (default 0.1).
    """

    name = "relativistic"

    def critic_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(made - real)

    def generator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        return F.softplus(real - made)

    def penalty(
        self, model: AdversarialModel, numbers: Tensor, logits: Tensor, generator: torch.Generator
    ) -> Tensor:
        of_real, of_made = slope_penalty(logits, numbers).chunk(2)
        return 0.5 * self.gamma * (of_real + of_made)


GAMES: tuple[type[Game], ...] = (Relativistic, NonSaturating, Minimax, Hinge, Wasserstein, R1)


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, by one power iteration a step (Miyato et al. 2018)."""

    u: Tensor

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.register_buffer("u", torch.ones(rows) / rows**0.5)

    def initialise(self, generator: torch.Generator) -> None:
        self.u.copy_(F.normalize(torch.randn(len(self.u), generator=generator), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        flat = weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(flat.T @ self.u, dim=0)
            u = F.normalize(flat @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        return weight / torch.dot(u, flat @ v)
