"""A guard before every route: who may ask, how much, and which headers every response has.

A page of another site that a browser shows may send requests to this machine, under a name that it has made lead here. Only
a list of the hosts that this server is called by stops that, so that it comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plausibly.service.problems import Problem

MAX_BODY = 8 << 20  # bytes
OWN_NAMES = ("127.0.0.1", "[::1]", "localhost")
SAFE = ("GET", "HEAD", "OPTIONS")
STRICT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses foreign hosts, foreign pages, requests without the token and bodies that are too large.

    `hosts` are the names, with ports where they have one, by which this server is called; None of a Unix socket, which no
    page can reach.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, token: str | None) -> None:
        self.app, self.token = app, token
        self.hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(STRICT_HEADERS)
            await send(message)

        try:
            headers = Headers(scope=scope)
            self.check_host(headers)
            if scope["method"] not in SAFE:
                self.check_site(headers)
            if scope["path"] != "/v1/health":
                self.check_token(headers)
            await self.app(scope, await take_body(receive, headers), send_strictly)
        except Problem as problem:
            await problem.response()(scope, receive, send_strictly)

    def check_host(self, headers: Headers) -> None:
        """Problem where the request is for another host."""
        host = headers.get("host", "").lower()
        if self.hosts is not None and host not in self.hosts:
            raise Problem(
                421,
                f"this server is not called {host!r}; start it with --allow-host {host or 'NAME'}",
            )

    def check_site(self, headers: Headers) -> None:
        """Problem where a page of another site sends this."""
        if headers.get("authorization", "").startswith("Bearer "):
            return
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = {f"{scheme}://{host}" for scheme in ("http", "https") for host in self.hosts or ()}
        foreign = origin is not None and origin not in own
        if site not in (None, "same-origin", "none") or foreign:
            raise Problem(403, "a page of another site sent this")

    def check_token(self, headers: Headers) -> None:
        """Problem where a token is needed and another, or none, is given."""
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if self.token is not None and not compare_digest(given.encode(), self.token.encode()):
            raise Problem(401, "a token is needed: the header `Authorization: Bearer TOKEN`")


async def take_body(receive: Receive, headers: Headers) -> Receive:
    """A source of the body of a request, which is read here. Problem as soon as it is larger than it may be."""
    length = headers.get("content-length", "0")
    size, body, more = int(length) if length.isdigit() else MAX_BODY + 1, b"", True
    while more or size > MAX_BODY:
        if size > MAX_BODY:
            raise Problem(
                413, f"a body has at most {MAX_BODY >> 20} MiB; ask for fewer rows at once"
            )
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(499, "the client left")
        body += message.get("body", b"")
        size, more = max(size, len(body)), message.get("more_body", False)
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again
