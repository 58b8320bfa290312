"""The application: routes that hand requests to engines. It knows no model and no tensor."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from plausibly.service.bodies import BODIES, Body
from plausibly.service.costs import refuse_long
from plausibly.service.guard import Guard
from plausibly.service.metrics import EngineCollector
from plausibly.service.openapi import put_row_schema
from plausibly.service.pool import EngineProcess, Limits
from plausibly.service.problems import Problem, problem_response
from plausibly.system.versions import __version__

LOOK_SECONDS = 0.5  # between two looks at whether a client is still there
ABOUT = "Fitted generative models: how plausible rows are, samples, questions, and what is missing."


def make_app(
    paths: Mapping[str, str],
    limits: Limits | None = None,
    hosts: Iterable[str] | None = None,
    token: str | None = None,
) -> FastAPI:
    """The application for runs by name; their engines start with it."""
    engines = {name: EngineProcess(name, path, limits or Limits()) for name, path in paths.items()}

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(warm(engine)) for engine in engines.values()]
        tasks.append(asyncio.create_task(unload_idle(engines.values())))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(engine.stop() for engine in engines.values()))

    app = FastAPI(
        title="Plausibly",
        version=__version__,
        description=ABOUT,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, hosts=hosts, token=token)
    app.state.engines = engines
    add_errors(app)
    add_state(app, engines)
    add_runs(app, engines)
    for task, body in BODIES.items():
        add_task(app, engines, task, body)
    return app


async def warm(engine: EngineProcess) -> None:
    """Starts an engine; why it cannot is told to whom asks it."""
    try:
        await engine.ready()
    except Problem:
        return


async def unload_idle(engines: Iterable[EngineProcess]) -> None:
    """Ends engines that nobody has asked for long."""
    while True:
        await asyncio.sleep(1)
        for engine in engines:
            if engine.is_idle():
                await engine.stop()


def find_engine(engines: Mapping[str, EngineProcess], run: str) -> EngineProcess:
    """The engine of a run. Problem where there is none of that name."""
    if run not in engines:
        raise Problem(404, f"there is no run {run!r}", worked=sorted(engines))
    return engines[run]


def add_errors(app: FastAPI) -> None:
    """Every error is a problem document."""

    async def tell_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def tell_status(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(error.status_code, str(error.detail), dict(error.headers or {}))

    async def tell_fault(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"][1:])
        broken = first["type"] == "json_invalid"
        at = f"{where}: " if where and not broken else ""
        return problem_response(
            400 if broken else 422, f"{at}{first['msg'].removeprefix('Value error, ')}", where=where
        )

    async def tell_bug(request: Request, error: Exception) -> Response:
        return problem_response(500, "a fault of the program; its log has more")

    app.add_exception_handler(Exception, tell_bug)
    app.add_exception_handler(Problem, tell_problem)
    app.add_exception_handler(HTTPException, tell_status)
    app.add_exception_handler(RequestValidationError, tell_fault)


def add_state(app: FastAPI, engines: Mapping[str, EngineProcess]) -> None:
    """Routes that tell how the server is."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(engines.values()))

    @app.get("/v1/health")
    async def health() -> dict[str, str]:
        """Tell that the server is alive."""
        return {"status": "alive"}

    @app.get("/v1/ready")
    async def ready() -> Response:
        """Tell the state of every engine; 503 while one warms up."""
        states = [{"run": e.name, "state": e.state, "queue": e.queue} for e in engines.values()]
        warming = any(engine.state == "warming" for engine in engines.values())
        headers = {"Retry-After": "3"} if warming else {}
        return JSONResponse({"engines": states}, 503 if warming else 200, headers)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Tell numbers for Prometheus."""
        return Response(
            generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def add_runs(app: FastAPI, engines: Mapping[str, EngineProcess]) -> None:
    """Routes that tell what runs are and can."""

    @app.get("/v1/runs")
    async def runs() -> dict[str, list[str]]:
        """List the names of the runs."""
        return {"runs": list(engines)}

    @app.get("/v1/runs/{run}")
    async def describe(run: str) -> dict[str, Any]:
        """Tell what a run is, its number, and which requests it answers, how well, or why not."""
        hello = await find_engine(engines, run).ready()
        return {name: told for name, told in hello.items() if name != "row"}

    @app.get("/v1/runs/{run}/schema")
    async def schema(run: str) -> dict[str, Any]:
        """Give the JSON Schema of a row."""
        row: dict[str, Any] = (await find_engine(engines, run).ready())["row"]
        return row

    @app.get("/v1/runs/{run}/openapi.json")
    async def openapi(run: str) -> dict[str, Any]:
        """Give the description of this API with the columns of this run."""
        hello = await find_engine(engines, run).ready()
        return put_row_schema(app.openapi(), run, hello)


def add_task(
    app: FastAPI, engines: Mapping[str, EngineProcess], task: str, kind: type[Body]
) -> None:
    """The route of one task."""

    async def ask(run: str, request: Request, question: Any) -> Response:
        engine = find_engine(engines, run)
        began = time.perf_counter()
        asked = question.model_dump(exclude_unset=True)
        refuse_long(await engine.ready(), task, asked, engine.limits.deadline)
        status, body = await wait_for_answer(request, engine.ask(task, await request.body()))
        if status != 200:
            raise explain_refusal(engines, run, task, status, body)
        took = 1e3 * (time.perf_counter() - began)
        return Response(
            body, media_type="application/json", headers={"Server-Timing": f"engine;dur={took:.1f}"}
        )

    ask.__annotations__["question"] = kind
    ask.__doc__ = kind.__doc__
    app.post(f"/v1/runs/{{run}}/{task}", name=task)(ask)


async def wait_for_answer(
    request: Request, asking: Coroutine[Any, Any, tuple[int, bytes]]
) -> tuple[int, bytes]:
    """The answer; nobody waits for it any more once the client has left."""
    task = asyncio.ensure_future(asking)
    while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
        if await request.is_disconnected():
            task.cancel()
            raise Problem(499, "the client left")
    return task.result()


def explain_refusal(
    engines: Mapping[str, EngineProcess], run: str, task: str, status: int, body: bytes
) -> Problem:
    """The problem that an engine tells of; where the model cannot answer, with the runs that can."""
    detail = json.loads(body)["detail"]
    if status != 409:
        return Problem(status, detail)
    able = [
        name
        for name, other in engines.items()
        if other.hello and "word" in other.hello["tasks"][task]
    ]
    return Problem(status, detail, instead=[name for name in able if name != run])
