"""Shards on a dask cluster give what this process gives, also when a worker is killed or the command is stopped."""

import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import plausibly
from benchmarks.large import chunk
from plausibly.errors import UserError
from plausibly.jobs import files
from plausibly.jobs.cluster import Cluster
from plausibly.jobs.shards import LostWorkers

distributed = pytest.importorskip("distributed", reason="the extra `scale` is not installed")

N = 1250


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def dask(*words):
    quiet = subprocess.DEVNULL
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words], stdout=quiet, stderr=quiet, env=environment
    )


def worker(address, folder):
    words = [
        "worker",
        address,
        "--nworkers",
        "1",
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    return dask(*words, "--local-directory", str(folder))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler with one worker, each a process of its own."""
    place = f"tcp://127.0.0.1:{free_port()}"
    scheduler = dask(
        "scheduler", "--host", "127.0.0.1", "--port", place.rpartition(":")[2], "--no-dashboard"
    )
    first = worker(place, tmp_path_factory.mktemp("worker"))
    yield place
    for process in (first, scheduler):
        process.terminate()
        process.wait(600)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    orders = chunk(0, 1500)
    orders.to_parquet(folder / "orders.parquet")
    orders.head(N).to_csv(folder / "some.csv", index=False)
    return plausibly.fit(folder / "orders.parquet", "chow_liu", out=folder / "run")


def test_the_cluster_gives_what_this_process_gives(run, address, tmp_path):
    some, cluster = str(run.path.parent / "some.csv"), Cluster(address)
    for name, work in (("here", {}), ("there", {"work": cluster})):
        files.sample_to(run, tmp_path / f"{name}.csv", 21_000, seed=2, **work)
        files.score_to(run, some, tmp_path / f"{name}.parquet", fdr=0.1, **work)
        files.fill_to(run, some, tmp_path / f"{name}-full.csv", **work)
    for name in ("csv", "-full.csv"):
        here, there = (tmp_path / f"{place}{name}" for place in ("here", "there"))
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert (tmp_path / "here-full.csv").read_bytes() == (tmp_path / "there-full.csv").read_bytes()
    here, there = (pd.read_parquet(tmp_path / f"{place}.parquet") for place in ("here", "there"))
    pd.testing.assert_frame_equal(here, there, check_exact=False, atol=1e-6)


def test_what_is_wrong_with_a_row_comes_back_as_one_line(run, address, tmp_path):
    rows = pd.read_csv(run.path.parent / "some.csv")
    rows.loc[7, "price"] = np.inf
    rows.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(
        UserError, match=r"wrong\.csv, row 8, column 'price': the number is infinite"
    ):
        files.score_to(run, str(tmp_path / "wrong.csv"), tmp_path / "s.csv", work=Cluster(address))
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.csv"]


def test_where_nobody_listens_it_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr("plausibly.jobs.cluster.MAX_WAIT_SECONDS", 1)
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=f"no scheduler at {nowhere}"):
        files.sample_to(run, tmp_path / "x.csv", 10, work=Cluster(nowhere))
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_loses_nothing(run, address, tmp_path):
    """One of two workers is killed while it works; the other does its shards again."""
    n, second = 70_000, worker(address, tmp_path / "second")
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=600)
    on_progress = threading.Event()
    killer = threading.Thread(
        target=lambda: on_progress.wait(600) and os.kill(second.pid, signal.SIGKILL)
    )
    killer.start()
    files.sample_to(
        run,
        tmp_path / "there.parquet",
        n,
        work=Cluster(address),
        on_progress=lambda done, _: done and on_progress.set(),
    )
    killer.join()
    assert second.wait(600) == -signal.SIGKILL
    files.sample_to(run, tmp_path / "here.parquet", n)
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_without_its_scheduler_a_command_stops_and_goes_on_here(run, tmp_path):
    place = f"tcp://127.0.0.1:{free_port()}"
    scheduler = dask(
        "scheduler", "--host", "127.0.0.1", "--port", place.rpartition(":")[2], "--no-dashboard"
    )
    only = worker(place, tmp_path / "only")
    try:
        with pytest.raises(LostWorkers, match="the same command goes on"):
            out = tmp_path / "x.csv"
            files.sample_to(
                run,
                out,
                60_000,
                work=Cluster(place),
                on_progress=lambda done, _: done and scheduler.kill(),
            )
    finally:
        only.kill()
        scheduler.kill()
    done = len(list((tmp_path / ".x.csv.shards").glob("*.arrow")))
    assert 0 < done < 6
    files.sample_to(run, out, 60_000)
    files.sample_to(run, tmp_path / "whole.csv", 60_000)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
