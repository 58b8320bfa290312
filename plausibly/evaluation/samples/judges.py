"""Judges that tell samples from real rows: gradient boosted trees, and for images a small convolutional network besides.

A judge is taught on some rows of both sorts and scores others; the higher, the more it takes a row for real. A weak judge
finds nothing to object to whatever the samples are: a logistic regression on columns takes independent columns for real,
and a convolutional network that saw some hundred digits does not mind a little noise, which trees see at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.evaluation.samples.features import ColumnFeatures, find_image, image_pixels
from plausibly.networks.convolution import ContractingNetwork
from plausibly.networks.noise import Dropout
from plausibly.networks.perceptron import Linear, Perceptron
from plausibly.system.randomness import Stream, generator_for, lend_noise
from plausibly.system.threads import one_thread

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

MAX_CATEGORIES = 255  # codes that boosted trees take as a category, at most
STEPS = 150
BATCH = 128
RATE = 4e-3
DECAY = 1e-2
CPU = torch.device("cpu")


class Judge(ABC):
    """Learns to tell real rows from made ones."""

    name: str

    @abstractmethod
    def scores(
        self, rows: np.ndarray, real: np.ndarray, others: np.ndarray, seed: int
    ) -> np.ndarray:
        """The degree to which each of the `others` looks real, (others,), after `rows` were seen, of which `real` are.

        Rows are given by their indices."""


class TreeJudge(Judge):
    """Histogram gradient boosting on the values of columns; categories as such, holes as holes."""

    name = "boosted trees"

    def __init__(self, format: Format, real: Events, made: Events) -> None:
        parts = [tree_table(format, events) for events in (real, made)]
        self.table = np.concatenate(parts)
        self.categories = categorical(format)

    def scores(
        self, rows: np.ndarray, real: np.ndarray, others: np.ndarray, seed: int
    ) -> np.ndarray:
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(**boosting_options(len(rows), self.categories, seed))
        with single_core():
            trees.fit(self.table[rows], real)
            return np.asarray(trees.decision_function(self.table[others]))


def categorical(format: Format) -> list[bool]:
    """Which variables trees take as categories."""
    return [not kind.ordered and kind.codes <= MAX_CATEGORIES for kind in format.schema.kinds]


def boosting_options(rows: int, categories: list[bool], seed: int) -> dict[str, Any]:
    """Settings of trees that learn from so many rows: scikit-learn's defaults, with smaller leaves where rows are few."""
    leaf = min(20, max(1, rows // 20))
    chosen = {"categorical_features": categories, "random_state": seed}
    return {"early_stopping": False, "min_samples_leaf": leaf, **chosen}


def single_core() -> Any:
    """Trees do the same to the bit then, and no slower where cores are shared."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp")


def tree_table(format: Format, events: Events) -> np.ndarray:
    """The input of trees, (n, variables) float64: codes of categories, numbers of all else, NaN for what is none."""
    table = np.array(format.numbers(events))
    codes = format.schema.event_codes(events.codes).numpy()
    for i, kind in enumerate(format.schema.kinds):
        if not kind.ordered:
            table[:, i] = np.where(
                codes[:, i] == (kind.missing_code if kind.missing else -1), np.nan, codes[:, i]
            )
    return table


@dataclass(frozen=True)
class JudgeInputs:
    """The input of a network: maps, (n, *image), empty where there are none, and further numbers, (n, more)."""

    maps: Tensor
    more: Tensor

    def __getitem__(self, rows: Tensor | slice) -> JudgeInputs:
        return JudgeInputs(self.maps[rows], self.more[rows])

    def __len__(self) -> int:
        return len(self.more)


class InputEncoder:
    """Events as a network's inputs, scaled by the rows that it learns from; variables that are left out are not seen."""

    def __init__(self, format: Format, events: Events, left_out: tuple[int, ...] = ()) -> None:
        self.picture = find_image(format)
        hidden = {*left_out, *(self.picture[0] if self.picture else ())}
        seen = [i for i in range(format.schema.size) if i not in hidden]
        self.columns = ColumnFeatures(format, events, seen)

    def __call__(self, events: Events) -> JudgeInputs:
        columns = torch.from_numpy(self.columns(events)).float()
        picture = self.picture
        maps = torch.empty(len(events), 0) if picture is None else image_pixels(events, *picture)
        return JudgeInputs(maps, columns)


class JudgeNetwork(nn.Module):
    """From inputs to `features` numbers, and from these to `classes` logits."""

    def __init__(self, like: JudgeInputs, features: int, classes: int, channels: int = 8) -> None:
        super().__init__()
        more, shape = like.more.shape[1], tuple(like.maps.shape[1:])
        self.convolves = len(shape) == 3
        if self.convolves:
            self.read: nn.Module = ContractingNetwork(
                shape[0], (shape[1], shape[2]), more, features, channels, 1, 0.2
            )
        else:
            self.read = Perceptron(more, features, 128, 2, 0.1)
        self.dropout, self.leave = Dropout(0.2), Linear(features, classes)

    def features(self, inputs: JudgeInputs) -> Tensor:
        """(n, features), none below 0."""
        return F.relu(
            self.read(inputs.maps, inputs.more) if self.convolves else self.read(inputs.more)
        )

    def forward(self, inputs: JudgeInputs) -> Tensor:
        return self.leave(self.dropout(self.features(inputs)))

    def initialise(self, generator: torch.Generator) -> None:
        for part in self.modules():
            draw = getattr(part, "initialise", None)
            if part is not self and draw is not None:
                draw(generator)


def train_network(
    network: JudgeNetwork, inputs: JudgeInputs, classes: Tensor, seed: int, steps: int = STEPS
) -> JudgeNetwork:
    """The network after so many steps of AdamW on the cross-entropy, at a rate that falls to 0; the seed decides all."""
    network.initialise(generator_for(CPU, seed, Stream.JUDGE_WEIGHTS))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    generator = generator_for(CPU, seed, Stream.JUDGE_BATCHES)
    network.train()
    with lend_noise(network, generator), torch.enable_grad():
        for rows in shuffle_batches(len(inputs), steps, generator):
            optimiser.zero_grad()
            F.cross_entropy(network(inputs[rows]), classes[rows]).backward()
            optimiser.step()
            falling.step()
    return network.eval()


def shuffle_batches(rows: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """So many batches of rows, each row once in a round."""
    order, batch = torch.empty(0, dtype=torch.long), min(BATCH, rows)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.cat([order, torch.randperm(rows, generator=generator)])
        yield order[:batch]
        order = order[batch:]


class ConvolutionJudge(Judge):
    """A small residual network over images, and over what a row holds besides its pixels."""

    name = "convolutions"

    def __init__(self, format: Format, real: Events, made: Events) -> None:
        look = InputEncoder(format, real)
        ours, theirs = look(real), look(made)
        maps, more = torch.cat([ours.maps, theirs.maps]), torch.cat([ours.more, theirs.more])
        self.inputs = JudgeInputs(maps, more)

    def scores(
        self, rows: np.ndarray, real: np.ndarray, others: np.ndarray, seed: int
    ) -> np.ndarray:
        own, asked = self.inputs[torch.from_numpy(rows)], self.inputs[torch.from_numpy(others)]
        with one_thread():
            network = train_network(
                JudgeNetwork(own, 64, 2), own, torch.from_numpy(real).long(), seed
            )
            with torch.no_grad():
                logits = torch.cat(
                    [network(asked[slice(i, i + 500)]) for i in range(0, len(asked), 500)]
                ).double()
        return (logits[:, 1] - logits[:, 0]).numpy()


class JudgeEnsemble(Judge):
    """Several judges, whose log-odds are added: what one of them is blind to another may see."""

    def __init__(self, *judges: Judge) -> None:
        self.judges, self.name = judges, " and ".join(judge.name for judge in judges)

    def scores(
        self, rows: np.ndarray, real: np.ndarray, others: np.ndarray, seed: int
    ) -> np.ndarray:
        return np.sum([judge.scores(rows, real, others, seed) for judge in self.judges], axis=0)


def make_judge(format: Format, real: Events, made: Events) -> Judge:
    """The judge for such rows, who has both sorts at hand, the real ones first."""
    if find_image(format) is None:
        return TreeJudge(format, real, made)
    return JudgeEnsemble(ConvolutionJudge(format, real, made), TreeJudge(format, real, made))
