"""Runs by their names, and the server that answers for them."""

from __future__ import annotations

import re
import signal
import socket as sockets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from plausibly.errors import UserError
from plausibly.service.app import make_app
from plausibly.service.guard import OWN_NAMES
from plausibly.service.pool import Limits

RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
MIN_TOKEN = 16  # characters


@dataclass(frozen=True)
class Listening:
    """Where a server listens, by which names it is called, and which token it wants."""

    host: str = "127.0.0.1"
    port: int = 8000
    socket: str | None = None
    allow_host: tuple[str, ...] = ()
    token_file: str | None = None
    root_path: str = ""

    @property
    def is_own(self) -> bool:
        """True where only this machine can reach it."""
        return self.socket is not None or self.host in ("127.0.0.1", "::1", "localhost")

    def token(self) -> str | None:
        """The token of the file. UserError where there is none, or it is too short."""
        if self.token_file is None:
            return None
        text = Path(self.token_file).read_text().strip()
        if len(text) < MIN_TOKEN or not text.isascii():
            raise UserError(
                f"{self.token_file} holds no token: one of at least {MIN_TOKEN} characters is needed"
            )
        return text

    def hosts(self, port: int) -> list[str] | None:
        """The names by which the server is called; None at a Unix socket."""
        if self.socket is not None:
            return None
        return [*(f"{name}:{port}" for name in OWN_NAMES), *self.allow_host]


def serve_runs(
    runs: Sequence[str],
    listening: Listening,
    limits: Limits,
    tell: Callable[[str, list[str]], None],
) -> None:
    """Answers until it is stopped, once it has told its address and the names. UserError where it cannot begin."""
    paths = name_runs(runs)
    if not listening.is_own and not (listening.token_file and listening.allow_host):
        raise UserError(
            f"--host {listening.host} is reached from elsewhere: give --token-file FILE and --allow-host NAME:PORT as well"
        )
    token, bound = listening.token(), bind(listening)
    port = 0 if listening.socket else bound.getsockname()[1]
    app = make_app(paths, limits, listening.hosts(port), token)
    where = f"unix:{listening.socket}" if listening.socket else f"http://{listening.host}:{port}"
    tell(where, list(paths))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, root_path=listening.root_path, server_header=False, date_header=False,
        h11_max_incomplete_event_size=16 << 10, timeout_keep_alive=5, timeout_graceful_shutdown=2, ws="none",
    )  # fmt: skip
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # uvicorn, once it has ended, sends it anew
    try:
        uvicorn.Server(config).run(sockets=[bound])
    finally:
        if listening.socket:
            Path(listening.socket).unlink(missing_ok=True)


def name_runs(runs: Sequence[str]) -> dict[str, str]:
    """The folders of runs by name. UserError where one is none, or two have one name."""
    if not runs:
        raise UserError("which runs? name the folders of some: plausibly serve runs/NAME ...")
    found: dict[str, str] = {}
    for run in runs:
        path = Path(run)
        if not (path / "run.json").is_file():
            raise UserError(
                f"there is no run at {run}; a run is a folder with a run.json, which `plausibly fit` writes"
            )
        name = path.resolve().name
        if not RUN_NAME.fullmatch(name):
            raise UserError(
                f"{name!r}: a run is served by the name of its folder, of letters, digits, dots, - and _"
            )
        if name in found:
            raise UserError(f"{found[name]} and {run} have one name; rename one folder")
        found[name] = str(path)
    return found


def bind(listening: Listening) -> sockets.socket:
    """The socket at which requests come. UserError where it is taken, or not to be had."""
    try:
        if listening.socket is not None:
            bound = sockets.socket(sockets.AF_UNIX)
            bound.bind(listening.socket)
            Path(listening.socket).chmod(0o600)
        else:
            family = sockets.AF_INET6 if ":" in listening.host else sockets.AF_INET
            bound = sockets.socket(
                family, sockets.SOCK_STREAM, sockets.IPPROTO_TCP
            )  # else no TCP_NODELAY
            bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            bound.bind((listening.host, listening.port))
        bound.listen(128)  # from now on requests wait
    except OSError as error:
        where = listening.socket or f"{listening.host}:{listening.port}"
        raise UserError(
            f"cannot listen at {where}: {error.strerror or error}; --port 0 takes a free one"
        ) from error
    return bound
