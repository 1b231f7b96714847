"""The explorer's server: views over a collection as an ASGI application, and the page's own files.

It holds no state but the collection and bounded caches: everything that a view depends on is in the request. Views run
in worker threads, so that a slow one does not keep others waiting.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec._files import parse_json
from rnn2vec._text import visible
from rnn2vec.explorer import asking, comparing, packing, uploads, views
from rnn2vec.explorer.collection import Collection, UnknownRNNError
from rnn2vec.explorer.guard import Admission, Guard
from rnn2vec.explorer.jobs import Pending
from rnn2vec.explorer.query import Query

_LOG = logging.getLogger(__name__)

View = Callable[[Collection, Query], Any]

READING: dict[str, View] = {
    "collection": views.describe,
    "change": views.change,
    "map": views.layout,
    "column": views.column,
    "matches": views.matches,
    "runs": views.runs,
    "rows": views.rows,
    "card": views.card,
    "predictions": views.predictions,
    "ask": asking.dialogue,
    "prefix": asking.prefix,
    "digits": asking.digits,
    "compare": comparing.compare,
    "disagreement": comparing.disagreement,
}
"""Views without a body, by name."""
SENDING: dict[str, tuple[View, str]] = {
    "series": (asking.series, "json"),
    "digit": (asking.digit, "json"),
    "export": (views.export, "bytes"),
    "upload": (uploads.receive, "bytes"),
}
"""Views with a body, by name, and what the body is."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine can reach."""
_STATUS = {UnknownRNNError: 404, UsageError: 400}
_FILE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_THREADS_AT_ONCE = 64
_LARGEST_PORT = 65_535


@dataclass(frozen=True)
class Answer:
    """Result of a view, ready to send."""

    status: int
    """HTTP status."""
    body: bytes
    """Content."""
    media_type: str
    """Type of the content."""


def answer(collection: Collection, view: View, query: Query) -> Answer:
    """Call a view; errors become answers with the problem and the remedy as JSON."""
    try:
        result = view(collection, query)
    except Pending as pending:
        return _json(202, {"pending": pending.name, "seconds": pending.seconds})
    except Rnn2VecError as error:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
        return _json(status, {"problem": error.problem, "remedy": error.remedy})
    except OSError as error:
        return _json(409, {"problem": views.problem_of(error), "remedy": "see whether the collection is still there."})
    if isinstance(result, bytes):
        return Answer(200, result, packing.MEDIA_TYPE)
    return _json(200, result)


def _json(status: int, value: Any) -> Answer:
    return Answer(status, bytes(JSONResponse(value).body), "application/json")


def page_files() -> dict[str, bytes]:
    """Return the page's own files by name."""
    folder = resources.files("rnn2vec.explorer") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def application(collection: Collection, admission: Admission) -> Guard:
    """Return the explorer of a collection as an ASGI application.

    Args:
        collection: what it shows.
        admission: who may ask.
    """
    files = page_files()

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return Response("there is no such file", status_code=404)
        return Response(files[name], media_type=_FILE_TYPES[f".{name.rpartition('.')[2]}"])

    routes = [Route("/", page), Route("/static/{name}", page)]
    routes += [Route(f"/api/{name}", _endpoint(collection, view, None)) for name, view in READING.items()]
    routes += [
        Route(f"/api/{name}", _endpoint(collection, view, kind), methods=["POST"])
        for name, (view, kind) in SENDING.items()
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: _failed})
    return Guard(app, admission, largest_body=uploads.LARGEST_UPLOAD)


def _endpoint(collection: Collection, view: View, kind: str | None) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body: Any = await request.body() if kind else None
        values = request.query_params.multi_items()
        found = await run_in_threadpool(_read_and_answer, collection, view, values, body, kind)
        return Response(found.body, status_code=found.status, media_type=found.media_type)

    return endpoint


def _read_and_answer(
    collection: Collection, view: View, values: list[tuple[str, str]], body: Any, kind: str | None
) -> Answer:
    if kind == "json":
        try:
            body = parse_json(body, where="the request")
        except Rnn2VecError as error:
            return _json(400, {"problem": error.problem, "remedy": error.remedy})
    return answer(collection, view, Query(values, body))


async def _failed(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed", exc_info=error)
    problem = {"problem": "the explorer failed on this request", "remedy": "see its output; reload the page."}
    return JSONResponse(problem, status_code=500)


# -- serving ---------------------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: if the address or the port cannot be used.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise UsageError(f"the explorer cannot listen on port {port}", remedy=f"give one from 0 to {_LARGEST_PORT}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"the explorer cannot listen on {visible(host)}:{port}: {error}", remedy="give another --port or --host."
        ) from error


def admission_for(host: str, port: int) -> Admission:
    """Return who may ask: on this machine's own address anyone who names it, elsewhere who has a new token."""
    if host not in LOOPBACK:
        return Admission(None, secrets.token_urlsafe(24))
    names = ("127.0.0.1", "localhost", "[::1]")
    return Admission(frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else set()), None)


def link(host: str, port: int, admission: Admission) -> str:
    """Return the link that opens the page."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={admission.token}" if admission.token else "")


def serve(collection: Collection, listening: socket.socket, admission: Admission) -> None:
    """Serve until Ctrl-C."""
    config = uvicorn.Config(
        application(collection, admission),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_THREADS_AT_ONCE * 4,
        timeout_graceful_shutdown=2,
        ws="none",
        lifespan="off",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
