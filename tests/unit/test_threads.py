"""How many threads training takes: by a trial's clock, and by who gave a number."""

import pytest
import torch

from plausibly.events.schema import binary
from plausibly.models import MODELS
from plausibly.system import threads
from plausibly.system.threads import (
    ThreadLimit,
    default_limit,
    limit_training,
    take_threads,
    training_limit,
)
from plausibly.training import estimates
from plausibly.training.estimates import MAX_PAIRS, MAX_TRIAL_SECONDS, ThreadTrial, try_threads
from plausibly.training.plan import Diverged, Plan


@pytest.fixture
def trial(monkeypatch):
    """A trial of two threads whose steps take the seconds that are named; those that were taken, as numbers of threads."""

    def run(alone, together, first=0.0, diverges=False):
        now, taken = [100.0], []

        class Training:
            def __init__(self, model, codes, validation, plan):
                self.model = model

            def take_step(self):
                number = torch.get_num_threads()
                now[0] += (alone if number == 1 else together) + (0 if taken else first)
                taken.append(number)
                if diverges and len(taken) == 4:
                    raise Diverged("no number")

        monkeypatch.setattr(estimates, "Training", Training)
        monkeypatch.setattr(estimates.time, "monotonic", lambda: now[0])
        codes = torch.zeros(4, 3, dtype=torch.uint8)
        model = MODELS["made"](binary(3), hidden=4)
        return try_threads(model, codes, codes, Plan(steps=10), 2), taken

    return run


@pytest.mark.parametrize(
    "alone, together, number",
    [(0.003, 0.004, 1), (0.003, 0.003, 1), (0.003, 0.0027, 1), (0.003, 0.0025, 2), (3, 2, 2)],
)
def test_several_threads_must_be_clearly_faster(trial, alone, together, number):
    found, _ = trial(alone, together, first=5.0)
    assert (found.alone, found.together) == pytest.approx((alone, together))
    assert found.number == number


def test_steps_are_taken_in_turn_after_one_that_does_not_count(trial):
    found, taken = trial(0.003, 0.002, first=60.0)
    assert taken == [1] + [1, 2] * MAX_PAIRS
    assert found.alone == pytest.approx(0.003)
    assert torch.get_num_threads() == 1


def test_a_trial_takes_half_a_second_or_one_pair(trial):
    for alone, together, pairs in ((0.1, 0.05, 4), (0.06, 0.04, 5), (4.0, 9.0, 1)):
        assert trial(alone, together)[1].count(2) == pairs
    assert MAX_TRIAL_SECONDS == 0.5


def test_what_diverges_in_the_trial_trains_with_one_thread(trial):
    found, taken = trial(0.003, 0.001, diverges=True)
    assert len(taken) == 4
    assert found.number == 1
    assert torch.get_num_threads() == 1


def test_a_trial_leaves_the_model_as_it_is():
    model = MODELS["made"](binary(3), hidden=4)
    model.initialise(torch.Generator().manual_seed(0))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    codes = torch.randint(2, (40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = try_threads(model, codes, codes, Plan(steps=10), 2)
    assert min(found.alone, found.together) > 0
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_trial_says_what_it_found():
    assert str(ThreadTrial(2, 0.0031, 0.004)) == (
        "trains with 1 thread: a step takes 3.1 ms, with 2 threads 4 ms"
    )
    assert str(ThreadTrial(8, 0.0121, 0.004)) == (
        "trains with 8 threads: a step takes 4 ms, with 1 thread 12.1 ms"
    )


@pytest.mark.parametrize(
    "cores, processes, most",
    [(1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 2), (4, 1, 2), (16, 1, 8), (16, 4, 2), (4, 8, 1)],
)
def test_the_most_by_default(monkeypatch, cores, processes, most):
    monkeypatch.setattr(threads, "TORCH_THREADS", cores)
    assert default_limit(processes) == ThreadLimit(most)


def test_a_limit_holds_within_and_else_torch_says_it():
    with pytest.raises(KeyError), limit_training(ThreadLimit(5, given=True)):
        assert training_limit() == ThreadLimit(5, given=True)
        raise KeyError
    assert training_limit() == ThreadLimit(1)
    with take_threads(2):
        assert training_limit() == ThreadLimit(2)
    assert torch.get_num_threads() == 1
