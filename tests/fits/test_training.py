"""The loop: repeatable, resumable at any step, honest when a loss breaks."""

from types import SimpleNamespace

import pytest
import torch

from plausibly.data import load
from plausibly.errors import UserError
from plausibly.events.schema import binary
from plausibly.models.fvsbn import FVSBN
from plausibly.models.made import MADE
from plausibly.models.nade import NADE
from plausibly.models.vq_vae import VQVAE
from plausibly.objectives import WholePass
from plausibly.system.randomness import generator_for
from plausibly.training.diagnosis import diagnose
from plausibly.training.estimates import memory_line, pass_seconds, steps_within
from plausibly.training.loop import Training, clip, validation_loss
from plausibly.training.plan import LEAST, Diverged, Plan, default_every, default_steps


def toy():
    dataset = load("toy-bits")
    return dataset.train.codes[:700], dataset.valid.codes[:200]


def fresh(plan, model=MADE):
    instance = model(binary(10), **({"hidden": 12} if model in (MADE, NADE) else {}))
    instance.initialise(generator_for(torch.device("cpu"), plan.seed))
    return Training(instance, *toy(), plan)


def finished(training):
    list(training.run())
    training.finish()
    return training.model.state_dict()


PLAN = Plan(steps=120, every=20, warmup=10, batch=64)


@pytest.mark.parametrize("model", [MADE, NADE])
def test_stopping_anywhere_and_going_on_changes_no_bit(model):
    whole = finished(fresh(PLAN, model))
    for stop_at in (1, 19, 20, 57, 119):
        first = fresh(PLAN, model)
        list(first.run(lambda first=first, stop_at=stop_at: first.step >= stop_at))
        assert first.step == stop_at
        tensors, numbers = first.state()
        second = fresh(PLAN, model)
        second.resume(tensors, numbers)
        again = finished(second)
        assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_same_seed_same_run_other_seed_another():
    one, same, other = (finished(fresh(Plan(steps=40, every=10, seed=seed))) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    finished(fresh(Plan(steps=10, every=5)))
    assert torch.equal(before, torch.get_rng_state())


def test_every_row_is_seen_once_a_round():
    training = fresh(PLAN)
    rows = torch.cat([training.rows(step) for step in range(11)])
    assert sorted(rows.tolist()) == list(range(700))
    assert not torch.equal(training.rows(0), training.rows(11))


def test_the_best_validated_weights_are_kept():
    training = fresh(Plan(steps=200, every=10, rate=5e-2))
    seen = [progress.validation for progress in training.run()]
    training.finish()
    assert validation_loss(training.model, training.validation) == pytest.approx(
        min(seen), abs=1e-6
    )


def test_only_a_fit_that_is_done_is_refined(monkeypatch):
    refined = []
    monkeypatch.setattr(FVSBN, "recalibrate", lambda self, x: refined.append(len(x)))
    training = fresh(Plan(steps=40, every=20), FVSBN)
    list(training.run(lambda: training.step >= 20))
    training.finish()
    assert training.step == 20 and refined == []
    list(training.run())
    training.finish()
    assert refined == [700]


def test_training_stops_when_validation_does_not_improve():
    training = fresh(Plan(steps=5000, every=10, rate=3e-2, patience=3, still=1))
    list(training.run())
    assert training.step < 5000
    assert training.waited == 3


def test_training_is_still_when_enough_steps_brought_nothing_too():
    """Of 3 validations and 70 steps, 10 a validation, the steps come last; of 8 validations and 70 steps they do not."""
    for patience, last in ((3, 7), (8, 8)):
        training = fresh(Plan(steps=5000, every=10, patience=patience, still=70))
        for training.waited in range(10):
            assert training.is_done is (training.waited >= last)


@pytest.mark.parametrize("cause", ["rate", "weights"])
def test_a_loss_that_is_not_finite_stops_and_restores(cause):
    training = fresh(Plan(steps=200, every=1, clip=1e30, rate=1e30 if cause == "rate" else 1e-3))
    with pytest.raises(
        Diverged, match=r"step .*tensor .*training rows .*variable .*Try a smaller rate"
    ) as caught:
        for progress in training.run():
            if cause == "weights" and progress.step == 5:
                with torch.no_grad():
                    training.model.network.leave.bias[3] = float("nan")
    assert "\n" not in str(caught.value)
    assert all(t.isfinite().all() for t in training.model.state_dict().values())
    if cause == "weights":
        assert "network.leave.bias" in str(caught.value)
        assert "variable 3" in str(caught.value)


def test_a_diagnosis_names_the_rows_whose_loss_broke_or_is_largest():
    model, rows, nan = fresh(PLAN, FVSBN).model, torch.arange(40, 46), float("nan")
    x = toy()[0][:6].float()
    for losses, said in (
        ([1.0, nan, 2.0, float("inf"), 3.0, 4.0], "training rows 41, 43, variable"),
        ([nan] * 6, "training rows 40, 41, 42, 43, 44 ..., variable"),
        ([1.0, 6.0, 2.0, 5.0, 3.0, 4.0], "training rows 41, 43, 45, 44, 42, variable"),
    ):
        assert said in diagnose(model, x, rows, torch.tensor(losses), 7)
    named = diagnose(model, x, rows, torch.tensor([nan] * 6), 7, [f"c{i}" for i in range(10)])
    assert "column 'c" in named and "at step 7" in named


@pytest.mark.parametrize("broken", [-float("inf"), float("inf"), float("nan")])
def test_a_diagnosis_names_the_first_column_that_broke_or_the_worst(broken, monkeypatch):
    """Whatever another holds; of finite ones that with the largest loss."""
    model, x = fresh(PLAN, FVSBN).model, toy()[0][:2].float()
    each = -torch.arange(20.0).view(2, 10)
    monkeypatch.setattr(
        FVSBN, "predict", lambda self, x: SimpleNamespace(log_prob=lambda events: each)
    )
    for cell, value, column in (((0, 0), 0.0, 9), ((1, 6), float("nan"), 6), ((0, 4), broken, 4)):
        each[cell] = value
        assert f"variable {column}." in diagnose(model, x, torch.arange(2), each.sum(1), 7)


def test_a_look_is_timed_by_a_part_of_it_with_other_rows_held_out(monkeypatch):
    """Four fifths are learned from; the seconds of the part are those of its share."""
    seen, now = [], [0.0]
    monkeypatch.setattr("plausibly.training.estimates.time.monotonic", lambda: now[0])

    def part(codes, held_out):
        seen.append((codes[:, 0].tolist(), held_out[:, 0].tolist()))
        now[0] += 3.0
        return 0.25

    model = fresh(PLAN, FVSBN).model
    look = WholePass("all", lambda codes, held_out: None, part)
    monkeypatch.setattr(type(model.objective), "passes", lambda self, model: [look])
    assert pass_seconds(model, torch.arange(50)[:, None]) == (1, 12.0)
    learned, held_out = seen[-1]
    assert sorted(learned + held_out) == [*range(50)] and len(held_out) == 10


def test_memory_is_told_where_the_system_tells_it(monkeypatch):
    for held, said in ((0, ""), (5_000_000, ", 5 MB of memory (this process at its peak, ")):
        monkeypatch.setattr("plausibly.training.estimates.peak_memory", lambda held=held: held)
        line = memory_line(torch.device("cpu"))
        assert line.startswith(said) and bool(line) == bool(held)


def test_a_budget_becomes_steps(monkeypatch):
    """By a clock that a step and a validation move by a tenth of a second each, the first step by more."""
    now, take_step = [0.0], Training.take_step
    monkeypatch.setattr("plausibly.training.estimates.read_shared_clock", lambda: now[0])
    monkeypatch.setattr(
        Training,
        "take_step",
        lambda self: (now.append(now.pop() + (0.1 if self.step else 9.0)), take_step(self))[1],
    )
    monkeypatch.setattr(
        "plausibly.training.estimates.validation_loss", lambda *given: now.append(now.pop() + 0.1)
    )
    training = fresh(PLAN)
    plans = [steps_within(budget, training.model, *toy(), PLAN) for budget in (1e-3, 5.0, 50.0)]
    each = 0.1 + 0.1 / PLAN.every
    assert [plan.steps for plan in plans] == [1, int(0.9 * 5.0 / each), int(0.9 * 50.0 / each)]
    assert {plan.seed for plan in plans} == {PLAN.seed} and [plan.every for plan in plans] == [
        1,
        5,
        20,
    ]


def test_default_steps_have_limits():
    assert default_steps(100, 100) == 3_000
    assert default_steps(8_000, 100) == 8_000
    assert default_steps(10**6, 100) == 10_000


def test_few_rows_are_validated_often():
    assert [default_every(rows, 100) for rows in (100, 1437, 16_181)] == [20, 30, 100]


@pytest.mark.parametrize("name", LEAST)
def test_a_setting_of_a_plan_is_at_least_what_is_said(name):
    assert getattr(Plan(**{"steps": 3, name: LEAST[name]}), name) == LEAST[name]
    with pytest.raises(UserError, match=f"train.{name} = .* at least {LEAST[name]}"):
        Plan(**{"steps": 3, name: LEAST[name] - 1})


@pytest.mark.parametrize(
    ("name", "value"), [("rate", 0), ("clip", 0), ("average", 1), ("average", -0.1)]
)
def test_a_setting_of_a_plan_has_open_ends(name, value):
    with pytest.raises(UserError, match=f"train.{name} = {value}; it must be"):
        Plan(steps=3, **{name: value})
    assert Plan(steps=3, average=0).average == 0


def test_the_rate_rises_and_falls():
    plan = Plan(steps=1000, warmup=100, rate=1.0)
    rates = [plan.rate_at(step) for step in range(1000)]
    assert rates[0] < 0.02
    assert max(rates) > 0.9
    assert rates[-1] < 1e-4


def test_every_number_counts_for_a_generator_to_its_last_bit():
    """A CPU's generator takes the low 32 bits of a seed and no more."""
    seeds = [(0,), (1,), (1 << 32,), (2 << 32,), (1 << 40,), (0, 1), (1 << 32, 1), (0, 1 << 33)]
    made = [generator_for(torch.device("cpu"), *numbers) for numbers in seeds]
    made += [generator_for(torch.device("cpu"), 0, shard=shard) for shard in (1, 2, 1 << 20)]
    drawn = {tuple(torch.rand(3, generator=each).tolist()) for each in made}
    assert len(drawn) == len(made)


def test_gradients_are_clipped_as_torch_does():
    for most, size in ((0.1, 1.0), (100.0, 1.0), (1e-6, 1e-6)):
        ours, theirs = (
            [torch.zeros(3, 2).requires_grad_(), torch.zeros(4).requires_grad_()] for _ in range(2)
        )
        for own in (ours, theirs):
            torch.cat([p.flatten() for p in own]).dot(torch.arange(10.0) * size).backward()
        norm = clip([*ours, torch.zeros(2).requires_grad_()], most)  # one that nothing depends on
        assert norm == torch.nn.utils.clip_grad_norm_(theirs, most)
        assert all(
            torch.allclose(a.grad, b.grad, atol=0) for a, b in zip(ours, theirs, strict=True)
        )


def test_a_step_goes_by_the_mean_over_the_rows_of_its_batch():
    """The norm that is told and clipped is that of the mean's gradient: it does not grow with the batch."""
    training = fresh(Plan(steps=5, batch=200, clip=1e6), FVSBN)
    x = training.codes[training.rows(0)].float()
    mean = -training.model.log_prob(x).mean()
    gradients = torch.autograd.grad(mean, list(training.model.parameters()))
    assert training.take_step() == pytest.approx(float(mean), rel=1e-5)
    assert float(training.norms["likelihood"]) == pytest.approx(
        float(torch.cat([g.flatten() for g in gradients]).norm()), rel=1e-4
    )


def test_the_average_forgets_the_first_weights_early():
    """After t steps it has moved by 1 - (1 + t) / (10 + t) towards the last weights, later by 1 - average."""
    training = fresh(Plan(steps=40, average=0.7), FVSBN)
    kept = [p.detach().clone().double() for p in training.averaged.parameters()]
    for step in range(1, 31):
        training.take_step()
        follow = max(0.3, 9 / (10 + step))
        kept = [
            a + follow * (p.detach().double() - a)
            for a, p in zip(kept, training.model.parameters(), strict=True)
        ]
    for a, b in zip(kept, training.averaged.parameters(), strict=True):
        assert torch.allclose(a, b.double(), atol=1e-6)


def test_what_a_step_counts_is_the_averages_too():
    """A buffer that moves is no weight, and is not averaged."""
    training = fresh(Plan(steps=5), VQVAE)
    before = training.averaged.used.clone()
    for _ in range(3):
        training.take_step()
    assert torch.equal(training.averaged.used, training.model.used)
    assert not torch.equal(training.averaged.used, before)
