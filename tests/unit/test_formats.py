"""What a decision says of new data: each is a block or a container of some ten lines, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from plausibly.data.formats.array_blocks import WholeBlock
from plausibly.data.formats.array_container import ArrayContainer
from plausibly.data.formats.column_blocks import AsideBlock, ColumnBlock
from plausibly.data.formats.format import Format
from plausibly.data.formats.frame_container import FrameContainer
from plausibly.data.formats.table_learning import learn_table_format
from plausibly.events.kinds import Level
from plausibly.events.schema import Schema


class FilmContainer(ArrayContainer):
    """Films (n, frames, height, width, colours): the frames' colours are channels."""

    word = "film"

    def open(self, rows, asked):
        frames = np.moveaxis(np.asarray(rows), -1, 2)
        return super().open(frames.reshape(len(rows), *self.shape), asked)

    def close(self, opened):
        frames = super().close(opened)
        return np.moveaxis(frames.reshape(len(opened), -1, 3, *self.shape[1:]), 2, -1)


class LumaContainer(ArrayContainer):
    """Colour images as green and how red and blue differ from it, which wraps around."""

    word = "luma"

    def open(self, rows, asked):
        red, green, blue = np.split(super().open(rows, asked), 3, axis=1)
        return np.concatenate([red - green, green, blue - green], 1)

    def close(self, opened):
        red, green, blue = np.split(opened, 3, axis=1)
        return super().close(np.concatenate([red + green, green, blue + green], 1))


class ResidualBlock(ColumnBlock):
    """A column of numbers as what it adds to another, whose block stands before."""

    def __init__(self, column, place, other):
        super().__init__(column, place)
        self.other = other

    def read(self, opened, asked):
        own = opened.columns[self.column.name] - opened.columns[self.other]
        return super().read(type(opened)(len(opened), {self.column.name: own}), asked)

    def put(self, values, opened):
        super().put(values, opened)
        opened.columns[self.column.name] += opened.columns[self.other]


def whole_format(container):
    places = slice(len(container.names))
    return Format(container, [WholeBlock(Level(256), places, container.names, False)])


def schema(*shape):
    return Schema(shape, (Level(256),) * int(np.prod(shape)))


@pytest.mark.parametrize(
    ("container", "shape"),
    [
        (FilmContainer(schema(12, 5, 6), "chw", "|u1"), (4, 5, 6, 3)),
        (LumaContainer(schema(3, 5, 6), "hwc", "|u1"), (5, 6, 3)),
    ],
)
def test_a_film_and_a_colour_image_are_a_container(container, shape):
    format = whole_format(container)
    rows = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(np.uint8)
    events = format.events(rows)
    assert events.codes.shape == (20, *container.shape)
    assert np.array_equal(format.rows(events), rows)
    drawn = format.draw(events.codes[:7], np.random.default_rng(1))
    assert np.array_equal(format.rows(drawn), rows[:7])
    if container.word == "luma":  # the middle plane is green
        assert torch.equal(events.codes[:, 1], torch.from_numpy(rows[..., 1]))


def test_a_residual_of_another_column_is_a_block():
    chance = np.random.default_rng(0)
    paid = chance.integers(0, 90, 300)
    frame = pd.DataFrame({"due": paid + chance.integers(0, 3, 300), "paid": paid})
    learned = learn_table_format(frame.assign(due=frame["due"] - paid), None, {}, (), 300)
    due, paid_column = learned.table.modelled
    blocks = [ColumnBlock(paid_column, 1), ResidualBlock(due, 0, "paid")]
    format = Format(learned.container, [*blocks, *map(AsideBlock, learned.table.aside)])
    events = format.events(frame)
    assert set(events.codes[:, 0].tolist()) == {0, 1, 2}
    pd.testing.assert_frame_equal(format.rows(events), frame)
    assert torch.allclose(format.log_within(events).sum(1), events.log_within)
    assert isinstance(format.container, FrameContainer)


def test_what_is_left_open_of_arrays_is_kept_and_all_else_is_not():
    exact = whole_format(ArrayContainer(schema(3), "flat", "|u1"))
    assert exact.events(np.zeros((4, 3), np.uint8)).values == [None]
    wide = Schema((3,), (Level(128, 2),) * 3)
    block = WholeBlock(Level(128, 2), slice(3), ("0", "1", "2"), True)
    format = Format(ArrayContainer(wide, "flat", "|u1"), [block])
    rows = np.random.default_rng(0).integers(0, 256, (4, 3)).astype(np.uint8)
    events = format.events(rows)
    assert np.array_equal(events.codes, rows // 2) and np.array_equal(format.rows(events), rows)
    assert events.log_within.tolist() == pytest.approx([-3 * np.log(2)] * 4)
