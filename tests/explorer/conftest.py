"""Collections of real zoos, and a client that asks the server as a browser on this machine does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from rnn2vec.embedding.many_files import embed_files
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.server import admission_for, application
from rnn2vec.index.index import Index
from rnn2vec.zoo.store import Zoo

HOST = "127.0.0.1:8722"
Unpacked = dict[str, Any]


def unpack(message: bytes) -> Unpacked:
    """Read the binary form as the page does: values of the header, and arrays by name."""
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    arrays: Unpacked = {}
    for one in header.pop("arrays"):
        count = int(np.prod(one["shape"]))
        array = np.frombuffer(message, one["dtype"], count, 4 + length + one["offset"])
        arrays[one["name"]] = array.reshape(one["shape"])
    return {**header, **arrays}


def index_of(zoo: Zoo, model: Rnn2Vec, folder: Path) -> Index:
    """Embed a zoo into an index, as `rnn2vec explore` does."""
    index = Index.build(folder, model)
    for part in embed_files(model, [zoo.folder]):
        index.add(part.names, part.vectors, part.properties)
    return index


@pytest.fixture(scope="session")
def collection(tiny_zoo: Zoo, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """24 snapshots of languages, with a trained probing encoder. Uploads may be added; nothing else changes."""
    index = index_of(tiny_zoo, Rnn2Vec(tiny_run), tmp_path_factory.mktemp("explorer") / "index")
    return Collection(index, tiny_zoo.folder)


@pytest.fixture(scope="session")
def mnist_collection(tiny_mnist_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """8 snapshots of RNNs that read digits, without a trained model."""
    model = Rnn2Vec.untrained(tiny_mnist_zoo)
    index = index_of(tiny_mnist_zoo, model, tmp_path_factory.mktemp("explorer") / "index")
    return Collection(index, tiny_mnist_zoo.folder)


@pytest.fixture(scope="session")
def client_of() -> Callable[[Collection], TestClient]:
    """Return a client of a collection's server."""

    def make(collection: Collection) -> TestClient:
        app: Any = application(collection, admission_for("127.0.0.1", 8722))
        return TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)

    return make


@pytest.fixture
def client(collection: Collection, client_of: Callable[[Collection], TestClient]) -> Iterator[TestClient]:
    """A client of the languages' server."""
    with client_of(collection) as client:
        yield client


@pytest.fixture
def mnist_client(mnist_collection: Collection, client_of: Callable[[Collection], TestClient]) -> Iterator[TestClient]:
    """A client of the digits' server."""
    with client_of(mnist_collection) as client:
        yield client


def ready(client: TestClient, address: str) -> Any:
    """Ask until an answer is there that is computed in the background."""
    import time

    for _ in range(600):
        response = client.get(address)
        if response.status_code != 202:
            return response
        time.sleep(0.1)
    raise AssertionError(f"{address} is pending after a minute")
