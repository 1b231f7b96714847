"""Files that are dropped on the page: read by the library's own reader, or refused with a reason."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.torch
import torch
from starlette.testclient import TestClient
from tests.explorer.conftest import ready

from rnn2vec.explorer import uploads
from rnn2vec.explorer.collection import Collection
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

MakeRNNs = Callable[..., RNNStack]


def _file(stack: RNNStack) -> bytes:
    return safetensors.torch.save(stack.to_modules()[0].state_dict())


def _drop(client: TestClient, content: bytes, name: str = "mine.safetensors") -> dict[str, str]:
    response = client.post("/api/upload", params={"name": name}, content=content)
    return {"status": str(response.status_code), **response.json()}


def test_a_dropped_copy_lies_where_the_original_does(client: TestClient, tiny_zoo: Zoo, collection: Collection) -> None:
    dropped = _drop(client, _file(tiny_zoo.rnns([5])))
    assert dropped["name"] == "mine.safetensors"
    card = ready(client, f"/api/card?id={dropped['id']}").json()
    np.testing.assert_allclose(card["place"], collection.layout("pca").coordinates[5], atol=1e-5)
    assert card["neighbours"][0]["id"] == "5"
    assert card["neighbours"][0]["verdict"]["kind"] == "identical"
    assert client.get("/api/ask", params={"id": dropped["id"]}).status_code == 200
    compared = client.get("/api/compare", params={"a": dropped["id"], "b": "5"})
    assert compared.status_code == 200


class _Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was run",))


def _pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": _Harm()}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"x", "mine.exe", "no checkpoint by its name"),
        (b"x", "mine", "no checkpoint by its name"),
        (b"", "mine.pt", "is empty"),
        (b"PK\x03\x04 torn", "mine.pt", "mine.pt"),
        (pickle.dumps(_Harm()), "mine.pt", "mine.pt"),
        (_pickled(), "mine.pt", "mine.pt"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "../../mine.safetensors", "mine.safetensors"),
        (b"<script>", "<script>alert(1)</script>.onnx", "<script>"),
    ],
)
def test_what_is_no_checkpoint_is_refused(client: TestClient, content: bytes, name: str, said: str) -> None:
    answer = _drop(client, content, name)
    assert answer["status"] in {"400", "409"}
    assert said in answer["problem"]
    assert "/tmp" not in answer["problem"]


def test_an_rnn_of_another_kind_is_refused(client: TestClient, random_rnns: MakeRNNs) -> None:
    spec = RNNSpec(cell="gru", input_size=9, hidden_size=4, num_layers=1, output_size=2)
    answer = _drop(client, _file(random_rnns(spec, 1)))
    assert answer["status"] == "400"
    assert "9 categorical inputs" in answer["problem"]


def test_a_file_that_is_too_large_is_refused_unread(client: TestClient) -> None:
    headers = {"content-length": str(uploads.LARGEST_UPLOAD + 1)}
    response = client.post("/api/upload?name=a.pt", content=b"x", headers=headers)
    assert response.status_code == 413


def test_a_file_that_takes_long_is_given_up(client: TestClient, monkeypatch: pytest.MonkeyPatch, tiny_zoo: Zoo) -> None:
    monkeypatch.setattr(uploads, "_SECONDS", 0.0)
    answer = _drop(client, _file(tiny_zoo.rnns([1])))
    assert answer["status"] == "409"
    assert "to read" in answer["problem"]
    monkeypatch.undo()
    assert uploads._reader.acquire(timeout=10)  # the reader ends by itself
    uploads._reader.release()


def test_one_file_is_read_at_a_time(client: TestClient, tiny_zoo: Zoo) -> None:
    with uploads._reader:
        assert "another file" in _drop(client, _file(tiny_zoo.rnns([1])))["problem"]
    assert _drop(client, _file(tiny_zoo.rnns([1])))["status"] == "200"


def test_sixteen_files_are_kept(client: TestClient, random_rnns: MakeRNNs, tiny_zoo: Zoo) -> None:
    stack = random_rnns(tiny_zoo.spec, 17)
    ids = [_drop(client, _file(stack[row]))["id"] for row in range(17)]
    assert ready(client, f"/api/card?id={ids[-1]}").status_code == 200
    gone = client.get("/api/card", params={"id": ids[0]})
    assert gone.status_code == 404
    assert gone.json()["remedy"] == "drop the file again."
