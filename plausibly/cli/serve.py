"""The command that answers over HTTP: serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import Block, print_result
from plausibly.cli.options import CommonOptions
from plausibly.errors import UserError
from plausibly.printing import print_error


@app.command
def serve(
    *runs: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    socket: str | None = None,
    allow_host: Annotated[list[str] | None, Parameter(negative="")] = None,
    token_file: str | None = None,
    root_path: str = "",
    deadline: float = 30.0,
    keep: float = 300.0,
    memory: float = 4.0,
) -> None:
    """Answer over HTTP what RUNS answer: score, sample, query, impute and the others; the same request, the same bytes.

    Parameters
    ----------
    host
        the address to listen at; any but this machine's own needs --token-file and --allow-host.
    port
        the port; 0 takes a free one.
    socket
        the path of a Unix socket to listen at instead.
    allow_host
        a further name, with its port, by which this server is called.
    token_file
        a file with the token that each request needs.
    root_path
        the path under which a proxy shows this server.
    deadline
        seconds that a request may take.
    keep
        seconds after which a model that nobody asks leaves the memory.
    memory
        GiB that one model's process may take.
    """
    try:
        from plausibly.service.server import Listening, serve_runs
    except ImportError as error:
        raise UserError("`serve` needs more packages: pip install 'plausibly[serve]'") from error
    from plausibly.service.pool import Limits

    for name, value in (("--deadline", deadline), ("--keep", keep), ("--memory", memory)):
        if not 0 < value < 1e6:
            raise UserError(f"{name} {value:g}; a number above 0 is needed")
    listening = Listening(host, port, socket, tuple(allow_host or ()), token_file, root_path)
    serve_runs(runs, listening, Limits(deadline, int(memory * (1 << 30)), keep), tell_address)


def tell_address(where: str, names: list[str]) -> None:
    """Prints where the server listens, and what can be asked of it."""
    print_result(ServedPrintout(where, names), CommonOptions())
    print_error("/openapi.json tells what can be asked; Ctrl-C ends it")


@dataclass(frozen=True)
class ServedPrintout:
    """The address of a server, and the names of its runs."""

    where: str
    names: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"url": self.where, "runs": self.names}

    def blocks(self) -> Iterator[Block]:
        for name in self.names:
            yield f"{self.where}/v1/runs/{name}"
