"""A client of `plausibly serve`, of one file and the standard library: copy it to wherever it is needed.

client = Client("http://127.0.0.1:8000")
client.ask("people-chow_liu", "score", rows=[{"city": "Oslo", "rooms": 3}])
"""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit


class ServiceError(Exception):
    """An answer that is none: its `status`, and `problem`, the document that says why and what would have worked."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('detail', problem)} ({status})")
        self.status, self.problem = status, problem


class Client:
    """A server of fitted runs. `url` is http://HOST:PORT, or unix:PATH of its socket; `token` is what it was given."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0) -> None:
        self.url, self.timeout = url, timeout
        self.headers = {"Content-Type": "application/json"}
        if token is not None:
            self.headers["Authorization"] = f"Bearer {token}"

    def runs(self) -> list[str]:
        """The names of the runs that are served."""
        names: list[str] = self.request("GET", "/v1/runs")["runs"]
        return names

    def describe(self, run: str) -> dict[str, Any]:
        """The number of a run, and each task with the word of its answer or why it is refused."""
        return self.request("GET", f"/v1/runs/{quote(run, safe='')}")

    def ask(self, run: str, task: str, **question: Any) -> dict[str, Any]:
        """The answer to a question, such as `score` with `rows`. ServiceError where there is none."""
        return self.request("POST", f"/v1/runs/{quote(run, safe='')}/{task}", question)

    def request(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        """The document of a response. ServiceError where it is a problem, OSError where nobody answers."""
        connection = self._connect()
        body = None if document is None else json.dumps(document, allow_nan=False)
        try:
            connection.request(
                method,
                urlsplit(self.url).path + path if "//" in self.url else path,
                body,
                self.headers,
            )
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        if self.url.startswith("unix:"):
            return UnixConnection(self.url.removeprefix("unix:"), self.timeout)
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.netloc, timeout=self.timeout)


def read_answer(response: HTTPResponse) -> dict[str, Any]:
    """The JSON of a response. ServiceError where it is a problem."""
    found: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise ServiceError(response.status, found)
    return found


class UnixConnection(HTTPConnection):
    """A connection to a socket of the file system."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
