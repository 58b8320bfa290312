"""Errors of requests, as application/problem+json."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

TITLES = {
    400: "malformed",
    401: "no token",
    403: "forbidden",
    404: "not there",
    405: "no such method",
    409: "the model cannot answer this",
    411: "no length",
    413: "too large",
    415: "not JSON",
    421: "wrong host",
    422: "cannot be answered as asked",
    429: "busy",
    500: "a fault of the program",
    503: "not ready",
    504: "late",
    507: "out of memory",
}


class Problem(Exception):
    """A request that gets no answer: its status, a line on why, and what would have worked."""

    def __init__(self, status: int, detail: str, retry: int | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry, self.more = status, detail, retry, more

    def response(self) -> Response:
        """The response that says so."""
        headers = {} if self.retry is None else {"Retry-After": str(self.retry)}
        return problem_response(self.status, self.detail, headers, **self.more)


def problem_response(
    status: int, detail: str, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """A response of application/problem+json."""
    title = TITLES.get(status, "an error")
    document = {
        "type": f"/problems/{title.replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    body = json.dumps(document | more, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    return Response(body, status, headers, media_type="application/problem+json")
