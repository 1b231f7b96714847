"""Checks that every request passes before the explorer looks at it, and headers that every answer carries.

The page is for the person at this machine. A page of another site can make a browser send requests here, directly or
after its name was rebound to this address, so the Host must be an address that we listen on, an Origin must be the
same, and the browser's own statement of a foreign site is believed. On another address than this machine's, a token
is needed besides: the link that is printed holds it once, a cookie that scripts cannot read from then on.
"""

from __future__ import annotations

import asyncio
import http.cookies
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "rnn2vec_token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the live page: nothing from elsewhere, no inline scripts or styles."""
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_SECONDS_TO_SEND = 60.0
_BODIES_AT_ONCE = 8  # so that bodies never take more memory than eight of the largest
_METHODS = {"GET", "HEAD", "POST"}


@dataclass(frozen=True)
class Admission:
    """Names and token with which requests are admitted."""

    hosts: frozenset[str] | None
    """Values of the Host header that are accepted; None for any, where a token is needed."""
    token: str | None
    """Token that every request needs; None on this machine's own address."""


class Guard:
    """An ASGI application in front of another, which it protects.

    Args:
        app: the application.
        admission: who may ask.
        largest_body: bytes of a request's body, at most.
        seconds: time in which a body must have arrived.
    """

    def __init__(self, app: App, admission: Admission, *, largest_body: int, seconds: float = _SECONDS_TO_SEND) -> None:
        self._app = app
        self._admission = admission
        self._largest_body = largest_body
        self._seconds = seconds
        self._receiving = asyncio.Semaphore(_BODIES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on with its body read."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None and self._gives_token(scope):
            await _welcome(send, str(self._admission.token))
            return
        if refusal is not None:
            await _answer(send, *refusal)
        elif scope["method"] == "POST":
            async with self._receiving:
                await self._hand_on(scope, headers, receive, send)
        else:
            await self._app(scope, _once(b""), send)

    async def _hand_on(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Hand a request on with its body, or refuse the body."""
        refusal, body = await self._body(headers, receive)
        if refusal is not None:
            await _answer(send, *refusal)
        else:
            await self._app(scope, _once(body), send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return the status and the reason with which a request is refused; None for one that is fine."""
        host, hosts = headers.get("host", ""), self._admission.hosts
        if scope["method"] not in _METHODS:
            return 405, "only GET and POST are answered"
        if hosts is not None and host not in hosts:
            return 421, "this address is not served under that name; open the link that `rnn2vec explore` printed"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            return 403, "requests from other sites are refused"
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not _is_navigation(scope, headers):
            return 403, "requests from other sites are refused"
        if self._admission.token is not None and not self._gives_token(scope) and not self._has_token(headers):
            return 401, "a token is needed; open the link that `rnn2vec explore` printed"
        return None

    def _gives_token(self, scope: Scope) -> bool:
        """Return True if the request is for the page, with the token in the link."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return bool(given) and scope["path"] == "/" and self._is_token(given[0])

    def _has_token(self, headers: dict[str, str]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        cookies = http.cookies.SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except http.cookies.CookieError:
            return False
        cookie = cookies[COOKIE].value if COOKIE in cookies else ""
        return self._is_token(bearer) or self._is_token(cookie)

    def _is_token(self, given: str) -> bool:
        token = self._admission.token
        return token is not None and secrets.compare_digest(given.encode(), token.encode())

    async def _body(self, headers: dict[str, str], receive: Receive) -> tuple[tuple[int, str] | None, bytes]:
        """Read the body, or return with what it is refused."""
        stated = headers.get("content-length", "0")
        if not stated.isdigit() or int(stated[:20]) > self._largest_body:
            return (413, f"at most {self._largest_body / 2**20:.0f} MB can be sent"), b""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return (400, "the request ended early"), b""
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._largest_body:
                        return (413, f"at most {self._largest_body / 2**20:.0f} MB can be sent"), b""
                    if not message.get("more_body", False):
                        return None, b"".join(parts)
        except TimeoutError:
            return (408, f"the request did not arrive within {self._seconds:.0f} s"), b""


def _is_navigation(scope: Scope, headers: dict[str, str]) -> bool:
    """Return True if a browser opens the page itself, as when a link to it is followed."""
    return scope["method"] == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return sending


def _once(body: bytes) -> Receive:
    """Return a receiver that hands out the body that was read."""
    waiting = [body]

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return {"type": "http.disconnect"}

    return receive


async def _welcome(send: Send, token: str) -> None:
    """Keep the token in a cookie, and drop it from the address."""
    cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/".encode()
    headers = [(b"location", b"/"), (b"set-cookie", cookie)]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
