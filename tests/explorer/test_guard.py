"""Admission: this machine by its own names, others with the token, pages of other sites never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.explorer.conftest import HOST

from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.guard import COOKIE, Admission, Guard
from rnn2vec.explorer.server import admission_for, application, link


@pytest.mark.parametrize("host", [HOST, "localhost:8722", "[::1]:8722"])
def test_this_machines_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/change", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8722", "127.0.0.1", "127.0.0.1:8723", "127.0.0.1:8722.evil.example", ""]
)
def test_a_rebound_name_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/api/change", headers={"host": host})
    assert response.status_code == 421
    assert "open the link" in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8723"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str], method: str) -> None:
    address = "/api/change" if method == "GET" else "/api/upload?name=a.pt"
    assert client.request(method, address, headers=headers).status_code == 403


def test_the_pages_own_requests_and_links_from_elsewhere_are_answered(client: TestClient) -> None:
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert client.get("/api/change", headers=own).status_code == 200
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200
    assert client.get("/api/change", headers=followed).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods_are_refused(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/change").status_code == 405


@pytest.mark.parametrize("address", ["/", "/static/main.js", "/api/change", "/api/nothing", "/api/card"])
def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


# -- the token -------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(collection: Collection) -> tuple[TestClient, str]:
    """A client of a server that other machines reach, and its token."""
    admission = admission_for("0.0.0.0", 8722)
    assert admission.token is not None
    app: Any = application(collection, admission)
    return TestClient(app, base_url="http://lab.example:8722", follow_redirects=False), admission.token


def test_without_the_token_nothing_is_answered(elsewhere: tuple[TestClient, str]) -> None:
    client, token = elsewhere
    for address in ("/", "/api/collection", f"/api/collection?token={token}", "/?token=wrong", "/?token="):
        assert client.get(address).status_code == 401, address
    for wrong in ({"cookie": f"{COOKIE}=wrong"}, {"authorization": "Bearer wrong"}, {"cookie": "%%%;;="}):
        assert client.get("/api/collection", headers=wrong).status_code == 401


def test_the_link_gives_a_cookie_that_scripts_cannot_read(elsewhere: tuple[TestClient, str]) -> None:
    client, token = elsewhere
    response = client.get(f"/?token={token}")
    assert response.status_code == 303
    assert response.headers["location"] == "/"
    assert "HttpOnly; SameSite=Strict" in response.headers["set-cookie"]
    client.cookies.clear()
    for right in ({"cookie": f"{COOKIE}={token}"}, {"authorization": f"Bearer {token}"}):
        assert client.get("/api/change", headers=right).status_code == 200


def test_links_hold_the_token_only_where_one_is_needed() -> None:
    assert link("127.0.0.1", 1, admission_for("127.0.0.1", 1)) == "http://127.0.0.1:1/"
    assert link("::1", 1, admission_for("::1", 1)) == "http://[::1]:1/"
    first, second = (admission_for("0.0.0.0", 1) for _ in range(2))
    assert link("0.0.0.0", 1, first) == f"http://0.0.0.0:1/?token={first.token}"
    assert first.token != second.token


# -- bodies ----------------------------------------------------------------------------------------


def _asked(guard: Guard, messages: Callable[[], Any], length: str | None) -> list[Any]:
    headers = [(b"host", b"a:1"), *([(b"content-length", length.encode())] if length else [])]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, messages, send))
    return sent


async def _never(*_: Any) -> None:
    raise AssertionError("the application was asked")


@pytest.mark.parametrize("length", ["11", "9" * 30, "-1", "x", None])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(length: str | None) -> None:
    async def endless() -> dict[str, Any]:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    sent = _asked(Guard(_never, Admission(frozenset({"a:1"}), None), largest_body=10), endless, length)
    assert sent[0]["status"] == 413


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def silent() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    guard = Guard(_never, Admission(frozenset({"a:1"}), None), largest_body=10, seconds=0.05)
    assert _asked(guard, silent, "5")[0]["status"] == 408


def test_a_client_that_leaves_early_is_no_request() -> None:
    async def leaves() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert _asked(Guard(_never, Admission(frozenset({"a:1"}), None), largest_body=10), leaves, "5")[0]["status"] == 400


def test_eight_bodies_are_held_at_once() -> None:
    held, most = [0], [0]

    async def app(*_: Any) -> None:
        held[0] += 1
        most[0] = max(most[0], held[0])
        await asyncio.sleep(0.01)
        held[0] -= 1

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        raise AssertionError("a request was refused")

    async def all_at_once() -> None:
        guard = Guard(app, Admission(frozenset({"a:1"}), None), largest_body=10)
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [(b"host", b"a:1")]}
        await asyncio.gather(*(guard(dict(scope), receive, send) for _ in range(30)))

    asyncio.run(all_at_once())
    assert most[0] == 8


def test_websockets_are_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(_never, Admission(None, None), largest_body=10)
    asyncio.run(guard({"type": "websocket", "headers": []}, _never, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
