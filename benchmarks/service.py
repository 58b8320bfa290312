"""A served run, measured: start, times of answers, requests a second beside a bare echo, memory, equal bytes.

`python -m benchmarks.service RUN OTHER [--seconds 5] [--requests 10000]`. RUN is one whose log p is exact and quick, OTHER
one of a network. Needs wrk and hey, of Debian's packages. The echo is FastAPI's with one route, in turn with RUN.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from plausibly.client import Client
from plausibly.runs.run import Run
from plausibly.service.answers import row_records

ECHO = """
import fastapi, uvicorn, typing
app = fastapi.FastAPI()
@app.post("/echo")
async def echo(body: dict[str, typing.Any]) -> fastapi.Response:
    return fastapi.Response(b"{}", media_type="application/json")
uvicorn.run(app, port=%d, log_level="warning", access_log=False)
"""
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""
ECHO_PORT = 8791


class Server:
    """A process of `plausibly serve`."""

    def __init__(self, *runs: str) -> None:
        began = time.perf_counter()
        command = [sys.executable, "-m", "plausibly.cli", "serve", *runs, "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split("/v1/")[0]
        self.client = Client(self.url, timeout=120)
        self.client.request("GET", "/v1/health")
        self.answered = time.perf_counter() - began
        self.client.describe(Path(runs[0]).name)
        self.ready = time.perf_counter() - began

    def memory(self) -> dict[str, float]:
        """Resident MiB of the process that answers HTTP, and of its engines together."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True
        )
        return {
            "HTTP": resident(self.process.pid),
            "engines": sum(map(resident, map(int, children.stdout.split()))),
        }


def resident(pid: int) -> float:
    """The memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def serving(*runs: str) -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server(*runs)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def rate(url: str, body: str, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second, and milliseconds that half and 99 % of them took at most, by wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % body)
        script.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds:g}s",
            "--latency",
            "-s",
            script.name,
            url,
        ]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    times = {word: value for word, value in re.findall(r"(50|99)%\s+([\d.]+\w+)", text)}
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert found is not None
    return {
        "per second": float(found[1]),
        **{f"p{word}": milliseconds(value) for word, value in times.items()},
    }


def milliseconds(text: str) -> float:
    """The time that wrk writes as 1.2ms, 300us or 2s."""
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def measure_rates(server: Server, name: str, row: Any, seconds: float, rounds: int = 3) -> None:
    """Prints requests a second of one row by 8 clients beside those of the echo, in turn, and one client's times."""
    url, body = f"{server.url}/v1/runs/{name}/score", json.dumps({"rows": [row]})
    echo = subprocess.Popen([sys.executable, "-c", ECHO % ECHO_PORT])
    time.sleep(3)
    try:
        pairs = [
            (
                rate(url, body, 8, seconds),
                rate(f"http://127.0.0.1:{ECHO_PORT}/echo", body, 8, seconds),
            )
            for _ in range(rounds)
        ]
    finally:
        echo.kill()
    ours, theirs = (median(pair[side]["per second"] for pair in pairs) for side in (0, 1))
    print(
        f"| 1 row, 8 clients: requests a second; bare echo; share | {ours:.0f}; {theirs:.0f}; {ours / theirs:.1%} |"
    )
    alone = rate(url, body, 1, seconds)
    print(f"| 1 row, 1 client: p50; p99, ms | {alone['p50']:.1f}; {alone['p99']:.1f} |", flush=True)


def measure_large(server: Server, name: str, rows: list[Any], seconds: float) -> None:
    """Prints the time of 100 rows by 8 clients, and of /health meanwhile."""
    url, body = f"{server.url}/v1/runs/{name}/score", json.dumps({"rows": rows})
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(rate, url, body, 8, seconds)
        time.sleep(0.5)
        health = [timed(server.client) for _ in range(int(30 * seconds))]
        found = busy.result()
    print(f"| 100 rows, 8 clients: p50; p99, ms | {found['p50']:.0f}; {found['p99']:.0f} |")
    print(
        f"| /health meanwhile: p50; p99, ms | {median(health):.1f}; {sorted(health)[-len(health) // 100 - 1]:.1f} |",
        flush=True,
    )


def timed(client: Client) -> float:
    """Milliseconds of a look at /health."""
    began = time.perf_counter()
    client.request("GET", "/v1/health")
    time.sleep(0.005)
    return 1e3 * (time.perf_counter() - began) - 5


def measure_memory(server: Server, name: str, row: Any, requests: int) -> None:
    """Prints what processes hold, and by how much they grew over so many requests by 16 clients."""
    url, body = f"{server.url}/v1/runs/{name}/score", json.dumps({"rows": [row]})
    before = server.memory()
    command = [
        "hey",
        "-n",
        str(requests),
        "-c",
        "16",
        "-m",
        "POST",
        "-T",
        "application/json",
        "-d",
        body,
        url,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"[200]\t{requests - requests % 16} responses" in text, text
    after = server.memory()
    grew = "; ".join(f"{after[word] - before[word]:.1f}" for word in before)
    print(f"| memory of HTTP; engines, MiB | {before['HTTP']:.0f}; {before['engines']:.0f} |")
    print(f"| growth over {requests:,} requests, MiB | {grew} |", flush=True)


def collect(
    server: Server, questions: list[tuple[str, str, dict[str, Any]]], clients: int
) -> list[str]:
    """The answers to questions by so many clients at once, as text."""
    with ThreadPoolExecutor(clients) as pool:
        return list(
            pool.map(
                lambda each: json.dumps(server.client.ask(each[0], each[1], **each[2])), questions
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("other")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--requests", type=int, default=10_000)
    given = parser.parse_args()
    names, opened = [Path(each).name for each in (given.run, given.other)], Run.open(given.run)
    rows = row_records(opened.sample(100, seed=1))
    kinds = [("score", {"rows": rows[:1]}), ("score", {"rows": rows[1:4]}), ("sample", {"n": 2, "seed": 3}),
             ("query", {"target": opened.names[-1], "particles": 20}),
             ("impute", {"rows": rows[4:5], "seed": 1})]  # fmt: skip
    questions = [(name, *kind) for name in names for kind in kinds] * 100
    print("| measured | |\n|---|---:|")
    with serving(given.run, given.other) as server:
        print(
            f"| start to the first answer; to the first engine, s | {server.answered:.2f}; {server.ready:.2f} |",
            flush=True,
        )
        measure_rates(server, names[0], rows[0], given.seconds)
        measure_large(server, names[1], rows, given.seconds)
        measure_memory(server, names[0], rows[0], given.requests)
        alone, beside = (collect(server, questions, clients) for clients in (1, 16))
    with serving(given.run, given.other) as server:
        again = collect(server, questions, 16)
    equal = sum(a == b for a, b in zip(alone * 2, beside + again, strict=True))
    print(
        f"| answers equal to those alone, by 16 clients and after a restart | {equal:,} of {2 * len(alone):,} |"
    )


if __name__ == "__main__":
    main()
