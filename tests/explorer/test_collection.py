"""A collection that grows, is damaged, or disappears while it is open gives a message."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.explorer.conftest import index_of, unpack

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.explorer import collection as module
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.jobs import Pending
from rnn2vec.index.index import Index
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.store import Zoo

ClientOf = Callable[[Collection], TestClient]


@pytest.fixture
def zoo(tiny_zoo: Zoo, tmp_path: Path) -> Zoo:
    """A copy that may be harmed."""
    return Zoo(shutil.copytree(tiny_zoo.folder, tmp_path / "zoo"))


@pytest.fixture
def opened(zoo: Zoo, tiny_run: Path, tmp_path: Path) -> Collection:
    """The collection of that copy."""
    return Collection(index_of(zoo, Rnn2Vec(tiny_run), tmp_path / "index"), zoo.folder)


def test_a_collection_that_disappears_says_so(opened: Collection, zoo: Zoo, client_of: ClientOf) -> None:
    client = client_of(opened)
    assert client.get("/api/change").json() == {"message": None}
    shutil.rmtree(zoo.folder)
    assert "is not there any more" in client.get("/api/change").json()["message"]
    card = client.get("/api/card?id=1").json()
    assert card["architecture"] is None
    assert "is not a file" in card["problem"]
    answer = client.get("/api/ask?id=1")
    assert answer.status_code == 400
    assert client.get("/api/map").status_code == 200


def test_a_damaged_shard_is_named(opened: Collection, zoo: Zoo, client_of: ClientOf) -> None:
    for shard in zoo.folder.glob("shards/*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-7] + b"damaged")
    client = client_of(opened)
    card = client.get("/api/card?id=1").json()
    assert "checksum" in card["problem"]
    assert client.get("/api/prefix?id=1&tokens=").status_code == 409


def test_a_damaged_manifest_is_named(opened: Collection, zoo: Zoo) -> None:
    (zoo.folder / "zoo.json").write_text("{")
    message = opened.change()
    assert message is not None
    assert "zoo.json" in message


def test_a_zoo_that_grows_says_by_how_much(zoo: Zoo, tiny_run: Path, tmp_path: Path) -> None:
    whole = Manifest.read(zoo.folder)
    dataclasses.replace(whole, shards=whole.shards[:1]).write(zoo.folder)
    part = Collection(index_of(Zoo(zoo.folder), Rnn2Vec(tiny_run), tmp_path / "part"), zoo.folder)
    assert part.change() is None
    whole.write(zoo.folder)
    message = part.change()
    assert message is not None
    assert f"grown by {24 - len(part)} RNNs" in message


def test_an_index_of_vectors_alone_is_a_map(tmp_path: Path, client_of: ClientOf) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    index = Index.build(tmp_path / "index", 5)
    index.add([f"<img src=x onerror=alert({at})>" for at in range(30)], vectors, {"a": [float(at) for at in range(30)]})
    client = client_of(Collection(index, tmp_path / "index"))
    described = client.get("/api/collection").json()
    assert described["interface"] is None
    assert described["encoder"] == "vectors"
    assert unpack(client.get("/api/map").content)["x"].shape == (30,)
    assert len(client.get("/api/card?id=0").json()["neighbours"]) == 6
    for address in ("/api/ask?id=0", "/api/prefix?id=0&tokens=0", "/api/compare?a=0&b=1"):
        assert client.get(address).status_code == 400
    assert client.post("/api/upload?name=a.pt", content=b"x").status_code in {400, 409}
    assert client.get("/api/runs").status_code == 400


def test_an_empty_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no RNN to show"):
        Collection(Index.build(tmp_path / "index", 4), tmp_path / "index")


def test_most_rnns_are_placed_among_their_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "MOST_LAID_OUT", 60)
    groups = np.repeat(np.eye(3, 8), 40, axis=0)
    vectors = (groups + np.random.default_rng(1).normal(scale=0.02, size=groups.shape)).astype(np.float32)
    index = Index.build(tmp_path / "index", 8)
    index.add([str(at) for at in range(120)], vectors)
    opened = Collection(index, tmp_path / "index")
    with pytest.raises(Pending):
        opened.layout("tsne")
    layout = opened.layout("tsne", wait=60)
    assert layout.num_laid_out == 60
    distances = np.linalg.norm(layout.coordinates[:, None] - layout.coordinates, axis=-1) + np.diag(
        np.full(120, np.inf)
    )
    assert (distances.argmin(axis=1) // 40 == np.arange(120) // 40).all()
