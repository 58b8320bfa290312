"""What is known of events, as a value: each change gives another one, whatever the layout of the tensors."""

import pytest
import torch

from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence

CPU = torch.device("cpu")
IMAGES = torch.arange(12.0).view(1, 3, 2, 2)
LAYOUTS = {
    "rows": torch.arange(12.0).view(3, 4),
    "images": IMAGES,
    "channels last": IMAGES.to(memory_format=torch.channels_last),
    "one event many times": torch.arange(4.0).expand(3, 4),
    "whole numbers": torch.arange(12, dtype=torch.uint8).view(3, 4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_changes_leave_the_original_as_it_was(layout):
    x = LAYOUTS[layout]
    evidence, before = Evidence.nothing(x), x.clone()
    known = evidence.with_known(1, 7.0)
    assert known.observed.flatten(1).sum(0).tolist() == [0, len(x), *[0] * (x[0].numel() - 2)]
    assert (known.x.flatten(1)[:, 1] == 7).all() and known.x.dtype == x.dtype
    assert known.x.shape == known.observed.shape == x.shape
    assert not known.without(1).observed.any() and known.observed.any()
    assert torch.equal(x, before) and not evidence.observed.any()
    assert torch.equal(known.observed, Evidence.some(x, [1]).observed)
    assert torch.equal(Evidence.whole(x).fill(-x.float()).float(), x.float())
    assert torch.equal(evidence.fill(x + 1), x + 1)


def test_rows_repeat_in_their_order():
    two = Evidence(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[True, False], [False, True]])
    )
    assert two.repeat(2).x[:, 0].tolist() == [1, 3, 1, 3]
    assert two[:1].expand(3).observed.tolist() == [[True, False]] * 3
    assert two[torch.tensor([1, 1])].x.tolist() == [[3, 4]] * 2


@pytest.mark.parametrize(("rows", "sizes"), [(0, [0]), (4, [4]), (9, [4, 4, 1])])
def test_batches_are_as_models_take_them(rows, sizes):
    """Float32, and an empty one where there are no rows, so that an answer has its form."""
    allowed = Allowed.of_codes(torch.tensor([True, False, True, True]))
    x = torch.ones(rows, 2, dtype=torch.uint8)
    parts = list(Evidence.whole(x).with_allowed(allowed).batches(4, CPU))
    assert [len(part) for part in parts] == sizes
    assert all(part.x.dtype == torch.float32 and part.allowed is allowed for part in parts)


def test_anything_is_allowed_that_nothing_is_said_of():
    nothing = Evidence.nothing(torch.zeros(1, 2))
    each = nothing.allowed_by_variable((2, 3))
    assert [own.log_shares.tolist() for own in each] == [[0, 0], [0, 0, 0]]
    only = nothing.with_allowed(Allowed.of_codes(torch.tensor([True, False, False, True, True])))
    assert only.allowed_by_variable((2, 3))[0].log_shares.tolist() == [0, -torch.inf]
