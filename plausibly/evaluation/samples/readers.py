"""Extractors with weights: a classifier of the data's own labels, and a network in a file of the user's.

    classifier   the last hidden layer of a network that learned to tell a label from the rest of a training row
    FILE.onnx    what a network says of an image on [0, 1], such as the Inception network of papers

Both tell the SHA-256 of their weights: distances with other weights do not compare.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plausibly.data.questions import variable_named
from plausibly.errors import UserError
from plausibly.evaluation.intervals import UnitInfluences, influence_by_unit
from plausibly.evaluation.numbers import Number
from plausibly.evaluation.samples.coverage import BOTH_SORTS
from plausibly.evaluation.samples.features import (
    ROWS_PER_BATCH,
    Extractor,
    find_image,
    image_pixels,
)
from plausibly.evaluation.samples.judges import (
    BATCH,
    InputEncoder,
    JudgeInputs,
    JudgeNetwork,
    train_network,
)
from plausibly.system.seals import BrokenSeal, read_sealed_tensors, write_sealed_tensors
from plausibly.system.threads import one_thread

if TYPE_CHECKING:
    from plausibly.data.events import Events
    from plausibly.data.formats.format import Format

FEATURES = 32
CHANNELS = 16
# at least so many steps, and rounds through the rows
STEPS = 500
ROUNDS = 8
ONNX = ".onnx"


class ClassifierFeatures(Extractor):
    """The features of a network that learned to tell the label of rows: features of meaning, as far as the labels have any.

    `labels` are (rows,) codes of the events that it learns from; `label` is the variable that is kept from it, if it is one.
    """

    def __init__(
        self, format: Format, events: Events, labels: Tensor, label: int | None, name: str
    ) -> None:
        self.name = f"classifier of {name}"
        self.look = InputEncoder(format, events, () if label is None else (label,))
        self.classes, codes = torch.unique(labels, return_inverse=True)
        self.inputs, self.codes = self.look(events), codes
        if len(self.classes) < 2:
            raise UserError(
                f"{name}: all training rows have the same label, so that there is nothing to tell"
            )
        self.network = JudgeNetwork(self.inputs[:1], FEATURES, len(self.classes), CHANNELS)
        self.scale = 1.0
        self.accuracy: float | None = None  # where it is known

    def learn(self) -> ClassifierFeatures:
        """Takes the steps, the same whoever takes them."""
        with one_thread():
            train_network(
                self.network,
                self.inputs,
                self.codes,
                0,
                max(STEPS, ROUNDS * len(self.codes) // BATCH),
            )
        return self._set_scale()

    def _set_scale(self) -> ClassifierFeatures:
        """With features of mean square 1 over the rows that it learned from, all divided by one number."""
        self.scale = float(np.sqrt((self._features(self.inputs) ** 2).mean())) or 1.0
        return self

    def keep(self, path: Path) -> ClassifierFeatures:
        """Weights from the file, or else learned and put there; learned anew where the file is not theirs."""
        try:
            self.network.load_state_dict(read_sealed_tensors(path))
            self.network.eval()
            return self._set_scale()
        except (BrokenSeal, RuntimeError):
            self.learn()
        write_sealed_tensors(self.network.state_dict(), path)
        return self

    @property
    def checksum(self) -> str:  # type: ignore[override]
        return weights_sum(self.network)

    def __call__(self, events: Events) -> np.ndarray:
        return self._features(self.look(events)) / self.scale

    @torch.no_grad()
    def _features(self, inputs: JudgeInputs) -> np.ndarray:
        found = list[Tensor]()
        with one_thread():
            for start in range(0, len(inputs), ROWS_PER_BATCH):
                found.append(
                    self.network.features(inputs[slice(start, start + ROWS_PER_BATCH)]).double()
                )
        return torch.cat(found).numpy()

    @torch.no_grad()
    def measure_accuracy(self, events: Events, labels: Tensor) -> ClassifierFeatures:
        """Knows from now on the share of these labels that it tells."""
        with one_thread():
            told = self.classes[self._predict_classes(self(events))]
        self.accuracy = float((told == labels).double().mean())
        return self

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"accuracy": self.accuracy}

    def more(
        self,
        real: np.ndarray,
        made: np.ndarray,
        training: np.ndarray | None,
        groups: np.ndarray | None = None,
    ) -> dict[str, Number]:
        """The largest difference of a class's share from that among real rows; the error is of the share of that class."""
        sorts = [real, made] if training is None else [real, made, training]
        told = [self._predict_classes(rows).numpy() for rows in sorts]
        shares = [np.bincount(each, minlength=len(self.classes)) / len(each) for each in told]
        gaps = [np.abs(share - shares[0]) for share in shares[1:]]
        worst = int(gaps[0].argmax())
        error = UnitInfluences(
            (influence_by_unit(told[0] == worst, groups), influence_by_unit(told[1] == worst))
        ).error
        reference = None if training is None else float(gaps[-1].max())
        better = "lower is better; real rows' is perfect"
        found = float(gaps[0].max()), error, len(made), self.name, better, reference or 0.0
        number = Number(*found, reference=reference, over=BOTH_SORTS)
        return {"class_shares": number}

    @torch.no_grad()
    def _predict_classes(self, features: np.ndarray) -> Tensor:
        """Places of the classes that it takes rows for, (n,)."""
        return self.network.leave(torch.from_numpy(features * self.scale).float()).argmax(1)


def weights_sum(network: nn.Module) -> str:
    """SHA-256 of all weights, by their names in order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def label_place(format: Format, name: str) -> int:
    """The variable that holds labels. UserError where it has no labels."""
    place = variable_named(format, name)
    if format.schema.kinds[place].ordered:
        raise UserError(
            f"{name!r} has no labels: a classifier learns to tell a column of few levels"
        )
    return place


class OnnxFile(Extractor):
    """The first output of a network in an ONNX file, flat, for images on [0, 1] in the size and channels that it takes."""

    def __init__(self, format: Format, path: Path) -> None:
        found = find_image(format)
        if found is None:
            raise UserError(
                f"{path.name} reads images, and these rows are none: leave --extractor out"
            )
        self.places, self.schema = found
        self.session = open_session(path)
        self.checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        self.name = f"{path.name} {self.checksum[:8]}"
        (self.input, *more) = self.session.get_inputs()
        if more or len(self.input.shape) != 4:
            raise UserError(
                f"{path}: a network with one input of (rows, channels, height, width) is needed"
            )

    def __call__(self, events: Events) -> np.ndarray:
        images = image_pixels(events, self.places, self.schema)
        rows = self.input.shape[0] if isinstance(self.input.shape[0], int) else ROWS_PER_BATCH
        return np.concatenate([self._read(few, rows) for few in images.split(rows)])

    def _read(self, images: Tensor, rows: int) -> np.ndarray:
        """The output of the network for images, at most `rows`, (images, features); one that takes just so many gets them."""
        taken = images
        if isinstance(self.input.shape[0], int):
            taken = torch.cat([images, images[:1].expand(rows - len(images), -1, -1, -1)])
        fed = {self.input.name: resize_images(taken, self.input.shape).numpy()}
        try:
            (out, *_) = self.session.run(None, fed)
        except Exception as error:
            raise UserError(
                f"{self.name} does not read these images: {str(error).splitlines()[0][:150]}"
            ) from error
        return np.asarray(out, dtype=np.float64).reshape(len(taken), -1)[: len(images)]


def import_onnxruntime(needing: str) -> Any:
    """The package. UserError, which names what needs it, where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{needing} needs onnxruntime, which is not installed: pip install 'plausibly[onnx]'"
        ) from error
    return onnxruntime


def open_session(path: Path) -> Any:
    """A network that runs. UserError where the file, or what runs it, is not there."""
    onnxruntime = import_onnxruntime(path.name)
    if not path.is_file():
        raise UserError(f"there is no extractor {str(path)!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen of its own, with no common one
        raise UserError(
            f"{path} is no network that onnxruntime can run: {str(error).splitlines()[0][:150]}"
        ) from error


def resize_images(images: Tensor, shape: list[Any]) -> Tensor:
    """Images, (n, channels, height, width), as a network of that input shape takes them: grey thrice, sides stretched."""
    channels, *sides = shape[1:]
    if channels == 3 and images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    size = tuple(
        side if isinstance(side, int) else own
        for side, own in zip(sides, images.shape[2:], strict=True)
    )
    if isinstance(channels, int) and channels != images.shape[1]:
        raise UserError(
            f"the network takes {channels} channels, and these images have {images.shape[1]}"
        )
    if size == tuple(images.shape[2:]):
        return images.contiguous()
    return F.interpolate(images, size, mode="bilinear", antialias=True).contiguous()
