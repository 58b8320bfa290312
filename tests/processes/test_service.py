"""Runs behind HTTP: who may ask, what errors say, and that engines may die without a lost or a changed answer."""

import ast
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import plausibly.client
from plausibly.client import Client, ServiceError
from plausibly.service.app import make_app
from plausibly.service.guard import MAX_BODY, STRICT_HEADERS
from plausibly.service.pool import Limits
from plausibly.service.server import Listening, name_runs

KEPT = Path(__file__).parents[1] / "kept" / "0.1.0"
RUNS = ["people-chow_liu", "people-vae"]
ROW = {"city": "Oslo", "income": 1112.46, "rooms": 5, "since": "2020-04-07", "owner": False}
HOST = "127.0.0.1:80"
HEADERS = {"host": HOST}


@pytest.fixture(scope="module")
def client():
    """A client of an application whose engines are child processes."""
    paths = {name: str(KEPT / name) for name in RUNS}
    app = make_app(paths, Limits(deadline=60), [HOST])
    with TestClient(app, headers=HEADERS, raise_server_exceptions=False) as found:
        yield found


def ask(client, run, task, question, **options):
    return client.post(f"/v1/runs/{run}/{task}", json=question, **options)


def test_a_run_says_what_it_answers(client):
    told = client.get("/v1/runs/people-vae").json()
    assert told["tasks"]["entropy"]["refused"] and told["tasks"]["score"] == {"word": "bound"}
    assert client.get("/v1/runs").json() == {"runs": RUNS}
    assert client.get("/v1/health").json() == {"status": "alive"}
    assert "plausibly_requests_total" in client.get("/metrics").text
    assert ask(client, "people-chow_liu", "sample", {"n": 1}).status_code == 200
    assert client.get("/v1/ready").status_code == 200


def test_answers_say_word_seed_model_and_weights(client):
    found = ask(
        client, "people-chow_liu", "query", {"target": "city", "given": {"rooms": 5}, "seed": 7}
    ).json()
    assert found["word"] == "exact" and found["seed"] == 7 and found["model"] == "chow_liu"
    assert re.fullmatch("[0-9a-f]{64}", found["weights_sha256"])
    assert sum(level["probability"] for level in found["levels"]) == pytest.approx(1, abs=0.02)


def test_a_refusal_names_the_runs_that_can(client):
    found = ask(client, "people-vae", "entropy", {})
    assert found.status_code == 409 and found.json()["instead"] == ["people-chow_liu"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("people-chow_liu/score", b'{"rows": [', 400, "JSON"),
        ("people-chow_liu/score", b'{"rows": []}', 422, "rows"),
        ("people-chow_liu/score", b'{"rows": [{"city": NaN}]}', 422, "finite"),
        ("people-chow_liu/score", b'{"rows": [{"city": "Oslo"}]}', 422, "lacks"),
        ("people-chow_liu/score", b'{"rows": [{}], "path": "/etc/passwd"}', 422, "path"),
        ("people-chow_liu/sample", b'{"n": 1, "seed": -1}', 422, "seed"),
        ("people-chow_liu/sample", b'{"n": 1e2}', 422, "n"),
        ("people-chow_liu/query", b'{"target": "nobody"}', 422, "nobody"),
        ("..%2f..%2fetc/score", b'{"rows": [{}]}', 404, ""),
        ("nobody/score", b'{"rows": [{}]}', 404, "nobody"),
        ("people-chow_liu/nothing", b"{}", 404, ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_problem_in_one_line(client, path, body, status, said):
    found = client.post(
        f"/v1/runs/{path}", content=body, headers={"content-type": "application/json"}
    )
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert said in found.json()["detail"] and "\n" not in found.json()["detail"]


def test_a_wrong_method_is_told_the_right_one(client):
    found = client.get("/v1/runs/people-vae/score")
    assert found.status_code == 405 and found.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1:81", "", "127.0.0.1", "localhost"]
)
def test_another_host_is_refused(client, host):
    found = client.get("/v1/runs", headers={"host": host})
    assert found.status_code == 421 and f"--allow-host {host or 'NAME'}" in found.json()["detail"]


@pytest.mark.parametrize(
    "foreign",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
     {"origin": "null"}, {"origin": "http://127.0.0.1:81", "sec-fetch-site": "same-origin"}],
)  # fmt: skip
def test_pages_of_other_sites_ask_nothing(client, foreign):
    found = ask(client, "people-chow_liu", "sample", {"n": 1}, headers=HEADERS | foreign)
    assert found.status_code == 403
    own = HEADERS | {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert ask(client, "people-chow_liu", "sample", {"n": 1}, headers=own).status_code == 200


def test_every_response_has_strict_headers(client):
    for path in ("/v1/runs", "/nothing", "/v1/runs/people-vae/schema"):
        headers = client.get(path).headers
        assert {name: headers[name] for name in STRICT_HEADERS} == STRICT_HEADERS
        assert not [name for name in headers if name.startswith("access-control")]


def test_a_body_is_bounded(client):
    assert ask(client, "people-chow_liu", "score", {"rows": ["x" * MAX_BODY]}).status_code == 413
    pieces = (b" " * (1 << 20) for _ in range(12))
    assert client.post("/v1/runs/people-chow_liu/score", content=pieces).status_code == 413


def test_a_token_is_needed_where_there_is_one():
    app = make_app({}, hosts=[HOST], token="s3cret" * 4)
    with TestClient(app, headers=HEADERS) as client:
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/runs").status_code == 401
        for word in ("", "Bearer x", f"Bearer {'s3cret' * 4}x", "Basic " + "s3cret" * 4):
            assert (
                client.get("/v1/runs", headers=HEADERS | {"authorization": word}).status_code == 401
            )
        assert (
            client.get(
                "/v1/runs", headers=HEADERS | {"authorization": "Bearer " + "s3cret" * 4}
            ).status_code
            == 200
        )


def test_the_description_of_a_run_has_its_columns(client):
    found = client.get("/v1/runs/people-vae/openapi.json").json()
    assert list(found["components"]["schemas"]["Row"]["properties"]) == list(ROW)
    assert (
        "/v1/runs/people-vae/score" in found["paths"]
        and "/v1/runs/people-vae/entropy" not in found["paths"]
    )


def test_a_request_that_would_take_long_is_refused_before_it_starts(client):
    engine = client.app.state.engines["people-vae"]
    hello = dict(engine.hello)
    engine.hello["rows_sampled_per_second"] = 10.0
    found = ask(client, "people-vae", "sample", {"n": 10_000})
    engine.hello = hello
    assert found.status_code == 422 and found.json()["seconds"] == 1000.0


def requests():
    """A request of each kind, with its bytes to come."""
    given = [("score", {"rows": [ROW]}), ("score", {"rows": [ROW] * 3}), ("sample", {"n": 3, "seed": 2}),
             ("query", {"target": "city", "given": {"rooms": 3}, "particles": 50}),
             ("impute", {"rows": [{"rooms": 3}], "seed": 4}),
             ("score", {"rows": [ROW | {"city": None}], "each": True})]  # fmt: skip
    return [(run, *each) for run in RUNS for each in given]


def test_killed_engines_lose_and_change_no_answer(client):
    alone = [ask(client, *request).content for request in requests()]
    engine = client.app.state.engines["people-chow_liu"]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            found = [pool.submit(ask, client, *request) for request in requests() * 2]
            time.sleep(0.02)
            os.kill(engine.pid, signal.SIGKILL)
            answers = [each.result() for each in found]
            assert [each.status_code for each in answers] == [200] * len(answers)
            assert [each.content for each in answers] == alone * 2
            time.sleep(0.1)
    assert engine.counts.starts >= 3


def test_a_late_engine_is_ended_and_the_next_request_answered(client):
    engine = client.app.state.engines["people-vae"]
    limits = engine.limits
    os.kill(engine.pid, signal.SIGSTOP)
    engine.limits = Limits(deadline=0.3)
    found = ask(client, "people-vae", "sample", {"n": 1})
    engine.limits = limits
    assert found.status_code == 504 and "within 0.3 s" in found.json()["detail"]
    assert ask(client, "people-vae", "sample", {"n": 1}).status_code == 200


def test_a_model_that_nobody_asks_leaves_the_memory(client):
    engine = client.app.state.engines["people-vae"]
    limits = engine.limits
    assert ask(client, "people-vae", "sample", {"n": 1}).status_code == 200
    engine.limits = Limits(keep=0.01)
    until = time.monotonic() + 10
    while engine.pid and time.monotonic() < until:
        time.sleep(0.1)
    engine.limits = limits
    assert engine.pid is None
    assert ask(client, "people-vae", "sample", {"n": 1}).status_code == 200


def test_what_cannot_be_served_is_said(tmp_path):
    for runs, said in [
        ([], "which runs"),
        (["nothing"], "no run at nothing"),
        ([KEPT / "people-vae"] * 2, "one name"),
    ]:
        with pytest.raises(ValueError, match=said):
            name_runs(list(map(str, runs)))
    short = tmp_path / "token"
    short.write_text("short")
    with pytest.raises(ValueError, match="no token"):
        Listening(token_file=str(short)).token()
    assert not Listening("0.0.0.0").is_own and Listening("::1").is_own


def start_server(*options):
    """A process of the command, for one run."""
    words = ["-m", "plausibly.cli", "serve", str(KEPT / "people-chow_liu"), *options]
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *words], stdout=pipe, stderr=pipe, text=True)


def test_the_command_serves_until_it_is_stopped():
    """Without torch in the process that answers HTTP."""
    server = start_server("--port", "0")
    try:
        host, port = re.match(
            r"http://([\d.]+):(\d+)/v1/runs/people-chow_liu", server.stdout.readline()
        ).groups()
        client = http.client.HTTPConnection(host, int(port), timeout=60)
        client.request(
            "POST",
            "/v1/runs/people-chow_liu/score",
            json.dumps({"rows": [ROW]}),
            {"Content-Type": "application/json"},
        )
        answer = client.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["rows"][0]["sign"] == "="
        assert "libtorch" not in Path(f"/proc/{server.pid}/maps").read_text()
    finally:
        server.send_signal(signal.SIGINT)
        said = server.communicate(timeout=20)[1]
    assert server.returncode in (0, 130, -2) and "Traceback" not in said, said


def test_elsewhere_than_here_needs_a_token_and_a_name(cli):
    status, _, said = cli("serve", KEPT / "people-vae", "--host", "0.0.0.0")
    assert status == 2 and "--token-file" in said


def test_a_client_asks_over_a_socket_of_the_file_system(tmp_path):
    """The file alone does: it imports nothing of the package."""
    path = tmp_path / "s.sock"
    server = start_server("--socket", str(path))
    try:
        assert server.stdout.readline().startswith(f"unix:{path}")
        assert path.stat().st_mode & 0o077 == 0
        client = Client(f"unix:{path}")
        assert client.runs() == ["people-chow_liu"]
        assert (
            client.ask("people-chow_liu", "query", target="city", given={"rooms": 2})["word"]
            == "exact"
        )
        with pytest.raises(ServiceError, match=r"'nobody'.*\(422\)"):
            client.ask("people-chow_liu", "query", target="nobody")
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert not path.exists()
    assert "plausibly" not in {
        name.split(".")[0] for name in imported(Path(plausibly.client.__file__))
    }


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield getattr(node, "module", None) or node.names[0].name
