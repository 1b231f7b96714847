"""Asking: the dialogue is the encoder's, prefixes and digits are read as the library reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tests.explorer.conftest import ready, unpack

from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.explorer import asking
from rnn2vec.explorer.collection import Collection
from rnn2vec.index.index import Index
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.zoo.store import Zoo


@torch.no_grad()
def test_the_dialogue_is_the_encoders(client: TestClient, collection: Collection, tiny_zoo: Zoo) -> None:
    ready(client, "/api/predictions?id=0")
    found = unpack(client.get("/api/ask?id=9").content)
    encoder = collection.require_model().encoder
    assert isinstance(encoder, ProbingEncoder)
    said = encoder.probing_transcript(tiny_zoo.rnns([9]))
    np.testing.assert_allclose(found["asked"], said.probes[0], atol=1e-6)
    np.testing.assert_allclose(found["answered"], said.responses[0].softmax(dim=-1), atol=1e-6)

    beliefs = {one["name"]: one for one in found["beliefs"]["properties"]}
    assert all(len(one["steps"]) == said.representations.shape[1] for one in beliefs.values())
    _, rows = collection.index.nearest(said.representations[0, -1:].numpy(), 24)
    tasks = collection.table.column("task").take(rows[0]).to_pylist()
    best = beliefs["task"]["steps"][-1][0]
    assert best["share"] == pytest.approx(tasks.count(best["value"]) / len(tasks))


def test_beliefs_are_the_predictors_where_these_could_be_fitted(tiny_run: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(150, 16)).astype(np.float32)
    index = Index.build(tmp_path / "index", Rnn2Vec(tiny_run))
    properties = {
        "split": ["validation" if at % 3 == 0 else "train" for at in range(150)],
        "side": ["left" if vector[0] < 0 else "right" for vector in vectors],
        "size": vectors[:, 1].astype(float),
        "task": [str(at % 50) for at in range(150)],
    }
    index.add([f"rnn {at}" for at in range(150)], vectors, properties)
    collection = Collection(index, tmp_path / "index")
    predictors = collection.jobs.result("predictors", wait=60)
    found = asking._beliefs(collection, vectors[:2])
    assert found["source"] == "predictors"
    steps = {one["name"]: one["steps"] for one in found["properties"]}
    assert set(steps) == {"task", "side", "size"}
    for step in range(2):
        side, size = predictors.predict(vectors[step])
        assert steps["side"][step] == [{"value": side.value, "share": side.probability, "interval": None}]
        assert steps["size"][step] == [{"value": size.value, "share": None, "interval": size.interval}]


def test_random_probing_shows_its_inputs_and_believes_nothing(mnist_client: TestClient) -> None:
    found = unpack(mnist_client.get("/api/ask?id=1").content)
    assert found["beliefs"] is None
    assert found["asked"].shape[0] == found["answered"].shape[0] == 16
    np.testing.assert_allclose(found["answered"].sum(axis=-1), 1, atol=1e-5)


@torch.no_grad()
def test_a_prefix_is_read_letter_by_letter(client: TestClient, tiny_zoo: Zoo) -> None:
    answers = client.get("/api/prefix?id=4&tokens=0,0,1").json()["answers"]
    rnn = tiny_zoo.rnns([4])
    state = rnn.initial_state(1)
    for token, answer in zip([4, 0, 0, 1], answers, strict=True):  # BOS is put before it
        outputs, state = rnn.step(torch.eye(6)[token][None, None], state)
        np.testing.assert_allclose(answer, outputs[0, 0].softmax(dim=-1), atol=1e-6)
    assert len(client.get("/api/prefix?id=4&tokens=").json()["answers"]) == 1


@pytest.mark.parametrize("tokens", ["6", "-1", "a", "1.0", "²", "0," * 201])
def test_a_wrong_prefix_is_refused(client: TestClient, tokens: str) -> None:
    response = client.get("/api/prefix", params={"id": "4", "tokens": tokens})
    assert response.status_code == 400


@torch.no_grad()
def test_a_digit_is_rotated_and_read_tile_by_tile(mnist_client: TestClient, tiny_mnist_zoo: Zoo) -> None:
    chosen = unpack(mnist_client.get("/api/digits").content)
    assert chosen["labels"] == sorted(set(chosen["labels"]))
    family = tiny_mnist_zoo.family
    assert isinstance(family, TiledMnist)
    angle = tiny_mnist_zoo.column("angle")[5]
    body = {"id": "5", "pixels": chosen["images"][2].tolist(), "angle": [[float(angle)]]}
    found = unpack(mnist_client.post("/api/digit", json=body).content)
    image = torch.from_numpy(chosen["images"][2].copy()).reshape(1, 1, -1)
    inputs = family.seen(image, tiny_mnist_zoo.tasks([5]))
    np.testing.assert_array_equal(found["inputs"], inputs[0, 0])
    expected = tiny_mnist_zoo.rnns([5])(inputs)[0][0, 0].softmax(dim=-1)
    np.testing.assert_allclose(found["answers"], expected, atol=1e-6)
    number = int(family.held_out[0])
    rolled = family.rollout_inputs(torch.tensor([[[number]]]), tiny_mnist_zoo.tasks([5]))
    seen = family.seen(torch.from_numpy(family.data.images[number]).reshape(1, 1, -1), tiny_mnist_zoo.tasks([5]))
    assert torch.equal(rolled, seen)


@torch.no_grad()
def test_a_series_is_answered_step_by_step(mnist_client: TestClient, tiny_mnist_zoo: Zoo) -> None:
    values = np.random.default_rng(0).normal(size=(7, 49)).tolist()
    found = unpack(mnist_client.post("/api/series", json={"id": "2", "values": values}).content)
    inputs = torch.tensor(values, dtype=torch.float32)[None, None]
    expected = tiny_mnist_zoo.rnns([2])(inputs)[0][0, 0].softmax(dim=-1)
    np.testing.assert_allclose(found["answers"], expected, atol=1e-6)


WRONG = [[], [[1.0] * 48], [["1"] * 49], [[1e31] * 49], [[True] * 49], [1.0], "x", None, [[0.0] * 49] * 2001]


@pytest.mark.parametrize("values", WRONG)
def test_a_wrong_series_is_refused(mnist_client: TestClient, values: object) -> None:
    response = mnist_client.post("/api/series", json={"id": "2", "values": values})
    assert response.status_code == 400


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"id": "2"}', b"NaN", b'{"id": "2", "values": [[NaN]]}', b"\xff"])
def test_what_is_no_series_at_all_is_refused(mnist_client: TestClient, body: bytes) -> None:
    assert mnist_client.post("/api/series", content=body).status_code == 400


def test_each_kind_of_rnn_is_asked_in_its_own_way(client: TestClient, mnist_client: TestClient) -> None:
    assert "reads tokens" in client.post("/api/series", json={"id": "0", "values": [[0.0] * 6]}).json()["problem"]
    assert "do not read images" in client.get("/api/digits").json()["problem"]
    assert "reads numbers" in mnist_client.get("/api/prefix?id=0&tokens=1").json()["problem"]
    black = json.dumps({"id": "0", "pixels": [[256] * 28] * 28, "angle": [[0]]})
    assert "a drawing of" in mnist_client.post("/api/digit", content=black).json()["problem"]
