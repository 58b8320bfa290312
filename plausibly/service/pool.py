"""Engines: a child process for each run, which is started when it is first asked, killed when late, and started again.

Requests wait in order and are dropped where nobody waits for them any more. What a killed engine had not answered is asked
again of the next, since the same request has the same answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from plausibly.service.frames import LENGTHS, pack_frame
from plausibly.service.problems import Problem

MAX_WAITING = 64  # requests
MAX_SENT = 32  # requests that an engine may take together
MAX_TRIES = 3  # engines that a request may end


@dataclass(frozen=True)
class Limits:
    """The most that an engine may take: `deadline` seconds of a request, `memory` bytes, `keep` seconds without any."""

    deadline: float = 30.0
    memory: int = 4 << 30
    keep: float = 300.0


@dataclass
class Waiting:
    """A request on its way."""

    number: int
    task: str
    body: bytes
    answer: asyncio.Future[tuple[int, bytes]]
    tries: int = 0


@dataclass
class Counts:
    """Numbers since the start, for /metrics."""

    requests: int = 0
    starts: int = 0
    seconds_waited: float = 0.0
    late: int = 0


class EngineProcess:
    """The process that computes for one run, as the process that answers HTTP sees it."""

    def __init__(self, name: str, path: str, limits: Limits) -> None:
        self.name, self.path, self.limits, self.counts = name, path, limits, Counts()
        self.hello: dict[str, Any] | None = None
        self.state = "idle"
        self._process: asyncio.subprocess.Process | None = None
        self._waiting, self._sent = deque[Waiting](), dict[int, Waiting]()
        self._numbers = itertools.count()
        self._starting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._last = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The process, where there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def queue(self) -> int:
        """Requests that have no answer yet."""
        return len(self._waiting) + len(self._sent)

    async def ready(self) -> dict[str, Any]:
        """What the engine says of its run, once it has started. Problem where the run cannot be opened."""
        if self.state in ("idle", "gone"):
            self.state = "warming"
            self._starting = asyncio.create_task(self._start())
        if self._starting is not None:
            await asyncio.shield(self._starting)
        assert self.hello is not None
        return self.hello

    async def ask(self, task: str, body: bytes) -> tuple[int, bytes]:
        """The status and the JSON of an answer. Problem where there is none."""
        if len(self._waiting) >= MAX_WAITING:
            raise Problem(429, "too many requests wait for this run", retry=1)
        asked = Waiting(next(self._numbers), task, body, asyncio.get_running_loop().create_future())
        self.counts.requests += 1
        self._waiting.append(asked)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.limits.deadline):
                await self.ready()
                self._send()
                return await asked.answer
        except TimeoutError:
            self._drop_late(asked)
            raise Problem(
                504, f"no answer within {self.limits.deadline:g} s; fewer rows or draws take less"
            ) from None
        finally:
            self.counts.seconds_waited += time.monotonic() - began
            self._last = time.monotonic()
            with suppress(ValueError):
                self._waiting.remove(asked)

    def _send(self) -> None:
        """Hands over what waits, as much as an engine may take together."""
        if self._process is None or self._process.stdin is None or self.state != "ready":
            return
        while self._waiting and len(self._sent) < MAX_SENT:
            asked = self._waiting.popleft()
            if asked.answer.done():
                continue
            self._sent[asked.number] = asked
            with suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(
                    pack_frame({"id": asked.number, "task": asked.task}, asked.body)
                )

    def _drop_late(self, asked: Waiting) -> None:
        """Ends the engine where it has been at work on a late request; the others are asked again."""
        self.counts.late += 1
        oldest = next(iter(self._sent), None)
        self._sent.pop(asked.number, None)
        if asked.number == oldest and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _start(self) -> None:
        """Starts the process and hears what it says of its run."""
        self.counts.starts += 1
        words = ["-m", "plausibly.service.engine", self.path, "--memory", str(self.limits.memory)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            header, body = await self._read_frame()
        except (EOFError, OSError) as error:
            self.state = "gone"
            raise Problem(503, f"the engine of {self.name} did not start", retry=3) from error
        if "refused" in header:
            self.state = "gone"
            raise Problem(503, header["refused"])
        self.hello = json.loads(body)
        self.state = "ready"
        self._reading = asyncio.create_task(self._read())
        self._send()

    async def _read_frame(self) -> tuple[dict[str, Any], bytes]:
        """The next frame. EOFError where the engine has gone."""
        assert self._process is not None
        file = self._process.stdout
        assert file is not None
        try:
            text, body = LENGTHS.unpack(await file.readexactly(LENGTHS.size))
            return json.loads(await file.readexactly(text)), await file.readexactly(body)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error

    async def _read(self) -> None:
        """Hands each answer to whom it is for, until the engine ends; what it left is asked again."""
        with suppress(EOFError):
            while True:
                header, body = await self._read_frame()
                asked = self._sent.pop(header["id"], None)
                if asked is not None and not asked.answer.done():
                    asked.answer.set_result((header["status"], body))
                self._send()
        await self._take_up()

    async def _take_up(self) -> None:
        """Starts anew where anybody still waits."""
        self.state = "gone"
        left = [asked for asked in self._sent.values() if not asked.answer.done()]
        self._sent.clear()
        for asked in reversed(left):
            asked.tries += 1
            if asked.tries >= MAX_TRIES:
                asked.answer.set_exception(
                    Problem(
                        507,
                        "the engine ended at this request each time; fewer rows or draws take less memory",
                    )
                )
            else:
                self._waiting.appendleft(asked)
        if self._waiting:
            with suppress(Problem):
                await self.ready()

    def is_idle(self) -> bool:
        """True where it has a process and nobody has asked for long."""
        return (
            self.state == "ready"
            and not self.queue
            and time.monotonic() - self._last > self.limits.keep
        )

    async def stop(self) -> None:
        """Ends the process."""
        if self._process is None or self._process.returncode is not None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self.state = "idle"
