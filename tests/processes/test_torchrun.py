"""Two processes under torchrun are one: the same gradients, sums and decisions, one run on disk, and restarts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import PROCESSES, call
from safetensors.torch import load_file, save_file
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import plausibly
import plausibly.fitting.fit
from plausibly.data import load
from plausibly.errors import UserError
from plausibly.events.schema import binary
from plausibly.models.chow_liu import ChowLiu
from plausibly.models.joint import Joint
from plausibly.models.made import MADE
from plausibly.models.nade import NADE
from plausibly.system import processes
from plausibly.system.randomness import SharedGenerator, by_row, generator_for, sharing
from plausibly.training.estimates import steps_within
from plausibly.training.loop import Training, own_sums, validation_loss
from plausibly.training.plan import Diverged, Plan

CPU = torch.device("cpu")
MODELS = {
    "nade": (NADE, {"dropout": 0.0}),
    "made": (MADE, {"dropout": 0.0}),
    "nade, dropped": (NADE, {"dropout": 0.4}),
    "made, dropped": (MADE, {"dropout": 0.4, "masks": 3}),
}
BATCHES = (64, 33, 1)  # split evenly, unevenly, and one process has no row
FIT = {"steps": 60, "set": {"train.every": 5, "train.batch": 33}}


def training(model, arguments, batch, **changes):
    dataset = load("toy-bits")
    instance = model(binary(10), hidden=12, **arguments)
    instance.initialise(generator_for(CPU, 5))
    instance.unused = torch.nn.Parameter(torch.ones(3))
    plan = Plan(steps=100, batch=batch, clip=1e30, **changes)
    return Training(instance.double(), dataset.train.codes[:2500], dataset.valid.codes, plan)


def gradients():
    """Those of the first step of every model and batch, and the losses of two; a parameter not used has none."""
    found = {}
    for name, (model, arguments) in MODELS.items():
        for batch in BATCHES:
            one = training(model, arguments, batch)
            losses = [one.take_step()]
            found |= {
                f"{name} {batch} {p}": v.grad
                for p, v in one.model.named_parameters()
                if v.grad is not None
            }
            found[f"{name} {batch} losses"] = torch.tensor(
                [*losses, one.take_step()], dtype=torch.float64
            )
    return found


def sums():
    """Counts of three batches and of one, of a tree and of the joint table; and what validation watches."""
    codes, found = load("toy-bits").train.codes, {}
    for model in (ChowLiu(binary(10)), Joint(binary(10))):
        for rows in (2500, 700):
            own = own_sums(model.objective.passes(model)[0], codes[:rows], CPU)
            found[f"{type(model).__name__} {rows}"] = processes.sum_over_ranks(own)
    one = training(*MODELS["made"], 64)
    return found | {
        f"watch {rows}": torch.tensor(validation_loss(one.model, codes[:rows])).double()
        for rows in (2500, 700)
    }


def decisions():
    """What must be the same in all processes though each could think otherwise; rank by rank as JSON."""
    number = processes.rank()
    one = training(*MODELS["nade"], 64)
    plan = steps_within(0.5, one.model, one.codes, one.validation, one.plan)
    found = {
        "steps": plan.steps,
        "said": processes.run_on_first(lambda: {"rank": number}),
        "ranks": processes.rank_count(),
    }
    found |= {"anywhere": processes.any_rank(number == 1), "nowhere": processes.any_rank(False)}
    with pytest.raises(UserError, match="process 0 says no"):
        processes.run_on_first(refuse)
    with pytest.raises(Diverged) as caught:
        list(training(*MODELS["made"], 64, rate=1e300, warmup=0).run())
    return found | {"diverged": str(caught.value)}


def refuse():
    raise UserError(f"process {processes.rank()} says no")


def check(folder):
    """The program of the processes that are compared with one process, and then fit a run."""
    with processes.process_group():
        found, decided = gradients() | sums(), decisions()
    save_file(
        {name: t.contiguous() for name, t in found.items()},
        folder / f"{processes.rank()}.safetensors",
    )
    decided["threads"] = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]
    (folder / f"{processes.rank()}.json").write_text(json.dumps(decided))
    plausibly.fit("toy-bits", "nade", out=folder / "whole", **FIT)


def break_off(folder):
    """The program of the processes of which the second is killed in the middle of the run, and then the first."""
    os.chdir(folder)
    plausibly.fitting.fit.CHECKPOINT_SECONDS = 0.0
    take_step = Training.take_step

    def killed(self):
        dies = {"0": (1, 33), "1": (0, 47)}.get(os.environ["TORCHELASTIC_RESTART_COUNT"])
        if (processes.rank(), self.step) == dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(self)

    Training.take_step = killed
    on_progress = []
    plausibly.fit(
        "toy-bits", "nade", listener=plausibly.fitting.settings.Listener(on_progress.append), **FIT
    )
    (folder / f"on_progress-{processes.rank()}.json").write_text(json.dumps(on_progress))


def torchrun(*words):
    """torchrun with two processes on this machine's loopback, begun."""
    path = os.pathsep.join(
        [str(Path(plausibly.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, "--nproc-per-node", "2", *map(str, words)], env=env, **pipes)


def launch(work, folder, restarts=0):
    """Two processes that torchrun's agent starts and watches, as torchrun does, but forked from one that has imported all."""
    heeded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    handlers = [(number, signal.getsignal(number)) for number in heeded]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        start_method=PROCESSES.get_start_method(),
    )
    try:
        elastic_launch(config, call)(work, folder)
    finally:
        for each in handlers:
            signal.signal(*each)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    launch(check, folder)
    return folder


@pytest.fixture(scope="module")
def found(together):
    """What each of the two processes found."""
    return [load_file(together / f"{number}.safetensors") for number in (0, 1)]


def test_gradients_are_those_of_one_process(found):
    alone = gradients()
    for process in found:
        assert {name for name in process if name.startswith(("nade", "made"))} == alone.keys()
        for name, value in alone.items():
            assert torch.allclose(process[name].double(), value.double(), rtol=0, atol=1e-6), name
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_counts_and_validation_are_identical_to_those_of_one_process(found):
    for name, value in sums().items():
        assert all(torch.equal(process[name], value) for process in found), name


def test_all_processes_decide_the_same(together):
    one, other = (json.loads((together / f"{number}.json").read_text()) for number in (0, 1))
    assert one == other
    assert (one["said"], one["ranks"], one["anywhere"], one["nowhere"]) == (
        {"rank": 0},
        2,
        True,
        False,
    )
    assert "training rows" in one["diverged"]


def test_no_thread_of_the_group_is_left_to_end_within_the_interpreters_end(together):
    """One that then dropped the last tensor would abort the process, about once in fifteen runs on a busy machine."""
    for number in (0, 1):
        assert not [
            name
            for name in json.loads((together / f"{number}.json").read_text())["threads"]
            if "gloo" in name
        ]


def test_one_run_is_left(together):
    run = plausibly.open(together / "whole")
    assert run.record["processes"] == 2
    names = {"run.json", "weights.safetensors", "heldout.safetensors", "log.jsonl", "report.html"}
    assert {file.name for file in run.path.iterdir()} == names
    assert len((run.path / "log.jsonl").read_text().splitlines()) == 12
    assert run.evaluate().value == pytest.approx(run.record["test"]["value"], abs=1e-9)


def test_killed_processes_are_started_again_and_change_no_bit(together, tmp_path):
    launch(break_off, tmp_path, restarts=2)
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["nade-1"]
    assert "going on at step 45 of 60" in json.loads((tmp_path / "on_progress-0.json").read_text())
    assert json.loads((tmp_path / "on_progress-1.json").read_text()) == []
    whole, broken = (
        load_file(f / "weights.safetensors")
        for f in (together / "whole", tmp_path / "runs" / "nade-1")
    )
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())
    assert (tmp_path / "runs" / "nade-1" / "report.html").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_all_processes_and_leave_what_goes_on(tmp_path, number):
    folder = tmp_path / "run"
    words = (
        "fit",
        "toy-bits",
        "--model",
        "nade",
        "--steps",
        100_000,
        "--out",
        folder,
        "--set",
        "train.every=20",
    )
    process = torchrun("-m", "plausibly.cli", *words)
    deadline = time.monotonic() + 600
    # the first line is of steps that all processes have taken, so all of them heed Ctrl-C by then
    awaited = folder / ("log.jsonl" if number == signal.SIGINT else "checkpoint.safetensors")
    while not (awaited.exists() and awaited.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode != 0
    assert not [
        p for p in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in readable(p)
    ]
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == ("interrupted" if number == signal.SIGINT else "running")
    assert (folder / "checkpoint.safetensors").exists()
    if number == signal.SIGINT:
        assert out.count("nade") == 1  # the board, printed once
        assert err.count("go on with: plausibly fit --resume") == 1
        assert plausibly.open(folder).record["test"]["value"] < 0


def readable(path):
    try:
        return path.read_bytes()
    except OSError:  # ended meanwhile
        return b""


def test_one_process_does_not_join_any_group():
    with processes.process_group():
        assert not torch.distributed.is_initialized()
        assert (processes.rank(), processes.rank_count(), processes.rows_of_rank(7)) == (
            0,
            1,
            slice(0, 7),
        )
        assert processes.torchrun_launch() is None


@pytest.mark.parametrize("own", [slice(0, 3), slice(3, 8), slice(8, 8)])
def test_a_row_is_given_the_same_whoever_draws(own):
    whole, shared = generator_for(CPU, 1), sharing(generator_for(CPU, 1), own, 8)
    assert isinstance(shared, SharedGenerator)
    for draw in (torch.rand, torch.randn):
        every = by_row(draw, (8, 4), whole, CPU)
        assert torch.equal(every[own], by_row(draw, (own.stop - own.start, 4), shared, CPU))


@pytest.mark.parametrize("task", ["compare", "fit"])
def test_what_several_processes_cannot_share_is_refused(monkeypatch, task):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="is for one process"):
        getattr(plausibly, task)("toy-bits")
