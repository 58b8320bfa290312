"""Several processes that train one model together, as `torchrun` starts them; one process by itself without it.

Every process holds all data and the whole model, takes its share of each batch's rows, and adds gradients and sums up
with the others: the sum over all rows, sum_i g_i, is the sum over processes of the sums over their rows. Process 0
alone writes and prints (docs/decisions/0010-several-processes.md).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from plausibly.errors import UserError
from plausibly.printing import print_error

if TYPE_CHECKING:  # the command line asks for the rank before it needs torch
    from torch import Tensor, nn

T = TypeVar("T")
meetings = count()  # numbers the times that `together` was entered


def torchrun_launch() -> str | None:
    """The name of torchrun's launch, which outlives its restarts; None for a process that torchrun did not start."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    # torchrun says none without a rendezvous
    return f"{name}-{os.getppid()}" if name == "none" else name


def is_restart() -> bool:
    """True where torchrun has started this launch's processes before."""
    return (
        torchrun_launch() is not None and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
    )


def is_parallel() -> bool:
    """True where torchrun started more processes than this one."""
    return torchrun_launch() is not None and int(os.environ["WORLD_SIZE"]) > 1


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ["RANK"]) if torchrun_launch() is not None else 0


def local_process_count() -> int:
    """The number of torchrun's processes that share this machine's cores."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if torchrun_launch() is not None else 1


def rank_count() -> int:
    """The number of processes that work together now: 1 outside of `process_group`."""
    if not is_parallel():
        return 1
    from torch.distributed import get_world_size, is_initialized

    return get_world_size() if is_initialized() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Within, all of torchrun's processes work together. Every one must then make the same calls in the same order."""
    if not is_parallel() or rank_count() > 1:
        yield
        return
    import torch.distributed as dist

    _join_processes()
    try:
        yield
    finally:
        dist.destroy_process_group()


def _join_processes() -> None:
    import torch.distributed as dist
    import torch.distributed.nn  # noqa: F401 - imported within, its default arguments would keep the group for ever
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, number, size = next(rendezvous("env://"))
    # torchrun's store may remember the addresses of processes that are gone, so each meeting has a place of its own
    place = f"plausibly/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{next(meetings)}"
    dist.init_process_group("gloo", store=PrefixStore(place, store), rank=number, world_size=size)


def refuse_parallel(task: str) -> None:
    """UserError where several processes were started for a task that is one process's."""
    if is_parallel():
        raise UserError(
            f"{task} is for one process; `torchrun -m plausibly.cli fit DATA --model NAME` is for several"
        )


def tell_error(line: str) -> None:
    """An error's line on stderr; that of another process than 0 goes into torchrun's summary of what failed."""
    if rank() == 0:
        print_error(line)
    elif file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        details = {"py_callstack": line, "timestamp": str(int(time.time()))}
        with open(file, "w", encoding="utf-8") as summary:
            json.dump({"message": {"message": line, "extraInfo": details}}, summary)


def rows_of_rank(rows: int) -> slice:
    """This process's of so many rows; shares differ by one row at most, and may have none."""
    own, size = (rank(), rank_count()) if rank_count() > 1 else (0, 1)
    return slice(rows * own // size, rows * (own + 1) // size)


def is_mine(number: int) -> bool:
    """True where the piece of work with this number is this process's."""
    return rank_count() == 1 or number % rank_count() == rank()


@contextmanager
def detecting_lost_process() -> Iterator[None]:
    """Turns the loss of another process into a line."""
    try:
        yield
    except RuntimeError as error:  # gloo: connection closed by peer
        reason = str(error).splitlines()[0][:120]
        raise UserError(
            f"process {rank()} has lost touch with the others, of which one has ended: {reason}"
        ) from error


def sum_over_ranks(part: Tensor) -> Tensor:
    """The sum of every process's tensor, the same bits on each; they must agree in shape and type."""
    if rank_count() == 1:
        return part
    import torch.distributed as dist

    summed = part.detach().cpu().clone()
    with detecting_lost_process():
        dist.all_reduce(summed)
    return summed.to(part.device)


def gather_rows(part: Tensor, own: slice, rows: int) -> Tensor:
    """All `rows` numbers, (rows,), of which this process has those in `own`; float64 where there are several."""
    if rank_count() == 1:
        return part
    whole = part.new_zeros(rows).double()
    whole[own] = part
    return sum_over_ranks(whole)


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sums each parameter's gradient over the processes; one that no process has a gradient for stays without."""
    if rank_count() == 1:
        return
    import torch

    learned = [p for p in parameters if p.requires_grad]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
    known = torch.tensor([p.grad is not None for p in learned]).to(parts[0])
    summed = sum_over_ranks(torch.cat([*(part.flatten() for part in parts), known]))
    *gradients, owners = summed.split([*(p.numel() for p in learned), len(learned)])
    for p, gradient, owned in zip(learned, gradients, owners.tolist(), strict=True):
        p.grad = gradient.view_as(p).to(p.dtype) if owned else None


def any_rank(flag: bool) -> bool:
    """True where `flag` is true in any of the processes."""
    if rank_count() == 1:
        return flag
    import torch

    return bool(sum_over_ranks(torch.tensor(float(flag))) > 0)


def run_on_first(call: Callable[[], T]) -> T:
    """Gives all processes what process 0 makes of `call`, which JSON can hold; its UserError too."""
    if rank_count() == 1:
        return call()
    said = broadcast_json(capture_call(call) if rank() == 0 else None)
    if "error" in said:
        raise UserError(said["error"])
    result: T = said["value"]
    return result


def capture_call(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": call()}
    except UserError as error:
        return {"error": str(error)}


def broadcast_json(document: Any) -> Any:
    """Process 0's document in all processes, as JSON: nothing that is received is run."""
    import torch
    import torch.distributed as dist

    text = bytearray(json.dumps(document).encode())
    length = torch.tensor(len(text))
    with detecting_lost_process():
        dist.broadcast(length, 0)
        sent = (
            torch.frombuffer(text, dtype=torch.uint8)
            if rank() == 0
            else torch.empty(int(length), dtype=torch.uint8)
        )
        dist.broadcast(sent, 0)
    return json.loads(sent.numpy().tobytes())
