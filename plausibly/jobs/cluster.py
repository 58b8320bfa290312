"""Shards on the machines of a dask cluster (docs: https://distributed.dask.org).

Workers need the same version of this package and nothing else: the run's files and the rows travel. A worker that ends
loses only the shards that it was at, which others do again; the shards that are done lie with the one who asked. A dask
cluster runs whatever it is sent, so use one that you trust.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from plausibly.errors import UserError
from plausibly.jobs.shards import LostWorkers, Numbered, ShardJob
from plausibly.runs.run import Run
from plausibly.system.versions import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from distributed import Client, Future

# of a run, that its shards need, as far as it has them
RUN_FILES = ("run.json", "weights.safetensors", "calibration.safetensors", "heldout.safetensors")
MAX_WAIT_SECONDS = 60  # seconds to wait for a scheduler or for the first worker
SHARDS_AHEAD = 2  # shards for each thread of the cluster that are sent before they are asked for


@dataclass(frozen=True)
class RunParcel:
    """A run on its way to a worker."""

    version: str
    files: dict[str, bytes]
    device: str
    threads: int
    model: str | None

    @property
    def name(self) -> str:
        return hashlib.sha256(b"".join(self.files.values()) + self.device.encode()).hexdigest()


@dataclass(frozen=True)
class Cluster:
    """Does the shards of a job on the cluster at `address`, as they come; `model` as in `Run.open`."""

    address: str
    device: str = "cpu"
    threads: int = 1
    model: str | None = None

    def __call__(
        self, run: Run, job: ShardJob, todo: Iterator[Numbered]
    ) -> Iterator[tuple[int, pa.Table]]:
        held = [name for name in RUN_FILES if (run.path / name).is_file()]
        files = {name: (run.path / name).read_bytes() for name in held}
        parcel = RunParcel(__version__, files, self.device, self.threads, self.model)
        with _connect(self.address) as client:
            # a task, not scattered data: a worker that ends would take that with it
            parcel_there = client.submit(_identity, parcel, pure=False)
            self._await_workers(client)
            yield from _answers(client, parcel_there, job, todo)

    def _await_workers(self, client: Client) -> None:
        try:
            client.wait_for_workers(1, timeout=MAX_WAIT_SECONDS)
        except TimeoutError as error:
            lacking = f"no worker has joined {self.address} in {MAX_WAIT_SECONDS} s"
            raise LostWorkers(f"{lacking}; `dask worker {self.address}` starts one") from error


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    """A client of the cluster. UserError where there is none; LostTouch where it is gone."""
    client = _open_client(address)
    try:
        with _explain_loss(address), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            yield client
    finally:
        client.close(timeout=2)


def _open_client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("--scheduler needs dask: pip install 'plausibly[scale]'") from error
    try:
        return Client(address, timeout=MAX_WAIT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            f"there is no scheduler at {address}; `dask scheduler` starts one and says where"
        ) from error


@contextmanager
def _explain_loss(address: str) -> Iterator[None]:
    """Within, errors by which the cluster is gone become LostTouch."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise LostWorkers(
            f"a shard has ended several workers, out of memory perhaps: {str(error).splitlines()[0]}"
        ) from error
    except (CommClosedError, FutureCancelledError, TimeoutError) as error:
        raise LostWorkers(f"the scheduler at {address} is gone") from error


def _answers(
    client: Client, parcel: Future[RunParcel], job: ShardJob, todo: Iterator[Numbered]
) -> Iterator[tuple[int, pa.Table]]:
    """Results as they come; only so many shards are on their way that no worker waits."""
    from distributed import as_completed

    numbers: dict[Any, int] = {}
    waiting = as_completed(loop=client.loop)
    while True:
        while len(numbers) < _shards_ahead(client) and (following := next(todo, None)):
            number, piece = following
            future = client.submit(_do_there, parcel, job, number, _pack_piece(piece), pure=False)
            numbers[future.key] = number
            waiting.add(future)
        if not numbers:
            return
        answered = next(waiting)
        yield numbers.pop(answered.key), _table(answered.result())
        answered.release()


def _shards_ahead(client: Client) -> int:
    return SHARDS_AHEAD * max(1, sum(client.ncores().values()))


def _identity(parcel: RunParcel) -> RunParcel:
    return parcel


def _pack_piece(piece: Any) -> Any:
    """Rows as bytes; numbers and arrays as they are."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(piece, pd.DataFrame):
        return _bytes(pa.Table.from_pandas(piece, preserve_index=False))
    return piece


def _bytes(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _table(data: bytes) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(data).read_all()


# that this worker has opened, with their folders, which go with it
_runs: dict[str, tuple[Run, tempfile.TemporaryDirectory[str]]] = {}
_one_at_a_time = Lock()


def _do_there(parcel: RunParcel, job: ShardJob, number: int, packed: Any) -> bytes:
    """A shard's result, on a worker."""
    import torch

    with _one_at_a_time:
        torch.set_num_threads(parcel.threads)
        piece = _table(packed).to_pandas() if isinstance(packed, bytes) else packed
        return _bytes(job.shard(_open_run(parcel), number, piece))


def _open_run(parcel: RunParcel) -> Run:
    if parcel.version != __version__:
        raise UserError(
            f"a worker has plausibly {__version__}, but this is {parcel.version}; install the same there"
        )
    if parcel.name not in _runs:
        folder = tempfile.TemporaryDirectory()
        for name, data in parcel.files.items():
            (Path(folder.name) / name).write_bytes(data)
        _runs[parcel.name] = Run.open(folder.name, parcel.device, parcel.model), folder
    return _runs[parcel.name][0]
