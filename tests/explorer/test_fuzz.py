"""Requests of any kind are answered with a result or a reason, never with a failure of the server."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.server import READING, SENDING

NAMES = st.sampled_from(["id", "a", "b", "name", "rows", "where", "method", "tokens", "format"])
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["0", "-1", "24", "99999999999999999999", "upload-", "pca", "tsne", "nan", "step", "rnn", "²"]),
    st.from_regex(r"[a-z_]{1,12} ?(<|>=|=|!=) ?[0-9a-z.,-]{1,8}", fullmatch=True),
)
REPEATED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@REPEATED
@given(view=st.sampled_from(sorted(READING)), values=st.lists(st.tuples(NAMES, TEXTS), max_size=4))
def test_any_parameters_are_answered(client: TestClient, view: str, values: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in values)
    response = client.get(f"/api/{view}?{query}")
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert set(response.json()) == {"problem", "remedy"}


@REPEATED
@given(view=st.sampled_from(sorted(SENDING)), body=st.binary(max_size=200), name=TEXTS)
def test_any_body_is_answered(client: TestClient, view: str, body: bytes, name: str) -> None:
    query = f"name={quote(name, errors='surrogatepass')}&format={quote(name, errors='surrogatepass')}"
    assert client.post(f"/api/{view}?{query}", content=body).status_code < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.sampled_from(["id", "values", "pixels", "angle"]), one),
    max_leaves=12,
)


@REPEATED
@given(view=st.sampled_from(["series", "digit"]), body=JSON)
def test_any_json_is_answered(mnist_client: TestClient, view: str, body: object) -> None:
    assert mnist_client.post(f"/api/{view}", json=body).status_code < 500


@pytest.mark.parametrize(
    "address",
    ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "//static/main.js", "/static/",
     "/api", "/static/%00", "/api/%ff", "/static/main.js/x", "/etc/passwd"],
)  # fmt: skip
def test_no_other_file_is_served(client: TestClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code in {404, 307}
    assert b"import" not in response.content


def test_ids_are_rows_or_files_that_were_dropped(client: TestClient, collection: Collection) -> None:
    for given_id in ("24", "-1", "x", "", " 1", "1 ", "٣", "upload-0", "1e1", "0x1"):
        response = client.get("/api/card", params={"id": given_id})
        assert response.status_code == 404, given_id
    assert client.get("/api/card").status_code == 400
    assert len(collection) == 24
